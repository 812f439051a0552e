//! The exponential, functions made of it and the normal distribution in `f32`, without branches or calls, so that loops
//! over them are vectorised.

use std::iter::Sum;
use std::ops::{AddAssign, Div, Mul, Sub};

/// eˣ, to 2 in the last digit; 0 instead of numbers below 1e-37, ∞ above the largest.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let (power, beyond) = parts_of_exp(x);
    // In two steps, as 2¹²⁸ has no place among the numbers.
    let half = power >> 1;
    let value = (1. + beyond) * two_to(half) * two_to(power.wrapping_sub(half));
    let value = if x < -85. { 0. } else { value };
    let value = if x > 88.722_83 { f32::INFINITY } else { value };
    if x.is_nan() { x } else { value }
}

/// A whole number n and eʳ − 1 for the rest r, of which x is n · ln 2 + r.
#[inline(always)]
fn parts_of_exp(x: f32) -> (i32, f32) {
    /// The coefficients of eʳ from r on, for |r| up to ln 2 / 2, to 2e-9.
    const SERIES: [f32; 6] = [1., 0.499_999_9, 0.166_664_2, 0.041_668_233, 0.008_374_899, 0.001_383_674_2];
    /// Adding it rounds to a whole number, which is then in the last bits.
    const ROUNDING: f32 = 12_582_912.;
    /// ln 2 in two parts, of which the first times a small whole number is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -0.000_212_194_44];
    let rounded = x * std::f32::consts::LOG2_E + ROUNDING;
    let power = rounded - ROUNDING;
    let rest = (x - power * LN_2[0]) - power * LN_2[1];
    let [first, second, third, fourth, fifth, sixth] = SERIES;
    let beyond = rest * (first + rest * (second + rest * (third + rest * (fourth + rest * (fifth + rest * sixth)))));
    (rounded.to_bits().wrapping_sub(ROUNDING.to_bits()) as i32, beyond)
}

#[inline(always)]
fn two_to(power: i32) -> f32 {
    f32::from_bits((power.wrapping_add(127) as u32) << 23)
}

/// eˣ − 1, to 3 in the last digit.
#[inline(always)]
pub(super) fn exp_m1(x: f32) -> f32 {
    let (power, beyond) = parts_of_exp(x);
    let scale = two_to(power);
    let value = scale * beyond + (scale - 1.);
    let value = if x < -17. { -1. } else { value };
    let value = if x > 88. { exp(x) } else { value };
    if x.is_nan() { x } else { value }
}

/// ln(1 + x) for x from 0 to 1, to 2 in the last digit.
#[inline(always)]
pub(super) fn ln_1p(x: f32) -> f32 {
    // 2 · artanh(s) for s up to 1/3, by its series.
    let s = x / (2. + x);
    let mut series = 0.;
    for odd in [15., 13., 11., 9., 7., 5., 3.] {
        series = (series + 1. / odd) * (s * s);
    }
    2. * s * (1. + series)
}

/// The hyperbolic tangent, to 4 in the last digit.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let beyond = exp_m1(-2. * x.abs());
    (-beyond / (2. + beyond)).copysign(x)
}

/// Φ(x), the share of the normal distribution below x, to 1e-7, and its density φ(x).
#[inline(always)]
pub(super) fn normal_distribution(x: f32) -> (f32, f32) {
    /// The coefficients of Mills' ratio (1 − Φ(t)) / φ(t) in u = 1 / (1 + 0.3 t), from u on, to 4e-9 for t up to 14.
    const MILLS: [f32; 10] = [
        0.300_009_9,
        0.299_724_66,
        0.276_298_93,
        0.196_583_75,
        0.240_781_36,
        -0.198_643_79,
        0.480_224_3,
        -0.571_680_65,
        0.281_684_38,
        -0.051_668_715,
    ];
    /// The coefficients of (Φ(x) − 1/2) / x in x², for x up to 1.
    const NEAR: [f32; 7] = [
        0.398_942_3,
        -0.066_490_38,
        0.009_973_55,
        -0.001_187_285_9,
        0.000_115_314_6,
        -0.000_009_268_417,
        0.000_000_535_100_4,
    ];
    let mut near = 0.;
    for coefficient in NEAR.iter().rev() {
        near = near * (x * x) + coefficient;
    }
    let u = 1. / (1. + 0.3 * x.abs());
    let mut ratio = 0.;
    for coefficient in MILLS.iter().rev() {
        ratio = (ratio + coefficient) * u;
    }
    let density = exp(-0.5 * x * x) * 0.398_942_3;
    let above = density * ratio;
    let far = if x > 0. { 1. - above } else { above };
    (if x.abs() < 1. { 0.5 + x * near } else { far }, density)
}

