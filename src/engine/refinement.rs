//! Adaptive steps: nested quadrature, with more points where that helps and halves where it does not.

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::gradient::Sample;
use super::host::{host, host_rows};
use super::integral::{Integral, Walk};
use super::part::{Measure, Nodes, Part, PartEstimate};
use super::passes::Passes;
use super::patterson::{CLOSE, FIRST, Rules, points};
use super::totals::{Ending, Finished, Refined, Totals};
use super::{Expansion, Path};
use crate::error::{Result, bail};
use crate::progress::Progress;

/// What is integrated along a line.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Integrand {
    /// The gradients.
    Gradient,
    /// G · dY/dα, of gradients G and activations Y.
    GradientTimesSlope,
}

/// After this many rounds that raised or halved every interval but hardly lowered the error, refinement stops: more steps
/// would not help. The first round has nothing to be compared with, and counts.
const MOST_STALLS: usize = 6;

/// The finest tolerance where numbers are rounded to bf16: below, more steps chase the rounding.
const FINEST_OF_ROUNDED: f64 = 1e-3;

/// How many parts to begin with if no sum of the attributions is known: then no sum can reveal a jump
/// between the nodes, so they are closer from the start.
const PARTS_WITHOUT_SUM: usize = 16;

/// A part of a line with its estimate.
struct Interval {
    part: Part,
    estimate: PartEstimate,
    /// What the next rule will use again; nothing if the part is not to be raised.
    nodes: Nodes,
    /// F in the middle.
    middle: f64,
}

/// A part whose estimate by a rule is asked for.
struct Task {
    part: Part,
    rule: usize,
    nodes: Nodes,
    last: Option<PartEstimate>,
    /// Whether F at its start is asked for too.
    with_start: bool,
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
    let rules = Rules::new()?;
    let of_a_node = if integrand == Integrand::GradientTimesSlope { 2 * walk.width } else { walk.width };
    let group = walk.settings.budget.lines_at_once(2 * of_a_node);
    let progress = Progress::part();
    for first in (0..walk.lines.count()).step_by(group) {
        let lines = first..walk.lines.count().min(first + group);
        progress.step_of(first, Some(walk.lines.count()))?;
        progress.under_way(lines.len());
        let path = (walk.prepare)(&lines, passes.rows)?;
        let estimator = Estimator { rules: &rules, walk, path: &path, first, integrand, of_a_node, passes };
        totals.add(estimator.refine(lines, tolerance)?)?;
    }
    totals.finish_refined(tolerance)
}

impl Line {
    fn total(&self) -> Vec<f64> {
        let mut total = self.accepted.clone();
        for interval in &self.intervals {
            total.resize(interval.estimate.value.len(), 0.);
            total.iter_mut().zip(&interval.estimate.value).for_each(|(sum, value)| *sum += value);
        }
        total
    }

    fn error(&self) -> f64 {
        self.accepted_error + self.intervals.iter().map(|interval| interval.estimate.error).sum::<f64>()
    }

    /// Decides whether the line has settled. If not, removes the intervals to refine and returns what to ask for
    /// instead. At most `most` intervals are kept; the best of the others are added up.
    fn judge(&mut self, tolerance: f64, difference: Option<f64>, max_steps: usize, most: usize) -> Vec<Task> {
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
        let share = allowed / self.intervals.len().max(1) as f64;
        self.intervals.sort_by(|a, b| b.estimate.error.total_cmp(&a.estimate.error));
        let wanted = self.intervals.iter().take_while(|interval| interval.estimate.error > share).count().max(1);
        let mut left = max_steps.saturating_sub(self.steps);
        let fits = |interval: &&Interval| {
            let cost = interval.cost();
            let fits = cost <= left;
            left = left.saturating_sub(cost);
            fits
        };
        let affordable = self.intervals.iter().take_while(fits).count();
        self.ending = if error <= allowed && delta.abs() <= allowed {
            Some(Ending::Settled)
        } else if error <= allowed || self.stalls == MOST_STALLS {
            Some(Ending::Stalled)
        } else if affordable == 0 {
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
        let refined = wanted.min(affordable).min((most / 2).max(1)).min(self.intervals.len());
        let kept = refined + most.saturating_sub(2 * refined);
        for interval in self.intervals.split_off(kept.min(self.intervals.len())) {
            self.accepted.resize(interval.estimate.value.len(), 0.);
            self.accepted.iter_mut().zip(&interval.estimate.value).for_each(|(sum, value)| *sum += value);
            self.accepted_error += interval.estimate.error;
        }
        let tasks = self.intervals.drain(..refined).flat_map(Interval::refined).collect();
        self.intervals.iter_mut().for_each(|interval| interval.nodes = Nodes::default());
        tasks
    }
}

impl Interval {
    fn is_raised(&self) -> bool {
        !self.nodes.values.is_empty()
    }

