//! `local serve` (hidden): holds the services until it is told to end. `up` runs it in the background.

use anyhow::{Context, Result};
use driftless_harness::services::{DynamoDbKind, EngineChoice, Purpose, Services, WantedServices};
use tokio::signal::unix::{SignalKind, signal};

use crate::daemon::{Daemon, Demand, RunningServices};

/// Choice of services to hold.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Choice {
    /// DynamoDB to start: in this process, or AWS's own
    #[arg(long, value_enum, default_value_t)]
    dynamodb: DynamoDbKind,
    /// Search engine to start
    #[arg(long, value_enum, default_value_t)]
    engine: EngineChoice,
    /// Start no search engine
    #[arg(long, conflicts_with = "engine")]
    no_engine: bool,
    /// Start no queues for dead letters
    #[arg(long)]
    no_sqs: bool,
}

impl Choice {
    /// The command line that says the same.
    pub(crate) fn to_command_line(self) -> Vec<String> {
        use clap::ValueEnum;
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().to_owned())
        };
        let mut line = vec!["--dynamodb".to_owned(), name(self.dynamodb.to_possible_value())];
        match self.no_engine {
            true => line.push("--no-engine".to_owned()),
            false => line.extend(["--engine".to_owned(), name(self.engine.to_possible_value())]),
        }
        line.extend(self.no_sqs.then(|| "--no-sqs".to_owned()));
        line
    }

    /// Returns what running services must have, to be taken instead of new ones.
    pub(crate) fn demand(self) -> Demand {
        let engine_name = self.engine.release_name().filter(|_| !self.no_engine);
        Demand { engine: !self.no_engine, engine_name, dynamodb: self.dynamodb, sqs: !self.no_sqs }
    }

    pub(crate) fn wanted(self) -> WantedServices {
        let engine = (!self.no_engine).then_some(self.engine);
        WantedServices {
            dynamodb: self.dynamodb,
            kinesis: true,
            sqs: !self.no_sqs,
            engine,
            purpose: Purpose::Background,
        }
    }
}

pub(crate) async fn run(choice: Choice, daemon: &Daemon) -> Result<()> {
    hold(choice, daemon, |_| ()).await
}

/// Starts the services, calls `ready`, and stops them at the first SIGINT or SIGTERM.
pub(crate) async fn hold(choice: Choice, daemon: &Daemon, ready: impl FnOnce(&RunningServices)) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    // The services in the background outlive the terminal: with a listener, SIGHUP no longer ends the process.
    let _hung_up = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    let mut ended = async || {
        tokio::select! {
            _ = terminated.recv() => (),
            _ = interrupted.recv() => (),
        }
    };
    let held = daemon.hold().await?;
    tracing::info!("starting the services");
    let services = tokio::select! {
        services = Services::start(choice.wanted()) => services?,
        () = ended() => return Ok(()),
    };
    let running = RunningServices::here(&services, choice.dynamodb);
    held.announce(&running)?;
    tracing::info!("the services are ready");
    ready(&running);
    ended().await;
    held.forget();
    tracing::info!("stopping the services");
    services.stop().await
}
