//! The event source mapping with real function processes, and on real streams of DynamoDB and Kinesis.
//!
//! The function is the binary of `examples/scripted_function.rs`: its events say what it does.

use std::{env, path::PathBuf, time::Duration};

use driftless_harness::function::{FunctionConfig, build_example};

mod delivery;
mod dynamodb_stream;
mod kinesis_stream;
mod process;
mod replay;

/// Far longer than any of these takes.
const LIMIT: Duration = Duration::from_secs(60);

/// The example's binary, which cargo builds next to this test; built here only where a filter left it out.
fn scripted_function() -> FunctionConfig {
    let test = env::current_exe().expect("the test knows its own path");
    let beside =
        test.ancestors().nth(2).expect("the test lies in target/PROFILE/deps").join("examples/scripted_function");
    let binary: PathBuf =
        if beside.exists() { beside } else { build_example("scripted_function").expect("cargo builds the example") };
    FunctionConfig::new("scripted", binary)
}
