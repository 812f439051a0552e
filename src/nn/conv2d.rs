//! Two-dimensional convolution.

use candle_core::{Module, Tensor, Var};

use crate::error::{Result, bail};
use crate::seed::Seed;

/// Convolution of x `[batch, in, height, width]` with W `[out, in, kernel, kernel]` plus b `[out]`.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let conv = Conv2d::new(1, 4, 3, 1, 0, Seed(1))?;
/// let x = Tensor::zeros((2, 1, 8, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&x)?.dims(), [2, 4, 6, 6]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Var,
    bias: Option<Var>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// A trainable layer with weights and bias drawn uniformly from ±1/√(in·kernel²).
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        seed: Seed,
    ) -> Result<Self> {
        if inputs * outputs * kernel * stride == 0 {
            bail!(
                Input,
                "a convolution of {inputs} to {outputs} channels with kernel {kernel} and stride {stride}: \
                 all must be at least 1"
            )
        }
        let bound = 1. / ((inputs * kernel * kernel) as f64).sqrt();
        let mut draw = seed.uniform(-bound, bound).map(|x| x as f32);
        let weights: Vec<f32> = draw.by_ref().take(outputs * inputs * kernel * kernel).collect();
        let bias: Vec<f32> = draw.take(outputs).collect();
        let device = &candle_core::Device::Cpu;
        Ok(Self {
            weight: Var::from_vec(weights, (outputs, inputs, kernel, kernel), device)?,
            bias: Some(Var::from_vec(bias, outputs, device)?),
            stride,
            padding,
        })
    }

    /// A layer with given weights `[out, in, kernel, kernel]` and bias `[out]`.
    pub fn from_weights(weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Self> {
        if weight.rank() != 4 || stride == 0 {
            bail!(
                Input,
                "a convolution's weight has the shape {:?} and its stride is {stride}: expected \
                 [out, in, kernel, kernel] and at least 1",
                weight.dims()
            )
        }
        if let Some(bias) = bias
            && bias.dims() != [weight.dims()[0]]
        {
            bail!(Input, "the bias of a convolution has the shape {:?}: expected [{}]", bias.dims(), weight.dims()[0])
        }
        Ok(Self { weight: Var::from_tensor(weight)?, bias: bias.map(Var::from_tensor).transpose()?, stride, padding })
    }

    /// The weight `[out, in, kernel, kernel]`.
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The bias `[out]`, if there is one.
    pub fn bias(&self) -> Option<&Var> {
        self.bias.as_ref()
    }

    /// What training may change.
    pub fn parameters(&self) -> Vec<Var> {
        std::iter::once(&self.weight).chain(&self.bias).cloned().collect()
    }

    /// The same values, with the weights left out of the graph.
    pub fn forward_frozen(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let bias = self.bias.as_ref().map(Var::as_detached_tensor);
        self.convolve(x, &self.weight.as_detached_tensor(), bias.as_ref())
    }

    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let (_, _, kernel_height, kernel_width) = weight.dims4()?;
        let (_, _, height, width) = x.dims4()?;
        if kernel_height > height + 2 * self.padding || kernel_width > width + 2 * self.padding {
            candle_core::bail!("a kernel of {kernel_height} x {kernel_width} does not fit into {height} x {width}")
        }
        let result = x.conv2d(weight, self.padding, self.stride, 1, 1)?;
        match bias {
            Some(bias) => result.broadcast_add(&bias.reshape((1, (), 1, 1))?),
            None => Ok(result),
        }
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.convolve(x, self.weight.as_tensor(), self.bias.as_deref())
    }
}
