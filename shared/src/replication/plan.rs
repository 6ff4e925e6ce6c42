//! A configuration, compiled: what its keys mean together, and the content that it gives to items.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::config::{Others, WhenChanged};
use super::entity_index::EntityIndex;
use super::expiry::Expiry;
use super::id::IdRules;
use super::inflate::{InflatedForm, inflate};
use super::keyed_hash::HashKey;
use super::path::AttributePath;
use super::shape::{Entities, Shape, ShapeError};
use crate::attribute::{AttributeValue, Item};
use crate::document::{Content, Document};
use crate::document_id::{DocumentId, KeyError};
use crate::time::Timestamp;

/// Rules that make documents and ids, as one of their indexes sees them. The default has none: the document is the
/// whole item. Clones share the rules.
#[derive(Debug, Clone, Default)]
pub struct Replication {
    plan: Option<Arc<Plan>>,
    /// Index of an entity; `None` for the index of all other items.
    index: Option<Arc<str>>,
}

/// Characters of a fingerprint: 64 bits, for a comparison of two.
const FINGERPRINT_DIGITS: usize = 16;

/// Fingerprints of rules: equal ones make equal ids, and equal documents. Absent where there are no rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// Fingerprint of the rules for ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// Fingerprint of the rules for documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<String>,
}

/// Rules as JSON, for fingerprints.
#[derive(Debug)]
pub(super) struct RulesText {
    pub(super) rules: String,
    /// Key that the rules hash by.
    pub(super) key: Option<HashKey>,
}

impl RulesText {
    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new_with_prefix(&self.rules);
        if let Some(key) = &self.key {
            hash.update(key.hash(b"fingerprint of the key"));
        }
        format!("{:x}", hash.finalize())[..FINGERPRINT_DIGITS].to_owned()
    }
}

/// Table among those that share one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedSource {
    /// Name, which every id of the table begins with.
    pub name: String,
    /// Field of every document that gets the name.
    pub(super) field: String,
}

impl SharedSource {
    /// Returns the first characters of every id of the table. No name holds the colon, so no prefix begins another one.
    pub(super) fn prefix(&self) -> String {
        format!("{}:", self.name)
    }
}

/// Configuration in the form that is applied.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) id_rules: Option<RulesText>,
    pub(super) document_rules: RulesText,
    pub(super) changed: WhenChanged,
    pub(super) inflated: Vec<(AttributePath, InflatedForm)>,
    /// Limit for an inflated attribute, in bytes.
    pub(super) inflate_limit: u64,
    pub(super) ids: IdRules,
    /// Name of the table, if the index has several.
    pub(super) source: Option<SharedSource>,
    /// Rules for items of no entity. Their `where` is for all items.
    pub(super) shape: Shape,
    pub(super) entities: Entities,
    /// Entities with an index of their own.
    pub(super) indexes: Vec<EntityIndex>,
    /// Rules for documents of expired items; absent if they are deleted.
    pub(super) expiry: Option<Expiry>,
}

impl Replication {
    pub(super) fn of_plan(plan: Plan) -> Self {
        Self { plan: Some(Arc::new(plan)), index: None }
    }

    /// Returns the indexes that entities have of their own, each once; none as such an index sees the rules.
    #[must_use]
    pub fn entity_indexes(&self) -> BTreeSet<Arc<str>> {
        let plan = self.plan.iter().filter(|_| self.index.is_none());
        let indexes = plan.flat_map(|plan| &plan.indexes);
        indexes.map(|entity| Arc::clone(&entity.index)).collect()
    }

    /// Returns the same rules, as the index of an entity sees them.
    #[must_use]
    pub fn of_index(&self, index: &Arc<str>) -> Self {
        Self { plan: self.plan.clone(), index: Some(Arc::clone(index)) }
    }

    /// Returns `true` if the item of an id, made of its key by these rules, has its document in this index.
    #[must_use]
    pub fn owns(&self, id: &DocumentId) -> bool {
        id.index() == self.index.as_deref()
    }

    /// Returns the id of a key's document. `partition_key` is as in [`DocumentId::from_keys`].
    ///
    /// # Errors
    /// Fails for keys that no table can have, that contradict `partition_key`, or that a pattern does not match.
    pub fn document_id(&self, keys: &Item<'_>, partition_key: Option<&str>) -> Result<DocumentId, KeyError> {
        match &self.plan {
            None => DocumentId::from_keys(keys, partition_key),
            Some(plan) => {
                let id = plan.ids.document_id(keys, partition_key)?;
                Ok(id.with_index(EntityIndex::of(&plan.indexes, keys)?))
            }
        }
    }

    /// Returns the content that an item has in the index: its document, or a tombstone if it is not to be there.
    ///
    /// # Errors
    /// Names the attribute or the filter that has no result.
    pub fn content(&self, item: &Item<'_>) -> Result<Content, ShapeError> {
        match &self.plan {
            None => Ok(Content::Document(Document::from_item(item))),
            Some(plan) => plan.content(item),
        }
    }

    /// Returns `true` if documents stay in the index after their items expired.
    #[must_use]
    pub fn keeps_expired(&self) -> bool {
        self.expiry().is_some()
    }

