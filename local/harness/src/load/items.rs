//! Items of a load: their keys and attributes.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeyType, ScalarAttributeType};
use rand::Rng;
use rand::rngs::StdRng;

use crate::services::client_error;

/// The attribute that the generator adds to every item: when it was sent, in microseconds since 1970 by the writer's
/// clock.
pub const WRITTEN_AT: &str = "written_at_us";

/// An item, or its key.
pub type LoadItem = HashMap<String, AttributeValue>;

/// Makes the items of a load. The same key, randomness and number must give the same item.
pub trait ItemMaker: Send + Sync {
    /// The key attributes of the `key`-th item, and nothing else. Different numbers give different keys.
    fn key(&self, key: u64) -> LoadItem;

    /// The `key`-th item, with its key attributes, as the `n`-th write of the load writes it.
    fn item(&self, key: u64, rng: &mut StdRng, n: u64) -> LoadItem;
}

/// Items of half a kilobyte with attributes of every common type, for a table of any key schema.
#[derive(Clone, Debug)]
pub struct PlainItems {
    /// The partition key, then the sort key.
    keys: Vec<(String, ScalarAttributeType)>,
}

impl PlainItems {
    /// Reads the key schema of `table`.
    ///
    /// # Errors
    /// Where the table cannot be described.
    pub async fn of(client: &Client, table: &str) -> Result<Self> {
        let answer = client.describe_table().table_name(table).send().await.map_err(|error| {
            let is_missing = error.as_service_error().is_some_and(DescribeTableError::is_resource_not_found_exception);
            match is_missing {
                true => anyhow!("the table {table} does not exist: `--create` makes it"),
                false => client_error(error).context(format!("describe the table {table}")),
            }
        });
        let described = answer?.table;
        let described = described.with_context(|| format!("the table {table} has no description"))?;
        let mut schema = described.key_schema().to_vec();
        schema.sort_by_key(|element| element.key_type() != &KeyType::Hash);
        let type_of = |name: &str| {
            let definitions = described.attribute_definitions();
            definitions.iter().find(|definition| definition.attribute_name() == name)
        };
        let keys = schema.iter().map(|element| {
            let name = element.attribute_name();
            let definition = type_of(name).with_context(|| format!("the key {name} of {table} has no type"))?;
            Ok((name.to_owned(), definition.attribute_type().clone()))
        });
        Ok(Self { keys: keys.collect::<Result<_>>()? })
    }
}

impl ItemMaker for PlainItems {
    fn key(&self, key: u64) -> LoadItem {
        // With a sort key, eight items share a partition.
        let numbers = if self.keys.len() > 1 { [key / 8, key] } else { [key, 0] };
        self.keys.iter().zip(numbers).map(|((name, kind), number)| (name.clone(), key_value(kind, number))).collect()
    }

    fn item(&self, key: u64, rng: &mut StdRng, n: u64) -> LoadItem {
        let mut item = self.key(key);
        let text: String = (0..300).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect();
        let tags: Vec<String> = (0..3).map(|tag| format!("tag-{}-{tag}", rng.random_range(0..100))).collect();
        let place = [("floor", rng.random_range(0..50)), ("room", rng.random_range(0..500))]
            .map(|(name, number): (&str, u32)| (name.to_owned(), AttributeValue::N(number.to_string())));
        let cents = rng.random_range(0..1_000_000_u32);
        let attributes = [
            ("write", AttributeValue::N(n.to_string())),
            ("text", AttributeValue::S(text)),
            ("amount", AttributeValue::N(format!("{}.{:02}", cents / 100, cents % 100))),
            ("open", AttributeValue::Bool(rng.random())),
            ("tags", AttributeValue::Ss(tags)),
            ("place", AttributeValue::M(place.into())),
        ];
        item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
        item
    }
}

fn key_value(kind: &ScalarAttributeType, number: u64) -> AttributeValue {
    match kind {
        ScalarAttributeType::N => AttributeValue::N(number.to_string()),
        ScalarAttributeType::B => AttributeValue::B(Blob::new(number.to_be_bytes())),
        _ => AttributeValue::S(format!("key-{number:08}")),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn items(kinds: &[ScalarAttributeType]) -> PlainItems {
        let names = ["partition", "sort"].map(str::to_owned);
        PlainItems { keys: names.into_iter().zip(kinds.iter().cloned()).collect() }
    }

    #[test]
    fn keys_have_the_types_of_the_schema_and_differ() {
        let items = items(&[ScalarAttributeType::B, ScalarAttributeType::N]);
        let (one, other) = (items.key(8), items.key(9));
        assert!(one["partition"].is_b() && one["sort"].is_n());
        assert_eq!(one["partition"], other["partition"]);
        assert_ne!(one["sort"], other["sort"]);
    }

    #[test]
    fn an_item_follows_from_its_randomness() {
        let items = items(&[ScalarAttributeType::S]);
        let make = |seed| items.item(1, &mut StdRng::seed_from_u64(seed), 5);
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        assert_eq!(make(1)["partition"], items.key(1)["partition"]);
    }
}
