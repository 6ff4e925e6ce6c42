//! Drift: what a definition says and the live index does not have.
//!
//! [`compare`](compare::compare) is pure, and `defaults` knows what an engine leaves out of its answers. A difference
//! is either applicable, because it only concerns what is written from now on, or needs a re-index: documents that
//! stand in the index would have it nowhere.

mod compare;
mod defaults;

use opensearch::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::definition::IndexDefinition;
use super::engine::{Engine, Request, Wait};
use super::index::{EnsureError, ensure_error};
use crate::outcome::Problem;
use compare::{Comparison, compare};

/// Paths that each list shows at most.
const MAX_PATHS: usize = 10;
/// Characters of a path that are shown at most.
const MAX_CHARACTERS: usize = 120;

/// Differences between a definition and a live index, as paths of fields and names of settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Name of the physical index.
    pub index: String,
    /// Parts that the live index can be given: new fields, rules for fields to come, dynamic settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applicable: Vec<String>,
    /// Parts that only a new index can have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_reindex: Vec<String>,
}

impl Drift {
    /// Returns `true` if the index is as the definition says.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.applicable.is_empty() && self.needs_reindex.is_empty()
    }

    fn new(index: &str, comparison: &Comparison) -> Self {
        Self {
            index: index.to_owned(),
            applicable: shown(&comparison.applicable),
            needs_reindex: shown(&comparison.needs_reindex),
        }
    }
}

fn shown(paths: &[String]) -> Vec<String> {
    let cut = |path: &String| match path.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path.clone(),
    };
    let mut shown: Vec<String> = paths.iter().take(MAX_PATHS).map(cut).collect();
    if paths.len() > MAX_PATHS {
        shown.truncate(MAX_PATHS - 1);
        shown.push(format!("and {} more", paths.len() - shown.len()));
    }
    shown
}

impl Engine {
    /// Compares a live index with a definition.
    ///
    /// # Errors
    /// Fails if the index cannot be described.
    pub async fn drift(
        &self,
        index: &str,
        definition: &IndexDefinition,
        deadline: Instant,
    ) -> Result<Drift, EnsureError> {
        Ok(Drift::new(index, &self.compared(index, definition, deadline).await?))
    }

    /// Gives a live index what it can be given of a definition. Returns the drift that is left.
    ///
    /// # Errors
    /// Fails if the engine refuses a change. What was changed before stays; the step can be repeated.
    pub async fn apply_definition(
        &self,
        index: &str,
        definition: &IndexDefinition,
        deadline: Instant,
    ) -> Result<Drift, EnsureError> {
        let Comparison { mappings, settings, .. } = self.compared(index, definition, deadline).await?;
        for (changes, path) in [(mappings, "_mapping"), (settings, "_settings")] {
            if changes.is_empty() {
                continue;
            }
            let (path, body) = (format!("/{index}/{path}"), Value::Object(changes).to_string().into());
            let request = Request { method: Method::Put, path: &path, body: Some(body) };
            self.send(request, Wait::until(deadline)).await.map_err(|problem| match problem {
                Problem::Request(refusal) if refusal.status == 400 => {
                    self.foreign(format!("the engine refuses the change of `{index}`: {}", refusal.reason))
                }
                problem => ensure_error(problem),
            })?;
        }
        self.drift(index, definition, deadline).await
    }

    async fn compared(
        &self,
        index: &str,
        definition: &IndexDefinition,
        deadline: Instant,
    ) -> Result<Comparison, EnsureError> {
        let path = format!("/{index}?filter_path=error%2C%2A.mappings%2C%2A.settings");
        let live = self.get(&path, deadline).await?.ok_or_else(|| self.missing())?;
        Ok(compare(definition, &live[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_and_long_paths_are_cut() {
        let paths: Vec<String> = (0..25).map(|n| format!("{n}{}", "ü".repeat(200))).collect();
        let cut = shown(&paths);
        assert_eq!((cut.len(), cut[9].as_str()), (10, "and 16 more"));
        assert_eq!(cut[0].chars().count(), 121);
        assert_eq!(shown(&paths[..10]).len(), 10);
        assert!(shown(&paths[..10])[9].starts_with('9'));
    }
}
