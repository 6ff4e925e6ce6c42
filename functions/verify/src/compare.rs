//! An item and a document, compared byte for byte. Pure.

use std::collections::{BTreeMap, BTreeSet};

use driftless::document::Document;
use driftless::target::{StoredBody, StoredDocument};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Limit for the listed fields of one document.
const MAX_PATHS: usize = 10;
/// Limit for a path, in bytes: names have up to 64 KB.
const MAX_PATH_BYTES: usize = 256;
/// Nesting down to which differences are named.
const MAX_DEPTH: usize = 8;

/// DifferenceKind of a difference between an item and its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The item has no document.
    Missing,
    /// The document has the form that driftless writes, and is not what the item gives: an older state, or a foreign
    /// change that kept the form.
    Stale,
    /// The document has another form: a foreign writer made or changed it.
    Different,
    /// A tombstone stands where an item lives.
    Tombstone,
    /// The document has no item.
    Orphaned,
    /// The document is that of another item, whose key gives the same id.
    OtherItem,
}

/// Compares what an item gives with what is stored; `None` if both are equal. A tombstone equals a missing item. The
/// document of an expired item is stale where an item lives: `purge` would remove it.
#[must_use]
pub fn difference(expected: Option<&Document>, stored: Option<&StoredDocument>) -> Option<DifferenceKind> {
    let is_expired = stored.is_some_and(|stored| stored.state.expired_at.is_some());
    match (expected, stored.map(|stored| &stored.body)) {
        (None, None | Some(StoredBody::Tombstone)) => None,
        (None, Some(_)) => Some(DifferenceKind::Orphaned),
        (Some(_), None) => Some(DifferenceKind::Missing),
        (Some(_), Some(StoredBody::Tombstone)) => Some(DifferenceKind::Tombstone),
        (Some(expected), Some(StoredBody::Document(bytes))) => {
            (is_expired || expected.as_bytes() != bytes.as_slice()).then_some(DifferenceKind::Stale)
        }
        (Some(_), Some(StoredBody::Foreign(_))) => Some(DifferenceKind::Different),
    }
}

/// Returns the paths of fields that differ, never values. Empty if all fields are the same, in another form.
#[must_use]
pub fn paths(expected: Option<&Document>, stored: Option<&StoredBody>) -> Vec<String> {
    let (Some(expected), Some(StoredBody::Document(stored) | StoredBody::Foreign(stored))) = (expected, stored) else {
        return Vec::new();
    };
    paths_between(expected.as_bytes(), stored)
}

/// Returns the paths of fields that differ between two JSON objects, `_driftless` aside.
#[must_use]
pub fn paths_between(expected: &[u8], stored: &[u8]) -> Vec<String> {
    let mut paths = Vec::new();
    let fields = |json: &[u8]| std::str::from_utf8(json).ok().and_then(object).map(own);
    if let (Some(mut expected), Some(mut stored)) = (fields(expected), fields(stored)) {
        expected.remove("_driftless");
        stored.remove("_driftless");
        note(&expected, &stored, "", 0, &mut paths);
    }
    paths
}

type Fields = BTreeMap<String, Box<RawValue>>;

fn object(json: &str) -> Option<BTreeMap<String, &RawValue>> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}

