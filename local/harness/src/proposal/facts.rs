//! Facts about the values of a field in sampled items: counts, lengths and forms. They hold hashes, and no value.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use driftless::attribute::AttributeValue;
use driftless::field::{Level, field_name};
use driftless::number::Number;

use super::shape::{NumberShape, TimeForm, time_form};

/// Different values that are told apart; more are many.
const MANY_VALUES: usize = 10_000;

/// Facts about one field, or about the whole item.
#[derive(Debug, Default)]
pub(super) struct FieldFacts {
    /// Items, or maps, that have the field.
    pub(super) present: u64,
    pub(super) bools: u64,
    pub(super) binaries: u64,
    /// Maps that are the value, or elements of the list that is.
    pub(super) maps: u64,
    /// Maps among them that are elements of a list.
    pub(super) map_elements: u64,
    pub(super) lists: u64,
    pub(super) texts: TextFacts,
    pub(super) numbers: NumberFacts,
    /// Members of the maps.
    pub(super) members: BTreeMap<String, FieldFacts>,
}

/// Facts about the texts of a field.
#[derive(Debug, Default)]
pub(super) struct TextFacts {
    pub(super) count: u64,
    different: HashSet<u64>,
    pub(super) longest: usize,
    pub(super) words: u64,
    /// Texts with white space in them.
    pub(super) spaced: u64,
    pub(super) iso_times: u64,
    pub(super) spaced_times: u64,
}

/// Facts about the numbers of a field.
#[derive(Debug, Default)]
pub(super) struct NumberFacts {
    pub(super) count: u64,
    pub(super) whole: u64,
    /// Whole numbers beyond 2^53.
    pub(super) beyond_double: u64,
    /// Numbers of more than 15 significant digits that a double may cut.
    pub(super) long: u64,
    pub(super) seconds: u64,
    pub(super) milliseconds: u64,
    /// Numbers that may be a latitude, or a longitude.
    pub(super) latitudes: u64,
    pub(super) longitudes: u64,
}

impl FieldFacts {
    /// Returns the facts of a member, which counts as present once more.
    pub(super) fn member(&mut self, name: &str) -> &mut Self {
        let member = self.members.entry(name.to_owned()).or_default();
        member.present += 1;
        member
    }

    /// Notes a value of the field.
    pub(super) fn note(&mut self, value: &AttributeValue<'_>) {
        match value {
            AttributeValue::String(text) => self.texts.note(text),
            AttributeValue::Number(number) => self.numbers.note(number),
            AttributeValue::Binary(_) => self.binaries += 1,
            AttributeValue::Bool(_) => self.bools += 1,
            AttributeValue::Null => {}
            AttributeValue::Map(map) => {
                self.maps += 1;
                for (name, value) in &map.0 {
                    self.member(&field_name(name, Level::Nested)).note(value);
                }
            }
            AttributeValue::List(values) => {
                self.lists += 1;
                for value in values {
                    self.map_elements += u64::from(matches!(value, AttributeValue::Map(_)));
                    self.note(value);
                }
            }
            AttributeValue::StringSet(texts) => texts.iter().for_each(|text| self.texts.note(text)),
            AttributeValue::NumberSet(numbers) => numbers.iter().for_each(|number| self.numbers.note(number)),
            AttributeValue::BinarySet(set) => self.binaries += set.len() as u64,
        }
    }

    /// Names the kinds of scalars among the values.
    pub(super) fn scalars(&self) -> Vec<&'static str> {
        let kinds = [
            (self.texts.count, "texts"),
            (self.numbers.count, "numbers"),
            (self.bools, "truth values"),
            (self.binaries, "binaries"),
        ];
        kinds.into_iter().filter(|(count, _)| *count > 0).map(|(_, kind)| kind).collect()
    }
}

impl TextFacts {
    fn note(&mut self, text: &str) {
        self.count += 1;
        if self.different.len() < MANY_VALUES {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            self.different.insert(hasher.finish());
        }
        self.longest = self.longest.max(text.chars().count());
        self.words += text.split_whitespace().count() as u64;
        self.spaced += u64::from(text.trim().contains(char::is_whitespace));
        match time_form(text) {
            Some(TimeForm::Iso) => self.iso_times += 1,
            Some(TimeForm::Spaced) => self.spaced_times += 1,
            None => {}
        }
    }

    /// Returns the number of different texts.
    pub(super) fn different(&self) -> u64 {
        self.different.len() as u64
    }
}

impl NumberFacts {
    fn note(&mut self, number: &Number) {
        let shape = NumberShape::of(number);
        self.count += 1;
        self.whole += u64::from(shape.is_whole);
        self.beyond_double += u64::from(shape.is_whole && shape.is_beyond_double());
        self.long += u64::from(shape.digits > 15 && (!shape.is_whole || shape.is_beyond_double()));
        self.seconds += u64::from(shape.is_seconds());
        self.milliseconds += u64::from(shape.is_milliseconds());
        self.latitudes += u64::from(shape.value.abs() <= 90.0);
        self.longitudes += u64::from(shape.value.abs() <= 180.0);
    }
}
