//! `local size --simulate`: the highest load over time, as text, JSON or a chart.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use driftless_capacity::{
    ClusterSize, Course, Experiment, LagWindow, Plan, Scenario, SimulatedRun, Timing, simulate_load, simulated_row,
    simulated_text, simulated_title,
};
use driftless_display::chart::{Axis, Chart, Series};
use driftless_display::console::{self, ProgressLine};

/// Steps of the progress bar.
const STEPS: u64 = 100;
/// Seconds from which a chart counts hours.
const LONG_S: f64 = 4.0 * 3_600.0;

/// Options of the simulation of a load over time.
#[derive(Debug, clap::Args)]
pub(crate) struct OverTimeArgs {
    /// Play the load over time, event by event, with the batch size and the factor that the calculation takes
    #[arg(long)]
    pub(crate) simulate: bool,
    /// Course of load and cluster; several one after the other
    #[arg(long, value_enum, requires = "simulate", default_value = "day")]
    scenario: Vec<CourseArg>,
    /// Lanes per shard, 1 to 10, instead of those that the calculation takes
    #[arg(long, requires = "simulate", value_parser = clap::value_parser!(u64).range(1..=10))]
    factor: Option<u64>,
    /// Time for which changes come, instead of the scenario's
    #[arg(long, requires = "simulate", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,
    /// Data nodes, instead of as many as are busy for 60 % of their time at the peak
    #[arg(long, requires = "simulate", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nodes: Option<u32>,
    /// Processors of each node
    #[arg(long, requires = "simulate", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=512))]
    processors: u32,
    /// Copies of each document beside the first one
    #[arg(long, requires = "simulate", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=20))]
    replicas: u32,
    /// Parts of bulk requests that a node queues before it answers 429
    #[arg(long, requires = "simulate", default_value_t = 10_000, value_name = "PARTS")]
    write_queue: u32,
    /// Time that the first invocation of an environment takes longer
    #[arg(long, requires = "simulate", default_value_t = 150, value_name = "MS")]
    cold_start_ms: u32,
    /// Seed of the random numbers
    #[arg(long, requires = "simulate", default_value_t = 1)]
    seed: u64,
    /// Draw the lag over time into an SVG file
    #[arg(long, requires = "simulate", value_name = "FILE")]
    chart: Option<PathBuf>,
}

/// Course of load and cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CourseArg {
    /// The same load all the time
    Steady,
    /// A day of a tenth of the load, with a peak: ten times as much within one minute
    Day,
    /// One tenant writes three times what its partition takes, a fifth of it to one item
    HotTenant,
    /// One node takes ten times as long as the others
    SlowNode,
    /// A table with a quarter of the partitions that it needs
    NewTable,
}

/// Form in which runs are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunForm {
    Text,
    Json,
    Markdown,
}

impl OverTimeArgs {
    /// Simulates each load in each scenario, with the plan of the calculation.
    ///
    /// # Errors
    /// Fails if an option makes no sense, or the chart cannot be written.
    pub(crate) fn run(&self, loads: &[(Scenario, Vec<Plan>)], timing: &Timing, form: RunForm) -> Result<()> {
        let mut runs = Vec::new();
        for (scenario, plans) in loads {
            let plan = plans.iter().find(|plan| plan.recommended).or(plans.last()).context("plan the load")?;
            for course in &self.scenario {
                let experiment = self.experiment(scenario, timing, course.course(), plan);
                let progress = ProgressLine::bar(STEPS, course.course().words());
                let run = simulate_load(&experiment, |share| progress.reach(percent(share)));
                drop(progress);
                match form {
                    RunForm::Text => simulated_text(&run).into_iter().for_each(console::result),
                    RunForm::Json => console::result(serde_json::to_string(&run).context("write the run")?),
                    RunForm::Markdown => console::result(simulated_row(&run)),
                }
                runs.push(run);
            }
        }
        let Some(file) = &self.chart else { return Ok(()) };
        ensure!(!runs.is_empty(), "there is nothing to draw");
        chart(&runs).write(file)
    }

