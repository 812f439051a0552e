//! Steps chosen by themselves: nested quadrature, halved where the error is largest.

use candle_core::{DType, Tensor};

use super::attributions::Refinement;
use super::gradient::{Sample, check_finite};
use super::integral::{Integral, Integrand, deltas};
use super::kronrod::{NODES, Rule};
use super::passes::Passes;
use super::{Convergence, Expansion, Path, PathSettings};
use crate::error::Result;

/// Whether the integrand is F'(α) itself or the product G(α) · dY(α), where the samples hold
/// first all Y and then all G.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Stieltjes {
    No,
    Yes,
}

/// Rounds that halved every interval and hardly lowered the error, after which more steps are
/// taken to be of no use.
const MOST_STALLS: usize = 5;

/// Parts to begin with where the attributions add up to nothing known: no sum would tell of a jump
/// between the nodes, so they lie closer from the start.
const PARTS_WITHOUT_SUM: usize = 16;

/// A part of one example's path that is to be estimated.
#[derive(Clone, Copy)]
struct Part {
    row: usize,
    start: f64,
    end: f64,
    /// F at both ends, where attributions must add up to its difference.
    ends: Option<(f64, f64)>,
}

/// A part of one example's path with its estimate.
struct Interval {
    part: Part,
    /// F in the middle.
    middle: f64,
    value: Vec<f64>,
    error: f64,
}

/// One example's path, cut where it was needed.
#[derive(Default)]
struct Example {
    intervals: Vec<Interval>,
    steps: usize,
    state: State,
    stalls: usize,
    last_error: f64,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Open,
    Settled,
    /// No steps are left.
    Exhausted,
    /// The attributions do not add up, and more steps do not help.
    Stalled,
}

/// What a pass over one job's parts measured, for each node and part.
struct Measured {
    shapes: Vec<Vec<usize>>,
    dtype: DType,
    intervals: Vec<Interval>,
}

/// The integral of `evaluate` along the path to the tolerance of the settings, with an error
/// estimate for each example.
pub(crate) fn refine(
    settings: &PathSettings,
    path: &Path,
    integrand: Integrand,
    stieltjes: Stieltjes,
    evaluate: impl Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync,
) -> Result<Integral> {
    let batch = path.batch_size();
    let tolerance = settings.tolerance.unwrap_or_default();
    let passes = Passes::plan(settings, |at| evaluate(path.points(at, &[1.])?, at))?;
    let scales = integrand.scale.map(host_rows).transpose()?;
    let estimator = Estimator { rule: Rule::new(), path, stieltjes, scales, evaluate };

    let mut examples: Vec<Example> = (0..batch).map(|_| Example::default()).collect();
    let parts = match integrand.difference {
        Some(_) => 1,
        None => PARTS_WITHOUT_SUM.min(settings.max_steps / NODES).max(1),
    };
    let part = |row, index| {
        let edge = |index: usize| index as f64 / parts as f64;
        Part { row, start: edge(index), end: edge(index + 1), ends: None }
    };
    let mut pending: Vec<Part> = (0..batch).flat_map(|row| (0..parts).map(move |index| part(row, index))).collect();
    if integrand.difference.is_some() {
        for (part, (start, end)) in pending.iter_mut().zip(estimator.ends(&passes)?) {
            part.ends = Some((start, end));
            examples[part.row].steps += 2;
        }
    }
    let mut shapes: Vec<Vec<usize>> = Vec::new();
    let mut dtype = DType::F32;
    while !pending.is_empty() {
        let jobs: Vec<&[Part]> = pending.chunks((passes.rows / NODES).max(1)).collect();
        for measured in passes.run(jobs.len(), |job| estimator.measure(jobs[job], passes.rows))? {
            (shapes, dtype) = (measured.shapes, measured.dtype);
            for interval in measured.intervals {
                let example = &mut examples[interval.part.row];
                example.steps += NODES;
                example.intervals.push(interval);
            }
        }
        pending = Vec::new();
        for (row, example) in examples.iter_mut().enumerate() {
            let difference = integrand.difference.as_ref().map(|difference| difference[row]);
            pending.extend(example.judge(tolerance, difference, settings.max_steps));
        }
    }

    shapes.iter_mut().for_each(|shape| shape[0] = batch);
    let totals: Vec<Vec<f64>> = examples.iter().map(Example::total).collect();
    let values = device_tensors(&totals, &shapes, dtype, path.difference()[0].device())?;
    check_finite(&values, "attribution")?;
    let delta = integrand.difference.as_ref().map(|difference| deltas(&values, difference)).transpose()?;
    if let (Some(delta), Some(difference)) = (&delta, &integrand.difference) {
        // What is delivered may be of a coarser type than what was added up.
        for ((example, delta), difference) in examples.iter_mut().zip(delta).zip(difference) {
            if example.state == State::Settled && delta.abs() > 1.001 * tolerance * difference.abs().max(1.) {
                example.state = State::Stalled;
            }
        }
    }
    let refinement = Refinement {
        tolerance,
        errors: examples.iter().map(Example::error).collect(),
        settled: examples.iter().map(|example| example.state == State::Settled).collect(),
        stalled: examples.iter().filter(|example| example.state == State::Stalled).count(),
    };
    let steps = examples.iter().map(|example| example.steps).collect();
    let convergence = Convergence { delta, difference: integrand.difference, steps, refinement: Some(refinement) };
    Ok(Integral { values, convergence })
}

