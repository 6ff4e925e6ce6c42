//! Text that a variable holds, compressed or not, or that stands in a file which it names.

use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;

/// Base64 of the first bytes of every gzip file.
const GZIP: &str = "H4sI";
/// Maximum size of what a variable holds compressed.
const MAX_BYTES: u64 = 1 << 20;

/// Text of a variable, and the file that it stands in, if it does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VariableText {
    pub(super) text: String,
    pub(super) file: Option<String>,
}

/// Reads the text of a variable's value. `is_text` is true if the value itself is the text; `example` is the name of a
/// file for the remedy.
///
/// # Errors
/// Says what is wrong, worded to follow the variable's name.
pub(super) fn read(value: String, is_text: bool, example: &str) -> Result<VariableText, String> {
    if value.starts_with(GZIP) {
        let text = inflate(&value).ok_or_else(|| {
            format!("holds no gzip file in base64, of up to 1 MiB: make it with `gzip -9c {example} | base64 -w0`")
        })?;
        return Ok(VariableText { text, file: None });
    }
    if is_text {
        return Ok(VariableText { text: value, file: None });
    }
    let text = std::fs::read_to_string(&value).map_err(|error| {
        format!(
            "names the file {value}, which cannot be read ({error}): it must be in the deployment package or a layer; or \
             give its content, plain or as `gzip -9c {example} | base64 -w0`"
        )
    })?;
    Ok(VariableText { text, file: Some(value) })
}

/// Inflates the base64 of a gzip file; `None` for any other text, and from 1 MiB on.
fn inflate(text: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let mut json = String::new();
    let read = GzDecoder::new(&bytes[..]).take(MAX_BYTES + 1).read_to_string(&mut json).ok()?;
    (read as u64 <= MAX_BYTES).then_some(json)
}
