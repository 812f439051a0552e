//! Every block, in every type and with every layout of its input, against central differences.

use candle_explain::candle_core;
use candle_explain::nn::{LayerNorm, avg_pool2d, max, max_pool2d, softmax};
use candle_explain::prelude::*;

use crate::plain::numbers;
use crate::tidy::PACKAGES;

type Operation = dyn Fn(&Tensor) -> candle_core::Result<Tensor>;

/// A block with the shape of an input and the weights whose gradients it gives.
struct Block {
    name: &'static str,
    shape: Vec<usize>,
    operation: Box<Operation>,
    weights: Vec<(String, Var)>,
}

const DTYPES: [DType; 4] = [DType::F64, DType::F32, DType::F16, DType::BF16];

fn tensor(seed: u64, shape: &[usize], dtype: DType) -> Tensor {
    let values: Vec<f64> = numbers(seed).take(shape.iter().product()).collect();
    // Eighths: the same numbers in every type.
    let values = values.iter().map(|x| (x * 8.).round() / 8. + 1. / 64.).collect();
    Tensor::from_vec::<_, f64>(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn blocks(dtype: DType) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut add = |name, shape: &[usize], weights, operation: Box<Operation>| {
        blocks.push(Block { name, shape: shape.to_vec(), operation, weights });
    };
    let activations = [
        ("Activation::Relu", Activation::Relu),
        ("Activation::LeakyRelu", Activation::LeakyRelu { slope: 0.125 }),
        ("Activation::Elu", Activation::Elu { alpha: 0.75 }),
        ("Activation::Sigmoid", Activation::Sigmoid),
        ("Activation::Tanh", Activation::Tanh),
        ("Activation::Softplus", Activation::Softplus),
        ("Activation::Gelu", Activation::Gelu),
    ];
    for (name, kind) in activations {
        add(name, &[3, 4], Vec::new(), Box::new(move |x| kind.forward(x)));
    }

    let linear = Linear::from_weights(&tensor(1, &[5, 4], dtype), Some(&tensor(2, &[5], dtype))).unwrap();
    let (tracked, frozen) = (linear.clone(), linear.clone());
    add("Linear::forward", &[2, 3, 4], linear.named_parameters("linear"), Box::new(move |x| tracked.forward(x)));
    add("Linear::forward_frozen", &[2, 3, 4], Vec::new(), Box::new(move |x| frozen.forward_frozen(x)));

    let norm = LayerNorm::new(&tensor(3, &[4], dtype), &tensor(4, &[4], dtype), 1e-2).unwrap();
    let (tracked, frozen) = (norm.clone(), norm.clone());
    add("LayerNorm::forward", &[2, 3, 4], norm.named_parameters("norm"), Box::new(move |x| tracked.forward(x)));
    add("LayerNorm::forward_frozen", &[2, 3, 4], Vec::new(), Box::new(move |x| frozen.forward_frozen(x)));

    let conv = Conv2d::from_weights(&tensor(5, &[4, 1, 2, 3], dtype), Some(&tensor(6, &[4], dtype)), (2, 1), (0, 1));
    let conv = conv.unwrap().with_groups(2).unwrap().with_dilation((1, 2)).unwrap();
    let (tracked, frozen) = (conv.clone(), conv.clone());
    add("Conv2d::forward", &[2, 2, 5, 6], conv.named_parameters("conv"), Box::new(move |x| tracked.forward(x)));
    add("Conv2d::forward_frozen", &[2, 2, 5, 6], Vec::new(), Box::new(move |x| frozen.forward_frozen(x)));

    add("max_pool2d", &[2, 2, 5, 6], Vec::new(), Box::new(|x| max_pool2d(x, (2, 3), (2, 1))));
    add("avg_pool2d", &[2, 2, 5, 6], Vec::new(), Box::new(|x| avg_pool2d(x, (2, 3), (2, 1))));
    add("max", &[3, 4, 2], Vec::new(), Box::new(|x| max(x, 1)));
    add("softmax", &[3, 4], Vec::new(), Box::new(|x| softmax(x, D::Minus1)));
    add("softmax over the first axis", &[3, 4], Vec::new(), Box::new(|x| softmax(x, 0)));
    blocks
}

fn host(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Distinct values, far from kinks and ties, that every type holds exactly.
fn input(shape: &[usize], dtype: DType) -> Tensor {
    let count: usize = shape.iter().product();
    // 37 has no divisor in common with a power of two, so the values are all different.
    let values = (0..count).map(|i| ((i * 37 + 11) % 128) as f64 / 32. - 2. + 1. / 64.).collect::<Vec<_>>();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// Σ weight · y, with weights that depend on the place alone.
fn scalar(y: &Tensor) -> Tensor {
    let weights: Vec<f64> = (0..y.elem_count()).map(|i| (i as f64 * 1.7).sin() + 0.25).collect();
    let weights = Tensor::from_vec(weights, y.dims(), &Device::Cpu).unwrap();
    (y.to_dtype(DType::F64).unwrap() * weights).unwrap().sum_all().unwrap()
}

fn differences(var: &Var, value: &dyn Fn() -> f64) -> Vec<f64> {
    let (place, shape) = (host(var), var.dims().to_vec());
    let at = |index: usize, by: f64| {
        let mut moved = place.clone();
        moved[index] += by;
        var.set(&Tensor::from_vec(moved, shape.as_slice(), &Device::Cpu).unwrap()).unwrap();
        value()
    };
    let slope = |index: usize, h: f64| (at(index, h) - at(index, -h)) / (2. * h);
    let slopes = (0..place.len()).map(|index| (4. * slope(index, 5e-5) - slope(index, 1e-4)) / 3.).collect();
    var.set(&Tensor::from_vec(place.clone(), shape.as_slice(), &Device::Cpu).unwrap()).unwrap();
    slopes
}

fn assert_near(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1f64, |largest, x| largest.max(x.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= tolerance * scale, "{what} at {index}: {got} instead of {expected}");
    }
}

#[test]
fn gradients_are_slopes_in_every_type() {
    for (index, reference) in blocks(DType::F64).iter().enumerate() {
        let x = Var::from_tensor(&input(&reference.shape, DType::F64)).unwrap();
        let value = || scalar(&(reference.operation)(&x).unwrap()).to_scalar::<f64>().unwrap();
        let y = host(&(reference.operation)(&x).unwrap());
        let slopes = differences(&x, &value);
        let of_weights: Vec<_> = reference.weights.iter().map(|(_, var)| differences(var, &value)).collect();
        for dtype in DTYPES {
            let Block { name, shape, operation, weights } = &blocks(dtype)[index];
            let tolerance = match dtype {
                DType::F64 => 1e-8,
                DType::F32 => 3e-6,
                DType::F16 => 5e-3,
                _ => 4e-2,
            };
            let x = Var::from_tensor(&input(shape, dtype)).unwrap();
            let result = operation(&x).unwrap();
            assert_eq!(result.dtype(), dtype, "{name}");
            assert_near(&format!("{name} in {dtype:?}"), &host(&result), &y, tolerance);
            let gradients = scalar(&result).backward().unwrap();
            let gradient = gradients.get(&x).unwrap();
            assert_near(&format!("the gradient of {name} in {dtype:?}"), &host(gradient), &slopes, tolerance);
            for ((weight, var), slopes) in weights.iter().zip(&of_weights) {
                let gradient = gradients.get(var).unwrap();
                assert_near(&format!("the gradient of {weight} in {dtype:?}"), &host(gradient), slopes, tolerance);
            }
        }
    }
}

#[test]
fn a_frozen_block_has_the_values_of_the_one_that_trains_and_no_gradient_of_weights() {
    let blocks = blocks(DType::F32);
    let with_weights = blocks.iter().filter(|block| !block.weights.is_empty());
    for tracked in with_weights {
        let frozen = blocks.iter().find(|block| block.name == format!("{}_frozen", tracked.name)).unwrap();
        let x = input(&tracked.shape, DType::F32);
        let [tracks, freezes] = [tracked, frozen].map(|block| (block.operation)(&x).unwrap());
        assert_near(frozen.name, &host(&freezes), &host(&tracks), 1e-6);
        assert!(tracks.track_op() && !freezes.track_op(), "{}", tracked.name);
    }
}

/// An input as a view of another tensor, and how the view is made.
type View = (&'static str, fn(&Tensor) -> Tensor, fn(&Tensor) -> candle_core::Result<Tensor>);

const VIEWS: [View; 3] = [
    (
        "transposed",
        |x| x.transpose(x.rank() - 2, x.rank() - 1).unwrap().contiguous().unwrap(),
        |view| view.transpose(view.rank() - 2, view.rank() - 1),
    ),
    (
        "narrowed",
        |x| Tensor::cat(&[x, x, x], x.rank() - 1).unwrap(),
        |view| {
            let width = view.dims()[view.rank() - 1] / 3;
            view.narrow(view.rank() - 1, width, width)
        },
    ),
    ("permuted", |x| x.transpose(0, 1).unwrap().contiguous().unwrap(), |view| view.transpose(0, 1)),
];

#[test]
fn views_give_what_tensors_of_their_own_give() {
    for Block { name, shape, operation, .. } in blocks(DType::F64) {
        let x = input(&shape, DType::F64);
        let alone = Var::from_tensor(&x).unwrap();
        let y = operation(&alone).unwrap();
        let expected = scalar(&y).backward().unwrap().remove(&alone).unwrap();
        for (kind, stored, view) in VIEWS {
            let var = Var::from_tensor(&stored(&x)).unwrap();
            let seen = view(&var).unwrap();
            let result = operation(&seen).unwrap();
            assert_near(&format!("{name} of a {kind} tensor"), &host(&result), &host(&y), 1e-13);
            let gradient = scalar(&result).backward().unwrap().remove(&var).unwrap();
            let gradient = view(&gradient).unwrap();
            let what = format!("the gradient of {name} at a {kind} tensor");
            assert_near(&what, &host(&gradient), &host(&expected), 1e-13);
        }
        let row = Var::from_tensor(&x.narrow(0, 0, 1).unwrap()).unwrap();
        let spread = operation(&row.broadcast_as(shape.as_slice()).unwrap()).unwrap();
        let rows = Tensor::cat(&vec![row.as_detached_tensor(); shape[0]], 0).unwrap();
        assert_near(name, &host(&spread), &host(&operation(&rows).unwrap()), 1e-13);
        assert!(scalar(&spread).backward().unwrap().get(&row).is_some(), "{name}");
    }
}

/// The names that the blocks above go by: functions as they are, methods and kinds behind their type.
fn names_in_source(file: &str, source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    let (mut names, mut of_type, mut inside_kinds) = (Vec::new(), None, false);
    for line in code.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            let name = rest.split(" for ").last().unwrap().split(|c: char| !c.is_alphanumeric()).next().unwrap();
            of_type = Some(name.to_string());
        } else if line == "}" {
            (of_type, inside_kinds) = (None, false);
        }
        inside_kinds |= line == "pub enum Activation {";
        let kind = line.strip_prefix("    ").filter(|name| inside_kinds && name.starts_with(char::is_uppercase));
        names.extend(kind.map(|kind| format!("Activation::{}", kind.trim_end_matches([',', '{', ' ']))));
        let function = line.trim_start().strip_prefix("pub fn ");
        let gives_tensor = line.ends_with("Result<Tensor> {");
        if let Some(function) = function.filter(|_| gives_tensor) {
            let name = function.split('(').next().unwrap();
            names.push(of_type.as_ref().map_or(name.to_string(), |of_type| format!("{of_type}::{name}")));
        }
        if line.starts_with("impl Module for ") && file != "activation.rs" {
            names.push(format!("{}::forward", of_type.as_ref().unwrap()));
        }
    }
    names
}

#[test]
fn every_block_is_here() {
    let here: Vec<&str> = blocks(DType::F64).iter().map(|block| block.name).collect();
    let mut found = 0;
    for (path, text) in PACKAGES[0].files() {
        if PACKAGES[0].module(&path) != "nn" {
            continue;
        }
        let file = path.file_name().unwrap().to_str().unwrap();
        for name in names_in_source(file, &text) {
            assert!(here.contains(&name.as_str()), "{name} in {file} has no test of its backward");
            found += 1;
        }
    }
    // One block more is here than there are names: softmax stands for two axes.
    assert_eq!(found + 1, here.len(), "{here:?}");
}
