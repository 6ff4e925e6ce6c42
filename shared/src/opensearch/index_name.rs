//! The public name of an index, validated, and the names derived from it.

use std::sync::Arc;

/// The engine's limit for names of indices and aliases, less our suffix.
const MAX_BYTES: usize = 255 - "-write-0123456789abcdef".len();

/// Filter for metadata only, because a document can have 400 KB. Not by `_source_includes`, for which the engine builds
/// an automaton per document: 1,000 documents took 370 ms with it, and 33 ms with this filter (OpenSearch 3.8).
/// Every filter lets `error` pass, which is why the engine refuses the whole request.
const MGET_FILTER: &str =
    "error%2Cdocs._index%2Cdocs.found%2Cdocs._seq_no%2Cdocs._primary_term%2Cdocs._source._driftless%2Cdocs.error";

/// Any text, which makes the engine ask the same copies of the shards for each page of a listing. Copies refresh at
/// different times, and a document that changes meanwhile could be on none of the pages.
const SEARCH_PREFERENCE: &str = "driftless";

/// Filter for the listing of documents.
const SEARCH_FILTER: &str = "error%2Ctimed_out%2C_shards.failed%2Chits.hits._id%2Chits.hits._routing%2Chits.hits._seq_no%2Chits.hits._primary_term";

/// Public name of an index, and the names derived from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexName(Arc<Names>);

#[derive(Debug, PartialEq, Eq)]
struct Names {
    public: String,
    other: String,
    write_prefix: String,
    first: String,
}

/// Alias for writers, which shows tombstones. It leads to one physical index and never to another: its name ends with a
/// number that was drawn at its creation. So no write can land in an index that replaced this one, where a remembered
/// position could fit by chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteAlias {
    name: String,
    bulk_path: String,
    mget_one_path: String,
    mget_path: String,
    search_path: String,
    count_path: String,
}

impl IndexName {
    /// Validates a name by the engine's rules for index names.
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
            other: format!("{public}-other"),
            write_prefix: format!("{public}-write-"),
            first: format!("{public}-000001"),
            public: public.to_owned(),
        })))
    }

    /// Returns the alias for readers, which hides tombstones.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.0.public
    }

    /// Returns the alias for readers of the second index of a re-index. It hides tombstones, too.
    #[must_use]
    pub fn other(&self) -> &str {
        &self.0.other
    }

    /// Returns the common prefix of write aliases.
    pub(super) fn write_prefix(&self) -> &str {
        &self.0.write_prefix
    }

    /// Returns the name of the first physical index.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.0.first
    }

    /// Returns `true` for the name of a physical index: the public name and six digits.
    pub(super) fn is_numbered(&self, name: &str) -> bool {
        self.number(name).is_some()
    }

    /// Returns the name of the physical index after this one; `None` after the last.
    pub(super) fn after(&self, name: &str) -> Option<String> {
        let number = self.number(name)?.checked_add(1).filter(|number| *number < 1_000_000)?;
        Some(format!("{}-{number:06}", self.public()))
    }

    fn number(&self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(self.public())?.strip_prefix('-')?;
        (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
    }
}

impl WriteAlias {
    /// Draws a name that no other index has.
    pub(super) fn draw(index: &IndexName) -> Self {
        Self::named(format!("{}{:016x}", index.write_prefix(), fastrand::u64(..)))
    }

    /// Finds the write alias among an index's aliases.
    pub(super) fn find<'a>(index: &IndexName, mut aliases: impl Iterator<Item = &'a String>) -> Option<Self> {
        let is_one = |alias: &&String| {
            alias.strip_prefix(index.write_prefix()).is_some_and(|number| {
                number.len() == 16 && number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            })
        };
        aliases.find(is_one).cloned().map(Self::named)
    }

    fn named(name: String) -> Self {
        Self {
            // Without `filter_path`, which costs the engine a twentieth of a bulk request of one document.
            bulk_path: format!("/{name}/_bulk?require_alias=true"),
            mget_one_path: format!("/{name}/_mget?realtime=true"),
            mget_path: format!("/{name}/_mget?realtime=true&filter_path={MGET_FILTER}"),
            search_path: format!("/{name}/_search?preference={SEARCH_PREFERENCE}&filter_path={SEARCH_FILTER}"),
            count_path: format!("/{name}/_count"),
            name,
        }
    }

    /// Returns the alias's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn bulk_path(&self) -> &str {
        &self.bulk_path
    }

    /// Returns the path for reading whole documents. Without `filter_path`, for which the engine parses and rewrites
    /// each document: numbers would lose digits.
    pub(super) fn whole_documents_path(&self) -> &str {
        &self.mget_one_path
    }

    pub(super) fn search_path(&self) -> &str {
        &self.search_path
    }

    pub(super) fn count_path(&self) -> &str {
        &self.count_path
    }

    /// Returns the path for this many documents. For one, a whole answer takes less time (0.45 ms) than a filtered one
    /// (0.52 ms).
    pub(super) fn mget_path(&self, documents: usize) -> &str {
        if documents == 1 { &self.mget_one_path } else { &self.mget_path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_among_aliases_and_drawn_anew_each_time() {
        let index = IndexName::new("i").expect("a name");
        let drawn = WriteAlias::draw(&index);
        assert_ne!(drawn, WriteAlias::draw(&index));
        let others = ["i", "i-write", "i-write-0123", "i-write-0123456789ABCDEF", "j-write-0123456789abcdef"];
        let mut aliases: Vec<String> = others.map(str::to_owned).into();
        assert_eq!(WriteAlias::find(&index, aliases.iter()), None);
        aliases.push(drawn.name().to_owned());
        assert_eq!(WriteAlias::find(&index, aliases.iter()), Some(drawn));
    }

    #[test]
    fn physical_indexes_are_counted() {
        let index = IndexName::new("i").expect("a name");
        assert_eq!(index.after(index.first()).as_deref(), Some("i-000002"));
        assert_eq!((index.after("i-999999"), index.after("i-1"), index.after("j-000001")), (None, None, None));
    }

    #[test]
    fn the_longest_name_leaves_room_for_it() {
        let index = IndexName::new(&"i".repeat(MAX_BYTES)).expect("a name");
        assert_eq!(WriteAlias::draw(&index).name().len(), 255);
        assert!(IndexName::new(&"i".repeat(MAX_BYTES + 1)).is_err());
    }
}
