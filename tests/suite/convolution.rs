//! Convolution against loops written out, over random shapes, and against PyTorch's values.

use candle_explain::prelude::*;
use proptest::prelude::*;

use crate::plain::numbers;
use crate::wave::wave;

/// The sizes and settings of one convolution; pairs are height and width.
#[derive(Clone, Copy, Debug)]
struct Plan {
    batch: usize,
    groups: usize,
    /// Channels of a group.
    inputs: usize,
    outputs: usize,
    image: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
}

impl Plan {
    /// The size of the result, if a kernel fits.
    fn result(&self) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let window = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            Some((self.image[axis] + 2 * self.padding[axis]).checked_sub(window)? / self.stride[axis] + 1)
        };
        Some([along(0)?, along(1)?])
    }

    fn x_shape(&self) -> [usize; 4] {
        [self.batch, self.groups * self.inputs, self.image[0], self.image[1]]
    }

    fn weight_shape(&self) -> [usize; 4] {
        [self.groups * self.outputs, self.inputs, self.kernel[0], self.kernel[1]]
    }

    /// Calls `each` with the places in x, weight, bias and result that are multiplied with each other.
    fn for_each_product(&self, mut each: impl FnMut(usize, usize, usize, usize)) {
        let [height, width] = self.result().unwrap();
        for image in 0..self.batch {
            for output in 0..self.groups * self.outputs {
                for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
                    let y = ((image * self.groups * self.outputs + output) * height + row) * width + column;
                    for (input, a, b) in self.kernel_elements() {
                        let channel = output / self.outputs * self.inputs + input;
                        let w = ((output * self.inputs + input) * self.kernel[0] + a) * self.kernel[1] + b;
                        let pixel = [(row, a), (column, b)];
                        let along = |axis: usize| {
                            let (place, element) = pixel[axis];
                            let place = place * self.stride[axis] + element * self.dilation[axis];
                            place.checked_sub(self.padding[axis]).filter(|place| *place < self.image[axis])
                        };
                        if let (Some(i), Some(j)) = (along(0), along(1)) {
                            let [_, channels, height, width] = self.x_shape();
                            each(((image * channels + channel) * height + i) * width + j, w, output, y);
                        }
                    }
                }
            }
        }
    }

    fn kernel_elements(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let [height, width] = self.kernel;
        let elements = move |input| (0..height).flat_map(move |a| (0..width).map(move |b| (input, a, b)));
        (0..self.inputs).flat_map(elements)
    }

    fn layer(&self, weight: &Tensor, bias: &Tensor) -> Conv2d {
        let pair = |[height, width]: [usize; 2]| (height, width);
        let layer = Conv2d::from_weights(weight, Some(bias), pair(self.stride), pair(self.padding)).unwrap();
        layer.with_dilation(pair(self.dilation)).unwrap().with_groups(self.groups).unwrap()
    }
}

/// Result, and the gradients of Σ g·y for x, weight and bias.
fn textbook(plan: &Plan, x: &[f64], weight: &[f64], bias: &[f64], g: &[f64]) -> [Vec<f64>; 4] {
    let area: usize = plan.result().unwrap().iter().product();
    let mut y: Vec<f64> = (0..g.len()).map(|place| bias[place / area % bias.len()]).collect();
    let (mut dx, mut dw, mut db) = (vec![0.; x.len()], vec![0.; weight.len()], vec![0.; bias.len()]);
    for (place, g) in g.iter().enumerate() {
        db[place / area % bias.len()] += g;
    }
    plan.for_each_product(|at_x, at_weight, _, at_y| {
        y[at_y] += weight[at_weight] * x[at_x];
        dx[at_x] += weight[at_weight] * g[at_y];
        dw[at_weight] += x[at_x] * g[at_y];
    });
    [y, dx, dw, db]
}

fn sizes() -> impl Strategy<Value = Plan> {
    let pair = |low: usize, high: usize| [low..=high, low..=high];
    let counts = (1usize..=3, prop_oneof![3 => Just(1usize), 1 => 2usize..=3], 1usize..=3, 1usize..=3);
    (counts, pair(1, 9), pair(1, 4), pair(1, 4), pair(0, 4), pair(1, 3))
        .prop_map(|((batch, groups, inputs, outputs), image, kernel, stride, padding, dilation)| Plan {
            batch,
            groups,
            inputs,
            outputs,
            image,
            kernel,
            stride,
            padding,
            dilation,
        })
        .prop_filter("a kernel fits", |plan| plan.result().is_some())
}

