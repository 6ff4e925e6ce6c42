//! Pages of items, parsed from the JSON of the answer by the parser of stream records.
//!
//! The SDK makes a map of its own values of each item first. That takes longer than all else that is done with an item.
//! So an interceptor takes the body of an answer that is a success before the SDK's own parser. Requests, retries,
//! time-outs and errors stay the SDK's.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Output};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use serde::Deserialize;

use super::super::key::Key;
use super::super::{ItemPage, TableError};
use crate::attribute::Item;

/// Answer to a scan or a query.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'a: 'de"))]
struct Answer<'a> {
    #[serde(borrow, default)]
    items: Vec<Item<'a>>,
    #[serde(borrow, default)]
    last_evaluated_key: Option<Item<'a>>,
    #[serde(default)]
    consumed_capacity: Option<Capacity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Capacity {
    #[serde(default)]
    capacity_units: f64,
}

/// Body of one call's answer, once it has come.
#[derive(Debug, Clone)]
pub(super) struct PageAnswer {
    body: Arc<Mutex<Option<Vec<u8>>>>,
    /// Makes the empty output that the SDK gets.
    output: fn() -> Output,
}

impl PageAnswer {
    /// Creates the answer to a call whose output has this default.
    pub(super) fn new(output: fn() -> Output) -> Self {
        Self { body: Arc::default(), output }
    }

    /// Parses the page of a call that succeeded.
    ///
    /// # Errors
    /// Fails if the answer is no page.
    pub(super) fn page<M>(&self, make: impl Fn(&Item<'_>) -> M) -> Result<ItemPage<M>, TableError> {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner).take();
        page(&body.ok_or_else(|| TableError::Protocol("no page".to_owned()))?, make)
    }
}

impl Intercept for PageAnswer {
    fn name(&self) -> &'static str {
        "PageAnswer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().status().is_success() {
            config.interceptor_state().store_put(SharedResponseDeserializer::new(self.clone()));
        }
        Ok(())
    }
}

impl DeserializeResponse for PageAnswer {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        _: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        let body = response.body().bytes().filter(|_| response.status().is_success());
        // The attempt before broke off in the body of a success.
        let body = body.ok_or_else(|| OrchestratorError::other("no answer after one that broke off"))?;
        *self.body.lock().unwrap_or_else(PoisonError::into_inner) = Some(body.to_vec());
        Ok((self.output)())
    }
}

fn page<M>(body: &[u8], make: impl Fn(&Item<'_>) -> M) -> Result<ItemPage<M>, TableError> {
    // The parser's own words may quote an item.
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        TableError::Protocol(format!("a page of items: line {}, column {}", error.line(), error.column()))
    })?;
    let next = answer.last_evaluated_key.filter(|key| !key.0.is_empty());
    let next = next.map(|key| Key::from_attributes(&key)).transpose();
    Ok(ItemPage {
        items: answer.items.iter().map(make).collect(),
        next: next.map_err(|error| TableError::Protocol(error.to_string()))?,
        capacity: answer.consumed_capacity.map_or(0.0, |capacity| capacity.capacity_units),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(item: &Item<'_>) -> Item<'static> {
        item.clone().into_owned()
    }

    #[test]
    fn an_answer_is_a_page_of_its_items() {
        let body = br#"{"Count":2,"Items":[{"pk":{"S":"a\"b"},"n":{"N":"1.50"}},{"pk":{"S":"c"}}],"ScannedCount":2,
            "LastEvaluatedKey":{"pk":{"S":"c"}},"ConsumedCapacity":{"TableName":"t","CapacityUnits":1.5}}"#;
        let read = page(body, owned).expect("a page");
        let items = [r#"{"pk":{"S":"a\"b"},"n":{"N":"1.5"}}"#, r#"{"pk":{"S":"c"}}"#];
        assert_eq!(read.items, items.map(|item| Item::from_json(item).expect("an item").into_owned()));
        assert_eq!(read.next.map(|key| key.to_json()), Some(json!({"pk": {"S": "c"}})));
        assert!((read.capacity - 1.5).abs() < f64::EPSILON);
        let last = page(br#"{"Items":[],"Count":0}"#, owned).expect("a page");
        assert_eq!(last, ItemPage { items: Vec::new(), next: None, capacity: 0.0 });
    }

    #[test]
    fn what_is_no_page_is_placed_and_not_quoted() {
        for odd in [r#"{"Items":[{"a":{"S":1}}]}"#, r#"{"Items":[{"a":{"X":"secret"}}]}"#, "secret"] {
            let error = page(odd.as_bytes(), owned).expect_err("no page").to_string();
            assert!(error.contains("column") && !error.contains("secret"), "{error}");
        }
    }
}
