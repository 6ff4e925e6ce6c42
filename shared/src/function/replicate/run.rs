//! Set-up of a process: logs, settings, and the Lambda runtime around the handler.

use lambda_runtime::layers::TracingLayer;
use lambda_runtime::tower::util::MapResultLayer;
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};

use super::handler::{StreamEvent, invoke};
use super::metrics::Outbox;
use super::trigger::Trigger;
use crate::function::{Context, Settings, keep_freed_memory, log_to_stdout, on_shutdown};

/// Runs a function until Lambda ends the process.
///
/// # Errors
/// Fails if the runtime cannot be reached.
pub async fn run<S>(trigger: S) -> Result<(), Error>
where
    S: Trigger<Items: 'static> + Send + 'static,
{
    log_to_stdout();
    keep_freed_memory();
    let context = Context::new(Settings::from_env(&|name| std::env::var(name).ok()));
    // Leaked, because they live as long as the process.
    let (context, outbox): (&'static Context, &'static Outbox) =
        (Box::leak(Box::new(context)), Box::leak(Box::default()));
    let trigger: &'static S = Box::leak(Box::new(trigger));
    let handler = service_fn(move |event: LambdaEvent<StreamEvent>| async move {
        invoke(context, outbox, trigger, event).await.map(S::response)
    });
    let answered = MapResultLayer::new(move |sent: Result<(), Error>| {
        outbox.flush();
        sent
    });
    on_shutdown(|| outbox.close()).await;
    // In a task of its own: the future that a runtime blocks on costs one more look at its sockets per wake-up.
    tokio::spawn(Runtime::new(handler).layer(answered).layer(TracingLayer::new()).run()).await?
}
