//! How many passes a method takes, and of how many rows.

use std::sync::{Arc, Mutex};

use crate::laws::{mixes_rows, options, takes_baseline_of_inputs};
use crate::plain::{Plain, Square, rows, tensor};
use crate::subjects::{rectifies, takes_pairs};
use candle_explain::attr::METHODS;
use candle_explain::engine::{Family, MethodInfo, Options};
use candle_explain::prelude::*;

/// A network that notes the rows of each of its passes, and whether its operations are known.
pub struct Counted {
    network: Sequential,
    known: bool,
    passes: Mutex<Vec<usize>>,
}

impl Counted {
    pub fn new(info: &MethodInfo, known: bool) -> Arc<Self> {
        // Of the former, neuron 2 is active for the first example: the slope of one that is not is looked at again.
        let network = if rectifies(info) { Plain::rectified(68) } else { Plain::new(61) };
        Arc::new(Self { network: network.sequential(), known, passes: Mutex::default() })
    }

    /// The rows of each pass since the last time.
    pub fn passes(&self) -> Vec<usize> {
        std::mem::take(&mut self.passes.lock().unwrap())
    }
}

impl Model for Counted {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        self.passes.lock().unwrap().push(input.batch_size()?);
        self.network.forward(input, layers)
    }

    fn known_operations(&self) -> Option<usize> {
        self.known.then(|| self.network.known_operations()).flatten()
    }
}

/// The rows of each pass for one example and 50 steps, and for one example, 20 baselines and 5 steps.
const PASSES: &[(&str, &[usize], &[usize])] = &[
    // The gradient at the input, which tells F there and what a pass keeps; F at the baselines; the steps.
    ("IntegratedGradients", &[1, 1, 50], &[1, 20, 100]),
    ("Saliency", &[1], &[1]),
    ("InputXGradient", &[1], &[1]),
    // The gradient at the input; F at the baselines drawn; the samples.
    ("GradientShap", &[1, 1, 5], &[1, 5, 5]),
    // The input beside its baseline, which tells what a pair keeps; the other pairs.
    ("DeepLift", &[2], &[2, 38]),
    ("DeepLiftShap", &[2], &[2, 38]),
    ("GuidedBackprop", &[1], &[1]),
    ("Deconvolution", &[1], &[1]),
    // Guided backpropagation; Grad-CAM.
    ("GuidedGradCam", &[1, 1], &[1, 1]),
    ("LRP", &[1], &[1]),
    // The method at the input; the first sample, which tells what a row keeps; the others.
    ("NoiseTunnel", &[1, 1, 4], &[1, 1, 4]),
    // F at the input; without each feature, for each baseline.
    ("FeatureAblation", &[1, 4], &[1, 80]),
    // Two examples, each with the features of the other.
    ("FeaturePermutation", &[2, 8], &[2, 8]),
    ("Occlusion", &[1, 2], &[1, 40]),
    // F at the input; with no feature; with some of the four, in 14 ways.
    ("ShapleyValueSampling", &[1, 1, 14], &[1, 20, 280]),
    // The same together.
    ("ShapleyValues", &[1, 15], &[1, 300]),
    ("Lime", &[1, 14], &[1, 280]),
    ("KernelShap", &[1, 1, 14], &[1, 20, 280]),
    // The layer at the input, and the gradient there; F and the layer at the baselines; the layer at the inputs.
    ("LayerIntegratedGradients", &[1, 1, 1, 1, 1, 50], &[1, 1, 20, 20, 1, 100]),
    // The layer is also wanted at each step's beginning.
    ("LayerConductance", &[1, 1, 51], &[1, 20, 120]),
    ("LayerActivation", &[1], &[1]),
    ("LayerGradientXActivation", &[1], &[1]),
    ("LayerGradCam", &[1], &[1]),
    ("InternalInfluence", &[1, 50], &[1, 100]),
    // The layer and the gradient at the input; the layer there for its shape; F at the baselines drawn; the layer at both
    // ends of the samples, once for equal ones.
    ("LayerGradientShap", &[1, 1, 1, 1, 1, 1, 5], &[1, 1, 1, 5, 5, 1, 5]),
    ("LayerDeepLift", &[2], &[2, 38]),
    ("LayerDeepLiftShap", &[2], &[2, 38]),
    ("LayerLRP", &[1], &[1]),
    // The layer at the input; F there; without each neuron.
    ("LayerFeatureAblation", &[1, 1, 5], &[1, 1, 5]),
    ("LayerFeaturePermutation", &[2, 2, 10], &[2, 2, 10]),
    ("NeuronConductance", &[1, 50], &[1, 100]),
    ("NeuronGradient", &[1], &[1]),
    ("NeuronIntegratedGradients", &[1, 1, 50], &[1, 20, 100]),
    ("NeuronGradientShap", &[1, 1, 5], &[1, 5, 5]),
    ("NeuronDeepLift", &[2], &[2, 38]),
    ("NeuronDeepLiftShap", &[2], &[2, 38]),
    ("NeuronGuidedBackprop", &[1], &[1]),
    ("NeuronDeconvolution", &[1], &[1]),
    ("NeuronFeatureAblation", &[1, 4], &[1, 80]),
];

