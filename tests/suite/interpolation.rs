//! Attributions of layers at other sizes, against PyTorch.

use candle_explain::ErrorKind;
use candle_explain::prelude::*;

type Case = (&'static [usize], &'static [usize], Interpolation, &'static [f64]);

/// A grid of the numbers (7 i mod 11) / 4 − 1, and what PyTorch's `interpolate` makes of it.
fn cases() -> Vec<Case> {
    vec![
        (&[4], &[7], Interpolation::Nearest, &[-1.0, -1.0, 0.75, 0.75, -0.25, -0.25, 1.5]),
        (&[5], &[3], Interpolation::Nearest, &[-1.0, 0.75, 1.5]),
        (
            &[2, 3],
            &[5, 4],
            Interpolation::Nearest,
            &[
                -1.0, -1.0, 0.75, -0.25, -1.0, -1.0, 0.75, -0.25, -1.0, -1.0, 0.75, -0.25, 1.5, 1.5, 0.5, -0.5, 1.5,
                1.5, 0.5, -0.5,
            ],
        ),
        (&[4], &[7], Interpolation::Linear, &[-1.0, -0.375, 0.625, 0.25, -0.125, 0.875, 1.5]),
        (&[5], &[3], Interpolation::Linear, &[-0.4166666667, -0.25, 0.8333333333]),
        (
            &[2, 3],
            &[4, 5],
            Interpolation::Linear,
            &[
                -1.0, -0.3, 0.75, 0.15, -0.25, -0.375, 0.05, 0.6875, 0.0875, -0.3125, 0.875, 0.75, 0.5625, -0.0375,
                -0.4375, 1.5, 1.1, 0.5, -0.1, -0.5,
            ],
        ),
        (&[3, 2], &[2, 3], Interpolation::Linear, &[-0.8125, 0.0625, 0.9375, 0.3125, 0.15625, 0.0]),
        (
            &[2, 2, 2],
            &[3, 2, 3],
            Interpolation::Linear,
            &[
                -1.0, -0.125, 0.75, -0.25, 0.625, 1.5, -0.25, -0.0625, 0.125, 0.5, 0.6875, 0.875, 0.5, 0.0, -0.5, 1.25,
                0.75, 0.25,
            ],
        ),
    ]
}

/// The activations of a layer that gives its input as it is.
fn of_layer(x: &Tensor) -> Attributions {
    let same = from_fn(|input: &Inputs, layers: &mut Layers| layers.visit("same", input.first().affine(1., 0.)?));
    LayerActivation::new(same, "same").attribute(x).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn grid(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f64> = (0..count).map(|i| (i * 7 % 11) as f64 / 4. - 1.).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

#[test]
fn every_size_is_pytorchs() {
    for (shape, sizes, how, expected) in cases() {
        for dtype in [DType::F64, DType::F32] {
            let x = grid(&[&[1, 1], shape].concat()).to_dtype(dtype).unwrap();
            let result = of_layer(&x).interpolate(sizes, how).unwrap();
            assert_eq!(result.tensor().dims(), [&[1, 1], sizes].concat());
            assert_eq!(result.tensor().dtype(), dtype);
            for (got, expected) in numbers(result.tensor()).into_iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{shape:?} to {sizes:?}, {how:?}: {got} and {expected}");
            }
        }
    }
}

#[test]
fn each_example_and_channel_is_interpolated_alone() {
    let x = grid(&[3, 2, 4, 5]);
    let all = of_layer(&x).interpolate(&[7, 3], Interpolation::Linear).unwrap();
    for example in 0..3 {
        for channel in 0..2 {
            let alone = x.narrow(0, example, 1).unwrap().narrow(1, channel, 1).unwrap();
            let alone = of_layer(&alone).interpolate(&[7, 3], Interpolation::Linear).unwrap();
            let of_all = all.tensor().narrow(0, example, 1).unwrap().narrow(1, channel, 1).unwrap();
            assert_eq!(numbers(&of_all), numbers(alone.tensor()));
        }
    }
}

#[test]
fn the_same_size_changes_nothing_and_whole_multiples_repeat() {
    let x = grid(&[2, 3, 4, 5]);
    for how in [Interpolation::Nearest, Interpolation::Linear] {
        assert_eq!(numbers(of_layer(&x).interpolate(&[4, 5], how).unwrap().tensor()), numbers(&x));
    }
    let tripled = of_layer(&x).interpolate(&[12, 10], Interpolation::Nearest).unwrap();
    for (index, got) in numbers(tripled.tensor()).into_iter().enumerate() {
        let (image, row, column) = (index / 120, index / 10 % 12, index % 10);
        assert_eq!(got, numbers(&x)[image * 20 + row / 3 * 5 + column / 2]);
    }
}

#[test]
fn the_delta_goes_and_sizes_that_do_not_fit_are_told() {
    let net = Sequential::builder([1, 4, 4]).conv2d("conv", 2, 2).relu("relu").flatten("flat").linear("out", 2);
    let net = net.build(Seed(3)).unwrap();
    let x = Tensor::ones((2, 1, 4, 4), DType::F32, &Device::Cpu).unwrap();
    let result = LayerDeepLift::new(&net, "conv").attribute(&x, 1).unwrap();
    assert!(result.convergence_delta().is_ok());
    let resized = result.interpolate(&[8, 8], Interpolation::Nearest).unwrap();
    assert!(resized.convergence_delta().is_err() && resized.standard_errors().is_none());
    assert_eq!(resized.places(), result.places());
    for (sizes, expected) in [
        (&[8][..], "one size for each axis after [batch, channels]"),
        (&[8, 8, 8], "one size for each axis after [batch, channels]"),
        (&[8, 0], "every size is at least 1"),
    ] {
        let error = result.interpolate(sizes, Interpolation::Linear).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let flat = LayerDeepLift::new(&net, "out").attribute(&x, 1).unwrap();
    assert!(flat.interpolate(&[3], Interpolation::Nearest).is_err());
}