    fn experiment(&self, scenario: &Scenario, timing: &Timing, course: Course, plan: &Plan) -> Experiment {
        let factor = self.factor.unwrap_or(plan.factor);
        let planned = Experiment::new(scenario.clone(), *timing, course, plan.batch_size, factor);
        let cluster = ClusterSize { processors: self.processors, replicas: self.replicas, ..planned.cluster };
        let planned = planned.with_cluster(cluster);
        let nodes = self.nodes.unwrap_or(planned.cluster.nodes);
        Experiment {
            cluster: ClusterSize { nodes, queue: self.write_queue, ..planned.cluster },
            seconds: self.seconds.map_or(planned.seconds, |seconds| seconds as f64),
            cold_start_ms: f64::from(self.cold_start_ms),
            seed: self.seed,
            ..planned
        }
    }
}

impl CourseArg {
    fn course(self) -> Course {
        match self {
            Self::Steady => Course::Steady,
            Self::Day => Course::Day,
            Self::HotTenant => Course::HotTenant,
            Self::SlowNode => Course::SlowNode,
            Self::NewTable => Course::NewTable,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a hundred")]
fn percent(share: f64) -> u64 {
    (share * STEPS as f64) as u64
}

/// One run with three lines, or several with one line each.
fn chart(runs: &[SimulatedRun]) -> Chart {
    let longest = runs.iter().flat_map(|run| &run.windows).map(|window| window.at_s).fold(0.0, f64::max);
    let (unit, name) = if longest >= LONG_S { (3_600.0, "hours") } else { (1.0, "seconds") };
    let line = |run: &SimulatedRun, value: fn(&LagWindow) -> f64| -> Vec<(f64, f64)> {
        run.windows.iter().map(|window| (window.at_s / unit, value(window) / 1_000.0)).collect()
    };
    let (x, y) = (Axis::linear(format!("{name} since the beginning")), Axis::log("lag of a change, s"));
    let [run] = runs else {
        let of = |run: &SimulatedRun| Series::new(run.course.words(), line(run, |window| window.lag.p99_ms));
        return Chart::new("Simulated lag, p99 of each window", x, y).all_series(runs.iter().map(of));
    };
    Chart::new(format!("Simulated lag, {}", simulated_title(run)), x, y)
        .series(Series::new("p50 of a window", line(run, |window| window.lag.p50_ms)))
        .series(Series::new("p99 of a window", line(run, |window| window.lag.p99_ms)))
        .series(Series::new("latest of a window", line(run, |window| window.lag.max_ms)).dashed())
}

#[cfg(test)]
mod tests {
    use driftless_capacity::{Prices, plans};

    use super::*;

    fn simulated(course: Course) -> SimulatedRun {
        let scenario = Scenario { rate: 500.0, average: 500.0, ..Scenario::default() };
        let planned = Experiment::new(scenario, Timing::PUBLISHED, course, 10, 2);
        simulate_load(&Experiment { seconds: 20.0, ..planned }, |_| {})
    }

    #[test]
    fn a_chart_has_three_lines_of_one_run_and_one_of_each_of_several() {
        let [steady, slow] = [Course::Steady, Course::SlowNode].map(simulated);
        let one = chart(std::slice::from_ref(&steady)).svg().unwrap();
        assert!(one.contains("500 writes/s") && one.contains("latest of a window") && one.contains("seconds"), "{one}");
        let both = chart(&[steady, slow]).svg().unwrap();
        assert!(both.contains("steady load") && both.contains("slow node"), "{both}");
    }

    #[test]
    fn the_plan_s_deployment_is_simulated_unless_options_say_otherwise() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: OverTimeArgs,
        }
        let parsed = |words: &[&str]| {
            use clap::Parser as _;
            Command::parse_from([&["size", "--simulate"], words].concat()).args
        };
        let scenario = Scenario { rate: 40_000.0, average: 40_000.0, ..Scenario::default() };
        let plans = plans(&scenario, &Timing::PUBLISHED, &Prices::PUBLISHED);
        let plan = plans.iter().find(|plan| plan.recommended).unwrap();
        let of = |words: &[&str]| parsed(words).experiment(&scenario, &Timing::PUBLISHED, Course::Steady, plan);
        let planned = of(&[]);
        assert_eq!((planned.batch_size, planned.factor, planned.shards), (plan.batch_size, plan.factor, plan.shards));
        assert!(of(&["--replicas", "0"]).cluster.nodes < planned.cluster.nodes, "{:?}", planned.cluster);
        let other = of(&["--nodes", "3", "--factor", "4", "--seconds", "7"]);
        assert_eq!((other.cluster.nodes, other.factor, other.seconds), (3, 4, 7.0));
    }
}
