//! candle_nn's layers as blocks. Outside of a training their weights are left out of the graph.

use candle_core::{Module, Tensor};

use super::LayerNorm;
use super::block::{Block, Operation, only};
use crate::error::Result;

impl Block for candle_nn::Linear {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let frozen = Self::new(self.weight().detach(), self.bias().map(Tensor::detach));
        Ok(frozen.forward(only("a linear layer", inputs)?)?)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(self.forward(only("a linear layer", inputs)?)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }
}

impl Block for candle_nn::Conv1d {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let frozen = Self::new(self.weight().detach(), self.bias().map(Tensor::detach), *self.config());
        Ok(frozen.forward(only("a convolution", inputs)?)?)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(self.forward(only("a convolution", inputs)?)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }
}

impl Block for candle_nn::Conv2d {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let frozen = Self::new(self.weight().detach(), self.bias().map(Tensor::detach), *self.config());
        Ok(frozen.forward(only("a convolution", inputs)?)?)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(self.forward(only("a convolution", inputs)?)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }
}

impl Block for candle_nn::Embedding {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let frozen = Self::new(self.embeddings().detach(), self.hidden_size());
        Ok(frozen.forward(only("an embedding", inputs)?)?)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(self.forward(only("an embedding", inputs)?)?)
    }
}

impl Block for candle_nn::Activation {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(self.forward(only("an activation", inputs)?)?)
    }

    fn operation(&self) -> Operation<'_> {
        match self {
            // It takes the two halves of its last axis against each other.
            Self::Swiglu => Operation::Other,
            _ => Operation::Elementwise,
        }
    }
}

/// With the backward that its own forward lacks.
impl Block for candle_nn::LayerNorm {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let bias = self.bias().map(Tensor::detach);
        LayerNorm::composed_of(
            only("a layer norm", inputs)?,
            &self.weight().detach(),
            bias.as_ref(),
            self.eps(),
            self.remove_mean(),
        )
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        LayerNorm::composed_of(
            only("a layer norm", inputs)?,
            self.weight(),
            self.bias(),
            self.eps(),
            self.remove_mean(),
        )
    }
}
