//! LRP: each rule against its formula, conservation, layers, encoders.

use std::path::Path;

use candle_explain::candle_nn;
use candle_explain::nn::{AvgPool2d, LayerNorm, MatMul, Max, MaxPool2d, Multiply, Softmax};
use candle_explain::prelude::*;

use crate::plain::{Square, numbers as drawn};
use crate::subjects::subjects;

pub const EXACT: LrpRule = LrpRule::Epsilon(0.);

/// sin(1.7 i + 0.9 seed) in row-major order.
pub fn wave(seed: usize, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| (1.7 * i as f64 + 0.9 * seed as f64).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub fn random(seed: u64, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_vec(drawn(seed).take(count).collect::<Vec<f64>>(), shape, &Device::Cpu).unwrap()
}

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
pub fn assert_near(got: &Tensor, expected: &[f64], tolerance: f64) {
    let got = numbers(got);
    assert_eq!(got.len(), expected.len());
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= tolerance, "element {index}: {got} instead of {expected}");
    }
}

pub fn linear(weight: &Tensor, bias: Option<&Tensor>) -> Layer {
    Layer::Linear(Linear::from_weights(weight, bias).unwrap())
}

pub fn network(shape: &[usize], layers: Vec<(&str, Layer)>) -> Sequential {
    Sequential::from_layers(candle_explain::model::InputShape::from(shape), layers).unwrap()
}

/// The MLP that Captum's numbers below are of.
pub fn mlp(activation: Activation) -> Sequential {
    let dense = |index: usize, outputs: usize| {
        linear(&wave(index, &[outputs, 4]), Some(&(wave(index + 10, &[outputs]) * 0.3).unwrap()))
    };
    let active = || Layer::Activation(activation);
    network(
        &[4],
        vec![("l1", dense(1, 4)), ("a1", active()), ("l2", dense(2, 4)), ("a2", active()), ("l3", dense(3, 2))],
    )
}

/// One dense layer by a rule, written out: relevance of the output to relevance of the input.
fn twin(rule: LrpRule, weight: &[Vec<f64>], bias: &[f64], without_bias: bool, x: &[f64], above: &[f64]) -> Vec<f64> {
    let stable = |z: f64, epsilon: f64| if z >= 0. { z + epsilon } else { z - epsilon };
    let mut below = vec![0.; x.len()];
    for (j, row) in weight.iter().enumerate() {
        let bias = if without_bias { 0. } else { bias[j] };
        let parts: Vec<f64> = match rule {
            LrpRule::Epsilon(_) => x.iter().zip(row).map(|(x, w)| x * w).collect(),
            LrpRule::Gamma(gamma) => x.iter().zip(row).map(|(x, w)| x * (w + gamma * w.max(0.))).collect(),
            LrpRule::Alpha1Beta0 => x.iter().zip(row).map(|(x, w)| x * w.max(0.)).collect(),
            LrpRule::ZPlus => x.iter().zip(row).map(|(x, w)| (x * w).max(0.)).collect(),
            LrpRule::Identity => (0..x.len()).map(|i| f64::from(u8::from(i == j))).collect(),
        };
        let sum: f64 = parts.iter().sum();
        let whole = match rule {
            LrpRule::Epsilon(epsilon) => stable(sum + bias, epsilon),
            LrpRule::Identity => 1.,
            LrpRule::ZPlus => stable(sum, 1e-9),
            _ => stable(sum + bias, 1e-9),
        };
        below.iter_mut().zip(parts).for_each(|(below, part)| *below += part / whole * above[j]);
    }
    below
}

