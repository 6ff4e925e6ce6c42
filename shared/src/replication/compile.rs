//! A configuration's keys, checked together and compiled.

mod entity_index;
mod expiry;
mod source;

use std::collections::BTreeSet;
use std::fmt::Display;

use regex::Regex;
use serde::Serialize;
use toml::Spanned;

use super::config::{self, ConfigError, DeriveSection, IdSection, Otherwise, Problems, Section, Text};
use super::derive::Derivation;
use super::filter::Filter;
use super::id::{IdRules, Omission};
use super::keyed_hash::HashKey;
use super::plan::{Plan, Replication, RulesText, SharedSource};
use super::shape::{Entities, Entity, EntityTest, Shape};

/// Limit for an inflated attribute, unless `inflate_limit` sets another.
const DEFAULT_INFLATE_LIMIT: u64 = 1024 * 1024;

impl Replication {
    /// Reads the TOML text of `REPLICATION`. `hash_key` is the key of keyed hashes, if there is one.
    ///
    /// # Errors
    /// Lists every problem by line and column.
    pub fn from_toml(text: &str, hash_key: Option<&HashKey>) -> Result<Self, ConfigError> {
        let section = config::parse(text)?;
        let mut compiler = Compiler { problems: Problems::new(text), hash_key };
        let plan = compiler.plan(&section);
        compiler.problems.finish(Self::of_plan(plan))
    }
}

/// Compiler of one text.
pub(super) struct Compiler<'c> {
    pub(super) problems: Problems<'c>,
    pub(super) hash_key: Option<&'c HashKey>,
}