fn passes(info: &MethodInfo, model: &Arc<Counted>, examples: usize, baselines: usize) -> [Vec<usize>; 2] {
    let mut options = options(info);
    if info.takes("n_steps") && baselines > 1 {
        options.n_steps = Some(5);
    }
    if info.takes("feature_mask") && info.takes("internal_batch_size") && baselines > 1 {
        options.internal_batch_size = Some(1_000);
    }
    if takes_baseline_of_inputs(info) && baselines > 1 {
        options.baseline = Some(Baseline::distribution(&tensor(&rows(4, baselines))));
    }
    let method = (info.build)(model.clone(), &options).unwrap();
    let inputs = Inputs::from(&tensor(&rows(3, if mixes_rows(info) { examples.max(2) } else { examples })));
    [(); 2].map(|()| {
        method.attribute_to(&inputs, &info.target(1)).unwrap();
        model.passes()
    })
}

#[test]
fn every_method_takes_the_passes_that_it_needs() {
    assert_eq!(
        PASSES.iter().map(|(name, ..)| *name).collect::<Vec<_>>(),
        METHODS.iter().map(|info| info.name).collect::<Vec<_>>()
    );
    for (info, (name, one, many)) in METHODS.iter().zip(PASSES.iter().copied()) {
        assert_eq!(passes(info, &Counted::new(info, true), 1, 1), [one, one], "{name}");
        assert_eq!(passes(info, &Counted::new(info, true), 1, 20), [many, many], "{name}");
    }
}

#[test]
fn of_a_model_of_known_operations_one_row_tells_what_others_keep() {
    let network = Sequential::builder(4).linear("linear1", 3_000).tanh("tanh1").linear("linear2", 2).build(Seed(3));
    let network = network.unwrap();
    let x = tensor(&rows(3, 1)).to_dtype(DType::F32).unwrap();
    for (known, pairs) in [(true, 0), (false, 1)] {
        let model = Arc::new(Counted { network: network.clone(), known, passes: Mutex::default() });
        let method = IntegratedGradients::new(model.clone()).n_steps(400).gradient_check(Check::Off);
        method.attribute(&x, Target::Class(1)).unwrap();
        let passes = model.passes();
        assert_eq!(passes.iter().filter(|rows| **rows == 2).count(), pairs, "{passes:?}");
    }
}

#[test]
fn the_gradient_check_is_three_rows_once_for_each_gradient() {
    for (info, (name, one, _)) in METHODS.iter().zip(PASSES.iter().copied()) {
        let gradients = match name {
            // Its method's.
            "NoiseTunnel" => 1,
            // No gradient, or its delta tells.
            _ if !info.takes("gradient_check") => 0,
            // The layer's gradient and its neuron's; the inputs' and the layer's.
            "NeuronConductance" | "GuidedGradCam" => 2,
            _ => 1,
        };
        let [first, second] = passes(info, &Counted::new(info, false), 1, 1);
        assert_eq!(second, one, "{name}");
        assert_eq!(first.iter().filter(|rows| **rows == 3).count(), gradients, "{name}: {first:?}");
        // A right one is taken once more, of the example twice.
        let probes = if name == "NeuronConductance" { 2 } else { 0 };
        let passes: usize = first.iter().filter(|rows| **rows == 2).count();
        let pairs = one.iter().filter(|rows| **rows == 2).count();
        assert!(passes >= pairs + gradients, "{name}: {first:?}");
        let of_layer = if ["LayerIntegratedGradients", "LayerGradientShap"].contains(&name) { 1 } else { 0 };
        // What is compared with the function is the gradient without the rule.
        let ordinary = if rectifies(info) { 1 } else { 0 };
        assert_eq!(first.len(), one.len() + 2 * gradients + probes + of_layer + ordinary, "{name}: {first:?}");
    }
}

