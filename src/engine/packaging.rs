//! Results, put together from what a question came to.

use candle_core::{Device, Tensor};

use super::gradient::check_finite;
use super::host::delivered;
use super::passes::join_blocks;
use super::question::Quantity;
use super::remarks::{Warning, is_noteworthy};
use super::{Attributions, Convergence, Estimate, Integral, Question, Rounding, Sampled, Sampling, SamplingSettings};
use crate::error::{Result, bail};
use crate::model::{Inputs, Place};

/// The numbers of a result, how they converged along a path, and how certain they are if they were sampled.
pub(crate) struct Numbers {
    values: Vec<Tensor>,
    convergence: Option<Convergence>,
    sampling: Option<Sampling>,
}

impl Numbers {
    /// The same with how certain they are.
    pub(crate) fn sampled(self, sampling: Sampling) -> Self {
        Self { sampling: Some(sampling), ..self }
    }

    /// The estimates from each example's samples, whose numbers are those of its row in each of these tensors, one tensor
    /// after another.
    pub(crate) fn of_samples(sampled: &[Sampled], like: &[Tensor], settings: &SamplingSettings) -> Result<Self> {
        let estimates: Vec<Estimate> = sampled.iter().map(Estimate::from).collect();
        Self::of_estimates(&estimates, like, settings.tolerance)
    }

    /// Each example's estimates, whose numbers are those of its row in each of these tensors, one tensor after another.
    pub(crate) fn of_estimates(estimates: &[Estimate], like: &[Tensor], tolerance: Option<f64>) -> Result<Self> {
        let numbers = |of: fn(&Estimate) -> &[f64]| estimates.iter().map(of).collect::<Vec<&[f64]>>();
        let values = in_shape(&numbers(|estimate| &estimate.values), like)?;
        check_finite(&values, "attribution")?;
        Ok(Self::from(values).sampled(Sampling {
            errors: in_shape(&numbers(|estimate| &estimate.errors), like)?,
            samples: estimates.iter().map(|estimate| estimate.samples).collect(),
            draws: estimates.iter().map(|estimate| estimate.draws).collect(),
            tolerance,
            settled: estimates.iter().map(|estimate| estimate.settled).collect(),
        }))
    }

    /// The same with each example's convergence delta over the samples that it was given.
    pub(crate) fn with_delta(self, delta: Vec<f64>) -> Self {
        let beyond = vec![false; delta.len()];
        self.converging(Convergence::without_steps(delta, beyond, 1))
    }

    /// The same with how they converged.
    pub(super) fn converging(self, convergence: Convergence) -> Self {
        Self { convergence: Some(convergence), ..self }
    }

    /// The sampled numbers of groups of examples, one group after another.
    pub(crate) fn join(groups: Vec<Self>) -> Result<Self> {
        let mut joined: Option<Self> = None;
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for group in groups {
            values.push(group.values.clone());
            errors.extend(group.sampling.as_ref().map(|sampling| sampling.errors.clone()));
            let Some(joined) = &mut joined else {
                joined = Some(group);
                continue;
            };
            if let (Some(all), Some(more)) = (&mut joined.sampling, group.sampling) {
                all.samples.extend(more.samples);
                all.draws.extend(more.draws);
                all.settled.extend(more.settled);
            }
            if let (Some(all), Some(more)) = (&mut joined.convergence, group.convergence) {
                all.beyond.extend(more.beyond);
                if let (Some(all), Some(more)) = (&mut all.delta, more.delta) {
                    all.extend(more);
                }
            }
        }
        let Some(joined) = joined else { bail!(Input, "there are no examples") };
        let errors = join_blocks(errors)?;
        let sampling = joined.sampling.map(|sampling| Sampling { errors, ..sampling });
        Ok(Self { values: join_blocks(values)?, sampling, ..joined })
    }

    /// The same with how far each example's sum is from the difference that it must be.
    pub(crate) fn adding_up(self, sums: &[f64], differences: &[f64], baselines: usize) -> Self {
        let delta: Vec<f64> = sums.iter().zip(differences).map(|(sum, difference)| sum - difference).collect();
        let beyond = delta.iter().zip(differences).map(|(delta, difference)| is_noteworthy(*delta, *difference));
        let beyond = beyond.collect();
        self.converging(Convergence::without_steps(delta, beyond, baselines))
    }
}

/// Each example's numbers, in the shapes and types of these tensors `[batch, ...]`, one tensor after another.
fn in_shape(examples: &[&[f64]], like: &[Tensor]) -> Result<Vec<Tensor>> {
    let mut first = 0;
    let tensor = |like: &Tensor| {
        let width: usize = like.dims()[1..].iter().product();
        let numbers: Vec<f64> = examples.iter().flat_map(|example| example[first..first + width].to_vec()).collect();
        first += width;
        let tensor = Tensor::from_vec(numbers, like.dims(), &Device::Cpu)?;
        Ok(tensor.to_dtype(delivered(like.dtype()))?.to_device(like.device())?)
    };
    like.iter().map(tensor).collect()
}

impl From<Vec<Tensor>> for Numbers {
    fn from(values: Vec<Tensor>) -> Self {
        Self { values, convergence: None, sampling: None }
    }
}

impl From<Integral> for Numbers {
    fn from(integral: Integral) -> Self {
        Self { values: integral.values, convergence: Some(integral.convergence), sampling: None }
    }
}

impl Attributions {
    /// Attributions to the inputs of a question, with the features' names.
    pub(crate) fn to_inputs(
        method: &'static str,
        question: &Question,
        numbers: impl Into<Numbers>,
    ) -> Result<Attributions> {
        let places = (0..question.inputs().tensors().len()).map(|index| format!("input {index}"));
        let mut attributions = Self::answering(method, question, numbers.into(), places.collect())?;
        let names = question.inputs().names();
        if attributions.values[0].dims().last() == Some(&names.len()) {
            attributions.names = names.to_vec().into();
        }
        Ok(attributions)
    }

    /// Attributions to layers.
    pub(crate) fn to_layers(
        method: &'static str,
        question: &Question,
        numbers: impl Into<Numbers>,
        places: &[Place],
    ) -> Result<Attributions> {
        let places = places.iter().map(Place::to_string).collect();
        Ok(Self::answering(method, question, numbers.into(), places)?.of_layers(question.inputs()))
    }

    /// The activations of layers themselves for these inputs.
    pub(crate) fn activations(
        method: &'static str,
        inputs: &Inputs,
        (values, rounding): (Vec<Tensor>, Option<Rounding>),
        places: &[Place],
    ) -> Self {
        let mut result = Self::new(method, values, places.iter().map(Place::to_string).collect()).of_layers(inputs);
        result.warnings.extend(rounding.map(Warning::Rounded));
        result
    }

    /// The same call's result with other numbers, by another method.
    pub(crate) fn with_numbers(self, method: &'static str, numbers: Numbers) -> Self {
        let Numbers { values, convergence, sampling } = numbers;
        Self { method, values, convergence, sampling, ..self }
    }

    fn answering(method: &'static str, question: &Question, numbers: Numbers, places: Vec<String>) -> Result<Self> {
        question.compare_outputs()?;
        let answers = question.answers();
        let (targets, output) = match &question.quantity {
            Quantity::Output(_) => (answers.indices(), answers.output()?),
            Quantity::Neuron { .. } => (Vec::new(), None),
        };
        drop(answers);
        let Numbers { values, convergence, sampling } = numbers;
        let warnings = question.warnings();
        let mask = question.mask();
        Ok(Self { mask, targets, output, convergence, sampling, warnings, ..Self::new(method, values, places) })
    }
}
