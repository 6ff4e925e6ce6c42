//! Guesses for fields: their mappings and comments, maps and their members included.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::facts::FieldFacts;
use super::scalar::{self, Scalar};
use super::shape::is_like_an_id;
use crate::words::counted;

/// Members of maps from which on rare ones are taken for data.
const MANY_MEMBERS: usize = 20;
/// Members of maps that are never all named by a person.
const TOO_MANY_MEMBERS: usize = 200;

/// Kind of engine: they name the type for maps with unbounded keys differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineKind {
    /// OpenSearch from 2.7 on, which has `flat_object`
    #[default]
    Opensearch,
    /// Elasticsearch with Elastic's licence, which has `flattened`
    Elasticsearch,
    /// Elasticsearch without it, such as AWS's 7.10, which has no such type
    ElasticsearchOss,
}

/// Guess for one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldGuess {
    /// Path of the field.
    pub path: String,
    /// Type of the field; empty if it is left to the rules for new fields.
    #[serde(rename = "type")]
    pub kind: String,
    /// Reason for the guess, and its risk.
    pub comment: String,
}

/// Guesses of all fields.
pub(super) struct Guesser {
    engine: EngineKind,
    /// Fields of the table's key, the partition key first.
    keys: Vec<String>,
    pub(super) guesses: Vec<FieldGuess>,
}

impl Guesser {
    pub(super) fn new(engine: EngineKind, keys: Vec<String>) -> Self {
        Self { engine, keys, guesses: Vec::new() }
    }

    /// Returns the mappings of the fields of an object. `holders`: the items or maps that could have them.
    pub(super) fn properties(
        &mut self,
        parent: &str,
        fields: &BTreeMap<String, FieldFacts>,
        holders: u64,
        noun: &str,
    ) -> Map<String, Value> {
        let mut properties = Map::new();
        for (name, facts) in fields {
            let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
            let share = format!("in {} of {holders} {noun}", facts.present);
            if let Some(mapping) = self.field(&path, name, facts, &share) {
                properties.insert(name.clone(), mapping);
            }
        }
        properties
    }

    fn field(&mut self, path: &str, name: &str, facts: &FieldFacts, share: &str) -> Option<Value> {
        let scalars = facts.scalars();
        match (facts.maps, &scalars[..]) {
            (0, []) => {
                self.say(path, "", format!("{share}; no value in the sample: left to the rules for new fields"));
                None
            }
            (0, _) => {
                let key = self.keys.iter().position(|key| key == path);
                let scalar = scalar::guess(name, facts, key);
                Some(self.scalar(path, scalar, share))
            }
            (_, []) => Some(self.maps(path, facts, share)),
            (_, scalars) => {
                let comment = format!(
                    "{share}; maps and {}: no type holds both, so it is kept in _source and not searched",
                    scalars.join(", ")
                );
                self.say(path, "object", comment);
                Some(json!({"type": "object", "enabled": false}))
            }
        }
    }

    fn scalar(&mut self, path: &str, scalar: Scalar, share: &str) -> Value {
        let kind = scalar.mapping["type"].as_str().unwrap_or_default().to_owned();
        self.say(path, &kind, format!("{share}; {}", scalar.comment));
        scalar.mapping
    }

    fn maps(&mut self, path: &str, facts: &FieldFacts, share: &str) -> Value {
        if has_unbounded_keys(facts) {
            return self.flat(path, facts, share);
        }
        if facts.map_elements == 0 && is_geo(facts) {
            let comment = "`lat` and `lon` in their ranges: distances and boxes; a value outside is rejected";
            self.say(path, "geo_point", format!("{share}; {comment}"));
            return json!({"type": "geo_point"});
        }
        let (kind, comment) = match (facts.map_elements, facts.members.len()) {
            (0, 0) => ("object", "empty maps: their members are left to the rules for new fields".to_owned()),
            (0, members) => ("object", counted(members as u64, "member")),
            (_, 0 | 1) => ("object", "a list of maps of one member: its values are searched like a list".to_owned()),
            (elements, _) => (
                "nested",
                format!(
                    "a list of maps ({elements} in the sample): `nested` finds members of one and the same map; each map \
                     is a hidden document that is written, too; `object` is cheaper, and mixes the maps up"
                ),
            ),
        };
        self.say(path, kind, format!("{share}; {comment}"));
        let properties = self.properties(path, &facts.members, facts.maps, "maps");
        json!({"type": kind, "properties": properties})
    }

    fn flat(&mut self, path: &str, facts: &FieldFacts, share: &str) -> Value {
        let keys = facts.members.len();
        let (mapping, risk) = match self.engine {
            EngineKind::Opensearch => (json!({"type": "flat_object"}), "numbers and dates are compared as text"),
            EngineKind::Elasticsearch => (
                json!({"type": "flattened"}),
                "numbers and dates are compared as text; builds without Elastic's licence, such as AWS's \
                 Elasticsearch 7.10, lack the type: for these, give `--engine elasticsearch-oss`",
            ),
            EngineKind::ElasticsearchOss => {
                (json!({"type": "object", "enabled": false}), "it is kept, and no search finds anything in it")
            }
        };
        let kind = mapping["type"].as_str().unwrap_or_default();
        self.say(
            path,
            kind,
            format!("{share}; maps with {keys} different keys, which look like data: one field for all; {risk}"),
        );
        mapping
    }

    fn say(&mut self, path: &str, kind: &str, comment: String) {
        self.guesses.push(FieldGuess { path: path.to_owned(), kind: kind.to_owned(), comment });
    }
}

/// Returns `true` if the keys of the maps are data: ids, days, or many that few maps have.
fn has_unbounded_keys(facts: &FieldFacts) -> bool {
    let keys = facts.members.len();
    let ids = facts.members.keys().filter(|name| is_like_an_id(name)).count();
    let uses: u64 = facts.members.values().map(|member| member.present).sum();
    let is_rare = uses * 5 < keys as u64 * facts.maps;
    (keys >= 3 && ids * 2 > keys) || (keys >= MANY_MEMBERS && is_rare) || keys > TOO_MANY_MEMBERS
}

/// Returns `true` if every map is a latitude and a longitude, and nothing else.
fn is_geo(facts: &FieldFacts) -> bool {
    let all = |name: &str, count: fn(&FieldFacts) -> u64| {
        facts.members.get(name).is_some_and(|member| count(member) == facts.maps && member.lists == 0)
    };
    facts.members.len() == 2
        && all("lat", |member| member.numbers.latitudes)
        && all("lon", |member| member.numbers.longitudes)
}
