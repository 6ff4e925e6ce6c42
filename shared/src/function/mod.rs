//! What every function of ours has in common: settings, what lives as long as the process, and how an invocation fails.
//!
//! The only module that reads the environment and the clock.

pub mod clock;
pub mod context;
pub mod error;
pub mod settings;

pub use clock::Deadlines;
pub use context::Context;
pub use error::FunctionError;
pub use settings::Settings;

/// Sends logs to standard output as JSON lines, at the level of `RUST_LOG` (`info` unless set).
pub fn log_to_stdout() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false).with_env_filter(filter).init();
}
