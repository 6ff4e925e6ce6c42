//! x
pub mod function;
pub mod mapping;
pub mod replay;
