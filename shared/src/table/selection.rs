//! Part of a table that one run reads: a segment of a scan, a prefix of the key, or a list of keys; and the cursor in
//! it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::key::{Key, KeyAttribute, KeySchema, KeyType, NotAKey, owned};
use crate::attribute::{AttributeValue, Item};

/// Consecutive items of a table: what a scan or a query gives page by page.
#[derive(Debug, Clone, PartialEq)]
pub enum Range {
    /// One of several parts of a whole table, which are about equal.
    Segment {
        /// Number of the segment, from 0 on.
        segment: u32,
        /// Number of all segments.
        segments: u32,
    },
    /// Items of one partition key, and of these all or those whose sort key begins with a text.
    Prefix {
        /// Name and value of the partition key.
        partition: (String, AttributeValue<'static>),
        /// Name and beginning of the sort key.
        sort: Option<(String, AttributeValue<'static>)>,
    },
}

/// Items that one run reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// Items of a range.
    Range(Range),
    /// Items of these keys.
    Keys(Vec<Key>),
}

/// Place in a selection, for the request that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cursor {
    /// Key of the last item of a range that is done, in DynamoDB JSON.
    After(Value),
    /// Number of keys that are done.
    Nth(usize),
    /// Sequence number of the index at which its listing goes on.
    SeqNo(u64),
}

/// Members of a request that select items. At most one of `keys` and `prefix` may be set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SelectionRequest {
    /// Number of the segment, from 0 on.
    pub segment: u32,
    /// Number of all segments; 0 counts as 1.
    pub segments: u32,
    /// Keys in DynamoDB JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<Value>>,
    /// Partition key, and optionally the beginning of the sort key, in DynamoDB JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Value>,
}

impl SelectionRequest {
    /// Checks what can be checked without the table.
    ///
    /// # Errors
    /// Names the wrong member.
    pub fn check(&self) -> Result<(), String> {
        const MOST_SEGMENTS: u32 = 1_000_000;
        let segments = self.segments.max(1);
        if self.segment >= segments || segments > MOST_SEGMENTS {
            return Err(format!(
                "segment is {} of {segments} segments: count from 0, to {MOST_SEGMENTS} at most",
                self.segment
            ));
        }
        if self.keys.is_some() && self.prefix.is_some() {
            return Err("keys and prefix are both set: name one of them".to_owned());
        }
        if segments > 1 && (self.keys.is_some() || self.prefix.is_some()) {
            return Err("segments is set beside keys or prefix, which are one part".to_owned());
        }
        Ok(())
    }

    /// Returns the items that are selected.
    ///
    /// # Errors
    /// Fails for keys that the table cannot have.
    pub fn select(&self, schema: &KeySchema) -> Result<Selection, NotAKey> {
        if let Some(keys) = &self.keys {
            let keys = keys.iter().map(|key| Key::from_json(key, schema)).collect::<Result<Vec<_>, _>>()?;
            let mut known = HashSet::with_capacity(keys.len());
            // As the table spells them: 1 and 1.0 are one key.
            return Ok(Selection::Keys(
                keys.into_iter().filter(|key| known.insert(key.to_json().to_string())).collect(),
            ));
        }
        Ok(Selection::Range(match &self.prefix {
            Some(prefix) => self::prefix(prefix, schema)?,
            None => Range::Segment { segment: self.segment, segments: self.segments.max(1) },
        }))
    }
}

fn prefix(json: &Value, schema: &KeySchema) -> Result<Range, NotAKey> {
    let text = json.to_string();
    let item = Item::from_json(&text).map_err(|error| NotAKey::Malformed(error.to_string()))?;
    let value = |attribute: &KeyAttribute| Some((attribute.name.clone(), owned(item.0.get(attribute.name.as_str())?)?));
    let partition = value(&schema.partition);
    // Only texts and bytes begin with something.
    let sort = schema.sort.as_ref().filter(|sort| sort.kind != KeyType::Number).and_then(value);
    match partition {
        Some(partition) if item.0.len() == 1 + usize::from(sort.is_some()) => Ok(Range::Prefix { partition, sort }),
        _ => {
            let text = "a prefix is the partition key, and optionally the beginning of a sort key of type S or B";
            Err(NotAKey::Malformed(text.to_owned()))
        }
    }
}

