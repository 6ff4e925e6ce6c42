//! Paths of one section: checked against each other, and made into the tree of rules.

use std::collections::BTreeSet;

use super::compile::Compiler;
use super::config::{Section, Text};
use super::path::AttributePath;
use super::rules::{AttributeRules, Conversion, Selection};

/// Paths of one section, by the key that they stand under.
pub(super) struct Paths<'s> {
    included: Vec<(AttributePath, &'s Text)>,
    excluded: Vec<(AttributePath, &'s Text)>,
    /// Paths whose value is converted as a whole, with the name of the key.
    converted: Vec<(AttributePath, &'s Text, &'static str)>,
    renamed: Vec<(AttributePath, &'s Text, &'s Text)>,
}

impl Compiler<'_> {
    pub(super) fn rules(&mut self, section: &Section, paths: &Paths<'_>) -> AttributeRules {
        let mut root = AttributeRules::default();
        for (path, _) in &paths.included {
            root.include(path);
        }
        for (path, _) in &paths.excluded {
            root.at(path).selection = Selection::Excluded;
        }
        for (path, _, to) in &paths.renamed {
            root.at(path).name = Some(to.get_ref().clone());
        }
        for (path, text) in
            section.hash.iter().filter_map(|text| Some((AttributePath::parse(text.get_ref()).ok()?, text)))
        {
            if let Some(key) = self.key(text) {
                root.at(&path).conversion = Some(Conversion::Hash(key));
            }
        }
        for text in &section.json_text {
            if let Ok(path) = AttributePath::parse(text.get_ref()) {
                root.at(&path).conversion = Some(Conversion::JsonText);
            }
        }
        for (text, form) in &section.dates {
            if let Ok(path) = AttributePath::parse(text.get_ref()) {
                root.at(&path).conversion = Some(Conversion::Date(*form));
            }
        }
        root
    }

    pub(super) fn paths<'s>(&mut self, section: &'s Section) -> Paths<'s> {
        let mut of = |texts: &'s [Text]| -> Vec<(AttributePath, &'s Text)> {
            texts.iter().filter_map(|text| Some((self.path(text)?, text))).collect()
        };
        let (included, excluded) = (of(&section.include), of(&section.exclude));
        let (hashed, json) = (of(&section.hash), of(&section.json_text));
        let dates = section.dates.keys().filter_map(|text| Some((self.path(text)?, text, "dates")));
        let mut converted: Vec<(AttributePath, &Text, &'static str)> = dates.collect();
        converted.extend(hashed.into_iter().map(|(path, text)| (path, text, "hash")));
        converted.extend(json.into_iter().map(|(path, text)| (path, text, "json_text")));
        converted.sort_by_key(|(_, text, _)| text.span().start);
        let renamed = section.rename.iter().filter_map(|(text, to)| Some((self.path(text)?, text, to))).collect();
        Paths { included, excluded, converted, renamed }
    }

    pub(super) fn path(&mut self, text: &Text) -> Option<AttributePath> {
        match AttributePath::parse(text.get_ref()) {
            Ok(path) => Some(path),
            Err(error) => {
                self.problems.at(text, format_args!("`{}` is no path of an attribute: {error}", text.get_ref()));
                None
            }
        }
    }

    /// Refuses rules that contradict each other, or can have no effect.
    pub(super) fn check_paths(&mut self, paths: &Paths<'_>) {
        self.refuse_overlap(&paths.included, "include");
        self.refuse_overlap(&paths.excluded, "exclude");
        for (excluded, text) in &paths.excluded {
            if let Some((included, _)) = paths.included.iter().find(|(included, _)| excluded.covers(included)) {
                self.problems.at(
                    text,
                    format_args!("`{excluded}` is excluded, and `{included}` included: remove one of the two"),
                );
            }
        }
        let changed = paths.converted.iter().map(|(path, text, key)| (path, *text, *key));
        let changed = changed.chain(paths.renamed.iter().map(|(path, text, _)| (path, *text, "rename")));
        for (path, text, key) in changed {
            if let Some((excluded, _)) = paths.excluded.iter().find(|(excluded, _)| excluded.covers(path)) {
                self.problems.at(
                    text,
                    format_args!("`{path}` stands under `{key}`, and `{excluded}` is excluded: remove one of the two"),
                );
            }
            let reached =
                |included: &AttributePath| included.covers(path) || (key == "rename" && path.covers(included));
            if !paths.included.is_empty() && !paths.included.iter().any(|(included, _)| reached(included)) {
                self.problems.at(
                    text,
                    format_args!(
                        "`{path}` stands under `{key}`, and `include` leaves it out: add it there, or remove it"
                    ),
                );
            }
        }
        for (at, (path, text, key)) in paths.converted.iter().enumerate() {
            for (other, _, other_key) in &paths.converted[..at] {
                if other.covers(path) || path.covers(other) {
                    self.problems.at(
                        text,
                        format_args!(
                            "`{path}` stands under `{key}`, and `{other}` under `{other_key}`: a value is converted once, \
                             as a whole"
                        ),
                    );
                }
            }
            for (inner, inner_text, inner_key) in below(paths, path) {
                self.problems.at(
                    inner_text,
                    format_args!(
                        "`{inner}` stands under `{inner_key}`, and `{path}` is converted as a whole by `{key}`"
                    ),
                );
            }
        }
        self.check_new_names(paths);
    }

    /// Refuses new names that two attributes would have.
    fn check_new_names(&mut self, paths: &Paths<'_>) {
        let mut taken: BTreeSet<AttributePath> = BTreeSet::new();
        for (path, text, to) in &paths.renamed {
            let name = to.get_ref();
            if name.is_empty() || name.contains('.') {
                self.problems.at(
                    *to,
                    format_args!(
                        "`{name}` is no new name: `rename` keeps an attribute at its level, so give a name without dots, and \
                         use `document` to move it"
                    ),
                );
                continue;
            }
            let target = path.renamed(name);
            if target == *path {
                self.problems.at(*text, format_args!("`{path}` has this name already: remove the line"));
            }
            let included = paths.included.iter().any(|(included, _)| *included == target);
            let is_renamed = paths.renamed.iter().any(|(renamed, ..)| *renamed == target);
            if !taken.insert(target.clone()) || (included && !is_renamed) {
                self.problems
                    .at(*to, format_args!("two attributes would be the field `{target}`: choose another name"));
            }
        }
    }

    fn refuse_overlap(&mut self, paths: &[(AttributePath, &Text)], key: &str) {
        for (at, (path, text)) in paths.iter().enumerate() {
            let others = paths.iter().enumerate().filter(|(other_at, _)| *other_at != at).map(|(_, (other, _))| other);
            let mut covering = others.filter(|other| other.covers(path));
            if let Some(other) =
                covering.find(|other| *other != path || paths[..at].iter().any(|(first, _)| first == path))
            {
                self.problems.at(*text, format_args!("`{path}` is part of `{other}`, which `{key}` names: remove one"));
            }
        }
    }
}

/// Rules for the inside of a path.
fn below<'p>(
    paths: &'p Paths<'_>,
    path: &'p AttributePath,
) -> impl Iterator<Item = (&'p AttributePath, &'p Text, &'static str)> {
    let included = paths.included.iter().map(|(path, text)| (path, *text, "include"));
    let excluded = paths.excluded.iter().map(|(path, text)| (path, *text, "exclude"));
    let renamed = paths.renamed.iter().map(|(path, text, _)| (path, *text, "rename"));
    included.chain(excluded).chain(renamed).filter(move |(inner, ..)| *inner != path && path.covers(inner))
}
