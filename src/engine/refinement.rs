//! Adaptive steps: nested quadrature, halved where the error is largest.

use std::ops::Range;

use candle_core::Tensor;

use super::gradient::Sample;
use super::host::{host, host_rows, product};
use super::integral::{Integral, Walk};
use super::kronrod::{NODES, Rule};
use super::passes::Passes;
use super::totals::{Ending, Finished, Refined, Totals};
use super::{Expansion, Path};
use crate::error::{Result, bail};

/// What is integrated along a line.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Integrand {
    /// The gradients.
    Gradient,
    /// G · dY/dα, of gradients G and activations Y.
    GradientTimesSlope,
}

/// After this many rounds that halved every interval but hardly lowered the error, refinement stops: more steps
/// would not help.
const MOST_STALLS: usize = 5;

/// How many parts to begin with if no sum of the attributions is known: then no sum can reveal a jump
/// between the nodes, so they are closer from the start.
const PARTS_WITHOUT_SUM: usize = 16;

/// A part of a line that is to be estimated.
#[derive(Clone, Copy)]
struct Part {
    line: usize,
    start: f64,
    end: f64,
    /// F at both ends, where attributions must add up to its difference.
    ends: Option<(f64, f64)>,
}

/// A part of a line with its estimate.
struct Interval {
    part: Part,
    /// F in the middle.
    middle: f64,
    value: Vec<f64>,
    error: f64,
}

/// A line and the intervals it was cut into.
#[derive(Default)]
struct Line {
    intervals: Vec<Interval>,
    /// The sum of intervals that are good enough, if keeping them all would take too much memory.
    accepted: Vec<f64>,
    accepted_error: f64,
    steps: usize,
    ending: Option<Ending>,
    stalls: usize,
    last_error: f64,
}

/// The integral along the lines of a walk, to the tolerance of its settings, with an error estimate for
/// each example. Lines are refined in groups whose estimates fit the memory budget.
pub(crate) fn refine<P, E>(walk: &Walk<P, E>, passes: Passes, integrand: Integrand) -> Result<Integral>
where
    P: Fn(&Range<usize>, usize) -> Result<Path> + Sync,
    E: Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
{
    let tolerance = walk.settings.tolerance.unwrap_or_default();
    let mut totals = Totals::new(walk.lines, 0);
    let budget = &walk.settings.budget;
    let passes = match integrand {
        Integrand::Gradient => passes,
        Integrand::GradientTimesSlope => passes.with_workers(budget.workers_with_nodes(walk.width)),
    };
    let group = budget.lines_at_once(walk.width);
    for first in (0..walk.lines.count()).step_by(group) {
        let lines = first..walk.lines.count().min(first + group);
        let path = (walk.prepare)(&lines, passes.rows)?;
        let estimator = Estimator { rule: Rule::new(), walk, path: &path, first, integrand, passes };
        totals.add(estimator.refine(lines, tolerance)?)?;
    }
    totals.finish_refined(tolerance)
}

impl Line {
    fn total(&self) -> Vec<f64> {
        let mut total = self.accepted.clone();
        for interval in &self.intervals {
            total.resize(interval.value.len(), 0.);
            total.iter_mut().zip(&interval.value).for_each(|(sum, value)| *sum += value);
        }
        total
    }

    fn error(&self) -> f64 {
        self.accepted_error + self.intervals.iter().map(|interval| interval.error).sum::<f64>()
    }

