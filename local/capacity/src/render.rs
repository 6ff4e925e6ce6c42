//! Plans as text and as a Markdown table.

use crate::plan::{LimitUse, Plan};
use crate::scenario::Scenario;

/// Share of a cost below which another batch size is worth a line.
const CHEAPER: f64 = 0.8;

/// Lines for a terminal.
pub fn text(scenario: &Scenario, plans: &[Plan]) -> Vec<String> {
    let mut lines = vec![format!(
        "{} writes/s of {} bytes, {} MB of memory, {} ms of Lambda's own per invocation",
        thousands(scenario.rate),
        scenario.item_bytes,
        scenario.memory_mb,
        scenario.overhead_ms
    )];
    lines.push(format!(
        "  {:>6} {:>7} {:>7} {:>12} {:>9} {:>6} {:>9} {:>9} {:>12}  {}",
        "batch", "shards", "factor", "concurrency", "lane ms", "busy", "lag p50", "lag p99", "USD/month", "binds first"
    ));
    for plan in plans {
        lines.push(format!(
            "{} {:>6} {:>7} {:>7} {:>12} {:>9.1} {:>5.0}% {:>9} {:>9} {:>12}  {}",
            if plan.recommended { ">" } else { " " },
            plan.batch_size,
            plan.shards,
            plan.factor,
            plan.concurrency,
            plan.lane_ms,
            plan.busy * 100.0,
            lag(plan.lag_p50_ms),
            lag(plan.lag_p99_ms),
            dollars(plan, plan.cost.total()),
            binding(plan)
        ));
    }
    match plans.iter().find(|plan| plan.recommended) {
        Some(plan) => {
            lines.push(format!(
                "  take BatchSize {}, ParallelizationFactor {}: requests {}, duration {}, logs {} USD/month",
                plan.batch_size,
                plan.factor,
                thousands(plan.cost.requests),
                thousands(plan.cost.duration),
                thousands(plan.cost.logs)
            ));
            lines.extend(cheaper(plan, plans).into_iter().map(|other| beside(plan, other)));
            lines.extend(plan.limits.iter().filter(|limit| limit.used > 1.0).map(raise));
        }
        // The largest batch is the last that could have helped.
        None => lines.push(
            match plans.last().and_then(|plan| plan.limits.iter().find(|limit| limit.used > 1.0 && !limit.adjustable)) {
                Some(limit) => format!("  nothing fits: {} is needed {:.1} times", limit.name, limit.used),
                None => format!("  nothing fits: the lag stays over {} ms", scenario.lag_ms),
            },
        ),
    }
    lines
}

/// Plans with larger batches that fit, too, each clearly cheaper than the one before it.
fn cheaper<'p>(taken: &Plan, plans: &'p [Plan]) -> Vec<&'p Plan> {
    let mut least = taken.cost.total();
    let mut others = Vec::new();
    for plan in plans.iter().filter(|plan| plan.fits && plan.batch_size > taken.batch_size) {
        if plan.cost.total() <= CHEAPER * least {
            least = plan.cost.total();
            others.push(plan);
        }
    }
    others
}

/// Line about another plan: its cost, and the lag that it adds to the one taken.
fn beside(taken: &Plan, other: &Plan) -> String {
    // A sum with 0 has no negative zero.
    let added = |from: f64, to: f64| (to - from).round() + 0.0;
    format!(
        "  or BatchSize {}, ParallelizationFactor {}: {} USD/month, {:.0} % of the price; lag p50 {:+.0} ms, p99 {:+.0} ms",
        other.batch_size,
        other.factor,
        thousands(other.cost.total()),
        other.cost.total() / taken.cost.total() * 100.0,
        added(taken.lag_p50_ms, other.lag_p50_ms),
        added(taken.lag_p99_ms, other.lag_p99_ms),
    )
}

fn raise(limit: &LimitUse) -> String {
    format!("  ask AWS to raise: {} is needed {:.1} times", limit.name, limit.used)
}