#[test]
fn every_rule_is_its_formula() {
    const RULES: [LrpRule; 6] = [
        LrpRule::Epsilon(1e-9),
        LrpRule::Epsilon(0.3),
        LrpRule::Gamma(0.25),
        LrpRule::Alpha1Beta0,
        LrpRule::ZPlus,
        LrpRule::Identity,
    ];
    for seed in 0..40 {
        let sizes = [4, 4, 4, 2];
        let weights: Vec<Tensor> = (0..3).map(|i| random(seed * 10 + i as u64, &[sizes[i + 1], sizes[i]])).collect();
        let biases: Vec<Tensor> = (0..3).map(|i| random(seed * 10 + 5 + i as u64, &[sizes[i + 1]])).collect();
        let x = random(seed * 10 + 9, &[1, 4]);
        let names = ["first", "second", "third"];
        let layers = (0..3).flat_map(|i| {
            let dense = (names[i], linear(&weights[i], Some(&biases[i])));
            [dense, (["tanh1", "tanh2", "tanh3"][i], Layer::Activation(Activation::Tanh))]
        });
        let net = network(&[4], layers.collect());
        // A rule of its own for each layer; identity needs a square one.
        let rule = |layer: usize| match RULES[(seed as usize + 2 * layer) % RULES.len()] {
            LrpRule::Identity if layer == 2 => LrpRule::ZPlus,
            rule => rule,
        };
        let without_bias = seed % 2 == 1;
        let method = (0..3).fold(LRP::new(&net), |method, layer| method.rule(names[layer], rule(layer)));
        let got = method.set_bias_to_zero(without_bias).attribute(&x, 1).unwrap();

        let rows = |tensor: &Tensor| tensor.to_vec2::<f64>().unwrap();
        let mut activations = vec![numbers(&x)];
        for (weight, bias) in weights.iter().zip(&biases) {
            let last = activations.last().unwrap();
            let sums = rows(weight)
                .into_iter()
                .zip(numbers(bias))
                .map(|(row, bias)| row.iter().zip(last).map(|(w, x)| w * x).sum::<f64>() + bias);
            let active = sums.map(f64::tanh).collect();
            activations.push(active);
        }
        let mut relevance = vec![0., activations[3][1]];
        for layer in (0..3).rev() {
            let zeroed = without_bias && matches!(rule(layer), LrpRule::Gamma(_) | LrpRule::Alpha1Beta0);
            let (weight, bias) = (rows(&weights[layer]), numbers(&biases[layer]));
            relevance = twin(rule(layer), &weight, &bias, zeroed, &activations[layer], &relevance);
        }
        let largest = relevance.iter().fold(1., |largest: f64, value| largest.max(value.abs()));
        assert_near(got.tensor(), &relevance, 1e-8 * largest);
    }
}

/// A network of ReLU without biases, over images or rows.
fn without_biases(seed: u64, pool: Option<Layer>) -> (Sequential, Tensor) {
    let relu = || Layer::Activation(Activation::Relu);
    match pool {
        None => {
            let layers = vec![
                ("linear1", linear(&random(seed, &[9, 6]), None)),
                ("relu1", relu()),
                ("linear2", linear(&random(seed + 1, &[7, 9]), None)),
                ("relu2", relu()),
                ("linear3", linear(&random(seed + 2, &[3, 7]), None)),
            ];
            (network(&[6], layers), random(seed + 3, &[4, 6]))
        }
        Some(pool) => {
            let conv = |seed: u64, shape: &[usize]| {
                Layer::Conv2d(Conv2d::from_weights(&random(seed, shape), None, 1, 1).unwrap())
            };
            let layers = vec![
                ("conv1", conv(seed, &[3, 2, 3, 3])),
                ("relu1", relu()),
                ("pool", pool),
                ("conv2", conv(seed + 1, &[4, 3, 3, 3])),
                ("relu2", relu()),
                ("flatten", Layer::Flatten),
                ("linear", linear(&random(seed + 2, &[3, 36]), None)),
            ];
            (network(&[2, 6, 6], layers), random(seed + 3, &[4, 2, 6, 6]))
        }
    }
}