    /// Decides whether the line has settled. If not, removes the intervals to halve and returns their
    /// halves. At most `most` intervals are kept; the best of the others are added up.
    fn judge(&mut self, tolerance: f64, difference: Option<f64>, max_steps: usize, most: usize) -> Vec<Part> {
        if self.ending.is_some() {
            return Vec::new();
        }
        let total = self.total();
        let size = match difference {
            Some(difference) => difference.abs(),
            None => total.iter().fold(0., |largest: f64, value| largest.max(value.abs())),
        };
        let allowed = tolerance * size.max(1.);
        let error = self.error();
        let delta = difference.map_or(0., |difference| total.iter().sum::<f64>() - difference);
        let affordable = max_steps.saturating_sub(self.steps) / (2 * NODES);
        let share = allowed / self.intervals.len().max(1) as f64;
        self.intervals.sort_by(|a, b| b.error.total_cmp(&a.error));
        let wanted = self.intervals.iter().take_while(|interval| interval.error > share).count().max(1);
        self.ending = if error <= allowed && delta.abs() <= allowed {
            Some(Ending::Settled)
        } else if error <= allowed || self.stalls == MOST_STALLS {
            Some(Ending::Stalled)
        } else if affordable == 0 || self.intervals.is_empty() {
            Some(Ending::Exhausted)
        } else {
            None
        };
        if self.ending.is_some() {
            return Vec::new();
        }
        let hardly_lower = error > 0.9 * self.last_error;
        self.stalls = if wanted == self.intervals.len() && hardly_lower { self.stalls + 1 } else { 0 };
        self.last_error = error;
        let halved = wanted.min(affordable).min((most / 2).max(1)).min(self.intervals.len());
        let kept = halved + most.saturating_sub(2 * halved);
        for interval in self.intervals.split_off(kept.min(self.intervals.len())) {
            self.accepted.resize(interval.value.len(), 0.);
            self.accepted.iter_mut().zip(&interval.value).for_each(|(sum, value)| *sum += value);
            self.accepted_error += interval.error;
        }
        self.intervals.drain(..halved).flat_map(|interval| interval.halves()).collect()
    }
}

impl Interval {
    fn halves(&self) -> [Part; 2] {
        let Part { line, start, end, ends } = self.part;
        let middle = 0.5 * (start + end);
        let left = ends.map(|(first, _)| (first, self.middle));
        let right = ends.map(|(_, last)| (self.middle, last));
        [Part { line, start, end: middle, ends: left }, Part { line, start: middle, end, ends: right }]
    }
}

/// Estimates the integral over parts of a group's lines.
struct Estimator<'a, 'w, P, E> {
    rule: Rule,
    walk: &'a Walk<'w, P, E>,
    path: &'a Path,
    /// The first line of the group.
    first: usize,
    integrand: Integrand,
    passes: Passes,
}

