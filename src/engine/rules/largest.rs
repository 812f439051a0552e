//! The exact rule for the largest of a window: on which share of the line each number is the largest.

use candle_core::Tensor;

use super::gradient::gradient_at;
use super::pair::{Ends, in_upper_rows};
use crate::engine::host::{host, to_device};
use crate::error::Result;

/// What reaches the input of a block that takes the largest of each window: the share of the straight line on
/// which a number is the largest, times the gradient of its window. This is exactly ∫₀¹ J(b + t(x − b))ᵀ g dt.
pub(super) fn shares(windows: &dyn Fn(&Tensor) -> Result<Tensor>, input: &Ends, gradient: &Tensor) -> Result<Tensor> {
    let reached = gradient_at(&input.x, |x| {
        let numbers = windows(x)?;
        let [to, from] = [host(&numbers)?, host(&windows(&input.b)?)?];
        let window = numbers.dims().last().copied().unwrap_or(1).max(1);
        let mut shares = vec![0.; to.len()];
        for ((shares, to), from) in shares.chunks_mut(window).zip(to.chunks(window)).zip(from.chunks(window)) {
            share_out(from, to, shares);
        }
        let shares = to_device(shares, numbers.dims(), gradient)?.to_dtype(gradient.dtype())?;
        Ok((numbers * shares.broadcast_mul(&gradient.unsqueeze(gradient.rank())?)?)?)
    })?;
    in_upper_rows(&reached)
}

/// The share of t in [0, 1] for which each `from + t (to − from)` is the largest; at a tie the first counts.
fn share_out(from: &[f64], to: &[f64], shares: &mut [f64]) {
    let slope = |index: usize| to[index] - from[index];
    let steepest = |best: usize, index: usize, at_best: f64, at_index: f64| {
        at_index > at_best || (at_index == at_best && slope(index) > slope(best))
    };
    let mut current = 0;
    for index in 1..from.len() {
        if steepest(current, index, from[current], from[index]) {
            current = index;
        }
    }
    let mut t = 0.;
    while t < 1. {
        // Only a number that rises faster can become the largest.
        let mut next: Option<(f64, usize)> = None;
        for index in 0..from.len() {
            let faster = slope(index) - slope(current);
            if faster > 0. {
                let crossing = ((from[current] - from[index]) / faster).max(t);
                let earlier = next.is_none_or(|(first, other)| {
                    crossing < first || (crossing == first && slope(index) > slope(other))
                });
                if earlier {
                    next = Some((crossing, index));
                }
            }
        }
        let until = next.map_or(1., |(crossing, _)| crossing.min(1.));
        shares[current] += until - t;
        t = until;
        match next {
            Some((crossing, index)) if crossing < 1. => current = index,
            _ => break,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares_of(from: &[f64], to: &[f64]) -> Vec<f64> {
        let mut shares = vec![0.; from.len()];
        share_out(from, to, &mut shares);
        shares
    }

    #[test]
    fn shares_are_the_lengths_of_the_upper_hull() {
        assert_eq!(shares_of(&[1., 0.], &[0., 1.]), [0.5, 0.5]);
        assert_eq!(shares_of(&[0., 0.], &[0., 0.]), [1., 0.]);
        assert_eq!(shares_of(&[0., 0.], &[-1., 1.]), [0., 1.]);
        assert_eq!(shares_of(&[2., 1.5, 0.], &[0., 1.5, 2.]), [0.25, 0.5, 0.25]);
        assert_eq!(shares_of(&[3., 1.], &[3., 3.]), [1., 0.]);
        assert_eq!(shares_of(&[f64::NEG_INFINITY, 1.], &[f64::NEG_INFINITY, 0.]), [0., 1.]);
    }

    #[test]
    fn what_each_gains_adds_up_to_what_the_largest_gains() {
        let draw = |seed: usize, index: usize| ((seed * 31 + index * 17) as f64 * 1.3).sin();
        for seed in 0..500 {
            let width = 1 + seed % 9;
            let [from, to] = [0, 100].map(|shift| (0..width).map(|i| draw(seed, i + shift)).collect::<Vec<_>>());
            let shares = shares_of(&from, &to);
            let largest = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
            let gained: f64 = (0..width).map(|i| shares[i] * (to[i] - from[i])).sum();
            assert!((gained - (largest(&to) - largest(&from))).abs() < 1e-12, "{seed}");
            assert!((shares.iter().sum::<f64>() - 1.).abs() < 1e-12 && shares.iter().all(|share| *share >= 0.));
        }
    }
}
