//! Set-up only: logs, settings, and the Lambda runtime around the handler.

use driftless::function::{Context, Settings, keep_freed_memory, log_to_stdout};
use driftless::table::dynamodb::LastTable;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use verify::handler::invoke;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log_to_stdout();
    keep_freed_memory();
    let context = Context::new(Settings::from_env(&|name| std::env::var(name).ok()));
    let tables = LastTable::default();
    let (context, tables) = (&context, &tables);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| invoke(context, tables, event))).await
}