#[test]
fn nothing_is_lost_without_biases() {
    let pools = || {
        let (kernel, stride) = ((2, 2), (2, 2));
        [
            None,
            Some(Layer::MaxPool2d(MaxPool2d { kernel, stride })),
            Some(Layer::AvgPool2d(AvgPool2d { kernel, stride })),
        ]
    };
    for seed in (0..200).step_by(10) {
        for pool in pools() {
            let (net, x) = without_biases(seed, pool);
            let scale = numbers(&net.predict(&x).unwrap()).iter().fold(1., |scale: f64, value| scale.max(value.abs()));
            let exact = LRP::new(&net).default_rule(EXACT).attribute(&x, 1).unwrap();
            assert!(exact.convergence_delta().unwrap().max_abs() < 1e-12 * scale);
            assert!(!exact.remarks().join("; ").contains("not conserved"), "{:?}", exact.remarks());
            let usual = LRP::new(&net).attribute(&x, 1).unwrap();
            assert!(usual.convergence_delta().unwrap().max_abs() < 1e-6 * scale);
            for layer in net.layers().iter().map(|(name, _)| name.as_str()) {
                let of_layer = LayerLRP::new(&net, layer).default_rule(EXACT).attribute(&x, 1).unwrap();
                assert!(of_layer.convergence_delta().unwrap().max_abs() < 1e-12 * scale, "{layer}");
            }
        }
    }
}

#[test]
fn nothing_is_lost_by_epsilon_beyond_a_billionth() {
    for seed in (0..100).step_by(10) {
        let (net, x) = without_biases(seed, None);
        let delta = LRP::new(&net).attribute(&x, 1).unwrap().convergence_delta().unwrap().max_abs();
        // Each of 17 outputs loses at most ε times its multiplier.
        assert!(delta < 1e-9 * 17. * 40., "{delta:e}");
    }
}

#[test]
fn z_plus_gives_relevance_one_sign() {
    let (net, x) = without_biases(77, Some(Layer::AvgPool2d(AvgPool2d { kernel: (2, 2), stride: (2, 2) })));
    let output = net.predict(&x).unwrap().to_vec2::<f64>().unwrap();
    let result = LRP::new(&net).default_rule(LrpRule::ZPlus).attribute(&x, 2).unwrap();
    for (row, output) in output.iter().enumerate() {
        let relevance = numbers(&result.tensor().narrow(0, row, 1).unwrap());
        assert!(relevance.iter().all(|relevance| relevance * output[2] >= 0.), "{relevance:?} of {output:?}");
        assert!((relevance.iter().sum::<f64>() - output[2]).abs() < 1e-6 * output[2].abs().max(1.));
    }
    // Where inputs are at least 0, it is alpha1-beta0 without biases.
    let (positive, plus) = (x.abs().unwrap(), LRP::new(&net).default_rule(LrpRule::ZPlus));
    let alpha = LRP::new(&net).default_rule(LrpRule::Alpha1Beta0).set_bias_to_zero(true);
    let expected = alpha.attribute(&positive, 2).unwrap();
    assert_near(plus.attribute(&positive, 2).unwrap().tensor(), &numbers(expected.tensor()), 1e-12);
}

#[test]
fn a_gamma_without_end_is_alpha1_beta0() {
    let (net, x) = without_biases(55, None);
    let x = x.abs().unwrap();
    let gamma = LRP::new(&net).default_rule(LrpRule::Gamma(1e9)).attribute(&x, 0).unwrap();
    let alpha = LRP::new(&net).default_rule(LrpRule::Alpha1Beta0).attribute(&x, 0).unwrap();
    assert_near(gamma.tensor(), &numbers(alpha.tensor()), 1e-5);
    let none = LRP::new(&net).default_rule(LrpRule::Gamma(0.)).attribute(&x, 0).unwrap();
    assert_near(none.tensor(), &numbers(LRP::new(&net).attribute(&x, 0).unwrap().tensor()), 1e-9);
}

#[test]
fn on_a_relu_network_epsilon_is_input_times_gradient_without_biases() {
    let (net, x) = without_biases(33, Some(Layer::MaxPool2d(MaxPool2d { kernel: (2, 2), stride: (2, 2) })));
    let relevance = LRP::new(&net).default_rule(EXACT).attribute(&x, 1).unwrap();
    let product = InputXGradient::new(&net).attribute(&x, 1).unwrap();
    assert_near(relevance.tensor(), &numbers(product.tensor()), 1e-12);
}

