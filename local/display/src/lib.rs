//! Display of the tool: lines and progress on the console, and pictures.
//!
//! # Layout
//! - [`console`]: results on standard output, everything else on standard error; a bar or a line while something goes
//!   on.
//! - [`style`]: colours of those lines.
//! - [`chart`]: SVG files, from lines and from histograms; [`terminal`]: what the console showed, as an SVG picture.

pub mod chart;
pub mod console;
pub mod style;
pub mod terminal;
