//! Definition of an index: the one that a request or the settings give.

use driftless::function::{FunctionError, Settings};
use driftless::opensearch::IndexDefinition;
use serde_json::Value;

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
