//! Bins of the same width, and what falls into them.

use crate::error::{Result, bail};

const MOST_BINS: usize = 10_000;

/// The edges of bins that hold all values: one more than there are bins.
pub(super) fn edges(values: &[f64], bins: usize) -> Result<Vec<f64>> {
    if !(1..=MOST_BINS).contains(&bins) {
        bail!(Input, "{bins} bins: expected 1 to {MOST_BINS}")
    }
    let (mut low, mut high) = range(values.iter().copied());
    let size = low.abs().max(high.abs());
    // With edges closer than numbers of that size can be, bins would have no width.
    let least = (4. * f64::EPSILON * size).max(f64::MIN_POSITIVE);
    if high - low <= least * bins as f64 {
        let half = (0.5 * (high - low) + 8. * f64::EPSILON * size * bins as f64).max(0.5);
        let middle = low + 0.5 * (high - low);
        (low, high) = ((middle - half).max(f64::MIN), (middle + half).min(f64::MAX));
    }
    let width = high - low;
    let from_low = |edge: f64| {
        let product = width * edge;
        low + if product.is_finite() { product / bins as f64 } else { width * (edge / bins as f64) }
    };
    Ok((0..=bins).map(|edge| from_low(edge as f64)).collect())
}

/// The bin of a value. Bins are open on the right, except the last one.
pub(super) fn of(value: f64, edges: &[f64]) -> usize {
    edges[1..edges.len() - 1].partition_point(|edge| *edge <= value)
}

/// The mean, which is never larger than the largest value.
pub(super) fn mean(values: &[f64]) -> f64 {
    let (sum, count) = (values.iter().sum::<f64>(), values.len() as f64);
    if sum.is_finite() { sum / count } else { values.iter().map(|value| value / count).sum() }
}

/// The lowest and the highest of some values.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_value_once() {
        let values = [0., 0.1, 0.5, 0.999, 1., 1.];
        let parted = edges(&values, 4).unwrap();
        let bins: Vec<usize> = values.iter().map(|value| of(*value, &parted)).collect();
        assert_eq!(bins, [0, 0, 2, 3, 3, 3]);
        assert_eq!(of(2., &edges(&[2., 2.], 3).unwrap()), 1);
    }

    #[test]
    fn every_bin_has_a_width() {
        let pairs =
            [(0., 1.), (-8e307, 8e307), (0., 1.7e308), (1.7e308, 1.7e308), (f64::MAX, f64::MAX), (f64::MIN, f64::MIN)];
        let close = [(1e17, 1e17 + 16.), (1., 1. + f64::EPSILON), (0., 5e-324), (5e-324, 5e-324), (-1e-320, 1e-320)];
        for (low, high) in pairs.into_iter().chain(close) {
            for bins in [1, 3, 100, 10_000] {
                let parted = edges(&[low, high], bins).unwrap();
                assert!(parted.iter().all(|edge| edge.is_finite()), "{low:e} {high:e} {bins}");
                assert!(parted.windows(2).all(|edge| edge[0] < edge[1]), "{low:e} {high:e} {bins}");
                assert!(of(low, &parted) <= of(high, &parted) && parted[0] <= low && parted[bins] >= high);
            }
        }
    }

    #[test]
    fn means_of_large_numbers_are_finite() {
        assert_eq!(mean(&[1., 2., 6.]), 3.);
        assert!((mean(&[1.7e308, 1.7e308, 1.6e308]) / 1e308 - 1.6666666666666667).abs() < 1e-12);
    }
}
