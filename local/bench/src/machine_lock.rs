//! One benchmark at a time on a machine: two would measure each other.

use std::env::temp_dir;
use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Takes the machine for this benchmark, until the file is dropped or the process ends in any way.
///
/// # Errors
/// Fails if another benchmark has it.
pub(crate) fn lock_machine() -> Result<File> {
    lock(&temp_dir().join("driftless-bench.lock"))
}

fn lock(path: &Path) -> Result<File> {
    // A file that another user has created is locked as well.
    let file = File::create(path).or_else(|_| File::open(path)).with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another `cargo local bench` is running on this machine, and two would measure each other: wait for it, or \
             stop it (its process has {} open)",
            path.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_benchmark_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path).unwrap();
        let refused = lock(&path).unwrap_err().to_string();
        assert!(refused.contains("another `cargo local bench` is running"), "{refused}");
        drop(first);
        lock(&path).unwrap();
    }
}
