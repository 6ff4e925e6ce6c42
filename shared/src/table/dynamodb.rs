//! DynamoDB's table. The first call builds the client, under that call's deadline.

mod page;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::types::{
    AttributeValue as Sdk, ConsumedCapacity, KeyType as Role, KeysAndAttributes, ReturnConsumedCapacity,
    ScalarAttributeType, TableDescription,
};
use aws_smithy_runtime_api::client::interceptors::context::Output;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use self::page::PageAnswer;
use super::key::{Key, KeyAttribute, KeySchema, KeyType};
use super::selection::Range;
use super::{Consistency, FoundItems, ItemPage, MOST_KEYS, PageRequest, Table, TableError};
use crate::attribute::Item;
use crate::aws::{CallError, LazyClient};
use crate::backoff::Backoff;

/// Calls of one `get` under way together.
const CONCURRENT_GETS: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Codes of errors that pass by themselves, beside those of the server.
const PASSING: [&str; 7] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "LimitExceededException",
    "InternalServerError",
    "ServiceUnavailable",
    "InternalFailure",
];

type SdkItem = HashMap<String, Sdk>;

/// A table of DynamoDB, with the environment's credentials and region.
#[derive(Debug)]
pub struct DynamoDbTable {
    name: String,
    client: LazyClient<Client>,
}

/// The table that a process read last. It keeps its connections from one invocation to the next.
#[derive(Debug, Default)]
pub struct LastTable(Mutex<Option<Arc<DynamoDbTable>>>);

impl LastTable {
    /// Returns the table with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Arc<DynamoDbTable> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(table) if table.name == name => Arc::clone(table),
            _ => Arc::clone(last.insert(Arc::new(DynamoDbTable::new(name)))),
        }
    }
}

impl DynamoDbTable {
    /// Creates the table with this name. Connects to nothing yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), client: LazyClient::new(Client::new) }
    }

    /// Creates the table with this name and an existing client.
    #[must_use]
    pub fn with_client(client: Client, name: impl Into<String>) -> Self {
        Self { name: name.into(), client: LazyClient::new(Client::new).with_client(client) }
    }

    /// Returns the table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes an item, whatever was there.
    ///
    /// # Errors
    /// Fails if the item was not written, or nobody knows it.
    pub async fn put(&self, item: &Item<'_>, deadline: Instant) -> Result<(), TableError> {
        let put =
            self.call(deadline, |client| client.put_item().table_name(&self.name).set_item(Some(item.to_sdk())).send());
        put.await.map(drop)
    }

    /// Makes one call under the deadline. Its error quotes nothing.
    async fn call<T, E, R, F>(&self, deadline: Instant, send: impl FnOnce(&Client) -> F) -> Result<T, TableError>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        self.client.call(deadline, send).await.map_err(|error: CallError<E, R>| match error.code() {
            Some(code) if PASSING.contains(&code) => TableError::Unavailable(format!("refused with {code}")),
            Some(code) => TableError::Refused(code.to_owned()),
            None => TableError::Unavailable(error.to_string()),
        })
    }

    /// Reads up to [`MOST_KEYS`] items, and what is left unprocessed again.
    async fn get_some(
        &self,
        keys: &[Key],
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<FoundItems, TableError> {
        let mut found = FoundItems { items: vec![None; keys.len()], capacity: 0.0 };
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut wanted: Vec<SdkItem> = keys.iter().map(sdk_key).collect();
        loop {
            let wish = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(consistency == Consistency::Strong)
                .build()
                .map_err(|error| TableError::Protocol(error.to_string()))?;
            let answer = self.call(deadline, |client| {
                let request = client.batch_get_item().request_items(&self.name, wish);
                request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
            });
            let answer = answer.await?;
            found.capacity += answer.consumed_capacity.unwrap_or_default().iter().map(units).sum::<f64>();
            // A table that is named by its ARN may be answered by its name.
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                let item = converted(item)?;
                let place = keys.iter().position(|key| is_of(&item, key));
                let place = place.ok_or_else(|| TableError::Protocol("an item that was not asked for".to_owned()))?;
                found.items[place] = Some(item);
            }
            wanted = answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|rest| rest.keys).collect();
            if wanted.is_empty() {
                return Ok(found);
            }
            if !backoff.wait_before(deadline).await {
                return Err(TableError::Unavailable("left keys unprocessed until the time was up".to_owned()));
            }
        }
    }
}

impl Table for DynamoDbTable {
    async fn describe(&self, deadline: Instant) -> Result<KeySchema, TableError> {
        let answer = self.call(deadline, |client| client.describe_table().table_name(&self.name).send()).await?.table;
        answer.as_ref().and_then(schema).ok_or_else(|| TableError::Protocol("a table without a key".to_owned()))
    }

