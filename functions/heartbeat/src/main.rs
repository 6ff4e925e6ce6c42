//! Set-up only: logs, settings, and the Lambda runtime around the handler.

use driftless::function::{Context, Settings, log_to_stdout};
use heartbeat::handler::Heart;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log_to_stdout();
    let context = Context::new(Settings::from_env(&|name| std::env::var(name).ok()));
    let heart = Heart::default();
    let (context, heart) = (&context, &heart);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| heart.invoke(context, event.context.deadline)))
        .await
}