fn own(fields: BTreeMap<String, &RawValue>) -> Fields {
    fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

fn note(expected: &Fields, stored: &Fields, parent: &str, depth: usize, paths: &mut Vec<String>) {
    let names: BTreeSet<&String> = expected.keys().chain(stored.keys()).collect();
    for name in names {
        if paths.len() >= MAX_PATHS {
            return;
        }
        let (expected, stored) = (expected.get(name).map(|raw| raw.get()), stored.get(name).map(|raw| raw.get()));
        if expected == stored {
            continue;
        }
        let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
        match (expected.and_then(object), stored.and_then(object)) {
            (Some(expected), Some(stored)) if depth < MAX_DEPTH => {
                let before = paths.len();
                note(&own(expected), &own(stored), &path, depth + 1, paths);
                if paths.len() == before {
                    paths.push(cut(path));
                }
            }
            _ => paths.push(cut(path)),
        }
    }
}

fn cut(mut path: String) -> String {
    path.truncate(path.floor_char_boundary(MAX_PATH_BYTES));
    path
}

#[cfg(test)]
mod tests {
    use driftless::attribute::Item;
    use driftless::target::{Position, StoredState};
    use driftless::time::Timestamp;

    use super::*;

    fn document(item: &str) -> Document {
        Document::from_item(&Item::from_json(item).expect("an item"))
    }

    #[test]
    fn every_kind_is_told_apart() {
        let item = document(r#"{"n":{"N":"1"}}"#);
        let stored = |body: StoredBody, expired_at| StoredDocument {
            state: StoredState {
                version: None,
                event_time: None,
                written_at: None,
                read_at: None,
                expired_at,
                key: None,
                deleted: body == StoredBody::Tombstone,
                position: Position { seq_no: 1, primary_term: 1 },
            },
            body,
        };
        let ours = |json: &str| stored(StoredBody::Document(json.as_bytes().to_vec()), None);
        let foreign = stored(StoredBody::Foreign(br#"{"n":1}"#.to_vec()), None);
        let tombstone = stored(StoredBody::Tombstone, None);
        let expired = stored(StoredBody::Document(br#"{"n":1}"#.to_vec()), Some(Timestamp::from_millis(1)));
        assert_eq!(difference(Some(&item), Some(&expired)), Some(DifferenceKind::Stale), "an item lives there again");
        assert_eq!(difference(None, Some(&expired)), Some(DifferenceKind::Orphaned));
        assert_eq!(difference(Some(&item), Some(&ours(r#"{"n":1}"#))), None);
        assert_eq!(difference(Some(&item), Some(&ours(r#"{"n":1.0}"#))), Some(DifferenceKind::Stale), "byte for byte");
        assert_eq!(difference(Some(&item), Some(&foreign)), Some(DifferenceKind::Different));
        assert_eq!(difference(Some(&item), Some(&tombstone)), Some(DifferenceKind::Tombstone));
        assert_eq!(difference(Some(&item), None), Some(DifferenceKind::Missing));
        assert_eq!(difference(None, Some(&ours("{}"))), Some(DifferenceKind::Orphaned));
        assert_eq!(difference(None, Some(&foreign)), Some(DifferenceKind::Orphaned));
        assert_eq!(difference(None, Some(&tombstone)), None);
        assert_eq!(difference(None, None), None);
    }

    #[test]
    fn differing_fields_are_named_and_their_values_are_not() {
        let item = document(r#"{"a":{"S":"secret"},"m":{"M":{"x":{"N":"1"},"y":{"N":"2"}}},"z":{"N":"3"}}"#);
        let stored = br#"{"_driftless":{"version":"v"},"a":"other","m":{"x":1,"y":3},"new":1,"z":3}"#;
        let paths = paths(Some(&item), Some(&StoredBody::Foreign(stored.to_vec())));
        assert_eq!(paths, ["a", "m.y", "new"]);
    }

    #[test]
    fn the_same_fields_in_another_form_have_no_path() {
        let item = document(r#"{"a":{"S":"x"},"b":{"N":"2"}}"#);
        let stored = br#"{"b":2,"a":"x","_driftless":{"version":"v"}}"#;
        assert_eq!(paths(Some(&item), Some(&StoredBody::Foreign(stored.to_vec()))), [""; 0]);
    }

    #[test]
    fn the_list_of_fields_is_bounded() {
        let wide: Vec<String> = (0..50).map(|n| format!(r#""f{n}":{{"N":"1"}}"#)).collect();
        let item = document(&format!("{{{}}}", wide.join(",")));
        assert_eq!(paths(Some(&item), Some(&StoredBody::Document(b"{}".to_vec()))).len(), MAX_PATHS);
    }
}
