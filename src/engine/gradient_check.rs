//! Compares a gradient with its function.

use candle_core::{DType, Device, Tensor};

use super::host::{host, host_row};
use crate::error::Result;

/// What a method does when a model's gradient disagrees with its outputs.
///
/// A gradient is compared with the function itself, once for each model, target and layer of a method, at the
/// first example that has the target. Along directions d, drawn from the values and from the places,
/// ⟨gradient, d⟩ must be (F(x + hd) − F(x)) / h. This takes three more rows through the model, forward only. The third
/// row is the example halved; it reveals rows that depend on each other. A gradient that is right so far is taken once
/// more with the example twice in one batch, where both rows must have it: with candle's conv1d only the first row is
/// right. Only if the numbers disagree are more rows computed, to tell a wrong gradient from a kink, from rounding
/// and from a random model.
///
/// If the numbers are too coarse to tell, as they mostly are in half precision, nothing is reported. A fault at
/// another example only (a tie, say) is not found. Not checked are `Sequential`, the encoders and classifiers, and
/// models whose [`known_operations`](crate::model::Model::known_operations) says that they are made of
/// [`nn`](crate::nn).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Check {
    /// A wrong gradient is an error; the default.
    #[default]
    Error,
    /// A wrong gradient is a remark on the result.
    Warn,
    /// Gradients are not checked.
    Off,
}

/// A gradient at a point, each `[1, ...]`, and the number there.
pub(super) struct Claim<'a> {
    pub(super) point: &'a [Tensor],
    pub(super) gradient: &'a [Tensor],
    pub(super) value: f64,
    /// The type whose rounding they have.
    pub(super) rounded_to: DType,
}

/// What comparing a claim with the function showed.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Right,
    /// The function does not move there, as claimed.
    Still,
    /// Rounding, or a kink at this point, hides the answer.
    Hidden,
    /// The slope along the direction, measured and as the gradient has it.
    Wrong {
        measured: f64,
        claimed: f64,
    },
    /// Two values at the same point.
    Random(f64, f64),
    /// Two values at the same point, next to different rows.
    Dependent(f64, f64),
}

/// How fine the numbers of a type are.
struct Precision {
    epsilon: f64,
    /// The step of the quick look relative to the values, and how far slopes may differ there.
    quick_step: f64,
    apart: f64,
}

/// The largest step of the closer look, relative to the values.
const LARGEST_STEP: f64 = 0.25;

/// Each step of the closer look is this many times as small as the one before.
const FINER: f64 = 4.;
/// The finest step moves a number by this many units in its last place.
const ULPS_OF_A_STEP: f64 = 16.;
/// The step of a number is at least this share of the typical size.
const SMALLEST_SHARE: f64 = 1e-3;
/// How much a number in half precision may change from batch to batch.
const COARSE: f64 = 0.05;
/// How many steps one pass evaluates.
const STEPS_OF_A_PASS: usize = 4;

impl Precision {
    fn of(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Self { epsilon: 2.2e-16, quick_step: 1e-6, apart: 1e-3 },
            DType::F32 => Self { epsilon: 1.2e-7, quick_step: 1e-3, apart: 1e-2 },
            DType::F16 => Self { epsilon: 9.8e-4, quick_step: 0.06, apart: 0.2 },
            _ => Self { epsilon: 7.8e-3, quick_step: 0.12, apart: 0.4 },
        }
    }
}

/// How thoroughly a claim is examined.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Look {
    /// By three rows; a disagreement that was seen before is accepted.
    Quick,
    /// By more, where they disagree.
    Close,
}

/// Compares the claim with `evaluate`, which gives the number of each row of points `[rows, ...]`.
pub(super) fn examine(
    claim: &Claim,
    look: Look,
    evaluate: &dyn Fn(Vec<Tensor>) -> Result<Vec<f64>>,
) -> Result<Verdict> {
    let probe = Probe::new(claim, evaluate)?;
    let precision = Precision::of(claim.rounded_to);
    let directions = [
        probe.direction(|_, value| draw((value + 0.).to_bits())),
        probe.direction(|position, _| draw(position as u64)),
    ];
    let h = precision.quick_step;
    let rows = [probe.shifted(&directions[0], h)?, probe.shifted(&directions[1], h)?, probe.elsewhere()?];
    let values = probe.values(&rows)?;
    let noise = 4. * precision.epsilon * largest(&values[..2]).max(probe.scale);
    let mut doubtful = Vec::new();
    let mut told = false;
    for (index, direction) in directions.iter().enumerate() {
        let measured = values[index] - claim.value;
        let claimed = probe.claimed(&probe.point, &rows[index]);
        let size = measured.abs().max(claimed.abs());
        told |= size > 10. * noise;
        if (measured - claimed).abs() > precision.apart * size + noise {
            doubtful.push(direction);
        }
    }
    if doubtful.is_empty() {
        return Ok(if told { Verdict::Right } else { Verdict::Still });
    }
    if look == Look::Quick {
        return Ok(Verdict::Hidden);
    }
    if let Some(fault) = probe.look_for_disorder(&rows[2], &precision)? {
        return Ok(fault);
    }
    for direction in doubtful {
        if let Some(wrong) = probe.look_closely(direction, &precision)? {
            return Ok(wrong);
        }
    }
    Ok(Verdict::Hidden)
}

