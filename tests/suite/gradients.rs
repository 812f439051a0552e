//! Every operation's backward against central differences in f64, and PyTorch's values at kinks.

use candle_explain::nn::{LayerNorm, avg_pool2d, max_pool2d, softmax};
use candle_explain::prelude::*;
use proptest::prelude::*;

type Operation = dyn Fn(&Tensor) -> candle_explain::candle_core::Result<Tensor>;

/// Every kind of activation.
pub const ACTIVATIONS: [Activation; 7] = [
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.1 },
    Activation::Elu { alpha: 0.7 },
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Softplus,
    Activation::Gelu,
];

/// Kinds whose result does not tell on which side of 0 the input was.
const FALLING: [Activation; 2] = [Activation::LeakyRelu { slope: -0.1 }, Activation::Elu { alpha: -1. }];

fn tensor(values: Vec<f64>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Compares the gradient of Σ weight · operation(x) with central differences.
fn check(operation: &Operation, values: &[f64], shape: &[usize]) -> Result<(), TestCaseError> {
    let x = Var::from_tensor(&tensor(values.to_vec(), shape)).unwrap();
    let y = operation(x.as_tensor()).unwrap();
    let count = y.elem_count();
    let weight = tensor((0..count).map(|i| (i as f64 * 1.7).sin() + 0.3).collect(), y.dims());
    let gradient = (&y * &weight).unwrap().backward().unwrap();
    let gradient = numbers(gradient.get(&x).expect("a gradient"));

    let weight = numbers(&weight);
    let value = |values: Vec<f64>| -> f64 {
        let y = numbers(&operation(&tensor(values, shape)).unwrap());
        y.iter().zip(&weight).map(|(y, weight)| y * weight).sum()
    };
    let step = 1e-4;
    for index in 0..values.len() {
        let shifted = |by: f64| {
            let mut shifted = values.to_vec();
            shifted[index] += by;
            value(shifted)
        };
        let slope = |h: f64| (shifted(h) - shifted(-h)) / (2. * h);
        let expected = (4. * slope(step / 2.) - slope(step)) / 3.;
        let error = (gradient[index] - expected).abs();
        prop_assert!(error <= 1e-7 * expected.abs().max(1.), "element {index}: {} not {expected}", gradient[index]);
    }
    Ok(())
}

/// Values far enough from 0 and from each other for kinks and ties to lie outside the differences.
fn apart(count: usize) -> impl Strategy<Value = Vec<f64>> {
    let order: Vec<usize> = (0..count).collect();
    (Just(order).prop_shuffle(), 0.01f64..0.09, 0.1f64..0.6).prop_map(move |(order, offset, spread)| {
        order.iter().map(|&rank| (rank as f64 - count as f64 / 2.) * spread + offset).collect()
    })
}

fn linear(seed: u64, inputs: usize, outputs: usize) -> Linear {
    let mut draw = crate::plain::numbers(seed);
    let weight: Vec<f64> = draw.by_ref().take(inputs * outputs).collect();
    let bias: Vec<f64> = draw.take(outputs).collect();
    Linear::from_weights(&tensor(weight, &[outputs, inputs]), Some(&tensor(bias, &[outputs]))).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn activations(values in apart(12)) {
        for kind in ACTIVATIONS.into_iter().chain(FALLING) {
            check(&move |x| kind.forward(x), &values, &[3, 4])?;
        }
    }

    #[test]
    fn activations_of_a_transposed_tensor(values in apart(12)) {
        for kind in ACTIVATIONS {
            check(&move |x| kind.forward(&x.t()?), &values, &[3, 4])?;
        }
    }

    #[test]
    fn softmax_along_either_axis(values in apart(12)) {
        check(&|x| softmax(x, 1), &values, &[3, 4])?;
        check(&|x| softmax(x, 0), &values, &[3, 4])?;
        check(&|x| softmax(x, 1), &values, &[2, 3, 2])?;
    }

    #[test]
    fn layer_norm_over_the_last_axis(values in apart(24), seed in 0u64..100) {
        let mut draw = crate::plain::numbers(seed);
        let [weight, bias] = [0, 1].map(|_| tensor(draw.by_ref().take(4).collect(), &[4]));
        let norm = LayerNorm::new(&weight, &bias, 1e-5).unwrap();
        let transposed = norm.clone();
        check(&move |x| norm.forward(x), &values, &[2, 3, 4])?;
        check(&move |x| transposed.forward(&x.t()?), &values[..20], &[4, 5])?;
    }

    #[test]
    fn linear_frozen_and_trainable(values in apart(12), seed in 0u64..100) {
        let layer = linear(seed, 4, 5);
        let (frozen, trainable) = (layer.clone(), layer);
        check(&move |x| frozen.forward_frozen(x), &values, &[3, 4])?;
        check(&move |x| trainable.forward(x), &values, &[3, 4])?;
    }

    #[test]
    fn linear_over_more_axes(values in apart(24), seed in 0u64..100) {
        let layer = linear(seed, 4, 5);
        check(&move |x| layer.forward_frozen(x), &values, &[2, 3, 4])?;
    }

    #[test]
    fn linear_of_a_narrowed_tensor(values in apart(20), seed in 0u64..100) {
        let layer = linear(seed, 4, 5);
        check(&move |x| layer.forward_frozen(&x.narrow(0, 1, 3)?), &values, &[5, 4])?;
        let layer = linear(seed, 5, 2);
        check(&move |x| layer.forward_frozen(&x.t()?), &values, &[5, 4])?;
    }

    #[test]
    fn convolution_with_stride_and_padding(values in apart(2 * 6 * 6), seed in 0u64..100) {
        let mut draw = crate::plain::numbers(seed);
        let weight = tensor(draw.by_ref().take(3 * 2 * 9).collect(), &[3, 2, 3, 3]);
        let bias = tensor(draw.take(3).collect(), &[3]);
        for (stride, padding) in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)] {
            let layer = Conv2d::from_weights(&weight, Some(&bias), stride, padding).unwrap();
            let trainable = layer.clone();
            check(&move |x| layer.forward_frozen(x), &values, &[1, 2, 6, 6])?;
            check(&move |x| trainable.forward(x), &values, &[1, 2, 6, 6])?;
        }
    }

    #[test]
    fn pooling_with_and_without_overlap(values in apart(2 * 5 * 5)) {
        for (kernel, stride) in [(2, 2), (2, 1), (3, 1), (3, 2), (5, 1)] {
            check(&move |x| max_pool2d(x, kernel, stride), &values, &[1, 2, 5, 5])?;
            check(&move |x| avg_pool2d(x, kernel, stride), &values, &[1, 2, 5, 5])?;
        }
    }

    #[test]
    fn whole_networks_converge(values in apart(8), seed in 0u32..50) {
        let net = Sequential::builder(4).linear("a", 6).gelu("b").linear("c", 3).softmax("d").build(Seed(seed)).unwrap();
        let x = tensor(values, &[2, 4]).to_dtype(DType::F32).unwrap();
        let result = IntegratedGradients::new(&net).tolerance(1e-4).attribute(&x, 2).unwrap();
        prop_assert!(result.settled().unwrap().iter().all(|settled| *settled));
        prop_assert!(result.convergence_delta().unwrap().max_abs() <= 1e-4);
    }
}

