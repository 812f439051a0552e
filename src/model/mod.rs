//! The seam to candle: what a model is, how it names its layers, and ready-made networks.

mod from_layer;
mod from_rows;
mod inputs;
mod into_model;
mod joined;
mod layers;
mod on_device;
mod picked;
pub mod pickle;
mod sequential;
mod single_copy;
mod transformer;

use candle_core::{Tensor, Var};

pub use from_layer::FromLayer;
pub use from_rows::{Answers, Rows, from_rows};
pub use inputs::Inputs;
pub use into_model::{IntoModel, from_fn};
pub(crate) use layers::{Caught, Place, Tap};
pub use layers::{LayerInfo, Layers};
pub(crate) use picked::picked;
pub use sequential::{InputShape, Layer, LayerSummary, Sequential, SequentialBuilder};
pub(crate) use single_copy::check as check_single_copy;
#[cfg(feature = "hub")]
pub(crate) use transformer::shards_of;
pub use transformer::{ClassifierOutput, RobertaShape, SequenceClassifier, TransformerEncoder};

use crate::deep_stack::Mark;
use crate::error::Result;

/// A model that can be attributed.
///
/// The forward pass names its layers through `layers`, one line for each layer. The context decides
/// whether a visited tensor is captured, replaced or cut. So a model knows nothing of
/// attribution methods, and no hook can be left behind.
///
/// Rows must be independent: the output of one example may not depend on the others in the
/// batch (batch normalisation in training mode breaks this).
///
/// ```
/// use candle_explain::prelude::*;
///
/// #[derive(Clone)]
/// struct Wide { deep: Linear, skip: Linear }
///
/// impl Model for Wide {
///     fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
///         let x = input.first();
///         let hidden = layers.apply("hidden", &self.deep, x)?;
///         let active = layers.run(&Activation::Relu, &hidden)?;
///         let skip = layers.run(&self.skip, x)?;
///         layers.visit("logits", (active + skip)?)
///     }
/// }
///
/// let wide = Wide { deep: Linear::new(3, 2, Seed(1))?, skip: Linear::new(3, 2, Seed(2))? };
/// let names = wide.layer_names(&Tensor::zeros((1, 3), DType::F32, &Device::Cpu)?)?;
/// assert_eq!(names, ["hidden", "logits"]);
/// # Ok::<(), Error>(())
/// ```
pub trait Model: Send + Sync {
    /// The model's output for a batch: `[batch]`, `[batch, classes]` or more axes after the batch.
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor>;

    /// The weights that training may change; empty for a model that only predicts.
    fn parameters(&self) -> Vec<Var> {
        Vec::new()
    }

    /// The parameters with the names that errors of training use; by default
    /// `parameter 0` and so on.
    ///
    /// Blocks name theirs: `self.deep.named_parameters("deep")` gives `deep.weight` and `deep.bias`. Trainers
    /// read this list, so it must be complete.
    fn named_parameters(&self) -> Vec<(String, Var)> {
        let numbered = self.parameters().into_iter().enumerate();
        numbered.map(|(index, var)| (format!("parameter {index}"), var)).collect()
    }

    /// The most tensors that a forward pass makes, for a model made only of operations with a correct
    /// backward, such as those of [`nn`](crate::nn), that leaves its weights out of the graph but in training.
    ///
    /// `None`, the default, says that nothing is known. Then methods compare the model's gradient with
    /// its outputs before they trust it ([`Check`](crate::engine::Check)), and run its passes on a
    /// thread with room for a deep graph.
    fn known_operations(&self) -> Option<usize> {
        None
    }

    /// The output with nothing tapped and without a graph: a plain prediction.
    fn predict(&self, inputs: impl Into<Inputs>) -> Result<Tensor>
    where
        Self: Sized,
    {
        let inputs = inputs.into();
        inputs.batch_size()?;
        let before = Mark::now()?;
        before.without_graph(self.forward(&inputs, &mut Layers::plain())?)
    }

    /// The names of the layers that a forward pass of these inputs visits, in order.
    fn layer_names(&self, inputs: impl Into<Inputs>) -> Result<Vec<String>>
    where
        Self: Sized,
    {
        let inputs = inputs.into();
        inputs.batch_size()?;
        let mut layers = Layers::plain();
        let before = Mark::now()?;
        before.without_graph(self.forward(&inputs, &mut layers)?)?;
        Ok(layers.names())
    }
}
