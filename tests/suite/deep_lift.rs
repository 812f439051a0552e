use std::path::Path;

use candle_explain::model::SequenceClassifier;
use candle_explain::nn::{Block, LayerNorm, MatMul, Max, Multiply, Operation, Softmax, block};
use candle_explain::prelude::*;

use crate::gradients::ACTIVATIONS;
use crate::plain::numbers;

/// The largest delta, relative to max(1, |F(x) − F(b)|).
fn delta(model: &(impl Model + Clone + 'static), x: &Inputs, baseline: &Inputs, target: &Target) -> f64 {
    let result = DeepLift::new(model).baseline(baseline).attribute_to(x, target).unwrap();
    let numbers = |inputs: &Inputs| -> Vec<f64> {
        let output = model.predict(inputs.clone()).unwrap().to_dtype(DType::F64).unwrap();
        let rows = output.flatten_from(1).unwrap().to_vec2::<f64>().unwrap();
        let class = match target {
            Target::Class(class) => *class,
            _ => 0,
        };
        rows.into_iter().map(|row| row[class]).collect()
    };
    let deltas = result.convergence_delta().unwrap();
    let differences = numbers(x).into_iter().zip(numbers(baseline)).map(|(x, b)| (x - b).abs());
    deltas.values().iter().zip(differences).map(|(delta, by)| delta.abs() / by.max(1.)).fold(0., f64::max)
}

/// A step of a network over `[batch, tokens, width]`.
#[derive(Clone)]
enum Step {
    Linear(Linear),
    Activation(Activation),
    Norm(LayerNorm),
    Attention(Linear, Linear),
    Gate(Linear),
    Sine,
    CandleNorm(candle_explain::candle_nn::LayerNorm),
    Residual(Box<Step>),
    Twice(Box<Step>),
}

#[derive(Clone)]
struct Network {
    steps: Vec<Step>,
    /// Whether tokens are put together by the largest of each number, or by their mean.
    largest: bool,
    softmax: bool,
}

impl Step {
    fn run(&self, x: &Tensor, layers: &mut Layers) -> Result<Tensor> {
        match self {
            Step::Linear(linear) => layers.run(linear, x),
            Step::Activation(activation) => layers.run(activation, x),
            Step::Norm(norm) => layers.run(norm, x),
            Step::Attention(query, value) => {
                let query = layers.run(query, x)?;
                let logits = layers.run(&MatMul, &[&query, &x.transpose(1, 2)?.contiguous()?])?;
                let weights = layers.run(&Softmax { axis: 2 }, &logits)?;
                let value = layers.run(value, x)?;
                layers.run(&MatMul, &[&weights, &value])
            }
            Step::Gate(gate) => {
                let gate = layers.run(gate, x)?;
                let open = layers.run(&Activation::Sigmoid, &gate)?;
                layers.run(&Multiply, &[&open, x])
            }
            Step::Sine => layers.run(&block(|x: &Tensor| x.sin()), x),
            Step::CandleNorm(norm) => layers.run(norm, x),
            Step::Residual(step) => Ok((step.run(x, layers)? + x)?),
            Step::Twice(step) => {
                let once = step.run(x, layers)?;
                step.run(&once, layers)
            }
        }
    }
}

impl Model for Network {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let mut x = input.first().clone();
        for step in &self.steps {
            x = step.run(&x, layers)?;
        }
        let pooled = if self.largest { layers.run(&Max { axis: 1 }, &x)? } else { x.mean(1)? };
        if self.softmax { layers.run(&Softmax { axis: 1 }, &pooled) } else { Ok(pooled) }
    }
}

const TOKENS: usize = 3;
const WIDTH: usize = 4;