impl Example {
    fn total(&self) -> Vec<f64> {
        let mut total = vec![0.; self.intervals.first().map_or(0, |interval| interval.value.len())];
        for interval in &self.intervals {
            total.iter_mut().zip(&interval.value).for_each(|(sum, value)| *sum += value);
        }
        total
    }

    fn error(&self) -> f64 {
        self.intervals.iter().map(|interval| interval.error).sum()
    }

    /// Decides whether the example has settled; if not, takes out the intervals to halve and
    /// gives their halves.
    fn judge(&mut self, tolerance: f64, difference: Option<f64>, max_steps: usize) -> Vec<Part> {
        if self.state != State::Open {
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
        let share = allowed / self.intervals.len() as f64;
        self.intervals.sort_by(|a, b| b.error.total_cmp(&a.error));
        let wanted = self.intervals.iter().take_while(|interval| interval.error > share).count().max(1);
        self.state = if error <= allowed && delta.abs() <= allowed {
            State::Settled
        } else if error <= allowed || self.stalls == MOST_STALLS {
            State::Stalled
        } else if affordable == 0 {
            State::Exhausted
        } else {
            State::Open
        };
        if self.state != State::Open {
            return Vec::new();
        }
        let hardly_lower = error > 0.9 * self.last_error;
        self.stalls = if wanted == self.intervals.len() && hardly_lower { self.stalls + 1 } else { 0 };
        self.last_error = error;
        self.intervals.drain(..wanted.min(affordable)).flat_map(|interval| interval.halves()).collect()
    }
}

impl Interval {
    fn halves(&self) -> [Part; 2] {
        let Part { row, start, end, ends } = self.part;
        let middle = 0.5 * (start + end);
        let left = ends.map(|(first, _)| (first, self.middle));
        let right = ends.map(|(_, last)| (self.middle, last));
        [Part { row, start, end: middle, ends: left }, Part { row, start: middle, end, ends: right }]
    }
}

/// Estimates the integral over parts of the path.
struct Estimator<'a, E> {
    rule: Rule,
    path: &'a Path,
    stieltjes: Stieltjes,
    /// Multiplies the integral of each example.
    scales: Option<Vec<Vec<f64>>>,
    evaluate: E,
}

