//! The exact rule for any block: the mean of its Jacobian along the straight line between its own two inputs.

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::pair::{Ends, in_upper_rows};
use crate::engine::host::host;
use crate::engine::legendre::gauss_legendre;
use crate::error::Result;
use crate::nn::{Block, ordinary};

/// How many points are tried, first on the whole line and then on its parts, until the block's own sum comes out.
const POINTS: [usize; 3] = [4, 8, 16];
const POINTS_OF_A_PART: usize = 16;
/// A line of this many parts is not halved again.
const MOST_PARTS: usize = 256;

/// ∫₀¹ J(b + t(x − b))ᵀ g dt for each input of the block: multipliers M with Σ M·(x − b) = Σ g·(f(x) − f(b)) in
/// each row. One point is exact for what is linear in each input. For all else the line is halved where its sum does
/// not come out.
///
/// `gradient` is `[rows, ...]`; the result has the inputs' shapes.
pub(super) fn mean_jacobian(
    block: &dyn Block,
    inputs: &[Tensor],
    output: &Ends,
    gradient: &Tensor,
    is_product: bool,
) -> Result<Vec<Tensor>> {
    let line = Line::new(block, inputs, output, gradient)?;
    let means = if is_product { line.jacobians(&(0. ..1.), 1)? } else { line.mean(output)? };
    let in_place = |(input, mean): (&Tensor, Option<Tensor>)| match mean {
        Some(mean) => in_upper_rows(&mean),
        None => Ok(input.zeros_like()?),
    };
    inputs.iter().zip(means).map(in_place).collect()
}

/// A block between its two inputs.
struct Line<'a> {
    block: &'a dyn Block,
    inputs: &'a [Tensor],
    /// None for inputs that are the same at both ends.
    ends: Vec<Option<Ends>>,
    gradient: &'a Tensor,
    /// How far the sums of each row may differ by rounding.
    rounding: Vec<f64>,
}

/// A part of a line, and Σ g·f at its ends for each row.
struct Part {
    span: Range<f64>,
    sums: [Vec<f64>; 2],
}

/// The mean for each input; `None` if it is the same at both ends.
type Means = Vec<Option<Tensor>>;

impl<'a> Line<'a> {
    fn new(block: &'a dyn Block, inputs: &'a [Tensor], output: &Ends, gradient: &'a Tensor) -> Result<Self> {
        let rows = gradient.dims()[0];
        let ends = inputs.iter().map(|input| Ends::of(input, rows)).collect::<Result<_>>()?;
        let share = if gradient.dtype() == DType::F64 { 1e-14 } else { 1e-6 };
        let size = row_sums(&(gradient.abs()? * (output.x.abs()? + output.b.abs()?)?)?)?;
        Ok(Self { block, inputs, ends, gradient, rounding: size.iter().map(|size| share * size).collect() })
    }

    /// The mean Jacobian over the whole line.
    fn mean(&self, output: &Ends) -> Result<Means> {
        let sums = [row_sums(&(self.gradient * &output.b)?)?, row_sums(&(self.gradient * &output.x)?)?];
        let whole = Part { span: 0. ..1., sums };
        for points in POINTS {
            let means = self.jacobians(&whole.span, points)?;
            if self.adds_up(&means, &whole)? {
                return Ok(means);
            }
        }
        let mut open = self.halves(whole)?;
        let mut total: Means = vec![None; self.inputs.len()];
        let mut made = open.len();
        while let Some(part) = open.pop() {
            let means = self.jacobians(&part.span, POINTS_OF_A_PART)?;
            if made >= MOST_PARTS || self.adds_up(&means, &part)? {
                add(&mut total, means)?;
            } else {
                open.extend(self.halves(part)?);
                made += 2;
            }
        }
        Ok(total)
    }

    fn halves(&self, part: Part) -> Result<Vec<Part>> {
        let middle = 0.5 * (part.span.start + part.span.end);
        let points = self.points(middle)?;
        let output = self.block.compute(&points.iter().collect::<Vec<_>>())?.detach();
        let sums = row_sums(&(self.gradient * output)?)?;
        let [first, last] = part.sums;
        Ok(vec![
            Part { span: part.span.start..middle, sums: [first, sums.clone()] },
            Part { span: middle..part.span.end, sums: [sums, last] },
        ])
    }

    fn points(&self, t: f64) -> Result<Vec<Tensor>> {
        let at = |(ends, input): (&Option<Ends>, &Tensor)| match ends {
            Some(ends) => Ok((&ends.b + (ends.difference()? * t)?)?),
            None => Ok(input.clone()),
        };
        self.ends.iter().zip(self.inputs).map(at).collect()
    }

    /// The integral over a part of the line, by this many Gauss-Legendre points.
    fn jacobians(&self, span: &Range<f64>, points: usize) -> Result<Means> {
        let length = span.end - span.start;
        let mut total: Means = vec![None; self.inputs.len()];
        for node in gauss_legendre(points) {
            let gradients = ordinary(self.block, &self.points(span.start + length * node.alpha)?, self.gradient)?;
            let weighted = |(gradient, ends): (Tensor, &Option<Ends>)| match ends {
                Some(_) => Ok(Some((gradient * (length * node.weight))?)),
                None => Ok(None),
            };
            add(&mut total, gradients.into_iter().zip(&self.ends).map(weighted).collect::<Result<_>>()?)?;
        }
        Ok(total)
    }

    fn adds_up(&self, means: &Means, part: &Part) -> Result<bool> {
        let mut got = vec![0.; self.rounding.len()];
        for (mean, ends) in means.iter().zip(&self.ends) {
            if let (Some(mean), Some(ends)) = (mean, ends) {
                let sums = row_sums(&(mean * ends.difference()?)?)?;
                got.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
        }
        let [first, last] = &part.sums;
        let wanted = first.iter().zip(last).map(|(first, last)| last - first);
        Ok(got
            .iter()
            .zip(wanted)
            .zip(&self.rounding)
            .all(|((got, wanted), rounding)| (got - wanted).abs() <= *rounding))
    }
}

fn add(total: &mut Means, part: Means) -> Result<()> {
    for (total, part) in total.iter_mut().zip(part) {
        *total = match (total.take(), part) {
            (Some(total), Some(part)) => Some((total + part)?),
            (total, part) => total.or(part),
        };
    }
    Ok(())
}

/// The sum of each row.
fn row_sums(tensor: &Tensor) -> Result<Vec<f64>> {
    let width = tensor.elem_count() / tensor.dims()[0];
    Ok(host(tensor)?.chunks(width.max(1)).map(|row| row.iter().sum()).collect())
}