fn network(seed: u64, dtype: DType) -> Network {
    let mut draw = numbers(seed).map(|x| (x + 1.5) / 3.);
    let mut below = move |count: usize| ((draw.next().unwrap() * count as f64) as usize).min(count - 1);
    let mut child = 0;
    let mut step = |below: &mut dyn FnMut(usize) -> usize| -> Step {
        child += 1;
        let linear = |part: u64| {
            let seed = Seed((seed * 1000 + child * 10 + part) as u32);
            Linear::new(WIDTH, WIDTH, seed).unwrap().to_dtype(dtype).unwrap()
        };
        let ones = Tensor::ones(WIDTH, dtype, &Device::Cpu).unwrap();
        let (weight, bias) = ((&ones * 1.3).unwrap(), (&ones * 0.2).unwrap());
        match below(11) {
            0..=2 => Step::Linear(linear(0)),
            3 | 4 => Step::Activation(ACTIVATIONS[below(ACTIVATIONS.len())]),
            5 => Step::Norm(LayerNorm::new(&weight, &bias, 1e-5).unwrap()),
            6 => Step::CandleNorm(candle_explain::candle_nn::LayerNorm::new(weight, bias, 1e-5)),
            7 | 8 => Step::Attention(linear(1), linear(2)),
            9 => Step::Gate(linear(3)),
            _ => Step::Sine,
        }
    };
    let count = 2 + below(5);
    let steps = (0..count).map(|_| {
        let made = step(&mut below);
        match below(4) {
            0 => Step::Residual(Box::new(made)),
            1 => Step::Twice(Box::new(made)),
            _ => made,
        }
    });
    let steps = steps.collect();
    Network { steps, largest: below(2) == 0, softmax: below(2) == 0 }
}

fn batch(seed: u64, dtype: DType) -> Inputs {
    let numbers: Vec<f64> = numbers(seed).take(2 * TOKENS * WIDTH).collect();
    Inputs::from(Tensor::from_vec(numbers, (2, TOKENS, WIDTH), &Device::Cpu).unwrap().to_dtype(dtype).unwrap())
}

#[test]
fn multipliers_add_up_in_two_hundred_networks_of_random_blocks() {
    for (dtype, most) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
        for seed in 0..200 {
            let (x, b) = (batch(seed * 2 + 1, dtype), batch(seed * 2 + 2, dtype));
            let worst = delta(&network(seed, dtype), &x, &b, &Target::Class(1));
            assert!(worst <= most, "{dtype:?}, network {seed}: {worst:e}");
        }
    }
}

#[test]
fn multipliers_add_up_over_images() {
    let net = |dtype: DType| {
        let net = Sequential::builder([2, 9, 8])
            .conv2d("conv1", 4, 3)
            .relu("relu1")
            .max_pool2d("pool1", 2)
            .conv2d("conv2", 5, (2, 1))
            .tanh("tanh2")
            .avg_pool2d("pool2", (1, 3))
            .flatten("flatten")
            .linear("fc", 3)
            .softmax("softmax")
            .build(Seed(3))
            .unwrap();
        let in_type = |layer: &Layer| match layer {
            Layer::Linear(linear) => Layer::Linear(linear.to_dtype(dtype).unwrap()),
            Layer::Conv2d(conv) => {
                let [weight, bias] =
                    [conv.weight(), conv.bias().unwrap()].map(|var| var.as_tensor().to_dtype(dtype).unwrap());
                Layer::Conv2d(Conv2d::from_weights(&weight, Some(&bias), 1, 0).unwrap())
            }
            other => other.clone(),
        };
        let layers = net.layers().iter().map(|(name, layer)| (name.clone(), in_type(layer)));
        Sequential::from_layers([2, 9, 8], layers.collect::<Vec<_>>()).unwrap()
    };
    for (dtype, most) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
        let [x, b] = [5, 6].map(|seed| {
            let numbers: Vec<f64> = numbers(seed).take(3 * 2 * 9 * 8).collect();
            Inputs::from(Tensor::from_vec(numbers, (3, 2, 9, 8), &Device::Cpu).unwrap().to_dtype(dtype).unwrap())
        });
        let worst = delta(&net(dtype), &x, &b, &Target::Class(2));
        assert!(worst <= most, "{dtype:?}: {worst:e}");
    }
}