impl<P, E> Estimator<'_, '_, P, E>
where
    P: Fn(&Range<usize>, usize) -> Result<Path> + Sync,
    E: Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
{
    /// The group's attributions.
    fn refine(&self, lines: Range<usize>, tolerance: f64) -> Result<Finished> {
        let settings = self.walk.settings;
        let differences = self.walk.line_differences(&lines, self.path);
        let mut states: Vec<Line> = lines.clone().map(|_| Line::default()).collect();
        let mut pending = self.first_parts(&lines, &mut states)?;
        let mut like: Vec<Tensor> = Vec::new();
        let most = settings.budget.parts_of_a_line(self.walk.width, lines.len());
        while !pending.is_empty() {
            let jobs: Vec<&[Part]> = pending.chunks((self.passes.rows / NODES).max(1)).collect();
            let fold = |(intervals, forms): (Vec<Interval>, Vec<Tensor>)| {
                like = forms;
                for interval in intervals {
                    let line = &mut states[interval.part.line];
                    line.steps += NODES;
                    line.intervals.push(interval);
                }
                Ok(())
            };
            self.passes.run(jobs.len(), |job| self.measure(jobs[job]), fold)?;
            pending = Vec::new();
            for (index, state) in states.iter_mut().enumerate() {
                let difference = differences.as_ref().map(|differences| differences[index]);
                pending.extend(state.judge(tolerance, difference, settings.max_steps, most));
            }
        }
        let refined = |state: &Line| Refined {
            steps: state.steps,
            error: state.error(),
            ending: state.ending.unwrap_or(Ending::Exhausted),
        };
        let refined = states.iter().map(refined).collect();
        let totals: Vec<Vec<f64>> = states.iter().map(Line::total).collect();
        let finished = Finished::new(lines, by_tensor(&totals, &like), &like, differences);
        Ok(finished.with_refined(refined))
    }

    /// The first parts of each line.
    fn first_parts(&self, lines: &Range<usize>, states: &mut [Line]) -> Result<Vec<Part>> {
        if let Some(mut ends) = self.walk.line_ends(lines, self.path) {
            if self.path.is_within_model() {
                let starts = self.starts(lines.len())?;
                ends.iter_mut().zip(starts).for_each(|((start, _), own)| *start = own);
                states.iter_mut().for_each(|state| state.steps += 1);
            }
            let part = |(line, ends)| Part { line, start: 0., end: 1., ends: Some(ends) };
            return Ok(ends.into_iter().enumerate().map(part).collect());
        }
        let parts = PARTS_WITHOUT_SUM.min(self.walk.settings.max_steps / NODES).max(1);
        let edge = |index: usize| index as f64 / parts as f64;
        let part =
            |line| (0..parts).map(move |index| Part { line, start: edge(index), end: edge(index + 1), ends: None });
        Ok((0..lines.len()).flat_map(part).collect())
    }

    /// F where each line begins.
    fn starts(&self, count: usize) -> Result<Vec<f64>> {
        let rows = self.passes.rows;
        let mut values = Vec::new();
        let job = |block: usize| {
            let lines: Vec<usize> = (block * rows..count.min((block + 1) * rows)).collect();
            host(&self.sample(&lines, &vec![0.; lines.len()])?.scalars)
        };
        self.passes.run(count.div_ceil(rows), job, |block| {
            values.extend(block);
            Ok(())
        })?;
        Ok(values)
    }

    /// The pass over some points, each on one of these lines of the group, line-minor.
    fn sample(&self, lines: &[usize], alphas: &[f64]) -> Result<Sample> {
        let examples = lines.iter().map(|line| self.walk.lines.example(self.first + line)).collect();
        let at = Expansion::new(examples, alphas.len() / lines.len());
        (self.walk.evaluate)(self.path.scattered_points(lines, alphas)?, &at)
    }

    /// The estimates of several parts, and a tensor like each of the attributed ones.
    fn measure(&self, parts: &[Part]) -> Result<(Vec<Interval>, Vec<Tensor>)> {
        let nodes_at_once = (self.passes.rows / parts.len()).clamp(1, NODES);
        let lines: Vec<usize> = parts.iter().map(|part| part.line).collect();
        let mut estimates: Vec<Estimate> = parts.iter().map(|_| Estimate::default()).collect();
        let mut ahead = Ahead::default();
        let mut middles = Vec::new();
        let mut like = Vec::new();
        for (chunk, nodes) in self.rule.abscissae.chunks(nodes_at_once).enumerate() {
            let alpha = |x: f64, part: &Part| 0.5 * (part.start + part.end) + 0.5 * (part.end - part.start) * x;
            let alphas: Vec<f64> = nodes.iter().flat_map(|&x| parts.iter().map(move |part| alpha(x, part))).collect();
            let sample = self.sample(&lines, &alphas)?;
            middles.extend(host(&sample.scalars)?);
            let gradients = host_rows(&sample.gradients)?;
            match self.integrand {
                Integrand::Gradient => {
                    for (position, row) in gradients.iter().enumerate() {
                        let (node, part) = (chunk * nodes_at_once + position / parts.len(), position % parts.len());
                        self.add(&mut estimates[part], node, &parts[part], row);
                    }
                }
                Integrand::GradientTimesSlope => {
                    ahead.activations.extend(host_rows(&sample.activations)?);
                    ahead.gradients.extend(gradients);
                }
            }
            like = sample.gradients;
        }
        if self.integrand == Integrand::GradientTimesSlope {
            for (index, part) in parts.iter().enumerate() {
                for node in 0..NODES {
                    let product = ahead.product(&self.rule, node, index, parts);
                    self.add(&mut estimates[index], node, part, &product);
                }
            }
        }
        let middles = &middles[NODES / 2 * parts.len()..];
        let finish = |((estimate, part), middle): ((Estimate, &Part), &f64)| self.interval(estimate, *part, *middle);
        let intervals = estimates.into_iter().zip(parts).zip(middles).map(finish).collect::<Result<_>>()?;
        Ok((intervals, like))
    }

    fn add(&self, estimate: &mut Estimate, node: usize, part: &Part, integrand: &[f64]) {
        let half = 0.5 * (part.end - part.start);
        let (fine, rough) = (half * self.rule.kronrod[node], half * self.rule.gauss[node]);
        estimate.value.resize(integrand.len(), 0.);
        estimate.rough.resize(integrand.len(), 0.);
        for (position, sample) in integrand.iter().enumerate() {
            estimate.value[position] += fine * sample;
            estimate.rough[position] += rough * sample;
        }
    }

    /// The integral over one part and its error estimate, the largest of three differences: between the two rules in
    /// any attribution, between them in the sum of all, and between that sum and F's difference.
    fn interval(&self, estimate: Estimate, part: Part, middle: f64) -> Result<Interval> {
        let Estimate { mut value, mut rough } = estimate;
        if self.walk.scaled {
            let scale = self.path.differences_of(part.line)?;
            value.iter_mut().zip(&scale).for_each(|(value, scale)| *value = product(*value, *scale));
            rough.iter_mut().zip(&scale).for_each(|(rough, scale)| *rough = product(*rough, *scale));
        }
        if let Some(value) = value.iter().find(|value| !value.is_finite()) {
            bail!(NotFinite, "the gradient along the path is not finite although the inputs are: it comes to {value}")
        }
        let differences = value.iter().zip(&rough).map(|(value, rough)| value - rough);
        let largest = differences.clone().fold(0., |largest: f64, difference| largest.max(difference.abs()));
        let missing = part.ends.map_or(0., |(first, last)| value.iter().sum::<f64>() - (last - first));
        let error = largest.max(differences.sum::<f64>().abs()).max(missing.abs());
        Ok(Interval { part, middle, value, error })
    }
}

