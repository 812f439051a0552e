//! Pooling over windows. The backward of candle's own `max_pool2d` is wrong, and its `avg_pool2d`
//! has one only if windows do not overlap.

use candle_core::{D, Tensor, ToUsize2};

use super::block::{Block, Operation, only};
use super::max::max;
use super::on_cpu::widened;
use super::reweighting::{Reweighting, of_fixed_weights};
use crate::error::{Result, bail};

/// The largest value of each window: `[batch, channels, height, width]` to
/// `[batch, channels, out_height, out_width]`. At a tie the first one in the window gets the
/// whole gradient, as in PyTorch.
///
/// Kernel and stride are one number, or a pair of height and width. If the windows do not cover
/// the whole image, the rest at its end is not read.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let x = Tensor::new(&[[[[1f32, 2.], [5., 4.], [3., 6.]]]], &Device::Cpu)?;
/// let largest = candle_explain::nn::max_pool2d(&x, (3, 1), 1)?;
/// assert_eq!(largest.flatten_all()?.to_vec1::<f32>()?, [5., 6.]);
/// # Ok::<(), Error>(())
/// ```
pub fn max_pool2d(x: &Tensor, kernel: impl ToUsize2, stride: impl ToUsize2) -> candle_core::Result<Tensor> {
    max(&windows(x, kernel.to_usize2(), stride.to_usize2())?, D::Minus1)
}

/// The mean of each window, in the shapes of [`max_pool2d`].
pub fn avg_pool2d(x: &Tensor, kernel: impl ToUsize2, stride: impl ToUsize2) -> candle_core::Result<Tensor> {
    Ok(mean_of_windows(x, kernel.to_usize2(), stride.to_usize2())?)
}

/// [`max_pool2d`] as a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Height and width of the window.
    pub kernel: (usize, usize),
    /// The distance between windows, down and across.
    pub stride: (usize, usize),
}

impl Block for MaxPool2d {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(max_pool2d(only("pooling", inputs)?, self.kernel, self.stride)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Max(Box::new(|x| windows(x, self.kernel, self.stride)))
    }
}

/// [`avg_pool2d`] as a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    /// Height and width of the window.
    pub kernel: (usize, usize),
    /// The distance between windows, down and across.
    pub stride: (usize, usize),
}

impl Block for AvgPool2d {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        mean_of_windows(only("pooling", inputs)?, self.kernel, self.stride)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }

    fn reweighted(&self, by: &Reweighting) -> Result<Option<Box<dyn Block>>> {
        of_fixed_weights(*self, by)
    }
}

fn mean_of_windows(x: &Tensor, kernel: (usize, usize), stride: (usize, usize)) -> Result<Tensor> {
    if !x.dtype().is_float() {
        bail!(Input, "the means of {:?} values: expected floating-point numbers (convert with to_dtype)", x.dtype())
    }
    widened(x, |x| Ok(windows(x, kernel, stride)?.mean(D::Minus1)?))
}

/// `[batch, channels, out_height, out_width, elements of a window]`.
fn windows(x: &Tensor, kernel: (usize, usize), stride: (usize, usize)) -> Result<Tensor> {
    let &[batch, channels, height, width] = x.dims() else {
        bail!(Input, "pooling got {:?}: expected [batch, channels, height, width]", x.dims())
    };
    if [kernel.0, kernel.1, stride.0, stride.1].contains(&0) || kernel.0 > height || kernel.1 > width {
        bail!(
            Input,
            "pooling {height} x {width} with kernel {} x {} and stride {} x {}: the kernel must fit, and all be at \
             least 1",
            kernel.0,
            kernel.1,
            stride.0,
            stride.1
        )
    }
    let (out_height, out_width) = ((height - kernel.0) / stride.0 + 1, (width - kernel.1) / stride.1 + 1);
    let mut index = Vec::with_capacity(out_height * out_width * kernel.0 * kernel.1);
    for row in 0..out_height {
        for column in 0..out_width {
            for y in 0..kernel.0 {
                for x in 0..kernel.1 {
                    index.push(((row * stride.0 + y) * width + column * stride.1 + x) as u32);
                }
            }
        }
    }
    let index = Tensor::new(index, x.device())?;
    let pixels = x.reshape((batch, channels, height * width))?.contiguous()?;
    let windows = pixels.index_select(&index, 2)?;
    Ok(windows.reshape((batch, channels, out_height, out_width, kernel.0 * kernel.1))?)
}
