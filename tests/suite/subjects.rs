//! The models that laws are held on: small, of every kind, in both number types.

use std::path::Path;
use std::sync::Arc;

use candle_explain::attr::METHODS;
use candle_explain::engine::{Cost, MethodInfo, Options, Requirement};
use candle_explain::nn::MaxPool2d;
use candle_explain::prelude::*;

use crate::laws::takes_baseline_of_inputs;
use crate::plain::numbers;

/// A model, inputs that fit it, and where to look into it.
pub struct Subject {
    pub name: &'static str,
    pub model: Arc<dyn Model>,
    pub inputs: Inputs,
    /// One row for each input.
    pub baseline: Vec<Tensor>,
    pub layer: &'static str,
    pub neuron: Neuron,
    /// Whether the function has kinks.
    pub kinks: bool,
    /// Few features that the elements of the only input belong to, `[1, ...]`; none if there are few elements.
    pub parts: Option<Tensor>,
    /// Whether there is a ReLU, in a layer "relu".
    pub rectified: bool,
}

const EXAMPLES: usize = 5;

/// Whether a method asks for sets of features, which must be few.
fn asks_for_sets(info: &MethodInfo) -> bool {
    info.takes("feature_mask") && [Cost::PerCoalition, Cost::PerSample].contains(&info.cost)
}

pub const TYPES: [DType; 2] = [DType::F64, DType::F32];

/// Numbers between −1 and 1, the same in both types.
pub fn drawn(seed: u64, shape: &[usize], dtype: DType) -> Tensor {
    let values: Vec<f64> = numbers(seed).take(shape.iter().product()).map(|x| f64::from(x as f32)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn linear(seed: u64, inputs: usize, outputs: usize, dtype: DType) -> Linear {
    let (weight, bias) = (drawn(seed, &[outputs, inputs], dtype), drawn(seed + 1, &[outputs], dtype));
    Linear::from_weights(&weight, Some(&bias)).unwrap()
}

/// Two inputs of different widths, each with a way of its own, multiplied and added.
struct TwoInputs {
    left: Linear,
    right: Linear,
    out: Linear,
}

impl Model for TwoInputs {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let left = layers.run(&self.left, input.get(0)?)?;
        let right = layers.run(&self.right, input.get(1)?)?;
        let product = layers.run(&candle_explain::nn::Multiply, &[&left, &right])?;
        let hidden = layers.apply("hidden", &Activation::Tanh, &(product + left)?)?;
        layers.apply("out", &self.out, &hidden)
    }
}

/// Every subject in a number type.
pub fn subjects(dtype: DType) -> Vec<Subject> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints");
    let input = |seed: u64, shape: &[usize]| drawn(seed, &[&[EXAMPLES], shape].concat(), dtype);
    let row = |seed: u64, shape: &[usize]| (drawn(seed, &[&[1], shape].concat(), dtype) * 0.2).unwrap();

    let mlp = [
        ("linear1", Layer::Linear(linear(1, 4, 6, dtype))),
        ("tanh1", Layer::Activation(Activation::Tanh)),
        ("linear2", Layer::Linear(linear(3, 6, 3, dtype))),
    ];
    let mlp = Sequential::from_layers(4, mlp).unwrap();

    let conv = Conv2d::from_weights(&drawn(5, &[3, 1, 2, 2], dtype), Some(&drawn(6, &[3], dtype)), 1, 0).unwrap();
    let cnn = [
        ("conv", Layer::Conv2d(conv)),
        ("relu", Layer::Activation(Activation::Relu)),
        ("pool", Layer::MaxPool2d(MaxPool2d { kernel: (2, 2), stride: (2, 2) })),
        ("flatten", Layer::Flatten),
        ("linear", Layer::Linear(linear(7, 12, 3, dtype))),
    ];
    let cnn = Sequential::from_layers([1, 5, 5], cnn).unwrap();

    let encoder = SequenceClassifier::from_pretrained(root.join("tiny-bert")).unwrap().to_dtype(dtype).unwrap();
    let above = FromLayer::new(&encoder, "embeddings");
    let ids: Vec<u32> = (0..EXAMPLES as u32 * 6).map(|index| 3 + index * 7 % 50).collect();
    let ids = Tensor::from_vec(ids, (EXAMPLES, 6), &Device::Cpu).unwrap();
    let embedded = above.inputs(&ids).unwrap();
    let padding = above.inputs(ids.narrow(0, 0, 1).unwrap().zeros_like().unwrap()).unwrap();

    let cells: Vec<i64> = (0..25).map(|pixel| pixel / 5 / 2 * 3 + pixel % 5 / 2).collect();
    let cells = Tensor::from_vec(cells, (1, 1, 5, 5), &Device::Cpu).unwrap();
    let places = Tensor::arange(0i64, 6, &Device::Cpu).unwrap().reshape((1, 6, 1)).unwrap();
    let places = places.broadcast_as((1, 6, embedded.first().dims()[2])).unwrap().contiguous().unwrap();

    let two = TwoInputs { left: linear(11, 3, 4, dtype), right: linear(13, 2, 4, dtype), out: linear(15, 4, 3, dtype) };
    vec![
        Subject {
            name: "MLP",
            model: Arc::new(mlp),
            inputs: Inputs::from(input(21, &[4])),
            baseline: vec![row(22, &[4])],
            layer: "tanh1",
            neuron: Neuron::from(2),
            kinks: false,
            parts: None,
            rectified: false,
        },
        Subject {
            name: "CNN",
            model: Arc::new(cnn),
            inputs: Inputs::from(input(23, &[1, 5, 5])),
            baseline: vec![row(24, &[1, 5, 5])],
            layer: "conv",
            neuron: Neuron::from([1, 2, 3]),
            kinks: true,
            parts: Some(cells),
            rectified: true,
        },
        Subject {
            name: "encoder",
            model: Arc::new(above),
            inputs: embedded,
            baseline: padding.tensors().to_vec(),
            layer: "encoder.layer.0",
            neuron: Neuron::from([1, 3]),
            kinks: false,
            parts: Some(places),
            rectified: false,
        },
        Subject {
            name: "two inputs",
            model: Arc::new(two),
            inputs: Inputs::new([input(25, &[3]), input(26, &[2])]),
            baseline: vec![row(27, &[3]), row(28, &[2])],
            layer: "hidden",
            neuron: Neuron::from(1),
            kinks: false,
            parts: None,
            rectified: false,
        },
    ]
}