fn gradient_at(kind: Activation, x: f64) -> f64 {
    let x = Var::from_tensor(&tensor(vec![x], &[1])).unwrap();
    let gradients = kind.forward(x.as_tensor()).unwrap().backward().unwrap();
    numbers(gradients.get(&x).unwrap())[0]
}

#[test]
fn derivatives_at_zero_are_pytorchs() {
    let expected = [0., 0.1, 0.7, 0.25, 1., 0.5, 0.5];
    for (kind, expected) in ACTIVATIONS.into_iter().zip(expected) {
        assert!((gradient_at(kind, 0.) - expected).abs() < 1e-15, "{kind:?}: {}", gradient_at(kind, 0.));
    }
}

#[test]
fn large_inputs_stay_finite() {
    for kind in ACTIVATIONS {
        for x in [-1e4, -800., 800., 1e4] {
            let y = numbers(&kind.forward(&tensor(vec![x], &[1])).unwrap())[0];
            assert!(
                y.is_finite() && gradient_at(kind, x).is_finite(),
                "{kind:?} at {x}: {y}, {}",
                gradient_at(kind, x)
            );
        }
    }
    let huge = softmax(&tensor(vec![1e4, -1e4, 0.], &[1, 3]), 1).unwrap();
    assert_eq!(numbers(&huge), [1., 0., 0.]);
}

#[test]
fn nan_passes_through() {
    for kind in ACTIVATIONS {
        let y = numbers(&kind.forward(&tensor(vec![f64::NAN], &[1])).unwrap())[0];
        assert!(y.is_nan(), "{kind:?}: {y}");
    }
}

#[test]
fn the_first_of_equal_maxima_gets_the_gradient() {
    let x = Var::from_tensor(&tensor(vec![1., 1., 1., 1.], &[1, 1, 2, 2])).unwrap();
    let gradients = max_pool2d(x.as_tensor(), 2, 2).unwrap().backward().unwrap();
    assert_eq!(numbers(gradients.get(&x).unwrap()), [1., 0., 0., 0.]);
}