    /// Returns the content that stays of an item that time to live deleted. `Ok(None)` if nothing says when it expired.
    ///
    /// # Errors
    /// Names the attribute or the filter that has no result.
    pub fn expired_content(
        &self,
        item: &Item<'_>,
        event_time: Option<Timestamp>,
    ) -> Result<Option<Content>, ShapeError> {
        match self.expiry() {
            None => Ok(Some(Content::Tombstone)),
            Some(expiry) => Ok(expiry.kept(self.content(item)?, item, event_time)),
        }
    }

    /// Returns the time in milliseconds from the expiry of an item to the removal of its document; `None` for ever.
    #[must_use]
    pub fn expired_retention_ms(&self) -> Option<u64> {
        self.expiry()?.retention_ms
    }

    fn expiry(&self) -> Option<&Expiry> {
        self.plan.as_ref()?.expiry.as_ref()
    }

    /// Returns the table's name among those that share the index; `None` if the index has one table.
    #[must_use]
    pub fn source(&self) -> Option<&SharedSource> {
        self.plan.as_ref()?.source.as_ref()
    }

    /// Returns `true` if the partition key decides the shard of a document.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.ids.routed)
    }

    /// Returns the id of a document as it is without the prefix of its table; `None` for an id of another table.
    #[must_use]
    pub fn without_prefix(&self, id: &DocumentId) -> Option<DocumentId> {
        let prefix = self.plan.as_ref().map_or("", |plan| &plan.ids.prefix);
        Some(DocumentId::from_stored(id.as_str().strip_prefix(prefix)?.to_owned()))
    }

    /// Returns `true` if a document's id shows the key of its item.
    #[must_use]
    pub fn shows_keys(&self) -> bool {
        self.plan.as_ref().is_none_or(|plan| plan.ids.shows_keys())
    }

    /// Returns the fingerprints of the rules.
    ///
    /// # Panics
    /// Panics if a key of keyed hashes is not read yet.
    #[must_use]
    pub fn fingerprints(&self) -> Fingerprints {
        let Some(plan) = &self.plan else { return Fingerprints::default() };
        Fingerprints {
            ids: plan.id_rules.as_ref().map(RulesText::fingerprint),
            documents: Some(plan.document_rules.fingerprint()),
        }
    }

    /// Returns `true` if there are keyed hashes in documents or ids.
    #[must_use]
    pub fn hashes(&self) -> bool {
        let has_key = |rules: &RulesText| rules.key.is_some();
        self.plan
            .as_ref()
            .is_some_and(|plan| has_key(&plan.document_rules) || plan.id_rules.as_ref().is_some_and(has_key))
    }

    /// Returns the policy for an index whose documents were made by other rules.
    #[must_use]
    pub fn when_changed(&self) -> WhenChanged {
        self.plan.as_ref().map(|plan| plan.changed).unwrap_or_default()
    }
}

impl Plan {
    fn content(&self, item: &Item<'_>) -> Result<Content, ShapeError> {
        let item = self.inflate(item)?;
        let Entities { list, field, others } = &self.entities;
        let found = list.iter().find(|entity| entity.matches(&item));
        let mut added: Vec<(&str, &str)> = Vec::new();
        added.extend(self.source.as_ref().map(|source| (source.field.as_str(), source.name.as_str())));
        match (found, others) {
            (Some(entity), _) => {
                if !self.shape.wants(&item)? {
                    return Ok(Content::Tombstone);
                }
                added.extend(field.as_deref().map(|field| (field, entity.name.as_str())));
                entity.shape.content(&item, &added)
            }
            (None, Others::Keep) => self.shape.content(&item, &added),
            (None, Others::LeaveOut) => Ok(Content::Tombstone),
            (None, Others::Reject) => Err(ShapeError {
                place: "item".to_owned(),
                problem: "is of no `entity`, and `others` is \"reject\"".to_owned(),
            }),
        }
    }

    fn inflate<'c, 'i>(&self, item: &'c Item<'i>) -> Result<Cow<'c, Item<'i>>, ShapeError>
    where
        'i: 'c,
    {
        if self.inflated.is_empty() {
            return Ok(Cow::Borrowed(item));
        }
        let mut item = item.clone();
        for (path, form) in &self.inflated {
            replace(&mut item, path.names(), &|value| inflate(value, *form, self.inflate_limit))
                .map_err(|problem| ShapeError { place: path.to_string(), problem })?;
        }
        Ok(Cow::Owned(item))
    }
}

/// Replaces the values at a path, if there are any.
fn replace(
    item: &mut Item<'_>,
    names: &[String],
    conversion: &impl Fn(&AttributeValue<'_>) -> Result<AttributeValue<'static>, String>,
) -> Result<(), String> {
    let Some((name, rest)) = names.split_first() else { return Ok(()) };
    let Some(value) = item.0.get_mut(name.as_str()) else { return Ok(()) };
    if rest.is_empty() {
        *value = conversion(value)?;
        return Ok(());
    }
    let within = |value: &mut AttributeValue<'_>| match value {
        AttributeValue::Map(map) => replace(map, rest, conversion),
        _ => Ok(()),
    };
    match value {
        AttributeValue::List(values) => values.iter_mut().try_for_each(within),
        value => within(value),
    }
}
