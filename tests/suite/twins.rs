//! A textbook twin for each method: its formula written out with loops and finite differences
//! over a network in plain Rust, one example after the other.

use crate::plain::{LAYERS, Plain, assert_close, gradient, line, rows, tensor};
use candle_explain::prelude::*;

const TARGET: usize = 1;
const TOLERANCE: f64 = 1e-8;

struct Case {
    plain: Plain,
    inputs: Vec<Vec<f64>>,
    baselines: Vec<Vec<f64>>,
}

fn case(seed: u64) -> Case {
    Case { plain: Plain::new(seed), inputs: rows(seed + 100, 3), baselines: rows(seed + 200, 3) }
}

impl Case {
    fn for_each(&self, twin: impl Fn(&Plain, &[f64], &[f64]) -> Vec<f64>) -> Vec<Vec<f64>> {
        self.inputs.iter().zip(&self.baselines).map(|(x, b)| twin(&self.plain, x, b)).collect()
    }

    fn check(&self, got: Result<Attributions>, twin: impl Fn(&Plain, &[f64], &[f64]) -> Vec<f64>) {
        assert_close(got.unwrap().tensor(), &self.for_each(twin), TOLERANCE);
    }
}

fn target(plain: &Plain, x: &[f64]) -> f64 {
    plain.output(x)[TARGET]
}

fn above(plain: &Plain, layer: usize, y: &[f64]) -> f64 {
    plain.above_layer(layer + 1, y)[TARGET]
}

/// The middle of each of n parts of the path, all of the same weight.
fn middles(n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |k| (k as f64 + 0.5) / n as f64)
}

fn mean(n: usize, vectors: impl Iterator<Item = Vec<f64>>) -> Vec<f64> {
    vectors
        .reduce(|sum, vector| sum.iter().zip(vector).map(|(a, b)| a + b).collect())
        .unwrap()
        .iter()
        .map(|sum| sum / n as f64)
        .collect()
}

fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[test]
fn saliency() {
    let case = case(1);
    let method = Saliency::new(&case.plain.sequential());
    let twin = |plain: &Plain, x: &[f64], _: &[f64]| gradient(|x| target(plain, x), x);
    case.check(method.abs(false).attribute(tensor(&case.inputs), TARGET), twin);
    case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, b| {
        twin(plain, x, b).iter().map(|g| g.abs()).collect()
    });
}

#[test]
fn input_x_gradient() {
    let case = case(2);
    let got = InputXGradient::new(&case.plain.sequential()).attribute(tensor(&case.inputs), TARGET);
    case.check(got, |plain, x, _| times(x, &gradient(|x| target(plain, x), x)));
}

#[test]
fn integrated_gradients() {
    let case = case(3);
    let method = IntegratedGradients::new(&case.plain.sequential())
        .baseline(tensor(&case.baselines))
        .quadrature(Quadrature::RiemannMiddle)
        .n_steps(7);
    let local = |plain: &Plain, x: &[f64], b: &[f64]| {
        mean(7, middles(7).map(|alpha| gradient(|x| target(plain, x), &line(b, x, alpha))))
    };
    case.check(method.multiply_by_inputs(false).attribute(tensor(&case.inputs), TARGET), local);
    case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, b| times(&minus(x, b), &local(plain, x, b)));
}

#[test]
fn deep_lift() {
    let case = case(12);
    let method = DeepLift::new(&case.plain.sequential()).baseline(tensor(&case.baselines));
    let multipliers = |plain: &Plain, x: &[f64], b: &[f64]| plain.multipliers(x, b, TARGET);
    case.check(method.multiply_by_inputs(false).attribute(tensor(&case.inputs), TARGET), multipliers);
    case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, b| {
        times(&minus(x, b), &multipliers(plain, x, b))
    });
}

#[test]
fn relevance() {
    let case = case(13);
    let net = case.plain.sequential();
    let method = LRP::new(&net);
    case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, _| plain.relevance(x, TARGET, 0));
    for (layer, name) in LAYERS.iter().enumerate() {
        let method = LayerLRP::new(&net, *name);
        let of_output = method.attribute(tensor(&case.inputs), TARGET);
        case.check(of_output, |plain, x, _| plain.relevance(x, TARGET, layer + 1));
        let of_input = method.attribute_to_layer_input(true).attribute(tensor(&case.inputs), TARGET);
        case.check(of_input, |plain, x, _| plain.relevance(x, TARGET, layer));
    }
}

#[test]
fn layer_integrated_gradients() {
    let case = case(4);
    for (layer, name) in LAYERS.iter().enumerate().take(4) {
        let method = LayerIntegratedGradients::new(&case.plain.sequential(), *name)
            .baseline(tensor(&case.baselines))
            .quadrature(Quadrature::RiemannMiddle)
            .n_steps(5);
        case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, b| {
            let (y0, y1) = (plain.up_to_layer(layer, b), plain.up_to_layer(layer, x));
            let points = middles(5).map(|alpha| line(&y0, &y1, alpha));
            let average = mean(5, points.map(|y| gradient(|y| above(plain, layer, y), &y)));
            times(&minus(&y1, &y0), &average)
        });
    }
}

