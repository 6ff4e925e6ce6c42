//! Comparison with an earlier run: bounded figures that got worse by more than both runs' noise.

use crate::figures::{Bound, Figure, Row};

/// Share by which two runs on one machine differ although nothing changed.
const LEAST_NOISE: f64 = 0.10;
/// Multiple of its own noise by which a figure must move.
const NOISES: f64 = 2.0;

/// Returns one line per figure that got worse.
pub(crate) fn worse(now: &[Row], before: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in now {
        let Some(earlier) = before.iter().find(|earlier| earlier.id == row.id) else { continue };
        for figure in &row.figures {
            let Some(old) = earlier.figures.iter().find(|old| old.name == figure.name) else { continue };
            if let Some(change) = loss(figure, old) {
                lines.push(format!(
                    "{} {}: {} after {}, {:.0} % worse",
                    row.id.about().number,
                    figure.name,
                    figure.text(),
                    old.text(),
                    change * 100.0
                ));
            }
        }
    }
    lines
}

/// Share by which a figure got worse, if beyond noise; infinite if it has no value any more.
fn loss(now: &Figure, before: &Figure) -> Option<f64> {
    let bound = now.bound?;
    if now.value.is_nan() {
        return (!before.value.is_nan()).then_some(f64::INFINITY);
    }
    let change = match bound {
        Bound::AtMost(_) | Bound::Under(_) => now.value / before.value - 1.0,
        Bound::AtLeast(_) => before.value / now.value - 1.0,
    };
    let noise = now.noise.unwrap_or(0.0).max(before.noise.unwrap_or(0.0));
    (change > (NOISES * noise).max(LEAST_NOISE)).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::super::figures::RowId;
    use super::*;

    fn row(value: f64, bound: Bound, blocks: &[f64]) -> Vec<Row> {
        let mut row = Row::new(RowId::Backlog, "w");
        row.add(Figure::new("rate", value, "ratio").bounded(bound).with_noise(blocks));
        vec![row]
    }

    #[test]
    fn a_loss_beyond_noise_is_named() {
        let [quiet, noisy] = [[1.0; 4], [0.2, 0.5, 1.5, 1.8]];
        let at_least = Bound::AtLeast(0.5);
        let lost = worse(&row(0.7, at_least, &quiet), &row(1.0, at_least, &quiet));
        assert!(lost[0].contains("B4 rate: 0.70 after 1.00, 43 % worse"), "{lost:?}");
        assert!(worse(&row(0.95, at_least, &quiet), &row(1.0, at_least, &quiet)).is_empty(), "within noise");
        assert!(worse(&row(0.7, at_least, &noisy), &row(1.0, at_least, &quiet)).is_empty(), "a noisy run");
        assert!(worse(&row(1.5, at_least, &quiet), &row(1.0, at_least, &quiet)).is_empty(), "better");
        let none = worse(&row(f64::NAN, at_least, &quiet), &row(1.0, at_least, &quiet));
        assert!(none[0].contains("B4 rate: none after 1.00"), "{none:?}");
        assert!(worse(&row(f64::NAN, at_least, &quiet), &row(f64::NAN, at_least, &quiet)).is_empty(), "as before");
        assert_eq!(worse(&row(1.5, Bound::Under(2.0), &quiet), &row(1.0, Bound::Under(2.0), &quiet)).len(), 1);
    }
}