fn tensor(values: &[f64], shape: &[usize], dtype: DType) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn host(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn check(plan: &Plan, seed: u64, dtype: DType, tolerance: f64) -> Result<(), TestCaseError> {
    let mut draw = numbers(seed);
    let mut take = |count: usize| -> Vec<f64> { draw.by_ref().take(count).collect() };
    let (x_shape, weight_shape) = (plan.x_shape(), plan.weight_shape());
    let [x, weight] = [x_shape, weight_shape].map(|shape| take(shape.iter().product()));
    let bias = take(weight_shape[0]);
    let [height, width] = plan.result().unwrap();
    let y_shape = [plan.batch, weight_shape[0], height, width];
    let g = take(y_shape.iter().product());

    let expected = textbook(plan, &x, &weight, &bias, &g);
    let layer = plan.layer(&tensor(&weight, &weight_shape, dtype), &tensor(&bias, &[bias.len()], dtype));
    let x = Var::from_tensor(&tensor(&x, &x_shape, dtype)).unwrap();
    let g = tensor(&g, &y_shape, dtype);
    for frozen in [false, true] {
        let y = if frozen { layer.forward_frozen(&x) } else { layer.forward(&x) }.unwrap();
        prop_assert_eq!(y.dims(), y_shape);
        let gradients = (&y * &g).unwrap().backward().unwrap();
        let bias = layer.bias().unwrap();
        let got = [Some(&y), gradients.get(&x), gradients.get(layer.weight()), gradients.get(bias)];
        prop_assert_eq!([got[2].is_none(), got[3].is_none()], [frozen; 2]);
        for (what, (got, expected)) in ["y", "dx", "dw", "db"].iter().zip(got.into_iter().zip(&expected)) {
            let Some(got) = got else { continue };
            for (index, (got, expected)) in host(got).iter().zip(expected).enumerate() {
                let error = (got - expected).abs();
                prop_assert!(error <= tolerance, "{} at {}: {} instead of {}", what, index, got, expected);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn is_what_loops_give(plan in sizes(), seed in 1u64..1_000_000) {
        check(&plan, seed, DType::F64, 1e-11)?;
        check(&plan, seed, DType::F32, 2e-4)?;
    }

    #[test]
    fn any_settings_of_square_images(
        size in 1usize..8,
        kernel in 1usize..5,
        stride in 1usize..5,
        padding in 0usize..5,
    ) {
        let plan = Plan {
            batch: 2,
            groups: 1,
            inputs: 2,
            outputs: 3,
            image: [size; 2],
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [1; 2],
        };
        prop_assume!(plan.result().is_some());
        check(&plan, 7, DType::F64, 1e-11)?;
    }
}

/// PyTorch 2: tanh of a convolution with stride 2, whose windows leave the last row of a 5 x 6 image unread.
#[test]
fn a_stride_that_leaves_a_remainder_has_pytorchs_gradient() {
    let net = Sequential::from_layers(
        [1, 5, 6],
        [
            (
                "conv",
                Layer::Conv2d(
                    Conv2d::from_weights(&wave(&[2, 1, 2, 2], 0.4, 0.7), Some(&wave(&[2], 0.8, 0.2)), 2, 0).unwrap(),
                ),
            ),
            ("tanh", Layer::Activation(Activation::Tanh)),
            ("flat", Layer::Flatten),
        ],
    )
    .unwrap();
    let result = Saliency::new(&net).abs(false).attribute(wave(&[2, 1, 5, 6], 0.1, 1.), 1).unwrap();
    let got = host(result.tensor());
    let first = [0., 0., 0.270273966, 0.688260291, 0., 0., 0., 0., 0.097943677, -0.635860653, 0., 0.];
    let second = [0., 0., 0.108395558, 0.276032350, 0., 0., 0., 0., 0.039281103, -0.255017052, 0., 0.];
    for (row, expected) in [first, second].iter().enumerate() {
        for (got, expected) in got[30 * row..].iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{got} instead of {expected}");
        }
        assert!(got[30 * row + 12..30 * row + 30].iter().all(|value| *value == 0.));
    }
}

#[test]
fn a_network_on_images_that_are_not_square_is_trained() {
    for (height, width, kernel, padding) in [(5, 6, 2, 0), (6, 5, 2, 0), (7, 6, 3, 1)] {
        let pixels = height * width;
        let layers = [
            ("conv", Layer::Conv2d(Conv2d::new(1, 3, kernel, 2, padding, Seed(1)).unwrap())),
            ("tanh", Layer::Activation(Activation::Tanh)),
            ("flat", Layer::Flatten),
        ];
        let below = Sequential::from_layers([1, height, width], layers).unwrap();
        let image = Tensor::zeros((1, 1, height, width), DType::F32, &Device::Cpu).unwrap();
        let width_above = below.predict(&image).unwrap().dims()[1];
        let head = Linear::new(width_above, 2, Seed(2)).unwrap();
        let (lower, upper) = (below.clone(), head.clone());
        let model = from_fn(move |input, layers| {
            let images = input.first().reshape(((), 1, height, width))?;
            Ok(upper.forward(&lower.forward(&Inputs::from(images), layers)?)?)
        });
        // Whether the upper half is brighter than the lower.
        let features: Vec<f32> = numbers(3).take(40 * pixels).map(|x| x as f32).collect();
        let brighter = |row: &[f32]| {
            let (upper, lower) = row.split_at(pixels / 2);
            u32::from(upper.iter().sum::<f32>() > lower.iter().sum::<f32>())
        };
        let labels = features.chunks(pixels).map(brighter).collect();
        let features = Tensor::from_vec(features, (40, pixels), &Device::Cpu).unwrap();
        let data = Dataset::new(features, (0..pixels).map(|pixel| format!("p{pixel}")), labels).unwrap();
        let parameters =
            Parameters::from_iter(below.named_parameters().into_iter().chain(head.named_parameters("head")));
        let history = Trainer::adam(0.05).epochs(60).fit_parameters(&model, parameters, &data).unwrap();
        assert!(history.train_accuracy() > 0.95, "{height} x {width}: {}", history.train_accuracy());
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let image = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let conv = Conv2d::new(2, 4, (3, 2), 1, 0, Seed(1)).unwrap();
    let error = |result: candle_explain::candle_core::Result<Tensor>| result.unwrap_err().to_string();
    for forward in [Conv2d::forward_frozen, Module::forward] {
        let of = |shape: &[usize]| error(forward(&conv, &image(shape)));
        assert_eq!(of(&[1, 3, 8, 8]), "a convolution got [1, 3, 8, 8]: expected [batch, 2, height, width]");
        assert_eq!(of(&[2, 8, 8]), "a convolution got [2, 8, 8]: expected [batch, 2, height, width]");
        let narrow = "a kernel of 3 x 2 does not fit into 2 x 8, padded by (0, 0) and with the dilation (1, 1)";
        assert_eq!(of(&[1, 2, 2, 8]), narrow);
        let other = error(forward(&conv, &image(&[1, 2, 8, 8]).to_dtype(DType::F64).unwrap()));
        assert!(other.contains("F32 weights got a F64 input"), "{other}");
    }
    let refused = |result: Result<Conv2d>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(conv.clone().with_groups(3), "4 output channels in 3 groups");
    refused(conv.clone().with_groups(0), "in 0 groups");
    refused(conv.clone().with_dilation((1, 0)), "dilation (1, 0)");
    refused(Conv2d::new(1, 1, (2, 0), 1, 0, Seed(1)), "kernel 2 x 0");
    refused(Conv2d::new(1, 1, 2, (1, 0), 0, Seed(1)), "stride (1, 0)");
    refused(Conv2d::from_weights(&image(&[2, 2]), None, 1, 0), "[2, 2]");
    let double = Tensor::zeros(2, DType::F64, &Device::Cpu).unwrap();
    refused(Conv2d::from_weights(&image(&[2, 1, 2, 2]), Some(&double), 1, 0), "F64 [2]");
    let huge = Conv2d::new(2, 1, 2, 1, usize::MAX, Seed(1)).unwrap();
    assert!(error(huge.forward(&image(&[1, 2, 3, 3]))).contains("does not fit"));
}
