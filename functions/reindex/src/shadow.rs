//! Shadow reads: the users' own searches, run on the old index and on the new one.
//!
//! Both indexes change while they are read, and at slightly different moments. So a search whose answers differ is run
//! again. It counts as different if its answers differ each time.

use std::time::Duration;

use driftless::function::FunctionError;
use driftless::opensearch::Engine;
use driftless::outcome::Problem;
use futures::future::join;
use serde_json::Value;
use tokio::time::Instant;

use crate::answers::{Difference, compare};

/// Number of times that a search is run.
const MOST_LOOKS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(400);
/// Limit for the listed differences of all searches.
const MAX_DIFFERENCES: usize = 20;
/// Searches that are sent together.
const TOGETHER: usize = 16;

/// A search: its header without an index, and its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    header: Value,
    body: Value,
}

/// Place where searches are run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// Client of the index's cluster.
    pub engine: &'p Engine,
    /// Alias that hides tombstones.
    pub alias: &'p str,
}

/// Result of shadow reads.
#[derive(Debug, Default, PartialEq)]
pub struct ShadowReport {
    /// Searches that were run.
    pub searches: usize,
    /// Searches whose answers differ.
    pub different: usize,
    /// First differences, with their searches.
    pub differences: Vec<Difference>,
}

/// Parses searches as `_msearch` takes them. Their indexes are ignored.
///
/// # Errors
/// Names the line that is wrong, without its content.
pub fn read(ndjson: &str) -> Result<Vec<Search>, FunctionError> {
    let lines: Vec<&str> = ndjson.lines().filter(|line| !line.trim().is_empty()).collect();
    let object = |at: usize| match serde_json::from_str::<Value>(lines[at]) {
        Ok(value) if value.is_object() => Ok(value),
        _ => Err(FunctionError::Request(format!("searches: line {} is not a JSON object", at + 1))),
    };
    if lines.is_empty() || lines.len() % 2 == 1 {
        return Err(FunctionError::Request(format!(
            "searches has {} lines: expected a header and a body for each search, such as {{}} and \
             {{\"query\": {{\"match_all\": {{}}}}}}",
            lines.len()
        )));
    }
    let search = |at: usize| {
        let (mut header, mut body) = (object(at)?, object(at + 1)?);
        if let Some(header) = header.as_object_mut() {
            header.remove("index");
        }
        // Else the engine counts to 10,000 only.
        body["track_total_hits"] = true.into();
        Ok(Search { header, body })
    };
    (0..lines.len()).step_by(2).map(search).collect()
}

/// Runs searches on the old index and the new one until their answers agree, or have differed often enough.
///
/// # Errors
/// Fails if the engine does not answer.
pub async fn run(
    searches: &[Search],
    places: [Place<'_>; 2],
    deadline: Instant,
) -> Result<ShadowReport, FunctionError> {
    let mut open: Vec<(usize, Vec<Difference>)> = (0..searches.len()).map(|at| (at, Vec::new())).collect();
    for look in 0..MOST_LOOKS {
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        for place in places {
            place.engine.refresh(place.alias, deadline).await?;
        }
        let mut differing = Vec::new();
        for part in open.chunks(TOGETHER) {
            let ask = async |place: Place<'_>| {
                let body = part.iter().map(|(at, _)| searches[*at].on(place.alias)).collect();
                let answers = place.engine.multi_search(body, deadline).await?;
                match answers.len() == part.len() {
                    true => Ok(answers),
                    false => Err(FunctionError::Unavailable(Problem::Protocol("other answers than searches".into()))),
                }
            };
            let (old, new) = join(ask(places[0]), ask(places[1])).await;
            for (((at, _), old), new) in part.iter().zip(old?).zip(new?) {
                let differences = compare(at + 1, &old, &new);
                if !differences.is_empty() {
                    differing.push((*at, differences));
                }
            }
        }
        open = differing;
        if open.is_empty() {
            break;
        }
    }
    let different = open.len();
    let differences = open.into_iter().flat_map(|(_, differences)| differences).take(MAX_DIFFERENCES).collect();
    Ok(ShadowReport { searches: searches.len(), different, differences })
}

impl Search {
    /// Returns the two lines that run the search on an index.
    fn on(&self, index: &str) -> String {
        let mut header = self.header.clone();
        header["index"] = index.into();
        format!("{header}\n{}\n", self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_are_run_on_an_index_of_our_choice() {
        let searches =
            read("{\"index\": \"theirs\", \"preference\": \"x\"}\n{\"size\": 1}\n\n{}\n{}\n").expect("searches");
        assert_eq!(searches.len(), 2);
        let lines = searches[0].on("ours");
        assert_eq!(lines, "{\"index\":\"ours\",\"preference\":\"x\"}\n{\"size\":1,\"track_total_hits\":true}\n");
    }

    #[test]
    fn a_wrong_line_is_named_and_not_quoted() {
        for (searches, named) in [("", "0 lines"), ("{}\n", "1 lines"), ("{}\nsecret\n", "line 2")] {
            let error = read(searches).expect_err("refused").to_string();
            assert!(error.contains(named) && !error.contains("secret"), "{error}");
        }
    }
}
