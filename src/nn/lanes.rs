//! Sums in an order that vectors of any size follow, so that every processor gives the same.

use std::iter::Sum;
use std::ops::AddAssign;

use super::exponential::Exponential;

const LANES: usize = 16;

/// The sum of a function of each number.
#[inline(always)]
pub(super) fn sum_of<T: Copy, S: Copy + Default + AddAssign + Sum>(values: &[T], function: impl Fn(T) -> S) -> S {
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [S::default(); LANES];
    for part in whole {
        for (lane, x) in lanes.iter_mut().zip(part) {
            *lane += function(*x);
        }
    }
    total(lanes, rest.iter().map(|x| function(*x)).sum())
}

/// The sum of a function of two numbers.
#[inline(always)]
pub(super) fn sum_of_two<T: Copy, S: Copy + Default + AddAssign + Sum>(
    a: &[T],
    b: &[T],
    function: impl Fn(T, T) -> S,
) -> S {
    let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [S::default(); LANES];
    for (a, b) in whole_a.iter().zip(whole_b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += function(*a, *b);
        }
    }
    total(lanes, rest_a.iter().zip(rest_b).map(|(a, b)| function(*a, *b)).sum())
}

/// The largest number, or NaN if one is; −∞ of none.
#[inline(always)]
pub(super) fn largest<T: Exponential>(values: &[T]) -> T {
    let is_nan = |x: T| x.partial_cmp(&x).is_none();
    let larger = |a: T, b: T| if b > a || is_nan(b) { b } else { a };
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [T::LOWEST; LANES];
    for part in whole {
        for (lane, x) in lanes.iter_mut().zip(part) {
            *lane = larger(*lane, *x);
        }
    }
    lanes.iter().chain(rest).fold(T::LOWEST, |a, b| larger(a, *b))
}

#[inline(always)]
fn total<S: Copy + AddAssign>(mut lanes: [S; LANES], rest: S) -> S {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] += other;
        }
    }
    lanes[0] += rest;
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_numbers() {
        for count in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..count).map(|x| (x as f32 - 7.) * 0.25).collect();
            assert_eq!(sum_of(&values, |x| x), values.iter().sum::<f32>());
            assert_eq!(sum_of_two(&values, &values, |a, b| a * b), values.iter().map(|x| x * x).sum::<f32>());
            assert_eq!(largest(&values), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }

    #[test]
    fn what_is_no_number_is_not_lost() {
        for place in [0, 20] {
            let mut values = vec![1f32; 21];
            values[place] = f32::NAN;
            assert!(largest(&values).is_nan() && sum_of(&values, |x| x).is_nan());
        }
    }
}
