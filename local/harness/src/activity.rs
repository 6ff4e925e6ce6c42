//! A realistic table, such as the demo's: who did what to which company, when. Partition key `pk` is `tenant#member`,
//! sort key `sk` time and id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::load::{ItemMaker, LoadItem};

/// The table's name, and the index's.
pub const TABLE: &str = "activity-history";
/// The table's partition key.
pub const PARTITION_KEY: &str = "pk";
/// Definition of the index: exact kinds and companies, and dates as dates.
pub const INDEX_DEFINITION: &str = include_str!("activity-history.json");

const TENANTS: [&str; 2] = ["acme", "globex"];
/// Few, so that a person can look at one.
const MEMBERS: u64 = 12;
const COMPANIES: [&str; 8] = [
    "Aurora Mills",
    "Birch & Sons",
    "Cobalt Energy",
    "Delta Foods",
    "Ember Logistics",
    "Fjord Bank",
    "Granite Homes",
    "Harbor Tools",
];
/// Kinds of activities in the table.
pub const KINDS: [&str; 6] = ["call", "mail", "meeting", "note", "order", "visit"];
/// Monday, 2026-09-21T00:00:00Z: the activity covers the eight weeks from here.
const FIRST_SECOND: i64 = 1_789_948_800;
const WEEKS: i64 = 8;

/// Text of a careless writer in a date field: OpenSearch refuses the document.
pub const POISON: &str = "next Tuesday";

/// Makes activities. A key's place in time and its kind follow from its number; the rest changes with every write.
#[derive(Debug)]
pub struct ActivityItems {
    /// Share of the writes that is poison, 0 to 1.
    pub poison: f64,
    /// Members of each tenant; one of them is a partition key.
    members: u64,
    written: AtomicU64,
}

impl Default for ActivityItems {
    fn default() -> Self {
        Self::new(0.0)
    }
}

impl ActivityItems {
    /// Activities, of which this share is poison.
    #[must_use]
    pub fn new(poison: f64) -> Self {
        Self { poison, members: MEMBERS, written: AtomicU64::new(0) }
    }

    /// The same with so many members of each tenant.
    #[must_use]
    pub fn with_members(self, members: u64) -> Self {
        Self { members, ..self }
    }

    /// Returns the number of poison items made so far.
    #[must_use]
    pub fn poison_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// Attributes that follow from a key's number alone.
struct KeyAttributes {
    tenant: &'static str,
    member: String,
    at: String,
    id: String,
}

impl KeyAttributes {
    fn of(key: u64, members: u64) -> Self {
        // A multiplicative hash: neighbouring numbers lie far apart, and the same number always gives the same.
        let scattered = key.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let second = i64::try_from((scattered >> 20) % (WEEKS as u64 * 7 * 86_400)).unwrap_or_default();
        let at = DateTime::from_secs(FIRST_SECOND + second).fmt(DateTimeFormat::DateTime);
        Self {
            tenant: pick(&TENANTS, scattered >> 8),
            member: format!("m-{:04}", 1_000 + (scattered >> 12) % members),
            at: at.expect("the year 2026 can be written"),
            id: format!("{scattered:016x}"),
        }
    }
}

impl ItemMaker for ActivityItems {
    fn key(&self, key: u64) -> LoadItem {
        let KeyAttributes { tenant, member, at, id } = KeyAttributes::of(key, self.members);
        HashMap::from([
            (PARTITION_KEY.to_owned(), AttributeValue::S(format!("{tenant}#{member}"))),
            ("sk".to_owned(), AttributeValue::S(format!("{at}#{id}"))),
        ])
    }

    fn item(&self, key: u64, rng: &mut StdRng, n: u64) -> LoadItem {
        let KeyAttributes { tenant, member, at, .. } = KeyAttributes::of(key, self.members);
        let kind = pick(&KINDS, key.wrapping_mul(7));
        let company = pick(&COMPANIES, key / 3);
        let mut item = self.key(key);
        let mut put = |name: &str, value| item.insert(name.to_owned(), value);
        put("tenant", AttributeValue::S(tenant.to_owned()));
        put("member", AttributeValue::S(member));
        put("company", AttributeValue::S(company.to_owned()));
        put("kind", AttributeValue::S(kind.to_owned()));
        put("at", AttributeValue::S(at));
        put("note", AttributeValue::S(format!("{kind} with {company}, revision {n}")));
        put("duration_min", AttributeValue::N(rng.random_range(1..120).to_string()));
        put("tags", AttributeValue::Ss(vec!["q4".to_owned(), format!("priority-{}", rng.random_range(1..4))]));
        let poison = rng.random_bool(self.poison);
        self.written.fetch_add(u64::from(poison), Ordering::Relaxed);
        let follow_up = if poison { POISON.to_owned() } else { format!("2026-12-{:02}", rng.random_range(1..=31)) };
        put("follow_up", AttributeValue::S(follow_up));
        if kind == "order" {
            let (euros, cents) = (rng.random_range(10..90_000), rng.random_range(0..100));
            put("amount", AttributeValue::N(format!("{euros}.{cents:02}")));
            put("currency", AttributeValue::S("EUR".to_owned()));
        }
        item
    }
}

fn pick<T: Copy>(choices: &[T], at: u64) -> T {
    choices[usize::try_from(at % choices.len() as u64).unwrap_or_default()]
}

/// Creates a table `name` with string keys `pk` and `sk` and a stream of new and old images.
///
/// # Errors
/// Where DynamoDB refuses.
pub async fn create_table(client: &Client, name: &str) -> Result<()> {
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (key, role) in [(PARTITION_KEY, KeyType::Hash), ("sk", KeyType::Range)] {
        let definition = AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S);
        let schema = KeySchemaElement::builder().attribute_name(key).key_type(role);
        request = request
            .attribute_definitions(definition.build().context("define a key")?)
            .key_schema(schema.build().context("define a key's role")?);
    }
    let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages);
    request = request.stream_specification(stream.build().context("define the stream")?);
    request.send().await.with_context(|| format!("create the table {name}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn keys_differ_and_items_carry_them() {
        let mut seen = std::collections::HashSet::new();
        for number in 0..5_000 {
            let items = ActivityItems::default();
            let key = items.key(number);
            let item = items.item(number, &mut StdRng::seed_from_u64(1), 0);
            assert!(key.iter().all(|(name, value)| item.get(name) == Some(value)));
            assert!(seen.insert(format!("{:?}|{:?}", key["pk"], key["sk"])), "{number}");
        }
    }

    #[test]
    fn the_definition_is_one_that_the_function_takes() {
        assert!(driftless::opensearch::IndexDefinition::from_json(INDEX_DEFINITION).is_ok());
    }
}
