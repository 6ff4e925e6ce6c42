//! One execution environment: a process of the function's binary, and the invocations it serves, one at a time.
//!
//! As on Lambda, an initialisation that fails counts as a failed invocation, a time-out kills the process, and the next
//! invocation after either starts a new one. The process dies with this value.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    FunctionConfig, Invocation, InvocationOutcome, Invoke, Launch, ProcessFault, epoch_ms, new_request_id,
    output::{Tail, follow, open_log},
    runtime_api::{Event, ProcessRequest, RuntimeApi},
};

/// A process may end right after it answered or printed; that is then still on its way to this tool.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// From `SIGTERM` to `SIGKILL`, where an internal extension is registered ("Lambda execution environment lifecycle").
const SHUTDOWN: Duration = Duration::from_millis(500);

/// One Lambda execution environment.
pub struct FunctionProcess {
    config: FunctionConfig,
    running: Option<Running>,
}

struct Running {
    child: Child,
    api: RuntimeApi,
    /// Last lines of its output, and the tasks that read it.
    tail: Tail,
    output: Vec<JoinHandle<()>>,
}

impl FunctionProcess {
    /// An environment whose process starts with the first invocation.
    #[must_use]
    pub fn new(config: FunctionConfig) -> Self {
        Self { config, running: None }
    }

    /// Sets the timeout of the invocations from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.config.timeout = timeout;
    }

    /// Starts the process if it does not run, and waits until it asks for an event.
    /// `Some` is how the initialisation failed.
    async fn ensure_running(&mut self) -> Result<Option<(InvocationOutcome, Tail)>> {
        if let Some(running) = &mut self.running
            && running.child.try_wait().context("look whether the function still runs")?.is_none()
        {
            return Ok(None);
        }
        self.kill().await;
        let mut running = self.spawn().await?;
        match initialised(&mut running, Instant::now() + self.config.init_timeout).await? {
            Some(failure) => Ok(Some((failure, stop(running).await))),
            None => {
                self.running = Some(running);
                Ok(None)
            }
        }
    }

    async fn spawn(&self) -> Result<Running> {
        let config = &self.config;
        let api = RuntimeApi::start(config.arn()).await?;
        let log = config.log_file.as_deref().map(open_log).transpose()?;
        let mut child = Command::new(&config.binary)
            .env_clear()
            .envs(config.process_environment(&api.address.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start the function {}", config.binary.display()))?;
        let tail = Tail::default();
        let stdout = child.stdout.take().map(|stdout| {
            let lines = config.stdout_lines.clone();
            follow(stdout, log.clone(), lines, tail.clone())
        });
        let stderr = child.stderr.take().map(|stderr| follow(stderr, log, None, tail.clone()));
        let output = stdout.into_iter().chain(stderr).collect();
        Ok(Running { child, api, tail, output })
    }
}

#[async_trait]
impl Launch for FunctionConfig {
    fn function_arn(&self) -> &str {
        self.arn()
    }

    async fn launch(&self) -> Result<Box<dyn Invoke>> {
        Ok(Box::new(FunctionProcess::new(self.clone())))
    }
}

#[async_trait]
impl Invoke for FunctionProcess {
    async fn warm_up(&mut self) -> Result<()> {
        if let Some((failure, tail)) = self.ensure_running().await? {
            bail!("the function {} did not start: {failure}{tail}", self.config.name);
        }
        Ok(())
    }

    async fn invoke(&mut self, payload: Bytes, fault: Option<ProcessFault>) -> Result<Invocation> {
        let request_id = new_request_id();
        let start = Instant::now();
        if let Some((outcome, tail)) = self.ensure_running().await? {
            tracing::warn!("the function {} did not start: {outcome}{tail}", self.config.name);
            return Ok(Invocation { request_id, outcome, duration: start.elapsed() });
        }
        let running = self.running.as_mut().context("the function was started just now")?;
        let start = Instant::now();
        let limit = self.config.timeout;
        let deadline_ms = epoch_ms() + i64::try_from(limit.as_millis()).unwrap_or(i64::MAX / 2);
        running.api.hand_over(Event { request_id: request_id.clone(), deadline_ms, payload }).await?;
        let outcome = finished(running, &request_id, start + limit, fault).await?;
        let duration = start.elapsed();
        if matches!(outcome, InvocationOutcome::TimedOut | InvocationOutcome::Exited(_)) {
            self.kill().await;
        }
        Ok(Invocation { request_id, outcome, duration })
    }

    async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            stop(running).await;
        }
    }

    async fn end(&mut self) {
        if let Some(running) = &mut self.running
            && let Some(pid) = running.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()))
            && kill_process(pid, Signal::TERM).is_ok()
        {
            // Whether it ended in time or not: what follows is the same.
            let _ = timeout(SHUTDOWN, running.child.wait()).await;
        }
        self.kill().await;
    }
}

