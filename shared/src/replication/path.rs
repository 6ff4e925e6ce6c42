//! Paths of attributes: names from the item down, joined by dots. Lists have no step of their own: `lines.price` is the
//! `price` of each map in the list `lines`.

use std::fmt;

use crate::attribute::{AttributeValue, Item};

/// Path of an attribute in an item. Has at least one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributePath(Vec<String>);

/// Error for a text that is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPath {
    /// A path without a name, or with two dots in a row.
    #[error("an empty name: write names joined by single dots, and `\"\"` for an empty name")]
    EmptyName,
    /// A quotation mark that is not closed, or has text beside it.
    #[error("a stray quotation mark: quote a whole name, as in `a.\"b.c\"`, and write `\\\"` for the mark itself")]
    Quote,
}

impl AttributePath {
    /// Parses names joined by dots. A name with a dot stands in quotation marks: `address."street.1"`.
    ///
    /// # Errors
    /// Fails for an empty name, or quotation marks that do not enclose a whole name.
    pub fn parse(text: &str) -> Result<Self, NotAPath> {
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = match rest.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    (rest[..end].to_owned(), &rest[end..])
                }
            };
            if !rest.starts_with('"') {
                if name.is_empty() {
                    return Err(NotAPath::EmptyName);
                }
                if name.contains('"') {
                    return Err(NotAPath::Quote);
                }
            }
            names.push(name);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(Self(names)),
                None => return Err(NotAPath::Quote),
            }
        }
    }

    /// Returns the names from the item down.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Returns the value at the path; `None` if an attribute on the way is missing or no map.
    #[must_use]
    pub fn find<'i, 'a>(&self, item: &'i Item<'a>) -> Option<&'i AttributeValue<'a>> {
        let (last, maps) = self.0.split_last()?;
        let inner = maps.iter().try_fold(item, |item, name| match item.0.get(name.as_str())? {
            AttributeValue::Map(map) => Some(map),
            _ => None,
        });
        inner?.0.get(last.as_str())
    }

    /// Returns the last name.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.last().expect("a path has a name")
    }

    /// Returns the path with another last name.
    #[must_use]
    pub fn renamed(&self, last: &str) -> Self {
        let mut names = self.0.clone();
        names.pop();
        names.push(last.to_owned());
        Self(names)
    }

    /// Returns `true` if the other path is this one, or leads to a part of its value.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

/// Writes the path as [`AttributePath::parse`] reads it.
impl fmt::Display for AttributePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            if at > 0 {
                out.write_str(".")?;
            }
            if name.is_empty() || name.contains(['.', '"', '\\']) {
                write!(out, "\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))?;
            } else {
                out.write_str(name)?;
            }
        }
        Ok(())
    }
}

/// Reads a name up to its closing mark, and returns what follows it.
fn unquote(text: &str) -> Result<(String, &str), NotAPath> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((name, &text[at + 1..])),
            '\\' => name.push(chars.next().ok_or(NotAPath::Quote)?.1),
            other => name.push(other),
        }
    }
    Err(NotAPath::Quote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&[&str], NotAPath>) {
        let names = AttributePath::parse(text).map(|path| path.0);
        assert_eq!(names, expect.map(|names| names.iter().map(|&name| name.to_owned()).collect()));
    }

    #[test]
    fn names_are_joined_by_dots_and_quoted_where_they_hold_one() {
        check("a", Ok(&["a"]));
        check("a.b c.d", Ok(&["a", "b c", "d"]));
        check("a.\"b.c\".d", Ok(&["a", "b.c", "d"]));
        check("\"\"", Ok(&[""]));
        check("\"a\\\"b\\\\\"", Ok(&["a\"b\\"]));
        check("", Err(NotAPath::EmptyName));
        check("a..b", Err(NotAPath::EmptyName));
        check("a.", Err(NotAPath::EmptyName));
        check("\"a", Err(NotAPath::Quote));
        check("\"a\"b", Err(NotAPath::Quote));
        check("a\"b", Err(NotAPath::Quote));
    }

    #[test]
    fn a_path_covers_itself_and_its_parts() {
        let path = |text| AttributePath::parse(text).expect("a path");
        assert!(path("a").covers(&path("a")) && path("a").covers(&path("a.b")));
        assert!(!path("a.b").covers(&path("a")) && !path("a").covers(&path("ab")));
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_is_written(names in proptest::collection::vec("[ab.\"\\\\ü]{0,4}", 1..4)) {
            let path = AttributePath(names);
            prop_assert_eq!(AttributePath::parse(&path.to_string()), Ok(path));
        }
    }
}
