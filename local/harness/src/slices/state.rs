//! State of long work: each part's cursor, and the sums of what the answers counted.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

/// Limit for examples, which each answer has some of.
const MOST_EXAMPLES: usize = 10;

/// Sums of counts, by their names in the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts(BTreeMap<String, Number>);

/// State of one part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartState {
    /// Number of the segment, from 0 on.
    pub segment: u32,
    /// Cursor of the last answer.
    pub cursor: Option<Value>,
    /// True if nothing is left of this part.
    pub done: bool,
    /// Sums over all answers.
    pub counts: Counts,
    /// Other members of the answers: lists are joined up to ten elements, of numbers the greatest counts, of truth
    /// values `false`, and of others the last.
    members: Map<String, Value>,
}

/// State of all parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkState {
    /// States of the parts, in the order of their segments.
    pub parts: Vec<PartState>,
    /// Time of all runs so far.
    pub seconds: f64,
}

impl Counts {
    /// Returns a count, if an answer had it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Number::as_f64)
    }

    /// Returns a count, 0 if no answer had it.
    #[must_use]
    pub fn number(&self, name: &str) -> f64 {
        self.get(name).unwrap_or_default()
    }

    /// Returns a whole count, 0 if no answer had it.
    #[must_use]
    pub fn whole(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Number::as_u64).unwrap_or_default()
    }

    fn add(&mut self, name: &str, more: &Number) {
        let sum = match self.0.get(name) {
            None => more.clone(),
            Some(sum) => match (sum.as_u64(), more.as_u64()) {
                (Some(sum), Some(more)) => sum.saturating_add(more).into(),
                // Sums of finite numbers of this size are finite.
                _ => Number::from_f64(sum.as_f64().unwrap_or_default() + more.as_f64().unwrap_or_default())
                    .unwrap_or_else(|| 0.into()),
            },
        };
        self.0.insert(name.to_owned(), sum);
    }

    fn add_all(&mut self, more: &Self) {
        more.0.iter().for_each(|(name, number)| self.add(name, number));
    }
}

impl PartState {
    /// Adds an answer. Returns `false` if it shows no progress: the same cursor, and not done.
    ///
    /// # Errors
    /// Fails if it is not an answer with `done`, `cursor` and `counts`.
    pub fn take(&mut self, answer: &[u8]) -> Result<bool> {
        let answer: Value = serde_json::from_slice(answer).context("read the function's answer")?;
        let Value::Object(mut answer) = answer else { bail!("the function's answer is no object: {answer}") };
        let done = answer.remove("done").and_then(|done| done.as_bool());
        let done = done.context("find `done` in the function's answer")?;
        let cursor = answer.remove("cursor").filter(|cursor| !cursor.is_null());
        if !done && cursor == self.cursor {
            return Ok(false);
        }
        // A purge has its counts beside the rest.
        let counts = answer.remove("counts");
        for (name, count) in counts.as_ref().and_then(Value::as_object).unwrap_or(&answer) {
            if let Value::Number(count) = count {
                self.counts.add(name, count);
            }
        }
        merge(&mut self.members, answer);
        (self.done, self.cursor) = (done, cursor);
        Ok(true)
    }
}

impl WorkState {
    /// Returns the state of so many parts before their first invocations.
    #[must_use]
    pub fn new(parts: u32) -> Self {
        Self { parts: (0..parts).map(|segment| PartState { segment, ..PartState::default() }).collect(), seconds: 0.0 }
    }

    /// Returns `true` if all parts are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.parts.iter().all(|part| part.done)
    }

    /// Returns the sums over all parts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut sums = Counts::default();
        self.parts.iter().for_each(|part| sums.add_all(&part.counts));
        sums
    }

    /// Returns all answers as one, the default before the first one.
    ///
    /// # Errors
    /// Fails if no answer of that type has this form.
    pub fn report<R: DeserializeOwned + Default>(&self) -> Result<R> {
        if self.parts.iter().all(|part| part.counts.0.is_empty()) {
            return Ok(R::default());
        }
        let mut report = Map::new();
        self.parts.iter().for_each(|part| merge(&mut report, part.members.clone()));
        report.insert("done".to_owned(), self.is_done().into());
        report.insert("cursor".to_owned(), Value::Null);
        report.insert("counts".to_owned(), json!(self.counts()));
        serde_json::from_value(Value::Object(report)).context("read the function's answers")
    }

    pub(super) fn replace(&mut self, part: PartState) {
        if let Some(place) = self.parts.iter_mut().find(|other| other.segment == part.segment) {
            *place = part;
        }
    }
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, more) in from {
        let merged = match (into.remove(&name), more) {
            (Some(Value::Array(mut list)), Value::Array(more)) => {
                list.extend(more);
                list.truncate(MOST_EXAMPLES);
                Value::Array(list)
            }
            (Some(Value::Bool(so_far)), Value::Bool(more)) => Value::Bool(so_far && more),
            (Some(Value::Number(so_far)), Value::Number(more)) if so_far.as_f64() > more.as_f64() => so_far.into(),
            (_, more) => more,
        };
        into.insert(name, merged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cursor: Value, done: bool, items: u64, rcu: f64, equal: bool) -> Vec<u8> {
        let counts = json!({"items": items, "rcu": rcu});
        let answer = json!({"cursor": cursor, "done": done, "counts": counts, "equal": equal, "lag_ms": items});
        answer.to_string().into_bytes()
    }

    #[test]
    fn answers_of_all_parts_add_up() {
        let mut state = WorkState::new(2);
        let mut part = state.parts[1].clone();
        assert!(part.take(&answer(json!({"nth": 1}), false, 7, 0.5, true)).expect("an answer"));
        state.replace(part.clone());
        assert_eq!((state.counts().whole("items"), state.is_done()), (7, false));
        assert!(part.take(&answer(Value::Null, true, 5, 1.0, false)).expect("an answer"));
        state.replace(part);
        assert!(state.parts[0].take(&answer(Value::Null, true, 1, 1.0, true)).expect("an answer"));
        let report: Value = state.report().expect("a report");
        let counts = json!({"items": 13, "rcu": 2.5});
        assert_eq!(report, json!({"cursor": null, "done": true, "counts": counts, "equal": false, "lag_ms": 7}));
    }

    #[test]
    fn an_answer_with_the_same_cursor_is_no_progress_and_counts_nothing() {
        let mut part = WorkState::new(1).parts.remove(0);
        assert!(part.take(&answer(json!({"nth": 1}), false, 7, 0.5, true)).expect("an answer"));
        assert!(!part.take(&answer(json!({"nth": 1}), false, 7, 0.5, true)).expect("an answer"));
        assert_eq!(part.counts.whole("items"), 7);
        assert!(!WorkState::new(1).parts[0].take(&answer(Value::Null, false, 7, 0.5, true)).expect("an answer"));
        assert!(part.take(b"[]").is_err() && part.take(b"{}").is_err());
    }

    #[test]
    fn a_state_survives_its_file() {
        let mut state = WorkState::new(2);
        assert!(state.parts[0].take(&answer(json!({"nth": 1}), false, 7, 0.5, true)).expect("an answer"));
        let json = serde_json::to_vec(&state).expect("JSON");
        assert_eq!(serde_json::from_slice::<WorkState>(&json).expect("a state"), state);
    }
}
