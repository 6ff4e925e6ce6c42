//! Definition of a new index: a mapping that ordinary data cannot break, or the user's own.

use serde_json::{Map, Value, json};

use super::flat_settings::{FlatSettings, flat_settings};
use super::refresh_interval::RefreshInterval;

/// Setting of the time until searches see a write.
pub(super) const REFRESH_INTERVAL: &str = "index.refresh_interval";
/// Settings that hold a pipeline's name.
const PIPELINES: [&str; 2] = ["index.default_pipeline", "index.final_pipeline"];

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
        Self::from_body(json_object(text)?)
    }

    /// Reads the same, parsed.
    ///
    /// # Errors
    /// Says which member is wrong.
    pub(crate) fn from_body(mut body: Map<String, Value>) -> Result<Self, String> {
        let mut member = |name: &str| match body.remove(name).unwrap_or_else(|| json!({})) {
            member @ Value::Object(_) => Ok(member),
            _ => Err(format!("has a member `{name}` that is not an object")),
        };
        let definition = Self { settings: member("settings")?, mappings: member("mappings")? };
        if let Some(other) = body.keys().next() {
            return Err(format!(
                "has a member `{other}`: only `settings` and `mappings` are taken, and in INDEX_DEFINITION \
                 `entity_indexes` beside them"
            ));
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

    /// Sets the interval of refreshes.
    ///
    /// # Errors
    /// Fails if the definition has another one.
    pub fn with_refresh_interval(mut self, interval: &RefreshInterval) -> Result<Self, String> {
        match self.refresh_interval() {
            Some(own) if own != interval.to_string() => Err(format!(
                "is {interval}, and the definition has an index.refresh_interval of {own}: keep one of them"
            )),
            Some(_) => Ok(self),
            None => {
                self.settings[REFRESH_INTERVAL] = interval.to_string().into();
                Ok(self)
            }
        }
    }

    /// Returns the interval of refreshes, if the definition has one.
    pub(super) fn refresh_interval(&self) -> Option<String> {
        let interval = self.flat_settings().remove(REFRESH_INTERVAL)?;
        Some(interval.as_str().map_or_else(|| interval.to_string(), str::to_owned))
    }

    /// Returns the settings under their full names.
    pub(super) fn flat_settings(&self) -> FlatSettings {
        flat_settings(&self.settings)
    }

    /// Returns the mappings, without what driftless adds.
    pub(super) fn mappings(&self) -> &Value {
        &self.mappings
    }

    /// Returns the body of a create-index request.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"settings": self.settings, "mappings": self.mappings})
    }

    /// Describes a part that the engine accepts and driftless does not: it would lose versions, refuse every document,
    /// or make documents that differ from their items.
    fn breaks_a_promise(&self) -> Option<String> {
        if self.mappings.get("_source").is_some() {
            return Some(
                "has a member `mappings._source`: documents carry their version in _source, and are kept whole"
                    .to_owned(),
            );
        }
        if self.mappings["_routing"]["required"] == true {
            return Some("wants `mappings._routing.required`: documents are written without a routing".to_owned());
        }
        changes_source(&self.flat_settings()).map(|problem| format!("sets {problem}"))
    }

    /// Returns the body that creates the index with its aliases. `_driftless` is always added.
    ///
    /// Only what is searched is mapped: the public alias filters by `deleted`, and `purge` finds old tombstones by
    /// `deleted_at`, and documents of expired items by `expired_at`. Documents of items carry none of them, so their
    /// metadata costs no more than its bytes in `_source`. Where several tables share the index, each document carries
    /// the name of its table, so that verify and `purge` find those of their own.
    pub(super) fn create_body(&self, public: &str, write: &str, meta: Value) -> Value {
        let mut body = self.create_body_without_aliases(meta);
        body["aliases"] = json!({public: {"filter": hides_tombstones()}, write: {"is_write_index": true}});
        body
    }

    /// Returns the body that creates an index which nobody reads or writes yet.
    pub(super) fn create_body_without_aliases(&self, meta: Value) -> Value {
        let mut mappings = self.mappings.clone();
        let has_sources = meta.get("sources").is_some();
        mappings["_meta"]["driftless"] = meta;
        mappings["properties"]["_driftless"] = json!({
            "dynamic": false,
            "properties": {
                "deleted": {"type": "boolean"},
                "deleted_at": {"type": "date", "format": "epoch_millis"},
                "expired_at": expired_at()
            }
        });
        if has_sources {
            mappings["properties"]["_driftless"]["properties"]["source"] = json!({"type": "keyword"});
        }
        json!({"settings": self.settings, "mappings": mappings})
    }
}

