//! The axes of charts, for numbers of any size.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::bins::range;
use super::html::number;

/// The share of its length that an axis leaves free at each end.
pub(super) const AIR: f64 = 0.06;
/// The same for charts of dots, which have a radius and a label.
pub(super) const DOT_AIR: f64 = 0.14;

/// Numbers closer to each other than this share of their size count as equal.
const SAME: f64 = 1e-12;

/// An axis, from its lowest to its highest place. A place is a number times a power of ten, 10^-`exponent`, so that
/// sums and differences of very large and very small numbers stay exact enough.
#[derive(Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    exponent: i32,
    /// The distance between two ticks.
    step: f64,
}

impl Axis {
    /// An axis that shows these numbers with some free room, starting at 0 if `from_zero`.
    pub(super) fn new(values: impl Iterator<Item = f64>, from_zero: bool, air: f64) -> Self {
        let (low, high) = range(values);
        let size = low.abs().max(high.abs());
        let exponent = match size {
            0. => 0,
            size if size > 1e250 => 100,
            size if size < 1e-250 => -200,
            _ => 0,
        };
        let mut axis = Self { low: 0., high: 0., exponent, step: 0. };
        let (mut low, mut high) = (axis.place(low), axis.place(high));
        if from_zero {
            (low, high) = (low.min(0.), high.max(0.));
        }
        let size = low.abs().max(high.abs());
        let flat = high - low <= SAME * size;
        let air = if flat { (1e-6 * size).max(0.5 * axis.place(1.)) } else { air * (high - low) };
        let ends_at = |end: f64| from_zero && end == 0. && !flat;
        axis.low = if ends_at(low) { low } else { low - air };
        axis.high = if ends_at(high) { high } else { high + air };
        axis.stepped(MOST_TICKS)
    }

    /// An axis from `low` to `high`.
    pub(super) fn from_to(low: f64, high: f64) -> Self {
        Self { low, high, exponent: 0, step: 0. }.stepped(MOST_TICKS)
    }

    /// The same with this share of its length more at both ends.
    pub(super) fn with_room(self, share: f64) -> Self {
        let room = share * (self.high - self.low);
        Self { low: self.low - room, high: self.high + room, ..self }.stepped(MOST_TICKS)
    }

    /// The same with so few ticks that their texts have room side by side; `room` is that of a text, as a share of the
    /// axis.
    pub(super) fn with_room_for(self, room: impl Fn(&str) -> f64) -> Self {
        let fits = |axis: &Self| {
            let widest = axis.texts().iter().map(|(_, _, text)| room(text)).fold(0., f64::max);
            axis.step / (axis.high - axis.low) >= widest
        };
        (2..=MOST_TICKS).rev().map(|most| self.clone().stepped(most)).find(fits).unwrap_or(self)
    }

