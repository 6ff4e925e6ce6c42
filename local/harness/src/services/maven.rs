//! Fetches a Java service and everything it needs from Maven, once, into `<target dir>/local/<artifact>-<version>/lib`.
//!
//! The folder `lib` appears by a rename when all jars are there, so it is complete or absent. A file lock keeps
//! concurrent processes (two test binaries, the demo beside the tests) from fetching at the same time: Maven's own
//! local repository does not bear that either.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use driftless_start::Jdk;
use tokio::time::sleep;

use super::process::{ChildProcess, ProcessLaunch};
use super::workspace;

/// Pinned, so that every machine resolves in the same way.
const DEPENDENCY_PLUGIN: &str = "3.6.1";
/// Exit code of a shell for a program that it cannot find.
const NOT_FOUND: i32 = 127;
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// The coordinates of something in a Maven repository.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coordinates {
    /// Maven's `groupId` of the artifact.
    pub(super) group: &'static str,
    /// Maven's `artifactId` of the artifact.
    pub(super) artifact: &'static str,
    /// Maven's `version` of the artifact.
    pub(super) version: &'static str,
}

/// A service to be fetched with its dependencies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Artifact {
    /// Coordinates of the service itself.
    pub(super) coordinates: Coordinates,
    /// A bill of materials which overrides versions that the service names and no repository has.
    pub(super) bom: Option<Coordinates>,
}

impl Artifact {
    /// The folder that holds all jars (and native libraries), fetched with `mvn` if it is not there yet.
    ///
    /// # Errors
    /// Where `mvn` is missing or fails; the error then ends with what it printed.
    pub(super) async fn jars(self, jdk: &Jdk) -> Result<PathBuf> {
        self.fetch_into(&workspace::local_dir(), jdk).await
    }

    /// Returns whether the jars are there, so that Maven is not needed.
    pub(super) fn is_fetched(&self) -> bool {
        self.is_fetched_into(&self.folder(&workspace::local_dir()))
    }

    /// A changed recipe (another bill of materials) is fetched anew.
    fn is_fetched_into(&self, folder: &Path) -> bool {
        folder.join("lib").is_dir()
            && fs::read_to_string(folder.join("pom.xml")).is_ok_and(|written| written == self.pom())
    }

    fn folder(&self, local: &Path) -> PathBuf {
        let Coordinates { artifact, version, .. } = self.coordinates;
        local.join(format!("{artifact}-{version}"))
    }

    async fn fetch_into(&self, local: &Path, jdk: &Jdk) -> Result<PathBuf> {
        let Coordinates { artifact, version, .. } = self.coordinates;
        let folder = self.folder(local);
        let (pom, lib) = (folder.join("pom.xml"), folder.join("lib"));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let _lock = locked(&local.join("maven.lock")).await?;
        if self.is_fetched_into(&folder) {
            return Ok(lib);
        }
        let partial = folder.join("partial");
        for old in [&lib, &partial] {
            remove_folder(old)?;
        }
        fs::write(&pom, self.pom()).with_context(|| format!("write {}", pom.display()))?;
        tracing::info!("fetching {artifact} {version} with Maven (once)");
        run_maven(&pom, &partial, jdk).await.with_context(|| format!("fetch {artifact} {version} with Maven"))?;
        fs::rename(&partial, &lib).with_context(|| format!("complete {}", lib.display()))?;
        Ok(lib)
    }

    /// The project that depends on nothing but this artifact.
    fn pom(&self) -> String {
        let bom = self.bom.map_or_else(String::new, |bom| {
            let import = bom.dependency("<type>pom</type><scope>import</scope>");
            format!("  <dependencyManagement><dependencies>{import}</dependencies></dependencyManagement>\n")
        });
        let service = self.coordinates.dependency("");
        format!(
            r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>{name}</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
{bom}  <dependencies>{service}</dependencies>
  <build><pluginManagement><plugins><plugin>
    <artifactId>maven-dependency-plugin</artifactId><version>{DEPENDENCY_PLUGIN}</version>
  </plugin></plugins></pluginManagement></build>
</project>
"#,
            name = self.coordinates.artifact,
        )
    }
}

impl Coordinates {
    fn dependency(&self, more: &str) -> String {
        let Self { group, artifact, version } = self;
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>{more}</dependency>"
        )
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Waits for other processes that run Maven.
async fn locked(path: &Path) -> Result<File> {
    let lock = File::create(path).with_context(|| format!("create {}", path.display()))?;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => sleep(LOCK_INTERVAL).await,
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
    }
}

/// Maven ends with the tool as a service does, and what it has copied by then is removed.
async fn run_maven(pom: &Path, into: &Path, jdk: &Jdk) -> Result<()> {
    let assign = |name: &str, path: &Path| -> OsString {
        let mut text = OsString::from(name);
        text.push(path);
        text
    };
    let launch = ProcessLaunch {
        name: "mvn".to_owned(),
        command: vec![
            "env".into(),
            assign("JAVA_HOME=", jdk.home()),
            "mvn".into(),
            "-q".into(),
            "-B".into(),
            "-f".into(),
            pom.into(),
            "dependency:copy-dependencies".into(),
            "-DincludeScope=runtime".into(),
            assign("-DoutputDirectory=", into),
        ],
        log: pom.with_file_name("maven.log"),
        scratch: Some(into.to_owned()),
        grace: Duration::from_secs(5),
    };
    let (status, log) = ChildProcess::start(launch).await?.finish().await?;
    if status.code() == Some(NOT_FOUND) {
        bail!("`mvn` is not in PATH: install Apache Maven, which fetches the local services once");
    }
    if !status.success() || !into.is_dir() {
        bail!("mvn failed with {status}; {log}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_start::Jdks;

    const SERVICE: Coordinates = Coordinates { group: "org.example", artifact: "service", version: "1.2" };

    #[test]
    fn pom_names_the_artifact_only() {
        let pom = Artifact { coordinates: SERVICE, bom: None }.pom();
        assert!(pom.contains(
            "<dependency><groupId>org.example</groupId><artifactId>service</artifactId><version>1.2</version></dependency>"
        ));
        assert!(!pom.contains("dependencyManagement"));
    }

    #[test]
    fn pom_imports_the_bill_of_materials() {
        let bom = Coordinates { group: "org.example", artifact: "bom", version: "3" };
        let pom = Artifact { coordinates: SERVICE, bom: Some(bom) }.pom();
        assert!(pom.contains(
            "<artifactId>bom</artifactId><version>3</version><type>pom</type><scope>import</scope></dependency></dependencies></dependencyManagement>"
        ));
    }

    #[tokio::test]
    async fn complete_jars_are_not_fetched_again() {
        let local = tempfile::tempdir().unwrap();
        let artifact = Artifact { coordinates: SERVICE, bom: None };
        let folder = local.path().join("service-1.2");
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::write(folder.join("pom.xml"), artifact.pom()).unwrap();
        let jdks = Jdks::fake(local.path(), &["17.0.15"]);
        let jdk = jdks.at_least(17, "Maven").unwrap().clone();
        assert_eq!(artifact.fetch_into(local.path(), &jdk).await.unwrap(), folder.join("lib"));
    }
}
