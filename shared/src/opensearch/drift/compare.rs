//! Comparison of a definition with the description of a live index.

use serde_json::{Map, Value, json};

use super::super::definition::IndexDefinition;
use super::super::flat_settings::flat_settings;
use super::defaults::{is_default, is_same, is_telling, root_default, type_of};

/// Settings that an open index never changes; those below them, too.
const STATIC: [&str; 13] = [
    "index.analysis",
    "index.codec",
    "index.composite_index",
    "index.knn",
    "index.mode",
    "index.number_of_routing_shards",
    "index.number_of_shards",
    "index.replication",
    "index.routing_partition_size",
    "index.similarity",
    "index.soft_deletes",
    "index.sort",
    "index.store",
];
/// Members of a mapping that may change at any time. They concern fields to come.
const RULES: [&str; 5] =
    ["date_detection", "dynamic", "dynamic_date_formats", "dynamic_templates", "numeric_detection"];

type Members = Map<String, Value>;

/// Result of a comparison: paths, and the changes that make the applicable ones true.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Comparison {
    pub(super) applicable: Vec<String>,
    pub(super) needs_reindex: Vec<String>,
    /// Body of a change of the mapping.
    pub(super) mappings: Members,
    /// Body of a change of the settings.
    pub(super) settings: Members,
}

/// Compares a definition with `mappings` and `settings` of a live index. What only the live index has is passed over,
/// but for rules and members of fields that change what searches find.
pub(super) fn compare(definition: &IndexDefinition, live: &Value) -> Comparison {
    let mut found = Comparison::default();
    let empty = Members::new();
    let wanted = definition.mappings().as_object().unwrap_or(&empty);
    let mapped = live["mappings"].as_object().unwrap_or(&empty);
    found.compare_rules(wanted, mapped);
    let properties = properties_of(wanted, true);
    let patch = found.compare_properties("", &properties, mapped, is_open(mapped));
    if !patch.is_empty() {
        found.mappings.insert("properties".to_owned(), patch.into());
    }
    found.compare_settings(definition, &live["settings"]);
    found
}

impl Comparison {
    /// Compares the members of the mapping itself.
    fn compare_rules(&mut self, wanted: &Members, live: &Members) {
        for (member, value) in wanted.iter().filter(|(member, _)| !matches!(member.as_str(), "properties" | "_meta")) {
            let default = root_default(member);
            if live.get(member).or(default.as_ref()).is_some_and(|live| is_same(value, live)) {
                continue;
            }
            if RULES.contains(&member.as_str()) {
                self.applicable.push(member.clone());
                self.mappings.insert(member.clone(), value.clone());
            } else {
                self.needs_reindex.push(member.clone());
            }
        }
        for member in RULES.iter().filter(|member| !wanted.contains_key(**member)) {
            let (Some(live), Some(default)) = (live.get(*member), root_default(member)) else { continue };
            if !is_same(live, &default) {
                self.applicable.push((*member).to_owned());
                self.mappings.insert((*member).to_owned(), default);
            }
        }
    }

    /// Compares the fields of an object. Returns the change that adds what is missing. `is_open`: the object maps what
    /// it has not seen, so a field that is not mapped stands in no document.
    fn compare_properties(&mut self, parent: &str, wanted: &Members, live: &Members, is_open: bool) -> Members {
        let mut patch = Members::new();
        let empty = Members::new();
        let mapped = live.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        for (name, wanted) in wanted {
            let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
            let Some(wanted) = wanted.as_object() else { continue };
            match mapped.get(name).and_then(Value::as_object) {
                Some(live) => {
                    let change = self.compare_field(&path, wanted, live, is_open);
                    if !change.is_empty() {
                        patch.insert(name.clone(), change.into());
                    }
                }
                None if is_open => {
                    self.applicable.push(path);
                    patch.insert(name.clone(), Value::Object(wanted.clone()));
                }
                None => self.needs_reindex.push(path),
            }
        }
        patch
    }

