//! Pooling over windows. candle's own `max_pool2d` has a wrong backward, and its `avg_pool2d`
//! one only where windows do not overlap.

use candle_core::{D, Result, Tensor, bail};

/// The largest value of each window: `[batch, channels, height, width]` to
/// `[batch, channels, out_height, out_width]`. At a tie the first one in the window gets the
/// whole gradient, as in PyTorch.
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let windows = windows(x, kernel, stride)?;
    let first_largest = windows.detach().argmax_keepdim(D::Minus1)?;
    windows.gather(&first_largest, D::Minus1)?.squeeze(D::Minus1)
}

/// The mean of each window, in the shapes of [`max_pool2d`].
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    windows(x, kernel, stride)?.mean(D::Minus1)
}

/// `[batch, channels, out_height, out_width, kernel²]`.
fn windows(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    if kernel == 0 || stride == 0 || kernel > height || kernel > width {
        bail!(
            "pooling {height} x {width} with kernel {kernel} and stride {stride}: the kernel must fit, and both be at least 1"
        )
    }
    let (out_height, out_width) = ((height - kernel) / stride + 1, (width - kernel) / stride + 1);
    let mut index = Vec::with_capacity(out_height * out_width * kernel * kernel);
    for row in 0..out_height {
        for column in 0..out_width {
            for y in 0..kernel {
                for x in 0..kernel {
                    index.push(((row * stride + y) * width + column * stride + x) as u32);
                }
            }
        }
    }
    let index = Tensor::new(index, x.device())?;
    x.reshape((batch, channels, height * width))?.contiguous()?.index_select(&index, 2)?.reshape((
        batch,
        channels,
        out_height,
        out_width,
        kernel * kernel,
    ))
}