#[test]
fn multipliers_add_up_in_every_encoder() {
    let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints");
    for folder in std::fs::read_dir(checkpoints).unwrap() {
        let folder = folder.unwrap().path();
        let classifier = SequenceClassifier::from_pretrained(&folder).unwrap();
        for (dtype, most) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
            let upper = FromLayer::new(&classifier.to_dtype(dtype).unwrap(), "embeddings");
            let ids = |ids: [[u32; 6]; 2]| {
                let mask = Tensor::new(&[[1u32, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], &Device::Cpu).unwrap();
                upper.inputs(Inputs::from(Tensor::new(&ids, &Device::Cpu).unwrap()).with_args([mask])).unwrap()
            };
            let (x, b) =
                (ids([[2, 7, 9, 11, 5, 3], [2, 8, 8, 3, 1, 1]]), ids([[2, 1, 1, 1, 1, 3], [2, 1, 1, 3, 1, 1]]));
            let worst = delta(&upper, &x, &b, &Target::Class(0));
            println!("{} in {dtype:?}: {worst:e}", folder.file_name().unwrap().display());
            assert!(worst <= most, "{} in {dtype:?}: {worst:e}", folder.display());
        }
    }
}

#[test]
fn the_largest_of_a_window_is_shared_as_the_line_has_it() {
    let pool = from_fn(|input: &Inputs, layers: &mut Layers| {
        let largest = layers.run(&Max { axis: 1 }, input.first())?;
        Ok(largest)
    });
    let ones = Tensor::ones((2, 4), DType::F64, &Device::Cpu).unwrap();
    let baseline = Tensor::new(&[[1f64, 2., 3., 9.], [4., 8., 6., 7.]], &Device::Cpu).unwrap();
    let captum =
        DeepLift::new(pool.clone()).captum_rules(true).baseline(&baseline).attribute(&ones, Target::None).unwrap();
    assert_eq!(captum.tensor().to_vec2::<f64>().unwrap(), [[0., 0., 0., -8.], [0., -7., 0., 0.]]);
    let ours = DeepLift::new(pool).baseline(&baseline).attribute(&ones, Target::None).unwrap();
    assert_eq!(ours.tensor().to_vec2::<f64>().unwrap(), [[0., 0., 0., -8.], [0., -7., 0., 0.]]);
}

#[test]
fn what_is_in_no_block_is_found() {
    #[derive(Clone)]
    struct Net {
        below: Linear,
        above: Linear,
    }
    impl Model for Net {
        fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
            let hidden = layers.apply("below", &self.below, input.first())?;
            let squares = layers.visit("squares", hidden.sqr()?)?;
            layers.apply("above", &self.above, &squares)
        }
    }
    let net = Net { below: Linear::new(3, 4, Seed(1)).unwrap(), above: Linear::new(4, 2, Seed(2)).unwrap() };
    let x = Tensor::new(&[[3f32, -2., 4.]], &Device::Cpu).unwrap();
    let result = DeepLift::new(&net).attribute(&x, 1).unwrap();
    let remarks = result.remarks().join("; ");
    assert!(remarks.contains("add up down to layer \"squares\" and not below it"), "{remarks}");
    assert!(remarks.contains("layers.apply"), "{remarks}");

    assert!(!remarks.contains("steps"), "{remarks}");
    assert!(!result.remarks_of(0).join("; ").contains("steps"), "{:?}", result.remarks_of(0));

    let unnamed = from_fn(|input: &Inputs, layers: &mut Layers| {
        let hidden = layers.run(&Activation::Tanh, input.first())?;
        Ok(hidden.sqr()?.sum(1)?)
    });
    let unnamed = DeepLift::new(unnamed).attribute(&x, Target::None).unwrap();
    assert!(unnamed.remarks().join("; ").contains("the multipliers do not add up"));
}

