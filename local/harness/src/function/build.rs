//! Builds a function of this workspace with cargo, and says where its binary is.
//!
//! Cargo itself names the file that it built, so the target folder need not be guessed.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Profile in which a function is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BuildProfile {
    /// The development profile: fast to build.
    #[default]
    Debug,
    /// As it is deployed.
    Release,
}

/// One line of cargo's `--message-format json`.
#[derive(Deserialize)]
struct CargoMessage {
    target: Option<CargoTarget>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
}

/// Builds the function `name`, showing cargo's progress on standard error.
///
/// Blocks until cargo is done. Uses the cargo that runs the tool (`CARGO`) and its target folder.
///
/// # Errors
/// When cargo cannot be started, or the build fails.
pub fn build_function(name: &str, profile: BuildProfile) -> Result<PathBuf> {
    match profile {
        // No --package: cargo then takes the features of the whole workspace, and builds no dependency a second time.
        BuildProfile::Debug => build(&["--bin", name], name, profile),
        // As it is deployed: with the features that the function itself asks for.
        BuildProfile::Release => build(&["--package", name, "--bin", name], name, profile),
    }
}

/// Builds several functions in one run of cargo: what they share is compiled once.
///
/// # Errors
/// As [`build_function`].
pub fn build_functions(names: &[&str], profile: BuildProfile) -> Result<Vec<PathBuf>> {
    let what: Vec<&str> = match profile {
        BuildProfile::Debug => names.iter().flat_map(|name| ["--bin", name]).collect(),
        BuildProfile::Release => names.iter().flat_map(|name| ["--package", name, "--bin", name]).collect(),
    };
    let messages = cargo_build(&what, &names.join(", "), profile)?;
    names.iter().map(|name| binary(&messages, name)).collect()
}

/// Builds an example of this crate; the tests keep a scripted function there.
///
/// # Errors
/// When cargo cannot be started, or the build fails.
pub fn build_example(name: &str) -> Result<PathBuf> {
    build(&["--example", name], name, BuildProfile::Debug)
}

fn build(what: &[&str], name: &str, profile: BuildProfile) -> Result<PathBuf> {
    binary(&cargo_build(what, name, profile)?, name)
}

fn binary(messages: &[u8], name: &str) -> Result<PathBuf> {
    executable(messages, name).with_context(|| format!("find the binary of {name} in what cargo built"))
}

fn cargo_build(what: &[&str], names: &str, profile: BuildProfile) -> Result<Vec<u8>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(&cargo);
    command.arg("build").args(what).arg("--message-format=json-render-diagnostics");
    if profile == BuildProfile::Release {
        command.arg("--release");
    }
    let output = command
        // The workspace: in a member only that member is built.
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {}", cargo.to_string_lossy()))?;
    ensure!(output.status.success(), "cargo could not build {names}: {}", output.status);
    Ok(output.stdout)
}

fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<CargoMessage>(line).ok())
        .filter(|message| message.target.as_ref().is_some_and(|target| target.name == name))
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_one_that_cargo_names() {
        let messages =
            br#"{"reason":"compiler-artifact","target":{"name":"replicate","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/debug/other"}
{"reason":"compiler-artifact","target":{"name":"replicate","kind":["bin"]},"executable":"/t/debug/replicate"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages, "replicate"), Some(PathBuf::from("/t/debug/replicate")));
        assert_eq!(executable(messages, "absent"), None);
    }
}
