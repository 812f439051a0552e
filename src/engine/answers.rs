//! The model's outputs for the inputs themselves: each example is computed once.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::Expansion;
use super::passes::join_blocks;
use super::target::Selection;
use crate::error::{Result, error};
use crate::model::picked;

/// What is known of the examples so far.
pub(super) struct Answers {
    /// The attributed number of each example, and where it is in the output.
    examples: Vec<Option<Answer>>,
    /// The axes of the output after the batch.
    axes: Vec<usize>,
    /// The type that the model computes in, once it was asked.
    pub(super) dtype: Option<DType>,
    /// The output of consecutive examples, by the index of the first.
    outputs: BTreeMap<usize, Tensor>,
    /// Whether the model gave one number where there are several examples.
    pub(super) one_number: bool,
}

#[derive(Clone, Copy)]
struct Answer {
    value: f64,
    position: usize,
}

impl Answers {
    pub(super) fn of(batch: usize) -> Self {
        Self { examples: vec![None; batch], axes: Vec::new(), dtype: None, outputs: BTreeMap::new(), one_number: false }
    }

    pub(super) fn knows(&self, examples: &[usize]) -> bool {
        examples.iter().all(|example| self.examples[*example].is_some())
    }

    pub(super) fn unknown(&self) -> Vec<usize> {
        (0..self.examples.len()).filter(|example| self.examples[*example].is_none()).collect()
    }

    /// Keeps the output of those of these examples that are not known yet, each once, and which of its numbers were
    /// selected. They are consecutive.
    pub(super) fn learn_output(
        &mut self,
        examples: &[usize],
        values: &[f64],
        selection: &Selection,
        output: &Tensor,
    ) -> Result<()> {
        self.axes = selection.axes().to_vec();
        let mut new: Vec<u32> = Vec::new();
        for (row, example) in examples.iter().enumerate() {
            if self.examples[*example].is_none() {
                self.examples[*example] = Some(Answer { value: values[row], position: selection.positions()[row] });
                new.push(row as u32);
            }
        }
        let Some(first) = new.first() else { return Ok(()) };
        let first = examples[*first as usize];
        let output = match new.len() == examples.len() {
            true => output.clone(),
            false => picked(output, &new)?,
        };
        self.outputs.insert(first, output);
        Ok(())
    }

    /// Keeps the activations of a neuron.
    pub(super) fn learn_activations(&mut self, examples: &[usize], values: &[f64]) {
        for (example, value) in examples.iter().zip(values) {
            self.examples[*example] = Some(Answer { value: *value, position: 0 });
        }
    }

    /// Where the attributed number of each of these examples is, which must be known.
    pub(super) fn selection(&self, examples: &[usize]) -> Result<Selection> {
        let position = |example: &usize| {
            let answer = self.examples[*example];
            answer.map(|answer| answer.position).ok_or_else(|| error!(Input, "example {example} was not asked before"))
        };
        Ok(Selection::at(self.axes.clone(), examples.iter().map(position).collect::<Result<_>>()?))
    }

    /// The same answers for other inputs in these examples' rows.
    pub(super) fn carried_to(&self, at: &Expansion) -> Self {
        let examples = at.rows().iter().map(|row| self.examples[*row]).collect();
        Self { examples, axes: self.axes.clone(), dtype: self.dtype, outputs: BTreeMap::new(), one_number: false }
    }

    /// The attributed number of each example that was asked.
    pub(super) fn values(&self) -> Vec<f64> {
        self.examples.iter().flatten().map(|answer| answer.value).collect()
    }

    /// The index of the attributed number in the output of each example that was asked.
    pub(super) fn indices(&self) -> Vec<Vec<usize>> {
        let positions = self.examples.iter().flatten().map(|answer| answer.position).collect();
        Selection::at(self.axes.clone(), positions).indices()
    }

    /// The index of the first example, if it was asked.
    pub(super) fn first_index(&self) -> Option<Vec<usize>> {
        let position = self.examples.first().copied().flatten()?.position;
        Selection::at(self.axes.clone(), vec![position]).indices().pop()
    }

    /// The output, where there is one.
    pub(super) fn output(&self) -> Result<Option<Tensor>> {
        let blocks = self.outputs.values().map(|output| vec![output.clone()]).collect();
        Ok(join_blocks(blocks)?.pop())
    }
}
