//! Gradients at random points between random baselines and the inputs, which may be noisy.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::Tensor;

use super::gradient::Sample;
use super::host::{host, product};
use super::noise::Noise;
use super::passes::{Passes, blocks, in_passes};
use super::{
    Attributed, Baseline, Baselines, Expansion, Lines, Moments, Numbers, Path, Question, SamplingSettings, Stdevs,
};
use crate::error::Result;
use crate::model::Place;
use crate::seed::Seed;

/// How the points of an expectation are drawn.
pub(crate) struct RandomPoints<'a> {
    pub(crate) sampling: &'a SamplingSettings,
    /// One of its rows is drawn for each sample.
    pub(crate) baseline: &'a Baseline,
    /// The noise that each sample adds to the inputs.
    pub(crate) stdevs: &'a Stdevs,
    /// Whether gradients are multiplied by what lies between the ends.
    pub(crate) multiply_by_inputs: bool,
}

/// Between which ends the points lie, and what the gradients are with respect to.
#[derive(Clone, Copy)]
pub(crate) enum Between<'a> {
    Inputs,
    /// The activations of layers, while the inputs stay.
    Activations(&'a [Place]),
    /// Inputs between the ends, and the gradients of layers there.
    InputsBelow(&'a [Place]),
}

/// What one sample drew.
#[derive(Clone, Copy)]
struct Draw {
    seed: Seed,
    /// The row of the baselines.
    row: usize,
    /// Where the point lies, from 0 at the baseline to 1 at the input.
    alpha: f64,
}

/// What all samples of a call share.
struct Ends<'a> {
    between: Between<'a>,
    baselines: Baselines,
    lines: Lines,
    noise: Noise,
    multiply: bool,
    /// F at the inputs.
    ends: Vec<f64>,
}

/// The samples of a pass: their examples, their numbers for each attributed tensor, and F's difference between the
/// ends of each, where attributions must add up to it.
struct Drawn {
    examples: Vec<usize>,
    values: Vec<Vec<f64>>,
    differences: Option<Vec<f64>>,
}

