//! A network on another device.

use candle_core::Device;

use super::{Layer, Sequential};
use crate::error::Result;

impl Sequential {
    /// The same network on another device, with weights of its own.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let net = Sequential::builder(3).linear("linear", 2).softmax("softmax").build(Seed(1))?.to_device(&device)?;
    /// let x = Tensor::zeros((5, 3), DType::F32, &device)?;
    /// assert!(IntegratedGradients::new(&net).attribute(&x, 0)?.tensor().device().same_device(&device));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = |(name, layer): &(String, Layer)| Ok((name.clone(), layer.to_device(device)?));
        let layers = self.layers.iter().map(moved).collect::<Result<_>>()?;
        Ok(Self { input_shape: self.input_shape.clone(), layers })
    }
}

impl Layer {
    /// The same layer on another device, with weights of its own.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(match self {
            Layer::Linear(linear) => Layer::Linear(linear.to_device(device)?),
            Layer::Conv2d(conv) => Layer::Conv2d(conv.to_device(device)?),
            others => others.clone(),
        })
    }
}
