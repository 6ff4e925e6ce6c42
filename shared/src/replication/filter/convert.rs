//! Item → jq value, and jq value → document.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jaq_json::{Map, Num, Rc, Val};
use jaq_std::ValT as _;

use super::kind::Kind;
use super::value::Value;
use crate::attribute::{AttributeValue, Item};
use crate::document::{Document, sorted, write_string};
use crate::field::{Level, field_name};
use crate::number::Number;

/// Levels of objects and arrays in a document: an item with DynamoDB's 32 levels, the last of which may be a set.
const LEVELS: usize = 33;

/// Reason why a value is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDocument {
    /// The value is of another type.
    #[error("{0}, where a document must be an object")]
    NoObject(&'static str),
    /// The value nests deeper than an item can.
    #[error("a document of more than 32 levels")]
    TooDeep,
    /// A number has no decimal form.
    #[error("a number that is infinite, not a number, or out of range")]
    NoDecimal,
    /// A field's name is no text.
    #[error("an object with a name of type {0}")]
    NoName(&'static str),
    /// A string is no text.
    #[error("a string that is no Unicode text")]
    NoText,
}

/// Converts an item, with attribute names as they are.
pub(super) fn from_item(item: &Item<'_>) -> Value {
    Value::measured(object(item))
}

fn object(item: &Item<'_>) -> Val {
    let members = item.0.iter().map(|(name, value)| (text(name), from_attribute(value)));
    Val::obj(members.collect::<Map>())
}

fn from_attribute(value: &AttributeValue<'_>) -> Val {
    match value {
        AttributeValue::String(content) => text(content),
        AttributeValue::Number(number) => Val::Num(from_number(number)),
        AttributeValue::Binary(bytes) => base64(bytes),
        AttributeValue::Bool(truth) => Val::Bool(*truth),
        AttributeValue::Null => Val::Null,
        AttributeValue::Map(item) => object(item),
        AttributeValue::List(values) => array(values.iter().map(from_attribute)),
        AttributeValue::StringSet(set) => array(sorted(set).into_iter().map(|content| text(content))),
        AttributeValue::NumberSet(set) => array(sorted(set).into_iter().map(|number| Val::Num(from_number(number)))),
        AttributeValue::BinarySet(set) => array(sorted(set).into_iter().map(|bytes| base64(bytes))),
    }
}

fn text(content: &str) -> Val {
    Val::utf8_str(content.to_owned())
}

fn base64(bytes: &[u8]) -> Val {
    Val::utf8_str(BASE64_STANDARD.encode(bytes))
}

fn array(members: impl Iterator<Item = Val>) -> Val {
    Val::Arr(Rc::new(members.collect()))
}

/// Keeps every digit: integers as integers of any length, all else as text.
fn from_number(number: &Number) -> Num {
    let digits = number.to_string();
    Num::from_str_radix(&digits, 10).unwrap_or_else(|| Num::Dec(Rc::new(digits)))
}

/// Converts a value to a document.
pub(super) fn to_document(value: &Value) -> Result<Document, NoDocument> {
    let Val::Obj(members) = &value.val else {
        return Err(NoDocument::NoObject(value.kind().name()));
    };
    let mut out = Vec::with_capacity(512);
    write_object(members, Level::Top, 1, &mut out)?;
    Ok(Document::from_json(out))
}

fn write_object(members: &Map, level: Level, depth: usize, out: &mut Vec<u8>) -> Result<(), NoDocument> {
    let named = members.iter().map(|(name, value)| match name {
        Val::TStr(name) => Ok((std::str::from_utf8(name).map_err(|_| NoDocument::NoText)?, value)),
        other => Err(NoDocument::NoName(Kind::of(other).name())),
    });
    let mut named = named.collect::<Result<Vec<_>, _>>()?;
    named.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (at, (name, value)) in named.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(&field_name(name, level), out);
        out.push(b':');
        write_value(value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_value(value: &Val, depth: usize, out: &mut Vec<u8>) -> Result<(), NoDocument> {
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Val::Num(number) => out.extend_from_slice(decimal(number)?.as_bytes()),
        Val::TStr(content) => write_string(std::str::from_utf8(content).map_err(|_| NoDocument::NoText)?, out),
        Val::BStr(_) => return Err(NoDocument::NoText),
        Val::Arr(_) | Val::Obj(_) if depth >= LEVELS => return Err(NoDocument::TooDeep),
        Val::Arr(members) => {
            out.push(b'[');
            for (at, member) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(member, depth + 1, out)?;
            }
            out.push(b']');
        }
        Val::Obj(members) => write_object(members, Level::Nested, depth + 1, out)?,
    }
    Ok(())
}

/// Returns a number's canonical text, which computed numbers get, too.
fn decimal(number: &Num) -> Result<Cow<'static, str>, NoDocument> {
    if let Num::Int(integer) = number {
        return Ok(integer.to_string().into());
    }
    // OpenSearch reads what no double can hold as infinite.
    let finite = Val::Num(number.clone()).as_f64().is_some_and(f64::is_finite);
    let exact = Number::parse(&number.to_string()).ok().filter(|_| finite);
    Ok(exact.ok_or(NoDocument::NoDecimal)?.to_string().into())
}
