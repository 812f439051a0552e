//! A model that pauses before each of its passes.

use std::sync::Arc;

use candle_explain::Result;
use candle_explain::candle_core::{Tensor, Var};
use candle_explain::model::{Inputs, Layers, Model};

/// A function that runs before each pass of a model; an explanation has many passes. An error from it stops the
/// rest.
#[derive(Clone)]
pub(crate) struct BeforePass(Arc<dyn Fn() -> Result<()> + Send + Sync>);

impl BeforePass {
    pub(crate) fn new(pause: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(pause))
    }

    pub(crate) fn nothing() -> Self {
        Self::new(|| Ok(()))
    }

    /// A model that calls this function before each pass.
    pub(crate) fn of(&self, model: Arc<dyn Model>) -> Arc<dyn Model> {
        Arc::new(Watched { model, before_pass: self.clone() })
    }
}

struct Watched {
    model: Arc<dyn Model>,
    before_pass: BeforePass,
}

impl Model for Watched {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        (self.before_pass.0)()?;
        self.model.forward(input, layers)
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
