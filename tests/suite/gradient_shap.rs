//! GradientShap against loops over the same draws, what its errors promise, and where it must agree with a path.

use rand_mt::Mt;

use candle_explain::prelude::*;

use crate::coverage::Coverage;
use crate::plain::{LAYERS, Plain, assert_close, gradient, line, rows, tensor};

const TARGET: usize = 1;

/// The seed of one of several draws.
pub fn child(seed: u32, index: usize) -> u32 {
    seed.wrapping_mul(0x9E37_79B1).wrapping_add(index as u32 + 1)
}

pub fn uniform(seed: u32) -> impl Iterator<Item = f64> {
    let mut generator = Mt::new(seed);
    std::iter::repeat_with(move || {
        let (upper, lower) = (generator.next_u32() >> 5, generator.next_u32() >> 6);
        (f64::from(upper) * 67_108_864. + f64::from(lower)) / 9_007_199_254_740_992.
    })
}

pub fn normal(seed: u32) -> impl Iterator<Item = f64> {
    let mut draws = uniform(seed);
    std::iter::from_fn(move || {
        let radius = (-2. * (1. - draws.next()?).ln()).sqrt();
        Some(radius * (std::f64::consts::TAU * draws.next()?).cos())
    })
}

/// A sample of a row: the noisy input, the baseline, and where between them the point lies.
fn drawn(seed: u32, sample: usize, x: &[f64], baselines: &[Vec<f64>], stdev: f64) -> (Vec<f64>, Vec<f64>, f64) {
    let seed = child(seed, sample);
    let mut draws = uniform(seed);
    let alpha = draws.next().unwrap();
    let row = (draws.next().unwrap() * baselines.len() as f64) as usize;
    let noisy = x.iter().zip(normal(child(seed, 0))).map(|(x, noise)| x + stdev * noise).collect();
    (noisy, baselines[row].clone(), alpha)
}

/// The mean of the samples, and the standard errors of the means.
fn summary(samples: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    let n = samples.len() as f64;
    let column = |index: usize| samples.iter().map(move |sample| sample[index]);
    let means: Vec<f64> = (0..samples[0].len()).map(|index| column(index).sum::<f64>() / n).collect();
    let variance = |(index, mean): (usize, &f64)| column(index).map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.);
    let errors = means.iter().enumerate().map(|column| (variance(column) / n).sqrt()).collect();
    (means, errors)
}

struct Case {
    plain: Plain,
    inputs: Vec<Vec<f64>>,
    baselines: Vec<Vec<f64>>,
}

fn case(seed: u64) -> Case {
    Case { plain: Plain::new(seed), inputs: rows(seed + 100, 3), baselines: rows(seed + 200, 4) }
}

const SAMPLES: usize = 6;
const STDEV: f64 = 0.3;

impl Case {
    fn distribution(&self) -> Baseline {
        Baseline::distribution(&tensor(&self.baselines))
    }