/// Kills the process, and reads what it had printed.
async fn stop(mut running: Running) -> Tail {
    if let Err(error) = running.child.kill().await {
        tracing::debug!(%error, "the function had already ended");
    }
    for output in running.output {
        // A process that it started may hold the pipe open; its lines are still read, but not waited for.
        let _ = timeout(LAST_WORDS, output).await;
    }
    running.tail
}

/// Waits for the first request for an event; `Some` is what came instead.
async fn initialised(running: &mut Running, deadline: Instant) -> Result<Option<InvocationOutcome>> {
    loop {
        tokio::select! {
            biased;
            answer = running.api.answers.recv() => match answer.context("the Runtime API ended")? {
                ProcessRequest::Ready => return Ok(None),
                ProcessRequest::InitError(error) => {
                    return Ok(Some(InvocationOutcome::FunctionError { kind: error.error_type, message: error.error_message }));
                }
                ProcessRequest::Taken | ProcessRequest::Response { .. } | ProcessRequest::Error { .. } => {}
            },
            status = running.child.wait() => {
                return Ok(Some(InvocationOutcome::Exited(Some(status.context("wait for the function")?))));
            }
            () = sleep_until(deadline) => return Ok(Some(InvocationOutcome::TimedOut)),
        }
    }
}

/// Waits for the end of the invocation `request_id`.
async fn finished(
    running: &mut Running,
    request_id: &str,
    deadline: Instant,
    fault: Option<ProcessFault>,
) -> Result<InvocationOutcome> {
    let mut kill_at = None;
    loop {
        tokio::select! {
            biased;
            answer = running.api.answers.recv() => match answer.context("the Runtime API ended")? {
                ProcessRequest::Taken => {
                    if let Some(ProcessFault::KillAfter(delay)) = fault {
                        kill_at = Some(Instant::now() + delay);
                    }
                }
                answer => if let Some(outcome) = outcome_of(answer, request_id) {
                    return Ok(if fault.is_some() { InvocationOutcome::Exited(None) } else { outcome });
                },
            },
            status = running.child.wait() => {
                let status = status.context("wait for the function")?;
                return Ok(last_words(running, request_id).await.unwrap_or(InvocationOutcome::Exited(Some(status))));
            }
            () = sleep_until(kill_at.unwrap_or(deadline)), if kill_at.is_some() => return Ok(InvocationOutcome::Exited(None)),
            () = sleep_until(deadline) => return Ok(InvocationOutcome::TimedOut),
        }
    }
}

fn outcome_of(answer: ProcessRequest, current: &str) -> Option<InvocationOutcome> {
    match answer {
        ProcessRequest::Response { request_id, body } if request_id == current => {
            Some(InvocationOutcome::Response(body))
        }
        ProcessRequest::Error { request_id, error } if request_id == current => {
            Some(InvocationOutcome::FunctionError { kind: error.error_type, message: error.error_message })
        }
        // An answer to an earlier request, or one more request for an event.
        _ => None,
    }
}

async fn last_words(running: &mut Running, request_id: &str) -> Option<InvocationOutcome> {
    let answer = async {
        loop {
            if let Some(outcome) = outcome_of(running.api.answers.recv().await?, request_id) {
                return Some(outcome);
            }
        }
    };
    timeout(LAST_WORDS, answer).await.ok().flatten()
}
