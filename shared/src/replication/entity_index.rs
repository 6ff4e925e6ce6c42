//! Entities with an index of their own: the key alone decides, because a removal names nothing else.

use std::sync::Arc;

use super::shape::EntityTest;
use crate::attribute::{AttributeValue, Item};
use crate::document_id::KeyError;

/// Index of an entity, and the key attribute that tells its items.
#[derive(Debug)]
pub(super) struct EntityIndex {
    pub(super) entity: String,
    pub(super) attribute: String,
    pub(super) test: EntityTest,
    pub(super) index: Arc<str>,
}

impl EntityIndex {
    /// Returns the index of the first entity that a key is of; `None` for the index of all other items.
    ///
    /// # Errors
    /// Fails if an attribute is no key. An item could then move to another index, and its document would stay behind.
    pub(super) fn of(indexes: &[Self], keys: &Item<'_>) -> Result<Option<Arc<str>>, KeyError> {
        let mut found = None;
        for Self { entity, attribute, test, index } in indexes {
            match keys.0.get(attribute.as_str()) {
                Some(AttributeValue::String(text)) if found.is_none() && test.matches(text) => {
                    found = Some(Arc::clone(index));
                }
                Some(_) => {}
                None => return Err(KeyError::NoEntityKey { entity: entity.clone(), attribute: attribute.clone() }),
            }
        }
        Ok(found)
    }
}
