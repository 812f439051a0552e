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
///
/// Methods that explain a neuron or an activation take none: a class or a position is an error there, `Predicted` counts
/// as none ([`MethodInfo::target`](crate::engine::MethodInfo::target)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The output already is one number per example.
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

/// A target, checked against the output it selects from.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// The axes of the output after the batch.
    axes: Vec<usize>,
    /// The position within one example's output, flattened, for each example.
    position: Vec<usize>,
}

impl Target {
    /// An error if a number of the output was chosen, for a method that explains none.
    pub(crate) fn require_none(&self, method: &str) -> Result<()> {
        match self {
            Target::None | Target::Predicted => Ok(()),
            target => bail!(
                Input,
                "{method} explains what is inside the model, whatever the class: it takes no target, and {target:?} came; \
                 call attribute without one"
            ),
        }
    }

    /// An error unless there is a target for each example, or one for all.
    pub(crate) fn check_count(&self, batch: usize) -> Result<()> {
        let count = match self {
            Target::PerExample(classes) => classes.len(),
            Target::PerExampleIndex(indices) => indices.len(),
            Target::None | Target::Class(_) | Target::Index(_) | Target::Predicted => return Ok(()),
        };
        if count != batch {
            bail!(Input, "there are {count} targets for {batch} examples: give one for each, or one for all")
        }
        Ok(())
    }
}

impl Selection {
    /// Checks a target against the output `[rows, ...]` of these examples of a batch.
    pub(crate) fn new(target: &Target, output: &Tensor, examples: &[usize], batch: usize) -> Result<Self> {
        target.check_count(batch)?;
        let axes = output.dims()[1..].to_vec();
        let shape = Shape { axes: &axes, batch };
        let width: usize = axes.iter().product();
        if width == 0 {
            bail!(Input, "the model's output is {shape}: there is no number in it to attribute")
        }
        let rows = examples.len();
        let position = match target {
            Target::None if width == 1 => vec![0; rows],
            Target::None => bail!(
                Input,
                "the model's output is {shape}: say which number of it to attribute, for example Target::Class(0)"
            ),
            Target::Class(class) => vec![shape.position(&[*class], None)?; rows],
            Target::Index(index) => vec![shape.position(index, None)?; rows],
            Target::PerExample(classes) => {
                let of = |&example: &usize| shape.position(&[classes[example]], Some(example));
                examples.iter().map(of).collect::<Result<_>>()?
            }
            Target::PerExampleIndex(indices) => {
                let of = |&example: &usize| shape.position(&indices[example], Some(example));
                examples.iter().map(of).collect::<Result<_>>()?
            }
            Target::Predicted if axes.is_empty() => bail!(
                Input,
                "Target::Predicted takes the largest of several classes, and the model's output {shape} is one number per \
                 example already: use Target::None"
            ),
            Target::Predicted => {
                if axes.len() != 1 {
                    bail!(
                        Input,
                        "Target::Predicted takes the largest of an output [batch, classes], and this one is {shape}"
                    )
                }
                let largest = output.detach().argmax(D::Minus1)?.to_dtype(DType::U32)?.to_vec1::<u32>()?;
                largest.into_iter().map(|class| class as usize).collect()
            }
        };
        Ok(Self { axes, position })
    }

    /// The numbers at these positions of outputs with these axes after the batch.
    pub(crate) fn at(axes: Vec<usize>, position: Vec<usize>) -> Self {
        Self { axes, position }
    }

    /// The axes of the output after the batch.
    pub(crate) fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// The position within each example's output, flattened.
    pub(crate) fn positions(&self) -> &[usize] {
        &self.position
    }

    /// An output as `[rows, ...]`; a model may give a scalar for one row.
    pub(crate) fn rows_of(output: &Tensor, rows: usize) -> Result<Tensor> {
        match output.dims() {
            [] if rows == 1 => Ok(output.reshape(1)?),
            [first, ..] if *first == rows => Ok(output.clone()),
            dims => bail!(
                Input,
                "the model's output is {dims:?} for {rows} examples: expected [batch, ...], one row per example"
            ),
        }
    }

    /// The selected number of each row, `[rows]`, from the output of an expanded batch.
    pub(crate) fn select(&self, output: &Tensor, at: &Expansion) -> Result<Tensor> {
        let rows = at.len();
        let dims = output.dims();
        let axes = dims.get(1..).unwrap_or_default();
        let fits = dims.first() == Some(&rows) || (dims.is_empty() && rows == 1);
        if axes != self.axes || !fits {
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

/// The shape of an output, as errors show it.
struct Shape<'a> {
    axes: &'a [usize],
    batch: usize,
}

impl Shape<'_> {
    /// The position of an index within one example's output, flattened.
    fn position(&self, index: &[usize], example: Option<usize>) -> Result<usize> {
        let whose = example.map(|example| format!(" of example {example}")).unwrap_or_default();
        if self.axes.is_empty() && !index.is_empty() {
            bail!(
                Input,
                "target {index:?}{whose} selects among several numbers, and the model's output {self} is one number per \
                 example already: use Target::None"
            )
        }
        if index.len() != self.axes.len() {
            bail!(
                Input,
                "target {index:?}{whose} has {} positions, and the model's output {self} has {} axes after the batch: \
                 give one position for each",
                index.len(),
                self.axes.len()
            )
        }
        let named = if self.axes.len() == 1 { " (batch, classes)" } else { "" };
        let out_of_range = || match index {
            [class] => {
                error!(Input, "target class {class}{whose} is out of range: the model's output is {self}{named}")
            }
            _ => error!(Input, "target {index:?}{whose} is out of range: the model's output is {self}{named}"),
        };
        index.iter().zip(self.axes).try_fold(0, |flat, (&position, &dim)| {
            if position < dim { Ok(flat * dim + position) } else { Err(out_of_range()) }
        })
    }
}

impl std::fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", [&[self.batch], self.axes].concat())
    }
}
