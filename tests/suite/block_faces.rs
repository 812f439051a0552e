//! What every block computes and says of itself: gradients of each input against central differences, and whether it is
//! the operation that it tells rules of.

use candle_explain::candle_nn;
use candle_explain::nn::{AvgPool2d, LayerNorm, MatMul, Max, MaxPool2d, Multiply, Operation, Softmax};
use candle_explain::prelude::*;

use crate::gradients::ACTIVATIONS;
use crate::plain::numbers;
use crate::tidy::{PACKAGES, Package, code};

/// A block with tensors that fit it.
struct Case {
    name: &'static str,
    block: Box<dyn Block>,
    inputs: Vec<Tensor>,
}

fn tensor(seed: u64, shape: &[usize]) -> Tensor {
    let values: Vec<f64> = numbers(seed).take(shape.iter().product()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name, block: Box<dyn Block>, shapes: &[&[usize]]| {
        let inputs = shapes.iter().enumerate().map(|(index, shape)| tensor(70 + index as u64, shape)).collect();
        cases.push(Case { name, block, inputs });
    };
    let (weight, bias) = (tensor(1, &[5, 4]), tensor(2, &[5]));
    add("Linear", Box::new(Linear::from_weights(&weight, Some(&bias)).unwrap()), &[&[2, 3, 4]]);
    let conv = Conv2d::from_weights(&tensor(3, &[3, 2, 2, 3]), Some(&tensor(4, &[3])), (1, 2), (1, 0)).unwrap();
    add("Conv2d", Box::new(conv), &[&[2, 2, 4, 5]]);
    let (scale, shift) = (tensor(5, &[4]), tensor(6, &[4]));
    add("LayerNorm", Box::new(LayerNorm::new(&scale, &shift, 1e-2).unwrap()), &[&[2, 3, 4]]);
    add("LayerNorm", Box::new(LayerNorm::without_bias(&scale, 1e-2).unwrap()), &[&[2, 3, 4]]);
    for kind in ACTIVATIONS {
        add("Activation", Box::new(kind), &[&[2, 7]]);
    }
    add("Softmax", Box::new(Softmax { axis: 1 }), &[&[2, 4, 3]]);
    add("Max", Box::new(Max { axis: 1 }), &[&[2, 4, 3]]);
    add("MaxPool2d", Box::new(MaxPool2d { kernel: (2, 3), stride: (1, 2) }), &[&[2, 1, 4, 5]]);
    add("AvgPool2d", Box::new(AvgPool2d { kernel: (2, 3), stride: (1, 2) }), &[&[2, 1, 4, 5]]);
    add("MatMul", Box::new(MatMul), &[&[2, 3, 4], &[2, 4, 5]]);
    add("Multiply", Box::new(Multiply), &[&[2, 3], &[2, 3]]);
    add("Closure<F>", Box::new(block(|x: &Tensor| x.sin()?.sum(1))), &[&[2, 3]]);
    let layer = Sequential::builder(3).linear("linear", 2).build(Seed(1)).unwrap().layers()[0].1.clone();
    let Layer::Linear(linear) = layer else { panic!("not a linear layer") };
    add("Layer", Box::new(Layer::Linear(linear.to_dtype(DType::F64).unwrap())), &[&[2, 3]]);
    add("Arc<B>", Box::new(std::sync::Arc::new(Activation::Tanh)), &[&[2, 3]]);

    add("candle_nn::Linear", Box::new(candle_nn::Linear::new(weight, Some(bias))), &[&[2, 4]]);
    for (stride, padding) in [(1, 0), (2, 1)] {
        let config = candle_nn::Conv1dConfig { stride, padding, ..Default::default() };
        let conv = candle_nn::Conv1d::new(tensor(7, &[3, 2, 2]), Some(tensor(8, &[3])), config);
        add("candle_nn::Conv1d", Box::new(conv), &[&[2, 2, 5]]);
        let config = candle_nn::Conv2dConfig { stride, padding, ..Default::default() };
        let conv = candle_nn::Conv2d::new(tensor(9, &[3, 2, 2, 2]), Some(tensor(10, &[3])), config);
        add("candle_nn::Conv2d", Box::new(conv), &[&[2, 2, 5, 4]]);
    }
    use candle_nn::Activation as Theirs;
    for kind in [
        Theirs::Gelu,
        Theirs::NewGelu,
        Theirs::Relu,
        Theirs::Relu2,
        Theirs::Silu,
        Theirs::Sigmoid,
        Theirs::Swish,
        Theirs::Elu(0.7),
        Theirs::LeakyRelu(0.1),
        Theirs::GeluPytorchTanh,
        Theirs::Swiglu,
        Theirs::Relu6,
        Theirs::HardSigmoid,
        Theirs::HardSwish,
        Theirs::Mish,
    ] {
        add("candle_nn::Activation", Box::new(kind), &[&[2, 6]]);
    }
    add("candle_nn::LayerNorm", Box::new(candle_nn::LayerNorm::new(scale.clone(), shift, 1e-2)), &[&[2, 3, 4]]);
    add("candle_nn::LayerNorm", Box::new(candle_nn::LayerNorm::rms_norm(scale, 1e-2)), &[&[2, 3, 4]]);
    let ids = Tensor::new(&[[0u32, 2], [1, 1]], &Device::Cpu).unwrap();
    let embedding = candle_nn::Embedding::new(tensor(11, &[3, 4]), 4);
    cases.push(Case { name: "candle_nn::Embedding", block: Box::new(embedding), inputs: vec![ids] });
    cases
}

fn host(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn compute(case: &Case, inputs: &[Tensor]) -> Tensor {
    case.block.compute(&inputs.iter().collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_gradient_of_every_input_is_the_slope_and_weights_may_be_tracked() {
    for case in cases() {
        let output = compute(&case, &case.inputs);
        let tracked = case.block.compute_tracked(&case.inputs.iter().collect::<Vec<_>>()).unwrap();
        let same = host(&output).into_iter().zip(host(&tracked)).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(same, "{}: tracked weights change the values", case.name);
        let upper = tensor(90, output.dims());
        let number = |inputs: &[Tensor]| -> f64 { host(&(compute(&case, inputs) * &upper).unwrap()).iter().sum() };
        for (index, input) in case.inputs.iter().enumerate().filter(|(_, input)| input.dtype().is_float()) {
            let var = Var::from_tensor(input).unwrap();
            let mut inputs = case.inputs.clone();
            inputs[index] = var.as_tensor().clone();
            let scalar = (compute(&case, &inputs) * &upper).unwrap().sum_all().unwrap();
            let gradient = host(&scalar.backward().unwrap().remove(&var).unwrap());
            for (position, slope) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut values = host(input);
                    values[position] += by;
                    let mut inputs = case.inputs.clone();
                    inputs[index] = Tensor::from_vec(values, input.dims(), &Device::Cpu).unwrap();
                    number(&inputs)
                };
                let measured = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                // candle's own gelu has constants of 7 digits.
                assert!(
                    (measured - slope).abs() < 1e-6 * measured.abs().max(1.),
                    "{}, input {index}, element {position}: {slope} and {measured}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn every_block_is_the_operation_that_it_says() {
    for case in cases().into_iter().filter(|case| case.inputs[0].dtype().is_float()) {
        let name = case.name;
        let others: Vec<Tensor> =
            case.inputs.iter().enumerate().map(|(index, input)| tensor(80 + index as u64, input.dims())).collect();
        // f(x) + f(y) − f(x + y − z) − f(z) is 0 where f is affine.
        let affine_in = |moving: &[usize]| {
            let at = |x: f64, y: f64| {
                let mut inputs = case.inputs.clone();
                for &index in moving {
                    let moved = (&case.inputs[index] * x).unwrap() + (&others[index] * y).unwrap();
                    inputs[index] = moved.unwrap();
                }
                host(&compute(&case, &inputs))
            };
            let [a, b, c, d] = [at(1., 0.), at(0., 1.), at(0.7, 0.6), at(0.3, 0.4)];
            (0..a.len()).all(|i| (a[i] + b[i] - c[i] - d[i]).abs() < 1e-9)
        };
        match case.block.operation() {
            Operation::Affine => assert!(affine_in(&(0..case.inputs.len()).collect::<Vec<_>>()), "{name}"),
            Operation::Product => {
                assert!(affine_in(&[0]) && affine_in(&[1]) && !affine_in(&[0, 1]), "{name}");
            }
            operation @ (Operation::Elementwise | Operation::Relu) => {
                let base = host(&compute(&case, &case.inputs));
                for position in 0..base.len() {
                    let mut values = host(&case.inputs[0]);
                    values[position] += 0.3;
                    let moved = Tensor::from_vec(values, case.inputs[0].dims(), &Device::Cpu).unwrap();
                    let changed = host(&compute(&case, &[moved]));
                    assert!((0..base.len()).all(|other| other == position || base[other] == changed[other]), "{name}");
                }
                if matches!(operation, Operation::Relu) {
                    let positive: Vec<f64> = host(&case.inputs[0]).iter().map(|x| x.max(0.)).collect();
                    assert_eq!(base, positive, "{name}");
                }
            }
            Operation::Max(windows) => {
                let largest = windows(&case.inputs[0]).unwrap();
                let axis = largest.rank() - 1;
                assert_eq!(
                    host(&largest.contiguous().unwrap().max(axis).unwrap()),
                    host(&compute(&case, &case.inputs))
                );
            }
            Operation::Softmax { axis } => {
                let sums = compute(&case, &case.inputs).sum(axis).unwrap();
                assert!(host(&sums).iter().all(|sum| (sum - 1.).abs() < 1e-12), "{name}");
            }
            _ => {
                assert!(!affine_in(&(0..case.inputs.len()).collect::<Vec<_>>()), "{name} is affine and does not say so")
            }
        }
    }
}

#[test]
fn every_block_of_the_crate_is_here() {
    let here: Vec<&str> = cases().iter().map(|case| case.name).collect();
    // Flatten moves no number; the encoders' nonlinearities are compared with transformers' own, gradients included; a
    // pooled mean times a number is compared with Captum's under LRP's rules.
    let elsewhere = ["Flatten", "Nonlinearity", "Scaled<B>"];
    for (path, text) in PACKAGES.iter().flat_map(Package::files) {
        for line in code(&text).filter(|line| line.contains("Block for ") && line.starts_with("impl")) {
            let name = line.split("Block for ").nth(1).unwrap().trim_end_matches([' ', '{']);
            assert!(here.contains(&name) || elsewhere.contains(&name), "{name} of {} has no test", path.display());
        }
    }
}
