//! Folder for what the tool fetches and writes: `<target dir>/local/`.
//!
//! The target folder is found from the running program, so that the tool, its tests and the tests of other
//! crates agree on it whatever `CARGO_TARGET_DIR` says.

use std::path::{Path, PathBuf};

/// Name of the file that Cargo writes into the root of a target folder.
const TARGET_DIR_TAG: &str = "CACHEDIR.TAG";

/// The folder of the tool inside the workspace's target folder. It may not exist yet.
#[must_use]
pub fn local_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    target_dir_of(&program).unwrap_or_else(default_target_dir).join("local")
}

/// The nearest folder above `program` that Cargo marked as its target folder.
fn target_dir_of(program: &Path) -> Option<PathBuf> {
    program.ancestors().skip(1).find(|folder| folder.join(TARGET_DIR_TAG).is_file()).map(Path::to_path_buf)
}

/// For a program that was copied out of its target folder.
fn default_target_dir() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).join("target")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_dir_is_the_tagged_folder_above_the_program() {
        let root = tempfile::tempdir().unwrap();
        let deps = root.path().join("out/debug/deps");
        std::fs::create_dir_all(&deps).unwrap();
        assert_eq!(target_dir_of(&deps.join("local")), None);
        std::fs::write(root.path().join("out").join(TARGET_DIR_TAG), "").unwrap();
        assert_eq!(target_dir_of(&deps.join("local")), Some(root.path().join("out")));
    }
}
