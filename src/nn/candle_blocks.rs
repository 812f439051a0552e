//! candle_nn's layers as blocks. Outside training their weights are left out of the graph.

use candle_core::{Module, Tensor};

use super::block::{Block, Operation, only};
use super::correlation::Correlation;
use super::{LayerNorm, Reweighting};
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

    fn reweighted(&self, by: &Reweighting) -> Result<Option<Box<dyn Block>>> {
        let (weight, bias) = by.weights(self.weight(), self.bias())?;
        Ok(Some(Box::new(Self::new(weight, bias))))
    }
}

/// Takes the sequence as an image of height 1, because candle's own backward is wrong beyond the first row.
impl Block for candle_nn::Conv1d {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        over_sequence(self, inputs, &self.weight().detach(), self.bias().map(Tensor::detach).as_ref())
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        over_sequence(self, inputs, self.weight(), self.bias())
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }

    fn reweighted(&self, by: &Reweighting) -> Result<Option<Box<dyn Block>>> {
        let (weight, bias) = by.weights(self.weight(), self.bias())?;
        Ok(Some(Box::new(Self::new(weight, bias, *self.config()))))
    }
}

fn over_sequence(
    conv: &candle_nn::Conv1d,
    inputs: &[&Tensor],
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let config = conv.config();
    let correlation = Correlation {
        stride: (1, config.stride),
        padding: (0, config.padding),
        dilation: (1, config.dilation),
        groups: config.groups,
    };
    let image = only("a convolution", inputs)?.unsqueeze(2)?;
    Ok(correlation.apply(&image, &weight.unsqueeze(2)?, bias)?.squeeze(2)?)
}

/// Has a correct backward if a stride leaves a remainder; candle's own has none.
impl Block for candle_nn::Conv2d {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let bias = self.bias().map(Tensor::detach);
        over_image(self.config()).apply(only("a convolution", inputs)?, &self.weight().detach(), bias.as_ref())
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        over_image(self.config()).apply(only("a convolution", inputs)?, self.weight(), self.bias())
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }

    fn reweighted(&self, by: &Reweighting) -> Result<Option<Box<dyn Block>>> {
        let (weight, bias) = by.weights(self.weight(), self.bias())?;
        Ok(Some(Box::new(Self::new(weight, bias, *self.config()))))
    }
}

fn over_image(config: &candle_nn::Conv2dConfig) -> Correlation {
    let square = |side: usize| (side, side);
    Correlation {
        stride: square(config.stride),
        padding: square(config.padding),
        dilation: square(config.dilation),
        groups: config.groups,
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
            // It combines the two halves of its last axis.
            Self::Swiglu => Operation::Other,
            Self::Relu => Operation::Relu,
            _ => Operation::Elementwise,
        }
    }
}

/// Has the backward that candle's own lacks.
impl Block for candle_nn::LayerNorm {
    fn compute(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        frozen(self, only("a layer norm", inputs)?, false)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = only("a layer norm", inputs)?;
        LayerNorm::composed_of(x, self.weight(), self.bias(), self.eps(), self.remove_mean(), false)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Normalization(Box::new(|x| frozen(self, x, true)))
    }
}

fn frozen(norm: &candle_nn::LayerNorm, x: &Tensor, held: bool) -> Result<Tensor> {
    let bias = norm.bias().map(Tensor::detach);
    LayerNorm::composed_of(x, &norm.weight().detach(), bias.as_ref(), norm.eps(), norm.remove_mean(), held)
}