/// A model F = Σ v·y of one block.
pub fn around<B: Block + Clone + 'static>(block: B, readout: Tensor) -> LRP {
    LRP::new(from_fn(move |input, layers| {
        let inputs: Vec<&Tensor> = input.tensors().iter().collect();
        let output = layers.apply("block", &block, inputs.as_slice())?;
        let rows = output.dims()[0];
        Ok(output.broadcast_mul(&readout)?.reshape((rows, ()))?.sum(1)?)
    }))
}

#[test]
fn what_each_operation_gets_is_its_formula() {
    let (x, v) = (random(1, &[1, 5]), random(2, &[1, 5]));
    let (values, readout) = (numbers(&x), numbers(&v));
    let sum = |values: &[f64]| values.iter().sum::<f64>();

    let softmax = around(Softmax { axis: 1 }, v.clone()).attribute(&x, Target::None).unwrap();
    let exponentials: Vec<f64> = values.iter().map(|x| x.exp()).collect();
    let shares: Vec<f64> = exponentials.iter().map(|e| e / sum(&exponentials)).collect();
    let above: Vec<f64> = shares.iter().zip(&readout).map(|(s, v)| s * v).collect();
    let expected: Vec<f64> = (0..5).map(|i| values[i] * (above[i] - shares[i] * sum(&above))).collect();
    assert_near(softmax.tensor(), &expected, 1e-12);

    type Function = fn(f64) -> f64;
    let functions: [(Activation, Function); 3] = [
        (Activation::Tanh, |x| x.tanh()),
        (Activation::Sigmoid, |x| 1. / (1. + (-x).exp())),
        (Activation::LeakyRelu { slope: 0.1 }, |x| if x > 0. { x } else { 0.1 * x }),
    ];
    for (kind, function) in functions {
        let result = around(kind, v.clone()).attribute(&x, Target::None).unwrap();
        let expected: Vec<f64> = values.iter().zip(&readout).map(|(x, v)| function(*x) * v).collect();
        assert_near(result.tensor(), &expected, 1e-12);
        assert!(result.convergence_delta().unwrap().max_abs() < 1e-12);
    }

    let (scale, shift, eps) = (random(3, &[5]), random(4, &[5]), 1e-2);
    let mean = sum(&values) / 5.;
    for (rms, biased) in [(false, true), (false, false), (true, false)] {
        let centre = if rms { 0. } else { mean };
        let deviation = (values.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / 5. + eps).sqrt();
        let (w, b) = (numbers(&scale), if biased { numbers(&shift) } else { vec![0.; 5] });
        let y: Vec<f64> = (0..5).map(|j| (values[j] - centre) / deviation * w[j] + b[j]).collect();
        let slope = |j: usize, i: usize| w[j] / deviation * (f64::from(u8::from(i == j)) - if rms { 0. } else { 0.2 });
        let share = |j: usize| readout[j] * y[j] / (y[j] + 1e-9 * y[j].signum());
        let expected: Vec<f64> =
            (0..5).map(|i| values[i] * (0..5).map(|j| slope(j, i) * share(j)).sum::<f64>()).collect();
        let theirs = match (rms, biased) {
            (true, _) => candle_nn::LayerNorm::rms_norm(scale.clone(), eps),
            (_, true) => candle_nn::LayerNorm::new(scale.clone(), shift.clone(), eps),
            _ => candle_nn::LayerNorm::new_no_bias(scale.clone(), eps),
        };
        let got = around(theirs, v.clone()).attribute(&x, Target::None).unwrap();
        assert_near(got.tensor(), &expected, 1e-12);
        if !rms {
            let ours = match biased {
                true => LayerNorm::new(&scale, &shift, eps).unwrap(),
                false => LayerNorm::without_bias(&scale, eps).unwrap(),
            };
            assert_near(around(ours, v.clone()).attribute(&x, Target::None).unwrap().tensor(), &expected, 1e-12);
        }
        // What a bias adds is all that is lost.
        let lost: f64 = (0..5).map(|j| b[j] * readout[j]).sum();
        assert!((got.convergence_delta().unwrap().values()[0] - lost).abs() < 1e-7);
    }

    let (a, b) = (random(5, &[1, 2, 3]), random(6, &[1, 3, 4]));
    let upper = random(7, &[1, 2, 4]);
    let epsilon = 0.1;
    let product = around(MatMul, upper.clone()).default_rule(LrpRule::Epsilon(epsilon));
    let product = product.attribute([&a, &b], Target::None).unwrap();
    let (left, right, upper) = (numbers(&a), numbers(&b), numbers(&upper));
    let (mut of_left, mut of_right) = (vec![0.; 6], vec![0.; 12]);
    for j in 0..2 {
        for p in 0..4 {
            let y: f64 = (0..3).map(|i| left[3 * j + i] * right[4 * i + p]).sum();
            let share = upper[4 * j + p] * y / (2. * (y + epsilon * y.signum()));
            for i in 0..3 {
                let part = left[3 * j + i] * right[4 * i + p] * share;
                of_left[3 * j + i] += part;
                of_right[4 * i + p] += part;
            }
        }
    }
    assert_near(&product.values()[0], &of_left, 1e-12);
    assert_near(&product.values()[1], &of_right, 1e-12);

    let gate = around(Multiply, v.clone()).default_rule(EXACT).attribute([&x, &v], Target::None).unwrap();
    let halves: Vec<f64> = values.iter().zip(&readout).map(|(x, v)| 0.5 * x * v * v).collect();
    assert_near(&gate.values()[0], &halves, 1e-12);
    assert_near(&gate.values()[1], &halves, 1e-12);
    assert!(gate.convergence_delta().unwrap().max_abs() < 1e-12);

    let largest = around(Max { axis: 1 }, Tensor::new(&[2f64], &Device::Cpu).unwrap());
    let row = Tensor::new(&[[1f64, 4., -3.]], &Device::Cpu).unwrap();
    assert_near(largest.default_rule(EXACT).attribute(&row, Target::None).unwrap().tensor(), &[0., 8., 0.], 1e-12);
}

