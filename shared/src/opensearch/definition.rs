//! Definition of a new index: a mapping that ordinary data cannot break, or the user's own.

use serde_json::{Map, Value, json};

/// Format of `_driftless` and of document ids. An index of another format is not touched.
pub(super) const FORMAT: u64 = 2;

/// Settings and mappings of a new index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexDefinition {
    settings: Value,
    mappings: Value,
}

impl Default for IndexDefinition {
    /// Default definition. Strings are never guessed to be dates. Every number is a `double`, so that 1 then 1.5, and
    /// 38 digits, are accepted. Nesting may be as deep as DynamoDB's.
    ///
    /// Numbers have no keyword sub-field: it cost every write a tenth of the engine's rate, and few searches need more
    /// than a double's 15 digits. `docs/exact-numbers.json` is a definition that has one.
    fn default() -> Self {
        let number = json!({"type": "double"});
        // A keyword term has at most 32,766 bytes, and a character at most 4.
        let string = json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 8191}}});
        Self {
            // DynamoDB nests 32 levels. The engine counts the document as one more, and its default is 20.
            settings: json!({"index.mapping.depth.limit": 40}),
            mappings: json!({
                "date_detection": false,
                "numeric_detection": false,
                "dynamic_templates": [
                    {"integers": {"match_mapping_type": "long", "mapping": number}},
                    {"decimals": {"match_mapping_type": "double", "mapping": number}},
                    {"strings": {"match_mapping_type": "string", "mapping": string}}
                ]
            }),
        }
    }
}

impl IndexDefinition {
    /// Parses a user's own definition: the JSON body of a create-index request, `{"settings": {…}, "mappings": {…}}`.
    ///
    /// # Errors
    /// Says which member is wrong.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mut body: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {error}"))?;
        let mut member = |name: &str| match body.remove(name).unwrap_or_else(|| json!({})) {
            member @ Value::Object(_) => Ok(member),
            _ => Err(format!("has a member `{name}` that is not an object")),
        };
        let definition = Self { settings: member("settings")?, mappings: member("mappings")? };
        if let Some(other) = body.keys().next() {
            return Err(format!("has a member `{other}`: only `settings` and `mappings` are taken"));
        }
        if let Some(problem) = definition.breaks_a_promise() {
            return Err(problem);
        }
        for parent in ["properties", "_meta"] {
            if definition.mappings.get(parent).is_some_and(|value| !value.is_object()) {
                return Err(format!("has a member `mappings.{parent}` that is not an object"));
            }
        }
        Ok(definition)
    }

    /// Describes a part that the engine accepts and driftless does not: it would lose versions, or refuse every
    /// document.
    fn breaks_a_promise(&self) -> Option<String> {
        let mappings = &self.mappings;
        if mappings.get("_source").is_some() {
            return Some(
                "has a member `mappings._source`: documents carry their version in _source, and are kept whole"
                    .to_owned(),
            );
        }
        let derived =
            [&self.settings["index.derived_source.enabled"], &self.settings["index"]["derived_source"]["enabled"]];
        if derived.iter().any(|value| **value == true || **value == "true") {
            return Some("sets index.derived_source: documents are kept as they are written, byte for byte".to_owned());
        }
        if mappings["_routing"]["required"] == true {
            return Some("wants `mappings._routing.required`: documents are written without a routing".to_owned());
        }
        None
    }

    /// Returns the body that creates the index with its aliases. `_driftless` is always added.
    ///
    /// Only what is searched is mapped: the public alias filters by `deleted`, and `purge` finds old tombstones by
    /// `deleted_at`, and documents of expired items by `expired_at`. Documents of items carry none of them, so their
    /// metadata costs no more than its bytes in `_source`.
    pub(super) fn create_body(&self, public: &str, write: &str, meta: Value) -> Value {
        let mut body = self.create_body_without_aliases(meta);
        body["aliases"] = json!({public: {"filter": hides_tombstones()}, write: {"is_write_index": true}});
        body
    }

    /// Returns the body that creates an index which nobody reads or writes yet.
    pub(super) fn create_body_without_aliases(&self, meta: Value) -> Value {
        let mut mappings = self.mappings.clone();
        mappings["_meta"]["driftless"] = meta;
        mappings["properties"]["_driftless"] = json!({
            "dynamic": false,
            "properties": {
                "deleted": {"type": "boolean"},
                "deleted_at": {"type": "date", "format": "epoch_millis"},
                "expired_at": expired_at()
            }
        });
        json!({"settings": self.settings, "mappings": mappings})
    }
}

/// Returns the mapping of the time at which an item expired whose document stays.
fn expired_at() -> Value {
    json!({"type": "date", "format": "epoch_millis"})
}

/// Returns the addition to the mapping of an index that was made before documents of expired items could stay.
pub(super) fn maps_expired_at() -> Value {
    json!({"properties": {"_driftless": {"dynamic": false, "properties": {"expired_at": expired_at()}}}})
}

/// Returns the filter of the public alias.
pub(super) fn hides_tombstones() -> Value {
    json!({"bool": {"must_not": [{"term": {"_driftless.deleted": true}}]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_definition_replaces_ours_and_keeps_the_metadata() {
        let own = r#"{"settings":{"number_of_shards":3},"mappings":{"properties":{"at":{"type":"date"}},"_meta":{"owner":"us"}}}"#;
        let body =
            IndexDefinition::from_json(own).expect("valid").create_body("i", "i-write-1", json!({"format": FORMAT}));
        assert_eq!(body["settings"], json!({"number_of_shards": 3}));
        assert_eq!(body["mappings"]["properties"]["at"]["type"], "date");
        let metadata = &body["mappings"]["properties"]["_driftless"];
        assert_eq!(metadata["dynamic"], false, "what nobody searches stays in _source alone");
        assert_eq!(metadata["properties"]["deleted"]["type"], "boolean");
        assert_eq!(metadata["properties"].as_object().map(Map::len), Some(3));
        assert_eq!(body["mappings"]["_meta"], json!({"owner": "us", "driftless": {"format": FORMAT}}));
        assert!(body["mappings"].get("dynamic_templates").is_none());
    }

    #[test]
    fn a_definition_of_another_shape_is_refused() {
        for (bad, expect) in [
            ("[]", "JSON object"),
            (r#"{"mapping":{}}"#, "`mapping`"),
            (r#"{"mappings":[]}"#, "`mappings`"),
            (r#"{"mappings":{"properties":7}}"#, "mappings.properties"),
            (r#"{"mappings":{"_source":{"enabled":false}}}"#, "mappings._source"),
            (r#"{"mappings":{"_source":{"excludes":["_driftless.version"]}}}"#, "mappings._source"),
            (r#"{"mappings":{"_routing":{"required":true}}}"#, "_routing.required"),
        ] {
            let error = IndexDefinition::from_json(bad).expect_err(bad);
            assert!(error.contains(expect), "{error}");
        }
    }
}
