//! Numbers `[features, rows]`: the numbers of a feature lie together, one for each row.

use crate::nn::exponential::exp;
use crate::nn::lanes::sum_of;
use crate::nn::vectors::vectorized;

/// Writes rows of this width as columns.
pub(super) fn turn(from: &[f32], width: usize, to: &mut [f32]) {
    let rows = from.len() / width;
    for (column, to) in to.chunks_exact_mut(rows).enumerate() {
        for (to, from) in to.iter_mut().zip(from[column..].iter().step_by(width)) {
            *to = *from;
        }
    }
}

/// Rows of this width as columns.
pub(super) fn turned(from: &[f32], width: usize) -> Vec<f32> {
    let mut to = vec![0.; from.len()];
    turn(from, width, &mut to);
    to
}

/// Softmax over the features `[features, rows]` of each row.
pub(super) fn softmax(values: &mut [f32], rows: usize) {
    let (mut largest, mut sums) = (vec![f32::NEG_INFINITY; rows], vec![0.; rows]);
    vectorized(
        #[inline(always)]
        || {
            for of_feature in values.chunks_exact(rows) {
                for (largest, x) in largest.iter_mut().zip(of_feature) {
                    *largest = if *x > *largest { *x } else { *largest };
                }
            }
            for of_feature in values.chunks_exact_mut(rows) {
                for ((x, largest), sum) in of_feature.iter_mut().zip(&largest).zip(&mut sums) {
                    *x = exp(*x - largest);
                    *sum += *x;
                }
            }
            for of_feature in values.chunks_exact_mut(rows) {
                for (x, sum) in of_feature.iter_mut().zip(&sums) {
                    *x /= sum;
                }
            }
        },
    );
}

/// The gradient from that of softmax y, in the place of which it is put: y · (g − Σ g·y).
pub(super) fn softmax_gradient(y: &[f32], g: &mut [f32], rows: usize) {
    let mut along = vec![0.; rows];
    vectorized(
        #[inline(always)]
        || {
            for (y, g) in y.chunks_exact(rows).zip(g.chunks_exact(rows)) {
                for ((along, y), g) in along.iter_mut().zip(y).zip(g) {
                    *along += y * g;
                }
            }
            for (y, g) in y.chunks_exact(rows).zip(g.chunks_exact_mut(rows)) {
                for ((g, y), along) in g.iter_mut().zip(y).zip(&along) {
                    *g = y * (*g - along);
                }
            }
        },
    );
}

/// Adds the sum over the rows of each feature.
pub(super) fn add_sums(values: &[f32], rows: usize, to: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (to, of_feature) in to.iter_mut().zip(values.chunks_exact(rows)) {
                *to += sum_of(of_feature, |x| x);
            }
        },
    );
}
