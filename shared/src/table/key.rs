//! Keys of items: their schema, and their forms in requests, cursors, document ids and documents.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::attribute::{AttributeValue, Item};
use crate::document_id::{DocumentId, KeyError};
use crate::field::{Level, field_name};
use crate::number::Number;

/// Type of a key attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `S`: a string, ordered by its UTF-8 bytes.
    String,
    /// `N`: a number of up to 38 digits.
    Number,
    /// `B`: a byte string.
    Binary,
}

/// Attribute of a table's primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttribute {
    /// Name of the attribute.
    pub name: String,
    /// Type of the attribute.
    pub kind: KeyType,
}

/// Primary key of a table, and the table's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchema {
    /// ARN of the table.
    pub table_arn: String,
    /// Partition key, the first part of a document id.
    pub partition: KeyAttribute,
    /// Sort key, if the table has one.
    pub sort: Option<KeyAttribute>,
}

/// Reason why something is no key of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// A missing attribute, or one that is no part of the key, or one of another type.
    #[error("expected the key attributes {expected}, as DynamoDB JSON such as {{\"pk\": {{\"S\": \"a\"}}}}")]
    Attributes {
        /// Names and types of the key attributes.
        expected: String,
    },
    /// A value that is no DynamoDB JSON.
    #[error("expected DynamoDB JSON such as {{\"pk\": {{\"S\": \"a\"}}}}: {0}")]
    Malformed(String),
}

/// Primary key of one item.
#[derive(Debug, Clone, PartialEq)]
pub struct Key(Item<'static>);

impl KeyAttribute {
    fn takes(&self, value: &AttributeValue<'_>) -> bool {
        matches!(
            (self.kind, value),
            (KeyType::String, AttributeValue::String(_))
                | (KeyType::Number, AttributeValue::Number(_))
                | (KeyType::Binary, AttributeValue::Binary(_))
        )
    }
}

impl KeySchema {
    /// Returns the key attributes, partition key first.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// Returns the table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        self.table_arn.split_once(":table/").map_or(&self.table_arn, |(_, name)| name)
    }

    fn described(&self) -> String {
        let described = self.attributes().map(|attribute| {
            let kind = match attribute.kind {
                KeyType::String => "S",
                KeyType::Number => "N",
                KeyType::Binary => "B",
            };
            format!("`{}` ({kind})", attribute.name)
        });
        described.collect::<Vec<_>>().join(" and ")
    }

    fn refused(&self) -> NotAKey {
        NotAKey::Attributes { expected: self.described() }
    }
}

impl Key {
    /// Takes the key out of an item.
    ///
    /// # Errors
    /// Fails if a key attribute is missing or of another type.
    pub fn of(item: &Item<'_>, schema: &KeySchema) -> Result<Self, NotAKey> {
        let mut attributes = BTreeMap::new();
        for attribute in schema.attributes() {
            let value = item.0.get(attribute.name.as_str()).filter(|value| attribute.takes(value));
            let value = value.and_then(owned).ok_or_else(|| schema.refused())?;
            attributes.insert(Cow::Owned(attribute.name.clone()), value);
        }
        Ok(Self(Item(attributes)))
    }

    /// Parses a key in DynamoDB JSON, with all key attributes and no others.
    ///
    /// # Errors
    /// Fails if it is no key of the table.
    pub fn from_json(json: &Value, schema: &KeySchema) -> Result<Self, NotAKey> {
        let text = json.to_string();
        let item = Item::from_json(&text).map_err(|error| NotAKey::Malformed(error.to_string()))?;
        if item.0.len() != schema.attributes().count() {
            return Err(schema.refused());
        }
        Self::of(&item, schema)
    }

    /// Takes key attributes whose schema is not known, as a stream record's `Keys`.
    ///
    /// # Errors
    /// Fails if an attribute is no string, number or binary.
    pub fn from_attributes(keys: &Item<'_>) -> Result<Self, NotAKey> {
        let attributes =
            keys.0.iter().map(|(name, value)| Some((Cow::Owned(name.clone().into_owned()), owned(value)?)));
        let attributes: Option<BTreeMap<_, _>> = attributes.collect();
        let attributes = attributes.ok_or_else(|| NotAKey::Malformed("a key attribute of another type".to_owned()))?;
        Ok(Self(Item(attributes)))
    }

