//! A pass whose backward follows a rule.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Shape, Storage, Tensor, Var};

use super::Block;
use crate::error::{Result, bail};

/// How gradients pass through blocks in a method.
pub(crate) trait Rule: Send + Sync {
    /// What reaches each input of a block when `gradient` has reached its output; `None` for the ordinary
    /// gradient.
    fn pull_back(&self, call: &Call, gradient: &Tensor) -> Result<Option<Vec<Tensor>>>;
}

/// A block in a pass, without a graph.
pub(crate) struct Call {
    pub(crate) block: Box<dyn Block>,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) output: Tensor,
    pub(crate) at: At,
}

/// Where in a pass a block runs.
pub(crate) struct At {
    /// The layer that it is.
    pub(crate) layer: Option<String>,
    /// In words, for errors.
    pub(crate) place: String,
    /// Whether an input is the output of a block that is not affine.
    pub(crate) follows_nonlinear: bool,
}

/// Runs a block so that its backward asks the rule.
pub(crate) fn run<B: Block + Clone + 'static>(
    block: &B,
    rule: &Arc<dyn Rule>,
    inputs: &[&Tensor],
    at: At,
) -> Result<Tensor> {
    let detached: Vec<Tensor> = inputs.iter().map(|input| input.detach()).collect();
    let output = block.compute(&detached.iter().collect::<Vec<_>>())?.detach().force_contiguous()?;
    let tracked = |input: &&&Tensor| input.dtype().is_float();
    let flat: Vec<Tensor> = inputs
        .iter()
        .filter(tracked)
        .map(|input| input.contiguous()?.flatten_all())
        .collect::<candle_core::Result<_>>()?;
    let joined = match flat.as_slice() {
        [] => return Ok(output),
        [one] => one.clone(),
        several => Tensor::cat(several, 0)?,
    };
    let call = Call { block: Box::new(block.clone()), inputs: detached, output, at };
    Ok(joined.apply_op1(Ruled { rule: rule.clone(), call })?)
}

/// The ordinary gradient of a block's inputs.
pub(crate) fn ordinary(block: &dyn Block, inputs: &[Tensor], gradient: &Tensor) -> Result<Vec<Tensor>> {
    let vars = inputs
        .iter()
        .map(|input| if input.dtype().is_float() { Var::from_tensor(input).map(Some) } else { Ok(None) })
        .collect::<candle_core::Result<Vec<_>>>()?;
    let tracked: Vec<&Tensor> =
        vars.iter().zip(inputs).map(|(var, input)| var.as_ref().map_or(input, Var::as_tensor)).collect();
    let output = block.compute(&tracked)?;
    let mut store = (output * gradient)?.sum_all()?.backward()?;
    vars.iter()
        .zip(inputs)
        .map(|(var, input)| match var.as_ref().and_then(|var| store.remove(var)) {
            Some(gradient) => Ok(gradient.detach()),
            None => Ok(input.zeros_like()?),
        })
        .collect()
}

/// The operation from the joined inputs to the output, which was computed already.
struct Ruled {
    rule: Arc<dyn Rule>,
    call: Call,
}

impl Ruled {
    fn pull_back(&self, gradient: &Tensor) -> Result<Tensor> {
        let gradient = gradient.detach();
        let Call { block, inputs, .. } = &self.call;
        let gradients = match self.rule.pull_back(&self.call, &gradient)? {
            Some(gradients) => gradients,
            None => ordinary(&**block, inputs, &gradient)?,
        };
        let mut flat = Vec::new();
        for (input, gradient) in inputs.iter().zip(&gradients).filter(|(input, _)| input.dtype().is_float()) {
            if input.dims() != gradient.dims() {
                bail!(
                    Tensor,
                    "a rule gave {:?} for an input of the shape {:?}: a fault of the crate, please report it",
                    gradient.dims(),
                    input.dims()
                )
            }
            flat.push(gradient.contiguous()?.flatten_all()?.to_dtype(input.dtype())?);
        }
        Ok(Tensor::cat(&flat, 0)?)
    }
}

impl CustomOp1 for Ruled {
    fn name(&self) -> &'static str {
        "ruled"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.call.output.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { return Err(moved()) };
        Ok((storage.clone(), layout.shape().clone()))
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.call.output.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { return Err(moved()) };
        Ok((storage.try_clone(layout)?, layout.shape().clone()))
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> candle_core::Result<(MetalStorage, Shape)> {
        let (storage, layout) = self.call.output.storage_and_layout();
        let Storage::Metal(storage) = &*storage else { return Err(moved()) };
        Ok((storage.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.pull_back(gradient)?))
    }
}

fn moved() -> candle_core::Error {
    candle_core::Error::Msg("a block gave a tensor on another device than its inputs".to_string())
}
