//! Live page of a run: lag, outcomes, both sides and dead letters in a browser, with buttons that inject troubles.
//!
//! One page on loopback, without a build step and with nothing from elsewhere. What is shown is what the run counts
//! anyway; the page adds the counts of items and documents, and the proof after each trouble. It never shows the
//! content of an item.
//!
//! # Layout
//! - [`PageArgs`]: what is asked for on the command line.
//! - [`view`]: what the page shows; [`sources`]: where it is counted.
//! - [`trouble`], [`journal`]: what can be injected, and what was.
//! - [`desk`]: publishes figures and carries orders out; [`subject`]: what a command adds to that.
//! - `server`, `access`, `board`: HTTP on loopback, who may ask and order, and what both sides share.

mod access;
mod args;
mod board;
mod clock;
pub mod desk;
pub mod journal;
mod server;
pub mod sources;
pub mod subject;
pub mod trouble;
pub mod view;

pub use args::PageArgs;
pub use desk::{OrderBook, PageDesk};
pub use journal::PageJournal;
pub use sources::PageSources;
pub use subject::{PageSubject, SubjectFigures, until};
pub use trouble::Trouble;