    /// How many points refining it takes.
    fn cost(&self) -> usize {
        let rule = self.estimate.rule;
        if self.is_raised() { points(rule + 1) - points(rule) } else { 2 * points(self.estimate.rule_of_halves()) }
    }

    /// The part by the next rule, or its halves.
    fn refined(self) -> Vec<Task> {
        let Part { line, start, end, ends } = self.part;
        if self.is_raised() {
            let rule = self.estimate.rule + 1;
            return vec![Task {
                part: self.part,
                rule,
                nodes: self.nodes,
                last: Some(self.estimate),
                with_start: false,
            }];
        }
        let (middle, rule) = (self.part.middle(), self.estimate.rule_of_halves());
        let left = Part { line, start, end: middle, ends: ends.map(|(first, _)| (first, self.middle)) };
        let right = Part { line, start: middle, end, ends: ends.map(|(_, last)| (self.middle, last)) };
        vec![Task::new(left, rule), Task::new(right, rule)]
    }
}

impl Task {
    fn new(part: Part, rule: usize) -> Self {
        Self { part, rule, nodes: Nodes::default(), last: None, with_start: false }
    }

    /// How many points are asked for.
    fn asks_for(&self) -> usize {
        points(self.rule) - self.nodes.values.len() + usize::from(self.with_start)
    }
}

/// A point that is asked for, of a task: F at the start, or a node.
struct Point {
    task: usize,
    line: usize,
    alpha: f64,
    node: Option<usize>,
}

/// What a pass over some points gave, row by row.
struct Answer {
    scalars: Vec<f64>,
    gradients: Vec<Vec<f64>>,
    activations: Vec<Vec<f64>>,
    rounding: f64,
    like: Vec<Tensor>,
}

/// Estimates the integral over parts of a group's lines.
struct Estimator<'a, 'w, P, E> {
    rules: &'a Rules,
    walk: &'a Walk<'w, P, E>,
    path: &'a Path,
    /// The first line of the group.
    first: usize,
    integrand: Integrand,
    /// How many numbers are kept of a node.
    of_a_node: usize,
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
        let mut tasks = self.first_tasks(&lines);
        let mut like: Vec<Tensor> = Vec::new();
        let most = settings.budget.parts_of_a_line(self.walk.width, lines.len());
        let (progress, mut ahead) = (Progress::part(), 1.);
        while !tasks.is_empty() {
            // How many rounds an open line takes is not known: each is taken for half of what is left.
            let open = states.iter().filter(|line| line.ending.is_none()).count() as f64 / states.len() as f64;
            progress.reach(1. - open * ahead, open * ahead / 2.)?;
            ahead /= 2.;
            self.measure(tasks, &mut states, &mut like)?;
            tasks = Vec::new();
            for (index, state) in states.iter_mut().enumerate() {
                let difference = differences.as_ref().map(|differences| differences[index]);
                tasks.extend(state.judge(tolerance, difference, settings.max_steps, most));
            }
        }
        let totals: Vec<Vec<f64>> = states.iter().map(Line::total).collect();
        let delta = |index: usize| {
            let difference = differences.as_ref().map(|differences| differences[index]);
            difference.map_or(0., |difference| (totals[index].iter().sum::<f64>() - difference).abs())
        };
        let refined = |(index, state): (usize, &Line)| Refined {
            steps: state.steps,
            error: state.error().max(delta(index)),
            ending: state.ending.unwrap_or(Ending::Exhausted),
        };
        let refined = states.iter().enumerate().map(refined).collect();
        let finished = Finished::new(lines, by_tensor(&totals, &like), &like, differences);
        Ok(finished.with_refined(refined))
    }

    /// The first parts of each line.
    fn first_tasks(&self, lines: &Range<usize>) -> Vec<Task> {
        if let Some(ends) = self.walk.line_ends(lines, self.path) {
            let with_start = self.path.is_within_model();
            let task = |(line, ends)| {
                let part = Part { line, start: 0., end: 1., ends: Some(ends) };
                Task { with_start, ..Task::new(part, FIRST) }
            };
            return ends.into_iter().enumerate().map(task).collect();
        }
        let parts = PARTS_WITHOUT_SUM.min(self.walk.settings.max_steps / points(CLOSE)).max(1);
        let edge = |index: usize| index as f64 / parts as f64;
        let task = |line, index| Task::new(Part { line, start: edge(index), end: edge(index + 1), ends: None }, CLOSE);
        (0..lines.len()).flat_map(|line| (0..parts).map(move |index| task(line, index))).collect()
    }

