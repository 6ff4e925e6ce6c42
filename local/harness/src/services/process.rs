//! A child process that never outlives the tool, whatever ends the tool, SIGKILL included.
//!
//! Between the tool and the child stands a small shell (`supervise.sh`) whose standard input is a pipe that only the
//! tool holds. The kernel closes the pipe when the tool ends, and the shell then stops the child. The shell runs in its
//! own process group, so that Ctrl-C reaches the tool alone and the tool decides.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// See its head for arguments and behaviour.
const SUPERVISOR: &str = include_str!("supervise.sh");
/// Interval between the questions to a service whether it is ready.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// Timeout of one such question.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of lines of the log that an error shows.
const LINES_IN_ERROR: usize = 20;
/// Time that the supervisor may take beyond the child's grace.
const SUPERVISOR_MARGIN: Duration = Duration::from_secs(5);

/// Description of a process to run.
#[derive(Clone, Debug)]
pub struct ProcessLaunch {
    /// Name of the process, for messages.
    pub name: String,
    /// The program, and its arguments.
    pub command: Vec<OsString>,
    /// File for its standard output and error; started anew by each [`ChildProcess::start`].
    pub log: PathBuf,
    /// A folder that is removed when the process was stopped (not when it was killed), if there is one.
    pub scratch: Option<PathBuf>,
    /// Longest time between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// A running child. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct ChildProcess {
    launch: ProcessLaunch,
    /// The supervising shell; it ends when the child has ended.
    supervisor: Child,
    /// While this is open the child runs.
    orders: Option<ChildStdin>,
    /// The supervisor's answers to orders.
    answers: Lines<BufReader<ChildStdout>>,
    pid: u32,
}

/// Signals that faults are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ends the process with no chance to clean up.
    Kill,
    /// Freezes it: its sockets accept connections, nobody answers.
    Stop,
    /// Lets a frozen process go on.
    Continue,
}

impl ChildProcess {
    /// Starts the child. It is not ready for anything yet, see [`ChildProcess::ready`].
    ///
    /// # Errors
    /// Where the log cannot be written or no process can be started.
    pub async fn start(launch: ProcessLaunch) -> Result<Self> {
        if let Some(folder) = launch.log.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        std::fs::write(&launch.log, "").with_context(|| format!("write {}", launch.log.display()))?;
        let mut supervisor = supervising(&launch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", launch.name))?;
        let orders = supervisor.stdin.take();
        let answers = supervisor.stdout.take().context("read from the supervising shell")?;
        let mut answers = BufReader::new(answers).lines();
        let pid = answers.next_line().await.context("read the child's pid")?;
        let pid = pid.unwrap_or_default().parse().with_context(|| format!("start {}: no pid", launch.name))?;
        Ok(Self { launch, supervisor, orders, answers, pid })
    }

    /// The pid of the child itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until `probe` succeeds.
    ///
    /// # Errors
    /// At once when the child ends, and when `limit` is over; both show the end of the log.
    pub async fn ready<P, F>(&mut self, limit: Duration, probe: P) -> Result<()>
    where
        P: Fn() -> F,
        F: Future<Output = Result<()>>,
    {
        let deadline = Instant::now() + limit;
        loop {
            let answer = tokio::select! {
                status = self.supervisor.wait() => bail!("{} ended while starting: {}", self.launch.name, self.ending(status?)),
                answer = timeout(PROBE_TIMEOUT, probe()) => answer,
            };
            let problem = match answer {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(elapsed) => elapsed.into(),
            };
            if Instant::now() >= deadline {
                return Err(problem).with_context(|| {
                    format!("{} was not ready after {limit:?}; {}", self.launch.name, self.log_tail())
                });
            }
            sleep(PROBE_INTERVAL).await;
        }
    }

    /// Sends a signal to the child; it is delivered when this returns.
    ///
    /// # Errors
    /// Where the child has ended already.
    pub async fn signal(&mut self, signal: Signal) -> Result<()> {
        let name = match signal {
            Signal::Kill => "KILL\n",
            Signal::Stop => "STOP\n",
            Signal::Continue => "CONT\n",
        };
        let failed = || format!("signal {}", self.launch.name);
        let orders = self.orders.as_mut().context("the process is being stopped")?;
        orders.write_all(name.as_bytes()).await.with_context(failed)?;
        // A killed child may take the supervisor along before it answers.
        let answer = self.answers.next_line().await.with_context(failed)?;
        ensure!(answer.is_some() || signal == Signal::Kill, "{} has ended", self.launch.name);
        Ok(())
    }

    /// Waits until the child ends by itself; gives how it ended and the end of its log.
    ///
    /// # Errors
    /// Where it cannot be watched.
    pub async fn finish(mut self) -> Result<(ExitStatus, String)> {
        let ended = self.supervisor.wait().await;
        let status = ended.with_context(|| format!("wait for {}", self.launch.name))?;
        Ok((status, self.log_tail()))
    }

    /// Kills the child with SIGKILL and waits until it is gone. Its scratch folder stays.
    ///
    /// # Errors
    /// Where the child had ended already.
    pub async fn kill(mut self) -> Result<()> {
        self.signal(Signal::Kill).await?;
        self.gone().await
    }

    /// Stops the child (SIGTERM, then SIGKILL) and waits until it is gone and its scratch folder removed.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.orders.take());
        self.gone().await
    }

    async fn gone(&mut self) -> Result<()> {
        let limit = self.launch.grace + SUPERVISOR_MARGIN;
        let ended = timeout(limit, self.supervisor.wait()).await;
        ended.with_context(|| format!("{} (pid {}) does not end", self.launch.name, self.pid))??;
        Ok(())
    }

    fn ending(&self, status: ExitStatus) -> String {
        format!("{status}; {}", self.log_tail())
    }

    fn log_tail(&self) -> String {
        let log = &self.launch.log;
        let text = std::fs::read(log).unwrap_or_default();
        format!("the end of {}:\n{}", log.display(), last_lines(&String::from_utf8_lossy(&text), LINES_IN_ERROR))
    }
}

fn supervising(launch: &ProcessLaunch) -> Command {
    let scratch = launch.scratch.as_deref().unwrap_or(Path::new(""));
    let mut command = Command::new("sh");
    command
        .args(["-c", SUPERVISOR, "supervise"])
        .arg(&launch.log)
        .arg((launch.grace.as_millis() / 100).to_string())
        .arg(scratch)
        .args(&launch.command);
    command
}

/// The last `count` lines of `text`.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests;
