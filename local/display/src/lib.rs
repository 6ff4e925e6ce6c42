//! Everything of the tool that a person sees: lines and progress on the console, and charts as pictures.
//!
//! # Layout
//! - [`console`]: results on standard output, everything else on standard error; a bar or a line for what takes long.
//! - [`chart`]: SVG files, from lines and from histograms.

pub mod chart;
pub mod console;