    /// Returns the key whose item has this document id; `None` if no key gives it, or the id does not show its key.
    #[must_use]
    pub fn from_document_id(id: &DocumentId, schema: &KeySchema, partition_key: Option<&str>) -> Option<Self> {
        let mut attributes: Vec<&KeyAttribute> = schema.attributes().collect();
        attributes.sort_by(|a, b| a.name.cmp(&b.name));
        if partition_key == attributes.get(1).map(|second| second.name.as_str()) && attributes.len() == 2 {
            attributes.swap(0, 1);
        }
        let parts: Vec<String> = match attributes.len() {
            1 => vec![id.as_str().to_owned()],
            _ => {
                let (first, second) = id.as_str().split_once('|')?;
                [first, second].iter().map(|part| part.replace("%7C", "|").replace("%25", "%")).collect()
            }
        };
        let values = attributes.iter().zip(&parts);
        let values =
            values.map(|(attribute, part)| Some((Cow::Owned(attribute.name.clone()), parsed(part, attribute)?)));
        let key = Self(Item(values.collect::<Option<_>>()?));
        // Refuses spellings that no item has, and ids that were shortened.
        (key.document_id(partition_key).ok()? == *id).then_some(key)
    }

    /// Takes the key out of a document's JSON; `None` if a key attribute's field is missing or of another type.
    #[must_use]
    pub fn from_document(json: &[u8], schema: &KeySchema) -> Option<Self> {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(json).ok()?;
        let value = |attribute: &KeyAttribute| {
            let raw = fields.get(field_name(&attribute.name, Level::Top).as_ref())?.get();
            let text = || serde_json::from_str::<String>(raw).ok();
            Some(match attribute.kind {
                KeyType::String => AttributeValue::String(Cow::Owned(text()?)),
                KeyType::Number => AttributeValue::Number(Number::parse(raw).ok()?),
                KeyType::Binary => AttributeValue::Binary(BASE64_STANDARD.decode(text()?).ok()?),
            })
        };
        let values = schema.attributes().map(|one| Some((Cow::Owned(one.name.clone()), value(one)?)));
        Some(Self(Item(values.collect::<Option<_>>()?)))
    }

    /// Returns the id of the item's document.
    ///
    /// # Errors
    /// As [`DocumentId::from_keys`].
    pub fn document_id(&self, partition_key: Option<&str>) -> Result<DocumentId, KeyError> {
        DocumentId::from_keys(&self.0, partition_key)
    }

    /// Returns the key in DynamoDB JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let value = |value: &AttributeValue<'_>| match value {
            AttributeValue::Number(number) => json!({"N": number.to_string()}),
            AttributeValue::Binary(bytes) => json!({"B": BASE64_STANDARD.encode(bytes)}),
            AttributeValue::String(text) => json!({"S": text}),
            _ => Value::Null,
        };
        Value::Object(self.0.0.iter().map(|(name, one)| (name.clone().into_owned(), value(one))).collect::<Map<_, _>>())
    }

    /// Returns the key attributes by name.
    #[must_use]
    pub fn attributes(&self) -> &Item<'static> {
        &self.0
    }
}

