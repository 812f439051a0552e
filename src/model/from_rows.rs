//! A model from a closure over plain rows of numbers.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{Inputs, Layers, Model};
use crate::error::{Result, bail, error};

/// A black box as a model: a closure from rows of numbers to an answer for each row. candle is not in its signature,
/// so it can ask anything: a service, another library, a table of rules.
///
/// The answer is a number for each row (`Vec<f64>`), or several (`Vec<Vec<f64>>`). The closure may fail: then it
/// returns a `Result` of either, with any error that can be shown. It gets several rows at once, in any order, on
/// several threads; another number of answers than of rows is an error. Each input tensor is `[rows, features]`; the
/// numbers of several inputs, and of further axes, follow each other in a row. Extra arguments are not passed.
///
/// There is no gradient through it, and it names no layers: a method that needs a gradient is an error that names
/// methods that do not.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let price = from_rows(|rows: &[Vec<f64>]| -> Vec<f64> {
///     rows.iter().map(|row| if row[0] > 2. { 10. * row[1] } else { row[2] }).collect()
/// });
/// let x = Tensor::new(&[[3f64, 2., 7.]], &Device::Cpu)?;
/// let worth = FeatureAblation::new(price).attribute(&x, Target::None)?;
/// assert_eq!(worth.tensor().to_vec2::<f64>()?, [[13., 20., 0.]]);
/// # Ok::<(), Error>(())
/// ```
pub fn from_rows<A: Answers>(answers: impl Fn(&[Vec<f64>]) -> A + Send + Sync + 'static) -> Arc<dyn Model> {
    Arc::new(FromRows(move |rows: &[Vec<f64>]| answers(rows).into_rows()))
}

/// What a closure of [`from_rows`] may return.
pub trait Answers {
    /// The numbers of each row; an error if there are none.
    fn into_rows(self) -> Result<Rows>;
}

/// The answers of a black box.
pub enum Rows {
    /// One number for each row.
    One(Vec<f64>),
    /// Several numbers for each row.
    Several(Vec<Vec<f64>>),
}

impl Answers for Vec<f64> {
    fn into_rows(self) -> Result<Rows> {
        Ok(Rows::One(self))
    }
}

impl Answers for Vec<Vec<f64>> {
    fn into_rows(self) -> Result<Rows> {
        Ok(Rows::Several(self))
    }
}

impl<A: Answers, E: std::fmt::Display> Answers for Result<A, E> {
    fn into_rows(self) -> Result<Rows> {
        match self {
            Ok(answers) => answers.into_rows(),
            Err(error) => bail!(Input, "the black box failed: {error}"),
        }
    }
}

struct FromRows<F>(F);

impl<F: Fn(&[Vec<f64>]) -> Result<Rows> + Send + Sync> Model for FromRows<F> {
    fn forward(&self, input: &Inputs, _layers: &mut Layers) -> Result<Tensor> {
        let count = input.batch_size()?;
        if input.tensors().iter().any(Tensor::track_op) {
            bail!(
                Gradient,
                "the model is a black box (from_rows), through which no gradient flows: use a method that only \
                 evaluates it, such as FeatureAblation, ShapleyValueSampling or KernelShap"
            )
        }
        let mut rows: Vec<Vec<f64>> = vec![Vec::new(); count];
        for tensor in input.tensors() {
            let flat = tensor.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.reshape((count, ()))?;
            rows.iter_mut().zip(flat.to_vec2::<f64>()?).for_each(|(row, numbers)| row.extend(numbers));
        }
        let fits = |answers: usize| -> Result<()> {
            if answers != count {
                let (s, rows) = (if answers == 1 { "" } else { "s" }, if count == 1 { "row" } else { "rows" });
                let wrong = error!(
                    Input,
                    "the black box gave {answers} answer{s} for {count} {rows}: expected {count}, one for each row"
                );
                return Err(wrong.whatever_the_rows());
            }
            Ok(())
        };
        Ok(match (self.0)(&rows)? {
            Rows::One(numbers) => {
                fits(numbers.len())?;
                Tensor::from_vec(numbers, count, &Device::Cpu)?
            }
            Rows::Several(numbers) => {
                fits(numbers.len())?;
                let width = numbers.first().map_or(0, Vec::len);
                if let Some(other) = numbers.iter().find(|numbers| numbers.len() != width) {
                    bail!(Input, "the black box gave {width} numbers for one row and {} for another", other.len())
                }
                Tensor::from_vec(numbers.concat(), (count, width), &Device::Cpu)?
            }
        })
    }
}
