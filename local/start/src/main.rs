//! `start`: checks what the command needs, and lets Cargo compile and run the tool.

use std::error::Error;
use std::ffi::OsString;
use std::io::{Write as _, stderr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use driftless_start::{Jdks, missing};

/// Variables that `cargo run` sets for this program: build scripts that look at them would run again.
const OF_THIS_PROGRAM: [&str; 4] = ["CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_MANIFEST_", "CARGO_PKG_"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Becomes Cargo, which becomes the tool. Returns only if something is missing.
fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let profile = folder_of_this_program();
    let local = profile.parent().unwrap_or(&profile).join("local");
    let words: Vec<String> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let missing = missing(&words, &Jdks::from_env(), &local, |name| std::env::var_os(name).is_some());
    if !missing.is_empty() {
        return Err(missing.join("\n").into());
    }
    if !profile.join("local").is_file() {
        say("Cargo compiles the tool first, which takes some minutes once");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // No --package: with it, features differ from those of the whole workspace, and the dependencies are built again.
    cargo.arg("run").arg("--manifest-path").arg(root.canonicalize()?.join("Cargo.toml"));
    cargo.args(["--bin", "local", "--"]).args(arguments);
    for (name, _) in std::env::vars_os() {
        if OF_THIS_PROGRAM.iter().any(|begin| name.to_string_lossy().starts_with(begin)) {
            cargo.env_remove(name);
        }
    }
    Err(cargo.exec().into())
}

/// The profile's folder in the target folder, where the tool will be, too.
fn folder_of_this_program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().unwrap_or(&program).to_owned()
}

fn say(text: &str) {
    // Where standard error is closed, nobody reads it.
    let _ = writeln!(stderr(), "{text}");
}
