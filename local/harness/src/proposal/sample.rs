//! Sample of a table: some items of each segment, so that no partition key has them all.

use std::time::Duration;

use anyhow::{Result, anyhow};
use driftless::attribute::Item;
use driftless::table::selection::Range;
use driftless::table::{Consistency, Key, PageRequest, Table};
use tokio::time::Instant;

/// Parts of the table that the sample is drawn from.
const SEGMENTS: u32 = 16;
const PAGE_LIMIT: Duration = Duration::from_secs(60);

/// Place in one segment.
enum Place {
    Begin,
    After(Key),
    End,
}

/// Reads about this many items of a table, evenly from all segments. Fewer, if the table has fewer.
///
/// # Errors
/// Fails if the table cannot be read.
pub(super) async fn sample<T: Table>(table: &T, items: usize) -> Result<Vec<Item<'static>>> {
    let mut places: Vec<Place> = (0..SEGMENTS).map(|_| Place::Begin).collect();
    let mut found = Vec::new();
    while found.len() < items && places.iter().any(Place::is_open) {
        for (segment, place) in (0..).zip(&mut places) {
            let open = u64::from(SEGMENTS - segment) as usize;
            let missing = items.saturating_sub(found.len());
            if missing == 0 || !place.is_open() {
                continue;
            }
            let limit = u32::try_from(missing.div_ceil(open)).unwrap_or(u32::MAX);
            let range = Range::Segment { segment, segments: SEGMENTS };
            let after = if let Place::After(key) = &*place { Some(key) } else { None };
            let request = PageRequest { range: &range, after, limit, consistency: Consistency::Eventual };
            let copy = |item: &Item<'_>| item.clone().into_owned();
            let page = table.page(request, copy, Instant::now() + PAGE_LIMIT).await;
            let page = page.map_err(|error| anyhow!("{error}"))?;
            found.extend(page.items);
            *place = page.next.map_or(Place::End, Place::After);
        }
    }
    Ok(found)
}

impl Place {
    fn is_open(&self) -> bool {
        !matches!(self, Self::End)
    }
}