impl<E: Fn(Vec<Tensor>, &Expansion) -> Result<Sample> + Sync> Estimator<'_, E> {
    /// F at the start and the end of every example's path.
    fn ends(&self, passes: &Passes) -> Result<Vec<(f64, f64)>> {
        let batch = self.path.batch_size();
        let at_alpha = |alpha: f64| -> Result<Vec<f64>> {
            let blocks = passes.run(batch.div_ceil(passes.rows), |block| {
                let first = block * passes.rows;
                let at = Expansion::new((first..batch.min(first + passes.rows)).collect(), 1);
                (self.evaluate)(self.path.points(&at, &[alpha])?, &at)?.host_scalars()
            })?;
            Ok(blocks.concat())
        };
        Ok(at_alpha(0.)?.into_iter().zip(at_alpha(1.)?).collect())
    }

    /// The estimates of several parts, evaluated with at most `rows` rows at once.
    fn measure(&self, parts: &[Part], rows: usize) -> Result<Measured> {
        let nodes_at_once = (rows / parts.len()).clamp(1, NODES);
        let mut samples: Vec<Vec<f64>> = Vec::new();
        let mut gradients: Vec<Vec<f64>> = Vec::new();
        let mut scalars: Vec<f64> = Vec::new();
        let (mut shapes, mut dtype) = (Vec::new(), DType::F32);
        for nodes in self.rule.abscissae.chunks(nodes_at_once) {
            let at = Expansion::new(parts.iter().map(|part| part.row).collect(), nodes.len());
            let alpha = |x: f64, part: &Part| 0.5 * (part.start + part.end) + 0.5 * (part.end - part.start) * x;
            let alphas: Vec<f64> = nodes.iter().flat_map(|&x| parts.iter().map(move |part| alpha(x, part))).collect();
            let sample = (self.evaluate)(self.path.scattered_points(&at, &alphas)?, &at)?;
            check_finite(&sample.values, "gradient")?;
            scalars.extend(sample.host_scalars()?);
            let measured = match self.stieltjes {
                Stieltjes::No => sample.values.as_slice(),
                Stieltjes::Yes => {
                    let (functions, slopes) = sample.values.split_at(sample.values.len() / 2);
                    gradients.extend(host_rows(slopes)?);
                    functions
                }
            };
            samples.extend(host_rows(measured)?);
            shapes = measured.iter().map(|tensor| tensor.dims().to_vec()).collect();
            dtype = measured[0].dtype();
        }
        let integrands = match self.stieltjes {
            Stieltjes::No => samples,
            Stieltjes::Yes => self.products(parts, &samples, &gradients),
        };
        let middles = &scalars[NODES / 2 * parts.len()..];
        let estimate =
            |(index, part): (usize, &Part)| self.estimate(index, *part, parts.len(), &integrands, middles[index]);
        let intervals = parts.iter().enumerate().map(estimate).collect();
        Ok(Measured { shapes, dtype, intervals })
    }

    /// The integral over one part and its error estimate: the largest of three differences, that
    /// of the two rules in any attribution, in the sum of all, and of that sum to F's difference.
    fn estimate(&self, index: usize, part: Part, parts: usize, integrands: &[Vec<f64>], middle: f64) -> Interval {
        let half = 0.5 * (part.end - part.start);
        let mut value = vec![0.; integrands[index].len()];
        let mut rough = value.clone();
        for node in 0..NODES {
            let (fine_weight, rough_weight) = (half * self.rule.kronrod[node], half * self.rule.gauss[node]);
            for (position, &sample) in integrands[node * parts + index].iter().enumerate() {
                value[position] += fine_weight * sample;
                rough[position] += rough_weight * sample;
            }
        }
        if let Some(scales) = &self.scales {
            value.iter_mut().zip(&scales[part.row]).for_each(|(value, scale)| *value *= scale);
            rough.iter_mut().zip(&scales[part.row]).for_each(|(rough, scale)| *rough *= scale);
        }
        let differences = value.iter().zip(&rough).map(|(value, rough)| value - rough);
        let largest = differences.clone().fold(0., |largest: f64, difference| largest.max(difference.abs()));
        let missing = part.ends.map_or(0., |(first, last)| value.iter().sum::<f64>() - (last - first));
        let error = largest.max(differences.sum::<f64>().abs()).max(missing.abs());
        Interval { part, middle, value, error }
    }

    /// G · dY/dα at every node, dY/dα by differentiating the polynomial through the nodes.
    fn products(&self, parts: &[Part], functions: &[Vec<f64>], gradients: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let product = |(position, gradient): (usize, &Vec<f64>)| {
            let (node, index) = (position / parts.len(), position % parts.len());
            let half = 0.5 * (parts[index].end - parts[index].start);
            let slope = |element: usize| {
                let at = |other: usize| functions[other * parts.len() + index][element];
                (0..NODES).map(|other| self.rule.differentiation[node][other] * at(other)).sum::<f64>() / half
            };
            gradient.iter().enumerate().map(|(element, gradient)| gradient * slope(element)).collect()
        };
        gradients.iter().enumerate().map(product).collect()
    }
}

/// Each row of several tensors `[rows, ...]` as one list of numbers.
fn host_rows(tensors: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    let mut rows: Vec<Vec<f64>> = vec![Vec::new(); tensors[0].dims()[0]];
    for tensor in tensors {
        let values = tensor.reshape((rows.len(), ()))?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        rows.iter_mut().zip(values).for_each(|(row, values)| row.extend(values));
    }
    Ok(rows)
}

/// The reverse of [`host_rows`].
fn device_tensors(
    rows: &[Vec<f64>],
    shapes: &[Vec<usize>],
    dtype: DType,
    device: &candle_core::Device,
) -> Result<Vec<Tensor>> {
    let mut first = 0;
    let tensor = |shape: &Vec<usize>| {
        let width: usize = shape[1..].iter().product();
        let values: Vec<f64> = rows.iter().flat_map(|row| row[first..first + width].iter().copied()).collect();
        first += width;
        Ok(Tensor::from_vec(values, shape.as_slice(), device)?.to_dtype(dtype)?)
    };
    shapes.iter().map(tensor).collect()
}