/// The point and the gradient on the host, all tensors in one row.
struct Probe<'a> {
    claim: &'a Claim<'a>,
    evaluate: &'a dyn Fn(Vec<Tensor>) -> Result<Vec<f64>>,
    point: Vec<f64>,
    gradient: Vec<f64>,
    /// The size of each element's steps.
    sizes: Vec<f64>,
    /// What the number's rounding is relative to: the number itself, or its change when the inputs are rounded.
    scale: f64,
}

impl<'a> Probe<'a> {
    fn new(claim: &'a Claim<'a>, evaluate: &'a dyn Fn(Vec<Tensor>) -> Result<Vec<f64>>) -> Result<Self> {
        let mut sizes = Vec::new();
        for tensor in claim.point {
            let values = host(tensor)?;
            let smallest = values.iter().map(|x| x.abs()).filter(|x| *x > 0.).fold(f64::INFINITY, f64::min);
            let of_zeros = if smallest.is_finite() { smallest } else { 1. };
            let typical = (values.iter().map(|x| x * x).sum::<f64>() / values.len().max(1) as f64).sqrt();
            let size = |x: &f64| if *x == 0. { of_zeros } else { x.abs().max(SMALLEST_SHARE * typical) };
            sizes.extend(values.iter().map(size));
        }
        let (point, gradient) = (host_row(claim.point)?, host_row(claim.gradient)?);
        let terms = point.iter().zip(&gradient).map(|(x, g)| (x * g).abs()).filter(|term| term.is_finite());
        let scale = claim.value.abs().max(terms.sum());
        Ok(Self { claim, evaluate, point, gradient, sizes, scale })
    }

    /// A point far from this one, where the function is likely to have a value too.
    fn elsewhere(&self) -> Result<Vec<f64>> {
        self.shifted(&self.point, -0.5)
    }

    /// A direction: `draw` of each element's position and value, times the element's step size.
    fn direction(&self, draw: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        let elements = self.point.iter().zip(&self.sizes).enumerate();
        elements.map(|(position, (value, size))| size * draw(position, *value)).collect()
    }

    /// The point moved by `step` along a direction, rounded to its number type.
    fn shifted(&self, direction: &[f64], step: f64) -> Result<Vec<f64>> {
        let moved: Vec<f64> = self.point.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        host_row(&self.tensors(&[moved])?)
    }

    /// The change from one point to another according to the gradient.
    fn claimed(&self, from: &[f64], to: &[f64]) -> f64 {
        self.gradient.iter().zip(from.iter().zip(to)).map(|(g, (from, to))| g * (to - from)).sum()
    }

    /// The numbers at several points: in one pass, or in a pass each if the model takes only one row.
    fn values(&self, rows: &[Vec<f64>]) -> Result<Vec<f64>> {
        (self.evaluate)(self.tensors(rows)?).or_else(|_| {
            let each = rows.iter().map(|row| (self.evaluate)(self.tensors(std::slice::from_ref(row))?));
            Ok(each.collect::<Result<Vec<_>>>()?.concat())
        })
    }

