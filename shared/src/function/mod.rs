//! The parts that all functions share: settings, state of the process, errors of an invocation.
//!
//! The only module that reads the environment and the clock.

pub mod allocator;
pub mod clock;
pub mod context;
pub mod error;
mod index_definition;
pub mod items_request;
pub mod log;
pub mod metrics;
pub mod replicate;
pub mod request;
pub mod retry;
pub mod settings;
pub mod shutdown;
#[cfg(feature = "table")]
pub mod table_slice;
mod variable_text;

pub use allocator::keep_freed_memory;
pub use clock::{Deadlines, Slice};
pub use context::{Access, Context, IndexChoice, connect};
pub use error::FunctionError;
pub use items_request::ItemsRequest;
pub use log::log_to_stdout;
pub use retry::retry;
pub use settings::Settings;
pub use shutdown::on_shutdown;
#[cfg(feature = "table")]
pub use table_slice::TableSlice;
