//! Neurons by index, by ranges and by a function.

use candle_explain::ErrorKind;
use candle_explain::prelude::*;

use crate::plain::{Plain, rows, tensor};

fn close(a: &Attributions, b: &Tensor) {
    assert_eq!(a.tensor().dims(), b.dims());
    let apart = (a.tensor() - b).unwrap().abs().unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert!(apart.iter().all(|apart| *apart < 1e-12), "{apart:?}");
}

fn net() -> Sequential {
    Plain::new(11).sequential()
}

fn sum(parts: impl IntoIterator<Item = Attributions>) -> Tensor {
    parts.into_iter().map(|part| part.tensor().clone()).reduce(|a, b| (a + b).unwrap()).unwrap()
}

#[test]
fn neurons_in_ranges_get_the_sum_of_what_each_gets() {
    let x = tensor(&rows(5, 3));
    let gradient = |neuron: Neuron| NeuronGradient::new(&net(), "tanh1", neuron).attribute(&x).unwrap();
    close(&gradient((1..4).into()), &sum((1..4).map(|j| gradient(j.into()))));
    let integrated = |neuron: Neuron| NeuronIntegratedGradients::new(&net(), "tanh1", neuron).attribute(&x).unwrap();
    close(&integrated((0..2).into()), &sum((0..2).map(|j| integrated(j.into()))));
    let conductance = |neuron: Neuron| NeuronConductance::new(&net(), "tanh1", neuron).attribute(&x, 1).unwrap();
    close(&conductance((0..3).into()), &sum((0..3).map(|j| conductance(j.into()))));
}

#[test]
fn axes_without_a_range_count_whole() {
    let net = Sequential::builder([1, 4, 4]).conv2d("conv", 2, 3).tanh("tanh").flatten("flat").linear("out", 2);
    let net = net.build(Seed(3)).unwrap();
    let x = Tensor::arange(0f32, 32., &Device::Cpu).unwrap().affine(0.05, -0.5).unwrap().reshape((2, 1, 4, 4)).unwrap();
    let gradient = |neuron: Neuron| NeuronGradient::new(&net, "tanh", neuron).attribute(&x).unwrap();
    let numbers = |result: &Attributions| result.tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(numbers(&gradient((1..2).into())), numbers(&gradient([1..2, 0..2, 0..2].into())));
    let corner = gradient([1..2, 0..1, 0..1].into());
    assert_eq!(numbers(&corner), numbers(&gradient([1, 0, 0].into())));
}

#[test]
fn a_function_of_the_layer_is_a_neuron() {
    let x = tensor(&rows(6, 4));
    let last = |activation: &Tensor| activation.narrow(1, 2, 1)?.squeeze(1);
    let by_function = NeuronGradient::new(&net(), "tanh1", Neuron::of(last)).attribute(&x).unwrap();
    close(&by_function, NeuronGradient::new(&net(), "tanh1", 2).attribute(&x).unwrap().tensor());
}

#[test]
fn neurons_that_are_not_there_are_told() {
    let x = tensor(&rows(6, 4));
    let gradient = |neuron: Neuron| {
        let error = NeuronGradient::new(&net(), "tanh1", neuron).attribute(&x).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        error.to_string()
    };
    assert!(gradient((3..9000).into()).contains("the neurons 3..9000 are out of range: layer \"tanh1\" gives"));
    assert!(gradient((2..2).into()).contains("each with a number in it"));
    assert!(gradient([0..1, 0..1].into()).contains("up to 1 ranges"));
    let whole = Neuron::of(|activation: &Tensor| Ok(activation.clone()));
    assert!(gradient(whole).contains("expected one number for each row"));
    let squares = Neuron::of(|activation: &Tensor| activation.sqr()?.sum(1));
    let error = NeuronConductance::new(&net(), "tanh1", squares).attribute(&x, 1).unwrap_err();
    assert!(error.to_string().contains("has no conductance"), "{error}");
}

#[test]
fn by_captums_rules_sums_over_neurons_are_multiplied() {
    let (plain, x) = (Plain::new(11), rows(5, 3));
    let conductance = |neuron: Neuron| NeuronConductance::new(&net(), "tanh1", neuron).captum_rules(true);
    // One point of the path: the middle.
    let of = |neuron: Neuron| {
        let method = conductance(neuron).quadrature(Quadrature::RiemannMiddle).n_steps(1);
        method.attribute(tensor(&x), 1).unwrap()
    };
    let slope = |f: &dyn Fn(&[f64]) -> f64, at: &[f64], index: usize| {
        let moved = |step: f64| {
            let mut at = at.to_vec();
            at[index] += step;
            f(&at)
        };
        (moved(1e-5) - moved(-1e-5)) / 2e-5
    };
    let expected: Vec<Vec<f64>> = x
        .iter()
        .map(|x| {
            let middle: Vec<f64> = x.iter().map(|x| x / 2.).collect();
            let hidden = plain.up_to_layer(1, &middle);
            let above: f64 = (1..4).map(|j| slope(&|y| plain.above_layer(2, y)[1], &hidden, j)).sum();
            let sum = |x: &[f64]| plain.up_to_layer(1, x)[1..4].iter().sum::<f64>();
            (0..4).map(|i| x[i] * above * slope(&sum, &middle, i)).collect()
        })
        .collect();
    crate::plain::assert_close(of((1..4).into()).tensor(), &expected, 1e-9);
    let function = Neuron::of(|activation: &Tensor| activation.narrow(1, 1, 3)?.sum(1));
    crate::plain::assert_close(of(function).tensor(), &expected, 1e-9);
    let one = conductance(2.into()).attribute(tensor(&x), 1).unwrap();
    close(&one, NeuronConductance::new(&net(), "tanh1", 2).attribute(tensor(&x), 1).unwrap().tensor());
}