    async fn page<M: Send>(
        &self,
        request: PageRequest<'_>,
        make: impl Fn(&Item<'_>) -> M + Send + Sync,
        deadline: Instant,
    ) -> Result<ItemPage<M>, TableError> {
        let PageRequest { range, after, limit, consistency } = request;
        let after = after.map(sdk_key);
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let (consistent, total) = (consistency == Consistency::Strong, ReturnConsumedCapacity::Total);
        match range {
            Range::Segment { segment, segments } => {
                let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
                let answer = PageAnswer::new(|| Output::erase(ScanOutput::builder().build()));
                let call = self.call(deadline, |client| {
                    let scan = client.scan().table_name(&self.name).segment(number(*segment));
                    let scan = scan.total_segments(number(*segments)).set_exclusive_start_key(after).limit(limit);
                    let scan = scan.consistent_read(consistent).return_consumed_capacity(total);
                    scan.customize().interceptor(answer.clone()).send()
                });
                call.await?;
                answer.page(make)
            }
            Range::Prefix { partition, sort } => {
                let mut condition = "#p = :p".to_owned();
                let mut names = HashMap::from([("#p".to_owned(), partition.0.clone())]);
                let mut values = HashMap::from([(":p".to_owned(), partition.1.to_sdk())]);
                if let Some((name, value)) = sort {
                    condition.push_str(" AND begins_with(#s, :s)");
                    names.insert("#s".to_owned(), name.clone());
                    values.insert(":s".to_owned(), value.to_sdk());
                }
                let answer = PageAnswer::new(|| Output::erase(QueryOutput::builder().build()));
                let call = self.call(deadline, |client| {
                    let query = client.query().table_name(&self.name).key_condition_expression(condition);
                    let query = query.set_expression_attribute_names(Some(names));
                    let query = query.set_expression_attribute_values(Some(values));
                    let query = query.set_exclusive_start_key(after).limit(limit).consistent_read(consistent);
                    query.return_consumed_capacity(total).customize().interceptor(answer.clone()).send()
                });
                call.await?;
                answer.page(make)
            }
        }
    }

    async fn get(&self, keys: &[Key], consistency: Consistency, deadline: Instant) -> Result<FoundItems, TableError> {
        let parts: Vec<_> = keys.chunks(MOST_KEYS).map(|part| self.get_some(part, consistency, deadline)).collect();
        let parts: Vec<FoundItems> = stream::iter(parts).buffered(CONCURRENT_GETS).try_collect().await?;
        let mut all = FoundItems::default();
        for part in parts {
            all.items.extend(part.items);
            all.capacity += part.capacity;
        }
        Ok(all)
    }
}

fn units(capacity: &ConsumedCapacity) -> f64 {
    capacity.capacity_units.unwrap_or_default()
}

fn converted(item: SdkItem) -> Result<Item<'static>, TableError> {
    Item::from_sdk(item).map_err(|error| TableError::Protocol(error.to_string()))
}

fn is_of(item: &Item<'_>, key: &Key) -> bool {
    key.attributes().0.iter().all(|(name, value)| item.0.get(name) == Some(value))
}

fn sdk_key(key: &Key) -> SdkItem {
    key.attributes().to_sdk()
}

fn schema(table: &TableDescription) -> Option<KeySchema> {
    let attribute = |role: &Role| {
        let key = table.key_schema.as_ref()?.iter().find(|key| key.key_type == *role)?;
        let definitions = table.attribute_definitions.as_ref()?;
        let definition = definitions.iter().find(|definition| definition.attribute_name == key.attribute_name)?;
        let kind = match definition.attribute_type {
            ScalarAttributeType::S => KeyType::String,
            ScalarAttributeType::N => KeyType::Number,
            ScalarAttributeType::B => KeyType::Binary,
            _ => return None,
        };
        Some(KeyAttribute { name: key.attribute_name.clone(), kind })
    };
    Some(KeySchema {
        table_arn: table.table_arn.clone()?,
        partition: attribute(&Role::Hash)?,
        sort: attribute(&Role::Range),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::aws::silence;

    #[tokio::test(start_paused = true)]
    async fn a_table_that_accepts_and_never_answers_is_answered_for_before_a_far_deadline() {
        let (_listener, settings) = silence::endpoint().await;
        let table = DynamoDbTable::with_client(Client::new(&settings), "T");
        let started = Instant::now();
        let described = table.describe(started + Duration::from_secs(600)).await;
        assert!(matches!(described, Err(TableError::Unavailable(_))), "{described:?}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }

    /// Answers each connection of an endpoint with one of these, a status and a body.
    async fn answer(listener: TcpListener, answers: Vec<(u16, &'static str)>) {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                stream.read_buf(&mut request).await.expect("a request");
            }
            let length = body.len();
            let head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await.expect("an answer");
        }
    }

    #[tokio::test]
    async fn a_page_is_read_behind_an_error_that_passes_and_a_refusal_keeps_its_code() {
        let page = r#"{"Items":[{"pk":{"S":"a"}}],"ConsumedCapacity":{"CapacityUnits":0.5},"Count":1}"#;
        let refusal = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"secret"}"#;
        let (listener, settings) = silence::endpoint().await;
        tokio::spawn(answer(listener, vec![(500, "{}"), (200, page), (200, "<html>"), (400, refusal)]));
        let table = DynamoDbTable::with_client(Client::new(&settings), "T");
        let range = Range::Segment { segment: 0, segments: 1 };
        let request = PageRequest { range: &range, after: None, limit: 10, consistency: Consistency::Eventual };
        let deadline = Instant::now() + Duration::from_secs(30);
        let nothing = |_: &Item<'_>| ();
        let read = table.page(request, nothing, deadline).await.expect("a page");
        assert_eq!((read.items.len(), read.next), (1, None));
        assert!(matches!(table.page(request, nothing, deadline).await, Err(TableError::Protocol(_))));
        assert_eq!(
            table.page(request, nothing, deadline).await,
            Err(TableError::Refused("AccessDeniedException".to_owned())),
            "the SDK's own parser reads errors"
        );
    }
}
