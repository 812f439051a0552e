//! Layers that are attributed each by itself over one path: a line for each, whose equal points are evaluated once.

use std::ops::Range;
use std::sync::OnceLock;

use candle_core::{DType, Tensor};

use super::budget::Footprint;
use super::folding::distinct;
use super::gradient::Sample;
use super::survey::Survey;
use super::{Baselines, Convergence, Expansion, Integral, Numbers, Path, PathSettings, Question, Walk};
use crate::error::{Result, bail};
use crate::model::{Place, picked};

/// Bytes beside the graph for each number of a layer: its activation and gradient, each as caught, joined and picked in
/// `f32` and then on the host.
const BYTES_PER_NUMBER: usize = 2 * (3 * 4 + 8);

/// Layers of a model, each with a line for each example and baseline: the lines of an example are one after another. What a
/// line gathers is one row of numbers, filled up with zeros to the largest layer.
pub(crate) struct EachLayer<'q, 'm> {
    question: &'q Question<'m>,
    places: &'q [Place],
    /// The shapes of the layers without the batch.
    shapes: OnceLock<Vec<Vec<usize>>>,
}

impl<'q, 'm> EachLayer<'q, 'm> {
    pub(crate) fn new(question: &'q Question<'m>, places: &'q [Place]) -> Self {
        Self { question, places, shapes: OnceLock::new() }
    }

    /// Computes every example's number, compares each layer's gradient with the function, and plans the passes.
    pub(crate) fn survey(&self, baselines: &Baselines, points: usize) -> Result<Survey> {
        let first = |question: &Question, at: &Expansion| {
            let sample = question.layer_gradients(self.places, question.input_points(at)?, at)?;
            let width = sample.gradients.iter().map(|gradient| gradient.elem_count() / at.len()).max().unwrap_or(0);
            let beside = Footprint { graph: 0, kept: at.len() * self.places.len() * width * BYTES_PER_NUMBER };
            let rows: Vec<u32> = (0..at.len() as u32).collect();
            Ok(Sample {
                activations: vec![chosen(&sample.activations, &rows)?],
                gradients: vec![chosen(&sample.gradients, &rows)?],
                footprint: sample.footprint.beside(beside),
                ..sample
            })
        };
        let survey = self.question.survey_unchecked(baselines, points, &first)?;
        self.places.iter().try_for_each(|place| self.question.check_layer(place))?;
        let ends = survey.ends.iter().flat_map(|end| vec![*end; self.places.len()]).collect();
        Ok(Survey { ends, ..survey })
    }

