//! The attributions of examples, as means over their lines (one for each baseline), added line by line.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::convergence::Refinement;
use super::gradient::check_finite;
use super::host::delivered;
use super::remarks::is_noteworthy;
use super::{Convergence, Integral, Lines, Moments, Sampling};
use crate::error::Result;

/// The attributions along some lines.
pub(super) struct Finished {
    lines: Range<usize>,
    /// `[lines, ...]` for each attributed tensor.
    values: Vec<Vec<f64>>,
    forms: Vec<Form>,
    differences: Option<Vec<f64>>,
    refined: Vec<Refined>,
}

/// How choosing the steps of a line by a tolerance ended.
#[derive(Clone, Copy)]
pub(super) struct Refined {
    pub(super) steps: usize,
    pub(super) error: f64,
    pub(super) ending: Ending,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Ending {
    Settled,
    /// No steps are left.
    Exhausted,
    /// The attributions do not add up, and more steps do not help.
    Stalled,
}

/// The shape of an attributed tensor without its batch, and its type and device.
struct Form {
    shape: Vec<usize>,
    dtype: DType,
    device: Device,
}

impl Form {
    fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// The numbers of so many examples as a tensor.
    fn tensor(&self, numbers: Vec<f64>, examples: usize) -> Result<Tensor> {
        let shape = [&[examples], self.shape.as_slice()].concat();
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(self.dtype)?.to_device(&self.device)?)
    }
}

impl Finished {
    pub(super) fn new(
        lines: Range<usize>,
        values: Vec<Vec<f64>>,
        like: &[Tensor],
        differences: Option<Vec<f64>>,
    ) -> Self {
        let form = |like: &Tensor| Form {
            shape: like.dims()[1..].to_vec(),
            dtype: delivered(like.dtype()),
            device: like.device().clone(),
        };
        Self { lines, values, forms: like.iter().map(form).collect(), differences, refined: Vec::new() }
    }

    pub(super) fn with_refined(self, refined: Vec<Refined>) -> Self {
        Self { refined, ..self }
    }
}

/// The running sums of the examples.
pub(super) struct Totals {
    lines: Lines,
    steps: Vec<usize>,
    sums: Vec<Vec<f64>>,
    forms: Vec<Form>,
    /// The delta farthest from 0 among the baselines of each example.
    farthest: Option<Vec<f64>>,
    /// Whether a baseline of the example has a delta that gets a remark.
    beyond: Vec<bool>,
    errors: Vec<f64>,
    endings: Vec<Ending>,
    /// How far the lines of each example spread, if that is asked for.
    moments: Option<Vec<Moments>>,
}

impl Totals {
    /// Totals for lines of `steps` points each.
    pub(super) fn new(lines: Lines, steps: usize) -> Self {
        let examples = lines.examples();
        Self {
            lines,
            steps: vec![steps * lines.baselines(); examples],
            sums: Vec::new(),
            forms: Vec::new(),
            farthest: None,
            beyond: vec![false; examples],
            errors: vec![0.; examples],
            endings: vec![Ending::Settled; examples],
            moments: None,
        }
    }

    /// The same with how far the lines of each example spread.
    pub(super) fn with_spread(self) -> Self {
        Self { moments: Some(Vec::new()), ..self }
    }