    /// Evaluates what the tasks ask for, in full passes over points of any of them, and adds their intervals to the lines.
    fn measure(&self, tasks: Vec<Task>, states: &mut [Line], like: &mut Vec<Tensor>) -> Result<()> {
        let asked = self.asked_for(&tasks);
        let most_with_nodes = self.most_with_nodes(states.len());
        let mut tasks: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
        let jobs = asked.len().div_ceil(self.passes.rows);
        // As many on each of two cores.
        let jobs = if jobs > 1 { jobs.next_multiple_of(2) } else { jobs };
        let size = asked.len().div_ceil(jobs);
        let of_job = |job: usize| &asked[(job * size).min(asked.len())..((job + 1) * size).min(asked.len())];
        let mut done = 0;
        self.passes.run(
            asked.len().div_ceil(size),
            |job| self.evaluate(of_job(job)),
            |answer| {
                let Answer { scalars, gradients, activations, rounding, like: form } = answer;
                let mut activations = activations.into_iter();
                for (value, gradient) in scalars.into_iter().zip(gradients) {
                    let point = &asked[done];
                    done += 1;
                    let own = activations.next();
                    let Some(task) = &mut tasks[point.task] else { continue };
                    states[point.line].steps += 1;
                    if point.node.is_none() {
                        task.part.ends = task.part.ends.map(|(_, end)| (value, end));
                        continue;
                    }
                    task.nodes.values.push(value);
                    task.nodes.gradients.push(gradient);
                    task.nodes.activations.extend(own);
                    if task.nodes.values.len() < points(task.rule) {
                        continue;
                    }
                    if let Some(task) = tasks[point.task].take() {
                        let line = &mut states[point.line];
                        let keeps = line.intervals.iter().filter(|interval| interval.is_raised()).count();
                        line.intervals.push(self.interval(task, rounding, keeps < most_with_nodes)?);
                    }
                }
                *like = form;
                Ok(())
            },
        )
    }

    /// The points that the tasks ask for. Those of equal lines, which go through the model once, come together.
    fn asked_for(&self, tasks: &[Task]) -> Vec<Point> {
        let mut asked = Vec::with_capacity(tasks.iter().map(Task::asks_for).sum());
        for (index, task) in tasks.iter().enumerate() {
            let point = |alpha, node| Point { task: index, line: task.part.line, alpha, node };
            asked.extend(task.with_start.then(|| point(task.part.start, None)));
            let nodes = task.nodes.values.len()..points(task.rule);
            asked.extend(nodes.map(|node| point(task.part.alpha(self.rules.abscissae[node]), Some(node))));
        }
        let lines = self.walk.lines;
        if lines.repeats() > 1 {
            let equal = lines.repeats() * lines.baselines();
            asked.sort_by_key(|point| {
                let line = self.first + point.line;
                (line / equal, tasks[point.task].part.start.to_bits(), point.node, line % lines.baselines())
            });
        }
        asked
    }

    /// How many parts of a line may keep their nodes.
    fn most_with_nodes(&self, lines: usize) -> usize {
        let of_a_part = points(CLOSE) * self.of_a_node;
        (self.walk.settings.budget.parts_of_a_line(of_a_part, lines) / 8).max(1)
    }

    /// The pass over some points.
    fn evaluate(&self, points: &[Point]) -> Result<Answer> {
        let lines: Vec<usize> = points.iter().map(|point| point.line).collect();
        let alphas: Vec<f64> = points.iter().map(|point| point.alpha).collect();
        let examples = lines.iter().map(|line| self.walk.lines.example(self.first + line)).collect();
        let at = Expansion::new(examples, 1);
        let sample = (self.walk.evaluate)(self.path.scattered_points(&lines, &alphas)?, &at)?;
        let tolerance = self.walk.settings.tolerance.unwrap_or_default();
        if sample.rounded_to != sample.scalars.dtype() && tolerance < FINEST_OF_ROUNDED {
            bail!(
                Input,
                "tolerance({tolerance}): expected at least {FINEST_OF_ROUNDED} with precision(Precision::Bf16), whose \
                 attributions add up less closely"
            )
        }
        let activations = match self.integrand {
            Integrand::Gradient => Vec::new(),
            Integrand::GradientTimesSlope => host_rows(&sample.activations)?,
        };
        Ok(Answer {
            scalars: host(&sample.scalars)?,
            gradients: host_rows(&sample.gradients)?,
            activations,
            rounding: rounding(sample.rounded_to),
            like: sample.gradients,
        })
    }

    /// The estimate that a task asked for. Its nodes are kept where the next rule is to use them.
    fn interval(&self, task: Task, rounding: f64, may_keep: bool) -> Result<Interval> {
        let Task { part, rule, nodes, last, .. } = task;
        let scale = self.walk.scaled.then(|| self.path.differences_of(part.line)).transpose()?;
        let of_slopes = self.integrand == Integrand::GradientTimesSlope;
        let measure = Measure { rules: self.rules, of_slopes, scale, rounding };
        let estimate = measure.estimate(&part, &nodes, rule, last)?;
        let middle = nodes.values[0];
        let nodes = if may_keep && estimate.is_to_be_raised() { nodes } else { Nodes::default() };
        Ok(Interval { part, estimate, nodes, middle })
    }
}

/// The relative distance between numbers of a type.
fn rounding(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F16 => 2f64.powi(-10),
        DType::BF16 => 2f64.powi(-7),
        _ => f64::from(f32::EPSILON),
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
