//! A terminal's lines as an SVG picture, with the colours that the terminal showed.
//!
//! Understands the sequences that set colour and weight, which are all that the tool prints.

use std::fmt::Write as _;

/// Width of a character of the font, at its size.
const COLUMN: f64 = 7.35;
const FONT_SIZE: f64 = 12.2;
const LINE: usize = 17;
const MARGIN: usize = 20;
const FIRST_LINE: usize = 46;
const FOREGROUND: &str = "#d6dae3";
/// Colours 30 to 37.
const COLOURS: [&str; 8] = ["#6b7385", "#f28b82", "#8fd694", "#f0d58a", "#7fb4ff", "#d7a5f5", "#7fd8e0", FOREGROUND];

/// Text of one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Span {
    look: TextStyle,
    text: String,
}

/// Colour and weight of text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct TextStyle {
    colour: Option<usize>,
    bold: bool,
    dim: bool,
}

/// Draws lines with their ANSI sequences as an SVG picture. `label` is its description.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a terminal is a few hundred columns wide")]
pub fn svg(label: &str, lines: &[String]) -> String {
    let lines: Vec<Vec<Span>> = lines.iter().map(|line| spans(line)).collect();
    let columns = lines.iter().map(|line| line.iter().map(|span| span.text.chars().count()).sum::<usize>());
    let columns = columns.max().unwrap_or_default();
    let width = (columns as f64 * COLUMN).ceil() as usize + 2 * MARGIN;
    let height = FIRST_LINE + lines.len() * LINE;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{}">
<rect width="{width}" height="{height}" rx="8" fill="#1d2129"/>
<g fill="#4b5363"><circle cx="20" cy="18" r="5"/><circle cx="37" cy="18" r="5"/><circle cx="54" cy="18" r="5"/></g>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="{FONT_SIZE}" fill="{FOREGROUND}" xml:space="preserve">
"##,
        escaped(label)
    );
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let y = FIRST_LINE + number * LINE;
        let text: String = line.iter().map(Span::svg).collect();
        // Writing to a string does not fail.
        let _ = writeln!(svg, r#"<text x="{MARGIN}" y="{y}">{text}</text>"#);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

impl Span {
    fn svg(&self) -> String {
        let text = escaped(&self.text);
        let mut attributes = String::new();
        if let Some(colour) = self.look.colour {
            let _ = write!(attributes, r#" fill="{}""#, COLOURS[colour]);
        }
        if self.look.bold {
            attributes.push_str(r#" font-weight="bold""#);
        }
        if self.look.dim {
            attributes.push_str(r#" opacity="0.7""#);
        }
        if attributes.is_empty() { text } else { format!("<tspan{attributes}>{text}</tspan>") }
    }
}

/// Splits a line at its sequences.
fn spans(line: &str) -> Vec<Span> {
    let mut parts = line.split("\u{1b}[");
    let mut look = TextStyle::default();
    let mut spans = vec![Span { look, text: parts.next().unwrap_or_default().to_owned() }];
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(part.len());
        let (codes, rest) = part.split_at(end);
        if rest.starts_with('m') {
            codes.split(';').for_each(|code| look.take(code));
        }
        spans.push(Span { look, text: rest.get(1..).unwrap_or_default().to_owned() });
    }
    spans.retain(|span| !span.text.is_empty());
    spans
}

impl TextStyle {
    fn take(&mut self, code: &str) {
        match code.parse().unwrap_or(0) {
            0 => *self = Self::default(),
            1 => self.bold = true,
            2 => self.dim = true,
            22 => (self.bold, self.dim) = (false, false),
            colour @ 30..=37 => self.colour = Some(colour - 30),
            colour @ 90..=97 => self.colour = Some(colour - 90),
            39 => self.colour = None,
            _ => {}
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style;

    #[test]
    fn text_keeps_its_colours_and_loses_the_sequences() {
        let lines = ["$ cargo demo".to_owned(), format!("tables are {}, 1 < 2", style::good("EQUAL"))];
        let svg = svg("a run", &lines);
        assert!(svg.contains(r#"<text x="20" y="46">$ cargo demo</text>"#), "{svg}");
        let expected = r##">tables are <tspan fill="#8fd694" font-weight="bold">EQUAL</tspan>, 1 &lt; 2</text>"##;
        assert!(svg.contains(expected), "{svg}");
        assert!(!svg.contains('\u{1b}'), "{svg}");
    }

    #[test]
    fn the_widest_line_fits() {
        let svg = svg("", &["x".repeat(100), style::bad("y")]);
        assert!(svg.contains(r#"viewBox="0 0 775 80""#), "{svg}");
    }
}