#[test]
fn at_0_relevance_is_that_of_the_limit() {
    let row = Tensor::new(&[[0f64, 0.5, -2.]], &Device::Cpu).unwrap();
    let ones = row.ones_like().unwrap();
    let squares = Tensor::new(&[[0f64, 0.25, 4.]], &Device::Cpu).unwrap();
    let result = around(Square, ones.clone()).attribute(&row, Target::None).unwrap();
    assert_near(result.tensor(), &numbers(&squares), 1e-12);
    // A sigmoid gives 0.5 for 0, which cannot be that input's.
    let result = around(Activation::Sigmoid, ones).attribute(&row, Target::None).unwrap();
    assert_eq!(numbers(result.tensor())[0], 0.);
    assert!((result.convergence_delta().unwrap().values()[0] - 0.5).abs() < 1e-12);
}

/// x + tanh(W x) twice with the same W, and what is not a block: a sum, a factor, a mean.
#[derive(Clone)]
pub struct Residual {
    pub dense: Linear,
}

impl Model for Residual {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let mut x = input.first().clone();
        for pass in 0..2 {
            let hidden = layers.apply(&format!("dense.{pass}"), &self.dense, &x)?;
            let active = layers.run(&Activation::Tanh, &hidden)?;
            x = layers.visit(&format!("sum.{pass}"), (active * 2.)?.add(&x)?)?;
        }
        Ok(x.mean(1)?)
    }
}

