//! Several points of the path for some rows of the batch, evaluated in one pass.

use std::sync::Arc;

use candle_core::Tensor;

use super::Folding;
use crate::error::Result;
use crate::model::{Inputs, picked};

/// Some rows of the batch, repeated once for each point of the path: row-minor, so that
/// `[copies · rows, ...]` splits into `[copies, rows, ...]`.
#[derive(Clone)]
pub(crate) struct Expansion {
    rows: Vec<usize>,
    copies: usize,
    /// Whether the first copy is of the inputs themselves.
    begins_with_inputs: bool,
    /// Which rows are evaluated, if some are equal.
    folding: Option<Arc<Folding>>,
}

impl Expansion {
    pub(crate) fn new(rows: Vec<usize>, copies: usize) -> Self {
        Self { rows, copies, begins_with_inputs: false, folding: None }
    }

    /// Some rows of the inputs themselves.
    pub(crate) fn of_inputs(rows: Vec<usize>) -> Self {
        Self::new(rows, 1).beginning_with_inputs()
    }

    /// The same expansion, marked as one whose first copy is of the inputs themselves.
    pub(crate) fn beginning_with_inputs(self) -> Self {
        Self { begins_with_inputs: true, ..self }
    }

    pub(crate) fn begins_with_inputs(&self) -> bool {
        self.begins_with_inputs
    }

    /// The same expansion of a tensor that holds only these rows, so that they count from 0.
    pub(crate) fn in_order(&self) -> Self {
        Self::new((0..self.rows.len()).collect(), self.copies)
    }

    /// The same expansion, whose equal rows of one example are evaluated once: those that `contents`, `[copies · rows,
    /// ...]` each, do not tell apart.
    pub(crate) fn folded(&self, inputs: &Inputs, contents: &[Tensor]) -> Result<Self> {
        if inputs.origins().is_empty() {
            return Ok(self.clone());
        }
        Ok(self.with_folding(Folding::new(&self.origins(inputs), contents)?))
    }

    /// The same for passes of which no gradient is taken: rows of different examples are evaluated once too, if they are
    /// equal and no extra arguments tell them apart.
    pub(crate) fn folded_wherever_equal(&self, inputs: &Inputs, contents: &[Tensor]) -> Result<Self> {
        let origins = match (inputs.args().is_empty(), inputs.origins().is_empty()) {
            (true, _) => vec![0; self.len()],
            (false, true) => self.rows.iter().map(|row| *row as u32).collect::<Vec<_>>().repeat(self.copies),
            (false, false) => self.origins(inputs),
        };
        Ok(self.with_folding(Folding::new(&origins, contents)?))
    }

    /// The same for pairs, the first copy the inputs and the second what they are compared with.
    pub(crate) fn folded_in_pairs(&self, inputs: &Inputs, contents: &[Tensor]) -> Result<Self> {
        if inputs.origins().is_empty() {
            return Ok(self.clone());
        }
        let count = self.rows.len();
        let halves = contents.iter().flat_map(|tensor| [tensor.narrow(0, 0, count), tensor.narrow(0, count, count)]);
        let halves = halves.collect::<candle_core::Result<Vec<_>>>()?;
        Ok(self.with_folding(Folding::new(&self.origins(inputs)[..count], &halves)?.map(Folding::twice)))
    }

    fn with_folding(&self, folding: Option<Folding>) -> Self {
        Self { folding: folding.map(Arc::new), ..self.clone() }
    }

    /// The example as it was given, of each row.
    fn origins(&self, inputs: &Inputs) -> Vec<u32> {
        self.rows.iter().map(|row| inputs.origins()[*row]).collect::<Vec<_>>().repeat(self.copies)
    }

    pub(crate) fn folding(&self) -> Option<&Folding> {
        self.folding.as_deref()
    }

    /// How many rows are evaluated.
    pub(crate) fn evaluations(&self) -> usize {
        self.folding().map_or(self.len(), |folding| folding.evaluated().len())
    }

    /// The rows that are evaluated, of a tensor of all rows.
    pub(crate) fn fold(&self, tensor: &Tensor) -> Result<Tensor> {
        self.folding().map_or_else(|| Ok(tensor.clone()), |folding| folding.fold(tensor))
    }

    /// The same of several tensors.
    pub(crate) fn fold_all(&self, tensors: &[Tensor]) -> Result<Vec<Tensor>> {
        tensors.iter().map(|tensor| self.fold(tensor)).collect()
    }

    /// Every row, of a tensor of the rows that were evaluated.
    pub(crate) fn unfold(&self, tensor: &Tensor) -> Result<Tensor> {
        self.folding().map_or_else(|| Ok(tensor.clone()), |folding| folding.unfold(tensor))
    }

    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }

    pub(crate) fn copies(&self) -> usize {
        self.copies
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len() * self.copies
    }

    /// These rows of a tensor `[batch, ...]`, once.
    pub(crate) fn pick(&self, tensor: &Tensor) -> Result<Tensor> {
        let (first, count) = (self.rows[0], self.rows.len());
        if self.rows.iter().enumerate().all(|(offset, &row)| row == first + offset) {
            return Ok(if count == tensor.dim(0)? { tensor.clone() } else { tensor.narrow(0, first, count)? });
        }
        picked(tensor, &self.rows.iter().map(|&row| row as u32).collect::<Vec<_>>())
    }

    /// These rows of a tensor `[batch, ...]`, once for each point: `[copies · rows, ...]`.
    pub(crate) fn expand(&self, tensor: &Tensor) -> Result<Tensor> {
        let picked = self.pick(tensor)?;
        if self.copies == 1 {
            return Ok(picked);
        }
        let mut repeats = vec![1; picked.rank()];
        repeats[0] = self.copies;
        Ok(picked.repeat(repeats)?)
    }

    /// The inputs and extra arguments of the call for the rows that are evaluated.
    pub(crate) fn expand_inputs(&self, inputs: &Inputs) -> Result<Inputs> {
        let tensors = inputs.tensors().iter().map(|tensor| self.fold(&self.expand(tensor)?)).collect::<Result<_>>()?;
        self.with_tensors(inputs, tensors)
    }

    /// The call for the rows that are evaluated, with these tensors of them instead of its own.
    pub(crate) fn with_tensors(&self, inputs: &Inputs, tensors: Vec<Tensor>) -> Result<Inputs> {
        let args = inputs.args().iter().map(|arg| self.fold(&self.expand(arg)?)).collect::<Result<_>>()?;
        let replaced = inputs.replaced(tensors, args);
        if inputs.origins().is_empty() {
            return Ok(replaced);
        }
        let origins = self.origins(inputs);
        Ok(replaced.with_origins(match self.folding() {
            None => origins,
            Some(folding) => folding.evaluated().iter().map(|row| origins[*row as usize]).collect(),
        }))
    }
}