impl Question<'_> {
    /// The mean over the samples of the gradient at a point drawn uniformly between a row of the baselines and the
    /// input, times the difference between them if that was asked for.
    pub(crate) fn at_random_points(&self, how: &RandomPoints, between: Between) -> Result<Numbers> {
        if !matches!(between, Between::Activations(_)) {
            self.require_float_inputs()?;
        }
        let baselines = how.baseline.resolve(self.inputs())?;
        let noise = how.stdevs.resolve(self.inputs())?;
        let at_inputs = |question: &Question, at: &Expansion| {
            let points = question.input_points(at)?;
            let points = match between {
                Between::Activations(places) => question.activations_at(places, &points, at, at.len())?,
                Between::Inputs | Between::InputsBelow(_) => points,
            };
            question.gradients_at(between, points, at)
        };
        let survey = self.survey(&baselines, how.sampling.n_samples, between.attributed(), &at_inputs)?;
        let lines = baselines.lines(self.inputs());
        let multiply = how.multiply_by_inputs;
        let ends = Ends { between, baselines, lines, noise, multiply, ends: survey.ends };
        let like = self.attributed_rows(between)?;
        let width = like.iter().map(|like| like.elem_count() / like.dims()[0]).sum();
        self.plans(how.sampling.planned().map(|samples| samples * self.batch_size()));
        let groups = blocks(self.batch_size(), how.sampling.examples_at_once(width));
        let numbers = groups.map(|group| self.of_group(how.sampling, &ends, group, &like, survey.passes));
        Numbers::join(numbers.collect::<Result<Vec<_>>>()?)
    }

    /// The samples of some examples, of which so many numbers are kept at once.
    fn of_group(
        &self,
        sampling: &SamplingSettings,
        ends: &Ends,
        group: Range<usize>,
        like: &[Tensor],
        passes: Passes,
    ) -> Result<Numbers> {
        let first = group.start;
        let of_group = |tensor: &Tensor| Ok(tensor.narrow(0, first, group.len())?);
        let like = like.iter().map(of_group).collect::<Result<Vec<_>>>()?;
        let width = like.iter().map(|like| like.elem_count() / group.len()).sum();
        let differences = RefCell::new(vec![Moments::new(1); group.len()]);
        let scale = |example: usize, means: &[f64]| match ends.multiply {
            true => differences.borrow()[example].means()[0].abs().max(1.),
            false => means.iter().fold(1., |scale: f64, mean| scale.max(mean.abs())),
        };
        let mut starts = BTreeMap::new();
        let sampled = sampling.draw_until_settled(group.len(), width, scale, |open, samples, moments| {
            let draws: Vec<Draw> = samples.map(|sample| ends.draw(sampling.seed.child(sample))).collect();
            let examples: Vec<usize> = open.iter().map(|example| first + example).collect();
            if ends.multiply {
                self.learn_starts(ends, &examples, &draws, passes, &mut starts)?;
            }
            let pass = |units: Range<usize>| {
                let of_unit = |unit: usize| (examples[unit % examples.len()], draws[unit / examples.len()]);
                self.drawn(ends, &units.map(of_unit).collect::<Vec<_>>(), &starts)
            };
            let mut differences = differences.borrow_mut();
            let differences = &mut *differences;
            in_passes(passes, 0..draws.len() * examples.len(), pass, |drawn: Drawn| {
                for (index, example) in drawn.examples.iter().enumerate() {
                    let width = |values: &Vec<f64>| values.len() / drawn.examples.len();
                    let of_sample = |values| &values[index * width(values)..(index + 1) * width(values)];
                    moments[example - first].add(drawn.values.iter().flat_map(of_sample).copied());
                    if let Some(by) = &drawn.differences {
                        differences[example - first].add([by[index]]);
                    }
                }
                Ok(())
            })
        })?;
        let numbers = Numbers::of_samples(&sampled, &like, sampling)?;
        if !ends.multiply {
            return Ok(numbers);
        }
        let sums = sampled.iter().map(|sampled| sampled.moments.means().iter().sum::<f64>());
        let differences = differences.into_inner();
        Ok(numbers.with_delta(sums.zip(&differences).map(|(sum, difference)| sum - difference.means()[0]).collect()))
    }

    /// F at the baselines that these samples of these examples draw, each once, by the line's number.
    fn learn_starts(
        &self,
        ends: &Ends,
        examples: &[usize],
        draws: &[Draw],
        passes: Passes,
        known: &mut BTreeMap<usize, f64>,
    ) -> Result<()> {
        let drawn = examples.iter().flat_map(|example| draws.iter().map(|draw| ends.line(*example, draw)));
        let mut unknown: Vec<usize> = drawn.filter(|line| !known.contains_key(line)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let pass = |block: Range<usize>| {
            let lines = &unknown[block];
            let at = Expansion::new(lines.iter().map(|line| ends.lines.example(*line)).collect(), 1);
            let values = self.values_at(&ends.baselines.starts_of(lines)?, &at, lines.len());
            Ok((lines, values.map_err(|e| e.at("at the baseline"))?))
        };
        in_passes(passes, 0..unknown.len(), pass, |(lines, values)| {
            known.extend(lines.iter().copied().zip(values));
            Ok(())
        })
    }

    /// One pass over some samples of examples.
    fn drawn(&self, ends: &Ends, units: &[(usize, Draw)], starts: &BTreeMap<usize, f64>) -> Result<Drawn> {
        let at = Expansion::new(units.iter().map(|(example, _)| *example).collect(), 1);
        let lines: Vec<usize> = units.iter().map(|(example, draw)| ends.line(*example, draw)).collect();
        let seeds: Vec<Seed> = units.iter().map(|(_, draw)| draw.seed).collect();
        let from = ends.baselines.starts_of(&lines)?;
        let to = ends.noise.added_to(self.input_points(&at)?, &seeds)?;
        let differences = match (ends.multiply, ends.noise.is_none()) {
            (false, _) => None,
            (true, true) => Some(at.rows().iter().map(|example| ends.ends[*example]).collect()),
            (true, false) => Some(self.values_at(&to, &at, at.len()).map_err(|e| e.at("at a noisy input"))?),
        };
        let start = |(line, end): (&usize, f64)| end - starts.get(line).copied().unwrap_or(f64::NAN);
        let differences = differences.map(|ends: Vec<f64>| lines.iter().zip(ends).map(start).collect());
        let activations = |tensors: &[Tensor]| match ends.between {
            Between::Inputs => Ok(tensors.to_vec()),
            Between::Activations(places) | Between::InputsBelow(places) => {
                self.activations_at(places, tensors, &at, at.len())
            }
        };
        let attributed = Path::new(activations(&from)?, activations(&to)?)?;
        let order: Vec<usize> = (0..units.len()).collect();
        let alphas: Vec<f64> = units.iter().map(|(_, draw)| draw.alpha).collect();
        let points = match ends.between {
            Between::Inputs | Between::Activations(_) => attributed.scattered_points(&order, &alphas)?,
            Between::InputsBelow(_) => Path::new(from, to)?.scattered_points(&order, &alphas)?,
        };
        let gradients = self.gradients_at(ends.between, points, &at)?.gradients;
        let mut values = gradients.iter().map(host).collect::<Result<Vec<_>>>()?;
        if ends.multiply {
            for (values, differences) in values.iter_mut().zip(attributed.differences()?) {
                values.iter_mut().zip(differences).for_each(|(value, by)| *value = product(*value, by));
            }
        }
        Ok(Drawn { examples: at.rows().to_vec(), values, differences })
    }

    fn gradients_at(&self, between: Between, points: Vec<Tensor>, at: &Expansion) -> Result<Sample> {
        match between {
            Between::Inputs => self.input_gradients(points, at),
            Between::Activations(places) => self.replaced_layer_gradients(places, points, at),
            Between::InputsBelow(places) => self.layer_gradients(places, points, at),
        }
    }

    /// What is attributed, for its shapes and types: `[batch, ...]`.
    fn attributed_rows(&self, between: Between) -> Result<Vec<Tensor>> {
        let (Between::Activations(places) | Between::InputsBelow(places)) = between else {
            return Ok(self.inputs().tensors().to_vec());
        };
        let first = Expansion::new(vec![0], 1);
        let of_first = self.activations_at(places, &self.input_points(&first)?, &first, 1)?;
        let rows = |row: Tensor| {
            let shape = [&[self.batch_size()], &row.dims()[1..]].concat();
            Ok(row.broadcast_as(shape)?)
        };
        of_first.into_iter().map(rows).collect()
    }
}

impl<'a> Between<'a> {
    fn attributed(self) -> Attributed<'a> {
        match self {
            Between::Inputs => Attributed::Inputs,
            Between::Activations(places) => Attributed::Replaced(places),
            Between::InputsBelow(places) => Attributed::Layers(places),
        }
    }
}

impl Ends<'_> {
    fn draw(&self, seed: Seed) -> Draw {
        let mut uniform = seed.uniform(0., 1.);
        let mut next = || uniform.next().unwrap_or_default();
        let (alpha, row) = (next(), next());
        Draw { seed, alpha, row: (row * self.lines.baselines() as f64) as usize }
    }

    /// The line from the baseline that a sample drew to an example.
    fn line(&self, example: usize, draw: &Draw) -> usize {
        example * self.lines.baselines() + draw.row
    }
}