    /// The walk from the baselines to the inputs, for every layer. What it evaluates is [`evaluate`](Self::evaluate).
    pub(crate) fn walk<'w, E>(
        &'w self,
        settings: &'w PathSettings,
        baselines: &'w Baselines,
        survey: &'w Survey,
        evaluate: E,
    ) -> Walk<'w, impl Fn(&Range<usize>, usize) -> Result<Path> + Sync, E>
    where
        E: Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
    {
        let lines = baselines.lines(self.question.inputs());
        self.question.plans(settings.points_of(lines));
        let rows = survey.passes.rows;
        let mut passes = survey.passes;
        if settings.tolerance.is_some() {
            // Equal points of the layers' lines meet in a pass.
            let at_once = settings.budget.points_at_once(survey.width);
            passes.rows = (self.places.len() * rows).min(at_once);
            passes = passes.with_workers(at_once / passes.rows);
        }
        let (layers, baselines_of_each) = (self.places.len(), lines.baselines());
        let own = move |line: usize| line / baselines_of_each / layers * baselines_of_each + line % baselines_of_each;
        Walk {
            settings,
            lines: lines.repeated(layers),
            passes,
            width: survey.width,
            ends: Some(&survey.ends),
            scaled: false,
            prepare: move |block: &Range<usize>, rows| {
                let own: Vec<usize> = block.clone().map(own).collect();
                let at = |own: &[usize]| Expansion::new(own.iter().map(|line| lines.example(*line)).collect(), 1);
                let mut once = own.clone();
                once.sort_unstable();
                once.dedup();
                let values = self.question.values_at_starts(&baselines.starts_of(&once)?, &at(&once), rows)?;
                let starts = own.iter().map(|line| values[once.partition_point(|other| other < line)]).collect();
                let path = Path::new(baselines.starts_of(&own)?, self.question.input_points(&at(&own))?)?;
                Ok(path.with_starts(Some(starts)))
            },
            evaluate,
        }
    }

    /// The activations and gradients of each row's own layer, in passes of at most as many rows as were planned.
    pub(crate) fn evaluate(&self, points: &[Tensor], at: &Expansion, survey: &Survey) -> Result<Sample> {
        let (layers, lines) = (self.places.len(), at.rows().len());
        let line = |row: usize| at.rows()[row % lines];
        let examples: Vec<u32> = (0..at.len()).map(|row| (line(row) / layers) as u32).collect();
        let (evaluated, of) = distinct(&examples, points)?;
        let repeats = self.question.batch_size() / self.question.inputs().examples().max(1);
        let mut parts: [Vec<Tensor>; 3] = Default::default();
        let mut order: Vec<u32> = Vec::new();
        let (mut footprint, mut rounded_to) = (Footprint::default(), DType::F32);
        let mut first = 0;
        for block in even_chunks(&evaluated, survey.passes.rows * repeats.max(1)) {
            let at = Expansion::new(block.iter().map(|row| examples[*row as usize] as usize).collect(), 1);
            let points = points.iter().map(|tensor| picked(tensor, block)).collect::<Result<_>>()?;
            let sample = self.question.layer_gradients(self.places, points, &at)?;
            self.shapes.get_or_init(|| sample.gradients.iter().map(|layer| layer.dims()[1..].to_vec()).collect());
            let own: Vec<usize> =
                (0..of.len()).filter(|row| (first..first + block.len()).contains(&(of[*row] as usize))).collect();
            let places: Vec<u32> = own.iter().map(|row| of[*row] - first as u32).collect();
            let of_layer = |(row, place): (&usize, &u32)| (line(*row) % layers * block.len()) as u32 + place;
            let chosen_rows: Vec<u32> = own.iter().zip(&places).map(of_layer).collect();
            parts[0].push(chosen(&sample.activations, &chosen_rows)?);
            parts[1].push(chosen(&sample.gradients, &chosen_rows)?);
            parts[2].push(picked(&sample.scalars, &places)?);
            order.extend(own.iter().map(|row| *row as u32));
            footprint = footprint.largest(sample.footprint);
            rounded_to = sample.rounded_to;
            first += block.len();
        }
        let [activations, gradients, scalars] = parts.map(|parts| in_order(parts, &order));
        let (activations, gradients) = (vec![activations?], vec![gradients?]);
        Ok(Sample { activations, gradients, scalars: scalars?, rounded_to, footprint })
    }

    /// A tensor for each layer, and how each converged.
    pub(crate) fn numbers(&self, integral: Integral) -> Result<Numbers> {
        let layers = self.places.len();
        let batch = self.question.batch_size();
        let shapes = self.shapes.get().map(Vec::as_slice).unwrap_or_default();
        let (mut values, mut each) = (Vec::new(), Vec::new());
        for (layer, shape) in shapes.iter().enumerate() {
            let rows: Vec<usize> = (0..batch).map(|example| example * layers + layer).collect();
            let own = picked(&integral.values[0], &rows.iter().map(|row| *row as u32).collect::<Vec<_>>())?;
            let own = own.narrow(1, 0, shape.iter().product())?;
            values.push(own.reshape([&[batch], shape.as_slice()].concat())?);
            each.push(integral.convergence.of(&rows));
        }
        let numbers = Numbers::from(values);
        Ok(match Convergence::of_layers(each) {
            Some(convergence) => numbers.converging(convergence),
            None => numbers,
        })
    }
}

/// These rows of the layers' tensors `[rows, ...]`, one layer after another, each filled up to the largest.
fn chosen(layers: &[Tensor], rows: &[u32]) -> Result<Tensor> {
    let types: Vec<DType> = layers.iter().map(Tensor::dtype).collect();
    if types.iter().any(|dtype| *dtype != types[0]) {
        bail!(Layer, "the layers are of the types {types:?}: attribute to those of one type at a time")
    }
    let flat =
        layers.iter().map(|layer| layer.reshape((layer.dim(0)?, ()))).collect::<candle_core::Result<Vec<_>>>()?;
    let widths = flat.iter().map(|layer| layer.dim(1)).collect::<candle_core::Result<Vec<_>>>()?;
    let width = widths.iter().copied().max().unwrap_or(0);
    let filled = flat.iter().zip(&widths).map(|(layer, own)| layer.pad_with_zeros(1, 0, width - own));
    picked(&Tensor::cat(&filled.collect::<candle_core::Result<Vec<_>>>()?, 0)?, rows)
}

/// The parts joined, with the rows in the order of these numbers.
fn in_order(parts: Vec<Tensor>, order: &[u32]) -> Result<Tensor> {
    if let [only] = parts.as_slice() {
        return Ok(only.clone());
    }
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, row)| places[*row as usize] = place as u32);
    picked(&Tensor::cat(&parts, 0)?, &places)
}

/// Chunks of at most so many, as even as they can be.
fn even_chunks(rows: &[u32], most: usize) -> std::slice::Chunks<'_, u32> {
    rows.chunks(rows.len().div_ceil(rows.len().div_ceil(most.max(1)).max(1)).max(1))
}
