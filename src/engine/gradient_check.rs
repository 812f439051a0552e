//! Holds a gradient against the function it should belong to.

use candle_core::{DType, Device, Tensor};

use super::host::{host, host_row};
use crate::error::Result;

/// What a method does when a model's gradient disagrees with its outputs.
///
/// A gradient is compared with the function itself, once for each model, target and layer of a
/// method: along a direction d drawn from the values, ⟨gradient, d⟩ must be
/// (F(x + hd) − F(x − hd)) / 2h. It takes three more rows through the model, forward alone, and more
/// only where they disagree: to tell a wrong gradient from a kink, from rounding, from a model that is random
/// and from rows that depend on each other. Models made of [`nn`](crate::nn) are not looked at.
///
/// Where the numbers are too coarse to tell, nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Check {
    /// A wrong gradient is an error; the default.
    #[default]
    Error,
    /// A wrong gradient is a remark on the result.
    Warn,
    /// Gradients are believed.
    Off,
}

/// A gradient at a point, each `[1, ...]`, and the number there.
pub(super) struct Claim<'a> {
    pub(super) point: &'a [Tensor],
    pub(super) gradient: &'a [Tensor],
    pub(super) value: f64,
}

/// What holding a claim against the function came to.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Right,
    /// Rounding, or a kink at the very point, hides the answer.
    Hidden,
    /// The slope along the direction, measured and as the gradient has it.
    Wrong {
        measured: f64,
        claimed: f64,
    },
    /// Two values at the same point.
    Random(f64, f64),
    /// Two values at the same point, beside other rows.
    Dependent(f64, f64),
}

/// Steps relative to the size of the values, the first for the quick look; and how far the slopes of the
/// quick look may be apart.
struct Precision {
    epsilon: f64,
    first_step: f64,
    steps: [f64; 5],
    apart: f64,
}

impl Precision {
    fn of(dtype: DType) -> Self {
        match dtype {
            DType::F64 => {
                Self { epsilon: 2.2e-16, first_step: 1e-5, steps: [1e-2, 1e-3, 1e-4, 1e-5, 1e-6], apart: 1e-4 }
            }
            DType::F32 => {
                Self { epsilon: 1.2e-7, first_step: 2e-3, steps: [6.4e-2, 1.6e-2, 4e-3, 1e-3, 2.5e-4], apart: 2e-3 }
            }
            DType::F16 => {
                Self { epsilon: 9.8e-4, first_step: 0.06, steps: [0.24, 0.12, 0.06, 0.03, 0.015], apart: 0.1 }
            }
            _ => Self { epsilon: 7.8e-3, first_step: 0.12, steps: [0.5, 0.25, 0.12, 0.06, 0.03], apart: 0.2 },
        }
    }
}

/// Holds the claim against `evaluate`, which gives the number of each row of points `[rows, ...]`.
pub(super) fn examine(claim: &Claim, evaluate: &dyn Fn(Vec<Tensor>) -> Result<Vec<f64>>) -> Result<Verdict> {
    let probe = Probe::new(claim, evaluate)?;
    let precision = Precision::of(claim.point[0].dtype());
    let along = probe.direction(|_, value| draw((value + 0.).to_bits()));
    let across = probe.direction(|position, _| draw(position as u64));
    let h = precision.first_step;
    let third = if probe.has_equal_values() { probe.shifted(&across, h)? } else { probe.point.clone() };
    let rows = [probe.shifted(&along, h)?, probe.shifted(&along, -h)?, third];
    let values = probe.values(&rows)?;
    let noise = 4. * precision.epsilon * largest(&values).max(claim.value.abs());
    let agree = |measured: f64, claimed: f64, apart: f64| {
        (measured - claimed).abs() <= apart * measured.abs().max(claimed.abs()) + noise
    };
    let central = (values[0] - values[1], probe.claimed(&rows[1], &rows[0]));
    let sided = (values[2] - claim.value, probe.claimed(&probe.point, &rows[2]));
    let along_fine = agree(central.0, central.1, precision.apart);
    let across_fine = agree(sided.0, sided.1, 20. * precision.apart);
    let told = central.0.abs().max(central.1.abs()) > 10. * noise;
    if along_fine && across_fine && told {
        return Ok(Verdict::Right);
    }
    if let Some(fault) = probe.look_for_disorder(&precision)? {
        return Ok(fault);
    }
    for (direction, fine) in [(&along, along_fine && told), (&across, across_fine)] {
        if !fine && let Some(wrong) = probe.look_closely(direction, &precision)? {
            return Ok(wrong);
        }
    }
    Ok(Verdict::Hidden)
}

