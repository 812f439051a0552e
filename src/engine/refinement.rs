//! Steps chosen by themselves: nested quadrature, halved where the error is largest.

use candle_core::{DType, Tensor};

use super::attributions::Refinement;
use super::gradient::{Sample, check_finite};
use super::integral::{Integral, Integrand, deltas};
use super::passes::Passes;
use super::{Convergence, Expansion, Path, PathSettings};
use crate::error::Result;

/// The positive nodes of the 15-point Kronrod rule on [-1, 1], outermost first; every second one
/// is a node of the 7-point Gauss rule.
const KRONROD: [f64; 8] = [
    0.991_455_371_120_812_6,
    0.949_107_912_342_758_5,
    0.864_864_423_359_769_1,
    0.741_531_185_599_394_4,
    0.586_087_235_467_691_1,
    0.405_845_151_377_397_2,
    0.207_784_955_007_898_47,
    0.0,
];
const KRONROD_WEIGHTS: [f64; 8] = [
    0.022_935_322_010_529_224,
    0.063_092_092_629_978_56,
    0.104_790_010_322_250_18,
    0.140_653_259_715_525_92,
    0.169_004_726_639_267_9,
    0.190_350_578_064_785_4,
    0.204_432_940_075_298_9,
    0.209_482_141_084_727_82,
];
const GAUSS_WEIGHTS: [f64; 4] =
    [0.129_484_966_168_869_7, 0.279_705_391_489_276_64, 0.381_830_050_505_118_9, 0.417_959_183_673_469_4];
const NODES: usize = 15;

/// Whether the integrand is F'(α) itself or the product G(α) · dY(α), where the samples hold
/// first all Y and then all G.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Stieltjes {
    No,
    Yes,
}

/// A part of one example's path.
struct Interval {
    start: f64,
    end: f64,
    value: Vec<f64>,
    error: f64,
}

/// One example's path, cut where it was needed.
#[derive(Default)]
struct Example {
    intervals: Vec<Interval>,
    steps: usize,
    settled: bool,
    exhausted: bool,
    /// How often in a row halving everything has left the delta where it was.
    stalls: usize,
    last_delta: f64,
}

