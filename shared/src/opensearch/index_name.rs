//! An index's public name, checked, and the names that follow from it.

use std::sync::Arc;

/// The engine's limit for index names, less what we append.
const MAX_BYTES: usize = 255 - "-000001".len();

/// The public name of an index, and the names that follow from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexName(Arc<Names>);

#[derive(Debug, PartialEq, Eq)]
struct Names {
    public: String,
    write: String,
    first: String,
    bulk_path: String,
    mget_path: String,
}

impl IndexName {
    /// Checks the engine's rules for index names.
    ///
    /// # Errors
    /// Says which rule is broken, without repeating the name.
    pub fn new(public: &str) -> Result<Self, String> {
        let forbidden =
            |c: char| c.is_uppercase() || c.is_whitespace() || c.is_control() || r#"\/*?"<>|,#:%+"#.contains(c);
        if public.is_empty() || public.len() > MAX_BYTES {
            return Err(format!("must have 1 to {MAX_BYTES} bytes"));
        }
        if public.contains(forbidden) || public.starts_with(['-', '_', '+', '.']) {
            return Err("must be lower case, begin with a letter or digit, and hold none of \\ / * ? \" < > | , # : % + or spaces".to_owned());
        }
        Ok(Self(Arc::new(Names {
            write: format!("{public}-write"),
            first: format!("{public}-000001"),
            bulk_path: format!("/{public}-write/_bulk"),
            mget_path: format!("/{public}-write/_mget"),
            public: public.to_owned(),
        })))
    }

    /// The alias for readers: without tombstones.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.0.public
    }

    /// The alias for writers: with tombstones.
    #[must_use]
    pub fn write(&self) -> &str {
        &self.0.write
    }

    /// The first physical index.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.0.first
    }

    pub(super) fn bulk_path(&self) -> &str {
        &self.0.bulk_path
    }

    pub(super) fn mget_path(&self) -> &str {
        &self.0.mget_path
    }
}
