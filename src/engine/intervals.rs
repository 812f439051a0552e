//! Confidence intervals of sampled attributions, by Student's t.

use candle_core::{DType, Device, Tensor};

use super::{Attributions, Sampling};
use crate::error::{Result, bail};

/// Halvings of an angle, more than a number has digits.
const HALVINGS: usize = 60;

impl Attributions {
    /// How many independent draws the standard errors of each example stand on; empty for a method that draws nothing.
    /// An order and its reverse, or a coalition and its complement, are one draw; errors of Lime and KernelShap, which fit
    /// to all samples at once, stand on the groups of samples that are left out, at most 50. 0 where every coalition was
    /// evaluated, so that nothing was left to chance.
    ///
    /// Student's t for [`standard_errors`](Self::standard_errors) has one degree of freedom less.
    pub fn independent_draws(&self) -> &[usize] {
        self.sampling.as_ref().map_or(&[], |sampling| &sampling.draws)
    }

    /// The lower and the upper end of the interval around each attribution that holds the exact number at this level,
    /// `0.95` for example, if the draws were repeated: as many standard errors to either side as Student's t has for the
    /// [`independent_draws`](Self::independent_draws), 2.0 for 60 of them, 2.8 for 5. One pair of tensors for each of
    /// [`Attributions::values`].
    ///
    /// Draws that are skewed need more: where a few rare ones decide, few draws see none of them, and the interval is too
    /// narrow.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
    /// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
    /// let result = ShapleyValueSampling::new(&net).n_samples(100).attribute(&x, 1)?;
    /// assert_eq!(result.independent_draws(), [50]);
    /// for (lower, upper) in result.confidence_intervals(0.95)? {
    ///     assert_eq!((lower.dims(), upper.dims()), (&[1, 3][..], &[1, 3][..]));
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn confidence_intervals(&self, level: f64) -> Result<Vec<(Tensor, Tensor)>> {
        if !(level > 0. && level < 1.) {
            bail!(
                Input,
                "the level of a confidence interval is {level}: expected a number between 0 and 1, such as 0.95"
            )
        }
        let Some(sampling) = &self.sampling else {
            bail!(Input, "{} draws nothing: its attributions have no confidence intervals", self.method)
        };
        let factors: Vec<f64> = sampling.draws.iter().map(|draws| errors_in_interval(*draws, level)).collect();
        let ends = |(value, error): (&Tensor, &Tensor)| {
            let mut shape = vec![1; error.rank()];
            shape[0] = factors.len();
            let factors = Tensor::from_slice(&factors, shape, &Device::Cpu)?;
            let error = error.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
            let margin = error.broadcast_mul(&factors)?.to_dtype(value.dtype())?.to_device(value.device())?;
            Ok(((value - &margin)?, (value + &margin)?))
        };
        self.values.iter().zip(&sampling.errors).map(ends).collect()
    }
}

impl Sampling {
    /// The fewest independent draws of an example whose errors stand on some.
    pub(super) fn fewest_draws(&self) -> Option<usize> {
        self.draws.iter().copied().filter(|draws| *draws > 1).min()
    }
}

/// How many standard errors from so many draws reach from the middle of an interval of this level to its ends. Nothing is
/// uncertain if nothing was drawn; one draw does not tell.
pub(super) fn errors_in_interval(draws: usize, level: f64) -> f64 {
    match draws {
        0 => 0.,
        1 => f64::NAN,
        _ => students_t(draws - 1, level),
    }
}

/// The t between whose negative and itself Student's distribution of so many degrees of freedom has this share.
fn students_t(degrees: usize, share: f64) -> f64 {
    let (mut below, mut above) = (0., std::f64::consts::FRAC_PI_2);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (below + above);
        match share_within(degrees, middle) < share {
            true => below = middle,
            false => above = middle,
        }
    }
    (degrees as f64).sqrt() * below.tan()
}

/// The share of Student's distribution within t = √ν·tan θ of 0, for an angle θ: Abramowitz and Stegun, 26.7.3 and
/// 26.7.4.
fn share_within(degrees: usize, angle: f64) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    let mut term = if is_odd { cosine } else { 1. };
    let mut sum = if degrees == 1 { 0. } else { term };
    let mut power = if is_odd { 3 } else { 2 };
    while power < degrees && term > f64::EPSILON * sum {
        term *= cosine * cosine * (power - 1) as f64 / power as f64;
        sum += term;
        power += 2;
    }
    if is_odd { (angle + sine * sum) / std::f64::consts::FRAC_PI_2 } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_scipy() {
        let cases = [
            (1, 0.95, 12.706204736174694),
            (1, 0.999999, 636619.7722780723),
            (2, 0.5, 0.8164965809277261),
            (2, 0.99, 9.924843200918287),
            (3, 0.95, 3.1824463052837078),
            (4, 0.95, 2.7764451051977934),
            (5, 0.999999, 28.478473462183874),
            (12, 0.95, 2.1788128296672284),
            (31, 0.5, 0.6824863060025721),
            (49, 0.95, 2.0095752371292392),
            (1001, 0.99, 2.5807497687505245),
            (100_000, 0.95, 1.9599877075346095),
        ];
        for (degrees, level, expected) in cases {
            let t = students_t(degrees, level);
            assert!((t / expected - 1.).abs() < 1e-9, "{degrees} degrees, {level}: {t}, not {expected}");
        }
    }

    #[test]
    fn nothing_drawn_is_certain_and_one_draw_is_not() {
        assert_eq!(errors_in_interval(0, 0.95), 0.);
        assert!(errors_in_interval(1, 0.95).is_nan());
        assert!((errors_in_interval(2, 0.95) - 12.706_204_736_432_1).abs() < 1e-8);
    }
}
