//! Courses: how load and cluster change over the time of a run.

use serde::Serialize;

const HOUR_S: f64 = 3_600.0;
const DAY_S: f64 = 24.0 * HOUR_S;
/// Factor from the day's load to its peak, and the seconds in which the load gets there and back.
const PEAK: f64 = 10.0;
const CLIMB_S: f64 = 60.0;
const PEAK_AT_S: f64 = 12.0 * HOUR_S;
const PEAK_LASTS_S: f64 = 600.0;
/// Share of the day's load that is left at its quietest.
const NIGHT: f64 = 0.5;
/// Seconds within which a shorter course has its trouble.
const TROUBLE_S: (f64, f64) = (60.0, 360.0);
/// Writes per second of a hot tenant, as a multiple of what a partition takes.
const TENANT: f64 = 3.0;
/// Share of a hot tenant's writes that go to one item.
const ONE_ITEM: f64 = 0.2;
/// Factor on the time of each part of a request that a slow node takes.
const SLOWNESS: f64 = 10.0;
/// Share of the needed partitions that a new table has.
const NEW_TABLE: f64 = 0.25;

/// Course of load and cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// The same load all the time.
    Steady,
    /// A day of a tenth of the load and less, with a peak: ten times as much, reached within one minute.
    Day,
    /// One tenant writes three times what its partition takes, a fifth of it to one item.
    HotTenant,
    /// One node takes ten times as long as the others.
    SlowNode,
    /// A table that has a quarter of the partitions that it needs.
    NewTable,
}

/// Load at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LoadNow {
    /// Writes per second, evenly over the table.
    pub(super) even: f64,
    /// Further writes per second to the items of one tenant, in one partition.
    pub(super) tenant: f64,
    /// Further writes per second to one item of that tenant.
    pub(super) item: f64,
}

impl Course {
    /// Every course, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Steady, Self::Day, Self::HotTenant, Self::SlowNode, Self::NewTable];

    /// Words that a reader sees.
    pub fn words(self) -> &'static str {
        match self {
            Self::Steady => "steady load",
            Self::Day => "day with a peak, ten times in one minute",
            Self::HotTenant => "hot tenant for 5 minutes",
            Self::SlowNode => "slow node for 5 minutes",
            Self::NewTable => "new table with a quarter of the partitions",
        }
    }

    /// Seconds that the course takes.
    pub fn seconds(self) -> f64 {
        match self {
            Self::Steady => 300.0,
            Self::Day => DAY_S,
            Self::HotTenant | Self::SlowNode => 900.0,
            Self::NewTable => 1_800.0,
        }
    }

    /// Partitions at the beginning, of those that the peak needs.
    pub(super) fn partitions(self, needed: u64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a count")]
        match self {
            Self::NewTable => ((needed as f64 * NEW_TABLE) as u64).max(1),
            Self::Steady | Self::Day | Self::HotTenant | Self::SlowNode => needed,
        }
    }

    /// Load at this time. `peak` is the highest load, and `partition` what a partition takes, in writes per second.
    pub(super) fn load(self, at_s: f64, peak: f64, partition: f64) -> LoadNow {
        let even = match self {
            Self::Day => day(at_s) * peak / PEAK,
            Self::Steady | Self::HotTenant | Self::SlowNode | Self::NewTable => peak,
        };
        let hot = if self == Self::HotTenant && in_trouble(at_s) { TENANT * partition } else { 0.0 };
        LoadNow { even, tenant: hot * (1.0 - ONE_ITEM), item: hot * ONE_ITEM }
    }

    /// Factor on the times of one node.
    pub(super) fn slowness(self, at_s: f64) -> f64 {
        if self == Self::SlowNode && in_trouble(at_s) { SLOWNESS } else { 1.0 }
    }
}

fn in_trouble(at_s: f64) -> bool {
    (TROUBLE_S.0..TROUBLE_S.1).contains(&at_s)
}

/// Load of the day over its own highest, outside of the peak 1 at most.
fn day(at_s: f64) -> f64 {
    let noon = (at_s / DAY_S * std::f64::consts::TAU).cos().mul_add(-0.5, 0.5);
    let usual = noon.mul_add(1.0 - NIGHT, NIGHT);
    let from_begin = (at_s - PEAK_AT_S) / CLIMB_S;
    let to_end = (PEAK_AT_S + PEAK_LASTS_S + 2.0 * CLIMB_S - at_s) / CLIMB_S;
    let peak = from_begin.min(to_end).clamp(0.0, 1.0);
    (PEAK - usual).mul_add(peak, usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(at_s: f64) -> f64 {
        Course::Day.load(at_s, 100_000.0, 1_000.0).even
    }

    #[test]
    fn a_day_climbs_to_ten_times_its_load_within_a_minute() {
        assert!((even(0.0) - 5_000.0).abs() < 1.0, "{}", even(0.0));
        assert!((even(PEAK_AT_S) - 10_000.0).abs() < 1.0, "{}", even(PEAK_AT_S));
        assert!((even(PEAK_AT_S + 60.0) - 100_000.0).abs() < 1.0);
        assert!((even(PEAK_AT_S + 660.0) - 100_000.0).abs() < 1.0);
        assert!(even(PEAK_AT_S + 720.0) < 10_001.0);
    }

    #[test]
    fn trouble_begins_and_ends() {
        let hot = |at_s| Course::HotTenant.load(at_s, 10_000.0, 1_000.0);
        assert_eq!(hot(0.0), LoadNow { even: 10_000.0, tenant: 0.0, item: 0.0 });
        assert!((hot(100.0).tenant - 2_400.0).abs() < 1e-6 && (hot(100.0).item - 600.0).abs() < 1e-6);
        assert!((Course::SlowNode.slowness(100.0) - 10.0).abs() < 1e-9);
        assert!((Course::SlowNode.slowness(400.0) - 1.0).abs() < 1e-9);
        assert_eq!([0, 1, 100].map(|needed| Course::NewTable.partitions(needed)), [1, 1, 25]);
    }
}
