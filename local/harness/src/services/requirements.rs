//! Java and Maven, looked for before anything is built or started.

use anyhow::{Result, bail};
use driftless_start::is_in_path;

use super::engine::EngineChoice;
use super::maven::Artifact;
use super::{Existing, Jdks, WantedServices, sqs};
use crate::services::dynamodb::{DynamoDbKind, DynamoDbLocal};

/// Checks that all services that are wanted, and that do not exist yet, can be fetched and run.
///
/// # Errors
/// Names everything that is missing, with the remedy.
pub fn check_requirements(wanted: WantedServices, existing: &Existing, jdks: &Jdks) -> Result<()> {
    let mut problems = Vec::new();
    let mut artifacts = Vec::new();
    if wanted.dynamodb == DynamoDbKind::DynamoDbLocal && existing.dynamodb.is_none() {
        artifacts.push(DynamoDbLocal::artifact(jdks));
    }
    if wanted.sqs && existing.sqs.is_none() {
        artifacts.push(sqs::artifact(jdks));
    }
    if let Some(engine) = wanted.engine.filter(|_| existing.opensearch.is_none()) {
        artifacts.push(artifact(engine, jdks));
    }
    let mut fetches = false;
    for artifact in artifacts {
        match artifact {
            Ok(artifact) => fetches |= !artifact.is_fetched(),
            Err(problem) => problems.push(format!("{problem:#}")),
        }
    }
    if fetches && !is_in_path("mvn") {
        problems.push("`mvn` is not in PATH: install Apache Maven, which fetches the local services once".to_owned());
    }
    if problems.is_empty() { Ok(()) } else { bail!("{}", problems.join("\n")) }
}

fn artifact(engine: EngineChoice, jdks: &Jdks) -> Result<Artifact> {
    engine.release(jdks).map(|(release, _)| release.artifact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_named_together() {
        let folder = tempfile::tempdir().unwrap();
        let jdks = Jdks::fake(folder.path(), &["11.0.2"]);
        let error = check_requirements(WantedServices::default(), &Existing::default(), &jdks).unwrap_err().to_string();
        assert!(error.contains("ElasticMQ needs Java 17"), "{error}");
        assert!(error.contains("OpenSearch 2.19.1 needs Java 17"), "{error}");
        let url = || Some("http://127.0.0.1:1".to_owned());
        let existing = Existing { sqs: url(), opensearch: url(), ..Existing::default() };
        check_requirements(WantedServices::default(), &existing, &jdks).unwrap();
    }
}