/// The two rules' sums over the nodes so far.
#[derive(Default)]
struct Estimate {
    value: Vec<f64>,
    rough: Vec<f64>,
}

/// Activations Y and gradients G at all nodes: the slope of Y at one node needs all the others.
#[derive(Default)]
struct Ahead {
    activations: Vec<Vec<f64>>,
    gradients: Vec<Vec<f64>>,
}

impl Ahead {
    /// G · dY/dα at a node of a part, dY/dα by differentiating the polynomial through the nodes.
    fn product(&self, rule: &Rule, node: usize, index: usize, parts: &[Part]) -> Vec<f64> {
        let half = 0.5 * (parts[index].end - parts[index].start);
        let slope = |element: usize| {
            let at = |other: usize| self.activations[other * parts.len() + index][element];
            if (0..NODES).all(|other| at(other) == f64::NEG_INFINITY) {
                return 0.;
            }
            (0..NODES).map(|other| rule.differentiation[node][other] * at(other)).sum::<f64>() / half
        };
        let gradients = self.gradients[node * parts.len() + index].iter().enumerate();
        gradients.map(|(element, gradient)| product(*gradient, slope(element))).collect()
    }
}

/// The rows of [`host_rows`] as lists for each tensor, over all lines.
fn by_tensor(rows: &[Vec<f64>], like: &[Tensor]) -> Vec<Vec<f64>> {
    let mut first = 0;
    let numbers = |like: &Tensor| {
        let width: usize = like.dims()[1..].iter().product();
        let values = rows.iter().flat_map(|row| row[first..first + width].iter().copied()).collect();
        first += width;
        values
    };
    like.iter().map(numbers).collect()
}
