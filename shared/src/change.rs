//! Stream record → change. Each record is parsed alone, so that only the malformed one is rejected.
//!
//! `aws_lambda_events` is not used for records. It turns a missing time into 1970 and an absent image into an empty
//! one, and one malformed record fails its whole batch. This module tells a missing image from an empty one. It also
//! tells a stream that carries no new image from a record that lost it.

mod damaged;
mod expiry;
pub mod kinesis;
mod member;
mod name;
mod origin;
mod record_number;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::attribute::{Item, MalformedItem};
use crate::document_id::{DocumentId, KeyError};
use crate::outcome::ConfigurationError;
use crate::replication::{Replication, ShapeError};
use crate::table::{Key, KeySchema};
use crate::time::Timestamp;
use crate::version::{Generation, SequenceNumber, StreamLabel, Version};

pub use crate::document::Content;
pub use member::RecordError;
pub use name::{ChangeKind, ChangeName};
pub(crate) use origin::table;
pub use origin::{Origin, table_arn};
pub use record_number::{NotARecordNumber, RecordNumber};

use expiry::is_expiry;
use member::{malformed, shape, text};

/// One change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Document of the item.
    pub id: DocumentId,
    /// Position of the change among its document's changes.
    pub version: Version,
    /// Time of the change by DynamoDB's clock, to the second on AWS; absent if the record does not say.
    pub event_time: Option<Timestamp>,
    /// Time of the read that gave the content, by the function's clock; absent for a change of a stream.
    pub read_at: Option<Timestamp>,
    /// Effect of the change on the item.
    pub kind: ChangeKind,
    /// Content of the document after the change.
    pub content: Content,
}

impl Change {
    /// Returns the identification of the change.
    #[must_use]
    pub fn name(&self) -> ChangeName {
        ChangeName { id: self.id.clone(), version: self.version.clone(), kind: self.kind }
    }
}

/// Settings for reading a record: facts that the record does not hold.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// First part of every version.
    pub generation: Generation,
    /// Key attribute that comes first in document ids.
    pub partition_key: Option<String>,
    /// Rules that make documents and ids.
    pub replication: Arc<Replication>,
}

impl ReadOptions {
    /// Returns the id of a key's document.
    ///
    /// # Errors
    /// Fails if the key contradicts the settings, a pattern of `REPLICATION` does not match it, or it is no key.
    pub fn document_id(&self, keys: &Item<'_>) -> Result<DocumentId, RecordError> {
        self.replication.document_id(keys, self.partition_key.as_deref()).map_err(|error| match error {
            KeyError::NoPartitionKey(name) => ConfigurationError::PartitionKey { name }.into(),
            KeyError::NoSortKey => ConfigurationError::Routing.into(),
            KeyError::NoEntityKey { entity, attribute } => ConfigurationError::EntityIndex { entity, attribute }.into(),
            KeyError::Pattern(ref name) => ShapeError { place: name.clone(), problem: error.to_string() }.into(),
            error => malformed("dynamodb.Keys", error.to_string()),
        })
    }

    /// Returns the key whose item has this document id; `None` if no key gives it, or the id does not show its key.
    #[must_use]
    pub fn key(&self, id: &DocumentId, schema: &KeySchema) -> Option<Key> {
        let plain = self.replication.without_prefix(id)?;
        let key = Key::from_document_id(&plain, schema, self.partition_key.as_deref())?;
        self.has_id(&key, id).then_some(key)
    }

    /// Returns `true` if the item of a key has this document id.
    #[must_use]
    pub fn has_id(&self, key: &Key, id: &DocumentId) -> bool {
        self.document_id(key.attributes()).is_ok_and(|own| own.as_str() == id.as_str())
    }
}

/// A record, as far as it could be read.
#[derive(Debug)]
pub struct Record {
    /// Identification of the record.
    pub origin: Origin,
    /// The change, or the reason why there is none.
    pub change: Result<Change, RecordError>,
}

/// Members of a record. `I` is what its items are read as.
#[derive(Deserialize)]
#[serde(bound(deserialize = "I: Deserialize<'de>"))]
struct RawRecord<'a, I> {
    #[serde(borrow, default, rename = "eventID")]
    event_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "eventName")]
    event_name: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "eventSource")]
    event_source: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "eventSourceARN")]
    event_source_arn: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "tableName")]
    table_name: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "userIdentity")]
    user_identity: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "change_object")]
    dynamodb: Option<RawChange<'a, I>>,
}

