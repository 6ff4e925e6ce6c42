//! The six types of jq: all that a message tells of a value.

use jaq_json::Val;

/// Type of a jq value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Null, Self::Boolean, Self::Number, Self::String, Self::Array, Self::Object];

    pub(super) fn of(val: &Val) -> Self {
        match val {
            Val::Null => Self::Null,
            Val::Bool(_) => Self::Boolean,
            Val::Num(_) => Self::Number,
            Val::TStr(_) | Val::BStr(_) => Self::String,
            Val::Arr(_) => Self::Array,
            Val::Obj(_) => Self::Object,
        }
    }

    /// Returns the name that jq's `type` gives.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}
