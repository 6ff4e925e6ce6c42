//! State of interrupted work as a file, so that the same command goes on.
//!
//! It is believed only for the same request on the same table and index: services that were started anew, or an index
//! that was created anew, are not what the cursors are about.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::stable_hash::StableHash;

/// File for the state of one command with its request.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    key: Value,
}

#[derive(Deserialize)]
struct Saved<S> {
    key: Value,
    about: Value,
    state: S,
}

#[derive(Serialize)]
struct Saving<'s, S> {
    key: &'s Value,
    about: &'s Value,
    state: &'s S,
}

impl StateFile {
    /// Names the file in `folder` for a command and what it was asked for.
    #[must_use]
    pub fn new(folder: &Path, command: &str, key: Value) -> Self {
        let hash = StableHash::of(key.to_string().as_bytes());
        Self { path: folder.join(format!("{command}-{hash:016x}.json")), key }
    }

    /// Reads the state, if there is one of the same command about the same table and index.
    #[must_use]
    pub fn load<S: DeserializeOwned>(&self, about: &Value) -> Option<S> {
        let saved: Saved<S> = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        (saved.key == self.key && saved.about == *about).then_some(saved.state)
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn save<S: Serialize>(&self, about: &Value, state: &S) -> Result<()> {
        let json = serde_json::to_vec_pretty(&Saving { key: &self.key, about, state }).context("write the state")?;
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let unfinished = self.path.with_extension("unfinished");
        fs::write(&unfinished, json).with_context(|| format!("write {}", unfinished.display()))?;
        fs::rename(&unfinished, &self.path).with_context(|| format!("write {}", self.path.display()))
    }

    /// Removes the file: the work is done.
    pub fn remove(&self) {
        // It may never have been there.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_state_is_found_by_the_same_command_about_the_same_index_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path(), "backfill", json!({"table": "orders"}));
        let (about, state) = (json!({"index": "uuid-1"}), json!({"parts": []}));
        assert_eq!(file.load::<Value>(&about), None);
        file.save(&about, &state).unwrap();
        assert_eq!(file.load(&about), Some(state.clone()));
        assert_eq!(file.load::<Value>(&json!({"index": "uuid-2"})), None, "created anew");
        let other = StateFile::new(folder.path(), "backfill", json!({"table": "invoices"}));
        assert_eq!(other.load::<Value>(&about), None);
        file.remove();
        assert_eq!(file.load::<Value>(&about), None);
    }
}
