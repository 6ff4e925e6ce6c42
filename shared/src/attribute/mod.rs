//! DynamoDB's attribute values, read from the JSON in which DynamoDB and Lambda send them.
//!
//! Strings are borrowed from the record where they hold no escapes; binary is decoded (so that bad base64 is
//! found here and has one spelling afterwards); numbers are exact. Attributes are kept by name in order, which
//! makes a document's bytes a function of the item alone.
//!
//! `aws_lambda_events` is not used for images: there an absent image looks like an empty one, and one malformed
//! record fails the parse of its whole batch.

mod diagnose;
mod parse;
#[cfg(feature = "aws-sdk-dynamodb")]
mod sdk;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::number::Number;

/// An item, or the value of a map attribute: attribute values by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item<'a>(pub BTreeMap<Cow<'a, str>, AttributeValue<'a>>);

/// One value of any of DynamoDB's ten types.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue<'a> {
    /// `S`: a string.
    String(Cow<'a, str>),
    /// `N`: an exact decimal.
    Number(Number),
    /// `B`: bytes.
    Binary(Vec<u8>),
    /// `BOOL`.
    Bool(bool),
    /// `NULL`.
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

/// What is wrong with an item's JSON: where, and which shape was found. Holds no attribute's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct MalformedItem {
    /// Attribute path, such as `address.lines[2]`; empty for the item itself.
    pub path: String,
    /// What was expected, and the shape that was found instead.
    pub problem: String,
}

impl<'a> Item<'a> {
    /// Reads DynamoDB JSON: `{"name":{"S":"…"},"count":{"N":"1"}}`.
    ///
    /// # Errors
    /// Names the first attribute that has no valid type, and what stands there.
    pub fn from_json(json: &'a str) -> Result<Self, MalformedItem> {
        serde_json::from_str(json).map_err(|error| diagnose::item(json, &error))
    }
}