impl Cursor {
    /// Returns the key of a range's cursor.
    ///
    /// # Errors
    /// Fails for the cursor of a list of keys, or one of another table.
    pub fn key(&self) -> Result<Key, NotAKey> {
        let Self::After(json) = self else {
            return Err(NotAKey::Malformed("the cursor is not one of a segment or a prefix".to_owned()));
        };
        let text = json.to_string();
        let item = Item::from_json(&text).map_err(|error| NotAKey::Malformed(error.to_string()))?;
        Key::from_attributes(&item)
    }

    /// Returns the number of keys that are done.
    ///
    /// # Errors
    /// Fails for the cursor of a range.
    pub fn nth(&self) -> Result<usize, NotAKey> {
        match self {
            Self::Nth(nth) => Ok(*nth),
            _ => Err(NotAKey::Malformed("the cursor is not one of a list of keys".to_owned())),
        }
    }
}

impl Range {
    /// Returns `true` if the key belongs to this prefix; segments are DynamoDB's own.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        let Self::Prefix { partition, sort } = self else { return true };
        let value = |name: &str| key.attributes().0.get(name);
        let begins = |value: &AttributeValue<'_>, with: &AttributeValue<'_>| match (value, with) {
            (AttributeValue::String(text), AttributeValue::String(with)) => text.starts_with(with.as_ref()),
            (AttributeValue::Binary(bytes), AttributeValue::Binary(with)) => bytes.starts_with(with),
            _ => false,
        };
        value(&partition.0) == Some(&partition.1)
            && sort.as_ref().is_none_or(|(name, with)| value(name).is_some_and(|value| begins(value, with)))
    }
}

/// Returns `null` members of a request as missing ones: state machines pass them on.
#[must_use]
pub fn without_nulls(payload: Value) -> Value {
    match payload {
        Value::Null => Value::Object(Map::new()),
        Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::table::memory::schema;

    fn select(request: Value) -> Result<Selection, String> {
        let request: SelectionRequest = serde_json::from_value(request).expect("members");
        request.check()?;
        request.select(&schema()).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_selected_is_the_whole_table() {
        assert_eq!(select(json!({})), Ok(Selection::Range(Range::Segment { segment: 0, segments: 1 })));
        assert_eq!(
            select(json!({"segment": 2, "segments": 3})),
            Ok(Selection::Range(Range::Segment { segment: 2, segments: 3 }))
        );
    }

    #[test]
    fn keys_are_read_once_each() {
        let key = json!({"pk": {"S": "a"}});
        let Ok(Selection::Keys(keys)) = select(json!({"keys": [key, key, {"pk": {"S": "b"}}]})) else { panic!("keys") };
        assert_eq!(keys.iter().map(Key::to_json).collect::<Vec<_>>(), [key, json!({"pk": {"S": "b"}})]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (request, named) in [
            (json!({"segment": 1}), "segment"),
            (json!({"keys": [], "prefix": {}}), "both"),
            (json!({"keys": [], "segments": 2}), "segments"),
            (json!({"keys": [{"sk": {"S": "a"}}]}), "`pk` (S)"),
            (json!({"prefix": {"sk": {"S": "a"}}}), "partition key"),
        ] {
            let error = select(request).expect_err("refused");
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for cursor in [Cursor::Nth(3), Cursor::SeqNo(4), Cursor::After(json!({"pk": {"S": "a"}}))] {
            let json = serde_json::to_value(&cursor).expect("JSON");
            assert_eq!(serde_json::from_value::<Cursor>(json).expect("a cursor"), cursor);
        }
        assert!(Cursor::Nth(3).key().is_err() && Cursor::After(json!({})).nth().is_err());
    }
}