    fn compare_field(&mut self, path: &str, wanted: &Members, live: &Members, is_open: bool) -> Members {
        let kind = type_of(wanted);
        let mut patch = Members::new();
        if kind != type_of(live) {
            self.needs_reindex.push(format!("{path} (type)"));
            return patch;
        }
        let is_object = matches!(kind, "object" | "nested");
        for (member, value) in wanted {
            let is_same = match live.get(member) {
                Some(live) => is_same(value, live),
                None => is_default(kind, member, value),
            };
            match member.as_str() {
                "type" | "properties" | "fields" => {}
                _ if is_same => {}
                "dynamic" if is_object => {
                    self.applicable.push(format!("{path} (dynamic)"));
                    patch.insert("dynamic".to_owned(), value.clone());
                }
                _ => self.needs_reindex.push(format!("{path} ({member})")),
            }
        }
        for (member, value) in live.iter().filter(|(member, _)| !wanted.contains_key(*member)) {
            if is_telling(member) && !is_default(kind, member, value) {
                self.needs_reindex.push(format!("{path} ({member})"));
            }
        }
        if is_object {
            let properties = properties_of(wanted, false);
            let is_open = live.get("dynamic").map_or(is_open, |_| self::is_open(live))
                && live.get("enabled").is_none_or(|enabled| !is_same(enabled, &json!(false)));
            let change = self.compare_properties(path, &properties, live, is_open);
            if !change.is_empty() {
                patch.insert("properties".to_owned(), change.into());
            }
        }
        if !patch.is_empty() && kind != "object" {
            patch.insert("type".to_owned(), kind.into());
        }
        self.compare_sub_fields(path, wanted, live);
        patch
    }

    /// Compares sub-fields. A new one would have the values of no document that stands in the index.
    fn compare_sub_fields(&mut self, path: &str, wanted: &Members, live: &Members) {
        let empty = Members::new();
        let mapped = live.get("fields").and_then(Value::as_object).unwrap_or(&empty);
        for (name, wanted) in wanted.get("fields").and_then(Value::as_object).unwrap_or(&empty) {
            let path = format!("{path}.{name}");
            match (wanted.as_object(), mapped.get(name).and_then(Value::as_object)) {
                (Some(wanted), Some(live)) => drop(self.compare_field(&path, wanted, live, true)),
                (Some(_), None) => self.needs_reindex.push(path),
                (None, _) => {}
            }
        }
    }

    fn compare_settings(&mut self, definition: &IndexDefinition, live: &Value) {
        let live = flat_settings(live);
        for (name, value) in definition.flat_settings() {
            if live.get(&name).is_some_and(|live| is_same(&value, live)) {
                continue;
            }
            let is_static = |start: &str| name == start || name.starts_with(&format!("{start}."));
            if STATIC.into_iter().any(is_static) {
                self.needs_reindex.push(name);
            } else {
                self.applicable.push(name.clone());
                self.settings.insert(name, value);
            }
        }
    }
}

/// Returns `true` if an object maps fields that it has not seen, or refuses documents that have them.
fn is_open(object: &Members) -> bool {
    object.get("dynamic").is_none_or(|dynamic| !is_same(dynamic, &json!(false)))
}

/// Returns the properties of an object, with `a.b` as `b` of the object `a`, as engines read it.
fn properties_of(object: &Members, is_root: bool) -> Members {
    let mut expanded = Members::new();
    for (name, field) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if is_root && name == "_driftless" {
            continue;
        }
        match name.split_once('.') {
            Some((parent, rest)) => {
                let parent = expanded.entry(parent).or_insert_with(|| json!({}));
                parent["properties"][rest] = field.clone();
            }
            None => merge(expanded.entry(name.clone()).or_insert_with(|| json!({})), field),
        }
    }
    expanded
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.iter().for_each(|(name, value)| merge(into.entry(name.clone()).or_insert(Value::Null), value));
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests;