    /// The place of a number.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.exponent == 0 { value } else { value * 10f64.powi(-self.exponent) }
    }

    /// Where a number lies, as a share of the axis from its low end.
    pub(super) fn share(&self, value: f64) -> f64 {
        (self.place(value) - self.low) / (self.high - self.low)
    }

    /// Each tick's number, counted from 0, its share of the axis, and its text.
    pub(super) fn texts(&self) -> Vec<(i64, f64, String)> {
        let tick = |place: f64| {
            ((place / self.step).round() as i64, (place - self.low) / (self.high - self.low), self.label(place))
        };
        self.key_points(MOST_TICKS).into_iter().map(tick).collect()
    }

    pub(super) fn middle(&self) -> f64 {
        0.5 * (self.low + self.high)
    }

    /// The axis with the finest step of 1, 2 or 5 times a power of ten that makes at most `most` ticks.
    fn stepped(mut self, most: usize) -> Self {
        let span = self.high - self.low;
        let mut power = span.log10().ceil() as i32 + 1;
        let mut coarser = decimal(1, power);
        'finer: loop {
            for (digit, down) in [(5, 1), (2, 1), (1, 1)] {
                let step = decimal(digit, power - down);
                let (first, last) = self.ticks(step);
                if last - first + 1. > most as f64 || step < SAME * self.low.abs().max(self.high.abs()) {
                    break 'finer;
                }
                coarser = step;
            }
            power -= 1;
        }
        self.step = coarser;
        self
    }

    /// The numbers of the first and the last multiple of a step on the axis.
    fn ticks(&self, step: f64) -> (f64, f64) {
        const ROUNDING: f64 = 1e-9;
        ((self.low / step - ROUNDING).ceil(), (self.high / step + ROUNDING).floor())
    }

    /// The text of a tick, with enough digits to tell it from the next one.
    pub(super) fn label(&self, place: f64) -> String {
        let size = self.low.abs().max(self.high.abs());
        if place.abs() < 1e-9 * (self.high - self.low) {
            return "0".to_string();
        }
        let [largest, finest] = [size, self.step].map(|x| (x.log10() + 1e-9).floor() as i32);
        let digits = largest - finest;
        let in_words = self.exponent == 0 && (1e-4..1e6).contains(&place.abs());
        match digits {
            ..=3 if in_words => number(place),
            _ if in_words => format!("{place:.0$}", (-finest).max(0) as usize),
            _ => {
                let text = format!("{place:.0$e}", digits.clamp(2, 15) as usize);
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                format!("{mantissa}e{}", exponent.parse().unwrap_or(0) + self.exponent)
            }
        }
    }

    /// The longest of its ticks' texts, in characters.
    pub(super) fn longest_label(&self) -> usize {
        self.key_points(MOST_TICKS).into_iter().map(|place| self.label(place).chars().count()).max().unwrap_or(0)
    }
}

/// The most ticks of an axis.
const MOST_TICKS: usize = 11;

/// A digit times a power of ten, rounded once.
fn decimal(digit: i32, power: i32) -> f64 {
    if power < 0 { f64::from(digit) / 10f64.powi(-power) } else { f64::from(digit) * 10f64.powi(power) }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (place - self.low) / (self.high - self.low);
        let length = f64::from(to - from) * share;
        // A little beyond, so that rounding does not move a mark that is on the edge of a pixel.
        from + if to > from { (length + 1e-3).floor() as i32 } else { (length - 1e-3).ceil() as i32 }
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let most = hint.max_num_points();
        let axis = if most == MOST_TICKS { self.clone() } else { self.clone().stepped(most) };
        let (first, last) = axis.ticks(axis.step);
        let count = (last - first + 1.).clamp(0., most as f64) as usize;
        (0..count).map(|tick| (first + tick as f64) * axis.step).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, place: &f64) -> String {
        self.label(*place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], from_zero: bool) -> Vec<String> {
        let axis = Axis::new(values.iter().copied(), from_zero, AIR);
        let ticks = axis.key_points(MOST_TICKS);
        assert!(ticks.len() >= 2 && ticks.len() <= MOST_TICKS, "{values:?}: {ticks:?}");
        for value in values {
            let pixel = axis.map(&axis.place(*value), (0, 1000));
            assert!((0..=1000).contains(&pixel), "{values:?}: {value} at {pixel}");
        }
        ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers_of_any_size() {
        assert_eq!(labels(&[0., 1.], true), ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"]);
        assert_eq!(
            labels(&[0., 1.7e308], true),
            [
                "0", "2.00e307", "4.00e307", "6.00e307", "8.00e307", "1.00e308", "1.20e308", "1.40e308", "1.60e308",
                "1.80e308"
            ]
        );
        assert_eq!(labels(&[0., 5e-324], true).last().unwrap(), "5.00e-324");
        assert_eq!(labels(&[-8e307, 8e307], true)[4], "0");
        assert_eq!(labels(&[1000., 1000.5], false)[1], "1000.05");
        assert_eq!(labels(&[1e9, 1e9 + 4.], false)[0], "1.0000000000e9");
    }

    #[test]
    fn what_does_not_change_stands_in_the_middle() {
        for value in [0., 1., -7e9, 1e17, 1.7e308, -5e-324] {
            for from_zero in [false, true] {
                labels(&[value, value], from_zero);
            }
            let axis = Axis::new([value].into_iter(), false, AIR);
            assert!((axis.map(&axis.place(value), (0, 1000)) - 500).abs() <= 1, "{value}");
        }
        labels(&[1e17, 1e17 + 16.], false);
    }
}
