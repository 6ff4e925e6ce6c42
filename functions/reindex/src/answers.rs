//! Two answers to the same search, compared. Pure.
//!
//! Totals, aggregations and suggestions must be the same; sums of doubles may differ in their last digits. Hits are
//! compared by document id: in the order of the search's `sort`, where documents with equal sort values may stand in
//! any order. Without a `sort`, the hits are compared if all of them are in the answer. Scores depend on how an index
//! was built, so the first hits by score may differ.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Limit for a value in a difference, in bytes.
const MAX_VALUE_BYTES: usize = 200;
/// Relative difference up to which two sums are equal: doubles are added in another order.
const EPSILON: f64 = 1e-9;

/// A difference between two answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Number of the search in the request, from 1 on.
    pub search: usize,
    /// Path in the answer.
    pub path: String,
    /// Value in the old index.
    pub old: String,
    /// Value in the new index.
    pub new: String,
}

/// Compares two answers to one search.
#[must_use]
pub fn compare(search: usize, old: &Value, new: &Value) -> Vec<Difference> {
    let mut found = Found { search, differences: Vec::new() };
    if old.get("error").is_some() || new.get("error").is_some() {
        // A search that fails on both proves nothing.
        let reason = |answer: &Value| answer.get("error").map_or_else(|| "answered".to_owned(), reason);
        found.differences.push(Difference { search, path: "error".to_owned(), old: reason(old), new: reason(new) });
        return found.differences;
    }
    found.values("hits.total", &old["hits"]["total"]["value"], &new["hits"]["total"]["value"]);
    found.hits(&old["hits"], &new["hits"]);
    for member in ["aggregations", "suggest"] {
        found.values(member, &old[member], &new[member]);
    }
    found.differences
}

/// Differences of one search.
struct Found {
    search: usize,
    differences: Vec<Difference>,
}

impl Found {
    fn note(&mut self, path: &str, old: &Value, new: &Value) {
        let (old, new) = (cut(old.to_string()), cut(new.to_string()));
        self.differences.push(Difference { search: self.search, path: path.to_owned(), old, new });
    }

    /// Compares values member by member.
    fn values(&mut self, path: &str, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for name in names {
                    let missing = Value::Null;
                    let (old, new) = (old.get(name).unwrap_or(&missing), new.get(name).unwrap_or(&missing));
                    self.values(&format!("{path}.{name}"), old, new);
                }
            }
            (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
                for (at, (old, new)) in old.iter().zip(new).enumerate() {
                    self.values(&format!("{path}[{at}]"), old, new);
                }
            }
            (Value::Number(one), Value::Number(other)) if are_close(one.as_f64(), other.as_f64()) => {}
            (old, new) if old == new => {}
            (old, new) => self.note(path, old, new),
        }
    }

    fn hits(&mut self, old: &Value, new: &Value) {
        let (old_hits, new_hits) = (hits(old), hits(new));
        let total = |hits: &Value| hits["total"]["value"].as_u64().unwrap_or(0);
        let is_whole = total(old) <= old_hits.len() as u64 && total(new) <= new_hits.len() as u64;
        let is_sorted = old_hits.iter().chain(&new_hits).all(|hit| hit.get("sort").is_some());
        if !is_whole && !is_sorted {
            return;
        }
        let sorts = |hits: &[&Value]| Value::Array(hits.iter().map(|hit| hit["sort"].clone()).collect());
        let before = self.differences.len();
        self.values("hits.hits.sort", &sorts(&old_hits), &sorts(&new_hits));
        if self.differences.len() > before {
            return;
        }
        let same_sort = |one: &&Value, other: &&Value| !is_sorted || one["sort"] == other["sort"];
        let (old_runs, new_runs) = (old_hits.chunk_by(same_sort), new_hits.chunk_by(same_sort));
        let mut runs = old_runs.zip(new_runs).peekable();
        while let Some((old, new)) = runs.next() {
            // The last run may be cut anywhere.
            if runs.peek().is_none() && !is_whole {
                return;
            }
            let (old, new) = (ids(old), ids(new));
            if old != new {
                let only = |ids: &BTreeSet<&str>, others: &BTreeSet<&str>| {
                    Value::from(ids.difference(others).copied().map(Value::from).collect::<Vec<_>>())
                };
                self.note("hits.hits._id", &only(&old, &new), &only(&new, &old));
                return;
            }
        }
    }
}

