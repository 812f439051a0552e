//! Two-dimensional convolution.

use candle_core::{Module, Tensor, ToUsize2, Var};

use super::block::{Block, Operation, only};
use super::correlation::Correlation;
use super::{Conversion, Reweighting, converted};
use crate::error::{Result, bail};
use crate::seed::Seed;

/// Convolution of x `[batch, in, height, width]` with W `[out, in / groups, kernel, kernel]` plus b `[out]`,
/// like PyTorch's `Conv2d`.
///
/// Kernels, strides, paddings and dilations are one number, or a pair of height and width. Per axis the result has
/// ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1 values; a remainder that a stride leaves at
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
    correlation: Correlation,
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
            correlation: Correlation { stride, padding: padding.to_usize2(), dilation: (1, 1), groups: 1 },
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
        Ok(Self { weight, bias, correlation: Correlation { stride, padding, dilation: (1, 1), groups: 1 } })
    }

    /// The same layer with its kernel's elements this far apart; 1 by default.
    pub fn with_dilation(self, dilation: impl ToUsize2) -> Result<Self> {
        let dilation = dilation.to_usize2();
        if dilation.0 == 0 || dilation.1 == 0 {
            bail!(Input, "a convolution with the dilation {dilation:?}: expected at least 1")
        }
        Ok(Self { correlation: Correlation { dilation, ..self.correlation }, ..self })
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
        Ok(Self { correlation: Correlation { groups, ..self.correlation }, ..self })
    }

    /// The same layer in another type, with weights of its own.
    pub fn to_dtype(&self, dtype: candle_core::DType) -> Result<Self> {
        Ok(self.converted(&|weight| weight.to_dtype(dtype))?)
    }

    /// The same layer on another device, with weights of its own.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let conv = Conv2d::new(1, 4, 3, 1, 0, Seed(1))?.to_device(&device)?;
    /// let x = Tensor::zeros((2, 1, 8, 8), DType::F32, &device)?;
    /// assert!(conv.forward(&x)?.device().same_device(&device));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &candle_core::Device) -> Result<Self> {
        Ok(self.converted(&|weight| weight.to_device(device))?)
    }

    fn converted(&self, by: Conversion) -> candle_core::Result<Self> {
        let bias = self.bias.as_ref().map(|bias| converted(bias, by)).transpose()?;
        Ok(Self { weight: converted(&self.weight, by)?, bias, correlation: self.correlation })
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
        self.correlation.groups
    }

    /// The weights that training may change.
    pub fn parameters(&self) -> Vec<Var> {
        std::iter::once(&self.weight).chain(&self.bias).cloned().collect()
    }

    /// The weights that training may change, as `name.weight` and `name.bias`.
    pub fn named_parameters(&self, name: &str) -> Vec<(String, Var)> {
        super::named(name, &self.weight, self.bias.as_ref())
    }

    /// The same values, with the weights left out of the graph.
    pub fn forward_frozen(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let bias = self.bias.as_ref().map(Var::as_detached_tensor);
        Ok(self.correlation.apply(x, &self.weight.as_detached_tensor(), bias.as_ref())?)
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.correlation.apply(x, self.weight.as_tensor(), self.bias.as_deref())?)
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

    fn reweighted(&self, by: &Reweighting) -> crate::Result<Option<Box<dyn Block>>> {
        let (weight, bias) = by.weights(&self.weight, self.bias.as_deref())?;
        let (weight, bias) = (Var::from_tensor(&weight)?, bias.as_ref().map(Var::from_tensor).transpose()?);
        Ok(Some(Box::new(Self { weight, bias, correlation: self.correlation })))
    }
}
