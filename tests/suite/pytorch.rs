//! Convolution, pooling and their training over many shapes, against what PyTorch gives
//! (`tests/pytorch/generate.py`).

use candle_explain::nn::{avg_pool2d, max_pool2d};
use candle_explain::prelude::*;
use serde_json::Value;

fn cases(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../pytorch/blocks.json")).unwrap();
    let cases = all[kind].as_array().unwrap().clone();
    assert!(cases.len() >= 10, "{kind}");
    cases
}

fn sizes(case: &Value, key: &str) -> Vec<usize> {
    case[key].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

fn pair(case: &Value, key: &str) -> (usize, usize) {
    let sizes = sizes(case, key);
    (sizes[0], sizes[1])
}

fn wave(shape: &[usize], phase: f64, scale: f64) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| scale * (1.3 * i as f64 + phase).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn sum_with_wave(tensor: &Tensor, phase: f64) -> f64 {
    let weighted = (tensor * wave(tensor.dims(), phase, 1.)).unwrap();
    weighted.sum_all().unwrap().to_scalar().unwrap()
}

#[track_caller]
fn assert_seen(tensor: &Tensor, expected: &Value, what: &str) {
    for (phase, expected) in [0., 0.5, 1.].into_iter().zip(expected.as_array().unwrap()) {
        let (got, expected) = (sum_with_wave(tensor, phase), expected.as_f64().unwrap());
        assert!((got - expected).abs() <= 1e-9 * expected.abs().max(1.), "{what}: {got} instead of {expected}");
    }
}

#[track_caller]
fn assert_results(y: &Tensor, parts: &[(&str, &Var)], expected: &Value, what: &str) {
    assert_eq!(y.dims(), sizes(expected, "shape"), "{what}");
    assert_seen(y, &expected["y"], what);
    let gradients = (y * wave(y.dims(), 0.7, 1.)).unwrap().sum_all().unwrap().backward().unwrap();
    for (name, var) in parts {
        assert_seen(gradients.get(var).unwrap(), &expected[*name], &format!("{name} of {what}"));
    }
}

#[test]
fn convolutions_of_many_shapes() {
    for case in cases("convolution") {
        let shape = sizes(&case, "weight");
        let (weight, bias) = (wave(&shape, 0.4, 0.7), wave(&shape[..1], 0.8, 0.2));
        let conv = Conv2d::from_weights(&weight, Some(&bias), pair(&case, "stride"), pair(&case, "padding")).unwrap();
        let conv = conv.with_dilation(pair(&case, "dilation")).unwrap();
        let conv = conv.with_groups(case["groups"].as_u64().unwrap() as usize).unwrap();
        let x = Var::from_tensor(&wave(&sizes(&case, "x"), 0.1, 1.)).unwrap();
        let parts = [("dx", &x), ("dweight", conv.weight()), ("dbias", conv.bias().unwrap())];
        assert_results(&conv.forward(&x).unwrap(), &parts, &case, &case.to_string());
        assert_results(&conv.forward_frozen(&x).unwrap(), &parts[..1], &case, &case.to_string());
    }
}

#[test]
fn pooling_of_many_shapes() {
    for case in cases("pooling") {
        let x = wave(&sizes(&case, "x"), 0.1, 1.5);
        let x = if case["tied"] == true { x.round().unwrap() } else { x };
        let x = Var::from_tensor(&x).unwrap();
        let (kernel, stride) = (pair(&case, "kernel"), pair(&case, "stride"));
        let what = case.to_string();
        assert_results(&max_pool2d(&x, kernel, stride).unwrap(), &[("dx", &x)], &case["max"], &what);
        assert_results(&avg_pool2d(&x, kernel, stride).unwrap(), &[("dx", &x)], &case["avg"], &what);
    }
}

#[test]
fn trainings_take_the_same_course() {
    for case in cases("training") {
        let (height, width) = pair(&case, "size");
        let kernel = sizes(&case, "kernel");
        let weight = wave(&[3, 1, kernel[0], kernel[1]], 0.4, 0.7);
        let (stride, padding) = (pair(&case, "stride"), pair(&case, "padding"));
        let conv = Conv2d::from_weights(&weight, Some(&wave(&[3], 0.8, 0.2)), stride, padding).unwrap();
        let above = case["width"].as_u64().unwrap() as usize;
        let head = Linear::from_weights(&wave(&[2, above], 0.3, 0.3), Some(&wave(&[2], 0.6, 0.1))).unwrap();
        let parameters: Parameters =
            [conv.named_parameters("conv"), head.named_parameters("head")].concat().into_iter().collect();
        let pool = pair(&case, "pool");
        let below = conv.clone();
        let model = from_fn(move |input, _| {
            let images = input.first().reshape(((), 1, height, width))?;
            Ok(head.forward(&max_pool2d(&below.forward(&images)?.tanh()?, pool, 1)?.flatten_from(1)?)?)
        });
        let pixels = height * width;
        let names = (0..pixels).map(|pixel| pixel.to_string());
        let data = Dataset::new(wave(&[6, pixels], 0.1, 1.), names, vec![0, 1, 1, 0, 1, 0]).unwrap();
        let history = Trainer::adam(0.02).epochs(8).fit_parameters(&model, parameters, &data).unwrap();
        for (got, expected) in history.losses().iter().zip(case["losses"].as_array().unwrap()) {
            assert!((got - expected.as_f64().unwrap()).abs() < 1e-8, "{case}: {:?}", history.losses());
        }
        assert_seen(conv.weight(), &case["weight"], "the trained weight");
    }
}
