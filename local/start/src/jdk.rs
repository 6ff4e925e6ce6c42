//! Finds the installed Java runtimes and picks one that can run a given service.
//!
//! Looked at: `JAVA_HOME`, every `java` in `PATH`, and the folders in which distributions and version managers
//! install. Nothing is downloaded: where no runtime fits, the error says which version is missing and what was found.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{error, fmt, io};

/// Folders that hold one runtime per sub-folder.
const JVM_FOLDERS: [&str; 4] = ["/usr/lib/jvm", "/usr/java", "/opt/java", "/Library/Java/JavaVirtualMachines"];
/// The same below the user's home.
const JVM_FOLDERS_OF_USER: [&str; 2] = [".sdkman/candidates/java", ".jdks"];

/// An installed Java runtime.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jdk {
    /// First, so that runtimes sort by age.
    major: u32,
    home: PathBuf,
}

impl Jdk {
    /// The feature release: 17 for `17.0.15`, 8 for `1.8.0_392`.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The folder that `JAVA_HOME` would name.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the path of the `java` program.
    #[must_use]
    pub fn java(&self) -> PathBuf {
        self.home.join("bin/java")
    }
}

/// Error for a service whose Java is not installed, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoJava(String);

impl fmt::Display for NoJava {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for NoJava {}

/// All runtimes found, oldest release first.
#[derive(Clone, Debug)]
pub struct Jdks(Vec<Jdk>);

impl Jdks {
    /// Looks at `JAVA_HOME`, `PATH`, `HOME` and the usual folders.
    #[must_use]
    pub fn from_env() -> Self {
        let mut homes: Vec<PathBuf> = Vec::new();
        homes.extend(std::env::var_os("JAVA_HOME").map(PathBuf::from));
        homes.extend(homes_in_path(&std::env::var_os("PATH").unwrap_or_default()));
        let user = std::env::var_os("HOME").map(PathBuf::from);
        let folders = JVM_FOLDERS
            .iter()
            .map(PathBuf::from)
            .chain(user.iter().flat_map(|home| JVM_FOLDERS_OF_USER.iter().map(|folder| home.join(folder))));
        homes.extend(folders.flat_map(|folder| homes_in_folder(&folder)));
        Self::at(homes)
    }

    /// The runtimes among `homes`; folders that hold none are passed over, links are followed.
    fn at(homes: impl IntoIterator<Item = PathBuf>) -> Self {
        let homes: BTreeSet<PathBuf> = homes.into_iter().filter_map(|home| home.canonicalize().ok()).collect();
        let mut found: Vec<Jdk> = homes
            .into_iter()
            .filter(|home| home.join("bin/java").is_file())
            .filter_map(|home| Some(Jdk { major: version_of(&home)?, home }))
            .collect();
        found.sort();
        Self(found)
    }

    /// The newest runtime's release, if there is any.
    #[must_use]
    pub fn newest(&self) -> Option<u32> {
        self.0.last().map(Jdk::major)
    }

    /// The oldest runtime of release `minimum` or later: the nearest to what the service was tested on.
    ///
    /// # Errors
    /// Names the service, the release it needs and what was found instead.
    pub fn at_least(&self, minimum: u32, service: &str) -> Result<&Jdk, NoJava> {
        self.0.iter().find(|jdk| jdk.major >= minimum).ok_or_else(|| {
            let found = self.description();
            NoJava(format!(
                "{service} needs Java {minimum} or later, found {found}; install it (a JRE is enough), or point JAVA_HOME to it"
            ))
        })
    }

    /// Creates folders that look like runtimes of these versions, for tests.
    ///
    /// # Panics
    /// If a folder cannot be created.
    #[must_use]
    pub fn fake(folder: &Path, versions: &[&str]) -> Self {
        Self::at(versions.iter().map(|version| install(folder, version, version).expect("a folder for a runtime")))
    }