/// Parses a text that must be a JSON object.
///
/// # Errors
/// Says why it is none, worded to follow the text's name.
pub(crate) fn json_object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {error}"))
}

/// Returns the mapping of the time at which an item expired whose document stays.
fn expired_at() -> Value {
    json!({"type": "date", "format": "epoch_millis"})
}

/// Returns the addition to the mapping of an index that was made before documents of expired items could stay.
pub(super) fn maps_expired_at() -> Value {
    json!({"properties": {"_driftless": {"dynamic": false, "properties": {"expired_at": expired_at()}}}})
}

/// Names the setting by which `_source` is not what was written, with the reason.
pub(super) fn changes_source(settings: &FlatSettings) -> Option<String> {
    let value = |name: &str| settings.get(name).map(|value| value.as_str().unwrap_or_default().to_owned());
    let is_true = |name: &str| settings.get(name).is_some_and(|value| *value == true || *value == "true");
    for name in ["index.derived_source.enabled", "index.knn.derived_source.enabled"] {
        if is_true(name) {
            return Some(format!("{name}: the engine would rewrite documents instead of keeping them byte for byte"));
        }
    }
    if value("index.mapping.source.mode").is_some_and(|mode| mode != "stored") {
        return Some("index.mapping.source.mode: documents are kept as they are written, byte for byte".to_owned());
    }
    if value("index.mode").is_some_and(|mode| mode != "standard") {
        return Some("index.mode: of the modes only `standard` keeps documents as they are written".to_owned());
    }
    let pipeline = PIPELINES.iter().find(|name| value(name).is_some_and(|pipeline| pipeline != "_none"))?;
    Some(format!("{pipeline}: a pipeline makes documents that differ from their items"))
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
            (r#"{"settings":{"index.derived_source.enabled":true}}"#, "sets index.derived_source.enabled"),
            (r#"{"settings":{"index":{"derived_source":{"enabled":"true"}}}}"#, "derived_source"),
            (r#"{"settings":{"derived_source.enabled":true}}"#, "derived_source"),
            (r#"{"settings":{"index":{"knn":true,"knn.derived_source.enabled":true}}}"#, "knn.derived_source"),
            (r#"{"settings":{"mapping":{"source":{"mode":"synthetic"}}}}"#, "index.mapping.source.mode"),
            (r#"{"settings":{"mode":"logsdb"}}"#, "index.mode"),
            (r#"{"settings":{"final_pipeline":"p"}}"#, "sets index.final_pipeline"),
        ] {
            let error = IndexDefinition::from_json(bad).expect_err(bad);
            assert!(error.contains(expect), "{error}");
        }
    }
    #[test]
    fn settings_that_keep_documents_as_they_are_are_taken() {
        let harmless = r#"{"settings":{"index.default_pipeline":"_none","index":{"mode":"standard"},"number_of_shards":3,
            "derived_source.enabled":false,"knn":true,"knn.derived_source.enabled":"false"}}"#;
        assert_eq!(IndexDefinition::from_json(harmless).map(drop), Ok(()));
    }

    #[test]
    fn one_interval_of_refreshes_counts() {
        let interval = RefreshInterval::parse("200ms").expect("a time");
        let of = |json: &str| IndexDefinition::from_json(json).expect("valid").with_refresh_interval(&interval);
        for without in ["{}", r#"{"settings":{"number_of_shards":3}}"#, r#"{"settings":{"refresh_interval":"200ms"}}"#]
        {
            assert_eq!(of(without).expect("taken").refresh_interval().as_deref(), Some("200ms"));
        }
        let error = of(r#"{"settings":{"index":{"refresh_interval":"1s"}}}"#).expect_err("two");
        assert!(error.contains("200ms") && error.contains("1s"), "{error}");
    }
}