/// The point and the gradient on the host, the tensors of a row one after another.
struct Probe<'a> {
    claim: &'a Claim<'a>,
    evaluate: &'a dyn Fn(Vec<Tensor>) -> Result<Vec<f64>>,
    point: Vec<f64>,
    gradient: Vec<f64>,
    /// The size of each element's steps.
    sizes: Vec<f64>,
}

impl<'a> Probe<'a> {
    fn new(claim: &'a Claim<'a>, evaluate: &'a dyn Fn(Vec<Tensor>) -> Result<Vec<f64>>) -> Result<Self> {
        let mut sizes = Vec::new();
        for tensor in claim.point {
            let values = host(tensor)?;
            let typical = (values.iter().map(|x| x * x).sum::<f64>() / values.len().max(1) as f64).sqrt();
            let typical = if typical > 0. { typical } else { 1. };
            sizes.extend(values.iter().map(|x| x.abs() + 0.1 * typical));
        }
        let (point, gradient) = (host_row(claim.point)?, host_row(claim.gradient)?);
        Ok(Self { claim, evaluate, point, gradient, sizes })
    }

    fn has_equal_values(&self) -> bool {
        let mut sorted: Vec<u64> = self.point.iter().map(|x| x.to_bits()).collect();
        sorted.sort_unstable();
        sorted.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// A direction: what `draw` gives for each element's position and value, times its size.
    fn direction(&self, draw: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        let elements = self.point.iter().zip(&self.sizes).enumerate();
        elements.map(|(position, (value, size))| size * draw(position, *value)).collect()
    }

    /// The point moved by `step` along a direction, as its number type has it.
    fn shifted(&self, direction: &[f64], step: f64) -> Result<Vec<f64>> {
        let moved: Vec<f64> = self.point.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        host_row(&self.tensors(&[moved])?)
    }

    /// What the gradient says of the way from one point to another.
    fn claimed(&self, from: &[f64], to: &[f64]) -> f64 {
        self.gradient.iter().zip(from.iter().zip(to)).map(|(g, (from, to))| g * (to - from)).sum()
    }

    /// The numbers at several points: in one pass, or each in its own for a model that takes one row alone.
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

    /// Whether the same point gives two numbers: alone twice, or beside other rows.
    fn look_for_disorder(&self, precision: &Precision) -> Result<Option<Verdict>> {
        let alone = || self.values(std::slice::from_ref(&self.point));
        let (first, second) = (alone()?[0], alone()?[0]);
        let far: Vec<f64> = self.point.iter().map(|x| 0.25 - 1.5 * x).collect();
        let beside = |other: &Vec<f64>| self.values(&[self.point.clone(), other.clone()]);
        let (same, other) = (beside(&self.point)?[0], beside(&far)?[0]);
        let apart = 1000. * precision.epsilon * largest(&[first, second, same, other]);
        Ok(if (first - second).abs() > apart {
            Some(Verdict::Random(first, second))
        } else if (same - other).abs() > apart {
            Some(Verdict::Dependent(same, other))
        } else {
            None
        })
    }

    /// A wrong slope along this direction, where it is plain: the same at two steps on both sides of the
    /// point, and another than the gradient's at every step.
    fn look_closely(&self, direction: &[f64], precision: &Precision) -> Result<Option<Verdict>> {
        let mut before: Option<(f64, f64)> = None;
        let mut wrong = None;
        for step in precision.steps {
            let rows = [self.shifted(direction, step)?, self.shifted(direction, -step)?, self.point.clone()];
            let Ok(values) = self.values(&rows) else { return Ok(None) };
            let slope = |change: f64| change / (2. * step);
            let noise = slope(4. * precision.epsilon * largest(&values));
            let (measured, claimed) = (slope(values[0] - values[1]), slope(self.claimed(&rows[1], &rows[0])));
            let sides = 2. * slope(values[0] - values[2]) - 2. * slope(values[2] - values[1]);
            let size = measured.abs().max(claimed.abs());
            let mismatch = (measured - claimed).abs();
            if mismatch <= precision.apart * size {
                return Ok(None);
            }
            if noise > 0.25 * mismatch {
                break;
            }
            // What the two sides of a kink differ by does not shrink with the step.
            let plain = before.is_some_and(|(slope, difference)| {
                let smooth = sides.abs() <= (0.2 * mismatch).max(0.5 * difference);
                (slope - measured).abs() <= 0.1 * mismatch && smooth
            });
            if plain && wrong.is_none() {
                wrong = Some(Verdict::Wrong { measured, claimed });
            }
            before = Some((measured, sides.abs()));
        }
        Ok(wrong)
    }
}

/// A number between −1 and 1 for a key, the same for equal keys, never near 0.
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