#[test]
fn the_passes_of_a_gradient_take_each_example_once() {
    for (info, (name, one, _)) in METHODS.iter().zip(PASSES.iter().copied()).filter(|(_, (_, one, _))| one.len() == 1) {
        let [first, _] = passes(info, &Counted::new(info, true), 5, 1);
        assert_eq!(first.iter().sum::<usize>(), 5 * one[0], "{name}: {first:?} where one takes {one:?}");
    }
}

/// How often a model gives each of these numbers, for one example and another.
fn given(info: &MethodInfo, options: &Options, examples: usize, width: usize) -> Vec<usize> {
    let activation = if rectifies(info) { Activation::Relu } else { Activation::Tanh };
    let inputs = tensor(&rows(7, examples));
    let numbers: Arc<Mutex<Vec<f64>>> = Arc::default();
    let seen = numbers.clone();
    let model = from_fn(move |input, layers| {
        let x = layers.apply("tanh1", &activation, &input.first().affine(0.7, 0.1)?)?;
        // Wide enough for a pass of few rows to fill the cache.
        let wide = x.sum_keepdim(1)?.repeat((1, width))?.affine(1. / width as f64, 0.)?;
        let output = (layers.run(&Square, &x)?.sum_keepdim(1)? + layers.run(&Square, &wide)?.sum_keepdim(1)?)?;
        seen.lock().unwrap().extend(output.flatten_all()?.to_vec1::<f64>()?);
        Ok(Tensor::cat(&[&output, &output.neg()?], 1)?)
    });
    let expected = model.predict(&inputs).unwrap();
    let expected = expected.narrow(1, 0, 1).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    numbers.lock().unwrap().clear();
    let method = (info.build)(model, options).unwrap();
    method.attribute_to(&Inputs::from(&inputs), &Target::Predicted).unwrap();
    let numbers = numbers.lock().unwrap();
    let times = |wanted: &f64| numbers.iter().filter(|number| (*number - wanted).abs() < 1e-12).count();
    expected.iter().map(times).collect()
}

#[test]
fn the_output_at_the_input_is_computed_once() {
    // What a tunnel's method computes is its own.
    for info in METHODS.iter().filter(|info| !["LayerActivation", "NoiseTunnel"].contains(&info.name)) {
        let check = info.takes("gradient_check").then_some(Check::Off);
        let max_samples = info.takes("max_samples").then_some(64);
        let plain = Options { gradient_check: check, max_samples, ..options(info) };
        let quadrature = info.takes("quadrature").then_some(Quadrature::GaussLegendre);
        let mut variants = vec![Options { quadrature, ..plain.clone() }];
        if info.takes("tolerance") {
            variants.push(Options { tolerance: Some(1e-3), ..plain.clone() });
            variants.push(Options { internal_batch_size: Some(3), quadrature, ..plain.clone() });
        }
        let expected = match info.name {
            // Guided backpropagation and Grad-CAM are a pass each.
            "GuidedGradCam" => 2,
            "NeuronConductance" => 1,
            // The activation of a neuron is computed below the output.
            _ if info.family == Family::Neuron => 0,
            _ => 1,
        };
        for options in &variants {
            let batches = [(1, 1), (2, 1), (5, 1), (1, 3_000), (2, 3_000), (5, 3_000)];
            for (examples, width) in batches.into_iter().filter(|(examples, _)| *examples > 1 || !mixes_rows(info)) {
                let times = given(info, options, examples, width);
                assert_eq!(times, vec![expected; examples], "{}, {width} wide, {options:?}", info.name);
            }
        }
    }
}

/// A model whose batch is fixed: it takes one row.
fn of_one_row() -> Arc<dyn Model> {
    from_fn(|input, layers| {
        let row = input.first().reshape((1, 4))?;
        let hidden = layers.apply("tanh1", &Activation::Tanh, &row.affine(0.7, 0.1)?)?;
        Ok(hidden.reshape((1, 4))?.sqr()?)
    })
}

