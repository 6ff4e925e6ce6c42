//! Charges of AWS for the function: requests, memory over time, and log lines.
//! In US dollars, us-east-1, without free tiers.
//! Lambda reads streams free of charge; the table and the OpenSearch cluster are not counted.
//!
//! Sources, as of November 2026:
//! <https://aws.amazon.com/lambda/pricing/>, <https://aws.amazon.com/cloudwatch/pricing/>.

use serde::Serialize;

const HOURS_PER_MONTH: f64 = 730.0;
const SECONDS_PER_MONTH: f64 = HOURS_PER_MONTH * 3_600.0;

/// Amounts up to which a price holds, and that price.
type Tiers = &'static [(f64, f64)];

/// US dollars per GB-second on arm64.
const GB_SECONDS: Tiers = &[(7.5e9, 0.000_013_333_4), (11.25e9, 0.000_012_000_1), (f64::INFINITY, 0.000_010_666_7)];
/// US dollars per GB of a function's log lines.
const LOG_GB: Tiers = &[(10e3, 0.50), (20e3, 0.25), (20e3, 0.10), (f64::INFINITY, 0.05)];

/// Prices that replace the published ones.
#[derive(Clone, Copy, Debug)]
pub struct Prices {
    /// US dollars per million invocations.
    pub requests: f64,
    /// US dollars per GB-second, for all of them; without it, the published tiers of arm64 in us-east-1.
    pub gb_second: Option<f64>,
    /// US dollars per GB of logs, for all of them; without it, the published tiers of us-east-1.
    pub log_gb: Option<f64>,
}

/// Cost of one month, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Cost of the invocations themselves.
    pub requests: f64,
    /// Cost of memory over time.
    pub duration: f64,
    /// Cost of log lines.
    pub logs: f64,
}

impl Cost {
    /// Sum of all charges.
    pub fn total(&self) -> f64 {
        self.requests + self.duration + self.logs
    }
}

impl Prices {
    /// Prices that AWS publishes.
    pub const PUBLISHED: Self = Self { requests: 0.20, gb_second: None, log_gb: None };

    /// Cost of a month at these invocations, GB-seconds and bytes of logs per second.
    pub(crate) fn month(&self, invocations: f64, gb_seconds: f64, log_bytes: f64) -> Cost {
        let month = |per_second: f64| per_second * SECONDS_PER_MONTH;
        self.charge(month(invocations), month(gb_seconds), month(log_bytes))
    }

    /// Cost of these invocations, GB-seconds and bytes of logs within one month.
    pub fn charge(&self, invocations: f64, gb_seconds: f64, log_bytes: f64) -> Cost {
        let charge =
            |amount: f64, flat: Option<f64>, tiers| flat.map_or_else(|| tiered(amount, tiers), |price| amount * price);
        Cost {
            requests: invocations / 1e6 * self.requests,
            duration: charge(gb_seconds, self.gb_second, GB_SECONDS),
            logs: charge(log_bytes / 1e9, self.log_gb, LOG_GB),
        }
    }
}

fn tiered(mut amount: f64, tiers: Tiers) -> f64 {
    let mut sum = 0.0;
    for &(size, price) in tiers {
        let part = amount.min(size);
        sum += part * price;
        amount -= part;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_charged_one_after_the_other() {
        // The example of the announcement: 60 TB of logs cost 12,500 dollars instead of 30,000.
        assert!((tiered(60e3, LOG_GB) - 12_500.0).abs() < 1e-6);
        assert!((tiered(60e3, &[(f64::INFINITY, 0.5)]) - 30_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_month_is_charged_by_its_seconds() {
        let cost = Prices::PUBLISHED.month(1.0, 0.0, 0.0);
        assert!((cost.requests - 0.5256).abs() < 1e-4, "2,628,000 invocations: {}", cost.requests);
        let flat = Prices { log_gb: Some(1.0), ..Prices::PUBLISHED };
        assert!((flat.month(0.0, 0.0, 1e6).logs - 2_628.0).abs() < 1e-6);
    }
}
