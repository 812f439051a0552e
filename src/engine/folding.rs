//! Equal rows of a pass, evaluated once: those of one example that is attributed for several classes.

use std::collections::HashMap;

use candle_core::Tensor;

use super::host::host_rows;
use crate::error::Result;
use crate::model::picked;

/// Which rows of a pass are evaluated, and which of them stands for each row.
pub(crate) struct Folding {
    /// The row that is evaluated, for each evaluation.
    evaluated: Vec<u32>,
    /// The evaluation of each row.
    of: Vec<u32>,
    /// All rows in groups that have no two rows of one evaluation.
    turns: Vec<Vec<u32>>,
}

impl Folding {
    /// The folding of rows of these contents, `[rows, ...]` each. Only rows of one origin are compared. `None` if no
    /// two are equal.
    pub(super) fn new(origins: &[u32], contents: &[Tensor]) -> Result<Option<Self>> {
        if origins.len() < 2 {
            return Ok(None);
        }
        let (evaluated, of) = distinct(origins, contents)?;
        let mut turns: Vec<Vec<u32>> = Vec::new();
        let mut rows_of = vec![0; evaluated.len()];
        for (row, evaluation) in of.iter().enumerate() {
            let turn = rows_of[*evaluation as usize];
            rows_of[*evaluation as usize] += 1;
            if turn == turns.len() {
                turns.push(Vec::new());
            }
            turns[turn].push(row as u32);
        }
        Ok((evaluated.len() < of.len()).then_some(Self { evaluated, of, turns }))
    }

    /// The folding of two such batches, one after the other.
    pub(super) fn twice(self) -> Self {
        let after = |rows: &[u32], by: usize| -> Vec<u32> {
            rows.iter().copied().chain(rows.iter().map(|row| row + by as u32)).collect()
        };
        let (rows, evaluations) = (self.of.len(), self.evaluated.len());
        Self {
            evaluated: after(&self.evaluated, rows),
            of: after(&self.of, evaluations),
            turns: self.turns.iter().map(|turn| after(turn, rows)).collect(),
        }
    }

    /// How many rows there are for each that is evaluated, rounded up.
    pub(super) fn share(&self) -> usize {
        self.of.len().div_ceil(self.evaluated.len())
    }

    pub(super) fn evaluated(&self) -> &[u32] {
        &self.evaluated
    }

    /// The rows that are evaluated, of a tensor `[rows, ...]`.
    pub(super) fn fold(&self, tensor: &Tensor) -> Result<Tensor> {
        picked(tensor, &self.evaluated)
    }

    /// Every row, of a tensor `[evaluations, ...]`.
    pub(super) fn unfold(&self, tensor: &Tensor) -> Result<Tensor> {
        picked(tensor, &self.of)
    }

    /// Tensors of every row, from `one`, which gives them for the evaluations of a group of rows that has no two rows of
    /// one evaluation.
    pub(super) fn in_turns(&self, one: impl Fn(&[u32]) -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
        let mut parts: Vec<Vec<Tensor>> = Vec::new();
        for turn in &self.turns {
            let evaluations: Vec<u32> = turn.iter().map(|row| self.of[*row as usize]).collect();
            let values = one(turn)?;
            parts.push(values.iter().map(|value| picked(value, &evaluations)).collect::<Result<_>>()?);
        }
        let mut places = vec![0; self.of.len()];
        for (place, row) in self.turns.iter().flatten().enumerate() {
            places[*row as usize] = place as u32;
        }
        let tensors = parts.first().map_or(0, Vec::len);
        let join = |tensor: usize| {
            let parts: Vec<&Tensor> = parts.iter().map(|part| &part[tensor]).collect();
            picked(&Tensor::cat(&parts, 0)?, &places)
        };
        (0..tensors).map(join).collect()
    }
}

/// The first of the rows that are equal, for each that is different, and for each row which of these it equals. Only rows of
/// one origin are compared.
pub(super) fn distinct(origins: &[u32], contents: &[Tensor]) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut known: HashMap<(u32, Vec<u64>), usize> = HashMap::new();
    let (mut first, mut of) = (Vec::new(), Vec::new());
    for (row, (origin, numbers)) in origins.iter().zip(host_rows(contents)?).enumerate() {
        let bits = numbers.into_iter().map(f64::to_bits).collect();
        let place = *known.entry((*origin, bits)).or_insert(first.len());
        if place == first.len() {
            first.push(row as u32);
        }
        of.push(place as u32);
    }
    Ok((first, of))
}