/// Stalls after which more steps are taken to be of no use: by then 480 points lie on the path.
const MOST_STALLS: usize = 5;

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
    let rule = Rule::new();
    let passes = Passes::plan(settings, |at| evaluate(path.points(at, &[1.])?, at))?;
    let scales = integrand.scale.map(host_rows).transpose()?;
    let shape_of = |tensor: &Tensor| [&[batch], &tensor.dims()[1..]].concat();

    let mut shapes: Vec<Vec<usize>> = Vec::new();
    let mut dtype = DType::F32;
    let mut examples: Vec<Example> = (0..batch).map(|_| Example::default()).collect();
    let mut pending: Vec<(usize, f64, f64)> = (0..batch).map(|row| (row, 0., 1.)).collect();
    while !pending.is_empty() {
        let pairs_per_pass = (passes.rows / NODES).max(1);
        let jobs: Vec<&[(usize, f64, f64)]> = pending.chunks(pairs_per_pass).collect();
        let estimates = passes.run(jobs.len(), |job| {
            let pairs = jobs[job];
            let at = Expansion::new(pairs.iter().map(|&(row, ..)| row).collect(), NODES);
            let alphas: Vec<f64> = rule
                .abscissae
                .iter()
                .flat_map(|x| pairs.iter().map(move |&(_, start, end)| 0.5 * (start + end) + 0.5 * (end - start) * x))
                .collect();
            let sample = evaluate(path.scattered_points(&at, &alphas)?, &at)?;
            check_finite(&sample.values, "gradient")?;
            let measured = match stieltjes {
                Stieltjes::No => sample.values.as_slice(),
                Stieltjes::Yes => &sample.values[sample.values.len() / 2..],
            };
            let shapes: Vec<Vec<usize>> = measured.iter().map(shape_of).collect();
            let dtype = measured[0].dtype();
            Ok((shapes, dtype, rule.estimate(pairs, &sample.values, stieltjes, scales.as_deref())?))
        })?;
        let mut intervals = Vec::new();
        for (of_shapes, of_dtype, estimate) in estimates {
            (shapes, dtype) = (of_shapes, of_dtype);
            intervals.extend(estimate);
        }
        for (&(row, ..), interval) in pending.iter().zip(intervals) {
            examples[row].steps += NODES;
            examples[row].intervals.push(interval);
        }
        pending = Vec::new();
        for (row, example) in examples.iter_mut().enumerate() {
            let difference = integrand.difference.as_ref().map(|difference| difference[row]);
            let halves = example.judge(tolerance, difference, settings.max_steps);
            pending.extend(halves.into_iter().map(|(start, end)| (row, start, end)));
        }
    }

    let totals: Vec<Vec<f64>> = examples.iter().map(Example::total).collect();
    let values = device_tensors(&totals, &shapes, dtype, path.difference()[0].device())?;
    let delta = integrand.difference.as_ref().map(|difference| deltas(&values, difference)).transpose()?;
    let refinement = Refinement {
        tolerance,
        errors: examples.iter().map(Example::error).collect(),
        settled: examples.iter().map(|example| example.settled).collect(),
        stalled: examples.iter().filter(|example| !example.settled && example.is_stalled()).count(),
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

    /// Whether the attributions have settled, and add up to something else than they should.
    fn is_stalled(&self) -> bool {
        self.stalls >= MOST_STALLS
    }

    /// Decides whether the example has settled; if not, takes out the intervals to halve and
    /// gives their halves.
    fn judge(&mut self, tolerance: f64, difference: Option<f64>, max_steps: usize) -> Vec<(f64, f64)> {
        if self.settled || self.exhausted {
            return Vec::new();
        }
        let total = self.total();
        let size = match difference {
            Some(difference) => difference.abs(),
            None => total.iter().fold(0., |largest: f64, value| largest.max(value.abs())),
        };
        let allowed = tolerance * size.max(1.);
        let error_settled = self.error() <= allowed;
        let delta = difference.map_or(0., |difference| total.iter().sum::<f64>() - difference);
        self.settled = error_settled && delta.abs() <= allowed;
        let moved = (delta - self.last_delta).abs() > 0.1 * allowed;
        self.stalls = if error_settled && !moved { self.stalls + 1 } else { 0 };
        self.last_delta = delta;
        let affordable = max_steps.saturating_sub(self.steps) / (2 * NODES);
        self.exhausted = !self.settled && (affordable == 0 || self.is_stalled());
        if self.settled || self.exhausted {
            return Vec::new();
        }
        self.intervals.sort_by(|a, b| b.error.total_cmp(&a.error));
        let share = allowed / self.intervals.len() as f64;
        let wanted = if error_settled {
            self.intervals.len()
        } else {
            self.intervals.iter().take_while(|interval| interval.error > share).count().max(1)
        };
        let halves = |interval: Interval| {
            let middle = 0.5 * (interval.start + interval.end);
            [(interval.start, middle), (middle, interval.end)]
        };
        self.intervals.drain(..wanted.min(affordable)).flat_map(halves).collect()
    }
}

/// The Gauss-Kronrod pair of 7 and 15 points on [-1, 1], and the matrix that differentiates the
/// polynomial through the 15 points.
struct Rule {
    abscissae: [f64; NODES],
    kronrod: [f64; NODES],
    gauss: [f64; NODES],
    differentiation: [[f64; NODES]; NODES],
}

impl Rule {
    fn new() -> Self {
        let mut rule = Self {
            abscissae: [0.; NODES],
            kronrod: [0.; NODES],
            gauss: [0.; NODES],
            differentiation: [[0.; NODES]; NODES],
        };
        for k in 0..NODES {
            let from_outside = k.min(NODES - 1 - k);
            let sign = if k < NODES / 2 { -1. } else { 1. };
            rule.abscissae[k] = sign * KRONROD[from_outside];
            rule.kronrod[k] = KRONROD_WEIGHTS[from_outside];
            if from_outside % 2 == 1 {
                rule.gauss[k] = GAUSS_WEIGHTS[from_outside / 2];
            }
        }
        let x = rule.abscissae;
        let others = |k: usize| (0..NODES).filter(move |&m| m != k);
        let barycentric: [f64; NODES] = std::array::from_fn(|k| 1. / others(k).map(|m| x[k] - x[m]).product::<f64>());
        for k in 0..NODES {
            for m in others(k) {
                rule.differentiation[k][m] = barycentric[m] / barycentric[k] / (x[k] - x[m]);
            }
            rule.differentiation[k][k] = -others(k).map(|m| rule.differentiation[k][m]).sum::<f64>();
        }
        rule
    }