#[test]
fn blocks_that_are_linear_are_enough() {
    let x = Tensor::new(&[[3f32, -2., 4.]], &Device::Cpu).unwrap();
    let linear = Linear::new(3, 2, Seed(1)).unwrap();
    let net = from_fn(move |input: &Inputs, layers: &mut Layers| layers.apply("linear", &linear, input.first()));
    let results = [
        DeepLift::new(&net).attribute(&x, 1).unwrap(),
        LayerDeepLift::new(&net, "linear").attribute(&x, 1).unwrap(),
        NeuronDeepLift::new(&net, "linear", 1).attribute(&x).unwrap(),
    ];
    for result in results {
        assert!(result.convergence_delta().unwrap().max_abs() < 1e-5, "{}", result.method());
    }
}

#[test]
fn a_model_that_runs_no_block_is_an_error() {
    let x = Tensor::new(&[[3f32, -2., 4.]], &Device::Cpu).unwrap();
    let spread = Baseline::distribution(&x.zeros_like().unwrap());
    let model = || from_fn(|input, layers| layers.visit("squares", input.first().sqr()?));
    let unused = from_fn(|input, layers| {
        layers.run(&Activation::Tanh, input.first())?;
        Ok(input.first().sqr()?)
    });
    let results = [
        DeepLift::new(|x: &Tensor| x.affine(3., 1.)).attribute(&x, 1),
        DeepLift::new(unused).attribute(&x, 1),
        DeepLift::new(model()).attribute(&x, 1),
        DeepLift::new(model()).captum_rules(true).attribute(&x, 1),
        DeepLiftShap::new(model()).baseline(&spread).attribute(&x, 1),
        LayerDeepLift::new(model(), "squares").attribute(&x, 1),
        LayerDeepLiftShap::new(model(), "squares").baseline(&spread).attribute(&x, 1),
        NeuronDeepLift::new(model(), "squares", 1).attribute(&x),
        NeuronDeepLiftShap::new(model(), "squares", 1).baseline(&spread).attribute(&x),
    ];
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), candle_explain::ErrorKind::Layer);
        assert!(error.to_string().contains("no block followed DeepLift's rules"), "{error}");
    }
}

#[test]
fn several_baselines_are_averaged_and_the_worst_delta_is_told() {
    let net = network(3, DType::F64);
    let (x, rows) = (batch(1, DType::F64), batch(2, DType::F64));
    let rows = rows.first();
    let many = DeepLift::new(&net).baseline(Baseline::distribution(rows)).attribute(x.clone(), 1).unwrap();
    let each = (0..2).map(|row| {
        let baseline = rows.narrow(0, row, 1).unwrap();
        DeepLift::new(&net).baseline(&baseline).attribute(x.clone(), 1).unwrap().tensor().clone()
    });
    let mean = (each.reduce(|a, b| (a + b).unwrap()).unwrap() / 2.).unwrap();
    let apart = (many.tensor() - mean).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
    assert!(apart < 1e-12, "{apart:e}");
    assert!(many.convergence_delta().unwrap().max_abs() < 1e-9);
}

#[test]
fn a_block_must_have_the_batch_first() {
    let net = from_fn(|input: &Inputs, layers: &mut Layers| {
        let turned = layers.run(&Activation::Tanh, &input.first().t()?.contiguous()?)?;
        Ok(turned.t()?.contiguous()?)
    });
    let x = Tensor::new(&[[1f64, 2., 3.]], &Device::Cpu).unwrap();
    let error = DeepLift::new(net).attribute(&x, 1).unwrap_err().to_string();
    assert!(error.contains("expected the batch as its first axis"), "{error}");
}

#[test]
fn a_block_of_two_inputs_takes_two() {
    let one = Tensor::zeros((1, 2), DType::F32, &Device::Cpu).unwrap();
    assert!(MatMul.compute(&[&one]).unwrap_err().to_string().contains("got 1 tensors: it takes two"));
    assert!(
        Softmax { axis: 1 }.compute(&[&one, &one]).unwrap_err().to_string().contains("got 2 tensors: it takes one")
    );
    assert!(Layer::Flatten.compute(&[]).unwrap_err().to_string().contains("got 0 tensors: it takes one"));
    assert!(matches!(Multiply.operation(), Operation::Product));
}
