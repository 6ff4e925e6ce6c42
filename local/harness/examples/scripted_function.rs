//! A Lambda function whose behaviour is written in its events; the tests of the event source mapping drive it.
//!
//! A record's new image may hold a string attribute `do`: `fail` (a function error), `report` (its sequence number goes
//! into `batchItemFailures`), `exit`, `hang`, `panic`, `garble` (an answer without meaning), `swell` (an answer above
//! Lambda's limit), `print` (one line), `warn` (one line of the log). Anything else succeeds. With `FAIL_INIT` set, its
//! initialisation fails. With `DELIVERIES` set, every record is appended to that file before anything else happens.

use std::{env, fs::OpenOptions, io::Write, time::Duration};

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if let Ok(reason) = env::var("FAIL_INIT") {
        writeln!(std::io::stderr(), "the initialisation fails: {reason}")?;
        std::process::exit(3);
    }
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let records = event.payload["Records"].as_array().cloned().unwrap_or_default();
    note(&records)?;
    let mut failures = Vec::new();
    for record in &records {
        let number = &record["dynamodb"]["SequenceNumber"];
        match record["dynamodb"]["NewImage"]["do"]["S"].as_str().unwrap_or_default() {
            "fail" => return Err("as the record says".into()),
            "report" => failures.push(json!({"itemIdentifier": number})),
            "exit" => std::process::exit(7),
            "hang" => tokio::time::sleep(Duration::from_secs(3_600)).await,
            "panic" => panic!("as the record says"),
            "garble" => return Ok(json!("no list of failures")),
            "swell" => return Ok(json!("x".repeat(7 * 1024 * 1024))),
            "warn" => {
                writeln!(std::io::stdout(), r#"{{"level":"WARN","class":"test","message":"as the record says"}}"#)?
            }
            "print" => writeln!(std::io::stdout(), "record {number} of {}", event.context.invoked_function_arn)?,
            _ => {}
        }
    }
    Ok(json!({"batchItemFailures": failures}))
}

fn note(records: &[Value]) -> Result<(), Error> {
    let Ok(path) = env::var("DELIVERIES") else {
        return Ok(());
    };
    let lines: String = records
        .iter()
        .map(|record| format!("{}\n", record["dynamodb"]["SequenceNumber"].as_str().unwrap_or("?")))
        .collect();
    OpenOptions::new().create(true).append(true).open(path)?.write_all(lines.as_bytes())?;
    Ok(())
}