/// Requires a JSON object (serde also accepts an array for a struct). `null` counts as missing.
fn change_object<'de: 'a, 'a, I, D>(deserializer: D) -> Result<Option<RawChange<'a, I>>, D::Error>
where
    I: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct ObjectVisitor<'a, I>(PhantomData<RawChange<'a, I>>);
    impl<'de: 'a, 'a, I: Deserialize<'de>> Visitor<'de> for ObjectVisitor<'a, I> {
        type Value = Option<RawChange<'a, I>>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("the change as an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            RawChange::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "I: Deserialize<'de>"))]
struct RawChange<'a, I> {
    #[serde(borrow, default)]
    approximate_creation_date_time: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ApproximateCreationDateTimePrecision")]
    precision: Option<&'a RawValue>,
    #[serde(default)]
    keys: Option<I>,
    #[serde(default)]
    new_image: Option<I>,
    #[serde(borrow, default)]
    old_image: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sequence_number: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream_view_type: Option<&'a RawValue>,
}

/// Key or new image of a record: parsed in the pass over the record, or its text. A malformed item fails that pass,
/// and only its text can tell what is wrong with it.
trait RecordItem {
    fn item(&self) -> Result<Cow<'_, Item<'_>>, MalformedItem>;
}

impl RecordItem for Item<'_> {
    fn item(&self) -> Result<Cow<'_, Item<'_>>, MalformedItem> {
        Ok(Cow::Borrowed(self))
    }
}

impl RecordItem for &RawValue {
    fn item(&self) -> Result<Cow<'_, Item<'_>>, MalformedItem> {
        Item::from_json(self.get()).map(Cow::Owned)
    }
}

impl Record {
    /// Reads one record of a DynamoDB Streams event.
    #[must_use]
    pub fn read(json: &str, read_options: &ReadOptions) -> Self {
        if let Some(record) = object::<Item<'_>>(json) {
            return Self::of(&record, read_options);
        }
        if let Some(record) = object::<&RawValue>(json) {
            return Self::of(&record, read_options);
        }
        let (origin, error) = damaged::explain(json);
        Self { origin, change: Err(error) }
    }

    fn of(record: &RawRecord<'_, impl RecordItem>, read_options: &ReadOptions) -> Self {
        let event_id = record.event_id.and_then(|raw| text(raw).map(Cow::into_owned));
        let sequence_number = record.dynamodb.as_ref().and_then(|change| change.sequence_number).and_then(text);
        let change = match &record.dynamodb {
            // Records of another source have no such member, and are no bad data.
            None => refuse_other_source(record).and(Err(malformed("dynamodb", "missing".to_owned()))),
            Some(change) => read_change(record, change, read_options),
        };
        // Lambda fails the whole batch for a sequence number that it does not know.
        let sequence_number = sequence_number.filter(|number| SequenceNumber::is_one(number)).map(Cow::into_owned);
        let table_arn = record.event_source_arn.and_then(text).and_then(|arn| table_arn(&arn).map(str::to_owned));
        Self { origin: Origin { event_id, sequence_number, table_arn }, change }
    }

    /// Returns the key of a record's item; `None` if the record holds none.
    #[must_use]
    pub fn key(json: &str) -> Option<Key> {
        let keys = object::<&RawValue>(json)?.dynamodb?.keys?;
        Key::from_attributes(&Item::from_json(keys.get()).ok()?).ok()
    }
}

fn read_change<I: RecordItem>(
    record: &RawRecord<'_, I>,
    change: &RawChange<'_, I>,
    read_options: &ReadOptions,
) -> Result<Change, RecordError> {
    required("eventSource", record.event_source)?;
    refuse_other_source(record)?;
    let arn = required("eventSourceARN", record.event_source_arn)?;
    let label = StreamLabel::from_arn(&arn).map_err(|error| malformed("eventSourceARN", error.to_string()))?;
    let sequence = required("dynamodb.SequenceNumber", change.sequence_number)?;
    let sequence =
        SequenceNumber::parse(&sequence).map_err(|error| malformed("dynamodb.SequenceNumber", error.to_string()))?;
    refuse_view_without_new_image(change)?;
    let version = Version::new(read_options.generation, &label, &sequence);
    change_of(record, change, version, read_options)
}

