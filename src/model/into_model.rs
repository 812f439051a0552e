//! What counts as a model: a [`Model`], a candle `Module`, a closure, by value or by reference.

use std::sync::Arc;

use candle_core::{Module, Tensor, Var};

use super::{Inputs, Layers, Model};
use crate::error::Result;

/// Anything that turns into a shared model.
///
/// `Marker` only tells the implementations apart and is always inferred:
/// `IntegratedGradients::new(&model)` takes a reference to a `Model` or candle `Module` that is
/// `Clone` (cloning shares the tensors), either of them by value, an `Arc` of a model, or a
/// closure `|x: &Tensor| ...` that returns a tensor.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model that can be attributed",
    note = "pass a `Model` or a candle `Module`: by value, by reference if it is `Clone` (add `#[derive(Clone)]`), or in an `Arc`",
    note = "a closure must own what it uses and name its argument's type: `move |x: &Tensor| net.forward(x)`"
)]
pub trait IntoModel<Marker> {
    /// The model behind a shared pointer.
    fn into_model(self) -> Arc<dyn Model>;
}

/// Marks a [`Model`] taken by value.
pub struct ByValue;
/// Marks a [`Model`] taken by reference.
pub struct ByReference;
/// Marks a candle `Module` or closure taken by value.
pub struct ModuleByValue;
/// Marks a candle `Module` taken by reference.
pub struct ModuleByReference;

impl<M: Model + 'static> IntoModel<ByValue> for M {
    fn into_model(self) -> Arc<dyn Model> {
        Arc::new(self)
    }
}

impl<M: Model + Clone + 'static> IntoModel<ByReference> for &M {
    fn into_model(self) -> Arc<dyn Model> {
        Arc::new(self.clone())
    }
}

impl<M: Module + Send + Sync + 'static> IntoModel<ModuleByValue> for M {
    fn into_model(self) -> Arc<dyn Model> {
        Arc::new(Plain(self))
    }
}

impl<M: Module + Clone + Send + Sync + 'static> IntoModel<ModuleByReference> for &M {
    fn into_model(self) -> Arc<dyn Model> {
        Arc::new(Plain(self.clone()))
    }
}

impl<M: Model + ?Sized> Model for Arc<M> {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        (**self).forward(input, layers)
    }

    fn parameters(&self) -> Vec<Var> {
        (**self).parameters()
    }

    fn known_operations(&self) -> Option<usize> {
        (**self).known_operations()
    }
}

/// A model without named layers: only its inputs can be attributed.
struct Plain<M>(M);

impl<M: Module + Send + Sync> Model for Plain<M> {
    fn forward(&self, input: &Inputs, _layers: &mut Layers) -> Result<Tensor> {
        input.require(1, 0)?;
        Ok(self.0.forward(input.first())?)
    }
}

/// A model from a closure that sees every input, every extra argument and the layers.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let product = from_fn(|input: &Inputs, layers: &mut Layers| {
///     let both = layers.visit("product", (input.get(0)? * input.get(1)?)?)?;
///     Ok(both.sum(1)?)
/// });
/// let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
/// let y = Tensor::new(&[[3f32, 4.]], &Device::Cpu)?;
/// let result = IntegratedGradients::new(product).attribute([&x, &y], Target::None)?;
/// assert_eq!(result.value(1)?.to_vec2::<f32>()?, [[1.5, 4.0]]);
/// # Ok::<(), Error>(())
/// ```
pub fn from_fn<F>(forward: F) -> Arc<dyn Model>
where
    F: Fn(&Inputs, &mut Layers) -> Result<Tensor> + Send + Sync + 'static,
{
    struct FromFn<F>(F);

    impl<F> Model for FromFn<F>
    where
        F: Fn(&Inputs, &mut Layers) -> Result<Tensor> + Send + Sync,
    {
        fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
            (self.0)(input, layers)
        }
    }

    Arc::new(FromFn(forward))
}
