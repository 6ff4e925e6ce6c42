//! Fields derived from a text by the named groups of a regular expression.

use std::borrow::Cow;

use regex::Regex;

use super::config::Otherwise;
use super::path::AttributePath;
use crate::attribute::{AttributeValue, Item};

/// Fields that one pattern takes out of one attribute.
#[derive(Debug, Clone)]
pub(super) struct Derivation {
    pub(super) from: AttributePath,
    pub(super) pattern: Regex,
    /// Named groups that become fields.
    pub(super) fields: Vec<String>,
    pub(super) otherwise: Otherwise,
}

impl Derivation {
    /// Returns the derived fields of an item; a group that took no part gives none.
    ///
    /// # Errors
    /// Says why the pattern gives nothing, if that is to be refused.
    pub(super) fn fields_of(&self, item: &Item<'_>) -> Result<Vec<(&str, AttributeValue<'static>)>, &'static str> {
        let problem = match self.text(item) {
            None => "is missing, or neither a string nor a number: the pattern of `derive` needs it",
            Some(text) => match self.pattern.captures(&text) {
                None => "does not match the pattern of `derive`",
                Some(groups) => {
                    let field = |name: &'_ String| groups.name(name).map(|group| group.as_str().to_owned());
                    let fields = self.fields.iter().filter_map(|name| Some((name.as_str(), field(name)?)));
                    return Ok(fields.map(|(name, text)| (name, AttributeValue::String(text.into()))).collect());
                }
            },
        };
        if self.otherwise == Otherwise::LeaveOut { Ok(Vec::new()) } else { Err(problem) }
    }

    fn text<'i>(&self, item: &'i Item<'_>) -> Option<Cow<'i, str>> {
        match self.from.find(item)? {
            AttributeValue::String(text) => Some(Cow::Borrowed(text)),
            AttributeValue::Number(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }
}
