//! Definition of an index: the one that a request or the settings give, and its part that a live index can be given.

use driftless::function::{FunctionError, Settings};
use driftless::opensearch::{Drift, Engine, IndexDefinition, IndexPair};
use serde_json::Value;
use tokio::time::Instant;

/// Returns the request's definition, or else the function's own. Without an interval of refreshes, it gets
/// `REFRESH_INTERVAL`.
pub(crate) fn definition(settings: &Settings, requested: Option<&Value>) -> Result<IndexDefinition, FunctionError> {
    let Some(requested) = requested else { return Ok(settings.definition.clone()) };
    let definition = IndexDefinition::from_json(&requested.to_string())
        .map_err(|problem| FunctionError::Request(format!("definition {problem}")))?;
    Ok(match &settings.refresh_interval {
        Some(interval) => definition.clone().with_refresh_interval(interval).unwrap_or(definition),
        None => definition,
    })
}

/// Gives the public index what it can be given of a definition. Returns the drift that is left.
///
/// # Errors
/// Fails during a re-index, and if the engine refuses a change.
pub(crate) async fn apply(
    engine: &Engine,
    pair: &IndexPair,
    definition: &IndexDefinition,
    deadline: Instant,
) -> Result<Drift, FunctionError> {
    if let Some(other) = &pair.other {
        return Err(FunctionError::Request(format!(
            "apply changes one index, and `{}` is written, too: end the re-index first",
            other.index.name
        )));
    }
    Ok(engine.apply_definition(&pair.public.index.name, definition, deadline).await?)
}

/// Compares the public index with the function's definition, unless that is the default one.
///
/// # Errors
/// Fails if the index cannot be described.
pub(crate) async fn drift(
    engine: &Engine,
    pair: &IndexPair,
    settings: &Settings,
    deadline: Instant,
) -> Result<Option<Drift>, FunctionError> {
    if settings.definition == IndexDefinition::default() {
        return Ok(None);
    }
    Ok(Some(engine.drift(&pair.public.index.name, &settings.definition, deadline).await?))
}
