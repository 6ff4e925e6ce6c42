//! Complaints of other systems' users, each as a test named after it, where no other test has it already.
//!
//! `docs/complaints.md` is the table of all of them.

mod amplify;
mod cdc;
mod data_prepper;
mod libraries;
pub(crate) mod limit;
mod table;