impl Compiler<'_> {
    pub(super) fn plan(&mut self, section: &Section) -> Plan {
        self.refuse_entity_keys(section);
        let inflated = section.inflate.iter().filter_map(|(path, form)| Some((self.path(path)?, *form))).collect();
        let shared = self.derivations(&section.derive);
        let source = section.source.as_ref().map(|source| self.source(source.get_ref(), section));
        Plan {
            id_rules: self.id_rules(section, &shared),
            document_rules: self.document_rules(section),
            changed: section.changed.as_ref().map(|changed| *changed.get_ref()).unwrap_or_default(),
            inflated,
            inflate_limit: section.inflate_limit.as_ref().map_or(DEFAULT_INFLATE_LIMIT, |limit| *limit.get_ref()),
            ids: IdRules {
                prefix: source.as_ref().map(SharedSource::prefix).unwrap_or_default(),
                ..section.id.as_ref().map(|id| self.ids(id, &shared)).unwrap_or_default()
            },
            source,
            shape: self.shape(section, shared.clone()),
            indexes: self.entity_indexes(&section.entity),
            entities: self.entities(section, &shared),
            expiry: section.expiry.as_ref().and_then(|expiry| self.expiry(expiry.get_ref())),
        }
    }

    /// Returns the rules of a section, with all its derivations.
    fn shape(&mut self, section: &Section, derivations: Vec<Derivation>) -> Shape {
        let paths = self.paths(section);
        self.check_paths(&paths);
        self.check_fields(section, &derivations);
        Shape {
            condition: section.condition.as_ref().and_then(|code| self.filter(code)),
            derivations,
            rules: self.rules(section, &paths),
            document: section.document.as_ref().and_then(|code| self.filter(code)),
        }
    }

    /// Refuses fields that two rules would make.
    fn check_fields(&mut self, section: &Section, derivations: &[Derivation]) {
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        let renamed: Vec<&str> = section.rename.values().map(|to| to.get_ref().as_str()).collect();
        for derivation in derivations {
            for field in &derivation.fields {
                if !taken.insert(field) || renamed.contains(&field.as_str()) {
                    let place = section.derive.first().map_or_else(|| None, |derive| Some(&derive.pattern));
                    let problem =
                        format!("two rules make the field `{field}`: name the group otherwise, or leave it out");
                    match place {
                        Some(place) => self.problems.at(place, problem),
                        None => self.problems.at(section.rename.values().next().expect("a rename"), problem),
                    }
                }
            }
        }
    }

    fn derivations(&mut self, sections: &[DeriveSection]) -> Vec<Derivation> {
        sections.iter().filter_map(|section| self.derivation(section)).collect()
    }

    fn derivation(&mut self, section: &DeriveSection) -> Option<Derivation> {
        let from = self.path(&section.from)?;
        let pattern = match Regex::new(section.pattern.get_ref()) {
            Ok(pattern) => pattern,
            Err(error) => {
                let error = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                self.problems.at(&section.pattern, format_args!("is no regular expression: {error}"));
                return None;
            }
        };
        let named: Vec<String> = pattern.capture_names().flatten().map(str::to_owned).collect();
        if named.is_empty() {
            self.problems.at(&section.pattern, "has no named group: write `(?<name>…)` around what becomes a field");
            return None;
        }
        let fields = match &section.fields {
            None => named,
            Some(fields) => {
                for field in fields.iter().filter(|field| !named.contains(field.get_ref())) {
                    let problem = format!("the pattern has no group `{}`: it has {}", field.get_ref(), listed(&named));
                    self.problems.at(field, problem);
                }
                fields.iter().map(|field| field.get_ref().clone()).collect()
            }
        };
        Some(Derivation { from, pattern, fields, otherwise: section.otherwise })
    }

    fn ids(&mut self, id: &Spanned<IdSection>, derivations: &[Derivation]) -> IdRules {
        let section = id.get_ref();
        let mut omissions: Vec<Omission> = Vec::new();
        for text in &section.leave_out {
            let group = text.get_ref();
            let has = |derivation: &&Derivation| derivation.pattern.capture_names().flatten().any(|name| name == group);
            let Some(derivation) = derivations.iter().find(has) else {
                self.problems.at(
                    text,
                    format_args!("no `derive` at the top has a group `{group}`: name one of a key's pattern"),
                );
                continue;
            };
            if derivation.otherwise != Otherwise::Reject || derivation.from.names().len() > 1 {
                self.problems.at(
                    text,
                    format_args!(
                        "the group `{group}` cannot be left out of ids: its `derive` must take a key attribute, and reject \
                         what does not match"
                    ),
                );
            } else if covers_all(derivation, group) {
                self.problems.at(
                    text,
                    format_args!(
                        "the group `{group}` is the whole text: without it, items with different keys get one document"
                    ),
                );
            }
            let attribute = derivation.from.last();
            match omissions.iter_mut().find(|omission| omission.attribute == attribute) {
                Some(omission) if omission.pattern.as_str() != derivation.pattern.as_str() => self.problems.at(
                    text,
                    format_args!(
                        "the groups `{}` and `{group}` are of two patterns for `{attribute}`: write one pattern that has all \
                         groups that ids do not hold",
                        omission.groups[0]
                    ),
                ),
                Some(omission) => omission.groups.push(group.clone()),
                None => omissions.push(Omission {
                    attribute: attribute.to_owned(),
                    pattern: derivation.pattern.clone(),
                    groups: vec![group.clone()],
                }),
            }
        }
        let hash = if section.hash { self.key(id) } else { None };
        IdRules { prefix: String::new(), omissions, hash, routed: section.routing }
    }

    fn entities(&mut self, section: &Section, shared: &[Derivation]) -> Entities {
        let mut names = BTreeSet::new();
        let mut list = Vec::with_capacity(section.entity.len());
        for one in &section.entity {
            let entity = one.get_ref();
            self.refuse_top_keys(entity);
            let (Some(name), Some(attribute)) = (&entity.name, &entity.attribute) else {
                self.problems.at(one, "an entity needs `name`, `attribute`, and one of `equals` and `prefix`");
                continue;
            };
            if !names.insert(name.get_ref().clone()) {
                self.problems.at(name, format_args!("two entities have the name `{}`", name.get_ref()));
            }
            let Some(test) = EntityTest::of(entity) else {
                self.problems.at(name, "an entity needs one of `equals` and `prefix`");
                continue;
            };
            let Some(attribute) = self.path(attribute) else { continue };
            let derivations = [shared, &self.derivations(&entity.derive)].concat();
            let shape = self.shape(entity, derivations);
            list.push(Entity { name: name.get_ref().clone(), attribute, test, shape });
        }
        if list.is_empty() {
            let keys = [section.entity_field.as_ref().map(Spanned::span), section.others.as_ref().map(Spanned::span)];
            for span in keys.into_iter().flatten() {
                self.problems.at(&Spanned::new(span, ()), "has no effect without an [[entity]]");
            }
        }
        let field = section.entity_field.as_ref().map(|field| field.get_ref().clone());
        Entities { list, field, others: section.others.as_ref().map(|others| *others.get_ref()).unwrap_or_default() }
    }

    fn refuse_entity_keys(&mut self, section: &Section) {
        let Section { name, attribute, equals, prefix, index, .. } = section;
        let keys = [("name", name), ("attribute", attribute), ("equals", equals), ("prefix", prefix), ("index", index)];
        for (key, text) in keys {
            if let Some(text) = text {
                self.problems.at(text, format_args!("`{key}` belongs under [[entity]]"));
            }
        }
    }

    fn refuse_top_keys(&mut self, entity: &Section) {
        let spans = [
            ("inflate", entity.inflate.keys().next().map(Spanned::span)),
            ("inflate_limit", entity.inflate_limit.as_ref().map(Spanned::span)),
            ("source", entity.source.as_ref().map(Spanned::span)),
            ("id", entity.id.as_ref().map(Spanned::span)),
            ("entity_field", entity.entity_field.as_ref().map(Spanned::span)),
            ("others", entity.others.as_ref().map(Spanned::span)),
            ("changed", entity.changed.as_ref().map(Spanned::span)),
            ("expiry", entity.expiry.as_ref().map(Spanned::span)),
            ("entity", entity.entity.first().map(Spanned::span)),
        ];
        for (key, span) in spans {
            if let Some(span) = span {
                self.problems
                    .at(&Spanned::new(span, ()), format_args!("`{key}` belongs at the top, not under [[entity]]"));
            }
        }
    }

    fn filter(&mut self, code: &Text) -> Option<Filter> {
        match Filter::compile(code.get_ref()) {
            Ok(filter) => Some(filter),
            Err(error) => {
                self.problems.at(code, format_args!("is no jq filter that can be taken: {error}"));
                None
            }
        }
    }

    pub(super) fn key<V>(&mut self, needed_by: &Spanned<V>) -> Option<HashKey> {
        if self.hash_key.is_none() {
            self.problems
                .at(needed_by, "keyed hashes need a key: set HASH_KEY_SECRET_ARN, or HASH_KEY where you try it");
        }
        self.hash_key.cloned()
    }

    /// Returns the rules that make ids, as JSON; `None` if there are none. Other rules of the text do not count.
    fn id_rules(&self, section: &Section, derivations: &[Derivation]) -> Option<RulesText> {
        let default = IdSection::default();
        let id = match (&section.id, &section.source) {
            (Some(id), _) => id.get_ref(),
            (None, Some(_)) => &default,
            (None, None) => return None,
        };
        let is_cut = |name: &str| id.leave_out.iter().any(|group| group.get_ref() == name);
        let cuts = |derive: &&DeriveSection| {
            let compiled = derivations.iter().find(|one| one.pattern.as_str() == derive.pattern.get_ref());
            compiled.is_some_and(|one| one.pattern.capture_names().flatten().any(is_cut))
        };
        let patterns = section.derive.iter().filter(cuts).map(|derive| (&derive.from, &derive.pattern));
        let patterns: Vec<(&Text, &Text)> = patterns.collect();
        let rules = match &section.source {
            None => json(&(id, patterns)),
            Some(source) => json(&(id, patterns, &source.get_ref().name)),
        };
        Some(RulesText { rules, key: self.hash_key.filter(|_| id.hash).cloned() })
    }

    fn document_rules(&self, section: &Section) -> RulesText {
        let hashes = !section.hash.is_empty() || section.entity.iter().any(|entity| !entity.get_ref().hash.is_empty());
        RulesText { rules: json(section), key: self.hash_key.filter(|_| hashes).cloned() }
    }
}

/// Returns `true` if a pattern shows that one group takes the whole text.
fn covers_all(derivation: &Derivation, group: &str) -> bool {
    let pattern = derivation.pattern.as_str().trim_start_matches('^').trim_end_matches('$');
    let inner = pattern.strip_prefix(&format!("(?<{group}>")).or(pattern.strip_prefix(&format!("(?P<{group}>")));
    let Some(inner) = inner.and_then(|inner| inner.strip_suffix(')')) else { return false };
    let mut depth = 0_i32;
    inner.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth >= 0
    })
}

fn json(rules: &impl Serialize) -> String {
    serde_json::to_string(rules).expect("rules are JSON")
}

fn listed(names: &[impl Display]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
