//! What users of other systems suffer from, each as a test named after the complaint, where no other test has it already.
//! `docs/complaints.md` is the table of all of them.

mod amplify;
mod cdc;
mod data_prepper;
mod libraries;
pub(crate) mod limit;
mod table;
