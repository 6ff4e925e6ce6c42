//! `to_entries` and `from_entries`, and with them `with_entries`: an object as an array of names and values.

use jaq_core::{Error as JqError, ValT as _};
use jaq_json::Val;

use super::kind::Kind;
use super::value::{Error, Result, Value, sample};

/// Names that jq takes for the key of an entry, and for its value.
const KEYS: [&str; 6] = ["key", "k", "name", "Name", "Key", "K"];
const VALUES: [&str; 5] = ["value", "v", "Value", "V", "val"];

fn named(name: &'static str) -> Value {
    Value::leaf(Val::utf8_str(name))
}

/// Returns the members of an object in its order, each as `{key, value}`.
pub(super) fn of_object(object: Value) -> Result {
    if object.kind() != Kind::Object {
        return Err(JqError::typ(sample(object.kind()), "object"));
    }
    let entry = |member: Result<_>| {
        let (key, value) = member?;
        Value::from_map([(named(KEYS[0]), key), (named(VALUES[0]), value)])
    };
    object.key_values().map(entry).collect()
}

/// Returns the object of an array of entries. A later entry replaces an earlier one with its key.
pub(super) fn to_object(entries: Value) -> Result {
    let member = |entry: Result| {
        let entry = entry?;
        let key = first(&entry, &KEYS)?;
        let key = match key.val {
            Val::TStr(_) => key,
            Val::Null | Val::Bool(_) | Val::Num(_) => key.into_string(),
            _ => return Err(JqError::typ(sample(key.kind()), "name of an object's member")),
        };
        Ok((key, first(&entry, &VALUES)?))
    };
    Value::from_map(entries.values().map(member).collect::<std::result::Result<Vec<_>, Error>>()?)
}

/// Returns the first of these members that there is and that is not null.
fn first(entry: &Value, names: &[&'static str]) -> Result {
    for name in names {
        let found = entry.clone().index(&named(name))?;
        if found.kind() != Kind::Null {
            return Ok(found);
        }
    }
    Ok(Value::default())
}
