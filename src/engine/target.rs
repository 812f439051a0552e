//! Which number of the output is attributed.

use candle_core::{D, DType, Tensor};

use super::Expansion;
use crate::error::{Result, bail, error};
use crate::finite::unravel;

/// Which number of each example's output is attributed.
///
/// | Output | Target |
/// |---|---|
/// | `[batch]` or `[batch, 1]` | `None` |
/// | `[batch, classes]` | `Class(c)`, `PerExample(vec![...])`, `Predicted` |
/// | `[batch, a, b, ...]` | `Index(vec![i, j, ...])`, `PerExampleIndex(vec![vec![...], ...])` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The output is one number per example already.
    None,
    /// The same class for every example.
    Class(usize),
    /// A class for each example.
    PerExample(Vec<usize>),
    /// The same position in an output of several axes, without the batch axis.
    Index(Vec<usize>),
    /// A position for each example.
    PerExampleIndex(Vec<Vec<usize>>),
    /// The class with the largest output, for each example.
    Predicted,
}

impl From<usize> for Target {
    fn from(class: usize) -> Self {
        Target::Class(class)
    }
}

impl From<Vec<usize>> for Target {
    fn from(classes: Vec<usize>) -> Self {
        Target::PerExample(classes)
    }
}

impl From<&[u32]> for Target {
    fn from(labels: &[u32]) -> Self {
        Target::PerExample(labels.iter().map(|label| *label as usize).collect())
    }
}

impl<const N: usize> From<[usize; N]> for Target {
    fn from(classes: [usize; N]) -> Self {
        Target::PerExample(classes.to_vec())
    }
}

impl From<&Target> for Target {
    fn from(target: &Target) -> Self {
        target.clone()
    }
}

/// A target held against the output it selects from.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// The axes of the output after the batch.
    axes: Vec<usize>,
    /// The position within one example's output, flattened, for each example.
    position: Vec<usize>,
}

impl Selection {
    /// Checks a target against the output `[batch, ...]` of the inputs.
    pub(crate) fn new(target: &Target, output: &Tensor, batch: usize) -> Result<Self> {
        let dims = output.dims();
        let per_example = dims.first() == Some(&batch) || (dims.is_empty() && batch == 1);
        if !per_example {
            bail!(
                Input,
                "the model's output is {dims:?} for {batch} examples: expected [batch, ...], one row per example"
            )
        }
        let axes = dims.get(1..).unwrap_or_default().to_vec();
        let width: usize = axes.iter().product();
        let position = match target {
            Target::None if width == 1 => vec![0; batch],
            Target::None => bail!(
                Input,
                "the model's output is {dims:?}: say which number of it to attribute, for example Target::Class(0)"
            ),
            Target::Class(class) => vec![flat_position(&[*class], &axes, dims, None)?; batch],
            Target::Index(index) => vec![flat_position(index, &axes, dims, None)?; batch],
            Target::PerExample(classes) => {
                per_example_positions(classes.iter().map(std::slice::from_ref), classes.len(), &axes, dims)?
            }
            Target::PerExampleIndex(indices) => {
                per_example_positions(indices.iter().map(Vec::as_slice), indices.len(), &axes, dims)?
            }
            Target::Predicted => {
                if axes.len() != 1 {
                    bail!(
                        Input,
                        "Target::Predicted takes the largest of an output [batch, classes], and this one is {dims:?}"
                    )
                }
                let largest = output.detach().argmax(D::Minus1)?.to_dtype(DType::U32)?.to_vec1::<u32>()?;
                largest.into_iter().map(|class| class as usize).collect()
            }
        };
        Ok(Self { axes, position })
    }

    /// The selected number of each row, `[rows]`, from the output of an expanded batch.
    pub(crate) fn select(&self, output: &Tensor, at: &Expansion) -> Result<Tensor> {
        let rows = at.len();
        let dims = output.dims();
        let axes = dims.get(1..).unwrap_or_default();
        if axes != self.axes || output.elem_count() != rows * self.axes.iter().product::<usize>() {
            bail!(
                Input,
                "the model's output has the shape {dims:?} for {rows} rows, and had the axes {:?} after the batch \
                 before: rows must not depend on each other",
                self.axes
            )
        }
        let flat = output.reshape((rows, ()))?;
        let first = self.position[at.rows()[0]];
        if at.rows().iter().all(|&row| self.position[row] == first) {
            return Ok(flat.narrow(1, first, 1)?.squeeze(1)?);
        }
        let positions: Vec<u32> = at.rows().iter().map(|&row| self.position[row] as u32).collect();
        let positions = positions.repeat(at.copies());
        let index = Tensor::from_vec(positions, (rows, 1), output.device())?;
        Ok(flat.gather(&index, 1)?.squeeze(1)?)
    }

    /// The selected index of each example, without the batch axis.
    pub(crate) fn indices(&self) -> Vec<Vec<usize>> {
        self.position.iter().map(|&position| unravel(position, &self.axes)).collect()
    }
}

fn per_example_positions<'a>(
    indices: impl Iterator<Item = &'a [usize]>,
    count: usize,
    axes: &[usize],
    dims: &[usize],
) -> Result<Vec<usize>> {
    let batch = dims.first().copied().unwrap_or(1);
    if count != batch {
        bail!(Input, "there are {count} targets for {batch} examples: give one for each, or one for all")
    }
    indices.enumerate().map(|(example, index)| flat_position(index, axes, dims, Some(example))).collect()
}

fn flat_position(index: &[usize], axes: &[usize], dims: &[usize], example: Option<usize>) -> Result<usize> {
    let named = match axes.len() {
        1 => " (batch, classes)",
        _ => "",
    };
    let whose = example.map(|example| format!(" of example {example}")).unwrap_or_default();
    let out_of_range = || match index {
        [class] => error!(Input, "target class {class}{whose} is out of range: the model's output is {dims:?}{named}"),
        _ => error!(Input, "target {index:?}{whose} is out of range: the model's output is {dims:?}{named}"),
    };
    if index.len() != axes.len() {
        bail!(
            Input,
            "target {index:?}{whose} has {} positions, and the model's output {dims:?} has {} axes after the batch: \
             give one position for each",
            index.len(),
            axes.len()
        )
    }
    index.iter().zip(axes).try_fold(
        0,
        |flat, (&position, &dim)| {
            if position < dim { Ok(flat * dim + position) } else { Err(out_of_range()) }
        },
    )
}