#[test]
fn a_model_that_takes_one_row_gives_what_one_that_takes_many_does() {
    let free = from_fn(|input, layers| {
        let hidden = layers.apply("tanh1", &Activation::Tanh, &input.first().affine(0.7, 0.1)?)?;
        Ok(hidden.sqr()?)
    });
    let inputs = Inputs::from(&tensor(&rows(5, 4)));
    // Pairs are two rows, and there is no ReLU here.
    for info in METHODS.iter().filter(|info| !takes_pairs(info) && !rectifies(info)) {
        let options = options(info);
        for count in [if mixes_rows(info) { 2 } else { 1 }, 4] {
            let of = |model: &Arc<dyn Model>| {
                let inputs = Inputs::from(&inputs.first().narrow(0, 0, count).unwrap());
                let method = (info.build)(model.clone(), &options).unwrap();
                let result = method.attribute_to(&inputs, &info.target(1)).unwrap_or_else(|error| {
                    panic!("{} of {count}: {error}", info.name);
                });
                result.tensor().flatten_all().unwrap().to_vec1::<f64>().unwrap()
            };
            for (alone, together) in of(&of_one_row()).into_iter().zip(of(&free)) {
                assert!((alone - together).abs() < 1e-12, "{} of {count}: {alone} and {together}", info.name);
            }
        }
    }
}

#[test]
fn a_pass_that_fails_on_the_way_is_taken_row_by_row() {
    const WIDE: usize = 1 << 12;
    let refused = |rows: usize, values: &[f64]| rows > 1 && values.contains(&25.);
    let model = |picky: bool| {
        from_fn(move |input, layers| {
            let x = input.first();
            if picky && refused(x.dims()[0], &x.flatten_all()?.to_vec1()?) {
                return Err(candle_explain::candle_core::Error::Msg("not this row among others".into()).into());
            }
            let wide = layers.visit("wide", x.broadcast_as((x.dims()[0], WIDE))?.contiguous()?)?;
            layers.visit("sum", wide.sqr()?.sum(1)?)
        })
    };
    let x = Tensor::arange(0f64, 40., &Device::Cpu).unwrap().unsqueeze(1).unwrap();
    let gradients = |picky| {
        let result = Saliency::new(model(picky)).gradient_check(Check::Off).attribute(&x, Target::None).unwrap();
        result.tensor().to_vec2::<f64>().unwrap()
    };
    let expected: Vec<Vec<f64>> = (0..40).map(|x| vec![2. * f64::from(x) * WIDE as f64]).collect();
    assert_eq!(gradients(false), expected);
    assert_eq!(gradients(true), expected);
}

#[test]
fn a_method_of_two_rows_says_so() {
    let row = Inputs::from(&tensor(&rows(5, 1)));
    let error = DeepLift::new(&of_one_row()).attribute_to(&row, &Target::Class(1)).unwrap_err().to_string();
    assert!(error.contains("an input and what it is compared with, row beside row"), "{error}");
}

#[test]
fn a_number_without_a_batch_is_that_of_one_row() {
    let scalar = from_fn(|input, layers| {
        let hidden = layers.apply("tanh1", &Activation::Tanh, input.first())?;
        Ok(hidden.sqr()?.sum_all()?)
    });
    let row = from_fn(|input, layers| {
        let hidden = layers.apply("tanh1", &Activation::Tanh, input.first())?;
        Ok(hidden.sqr()?.sum(1)?)
    });
    // Pairs are two rows, and there is no ReLU here.
    for info in METHODS.iter().filter(|info| !takes_pairs(info) && !rectifies(info)) {
        let options = options(info);
        let of = |model: &Arc<dyn Model>, count: usize| {
            let method = (info.build)(model.clone(), &options).unwrap();
            method.attribute_to(&Inputs::from(&tensor(&rows(6, count))), &Target::None)
        };
        let numbers = |result: Result<Attributions>| {
            let result = result.unwrap_or_else(|error| panic!("{}: {error}", info.name));
            result.tensor().flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        for count in [if mixes_rows(info) { 2 } else { 1 }, 3] {
            for (number, expected) in numbers(of(&scalar, count)).into_iter().zip(numbers(of(&row, count))) {
                assert!((number - expected).abs() < 1e-12, "{} of {count}: {number} and {expected}", info.name);
            }
        }
    }
}
