//! Set-up only: logs, settings, and the Lambda runtime around the handler.

use lambda_runtime::{LambdaEvent, service_fn};
use replicate::config::ReplicateConfig;
use replicate::context::Context;
use replicate::handler::{StreamEvent, invoke};
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false).with_env_filter(filter).init();
    let config = ReplicateConfig::from_env(&|name| std::env::var(name).ok());
    let context = Context::new(config);
    let context = &context;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<StreamEvent>| invoke(context, event))).await
}
