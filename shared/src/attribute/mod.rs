//! DynamoDB's attribute values, parsed from the JSON of DynamoDB and Lambda.
//!
//! Strings without escapes are borrowed from the record. Binary is decoded, so that bad base64 is found here and has
//! one spelling afterwards. Numbers are exact. Attributes are kept in the order of their names, so that a document's
//! bytes depend on the item alone.
//!
//! `aws_lambda_events` is not used for images. There an absent image looks like an empty one, and one malformed record
//! fails its whole batch.

mod diagnose;
mod parse;
#[cfg(feature = "aws-sdk-dynamodb")]
mod sdk;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::number::Number;

pub use diagnose::MalformedItem;

/// An item, or the value of a map attribute: attribute values by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item<'a>(pub BTreeMap<Cow<'a, str>, AttributeValue<'a>>);

/// Value of any of DynamoDB's ten types.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue<'a> {
    /// `S`: a UTF-8 string.
    String(Cow<'a, str>),
    /// `N`: an exact decimal.
    Number(Number),
    /// `B`: a byte string.
    Binary(Vec<u8>),
    /// `BOOL`: true or false.
    Bool(bool),
    /// `NULL`: the null value.
    Null,
    /// `M`: values by name.
    Map(Item<'a>),
    /// `L`: values in order.
    List(Vec<AttributeValue<'a>>),
    /// `SS`: a set of strings, in no order of its own.
    StringSet(Vec<Cow<'a, str>>),
    /// `NS`: a set of numbers, in no order of its own.
    NumberSet(Vec<Number>),
    /// `BS`: a set of byte strings, in no order of its own.
    BinarySet(Vec<Vec<u8>>),
}

impl Item<'_> {
    /// Copies what the item borrows.
    #[must_use]
    pub fn into_owned(self) -> Item<'static> {
        Item(self.0.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect())
    }
}

impl AttributeValue<'_> {
    /// Copies what the value borrows.
    #[must_use]
    pub fn into_owned(self) -> AttributeValue<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::String(text) => AttributeValue::String(owned(text)),
            Self::Number(number) => AttributeValue::Number(number),
            Self::Binary(bytes) => AttributeValue::Binary(bytes),
            Self::Bool(truth) => AttributeValue::Bool(truth),
            Self::Null => AttributeValue::Null,
            Self::Map(item) => AttributeValue::Map(item.into_owned()),
            Self::List(values) => AttributeValue::List(values.into_iter().map(AttributeValue::into_owned).collect()),
            Self::StringSet(set) => AttributeValue::StringSet(set.into_iter().map(owned).collect()),
            Self::NumberSet(set) => AttributeValue::NumberSet(set),
            Self::BinarySet(set) => AttributeValue::BinarySet(set),
        }
    }
}

impl<'a> Item<'a> {
    /// Parses DynamoDB JSON: `{"name":{"S":"…"},"count":{"N":"1"}}`.
    ///
    /// # Errors
    /// Names the first attribute without a valid type, and the shape that was found.
    pub fn from_json(json: &'a str) -> Result<Self, MalformedItem> {
        serde_json::from_str(json).map_err(|error| diagnose::item(json, &error))
    }
}
