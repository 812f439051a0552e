//! Two-dimensional convolution.

use candle_core::{Module, Tensor, ToUsize2, Var};

use super::block::{Block, Operation, only};
use super::on_cpu::widened;
use crate::error::{Result, bail};
use crate::seed::Seed;

/// Convolution of x `[batch, in, height, width]` with W `[out, in / groups, kernel, kernel]` plus b `[out]`,
/// as PyTorch's `Conv2d`.
///
/// Kernels, strides, paddings and dilations are one number, or a pair of height and width. Per axis the result has
/// ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1 values; what a stride leaves over at
/// the end of an axis is not read. A sequence `[batch, in, length]` is an image of height 1: `x.unsqueeze(2)`
/// and a kernel `(1, 3)`.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let conv = Conv2d::new(1, 4, 3, 1, 0, Seed(1))?;
/// let x = Tensor::zeros((2, 1, 8, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&x)?.dims(), [2, 4, 6, 6]);
///
/// let over_words = Conv2d::new(1, 4, (3, 8), (1, 1), (1, 0), Seed(1))?;
/// assert_eq!(over_words.forward(&x)?.dims(), [2, 4, 8, 1]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Var,
    bias: Option<Var>,
    stride: (usize, usize),
    padding: (usize, usize),
    dilation: (usize, usize),
    groups: usize,
}

impl Conv2d {
    /// A trainable layer with weights and bias drawn uniformly from ±1/√(in·kernel²).
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: impl ToUsize2,
        stride: impl ToUsize2,
        padding: impl ToUsize2,
        seed: Seed,
    ) -> Result<Self> {
        let (height, width) = kernel.to_usize2();
        let stride = stride.to_usize2();
        if [inputs, outputs, height, width, stride.0, stride.1].contains(&0) {
            bail!(
                Input,
                "a convolution of {inputs} to {outputs} channels with kernel {height} x {width} and stride {stride:?}: \
                 all must be at least 1"
            )
        }
        let fan_in = inputs * height * width;
        let bound = 1. / (fan_in as f64).sqrt();
        let mut draw = seed.uniform(-bound, bound).map(|x| x as f32);
        let weights: Vec<f32> = draw.by_ref().take(outputs * fan_in).collect();
        let bias: Vec<f32> = draw.take(outputs).collect();
        let device = &candle_core::Device::Cpu;
        Ok(Self {
            weight: Var::from_vec(weights, (outputs, inputs, height, width), device)?,
            bias: Some(Var::from_vec(bias, outputs, device)?),
            stride,
            padding: padding.to_usize2(),
            dilation: (1, 1),
            groups: 1,
        })
    }

    /// A layer with given weights `[out, in, kernel, kernel]` and bias `[out]`.
    pub fn from_weights(
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: impl ToUsize2,
        padding: impl ToUsize2,
    ) -> Result<Self> {
        let (stride, padding) = (stride.to_usize2(), padding.to_usize2());
        if weight.rank() != 4 || weight.elem_count() == 0 || stride.0 == 0 || stride.1 == 0 {
            bail!(
                Input,
                "a convolution's weight has the shape {:?} and its stride is {stride:?}: expected \
                 [out, in, kernel, kernel] and strides, all at least 1",
                weight.dims()
            )
        }
        if let Some(bias) = bias
            && (bias.dims() != [weight.dims()[0]] || bias.dtype() != weight.dtype())
        {
            bail!(
                Input,
                "the bias of a convolution is {:?} {:?}: expected {:?} [{}], as its weight has it",
                bias.dtype(),
                bias.dims(),
                weight.dtype(),
                weight.dims()[0]
            )
        }
        let (weight, bias) = (Var::from_tensor(weight)?, bias.map(Var::from_tensor).transpose()?);
        Ok(Self { weight, bias, stride, padding, dilation: (1, 1), groups: 1 })
    }

    /// The same layer with its kernel's elements this far apart; 1 by default.
    pub fn with_dilation(self, dilation: impl ToUsize2) -> Result<Self> {
        let dilation = dilation.to_usize2();
        if dilation.0 == 0 || dilation.1 == 0 {
            bail!(Input, "a convolution with the dilation {dilation:?}: expected at least 1")
        }
        Ok(Self { dilation, ..self })
    }

    /// The same layer with its channels in groups, each group of outputs seeing its own group of inputs; 1 by
    /// default. The weights stay as they are, so the layer reads `groups` times as many channels.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let depthwise = Conv2d::new(1, 8, 3, 1, 1, Seed(1))?.with_groups(8)?;
    /// let x = Tensor::zeros((2, 8, 5, 6), DType::F32, &Device::Cpu)?;
    /// assert_eq!(depthwise.forward(&x)?.dims(), [2, 8, 5, 6]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_groups(self, groups: usize) -> Result<Self> {
        let outputs = self.weight.dims()[0];
        if groups == 0 || !outputs.is_multiple_of(groups) {
            bail!(Input, "a convolution of {outputs} output channels in {groups} groups: expected a divisor")
        }
        Ok(Self { groups, ..self })
    }

    /// The weight `[out, in / groups, kernel, kernel]`.
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The bias `[out]`, if there is one.
    pub fn bias(&self) -> Option<&Var> {
        self.bias.as_ref()
    }

    /// How many groups the channels are in.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// What training may change.
    pub fn parameters(&self) -> Vec<Var> {
        std::iter::once(&self.weight).chain(&self.bias).cloned().collect()
    }

    /// What training may change, as `name.weight` and `name.bias`.
    pub fn named_parameters(&self, name: &str) -> Vec<(String, Var)> {
        super::named(name, &self.weight, self.bias.as_ref())
    }

    /// The same values, with the weights left out of the graph.
    pub fn forward_frozen(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let bias = self.bias.as_ref().map(Var::as_detached_tensor);
        Ok(self.convolve(x, &self.weight.as_detached_tensor(), bias.as_ref())?)
    }

    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let channels = self.weight.dims()[1] * self.groups;
        match x.dims() {
            &[batch, inputs, _, _] if inputs == channels && batch > 0 => {}
            dims => bail!(Input, "a convolution got {dims:?}: expected [batch, {channels}, height, width]"),
        }
        super::same_type("a convolution", x, weight)?;
        widened(x, |x| {
            let weight = weight.to_dtype(x.dtype())?;
            let result = self.correlate(x, &weight)?;
            match bias {
                Some(bias) => Ok(result.broadcast_add(&bias.to_dtype(x.dtype())?.reshape((1, (), 1, 1))?)?),
                None => Ok(result),
            }
        })
    }

    /// candle's convolution has one stride and one dilation for both axes, and its backward is wrong where a stride
    /// leaves a remainder: so the image is padded and cut to what is read beforehand.
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
        // An axis with one window has any stride, and one with a kernel of 1 any dilation.
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

    /// The windows of a result with more of them, of which every `step`-th is wanted.
    fn every(&self, result: &Tensor, axis: usize, step: usize) -> Result<Tensor> {
        if result.dim(axis)? == self.windows {
            return Ok(result.clone());
        }
        let index: Vec<u32> = (0..self.windows).map(|window| (window * step) as u32).collect();
        Ok(result.contiguous()?.index_select(&Tensor::new(index, result.device())?, axis)?)
    }
}

/// The greatest step that both axes can be gone along with.
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

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.convolve(x, self.weight.as_tensor(), self.bias.as_deref())?)
    }
}

impl Block for Conv2d {
    fn compute(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        Ok(self.forward_frozen(only("a convolution", inputs)?)?)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        Ok(self.forward(only("a convolution", inputs)?)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }
}