/// A number of either type, with eˣ.
pub(super) trait Exponential:
    Copy + Default + PartialOrd + Sum + AddAssign + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// −∞.
    const LOWEST: Self;

    fn exponential(self) -> Self;
}

impl Exponential for f32 {
    const LOWEST: Self = Self::NEG_INFINITY;

    #[inline(always)]
    fn exponential(self) -> Self {
        exp(self)
    }
}

impl Exponential for f64 {
    const LOWEST: Self = Self::NEG_INFINITY;

    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::vectors::vectorized;

    #[test]
    fn exponentials_are_right_to_the_last_digits() {
        for step in -85_000..=88_700 {
            let x = step as f32 / 1000.;
            let right = f64::from(x).exp();
            assert!((f64::from(exp(x)) / right - 1.).abs() < 2.5e-7, "{x}: {} and {right}", exp(x));
        }
        assert_eq!([exp(0.), exp(-100.), exp(f32::NEG_INFINITY), exp(-1e30)], [1., 0., 0., 0.]);
        assert_eq!([exp(89.), exp(f32::INFINITY), exp(1e30)], [f32::INFINITY; 3]);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn the_functions_made_of_exponentials_are_right_to_the_last_digits() {
        for step in -200_000..=88_000 {
            let x = step as f32 / 1000.;
            let wide = f64::from(x);
            for (name, got, right) in
                [("exp_m1", exp_m1(x), wide.exp_m1()), ("exp_m1", exp_m1(x / 1e4), f64::from(x / 1e4).exp_m1())]
            {
                assert!((f64::from(got) - right).abs() <= 3.6e-7 * right.abs(), "{name} at {x}: {got} and {right}");
            }
            for x in [x / 10., x / 1e5] {
                let right = f64::from(x).tanh();
                assert!((f64::from(tanh(x)) - right).abs() <= 4.8e-7 * right.abs(), "tanh({x}) is not {}", tanh(x));
            }
        }
        for step in 0..=100_000 {
            let x = step as f32 / 100_000.;
            let right = f64::from(x).ln_1p();
            assert!((f64::from(ln_1p(x)) - right).abs() <= 2.4e-7 * right, "{x}: {} and {right}", ln_1p(x));
        }
        assert_eq!([exp_m1(0.), exp_m1(f32::NEG_INFINITY), exp_m1(f32::INFINITY)], [0., -1., f32::INFINITY]);
        assert_eq!([tanh(0.), tanh(f32::NEG_INFINITY), tanh(f32::INFINITY)], [0., -1., 1.]);
        assert!(exp_m1(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
    }

    #[test]
    fn the_normal_distribution_is_right_to_1e_7() {
        for step in -13_000..=13_000 {
            let x = step as f32 / 1000.;
            let wide = f64::from(x);
            let below = 0.5 * candle_core::cpu::erf::erfc_f64(-wide * std::f64::consts::FRAC_1_SQRT_2);
            let density = (-0.5 * wide * wide).exp() / (2. * std::f64::consts::PI).sqrt();
            let (got, of_density) = normal_distribution(x);
            assert!((f64::from(got) - below).abs() < 1e-7, "{x}: {got} and {below}");
            assert!((f64::from(of_density) - density).abs() < 6e-8, "{x}: {of_density} and {density}");
        }
        assert_eq!(normal_distribution(f32::INFINITY), (1., 0.));
        assert_eq!(normal_distribution(f32::NEG_INFINITY), (0., 0.));
        assert!(normal_distribution(f32::NAN).0.is_nan());
    }

    #[test]
    fn loops_give_the_same_on_every_processor() {
        let values: Vec<f32> = (-2000..2000).map(|step| step as f32 / 37.).collect();
        let wide: Vec<f32> = vectorized(|| values.iter().map(|x| exp(*x)).collect());
        let plain: Vec<f32> = values.iter().map(|x| exp(*x)).collect();
        assert_eq!(wide, plain);
    }
}