/// Copies a value that can be a key; `None` for other types.
pub(super) fn owned(value: &AttributeValue<'_>) -> Option<AttributeValue<'static>> {
    match value {
        AttributeValue::String(_) | AttributeValue::Number(_) | AttributeValue::Binary(_) => {
            Some(value.clone().into_owned())
        }
        _ => None,
    }
}

fn parsed(part: &str, attribute: &KeyAttribute) -> Option<AttributeValue<'static>> {
    Some(match attribute.kind {
        KeyType::String => AttributeValue::String(Cow::Owned(part.to_owned())),
        KeyType::Number => AttributeValue::Number(Number::parse(part).ok()?),
        KeyType::Binary => AttributeValue::Binary(BASE64_URL_SAFE_NO_PAD.decode(part).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schema(partition: (&str, KeyType), sort: Option<(&str, KeyType)>) -> KeySchema {
        let attribute = |(name, kind): (&str, KeyType)| KeyAttribute { name: name.to_owned(), kind };
        let table_arn = "arn:aws:dynamodb:eu-central-1:1:table/T".to_owned();
        KeySchema { table_arn, partition: attribute(partition), sort: sort.map(attribute) }
    }

    fn value() -> impl Strategy<Value = (KeyType, AttributeValue<'static>)> {
        prop_oneof![
            "[a-c|%~ ü]{1,6}".prop_map(|text| (KeyType::String, AttributeValue::String(text.into()))),
            any::<i64>().prop_map(|n| {
                (KeyType::Number, AttributeValue::Number(Number::parse(&n.to_string()).expect("a number")))
            }),
            proptest::collection::vec(any::<u8>(), 1..6)
                .prop_map(|bytes| (KeyType::Binary, AttributeValue::Binary(bytes))),
        ]
    }

    proptest! {
        #[test]
        fn a_key_is_found_again_from_its_id_its_document_and_its_json(
            partition in value(), sort in proptest::option::of(value()), named in any::<bool>(), swapped in any::<bool>(),
        ) {
            let (first, second) = if swapped { ("z", "a") } else { ("a", "z") };
            let schema = schema((first, partition.0), sort.as_ref().map(|(kind, _)| (second, *kind)));
            let mut item = BTreeMap::from([(Cow::Borrowed(first), partition.1)]);
            item.extend(sort.map(|(_, value)| (Cow::Borrowed(second), value)));
            let item = Item(item);
            let key = Key::of(&item, &schema).expect("a key");
            let partition_key = named.then_some(first);
            let id = key.document_id(partition_key).expect("an id");
            prop_assert_eq!(Key::from_document_id(&id, &schema, partition_key), Some(key.clone()));
            let document = crate::document::Document::from_item(&item);
            prop_assert_eq!(Key::from_document(document.as_bytes(), &schema), Some(key.clone()));
            prop_assert_eq!(Key::from_json(&key.to_json(), &schema), Ok(key));
        }
    }

    #[test]
    fn an_id_that_no_key_gives_is_refused() {
        let id = |text: &str| DocumentId::from_stored(text.to_owned());
        let number = schema(("n", KeyType::Number), None);
        assert_eq!(Key::from_document_id(&id("1.0"), &number, None), None, "the id of 1.0 is `1`");
        assert_eq!(Key::from_document_id(&id("one"), &number, None), None);
        let pair = schema(("a", KeyType::String), Some(("b", KeyType::String)));
        for odd in ["a", "a|", "a|b|c", "a%41|b"] {
            assert_eq!(Key::from_document_id(&id(odd), &pair, None), None, "{odd}");
        }
        let long = Key::from_json(&json!({"n": {"S": "x".repeat(600)}}), &schema(("n", KeyType::String), None));
        let long = long.expect("a key").document_id(None).expect("an id");
        assert_eq!(Key::from_document_id(&long, &schema(("n", KeyType::String), None), None), None, "it is a hash");
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_is_expected() {
        let pair = schema(("a", KeyType::String), Some(("b", KeyType::Number)));
        for odd in [json!({}), json!({"a": {"S": "x"}}), json!({"a": {"S": "x"}, "b": {"S": "1"}}), json!({"a": "x"})] {
            let error = Key::from_json(&odd, &pair).expect_err("no key").to_string();
            assert!(error.contains("DynamoDB JSON"), "{error}");
        }
        let more = json!({"a": {"S": "x"}, "b": {"N": "1"}, "c": {"N": "1"}});
        assert!(Key::from_json(&more, &pair).expect_err("no key").to_string().contains("`b` (N)"));
    }
}
