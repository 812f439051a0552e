//! The arithmetic of convolution, with candle's own convolution where that is correct.

use candle_core::Tensor;

use super::on_cpu::widened;
use crate::error::{Result, bail};

/// How windows are laid over an image, vertically and horizontally.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correlation {
    pub(super) stride: (usize, usize),
    pub(super) padding: (usize, usize),
    pub(super) dilation: (usize, usize),
    pub(super) groups: usize,
}

impl Correlation {
    /// x `[batch, in, height, width]` with W `[out, in / groups, kernel, kernel]`, plus b `[out]`.
    pub(super) fn apply(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let channels = weight.dims()[1] * self.groups;
        match x.dims() {
            &[batch, inputs, _, _] if inputs == channels && batch > 0 => {}
            dims => bail!(Input, "a convolution got {dims:?}: expected [batch, {channels}, height, width]"),
        }
        super::same_kind("a convolution", x, weight)?;
        widened(x, |x| {
            let weight = weight.to_dtype(x.dtype())?;
            let result = self.correlate(x, &weight)?;
            match bias {
                Some(bias) => Ok(result.broadcast_add(&bias.to_dtype(x.dtype())?.reshape((1, (), 1, 1))?)?),
                None => Ok(result),
            }
        })
    }

    /// The convolution through candle's own. That has one stride and one dilation for both axes, and its backward is
    /// wrong if a stride leaves a remainder. So the image is first padded, and cut to what is read.
    fn correlate(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let (_, _, kernel_height, kernel_width) = weight.dims4()?;
        let padding = self.padding;
        let axes = [
            Axis::new(height, kernel_height, self.stride.0, padding.0, self.dilation.0),
            Axis::new(width, kernel_width, self.stride.1, padding.1, self.dilation.1),
        ];
        let [Some(rows), Some(columns)] = axes else {
            bail!(
                Input,
                "a kernel of {kernel_height} x {kernel_width} does not fit into {height} x {width}, padded by \
                 {padding:?} and with the dilation {:?}",
                self.dilation
            )
        };
        // An axis with one window fits any stride, and one with a kernel of 1 any dilation.
        let stride =
            shared((rows.windows > 1).then_some(self.stride.0), (columns.windows > 1).then_some(self.stride.1));
        let dilation =
            shared((kernel_height > 1).then_some(self.dilation.0), (kernel_width > 1).then_some(self.dilation.1));
        let x = rows.cut(&columns.cut(x, 3, padding.1)?, 2, padding.0)?;
        let weight = spread(&spread(weight, 2, self.dilation.0 / dilation)?, 3, self.dilation.1 / dilation)?;
        let result = x.conv2d(&weight, 0, stride, dilation, self.groups)?;
        rows.every(&columns.every(&result, 3, self.stride.1 / stride)?, 2, self.stride.0 / stride)
    }
}

/// How many windows an axis has, and how much of it they read.
struct Axis {
    windows: usize,
    read: usize,
}

impl Axis {
    /// None if no window fits.
    fn new(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Option<Self> {
        let window = (kernel - 1).checked_mul(dilation)?.checked_add(1)?;
        let padded = size.checked_add(padding.checked_mul(2)?)?;
        let windows = padded.checked_sub(window)? / stride + 1;
        Some(Self { windows, read: (windows - 1) * stride + window })
    }

    fn cut(&self, x: &Tensor, axis: usize, padding: usize) -> Result<Tensor> {
        let padded = x.pad_with_zeros(axis, padding, padding)?;
        if padded.dim(axis)? == self.read { Ok(padded) } else { Ok(padded.narrow(axis, 0, self.read)?) }
    }

    /// Every `step`-th window of a result that has more of them.
    fn every(&self, result: &Tensor, axis: usize, step: usize) -> Result<Tensor> {
        if result.dim(axis)? == self.windows {
            return Ok(result.clone());
        }
        let index: Vec<u32> = (0..self.windows).map(|window| (window * step) as u32).collect();
        Ok(result.contiguous()?.index_select(&Tensor::new(index, result.device())?, axis)?)
    }
}

/// The greatest step that both axes allow.
fn shared(height: Option<usize>, width: Option<usize>) -> usize {
    let (mut a, mut b) = (height.or(width).unwrap_or(1), width.or(height).unwrap_or(1));
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A kernel with zeros between its elements along an axis.
fn spread(weight: &Tensor, axis: usize, factor: usize) -> Result<Tensor> {
    let kernel = weight.dim(axis)?;
    if factor <= 1 || kernel == 1 {
        return Ok(weight.clone());
    }
    let between = weight.unsqueeze(axis + 1)?.pad_with_zeros(axis + 1, 0, factor - 1)?;
    Ok(between.flatten(axis, axis + 1)?.narrow(axis, 0, (kernel - 1) * factor + 1)?)
}
