//! The outputs of layers; nothing above the last of them is computed.

use std::ops::Range;

use candle_core::Tensor;

use super::forward::Pass;
use super::passes::{Passes, allowing_single_rows, blocks, join_blocks};
use super::question::check_inputs;
use super::{Budget, Expansion, Question};
use crate::error::Result;
use crate::model::{Inputs, Layers, Model, Place, Tap};

/// The outputs of layers for these inputs.
pub(crate) fn activations(model: &dyn Model, inputs: &Inputs, places: &[Place]) -> Result<Vec<Tensor>> {
    check_inputs(inputs)?;
    let at = Expansion::new((0..inputs.batch_size()?).collect(), 1);
    let at = at.folded(inputs, inputs.tensors())?;
    let rows = Budget::default().on(inputs.first().device())?.rows_without_graph(inputs);
    allowing_single_rows(Passes::of(rows), |passes| {
        let found = capture(model, &at.expand_inputs(inputs)?, places, passes.rows, false)?;
        found.iter().map(|activation| at.unfold(activation)).collect()
    })
}

impl Question<'_> {
    /// The outputs of layers for the inputs.
    pub(crate) fn activations(&self, places: &[Place]) -> Result<Vec<Tensor>> {
        activations(self.model(), self.inputs(), places)
    }

    /// The outputs of layers for other inputs of the same shapes, evaluated in passes of `rows` rows.
    pub(crate) fn activations_at(
        &self,
        places: &[Place],
        tensors: &[Tensor],
        at: &Expansion,
        rows: usize,
    ) -> Result<Vec<Tensor>> {
        let at = at.folded_wherever_equal(self.inputs(), tensors)?;
        let all = at.with_tensors(self.inputs(), at.fold_all(tensors)?)?;
        capture(self.model(), &all, places, rows, self.is_exact())?
            .iter()
            .map(|activation| at.unfold(activation))
            .collect()
    }
}

fn capture(model: &dyn Model, inputs: &Inputs, places: &[Place], rows: usize, exact: bool) -> Result<Vec<Tensor>> {
    let block = |rows: Range<usize>| {
        let at = Expansion::new(rows.collect(), 1);
        let taps = places.iter().map(|place| (place.clone(), Tap::Capture));
        let layers = Layers::with_taps(taps).stop_when_caught().exact(exact);
        let mut pass = Pass::run(model, &at.expand_inputs(inputs)?, layers)?;
        places.iter().map(|place| Ok(pass.caught(place, &at)?.activation.detach().contiguous()?)).collect()
    };
    join_blocks(blocks(inputs.batch_size()?, rows).map(block).collect::<Result<_>>()?)
}