    /// The integral over each pair's interval and its error estimate: the larger of the largest
    /// difference between the two rules in one attribution and that in their sum.
    fn estimate(
        &self,
        pairs: &[(usize, f64, f64)],
        samples: &[Tensor],
        stieltjes: Stieltjes,
        scales: Option<&[Vec<f64>]>,
    ) -> Result<Vec<Interval>> {
        let integrands: Vec<Vec<f64>> = match stieltjes {
            Stieltjes::No => host_rows(samples)?,
            Stieltjes::Yes => {
                let (functions, gradients) = samples.split_at(samples.len() / 2);
                self.products(pairs, &host_rows(functions)?, &host_rows(gradients)?)
            }
        };
        let mut intervals = Vec::with_capacity(pairs.len());
        for (pair, &(row, start, end)) in pairs.iter().enumerate() {
            let half = 0.5 * (end - start);
            let width = integrands[pair].len();
            let mut value = vec![0.; width];
            let mut rough = vec![0.; width];
            for node in 0..NODES {
                let integrand = &integrands[node * pairs.len() + pair];
                for (index, &sample) in integrand.iter().enumerate() {
                    value[index] += half * self.kronrod[node] * sample;
                    rough[index] += half * self.gauss[node] * sample;
                }
            }
            if let Some(scales) = scales {
                value.iter_mut().zip(&scales[row]).for_each(|(value, scale)| *value *= scale);
                rough.iter_mut().zip(&scales[row]).for_each(|(rough, scale)| *rough *= scale);
            }
            let differences = value.iter().zip(&rough).map(|(value, rough)| value - rough);
            let largest = differences.clone().fold(0., |largest: f64, difference| largest.max(difference.abs()));
            let error = largest.max(differences.sum::<f64>().abs());
            intervals.push(Interval { start, end, value, error });
        }
        Ok(intervals)
    }

    /// G · dY/dα at every node, dY/dα by differentiating the polynomial through the nodes.
    fn products(&self, pairs: &[(usize, f64, f64)], functions: &[Vec<f64>], gradients: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut products = Vec::with_capacity(gradients.len());
        for node in 0..NODES {
            for (pair, &(_, start, end)) in pairs.iter().enumerate() {
                let half = 0.5 * (end - start);
                let gradient = &gradients[node * pairs.len() + pair];
                let slope = |index: usize| {
                    let at = |other: usize| functions[other * pairs.len() + pair][index];
                    (0..NODES).map(|other| self.differentiation[node][other] * at(other)).sum::<f64>() / half
                };
                products.push(gradient.iter().enumerate().map(|(index, g)| g * slope(index)).collect());
            }
        }
        products
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kronrod_is_exact_to_degree_22_and_gauss_to_13() {
        let rule = Rule::new();
        let integral = |weights: &[f64; NODES], degree: i32| -> f64 {
            rule.abscissae.iter().zip(weights).map(|(x, weight)| weight * x.powi(degree)).sum()
        };
        for degree in 0..=22 {
            let exact = if degree % 2 == 0 { 2. / f64::from(degree + 1) } else { 0. };
            assert!((integral(&rule.kronrod, degree) - exact).abs() < 1e-14, "Kronrod, degree {degree}");
            if degree <= 13 {
                assert!((integral(&rule.gauss, degree) - exact).abs() < 1e-14, "Gauss, degree {degree}");
            }
        }
    }

    #[test]
    fn differentiation_is_exact_to_degree_14() {
        let rule = Rule::new();
        for degree in 0..NODES as i32 {
            for (x, row) in rule.abscissae.iter().zip(&rule.differentiation) {
                let computed: f64 = row.iter().zip(rule.abscissae).map(|(d, x)| d * x.powi(degree)).sum();
                let exact = if degree == 0 { 0. } else { f64::from(degree) * x.powi(degree - 1) };
                assert!((computed - exact).abs() < 1e-10, "degree {degree} at {x}: {computed} {exact}");
            }
        }
    }
}
