//! Warns whoever compiles the tests that the services will lack Java or Maven: long before the first test fails for it.

use std::path::Path;

use driftless_start::{Jdks, missing};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    // <target>/<profile>/build/<package>/out
    let target = Path::new(&out).ancestors().nth(4).unwrap_or(Path::new("target"));
    let lines = missing(&["demo".to_owned()], &Jdks::from_env(), &target.join("local"), |name| {
        std::env::var_os(name).is_some()
    });
    for line in &lines {
        println!("cargo::warning=the tests on real services will fail: {line}");
    }
    if !lines.is_empty() {
        // A file that never exists: the next build looks again.
        println!("cargo::rerun-if-changed=.looks-again");
    }
}
