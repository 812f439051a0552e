//! Sums in `f32` in an order that vectors of any size follow, so that every processor gives the same.

const LANES: usize = 16;

/// The sum of the numbers.
#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.; LANES];
    for part in whole {
        for (lane, x) in lanes.iter_mut().zip(part) {
            *lane += x;
        }
    }
    total(lanes) + rest.iter().sum::<f32>()
}

/// The sum of a function of two numbers.
#[inline(always)]
pub(super) fn sum_of(a: &[f32], b: &[f32], function: impl Fn(f32, f32) -> f32) -> f32 {
    let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.; LANES];
    for (a, b) in whole_a.iter().zip(whole_b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += function(*a, *b);
        }
    }
    total(lanes) + rest_a.iter().zip(rest_b).map(|(a, b)| function(*a, *b)).sum::<f32>()
}

/// The largest number, or NaN if one is.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for part in whole {
        for (lane, x) in lanes.iter_mut().zip(part) {
            *lane = larger(*lane, *x);
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| larger(a, *b))
}

#[inline(always)]
fn total(lanes: [f32; LANES]) -> f32 {
    let mut width = LANES;
    let mut lanes = lanes;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_numbers() {
        for count in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..count).map(|x| (x as f32 - 7.) * 0.25).collect();
            assert_eq!(sum(&values), values.iter().sum::<f32>());
            assert_eq!(sum_of(&values, &values, |a, b| a * b), values.iter().map(|x| x * x).sum::<f32>());
            assert_eq!(largest(&values), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }

    #[test]
    fn what_is_no_number_is_not_lost() {
        for place in [0, 20] {
            let mut values = vec![1f32; 21];
            values[place] = f32::NAN;
            assert!(largest(&values).is_nan() && sum(&values).is_nan());
        }
    }
}