#[test]
fn sums_conserve_relevance_and_a_block_may_be_used_twice() {
    let net = Residual { dense: Linear::from_weights(&random(8, &[4, 4]), None).unwrap() };
    let x = random(9, &[3, 4]);
    let result = LRP::new(&net).default_rule(EXACT).attribute(&x, Target::None).unwrap();
    assert!(result.convergence_delta().unwrap().max_abs() < 1e-12);
    let middle = LayerLRP::new(&net, "sum.0").default_rule(EXACT).attribute(&x, Target::None).unwrap();
    assert!(middle.convergence_delta().unwrap().max_abs() < 1e-12);
    let changed = LRP::new(&net).rule("dense.1", LrpRule::Gamma(1.)).attribute(&x, Target::None).unwrap();
    let both = LRP::new(&net).default_rule(LrpRule::Gamma(1.)).attribute(&x, Target::None).unwrap();
    let each = LRP::new(&net).rule("dense.0", LrpRule::Gamma(1.)).rule("dense.1", LrpRule::Gamma(1.));
    assert_near(each.attribute(&x, Target::None).unwrap().tensor(), &numbers(both.tensor()), 1e-12);
    for (one, other) in [(&changed, &both), (&changed, &result)] {
        let apart = numbers(&(one.tensor() - other.tensor()).unwrap()).into_iter().fold(0., |a: f64, b| a.max(b.abs()));
        assert!(apart > 1e-3, "the rule of a layer reaches it and no other: {apart:e}");
    }
}

#[test]
fn layers_together_have_what_they_have_alone() {
    let (net, x) = (mlp(Activation::Tanh), wave(21, &[3, 4]));
    let layers = ["l1", "a1", "l2", "a2", "l3"];
    let together = LayerLRP::new(&net, layers).attribute(&x, 1).unwrap();
    let mut farthest = [0f64; 3];
    for (index, layer) in layers.into_iter().enumerate() {
        let alone = LayerLRP::new(&net, layer).attribute(&x, 1).unwrap();
        assert_near(together.value(index).unwrap(), &numbers(alone.tensor()), 1e-12);
        for (far, delta) in farthest.iter_mut().zip(alone.convergence_delta().unwrap().values()) {
            *far = if delta.abs() > far.abs() { *delta } else { *far };
        }
    }
    assert_near(&Tensor::new(together.convergence_delta().unwrap().values(), &Device::Cpu).unwrap(), &farthest, 1e-12);
    let at_input = LayerLRP::new(&net, "l1").attribute_to_layer_input(true).attribute(&x, 1).unwrap();
    assert_near(at_input.tensor(), &numbers(LRP::new(&net).attribute(&x, 1).unwrap().tensor()), 1e-12);
    let top = LayerLRP::new(&net, "l3").attribute(&x, 1).unwrap();
    assert_eq!(top.convergence_delta().unwrap().values(), [0.; 3], "all of the output is still at its place");
}

#[test]
fn other_blocks_with_weights_follow_every_rule() {
    let (weight, bias, x) = (random(11, &[3, 4]), random(12, &[3]), random(13, &[2, 4]));
    let readout = random(14, &[1, 3]);
    let ours = Linear::from_weights(&weight, Some(&bias)).unwrap();
    let theirs = candle_nn::Linear::new(weight, Some(bias));
    let kernel = random(15, &[3, 2, 2, 2]);
    let config = candle_nn::Conv2dConfig { stride: 2, ..Default::default() };
    let (image, over) = (random(16, &[2, 2, 4, 4]), random(17, &[1, 3, 2, 2]));
    let sequence = candle_nn::Conv1d::new(random(18, &[3, 2, 2]), None, candle_nn::Conv1dConfig::default());
    let as_image = Conv2d::from_weights(&random(18, &[3, 2, 1, 2]), None, 1, 0).unwrap();
    let (steps, flat) = (random(19, &[2, 2, 5]), random(20, &[1, 3, 4]));
    for rule in [LrpRule::Epsilon(0.1), LrpRule::Gamma(0.3), LrpRule::Alpha1Beta0, LrpRule::ZPlus] {
        let of =
            |method: LRP, x: &Tensor| numbers(method.default_rule(rule).attribute(x, Target::None).unwrap().tensor());
        let expected = of(around(ours.clone(), readout.clone()), &x);
        let same = |got: Vec<f64>, expected: &[f64]| got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-11);
        assert!(same(of(around(theirs.clone(), readout.clone()), &x), &expected), "{rule:?}");
        assert!(same(of(around(std::sync::Arc::new(ours.clone()), readout.clone()), &x), &expected), "{rule:?}");
        let conv = Conv2d::from_weights(&kernel, None, 2, 0).unwrap();
        let expected = of(around(conv, over.clone()), &image);
        let got = of(around(candle_nn::Conv2d::new(kernel.clone(), None, config), over.clone()), &image);
        assert!(same(got, &expected), "{rule:?}");
        let expected = of(around(as_image.clone(), flat.unsqueeze(2).unwrap()), &steps.unsqueeze(2).unwrap());
        assert!(same(of(around(sequence.clone(), flat.clone()), &steps), &expected), "{rule:?}");
    }
}

