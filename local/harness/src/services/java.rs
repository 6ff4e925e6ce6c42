//! Java services: a main class on a folder of jars, a log, a leased port.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftless_start::Jdk;

use super::process::ProcessLaunch;
use super::workspace;

/// Longest start of a Java service, on a machine that is busy with a build.
pub(super) const START_LIMIT: Duration = Duration::from_secs(120);

/// A Java program to run.
pub(super) struct Program<'a> {
    /// For messages and the name of the log.
    pub(super) name: &'a str,
    /// The port that tells logs of concurrent runs apart.
    pub(super) port: u16,
    pub(super) jdk: &'a Jdk,
    /// The folder of its jars.
    pub(super) jars: &'a Path,
    /// `-X` and `-D` options.
    pub(super) options: Vec<OsString>,
    /// A main class, or the file with its source.
    pub(super) main: OsString,
    pub(super) arguments: Vec<OsString>,
}

impl Program<'_> {
    pub(super) fn launch(self, scratch: Option<PathBuf>) -> ProcessLaunch {
        let mut command: Vec<OsString> = vec![self.jdk.java().into()];
        command.extend(self.options);
        command.extend(["-cp".into(), self.jars.join("*").into(), self.main]);
        command.extend(self.arguments);
        let log = format!("{}-{}.log", self.name.to_lowercase().replace(' ', "-"), self.port);
        ProcessLaunch {
            name: self.name.to_owned(),
            command,
            log: workspace::local_dir().join("logs").join(log),
            scratch,
            grace: Duration::from_secs(10),
        }
    }
}

/// `-Dname=value`, where the value is a path.
pub(super) fn path_property(name: &str, path: &Path) -> OsString {
    let mut property = OsString::from(format!("-D{name}="));
    property.push(path);
    property
}