    pub(super) fn add(&mut self, finished: Finished) -> Result<()> {
        let Finished { lines, values, forms, differences, refined } = finished;
        if self.sums.is_empty() {
            let numbers = |form: &Form| vec![0.; self.lines.examples() * form.width()];
            self.sums = forms.iter().map(numbers).collect();
            if let Some(moments) = &mut self.moments {
                *moments = vec![Moments::new(forms.iter().map(Form::width).sum()); self.lines.examples()];
            }
            self.forms = forms;
        }
        let count = lines.len();
        let mut sums = vec![0.; count];
        for (total, values) in self.sums.iter_mut().zip(&values) {
            let width = values.len() / count;
            for (index, line) in lines.clone().enumerate() {
                let first = self.lines.example(line) * width;
                let of_line = &values[index * width..(index + 1) * width];
                total[first..first + width].iter_mut().zip(of_line).for_each(|(total, value)| *total += value);
                sums[index] += of_line.iter().sum::<f64>();
            }
        }
        if let Some(moments) = &mut self.moments {
            for (index, line) in lines.clone().enumerate() {
                let of_line = |values: &Vec<f64>| {
                    let width = values.len() / count;
                    values[index * width..(index + 1) * width].to_vec()
                };
                moments[self.lines.example(line)].add(values.iter().flat_map(of_line));
            }
        }
        for (index, line) in lines.enumerate() {
            let example = self.lines.example(line);
            if let Some(differences) = &differences {
                self.add_delta(example, sums[index] - differences[index], differences[index]);
            }
            if let Some(refined) = refined.get(index) {
                self.add_refined(example, *refined);
            }
        }
        Ok(())
    }

    fn add_delta(&mut self, example: usize, delta: f64, difference: f64) {
        let farthest = self.farthest.get_or_insert_with(|| vec![0.; self.lines.examples()]);
        if delta.is_nan() || delta.abs() > farthest[example].abs() {
            farthest[example] = delta;
        }
        self.beyond[example] |= is_noteworthy(delta, difference);
    }

    fn add_refined(&mut self, example: usize, refined: Refined) {
        self.steps[example] += refined.steps;
        self.errors[example] += refined.error / self.lines.baselines() as f64;
        if self.endings[example] != Ending::Stalled && refined.ending != Ending::Settled {
            self.endings[example] = refined.ending;
        }
    }

    /// How certain the means are if the baselines are a sample, where their spread was asked for.
    pub(super) fn certainty(&mut self) -> Result<Option<Sampling>> {
        let Some(moments) = self.moments.take() else { return Ok(None) };
        let samples: Vec<usize> = moments.iter().map(Moments::count).collect();
        let of_examples: Vec<Vec<f64>> = moments.into_iter().map(|moments| moments.standard_errors()).collect();
        let mut first = 0;
        let mut errors = Vec::new();
        for form in &self.forms {
            let of_example = |errors: &Vec<f64>| errors[first..first + form.width()].to_vec();
            errors.push(form.tensor(of_examples.iter().flat_map(of_example).collect(), of_examples.len())?);
            first += form.width();
        }
        Ok(Some(Sampling {
            errors,
            draws: samples.clone(),
            samples,
            tolerance: None,
            settled: vec![true; of_examples.len()],
        }))
    }

    /// The means over the baselines, and how they converged.
    pub(super) fn finish(self) -> Result<Integral> {
        let (baselines, examples) = (self.lines.baselines() as f64, self.lines.examples());
        let tensor = |(sums, form): (Vec<f64>, Form)| {
            form.tensor(sums.into_iter().map(|sum| sum / baselines).collect(), examples)
        };
        let values = self.sums.into_iter().zip(self.forms).map(tensor).collect::<Result<Vec<_>>>()?;
        check_finite(&values, "attribution")?;
        let convergence = Convergence {
            delta: self.farthest,
            beyond: self.beyond,
            baselines: self.lines.baselines(),
            steps: self.steps,
            refinement: None,
            of_layers: Vec::new(),
        };
        Ok(Integral { values, convergence })
    }

    /// The same for lines whose steps were chosen by a tolerance.
    pub(super) fn finish_refined(self, tolerance: f64) -> Result<Integral> {
        let refinement = Refinement {
            tolerance,
            errors: self.errors.clone(),
            settled: self.endings.iter().map(|ending| *ending == Ending::Settled).collect(),
            stalled: self.endings.iter().map(|ending| *ending == Ending::Stalled).collect(),
        };
        let Integral { values, convergence } = self.finish()?;
        Ok(Integral { values, convergence: Convergence { refinement: Some(refinement), ..convergence } })
    }
}