    fn description(&self) -> String {
        if self.0.is_empty() {
            return "none in JAVA_HOME, PATH or the usual folders".to_owned();
        }
        let found: Vec<String> =
            self.0.iter().map(|jdk| format!("Java {} in {}", jdk.major, jdk.home.display())).collect();
        format!("only {}", found.join(", "))
    }
}

fn homes_in_path(path: &OsString) -> Vec<PathBuf> {
    std::env::split_paths(path)
        .filter_map(|folder| folder.join("java").canonicalize().ok())
        .filter_map(|java| Some(java.parent()?.parent()?.to_path_buf()))
        .collect()
}

fn homes_in_folder(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.filter_map(Result::ok).flat_map(|entry| [entry.path(), entry.path().join("Contents/Home")]).collect()
}

/// Reads the `release` file, which every modern runtime has; asks the program itself where there is none.
fn version_of(home: &Path) -> Option<u32> {
    if let Ok(release) = std::fs::read_to_string(home.join("release")) {
        let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="));
        if let Some(major) = version.and_then(major_version) {
            return Some(major);
        }
    }
    let output = Command::new(home.join("bin/java")).arg("-version").output().ok()?;
    let answer = String::from_utf8_lossy(&output.stderr).into_owned();
    major_version(answer.split('"').nth(1)?)
}

/// 17 from `"17.0.15"`, 8 from `1.8.0_392`, 25 from `25-ea`.
fn major_version(version: &str) -> Option<u32> {
    let mut numbers = version.trim().trim_matches('"').split(['.', '-', '+', '_']);
    let first = numbers.next()?.parse().ok()?;
    // Until Java 8 the release was the second number.
    if first == 1 { numbers.next()?.parse().ok() } else { Some(first) }
}

fn install(folder: &Path, name: &str, version: &str) -> io::Result<PathBuf> {
    let home = folder.join(name);
    std::fs::create_dir_all(home.join("bin"))?;
    std::fs::write(home.join("bin/java"), "")?;
    std::fs::write(home.join("release"), format!("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"{version}\"\n"))?;
    Ok(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: &str, expected: Option<u32>) {
        assert_eq!(major_version(version), expected, "{version}");
    }

    #[test]
    fn versions_of_every_age_are_read() {
        check("\"17.0.15\"", Some(17));
        check("21", Some(21));
        check("25-ea", Some(25));
        check("25.0.3+9-LTS", Some(25));
        check("1.8.0_392", Some(8));
        check("", None);
        check("unknown", None);
    }

    #[test]
    fn oldest_fitting_runtime_is_picked() {
        let folder = tempfile::tempdir().unwrap();
        let jdks = Jdks::fake(folder.path(), &["25.0.3", "17.0.15", "21.0.2"]);
        assert_eq!(jdks.at_least(17, "x").unwrap().major(), 17);
        assert_eq!(jdks.at_least(18, "x").unwrap().major(), 21);
        assert_eq!(jdks.newest(), Some(25));
    }

    #[test]
    fn missing_release_is_named_with_what_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let jdks = Jdks::fake(folder.path(), &["1.8.0_392"]);
        let message = jdks.at_least(21, "OpenSearch 3.8.0").unwrap_err().to_string();
        assert!(message.contains("OpenSearch 3.8.0 needs Java 21 or later"), "{message}");
        assert!(message.contains("Java 8 in"), "{message}");
        let message = Jdks::at([]).at_least(17, "ElasticMQ").unwrap_err().to_string();
        assert!(message.contains("found none in JAVA_HOME, PATH"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn a_runtime_behind_links_is_found_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = install(folder.path(), "java-17", "17.0.15").unwrap();
        std::os::unix::fs::symlink(&home, folder.path().join("default")).unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(home.join("bin/java"), bin.join("java")).unwrap();
        let mut homes = homes_in_folder(folder.path());
        homes.extend(homes_in_path(&bin.clone().into_os_string()));
        assert_eq!(Jdks::at(homes).0.len(), 1);
    }
}
