//! One benchmark at a time on a machine: two would measure each other.

use std::env::temp_dir;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The machine, taken by this process until this is dropped, or the process ends in any way.
#[derive(Debug)]
pub(crate) struct MachineLock {
    _locked: File,
}

impl MachineLock {
    /// Takes the machine.
    ///
    /// # Errors
    /// Fails if another benchmark has it.
    pub(crate) fn take() -> Result<Self> {
        Self::at(&temp_dir().join("driftless-bench.lock"))
    }

    fn at(path: &Path) -> Result<Self> {
        let created = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        // A file that another user has created is locked as well.
        let file = created.or_else(|_| File::open(path)).with_context(|| format!("open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _locked: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another `cargo local bench` is running on this machine, and two would measure each other: wait for it, \
                 or stop it (its process has {} open)",
                path.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_benchmark_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = MachineLock::at(&path).unwrap();
        let refused = MachineLock::at(&path).unwrap_err().to_string();
        assert!(refused.contains("another `cargo local bench` is running"), "{refused}");
        drop(first);
        MachineLock::at(&path).unwrap();
    }
}