/// Markdown table of all loads, the recommended plan of each in bold.
pub fn markdown(loads: &[(Scenario, Vec<Plan>)]) -> String {
    let mut lines = vec![
        "| writes/s | batch | shards | factor | lanes | lane time | busy | lag p50 | lag p99 | GB-s per s | USD/month | of it logs | binds first |".to_owned(),
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|".to_owned(),
    ];
    for plan in loads.iter().flat_map(|(_, plans)| plans) {
        let bold = if plan.recommended { "**" } else { "" };
        lines.push(format!(
            "| {bold}{}{bold} | {bold}{}{bold} | {} | {bold}{}{bold} | {} | {:.1} ms | {:.0} % | {} | {} | {} | {} | {} | {} |",
            thousands(plan.rate),
            thousands(plan.batch_size as f64),
            plan.shards,
            plan.factor,
            thousands(plan.concurrency as f64),
            plan.lane_ms,
            plan.busy * 100.0,
            lag(plan.lag_p50_ms),
            lag(plan.lag_p99_ms),
            gb_seconds(plan.gb_seconds_per_second),
            dollars(plan, plan.cost.total()),
            dollars(plan, plan.cost.logs),
            binding(plan)
        ));
    }
    lines.join("\n")
}

fn binding(plan: &Plan) -> String {
    plan.limits.first().map_or_else(String::new, |limit| format!("{} ({:.0} %)", limit.name, limit.used * 100.0))
}

/// Two digits that count, so that small loads do not read as none.
fn gb_seconds(per_second: f64) -> String {
    match per_second {
        10.0.. => format!("{per_second:.0}"),
        1.0.. => format!("{per_second:.1}"),
        0.1.. => format!("{per_second:.2}"),
        _ => format!("{per_second:.3}"),
    }
}

fn lag(ms: f64) -> String {
    if ms.is_finite() { format!("{ms:.0} ms") } else { "grows".to_owned() }
}

/// Amount with commas; a plan that never catches up has no cost.
fn dollars(plan: &Plan, amount: f64) -> String {
    if plan.busy < 1.0 { thousands(amount) } else { "–".to_owned() }
}

/// Whole number with commas.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Prices, Timing, plans};

    fn computed(scenarios: &[Scenario]) -> Vec<(Scenario, Vec<Plan>)> {
        let of = |scenario: &Scenario| plans(scenario, &Timing::PUBLISHED, &Prices::PUBLISHED);
        scenarios.iter().map(|scenario| (scenario.clone(), of(scenario))).collect()
    }

    fn load(rate: f64) -> Scenario {
        Scenario { rate, average: rate, ..Scenario::default() }
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_documents_table_is_what_the_tool_prints() {
        let document = include_str!("../../../docs/capacity.md");
        let table = markdown(&computed(&[1_000.0, 40_000.0, 100_000.0].map(load)));
        assert!(
            document.contains(&table),
            "docs/capacity.md needs the table of `cargo local size --rate 1000 --rate 40000 --rate 100000 --markdown`:\n{table}"
        );
    }

    fn told(scenario: Scenario) -> String {
        let (scenario, plans) = computed(&[scenario]).remove(0);
        text(&scenario, &plans).join("\n")
    }

    #[test]
    fn cheaper_batches_stand_beside_the_recommended_one_with_the_lag_that_they_add() {
        let told = told(load(200.0));
        let others: Vec<&str> = told.lines().filter(|line| line.starts_with("  or ")).collect();
        let [ten, hundred] = others.as_slice() else { panic!("{told}") };
        assert!(
            ten.starts_with("  or BatchSize 10, ParallelizationFactor 1: 14 USD/month, 11 % of the price;"),
            "{ten}"
        );
        assert!(ten.ends_with(" p99 +2 ms"), "{ten}");
        assert!(hundred.starts_with("  or BatchSize 100,"), "a batch of 1,000 costs as much: {told}");
        let document = include_str!("../../../docs/capacity.md");
        let shown = told.lines().skip_while(|line| !line.starts_with("  take"));
        for line in shown {
            assert!(
                document.contains(&format!("\n      {}\n", line.trim())),
                "docs/capacity.md needs the line: {line}"
            );
        }
    }

    #[test]
    fn a_batch_that_saves_next_to_nothing_is_not_told() {
        // Hardly a second change is there when one is delivered.
        assert!(!told(load(0.1)).contains("  or "), "{}", told(load(0.1)));
        let only = told(Scenario { batch_size: Some(1), ..load(20.0) });
        assert!(!only.contains("  or "), "{only}");
    }

    #[test]
    fn what_must_be_raised_or_does_not_fit_is_said() {
        let much = told(load(100_000.0));
        assert!(much.contains("ask AWS to raise: 40,000 write units/s per table is needed 2.5 times"), "{much}");
        let hot = told(Scenario { shards: Some(1), ..load(3_000.0) });
        assert!(hot.contains("nothing fits: 1,000 write units/s per partition is needed 3.0 times"), "{hot}");
        let late = told(Scenario { lag_ms: 100.0, ..load(10.0) });
        assert!(late.contains("nothing fits: the lag stays over 100 ms"), "{late}");
    }
}
