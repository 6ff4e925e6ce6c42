//! Start of the tool: what is missing is said before anything else is compiled.
//!
//! The aliases `cargo demo` and `cargo local` compile this crate, which takes a second, and run its program `start`.
//! The program looks for Java and Maven if the command starts services. Then Cargo compiles the tool and runs it.
//!
//! # Layout
//! - [`Jdks`]: the installed Java runtimes, from which the harness picks one for each service.
//! - [`missing`]: what a command line will lack.
//!
//! Deliberately absent: the exact needs of each service. The tool checks those, once it is compiled.

mod jdk;
mod needs;

pub use jdk::{Jdk, Jdks, NoJava};
pub use needs::{is_in_path, missing};