    fn tensors(&self, rows: &[Vec<f64>]) -> Result<Vec<Tensor>> {
        let mut first = 0;
        let tensor = |like: &Tensor| {
            let width = like.elem_count();
            let values: Vec<f64> = rows.iter().flat_map(|row| row[first..first + width].iter().copied()).collect();
            first += width;
            let shape = [&[rows.len()], &like.dims()[1..]].concat();
            Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())?)
        };
        self.claim.point.iter().map(tensor).collect()
    }

    /// Whether the same point gives two numbers: alone twice, or next to another point, before and after it.
    fn look_for_disorder(&self, other: &[f64], precision: &Precision) -> Result<Option<Verdict>> {
        let alone = || (self.evaluate)(self.tensors(std::slice::from_ref(&self.point))?);
        let (first, second) = (alone()?[0], alone()?[0]);
        let share = if self.is_coarser(first, precision)? { COARSE } else { 1000. * precision.epsilon };
        let apart = |a: f64, b: f64| (a - b).abs() > share * a.abs().max(b.abs());
        if apart(first, second) {
            return Ok(Some(Verdict::Random(first, second)));
        }
        let rows = [other.to_vec(), self.point.clone(), other.to_vec()];
        for (index, pair) in [(1, &rows[..2]), (0, &rows[1..])] {
            // If the model takes only one row, no rows can depend on each other.
            let Ok(values) = (self.evaluate)(self.tensors(pair)?) else { return Ok(None) };
            if apart(first, values[index]) {
                return Ok(Some(Verdict::Dependent(first, values[index])));
            }
        }
        Ok(None)
    }

    /// Whether the number is computed in a coarser type than it is given in. Then it does not change where the
    /// gradient says that it changes by far more than its own rounding.
    fn is_coarser(&self, value: f64, precision: &Precision) -> Result<bool> {
        let step = 32. * precision.epsilon;
        let direction: Vec<f64> = self.gradient.iter().zip(&self.sizes).map(|(g, size)| g.signum() * size).collect();
        for step in [step, -step] {
            let moved = self.shifted(&direction, step)?;
            let claimed = self.claimed(&self.point, &moved);
            let number = (self.evaluate)(self.tensors(&[moved])?)?[0];
            if number == value && claimed.abs() > 8. * precision.epsilon * value.abs() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A slope along this direction that is plainly wrong: the same at the two finest steps that rounding leaves, on
    /// both sides of the point, and never what the gradient says at two steps.
    fn look_closely(&self, direction: &[f64], precision: &Precision) -> Result<Option<Verdict>> {
        let finest = ULPS_OF_A_STEP * precision.epsilon;
        let steps = (0..).map(|power| LARGEST_STEP / FINER.powi(power));
        let steps: Vec<f64> = steps.take_while(|step| *step > finest).collect();
        let mut looks: Vec<Slope> = Vec::new();
        'finer: for steps in steps.chunks(STEPS_OF_A_PASS) {
            let Some(slopes) = self.slopes(direction, steps, precision)? else { break };
            for slope in slopes {
                let claimed = slope.is_claimed(precision);
                // At a single coarse step this may happen by chance.
                if claimed && looks.last().is_some_and(|before| before.is_claimed(precision)) {
                    return Ok(None);
                }
                if !claimed && slope.noise > 0.1 * slope.mismatch() {
                    break 'finer;
                }
                looks.push(slope);
            }
        }
        // If the number changes at a coarse step but not at a fine one, it is computed in a coarser type than it is
        // given in. Steps below its resolution tell nothing.
        let moves = |slope: &Slope| slope.measured != 0.;
        if looks.iter().any(moves) && !looks.iter().all(moves) {
            return Ok(None);
        }
        let plain = |looks: &[Slope]| match looks {
            [.., coarser, finer] => finer.is_plainly_wrong(coarser, precision).then_some(finer.verdict()),
            _ => None,
        };
        Ok(plain(&looks).or_else(|| match looks.as_slice() {
            // Rounding may blur the finest step, unless it agrees with the gradient.
            [before @ .., finer, finest]
                if finest.noise > 0.03 * finest.mismatch() && finest.mismatch() > 0.5 * finer.mismatch() =>
            {
                plain(&looks[..before.len() + 1])
            }
            _ => None,
        }))
    }

    /// The slopes at several steps; `None` where the function has no value.
    fn slopes(&self, direction: &[f64], steps: &[f64], precision: &Precision) -> Result<Option<Vec<Slope>>> {
        let mut rows = vec![self.point.clone()];
        for step in steps {
            rows.extend([self.shifted(direction, *step)?, self.shifted(direction, -step)?]);
        }
        let Ok(values) = self.values(&rows) else { return Ok(None) };
        let slope = |(index, step): (usize, &f64)| {
            let (ahead, behind) = (2 * index + 1, 2 * index + 2);
            let per_step = |change: f64| change / (2. * step);
            let of_three = [values[0], values[ahead], values[behind]];
            Slope {
                measured: per_step(values[ahead] - values[behind]),
                claimed: per_step(self.claimed(&rows[behind], &rows[ahead])),
                sides: per_step(2. * (values[ahead] - 2. * values[0] + values[behind])).abs(),
                noise: per_step(4. * precision.epsilon * largest(&of_three).max(self.scale)),
            }
        };
        Ok(Some(steps.iter().enumerate().map(slope).collect()))
    }
}

/// The slope along a direction at one step.
struct Slope {
    measured: f64,
    /// According to the gradient.
    claimed: f64,
    /// How far the slopes ahead of the point and behind it differ.
    sides: f64,
    /// How far rounding may change it.
    noise: f64,
}

impl Slope {
    fn mismatch(&self) -> f64 {
        (self.measured - self.claimed).abs()
    }

    /// Whether it is the same as at a coarser step, on both sides of the point, and what the gradient says at neither.
    fn is_plainly_wrong(&self, coarser: &Slope, precision: &Precision) -> bool {
        let mismatch = self.mismatch();
        let same = (coarser.measured - self.measured).abs() <= 0.1 * mismatch;
        // At a kink, the difference between the two sides does not shrink with the step.
        let smooth = self.sides <= (0.2 * mismatch).max(0.5 * coarser.sides);
        same && smooth && !self.is_claimed(precision) && !coarser.is_claimed(precision)
    }

    fn verdict(&self) -> Verdict {
        Verdict::Wrong { measured: self.measured, claimed: self.claimed }
    }

    fn is_claimed(&self, precision: &Precision) -> bool {
        self.mismatch() <= precision.apart * self.measured.abs().max(self.claimed.abs())
    }
}

/// A number between −1 and 1 for a key, never near 0; the same key gives the same number.
fn draw(key: u64) -> f64 {
    let mut mixed = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    let size = 0.25 + 0.75 * (mixed >> 12) as f64 / (1u64 << 52) as f64;
    if mixed & 1 == 0 { size } else { -size }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0., |largest, value| value.abs().max(largest))
}
