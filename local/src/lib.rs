//! The developer's tool: real services on this machine, and load for them.

pub mod services;
