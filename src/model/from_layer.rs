//! The part of a model above a layer, as a model of its own.

use std::sync::Arc;

use candle_core::{Tensor, Var};

use super::{Inputs, IntoModel, Layers, Model, Place, Tap};
use crate::deep_stack::on_deep_stack;
use crate::error::{Result, bail};

/// The part of a model above one of its layers, as a model that takes the layer's output.
///
/// There is no path between two token ids, but there is one between their embeddings. So methods that
/// move the input (LayerConductance, NeuronConductance, IntegratedGradients) work for a model of token
/// ids.
///
/// The only attributed tensor is the layer's output. The model's own input and extra arguments become
/// extra arguments. [`FromLayer::inputs`] makes all of them from the model's inputs.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let upper = FromLayer::new(&net, "hidden");
/// let [x, zero] = [[[1f32, 2., 3.]], [[0., 0., 0.]]].map(|x| Tensor::new(&x, &Device::Cpu));
/// let (input, baseline) = (upper.inputs(&x?)?, upper.inputs(&zero?)?);
/// let conductance = LayerConductance::new(&upper, "tanh").baseline(&baseline).attribute(&input, 1)?;
/// assert_eq!(conductance.tensor().dims(), [1, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct FromLayer {
    model: Arc<dyn Model>,
    place: Place,
}

impl FromLayer {
    /// The part of the model above a layer.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>) -> Self {
        Self { model: model.into_model(), place: Place::Output(layer.into()) }
    }

    /// Where it begins, as a message names it.
    pub(crate) fn beginning(&self) -> String {
        self.place.to_string()
    }

    /// The inputs of the upper part, for these inputs of the whole model.
    pub fn inputs(&self, inputs: impl Into<Inputs>) -> Result<Inputs> {
        let inputs: Inputs = inputs.into();
        inputs.batch_size()?;
        if inputs.tensors().len() != 1 {
            bail!(Input, "the model takes {} inputs: FromLayer is for models of one", inputs.tensors().len())
        }
        let activation = on_deep_stack(|| {
            let mut layers = Layers::with_taps([(self.place.clone(), Tap::Capture)]).stop_when_caught();
            let result = self.model.forward(&inputs, &mut layers);
            let Some(caught) = layers.take(&self.place) else {
                result?;
                return Err(layers.no_such(&self.place));
            };
            Ok(caught.activation.detach().contiguous()?)
        })?;
        let args = inputs.tensors().iter().chain(inputs.args()).cloned().collect();
        Ok(inputs.replaced(vec![activation], args))
    }
}

impl Model for FromLayer {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let Some((own, args)) = input.args().split_first() else {
            bail!(
                Input,
                "the part above layer \"{}\" needs the model's own input as its first extra argument: \
                 FromLayer::inputs makes both",
                self.place.layer()
            )
        };
        let below = input.replaced(vec![own.clone()], args.to_vec());
        layers.put(self.place.clone(), input.first().clone())?;
        self.model.forward(&below, layers)
    }

    fn parameters(&self) -> Vec<Var> {
        self.model.parameters()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.model.named_parameters()
    }

    fn known_operations(&self) -> Option<usize> {
        self.model.known_operations()
    }
}