/// Whether a method is a mean over a distribution of baselines, without which it is an error.
pub fn averages_baselines(info: &MethodInfo) -> bool {
    info.requires(Requirement::Distribution)
}

/// Whether a method takes each example beside its baseline, by DeepLift's rules.
pub fn takes_pairs(info: &MethodInfo) -> bool {
    info.requires(Requirement::Blocks) && info.takes("baseline")
}

/// Whether a method changes what passes through ReLUs: in a model without any it is an error, so the laws hold it on
/// models that have some.
pub fn rectifies(info: &MethodInfo) -> bool {
    info.requires(Requirement::Relus)
}

impl Subject {
    /// What a path can be refined to with 5000 steps: less where the function has kinks.
    pub fn tolerance(&self, dtype: DType) -> f64 {
        if dtype == DType::F64 && !self.kinks { 1e-7 } else { 1e-4 }
    }

    /// The methods that this model suits: those that are about ReLUs need one.
    pub fn methods(&self) -> impl Iterator<Item = &'static MethodInfo> {
        METHODS.iter().filter(|info| !rectifies(info) || self.rectified)
    }

    /// Settings that suit a method here.
    pub fn options(&self, info: &MethodInfo) -> Options {
        // Below a neuron there must be a ReLU.
        let layer = if rectifies(info) && info.takes("neuron") { "relu" } else { self.layer };
        let baseline = if averages_baselines(info) { Baseline::Distribution } else { Baseline::Tensors };
        Options {
            layers: if info.takes("layer") { vec![layer.to_string()] } else { Vec::new() },
            neuron: info.takes("neuron").then(|| self.neuron.clone()),
            // 2ⁿ coalitions of n features, or a surrogate of n coefficients.
            feature_mask: self.parts.as_ref().filter(|_| asks_for_sets(info)).map(FeatureMask::from),
            method: info.takes("method").then(|| "InputXGradient".to_string()),
            sliding_window_shapes: info.takes("sliding_window_shapes").then(|| Sizes::from(1)),
            baseline: takes_baseline_of_inputs(info).then(|| baseline(self.baseline.clone())),
            ..Options::default()
        }
    }

    pub fn attribute(&self, info: &MethodInfo, options: &Options) -> Attributions {
        self.attribute_rows(info, options, 0, EXAMPLES)
    }

    /// The same for some of the examples.
    pub fn attribute_rows(&self, info: &MethodInfo, options: &Options, first: usize, count: usize) -> Attributions {
        let method = (info.build)(self.model.clone(), options).unwrap();
        let result = method.attribute_to(&self.rows(first, count), &info.target(1));
        result.unwrap_or_else(|error| panic!("{} of {}: {error}", info.name, self.name))
    }

    /// The sum of an example's attributions, in which each feature counts once.
    pub fn sum(&self, info: &MethodInfo, result: &Attributions, row: usize) -> f64 {
        let of_row = |value: &Tensor| {
            let value = value.narrow(0, row, 1).unwrap().to_dtype(DType::F64).unwrap();
            value.flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        match self.parts.as_ref().filter(|_| asks_for_sets(info)) {
            None => result.values().iter().flat_map(of_row).sum(),
            Some(parts) => {
                let parts = parts.flatten_all().unwrap().to_vec1::<i64>().unwrap();
                let first = |(position, part): &(usize, &i64)| !parts[..*position].contains(part);
                let values = of_row(result.tensor());
                parts.iter().enumerate().filter(first).map(|(position, _)| values[position]).sum()
            }
        }
    }

    pub fn rows(&self, first: usize, count: usize) -> Inputs {
        let narrow = |tensor: &Tensor| tensor.narrow(0, first, count).unwrap();
        Inputs::new(self.inputs.tensors().iter().map(narrow)).with_args(self.inputs.args().iter().map(narrow))
    }

    /// What is attributed of each example at some inputs: the output, or the activation of the neuron.
    pub fn attributed(&self, info: &MethodInfo, inputs: &Inputs) -> Vec<f64> {
        let tensor = match info.takes("neuron") && info.name != "NeuronConductance" {
            true => {
                let activation = LayerActivation::new(self.model.clone(), self.layer).attribute(inputs).unwrap();
                let index = self.neuron.to_string();
                let index = index.trim_matches(['[', ']']).split(", ").map(|axis| axis.parse::<usize>().unwrap());
                index.fold(activation.tensor().clone(), |tensor, axis| {
                    tensor.narrow(1, axis, 1).unwrap().squeeze(1).unwrap()
                })
            }
            false => self.model.predict(inputs).unwrap().narrow(1, 1, 1).unwrap().squeeze(1).unwrap(),
        };
        tensor.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }
}
