//! The attributed number where some features are taken from elsewhere.

use candle_core::Tensor;

use super::host::host;
use super::passes::{Passes, allowing_single_rows};
use super::{Bits, Expansion, Features, Question};
use crate::error::Result;
use crate::finite;
use crate::model::{Place, Tap};

/// The inputs of a question, or the activations of layers, some of whose features are replaced.
pub(crate) struct Perturbed<'q> {
    question: &'q Question<'q>,
    /// The layers whose activations are replaced; none for the inputs.
    places: Vec<Place>,
    /// What is perturbed, `[batch, ...]` each.
    points: Vec<Tensor>,
    /// Where absent features are taken from, `[rows, ...]` each.
    donors: Vec<Tensor>,
    features: Features,
    passes: Passes,
}

/// One evaluation: an example, the features that it keeps, and the row of the donors that the others come from.
pub(crate) struct Mixture<'m> {
    pub(crate) example: usize,
    pub(crate) donor: usize,
    pub(crate) present: &'m Bits,
}

impl<'q> Perturbed<'q> {
    pub(super) fn new(
        question: &'q Question<'q>,
        places: &[Place],
        points: &[Tensor],
        donors: &[Tensor],
        features: Features,
    ) -> Result<Self> {
        let contiguous = |tensors: &[Tensor]| -> Result<Vec<Tensor>> {
            tensors.iter().map(|tensor| Ok(tensor.detach().contiguous()?)).collect()
        };
        let points = contiguous(points)?;
        let passes = Passes::without_graph(&question.budget, question.inputs().tensors().iter().chain(&points));
        Ok(Self { question, places: places.to_vec(), points, donors: contiguous(donors)?, features, passes })
    }

    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    pub(super) fn points(&self) -> &[Tensor] {
        &self.points
    }

    /// One number for each feature of each example, in the shapes of what is perturbed.
    pub(super) fn in_shape(&self, values: &[Vec<f64>]) -> Result<Vec<Tensor>> {
        match self.places.is_empty() {
            true => self.features.in_shape(values, &self.question.attributed_inputs()?),
            false => self.features.in_shape(values, &self.points),
        }
    }

    /// Tells the observer that about so many evaluations are still to come.
    pub(super) fn plans(&self, evaluations: usize) {
        self.question.plans(Some(evaluations));
    }

    /// How many evaluations fill one pass.
    pub(super) fn rows(&self) -> usize {
        self.passes.rows
    }

    /// The attributed number of each of these mixtures. F at the inputs themselves must be known.
    pub(crate) fn evaluate<'m>(&self, count: usize, mixture: impl Fn(usize) -> Mixture<'m> + Sync) -> Result<Vec<f64>> {
        allowing_single_rows(self.passes, |passes| {
            let rows = |pass: usize| pass * passes.rows..count.min((pass + 1) * passes.rows);
            let mut values = Vec::with_capacity(count);
            let pass = |pass: usize| self.pass(rows(pass).map(&mixture).collect());
            passes.run(count.div_ceil(passes.rows), pass, |of_pass| {
                values.extend(of_pass);
                Ok(())
            })?;
            Ok(values)
        })
    }

    fn pass(&self, mixtures: Vec<Mixture>) -> Result<Vec<f64>> {
        let at = Expansion::new(mixtures.iter().map(|mixture| mixture.example).collect(), 1);
        let donors = Expansion::new(mixtures.iter().map(|mixture| mixture.donor).collect(), 1);
        let mixed = |(index, (point, donor)): (usize, (&Tensor, &Tensor))| {
            let point = at.pick(point)?;
            let mut mask = Vec::with_capacity(point.elem_count());
            for mixture in &mixtures {
                self.features.write_mask(index, mixture.example, mixture.present, &mut mask);
            }
            let mask = Tensor::from_vec(mask, point.dims(), point.device())?;
            Ok(mask.where_cond(&point, &donors.pick(donor)?)?)
        };
        let mixed = self.points.iter().zip(&self.donors).enumerate().map(mixed).collect::<Result<Vec<_>>>()?;
        let (scalars, _) = match self.places.as_slice() {
            [] => {
                let at = at.folded(self.question.inputs(), &mixed)?;
                self.question.scalars(&at.with_tensors(self.question.inputs(), at.fold_all(&mixed)?)?, [], &at)?
            }
            places => {
                let at = self.question.folded_at_layers(&mixed, &at)?;
                let taps = places.iter().cloned().zip(at.fold_all(&mixed)?.into_iter().map(Tap::Replace));
                self.question.scalars(&at.expand_inputs(self.question.inputs())?, taps, &at)?
            }
        };
        finite::check(&scalars).map_err(|e| e.at("the model's output where some features are absent"))?;
        host(&scalars)
    }
}