#[test]
fn half_of_a_gate_goes_to_an_argument() {
    let net = from_fn(|input, layers| Ok(layers.run(&Multiply, &[input.first(), input.arg(0)?])?.sum(1)?));
    let (x, gate) = (random(31, &[2, 3]), random(32, &[2, 3]));
    let inputs = Inputs::from(&x).with_args([gate.clone()]);
    let result = LRP::new(net).default_rule(EXACT).attribute_to(&inputs, &Target::None).unwrap();
    let expected = ((&x * &gate).unwrap() * 0.5).unwrap();
    assert_near(result.tensor(), &numbers(&expected), 1e-12);
}

#[test]
fn encoders_have_relevance_of_every_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints");
    let mut folders: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let ids = Tensor::new(&[[2u32, 7, 9, 11, 5, 3], [2, 8, 8, 3, 1, 1]], &Device::Cpu).unwrap();
    for folder in folders.iter().filter(|folder| folder.join("config.json").exists()) {
        let name = folder.file_name().unwrap().display();
        let net = SequenceClassifier::from_pretrained(folder).unwrap().to_dtype(DType::F64).unwrap();
        let layers = net.layer_names(&ids).unwrap();
        let all = LayerLRP::new(&net, layers.clone()).attribute(&ids, 0).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(all.values().iter().flat_map(numbers).all(f64::is_finite), "{name}");

        let embeddings = LayerLRP::new(&net, "embeddings").attribute(&ids, 0).unwrap();
        let upper = FromLayer::new(&net, "embeddings");
        let relevance = LRP::new(&upper).attribute_to(&upper.inputs(&ids).unwrap(), &Target::Class(0)).unwrap();
        assert_near(relevance.tensor(), &numbers(embeddings.tensor()), 1e-9);
        let (output, delta) = (embeddings.output().unwrap(), embeddings.convergence_delta().unwrap());
        println!(
            "{name}: F(x) {:?}, delta {:?}; {:?}",
            output.to_vec2::<f64>().unwrap(),
            delta.values(),
            embeddings.remarks()
        );

        let single = net.to_dtype(DType::F32).unwrap();
        let single = LayerLRP::new(&single, "embeddings").attribute(&ids, 0).unwrap();
        let largest = numbers(embeddings.tensor()).iter().fold(1e-3, |largest: f64, x| largest.max(x.abs()));
        assert_near(single.tensor(), &numbers(embeddings.tensor()), 1e-3 * largest);
    }
}

#[test]
fn a_batch_of_any_size_gives_the_same_numbers() {
    for subject in subjects(DType::F64) {
        let whole = LRP::new(subject.model.clone()).attribute_to(&subject.inputs, &Target::Class(1)).unwrap();
        for row in 0..3 {
            let alone = LRP::new(subject.model.clone()).attribute_to(&subject.rows(row, 1), &Target::Class(1)).unwrap();
            for (alone, whole) in alone.values().iter().zip(whole.values()) {
                assert_near(alone, &numbers(&whole.narrow(0, row, 1).unwrap()), 1e-10);
            }
            let delta = alone.convergence_delta().unwrap().values()[0];
            assert!((delta - whole.convergence_delta().unwrap().values()[row]).abs() < 1e-10, "{}", subject.name);
        }
    }
}
