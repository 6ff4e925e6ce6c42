//! Fetches a Java service and everything it needs from Maven, once, into `<target dir>/local/<artifact>-<version>/lib`.
//!
//! The folder `lib` appears by a rename when all jars are there, so it is complete or absent. A file lock keeps
//! concurrent processes (two test binaries, the demo beside the tests) from fetching at the same time: Maven's own local
//! repository does not bear that either.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use super::jdk::Jdk;
use super::process::last_lines;
use super::workspace;

/// Pinned, so that every machine resolves in the same way.
const DEPENDENCY_PLUGIN: &str = "3.6.1";

/// The coordinates of something in a Maven repository.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coordinates {
    /// `groupId`
    pub(super) group: &'static str,
    /// `artifactId`
    pub(super) artifact: &'static str,
    /// `version`
    pub(super) version: &'static str,
}

/// A service to be fetched with its dependencies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Artifact {
    /// The service itself.
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
        let jdk = jdk.clone();
        // Waiting for the lock and for Maven blocks.
        tokio::task::spawn_blocking(move || self.fetch_into(&workspace::local_dir(), &jdk))
            .await
            .context("fetch the jars in a thread")?
    }

    fn fetch_into(&self, local: &Path, jdk: &Jdk) -> Result<PathBuf> {
        let Coordinates { artifact, version, .. } = self.coordinates;
        let folder = local.join(format!("{artifact}-{version}"));
        let (pom, lib) = (folder.join("pom.xml"), folder.join("lib"));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let lock = File::create(local.join("maven.lock")).context("create the lock for Maven")?;
        lock.lock().context("wait for another process that runs Maven")?;
        // A changed recipe (another bill of materials) is fetched anew.
        if lib.is_dir() && fs::read_to_string(&pom).is_ok_and(|written| written == self.pom()) {
            return Ok(lib);
        }
        let partial = folder.join("partial");
        for old in [&lib, &partial] {
            remove_folder(old)?;
        }
        fs::write(&pom, self.pom()).with_context(|| format!("write {}", pom.display()))?;
        tracing::info!("fetching {artifact} {version} with Maven (once)");
        run_maven(&pom, &partial, jdk).with_context(|| format!("fetch {artifact} {version} with Maven"))?;
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

fn run_maven(pom: &Path, into: &Path, jdk: &Jdk) -> Result<()> {
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", into.display()))
        .env("JAVA_HOME", jdk.home())
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() && into.is_dir() => Ok(()),
        Ok(output) => bail!("mvn failed with {}:\n{}", output.status, last_lines(&printed(&output), 30)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("`mvn` is not in PATH: install Apache Maven, which fetches the local services once")
        }
        Err(error) => Err(error).context("run mvn"),
    }
}

fn printed(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

#[cfg(test)]
mod tests {
    use super::super::jdk::Jdks;
    use super::*;

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

    #[test]
    fn complete_jars_are_not_fetched_again() {
        let local = tempfile::tempdir().unwrap();
        let artifact = Artifact { coordinates: SERVICE, bom: None };
        let folder = local.path().join("service-1.2");
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::write(folder.join("pom.xml"), artifact.pom()).unwrap();
        let jdks = Jdks::fake(local.path(), &["17.0.15"]);
        let jdk = jdks.at_least(17, "Maven").unwrap().clone();
        assert_eq!(artifact.fetch_into(local.path(), &jdk).unwrap(), folder.join("lib"));
    }
}