/// Reads what the records of all sources hold: document, kind and content. An item without a document keeps the name of
/// its change.
fn change_of<I: RecordItem>(
    record: &RawRecord<'_, I>,
    change: &RawChange<'_, I>,
    version: Version,
    read_options: &ReadOptions,
) -> Result<Change, RecordError> {
    let kind = kind(record)?;
    let id = id(change, read_options)?;
    let content = match kind {
        ChangeKind::Insert | ChangeKind::Modify => content(change, read_options),
        ChangeKind::Remove if read_options.replication.keeps_expired() && is_expiry(record.user_identity) => {
            expired_content(change, read_options)
        }
        ChangeKind::Remove => Ok(Content::Tombstone),
    };
    match content {
        Ok(content) => Ok(Change { id, version, event_time: event_time(change), read_at: None, kind, content }),
        Err(RecordError::Shape(error)) => {
            Err(RecordError::Unshaped { change: Box::new(ChangeName { id, version, kind }), error })
        }
        Err(error) => Err(error),
    }
}

fn refuse_other_source<I>(record: &RawRecord<'_, I>) -> Result<(), RecordError> {
    match record.event_source.and_then(text) {
        Some(found) if found != "aws:dynamodb" => {
            let expected = "DynamoDB Streams (aws:dynamodb)";
            Err(ConfigurationError::EventSource { found: found.into_owned(), expected }.into())
        }
        _ => Ok(()),
    }
}

fn event_time<I>(change: &RawChange<'_, I>) -> Option<Timestamp> {
    change.approximate_creation_date_time.and_then(|raw| Timestamp::from_any_unit(raw.get()))
}

fn kind<I>(record: &RawRecord<'_, I>) -> Result<ChangeKind, RecordError> {
    match required("eventName", record.event_name)?.as_ref() {
        "INSERT" => Ok(ChangeKind::Insert),
        "MODIFY" => Ok(ChangeKind::Modify),
        "REMOVE" => Ok(ChangeKind::Remove),
        _ => Err(malformed("eventName", "expected INSERT, MODIFY or REMOVE".to_owned())),
    }
}

fn refuse_view_without_new_image<I>(change: &RawChange<'_, I>) -> Result<(), RecordError> {
    match change.stream_view_type.and_then(text).as_deref() {
        Some(view @ ("KEYS_ONLY" | "OLD_IMAGE")) => {
            Err(ConfigurationError::NoNewImage { view: view.to_owned() }.into())
        }
        _ => Ok(()),
    }
}

fn id(change: &RawChange<'_, impl RecordItem>, read_options: &ReadOptions) -> Result<DocumentId, RecordError> {
    let keys = item("dynamodb.Keys", change.keys.as_ref())?;
    read_options.document_id(&keys)
}

fn content(change: &RawChange<'_, impl RecordItem>, read_options: &ReadOptions) -> Result<Content, RecordError> {
    let image = item("dynamodb.NewImage", change.new_image.as_ref())?;
    Ok(read_options.replication.content(&image)?)
}

/// Returns the content that stays of an item that time to live deleted.
fn expired_content<I>(change: &RawChange<'_, I>, read_options: &ReadOptions) -> Result<Content, RecordError> {
    if change.old_image.is_none()
        && let Some(view) = change.stream_view_type.and_then(text)
        && view != "NEW_AND_OLD_IMAGES"
    {
        return Err(ConfigurationError::NoOldImage { view: view.into_owned() }.into());
    }
    let image = item("dynamodb.OldImage", change.old_image.as_ref())?;
    let content = read_options.replication.expired_content(&image, event_time(change))?;
    content.ok_or_else(|| {
        let problem = "missing, and the item's TTL attribute does not say when it expired";
        malformed("dynamodb.ApproximateCreationDateTime", problem.to_owned())
    })
}

fn item<'i>(field: &str, item: Option<&'i impl RecordItem>) -> Result<Cow<'i, Item<'i>>, RecordError> {
    let item = item.ok_or_else(|| malformed(field, "missing".to_owned()))?;
    item.item().map_err(|error| {
        let separator = if error.path.is_empty() { "" } else { "." };
        malformed(&format!("{field}{separator}{}", error.path), error.problem)
    })
}

fn required<'a>(field: &str, raw: Option<&'a RawValue>) -> Result<Cow<'a, str>, RecordError> {
    let raw = raw.ok_or_else(|| malformed(field, "missing".to_owned()))?;
    text(raw).ok_or_else(|| {
        malformed(
            field,
            match shape(raw.get()) {
                "a string" => "holds half of a surrogate pair, which is no Unicode text".to_owned(),
                shape => format!("expected a string, found {shape}"),
            },
        )
    })
}

/// Reads the record's own members. Requires an object, because serde also accepts an array.
fn object<'a, I: Deserialize<'a>>(json: &'a str) -> Option<RawRecord<'a, I>> {
    if json.trim_start().starts_with('{') { serde_json::from_str(json).ok() } else { None }
}

#[cfg(test)]
mod tests;
