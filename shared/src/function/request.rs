//! Requests of functions that a person or a state machine invokes.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::FunctionError;
use crate::table::selection::without_nulls;

/// Parses an invocation's payload. A missing payload is an empty request, and a `null` member a missing one.
///
/// # Errors
/// Names the wrong member, and an example of what is expected.
pub fn read<T: DeserializeOwned>(payload: Value, example: &str) -> Result<T, FunctionError> {
    let payload = without_nulls(payload);
    // serde would read an array as the members in their order.
    let read = if payload.is_object() {
        serde_json::from_value(payload).map_err(|error| error.to_string())
    } else {
        Err("the payload is not an object".to_owned())
    };
    read.map_err(|problem| FunctionError::Request(format!("{problem}; expected {example}")))
}