    /// Compares a result with what `twin` gives for each sample: its numbers, and what they should add up to.
    fn check(&self, result: &Attributions, twin: impl Fn(&[f64], &[f64], f64) -> (Vec<f64>, f64)) {
        let (mut means, mut errors, mut deltas) = (Vec::new(), Vec::new(), Vec::new());
        for x in &self.inputs {
            let of = |sample| {
                let (noisy, baseline, alpha) = drawn(5, sample, x, &self.baselines, STDEV);
                twin(&noisy, &baseline, alpha)
            };
            let (samples, sums): (Vec<Vec<f64>>, Vec<f64>) = (0..SAMPLES).map(of).unzip();
            let (mean, error) = summary(&samples);
            deltas.push(vec![mean.iter().sum::<f64>() - sums.iter().sum::<f64>() / SAMPLES as f64]);
            means.push(mean);
            errors.push(error);
        }
        assert_close(result.tensor(), &means, 1e-8);
        assert_close(&result.standard_errors().unwrap()[0], &errors, 1e-8);
        if let Ok(delta) = result.convergence_delta() {
            let delta: Vec<Vec<f64>> = delta.values().iter().map(|delta| vec![*delta]).collect();
            assert_close(&tensor(&delta), &deltas, 1e-8);
        }
        assert_eq!(result.samples(), [SAMPLES; 3]);
    }
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

#[test]
fn gradient_shap() {
    let case = case(1);
    let f = |x: &[f64]| case.plain.output(x)[TARGET];
    let method = GradientShap::new(&case.plain.sequential()).baseline(case.distribution());
    let method = method.n_samples(SAMPLES).stdevs(STDEV).seed(Seed(5));
    let inputs = tensor(&case.inputs);
    case.check(&method.attribute(&inputs, TARGET).unwrap(), |x, b, alpha| {
        (times(&minus(x, b), &gradient(f, &line(b, x, alpha))), f(x) - f(b))
    });
    let local = method.multiply_by_inputs(false).attribute(&inputs, TARGET).unwrap();
    assert!(local.convergence_delta().is_err());
    case.check(&local, |x, b, alpha| (gradient(f, &line(b, x, alpha)), 0.));
}

#[test]
fn layer_gradient_shap() {
    let case = case(2);
    let f = |x: &[f64]| case.plain.output(x)[TARGET];
    for (layer, name) in LAYERS.iter().enumerate().take(4) {
        let above = |y: &[f64]| case.plain.above_layer(layer + 1, y)[TARGET];
        let method = LayerGradientShap::new(&case.plain.sequential(), *name).baseline(case.distribution());
        let method = method.n_samples(SAMPLES).stdevs(STDEV).seed(Seed(5));
        let inputs = tensor(&case.inputs);
        case.check(&method.attribute(&inputs, TARGET).unwrap(), |x, b, alpha| {
            let (y0, y1) = (case.plain.up_to_layer(layer, b), case.plain.up_to_layer(layer, x));
            (times(&minus(&y1, &y0), &gradient(above, &line(&y0, &y1, alpha))), f(x) - f(b))
        });
        let captums = method.interpolate_inputs(true).attribute(&inputs, TARGET).unwrap();
        case.check(&captums, |x, b, alpha| {
            let (y0, y1) = (case.plain.up_to_layer(layer, b), case.plain.up_to_layer(layer, x));
            let point = case.plain.up_to_layer(layer, &line(b, x, alpha));
            (times(&minus(&y1, &y0), &gradient(above, &point)), f(x) - f(b))
        });
    }
}

#[test]
fn neuron_gradient_shap() {
    let case = case(3);
    for (layer, name) in LAYERS.iter().enumerate() {
        let neuron = |x: &[f64]| case.plain.up_to_layer(layer, x)[1];
        let method = NeuronGradientShap::new(&case.plain.sequential(), *name, 1).baseline(case.distribution());
        let method = method.n_samples(SAMPLES).stdevs(STDEV).seed(Seed(5));
        case.check(&method.attribute(tensor(&case.inputs)).unwrap(), |x, b, alpha| {
            (times(&minus(x, b), &gradient(neuron, &line(b, x, alpha))), neuron(x) - neuron(b))
        });
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// How far each attribution is from an exact one, in standard errors.
fn distances(result: &Attributions, exact: &Tensor) -> Vec<f64> {
    let errors = numbers(&result.standard_errors().unwrap()[0]);
    let apart = numbers(&(result.tensor() - exact).unwrap()).into_iter().zip(errors);
    apart.map(|(apart, error)| apart / error).collect()
}

#[test]
fn the_stated_errors_cover_integrated_gradients() {
    let case = case(4);
    let net = case.plain.sequential();
    let inputs = tensor(&case.inputs);
    let exact = IntegratedGradients::new(&net).baseline(case.distribution()).tolerance(1e-11);
    let exact = exact.attribute(&inputs, TARGET).unwrap();
    for samples in [100, 400] {
        let method = GradientShap::new(&net).baseline(case.distribution()).n_samples(samples);
        let of_seed = |seed| method.seed(seed).attribute(&inputs, TARGET).unwrap();
        let coverage = Coverage::of(&numbers(exact.tensor()), of_seed);
        coverage.hold("GradientShap", &format!("{samples} samples"));
        assert!(coverage.bias.abs() < 0.1, "{}", coverage.bias);
    }
}

#[test]
fn layers_and_neurons_approach_their_paths_too() {
    let case = case(5);
    let net = case.plain.sequential();
    let inputs = tensor(&case.inputs);
    let layer = LayerGradientShap::new(&net, "tanh1").baseline(case.distribution()).n_samples(4000);
    let exact = LayerIntegratedGradients::new(&net, "tanh1").baseline(case.distribution()).tolerance(1e-10);
    let exact = exact.attribute(&inputs, TARGET).unwrap();
    let result = layer.attribute(&inputs, TARGET).unwrap();
    assert!(distances(&result, exact.tensor()).iter().all(|distance| distance.abs() < 5.));
    assert!(result.convergence_delta().unwrap().max_abs() < 0.05);
    let neuron = NeuronGradientShap::new(&net, "tanh2", 1).baseline(case.distribution()).n_samples(4000);
    let exact = NeuronIntegratedGradients::new(&net, "tanh2", 1).baseline(case.distribution()).tolerance(1e-10);
    let result = neuron.attribute(&inputs).unwrap();
    let exact = exact.attribute(&inputs).unwrap();
    assert!(distances(&result, exact.tensor()).iter().all(|distance| distance.abs() < 5.));
}

#[test]
fn a_linear_function_needs_one_sample() {
    let linear = |x: &Tensor| x.affine(3., 0.)?.sum(1);
    let (x, b) = (tensor(&[vec![1., 2.]]), tensor(&[vec![0.5, -1.]]));
    let result = GradientShap::new(linear).baseline(&b).n_samples(1).attribute(&x, Target::None).unwrap();
    assert_close(result.tensor(), &[vec![1.5, 9.]], 1e-12);
    assert!(result.convergence_delta().unwrap().max_abs() < 1e-12);
    assert!(numbers(&result.standard_errors().unwrap()[0]).iter().all(|error| error.is_nan()));
    assert!(
        result.remarks().iter().any(|remark| remark.contains("one sample does not tell")),
        "{:?}",
        result.remarks()
    );
}

#[test]
fn samples_are_drawn_until_the_errors_are_within_the_tolerance() {
    let case = case(6);
    let method = GradientShap::new(&case.plain.sequential()).baseline(case.distribution()).stdevs(0.1);
    let inputs = tensor(&case.inputs);
    let settled = method.tolerance(0.01).attribute(&inputs, TARGET).unwrap();
    assert_eq!(settled.settled().unwrap(), [true; 3], "{:?}", settled.remarks());
    let errors = settled.standard_errors().unwrap()[0].to_vec2::<f64>().unwrap();
    let sums = settled.tensor().sum(1).unwrap().to_vec1::<f64>().unwrap();
    let deltas = settled.convergence_delta().unwrap();
    for ((errors, sum), delta) in errors.iter().zip(sums).zip(deltas.values()) {
        let scale = (sum - delta).abs().max(1.);
        assert!(errors.iter().all(|error| *error <= 0.01 * scale), "{errors:?} of {scale}");
    }
    let short = method.tolerance(1e-6).max_samples(64).attribute(&inputs, TARGET).unwrap();
    assert_eq!((short.settled().unwrap(), short.samples()), (&[false; 3][..], &[64; 3][..]));
    assert!(short.remarks().iter().any(|remark| remark.contains("max_samples")), "{:?}", short.remarks());
}

#[test]
fn neither_passes_nor_workers_nor_groups_change_a_bit() {
    let case = case(7);
    let inputs = tensor(&rows(300, 40));
    let method = GradientShap::new(&case.plain.sequential()).baseline(case.distribution()).stdevs(0.1).n_samples(30);
    let bits = |method: &GradientShap| {
        let result = method.attribute(&inputs, TARGET).unwrap();
        let numbers = [numbers(result.tensor()), numbers(&result.standard_errors().unwrap()[0])].concat();
        numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>()
    };
    let small = method.memory_budget(1 << 13);
    let one = bits(&small.workers(1));
    assert!([2, 7].iter().all(|workers| bits(&small.workers(*workers)) == one));
    let whole = method.attribute(&inputs, TARGET).unwrap();
    for variant in [small, method.internal_batch_size(1), method.internal_batch_size(7)] {
        let result = variant.attribute(&inputs, TARGET).unwrap();
        for (got, expected) in numbers(result.tensor()).iter().zip(numbers(whole.tensor())) {
            assert!((got - expected).abs() < 1e-12, "{got} and {expected}");
        }
        assert_eq!(result.samples(), whole.samples());
        let deltas = [&result, &whole].map(|result| result.convergence_delta().unwrap().values().to_vec());
        assert!(deltas[0].iter().zip(&deltas[1]).all(|(one, other)| (one - other).abs() < 1e-12));
    }
}

#[test]
fn each_input_has_its_own_noise_and_extra_arguments_stay() {
    let model = from_fn(|input, _| Ok(((input.get(0)? * input.arg(0)?)? + input.get(1)?.sqr()?)?.sum(1)?));
    let (a, b, factor) = (tensor(&[vec![1., 2.]]), tensor(&[vec![3., 4.]]), tensor(&[vec![5., 6.]]));
    let inputs = Inputs::new([a, b]).with_args([factor]);
    let method = GradientShap::new(&model).baseline(0.).n_samples(50);
    let quiet = method.stdevs([0., 0.5]).attribute(&inputs, Target::None).unwrap();
    assert_close(quiet.value(0).unwrap(), &[vec![5., 12.]], 1e-12);
    let noisy = method.stdevs([0.5, 0.]).attribute(&inputs, Target::None).unwrap();
    assert!(numbers(&noisy.standard_errors().unwrap()[0]).iter().all(|error| *error > 0.1));
    let plain = method.attribute(&inputs, Target::None).unwrap();
    assert_close(noisy.value(1).unwrap(), &plain.value(1).unwrap().to_vec2().unwrap(), 1e-12);
}

#[test]
fn ids_are_attributed_at_their_embedding() {
    let table = tensor(&(0..6).map(|id| vec![f64::from(id), 1.]).collect::<Vec<_>>());
    let embedded = from_fn(move |input, layers| {
        let ids = input.first();
        let rows = table.embedding(&ids.flatten_all()?)?.reshape((ids.dims()[0], 2, 2))?;
        Ok(layers.visit("embedding", rows)?.sqr()?.sum((1, 2))?)
    });
    let ids = Tensor::new(&[[4u32, 5]], &Device::Cpu).unwrap();
    let method = LayerGradientShap::new(&embedded, "embedding").baseline(0.).n_samples(2000);
    let result = method.attribute(&ids, Target::None).unwrap();
    let expected = tensor(&[vec![16., 0.], vec![25., 0.]]).reshape((1, 2, 2)).unwrap();
    for (got, expected) in numbers(result.tensor()).iter().zip(numbers(&expected)) {
        assert!((got - expected).abs() < 1., "{got} and {expected}");
    }
    let error = |method: LayerGradientShap| method.attribute(&ids, Target::None).unwrap_err().to_string();
    assert!(error(method.stdevs(0.1)).contains("input 0 is U32, to which no noise can be added"));
    assert!(error(method.interpolate_inputs(true)).contains("input 0 is U32, which has no gradient"));
}

#[test]
fn errors_say_what_to_do() {
    let case = case(8);
    let inputs = tensor(&case.inputs);
    let bare = GradientShap::new(&case.plain.sequential());
    let method = bare.baseline(case.distribution());
    let error = |method: &GradientShap| method.attribute(&inputs, TARGET).unwrap_err().to_string();
    assert!(error(&bare).starts_with("GradientShap needs a distribution of baselines, and none came: give"));
    let narrow = error(&bare.baseline(Baseline::distribution(&tensor(&[vec![1.]]))));
    assert!(narrow.contains("[1, 1]"), "{narrow}");
    for stdev in [-1., f64::NAN, f64::INFINITY] {
        assert!(error(&method.stdevs(stdev)).contains("the standard deviation of input 0"));
    }
    assert!(error(&method.stdevs([0.1, 0.2])).contains("there are 2 standard deviations for 1 inputs"));
    assert!(error(&method.n_samples(0)).contains("n_samples is 0"));
    assert!(error(&method.tolerance(0.)).contains("the tolerance is 0"));
    assert!(error(&method.tolerance(0.1).max_samples(5)).contains("max_samples is 5"));
    assert!(error(&method.internal_batch_size(0)).contains("internal_batch_size is 0"));
}
