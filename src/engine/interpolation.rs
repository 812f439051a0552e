//! The numbers of a layer's grid at the size of another, such as an image.

use candle_core::Tensor;

use super::Attributions;
use super::host::{host, to_device};
use crate::error::{Result, bail};

/// How numbers between those of a grid are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// That of the cell in which a place begins: PyTorch's `nearest`. PyTorch finds the cell by dividing in `f32`, and
    /// for some sizes takes the one before if a place begins where a cell does.
    #[default]
    Nearest,
    /// Along each axis on the straight line between the centres of two cells: PyTorch's `linear`, `bilinear` and
    /// `trilinear`, without aligned corners.
    Linear,
}

impl Attributions {
    /// The attributions of a layer `[batch, channels, ...]` at another size of the axes after the channels, for example
    /// the height and width of the image: Captum's `LayerAttribution.interpolate`. The numbers no longer add up to
    /// anything, so there is no convergence delta, and no standard error.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let net = Sequential::builder([1, 6, 6])
    ///     .conv2d("conv", 2, 3).relu("relu").flatten("flatten").linear("out", 2).build(Seed(7))?;
    /// let x = Tensor::ones((5, 1, 6, 6), DType::F32, &Device::Cpu)?;
    /// let map = LayerGradCam::new(&net, "conv").attribute(&x, 1)?;
    /// assert_eq!(map.tensor().dims(), [5, 1, 4, 4]);
    /// let upsampled = map.interpolate(&[6, 6], Interpolation::Linear)?;
    /// assert_eq!(upsampled.tensor().dims(), [5, 1, 6, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn interpolate(&self, sizes: &[usize], how: Interpolation) -> Result<Self> {
        let resized = |value: &Tensor| interpolated(value, sizes, how);
        let values = self.values.iter().map(resized).collect::<Result<_>>()?;
        let (names, mask) = Default::default();
        Ok(Self { values, convergence: None, sampling: None, names, mask, ..self.clone() })
    }
}

/// A tensor `[batch, channels, ...]` at these sizes of the axes after the channels.
pub(crate) fn interpolated(tensor: &Tensor, sizes: &[usize], how: Interpolation) -> Result<Tensor> {
    let mut shape = tensor.dims().to_vec();
    if shape.len() != sizes.len() + 2 {
        bail!(
            Input,
            "a tensor of the shape {shape:?} cannot be interpolated to {sizes:?}: expected one size for each axis after \
             [batch, channels]"
        )
    }
    if sizes.contains(&0) || shape.contains(&0) {
        bail!(Input, "a tensor of the shape {shape:?} cannot be interpolated to {sizes:?}: every size is at least 1")
    }
    let mut numbers = host(tensor)?;
    for (axis, &size) in sizes.iter().enumerate().map(|(index, size)| (index + 2, size)) {
        let inner: usize = shape[axis + 1..].iter().product();
        let cells = between(shape[axis], size, how);
        numbers = along(&numbers, shape[axis], inner, &cells);
        shape[axis] = size;
    }
    to_device(numbers, &shape, tensor)
}

/// The cells between which a place lies, and how far it is on the way to the second.
struct Between {
    first: usize,
    second: usize,
    share: f64,
}

fn between(from: usize, to: usize, how: Interpolation) -> Vec<Between> {
    let last = from - 1;
    let scale = from as f64 / to as f64;
    let of = |place: usize| match how {
        Interpolation::Nearest => {
            let cell = (place * from / to).min(last);
            Between { first: cell, second: cell, share: 0. }
        }
        Interpolation::Linear => {
            let at = (scale * (place as f64 + 0.5) - 0.5).max(0.);
            let first = (at as usize).min(last);
            Between { first, second: (first + 1).min(last), share: at - first as f64 }
        }
    };
    (0..to).map(of).collect()
}

/// Numbers `[outer, size, inner]` as `[outer, cells, inner]`.
fn along(numbers: &[f64], size: usize, inner: usize, cells: &[Between]) -> Vec<f64> {
    let mut result = Vec::with_capacity(numbers.len() / size * cells.len());
    for block in numbers.chunks(size * inner) {
        for Between { first, second, share } in cells {
            let [first, second] = [first, second].map(|cell| &block[cell * inner..(cell + 1) * inner]);
            result.extend(first.iter().zip(second).map(|(first, second)| first * (1. - share) + second * share));
        }
    }
    result
}