#[test]
fn layer_conductance() {
    let case = case(5);
    for (layer, name) in LAYERS.iter().enumerate().take(4) {
        let method = LayerConductance::new(&case.plain.sequential(), *name)
            .baseline(tensor(&case.baselines))
            .quadrature(Quadrature::RiemannLeft)
            .n_steps(6);
        case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, b| {
            let activation = |k: usize| plain.up_to_layer(layer, &line(b, x, k as f64 / 7.));
            let flow = |k: usize| {
                let slope = gradient(|y| above(plain, layer, y), &activation(k));
                times(&slope, &minus(&activation(k + 1), &activation(k)))
            };
            mean(1, (0..6).map(flow))
        });
    }
}

#[test]
fn layer_activation() {
    let case = case(6);
    for (layer, name) in LAYERS.iter().enumerate() {
        let got = LayerActivation::new(&case.plain.sequential(), *name).attribute(tensor(&case.inputs));
        case.check(got, |plain, x, _| plain.up_to_layer(layer, x));
    }
}

#[test]
fn layer_gradient_x_activation() {
    let case = case(7);
    for (layer, name) in LAYERS.iter().enumerate().take(4) {
        let method = LayerGradientXActivation::new(&case.plain.sequential(), *name);
        let slope = |plain: &Plain, y: &[f64]| gradient(|y| above(plain, layer, y), y);
        case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, _| {
            let y = plain.up_to_layer(layer, x);
            times(&y, &slope(plain, &y))
        });
        case.check(method.multiply_by_inputs(false).attribute(tensor(&case.inputs), TARGET), |plain, x, _| {
            slope(plain, &plain.up_to_layer(layer, x))
        });
    }
}

#[test]
fn internal_influence() {
    let case = case(8);
    for (layer, name) in LAYERS.iter().enumerate().take(4) {
        let method = InternalInfluence::new(&case.plain.sequential(), *name)
            .baseline(tensor(&case.baselines))
            .quadrature(Quadrature::RiemannMiddle)
            .n_steps(5);
        case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, b| {
            let points = middles(5).map(|alpha| plain.up_to_layer(layer, &line(b, x, alpha)));
            mean(5, points.map(|y| gradient(|y| above(plain, layer, y), &y)))
        });
    }
}

#[test]
fn neuron_conductance() {
    let case = case(9);
    for (layer, name) in LAYERS.iter().enumerate().take(4) {
        let neuron = 2;
        let method = NeuronConductance::new(&case.plain.sequential(), *name, neuron)
            .baseline(tensor(&case.baselines))
            .quadrature(Quadrature::RiemannMiddle)
            .n_steps(5);
        let local = |plain: &Plain, x: &[f64], b: &[f64]| {
            let through = |point: Vec<f64>| {
                let above = gradient(|y| above(plain, layer, y), &plain.up_to_layer(layer, &point))[neuron];
                let below = gradient(|x| plain.up_to_layer(layer, x)[neuron], &point);
                below.iter().map(|below| above * below).collect()
            };
            mean(5, middles(5).map(|alpha| through(line(b, x, alpha))))
        };
        case.check(method.multiply_by_inputs(false).attribute(tensor(&case.inputs), TARGET), local);
        case.check(method.attribute(tensor(&case.inputs), TARGET), |plain, x, b| {
            times(&minus(x, b), &local(plain, x, b))
        });
    }
}

#[test]
fn neuron_gradient() {
    let case = case(10);
    for (layer, name) in LAYERS.iter().enumerate() {
        let got = NeuronGradient::new(&case.plain.sequential(), *name, 1).attribute(tensor(&case.inputs));
        case.check(got, |plain, x, _| gradient(|x| plain.up_to_layer(layer, x)[1], x));
    }
}

#[test]
fn neuron_integrated_gradients() {
    let case = case(11);
    for (layer, name) in LAYERS.iter().enumerate() {
        let method = NeuronIntegratedGradients::new(&case.plain.sequential(), *name, 1)
            .baseline(tensor(&case.baselines))
            .quadrature(Quadrature::RiemannMiddle)
            .n_steps(5);
        case.check(method.attribute(tensor(&case.inputs)), |plain, x, b| {
            let slope = |point: &[f64]| gradient(|x| plain.up_to_layer(layer, x)[1], point);
            times(&minus(x, b), &mean(5, middles(5).map(|alpha| slope(&line(b, x, alpha)))))
        });
    }
}

#[test]
fn every_method_has_a_twin() {
    let source = concat!(
        include_str!("twins.rs"),
        include_str!("shapley.rs"),
        include_str!("lime.rs"),
        include_str!("rectified.rs"),
        include_str!("deep_lift_layers.rs"),
        include_str!("gradient_shap.rs"),
        include_str!("noise_tunnel.rs"),
        include_str!("perturbation.rs"),
    );
    for info in candle_explain::attr::METHODS {
        let call = format!(" {}::new(", info.name);
        assert!(source.contains(&call), "{} has no twin", info.name);
    }
}
