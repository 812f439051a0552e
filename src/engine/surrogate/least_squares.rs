//! Least squares, plain and with a penalty on the squares of the coefficients.

use super::Fit;
use super::cholesky::Cholesky;
use super::observations::{shares, weighted_mean};

/// Minimises Σ w·(y − b₀ − x·b)² + α·|b|² over the intercept b₀ and the coefficients b; `None` if α is 0 and the rows do
/// not determine them.
///
/// It solves as many equations as there are features or rows, whichever are fewer.
pub(super) fn fit(rows: &[&[bool]], outputs: &[f64], weights: &[f64], alpha: f64) -> Option<Fit> {
    let features = rows.first()?.len();
    let shares = shares(rows, weights, features);
    let mean = weighted_mean(outputs.iter().copied(), weights);
    let centred = |row: usize, feature: usize| f64::from(u8::from(rows[row][feature])) - shares[feature];
    let coefficients = if alpha > 0. && rows.len() < features {
        let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
        let mut kernel = vec![0.; rows.len() * rows.len()];
        for one in 0..rows.len() {
            for other in 0..=one {
                let product: f64 = (0..features).map(|feature| centred(one, feature) * centred(other, feature)).sum();
                let entry = roots[one] * roots[other] * product;
                kernel[one * rows.len() + other] = entry;
                kernel[other * rows.len() + one] = entry;
            }
            kernel[one * rows.len() + one] += alpha;
        }
        let right: Vec<f64> = outputs.iter().zip(&roots).map(|(output, root)| root * (output - mean)).collect();
        let dual = Cholesky::of(kernel, rows.len())?.solve(&right);
        let of_feature = |feature| (0..rows.len()).map(|row| roots[row] * centred(row, feature) * dual[row]).sum();
        (0..features).map(of_feature).collect()
    } else {
        if rows.len() < features + usize::from(alpha == 0.) {
            return None;
        }
        let mut squares = vec![0.; features * features];
        let mut right = vec![0.; features];
        for row in 0..rows.len() {
            for one in 0..features {
                let weighted = weights[row] * centred(row, one);
                right[one] += weighted * (outputs[row] - mean);
                (0..=one).for_each(|other| squares[one * features + other] += weighted * centred(row, other));
            }
        }
        (0..features).for_each(|feature| squares[feature * features + feature] += alpha);
        Cholesky::of(squares, features)?.solve(&right)
    };
    Some(Fit::through(mean, &shares, coefficients))
}