fn hits(hits: &Value) -> Vec<&Value> {
    hits["hits"].as_array().into_iter().flatten().collect()
}

fn ids<'v>(hits: &[&'v Value]) -> BTreeSet<&'v str> {
    hits.iter().filter_map(|hit| hit["_id"].as_str()).collect()
}

fn reason(error: &Value) -> String {
    let words = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    cut(format!("{}: {}", words("type"), words("reason")))
}

fn are_close(one: Option<f64>, other: Option<f64>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    one == other || (one - other).abs() <= EPSILON * one.abs().max(other.abs())
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_VALUE_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(total: u64, hits: &[(&str, Option<u64>)]) -> Value {
        let hit = |(id, sort): &(&str, Option<u64>)| match sort {
            Some(sort) => json!({"_id": id, "_index": id, "sort": [sort]}),
            None => json!({"_id": id, "_score": id.len()}),
        };
        let hits: Vec<Value> = hits.iter().map(hit).collect();
        json!({"took": total, "hits": {"total": {"value": total, "relation": "eq"}, "hits": hits}})
    }

    fn paths(old: &Value, new: &Value) -> Vec<String> {
        compare(1, old, new).into_iter().map(|difference| difference.path).collect()
    }

    #[test]
    fn the_same_hits_in_another_order_of_equal_sorts_are_equal() {
        let old = answer(3, &[("a", Some(1)), ("b", Some(1)), ("c", Some(2))]);
        assert_eq!(paths(&old, &answer(3, &[("b", Some(1)), ("a", Some(1)), ("c", Some(2))])), [""; 0]);
        assert_eq!(paths(&old, &answer(3, &[("a", Some(1)), ("x", Some(1)), ("c", Some(2))])), ["hits.hits._id"]);
        assert_eq!(paths(&old, &answer(3, &[("a", Some(1)), ("b", Some(2)), ("c", Some(2))])).len(), 1);
        // Without a sort, scores decide the order.
        assert_eq!(paths(&answer(2, &[("a", None), ("b", None)]), &answer(2, &[("b", None), ("a", None)])), [""; 0]);
        assert_eq!(paths(&answer(1, &[("a", None)]), &answer(1, &[("b", None)])), ["hits.hits._id"]);
    }

    #[test]
    fn the_last_equal_sorts_of_a_page_may_be_cut_anywhere() {
        let old = answer(9, &[("a", Some(1)), ("b", Some(2))]);
        assert_eq!(paths(&old, &answer(9, &[("a", Some(1)), ("c", Some(2))])), [""; 0]);
        assert_eq!(paths(&old, &answer(9, &[("x", Some(1)), ("b", Some(2))])), ["hits.hits._id"]);
        assert_eq!(paths(&old, &answer(8, &[("a", Some(1)), ("b", Some(2))])), ["hits.total"]);
        assert_eq!(paths(&answer(9, &[("a", None)]), &answer(9, &[("b", None)])), [""; 0], "the best of many");
    }

    #[test]
    fn aggregations_are_compared_member_by_member() {
        let with = |sum: f64, kind: &str| {
            let mut answer = answer(0, &[]);
            answer["aggregations"] = json!({"sum": {"value": sum}, "kinds": {"buckets": [{"key": kind}]}});
            answer
        };
        assert_eq!(paths(&with(0.3, "a"), &with(0.1 + 0.2, "a")), [""; 0]);
        let difference = &compare(7, &with(1.0, "a"), &with(1.0, "b"))[0];
        assert_eq!((difference.search, difference.path.as_str()), (7, "aggregations.kinds.buckets[0].key"));
        assert_eq!((difference.old.as_str(), difference.new.as_str()), ("\"a\"", "\"b\""));
        assert_eq!(paths(&with(1.0, "a"), &with(2.0, "a")), ["aggregations.sum.value"]);
        assert_eq!(paths(&with(1.0, "a"), &answer(0, &[])), ["aggregations"]);
    }

    #[test]
    fn a_search_that_fails_proves_nothing() {
        let error = json!({"error": {"type": "illegal_argument_exception", "reason": "no"}, "status": 400});
        assert_eq!(paths(&error, &error), ["error"]);
        assert_eq!(compare(1, &answer(0, &[]), &error)[0].new, "illegal_argument_exception: no");
    }
}
