//! Output of a function process: appended to the log file, offered line by line, and its end kept for messages.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::mpsc::UnboundedSender,
    task::JoinHandle,
};

/// Enough for a panic message or a configuration error.
const TAIL_LINES: usize = 12;

/// The last lines that a process printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}

impl std::fmt::Display for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.iter() {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// Opens the log for appending; several processes may write to the same one.
pub(super) fn open_log(path: &Path) -> Result<Arc<File>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create the folder {}", folder.display()))?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    Ok(Arc::new(file.with_context(|| format!("open the log {}", path.display()))?))
}

/// Reads `stream` to its end in a task of its own.
pub(super) fn follow(
    stream: impl AsyncRead + Send + Unpin + 'static,
    log: Option<Arc<File>>,
    lines: Option<UnboundedSender<String>>,
    tail: Tail,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line).await, Ok(length) if length > 0) {
            if let Some(log) = &log {
                // One write per line into the page cache: lines of several processes never mix, and a full disk
                // must not stop the function.
                let _ = log.as_ref().write_all(&line);
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            tail.push(text);
            if let Some(lines) = &lines {
                // Nobody listens any more: the log has the line.
                let _ = lines.send(text.to_owned());
            }
            line.clear();
        }
    })
}
