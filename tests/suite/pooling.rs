//! Pooling and the largest value along an axis against loops written out, with ties and NaN.

use candle_explain::nn::{avg_pool2d, max, max_pool2d};
use candle_explain::prelude::*;
use proptest::prelude::*;

use crate::plain::numbers;

type Pooling = fn(&Tensor, (usize, usize), (usize, usize)) -> candle_explain::candle_core::Result<Tensor>;

fn host(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Values of which many are equal.
fn tied(count: usize, seed: u64) -> Vec<f64> {
    numbers(seed).take(count).map(|x| x.round()).collect()
}

/// The pixels of each window of one plane, in order.
fn windows(size: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Vec<Vec<usize>> {
    let along = |axis: usize| (0..=size[axis] - kernel[axis]).step_by(stride[axis]);
    let window = |row: usize, column: usize| {
        let pixels = (row..row + kernel[0]).flat_map(move |y| (column..column + kernel[1]).map(move |x| (y, x)));
        pixels.map(|(y, x)| y * size[1] + x).collect()
    };
    along(0).flat_map(|row| along(1).map(move |column| window(row, column))).collect()
}

/// The first of the largest.
fn first_largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, next| if values[next] > values[best] { next } else { best })
}

/// The result, and the gradient of Σ g·y.
fn assert_gives(
    x: &[f64],
    shape: &[usize],
    dtype: DType,
    operation: &dyn Fn(&Tensor) -> candle_explain::candle_core::Result<Tensor>,
    expected: &dyn Fn(&[f64]) -> [Vec<f64>; 2],
) -> Result<(), TestCaseError> {
    let x = Var::from_tensor(&Tensor::from_slice(x, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap();
    let y = operation(&x).unwrap();
    let g: Vec<f64> = numbers(9).take(y.elem_count()).map(|g| (g * 8.).round()).collect();
    let weight = Tensor::from_slice(&g, y.dims(), &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    let gradient = (&y * weight).unwrap().backward().unwrap().remove(&x).unwrap();
    for (got, expected) in [host(&y), host(&gradient)].iter().zip(expected(&g)) {
        prop_assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(&expected) {
            prop_assert!((got - expected).abs() < 1e-5, "{:?}: {} instead of {}", dtype, got, expected);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_of_any_shape(
        size in [1usize..9, 1usize..9],
        kernel in [1usize..5, 1usize..5],
        stride in [1usize..5, 1usize..5],
        seed in 1u64..1_000_000,
    ) {
        prop_assume!(kernel[0] <= size[0] && kernel[1] <= size[1]);
        let area = size[0] * size[1];
        let x = tied(4 * area, seed);
        let windows = windows(size, kernel, stride);
        let textbook = |g: &[f64], largest: bool| {
            let (mut y, mut dx) = (Vec::new(), vec![0.; x.len()]);
            for (place, g) in g.iter().enumerate() {
                let (plane, window) = (place / windows.len() * area, &windows[place % windows.len()]);
                let values: Vec<f64> = window.iter().map(|pixel| x[plane + pixel]).collect();
                if largest {
                    let first = first_largest(&values);
                    y.push(values[first]);
                    dx[plane + window[first]] += g;
                } else {
                    y.push(values.iter().sum::<f64>() / values.len() as f64);
                    window.iter().for_each(|pixel| dx[plane + pixel] += g / values.len() as f64);
                }
            }
            [y, dx]
        };
        let shape = [2, 2, size[0], size[1]];
        let ways: [(Pooling, bool); 2] =
            [(|x, k, s| max_pool2d(x, k, s), true), (|x, k, s| avg_pool2d(x, k, s), false)];
        for (pool, largest) in ways {
            let operation = |x: &Tensor| pool(x, (kernel[0], kernel[1]), (stride[0], stride[1]));
            for dtype in [DType::F32, DType::F64] {
                assert_gives(&x, &shape, dtype, &operation, &|g| textbook(g, largest))?;
            }
        }
    }

    #[test]
    fn the_largest_along_any_axis(
        shape in [1usize..5, 1usize..5, 1usize..5],
        axis in 0usize..3,
        seed in 1u64..1_000_000,
    ) {
        let x = tied(shape.iter().product(), seed);
        let (size, below) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
        let textbook = |g: &[f64]| {
            let (mut y, mut dx) = (Vec::new(), vec![0.; x.len()]);
            for (place, g) in g.iter().enumerate() {
                let start = place / below * below * size + place % below;
                let values: Vec<f64> = (0..size).map(|step| x[start + step * below]).collect();
                let first = first_largest(&values);
                y.push(values[first]);
                dx[start + first * below] += g;
            }
            [y, dx]
        };
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            assert_gives(&x, &shape, dtype, &|x| max(x, axis), &textbook)?;
            if axis == 2 {
                assert_gives(&x, &shape, dtype, &|x| max(x, D::Minus1), &textbook)?;
            }
        }
        let (turned, back) = (|x: &Tensor| max(&x.t()?, 2), |x: &Tensor| max(x, 1));
        let x = Tensor::from_slice(&x, &shape, &Device::Cpu).unwrap();
        prop_assert_eq!(host(&turned(&x).unwrap()), host(&back(&x).unwrap()));
    }
}

#[test]
fn a_number_that_is_none_is_not_pooled_away() {
    let x = Tensor::new(&[[1f32, f32::NAN, 2., f32::INFINITY], [1., 2., 3., 4.]], &Device::Cpu).unwrap();
    let largest = max(&x, 1).unwrap().to_vec1::<f32>().unwrap();
    assert!(largest[0].is_nan() && largest[1] == 4., "{largest:?}");
    let pooled = max_pool2d(&x.reshape((1, 1, 2, 4)).unwrap(), (1, 2), (1, 2)).unwrap();
    let pooled = pooled.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(pooled[0].is_nan() && pooled[1..] == [f32::INFINITY, 2., 4.], "{pooled:?}");
}

/// Six equal tokens: the network is linear there, so the contributions add up to its output.
#[test]
fn a_text_cnn_with_the_largest_over_time_keeps_its_sum() {
    let (conv, head) = (Conv2d::new(1, 5, (2, 3), 1, 0, Seed(3)).unwrap(), Linear::new(5, 2, Seed(4)).unwrap());
    let conv = Conv2d::from_weights(conv.weight(), None, 1, 0).unwrap();
    let head = Linear::from_weights(head.weight(), None).unwrap();
    let model = from_fn(move |input, _| {
        let windows = conv.forward_frozen(&input.first().unsqueeze(1)?)?.squeeze(3)?;
        Ok(head.forward_frozen(&max(&windows, 2)?)?)
    });
    let token = Tensor::new(&[0.3f64, -0.7, 0.4], &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    let text = token.broadcast_as((1, 6, 3)).unwrap().contiguous().unwrap();
    let result = InputXGradient::new(&model).attribute(&text, 1).unwrap();
    let sum: f64 = host(result.tensor()).iter().sum();
    let output = host(&model.predict(&text).unwrap())[1];
    assert!((sum - output).abs() < 1e-6, "{sum} instead of {output}");
}

#[test]
fn what_cannot_be_pooled_is_told() {
    let x = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let error = |result: candle_explain::candle_core::Result<Tensor>| result.unwrap_err().to_string();
    let told = error(max_pool2d(&x(&[1, 1, 2, 5]), (3, 1), 1));
    assert!(told.starts_with("pooling 2 x 5 with kernel 3 x 1 and stride 1 x 1: the kernel must fit"), "{told}");
    assert!(error(avg_pool2d(&x(&[1, 1, 2, 5]), 1, (0, 1))).contains("at least 1"));
    assert_eq!(error(max_pool2d(&x(&[2, 5]), 1, 1)), "pooling got [2, 5]: expected [batch, channels, height, width]");
    assert!(error(max(&x(&[2, 0]), 1)).contains("there are no values"));
    assert!(error(max(&x(&[2, 3]), 2)).contains("out of range"));
    let whole = x(&[1, 1, 2, 2]).to_dtype(DType::U32).unwrap();
    assert!(error(avg_pool2d(&whole, 2, 2)).contains("floating-point"));
    assert_eq!(max_pool2d(&whole, 2, 2).unwrap().dims(), [1, 1, 1, 1]);
}
