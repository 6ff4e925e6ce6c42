//! Start of the tool: what is missing is said before anything else is compiled.
//!
//! The aliases `cargo demo` and `cargo local` compile this crate, which takes a second, and run its program `start`.
//! The program looks for Java and Maven if the command starts services. Then Cargo compiles the tool and runs it.
//!
//! # Layout
//! - [`Jdks`]: the installed Java runtimes, from which the harness picks one for each service.
//! - [`missing`]: what a command line will lack.
//!
//! Deliberately absent: the exact needs of each service, which the tool checks once it is compiled; and a check before
//! `cargo test`. Cargo lets no alias stand for a command of its own. A build script would not be early: Cargo prefers
//! crates that many others wait for, so this one was the 294th of 321 in `cargo test --workspace`. And it would warn or
//! fail as well where no service is needed, under clippy and rustdoc. So the README has `cargo demo` tried first.

mod jdk;
mod needs;

pub use jdk::{Jdk, Jdks, NoJava};
pub use needs::{is_in_path, missing};
