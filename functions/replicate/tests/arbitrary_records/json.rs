//! JSON that can be damaged. Names and scalars keep their spelling, so that no JSON library limits the damage: a name
//! twice, half of a surrogate pair, a number out of range.

use serde_json::Value;

/// A JSON value by its spelling.
#[derive(Debug, Clone)]
pub(crate) enum Json {
    /// A string, number, boolean or null.
    Scalar(String),
    Array(Vec<Json>),
    /// Names with their quotes.
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str::<Value>(text).expect("a sample is JSON").into()
    }

    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    element.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    out.push_str(name);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// Returns the number of values, this one included.
    pub(crate) fn count(&self) -> usize {
        1 + match self {
            Self::Scalar(_) => 0,
            Self::Array(elements) => elements.iter().map(Self::count).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.count()).sum(),
        }
    }

    /// Returns the value at this place. Places count from this value as 0, parents before their children.
    pub(crate) fn nth(&mut self, place: usize) -> &mut Self {
        if place == 0 {
            return self;
        }
        let children: Vec<&mut Self> = match self {
            Self::Scalar(_) => Vec::new(),
            Self::Array(elements) => elements.iter_mut().collect(),
            Self::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
        };
        let mut left = place - 1;
        for child in children {
            let count = child.count();
            if left < count {
                return child.nth(left);
            }
            left -= count;
        }
        unreachable!("a place below the count")
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(elements) => Self::Array(elements.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (quoted(&name), value.into())).collect())
            }
            scalar => Self::Scalar(scalar.to_string()),
        }
    }
}

/// Returns a text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
