//! Every reference case of `tests/golden/`, and of the folder in `CANDLE_EXPLAIN_GOLDEN` if that is
//! set, against the method of its name. Cases of methods or models that the crate does not offer are listed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_explain::attr::METHODS;
use candle_explain::engine::Options;
use candle_explain::model::{ClassifierOutput, InputShape, Layer, SequenceClassifier};
use candle_explain::nn::{AvgPool2d, MaxPool2d};
use candle_explain::prelude::*;
use serde_json::Value;

enum Outcome {
    Passed,
    Skipped(String),
}

#[test]
fn every_case_of_the_project() {
    run_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
}

#[test]
fn every_case_of_another_folder() {
    match std::env::var_os("CANDLE_EXPLAIN_GOLDEN") {
        Some(folder) => run_folder(Path::new(&folder)),
        None => println!("no other folder: CANDLE_EXPLAIN_GOLDEN is not set"),
    }
}

/// Runs every case of a folder; fails on any case of a method that the crate offers.
fn run_folder(folder: &Path) {
    let cases = case_files(folder);
    assert!(!cases.is_empty(), "there is no case in {}", folder.display());

    let mut passed: BTreeMap<String, usize> = BTreeMap::new();
    let mut skipped: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut failed = Vec::new();
    for file in &cases {
        let text = std::fs::read_to_string(file).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        let name = case["name"].as_str().unwrap().to_string();
        let method = case["method"].as_str().unwrap().to_string();
        match run(&case, folder) {
            Ok(Outcome::Passed) => *passed.entry(method).or_default() += 1,
            Ok(Outcome::Skipped(why)) => {
                skipped.entry(why).or_default().insert(name);
            }
            Err(why) => failed.push(format!("{name}: {why}")),
        }
    }

    println!("{} cases in {}", cases.len(), folder.display());
    passed.iter().for_each(|(method, count)| println!("passed   {method}: {count}"));
    for (why, names) in &skipped {
        println!("skipped  {why}: {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
    assert!(!passed.is_empty(), "no case ran");
}

fn case_files(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let listing = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        listing.map(|entry| entry.unwrap().path()).collect()
    };
    let folders = entries(folder).into_iter().filter(|path| path.is_dir() && !path.ends_with("checkpoints"));
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| entries(&folder))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files
}

fn run(case: &Value, folder: &Path) -> Result<Outcome, String> {
    let method = case["method"].as_str().unwrap();
    let inputs: Vec<Tensor> = case["inputs"].as_array().unwrap().iter().map(tensor).collect();
    let model = model(case, folder, &inputs).map_err(|e| e.to_string())?;
    let given = case["forward_args"].as_array().into_iter().flatten().map(tensor);
    let inputs = Inputs::new(inputs).with_args(given);
    if method == "Forward" {
        let output = model.forward(&inputs, &mut Layers::default()).map_err(|e| e.to_string())?;
        let expected = numbers(&tensor(&case["expected"]["attributions"][0]));
        compare("output", &numbers(&output), &expected, case["tolerance"].as_f64().unwrap())?;
        return Ok(Outcome::Passed);
    }
    let Some(info) = METHODS.iter().find(|info| info.name == method) else {
        return Ok(Outcome::Skipped(format!("method {method} is not offered")));
    };
    let result = (info.build)(model, &options(case)?)
        .and_then(|method| method.attribute_to(&inputs, &target(&case["target"])))
        .map_err(|e| e.to_string())?;

    let tolerance = case["tolerance"].as_f64().unwrap();
    let expected = case["expected"]["attributions"].as_array().unwrap();
    if expected.len() != result.values().len() {
        return Err(format!("{} attributions instead of {}", result.values().len(), expected.len()));
    }
    for (got, expected) in result.values().iter().zip(expected) {
        let expected = tensor(expected);
        if got.dims() != expected.dims() {
            return Err(format!("shape {:?} instead of {:?}", got.dims(), expected.dims()));
        }
        compare("attribution", &numbers(got), &numbers(&expected), tolerance)?;
    }
    if !case["expected"]["convergence_delta"].is_null() {
        let delta = result.convergence_delta().map_err(|e| e.to_string())?;
        let expected = numbers(&tensor(&case["expected"]["convergence_delta"]));
        compare("convergence delta", delta.values(), &expected, tolerance)?;
    }
    Ok(Outcome::Passed)
}

fn compare(what: &str, got: &[f64], expected: &[f64], tolerance: f64) -> Result<(), String> {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(1., |scale: f64, value| scale.max(value.abs()));
    let worst = got
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0., |worst: f64, error| if error.is_nan() { f64::INFINITY } else { worst.max(error) });
    if worst <= tolerance * scale {
        Ok(())
    } else {
        Err(format!("{what} off by {worst:.3e}, allowed {:.3e}", tolerance * scale))
    }
}

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<usize> =
        value["shape"].as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap() as usize).collect();
    let data = value["data"].as_array().unwrap().iter();
    if value["dtype"] == "i64" {
        let ids: Vec<i64> = data.map(|id| id.as_i64().unwrap()).collect();
        return Tensor::from_vec(ids, shape, &Device::Cpu).unwrap();
    }
    let data: Vec<f64> = data.map(|x| x.as_f64().unwrap()).collect();
    Tensor::from_vec(data, shape, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn index(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|index| index.as_u64().unwrap() as usize).collect()
}

fn target(value: &Value) -> Target {
    match value {
        Value::Null => Target::None,
        Value::Number(class) => Target::Class(class.as_u64().unwrap() as usize),
        Value::Array(list) if list.iter().all(Value::is_array) => {
            Target::PerExampleIndex(list.iter().map(index).collect())
        }
        list => Target::PerExample(index(list)),
    }
}

fn options(case: &Value) -> Result<Options, String> {
    let mut options = Options {
        layers: case["layer"].as_str().map(str::to_string).into_iter().collect(),
        neuron: case["neuron"].as_array().map(|_| Neuron::from(index(&case["neuron"]))),
        baseline: match &case["baselines"] {
            Value::Null => None,
            Value::Number(value) => Some(Baseline::Value(value.as_f64().unwrap())),
            list => Some(Baseline::Tensors(list.as_array().unwrap().iter().map(tensor).collect())),
        },
        captum_rules: (case["method"] == "DeepLift").then_some(true),
        ..Options::default()
    };
    for (name, value) in case["args"].as_object().unwrap() {
        let count = || value.as_u64().map(|count| count as usize);
        match name.as_str() {
            "n_steps" => options.n_steps = count(),
            "internal_batch_size" => options.internal_batch_size = count(),
            "perturbations_per_eval" => options.internal_batch_size = count(),
            "feature_mask" => {
                let ids: Vec<u32> = index(value).into_iter().map(|id| id as u32).collect();
                options.feature_mask =
                    Some(FeatureMask::from(Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap()));
            }
            "sliding_window_shapes" => options.sliding_window_shapes = Some(Sizes::from(index(value))),
            "strides" => options.strides = Some(Sizes::from(index(value))),
            "multiply_by_inputs" => options.multiply_by_inputs = value.as_bool(),
            "abs" => options.abs = value.as_bool(),
            "attribute_to_layer_input" | "attribute_to_neuron_input" => {
                options.attribute_to_layer_input = value.as_bool();
            }
            "n_samples" => options.n_samples = count(),
            "output" => {} // of the model
            "quadrature" => {
                options.quadrature = Some(match value.as_str().unwrap() {
                    "gausslegendre" => Quadrature::GaussLegendre,
                    "riemann_left" => Quadrature::RiemannLeft,
                    "riemann_right" => Quadrature::RiemannRight,
                    "riemann_middle" => Quadrature::RiemannMiddle,
                    "riemann_trapezoid" => Quadrature::CaptumTrapezoid,
                    other => return Err(format!("unknown quadrature {other}")),
                });
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(options)
}

/// The case's model, in float64.
fn model(case: &Value, folder: &Path, inputs: &[Tensor]) -> Result<Arc<dyn Model>> {
    match case["model"]["kind"].as_str().unwrap() {
        "sequential" => Ok(Arc::new(network(&case["model"], &inputs[0].dims()[1..])?)),
        "huggingface" => {
            let checkpoint = folder.join(case["model"]["path"].as_str().unwrap());
            let output = match case["args"]["output"].as_str() {
                Some("probabilities") => ClassifierOutput::Probabilities,
                _ => ClassifierOutput::Logits,
            };
            let classifier = SequenceClassifier::from_pretrained(checkpoint)?;
            Ok(Arc::new(classifier.output(output).to_dtype(DType::F64)?))
        }
        other => panic!("unknown kind of model {other}"),
    }
}

fn network(model: &Value, input_shape: &[usize]) -> Result<Sequential> {
    let layers = model["layers"].as_array().unwrap().iter().map(|layer| {
        let size = |key: &str| layer[key].as_u64().map(|size| size as usize);
        let weight = || tensor(&layer["weight"]);
        let bias = (!layer["bias"].is_null()).then(|| tensor(&layer["bias"]));
        let square = |side: usize| (side, side);
        let window = || (size("kernel").unwrap(), size("stride").or(size("kernel")).unwrap());
        let ready = match layer["type"].as_str().unwrap() {
            "linear" => Layer::Linear(Linear::from_weights(&weight(), bias.as_ref())?),
            "conv2d" => Layer::Conv2d(Conv2d::from_weights(
                &weight(),
                bias.as_ref(),
                size("stride").unwrap_or(1),
                size("padding").unwrap_or(0),
            )?),
            "relu" => Layer::Activation(Activation::Relu),
            "sigmoid" => Layer::Activation(Activation::Sigmoid),
            "tanh" => Layer::Activation(Activation::Tanh),
            "softplus" => Layer::Activation(Activation::Softplus),
            "gelu" => Layer::Activation(Activation::Gelu),
            "elu" => Layer::Activation(Activation::Elu { alpha: layer["alpha"].as_f64().unwrap_or(1.) }),
            "leaky_relu" => Layer::Activation(Activation::LeakyRelu { slope: layer["slope"].as_f64().unwrap() }),
            "softmax" => Layer::Softmax,
            "flatten" => Layer::Flatten,
            "max_pool2d" => Layer::MaxPool2d(MaxPool2d { kernel: square(window().0), stride: square(window().1) }),
            "avg_pool2d" => Layer::AvgPool2d(AvgPool2d { kernel: square(window().0), stride: square(window().1) }),
            other => panic!("unknown layer type {other}"),
        };
        Ok((layer["name"].as_str().unwrap(), ready))
    });
    Sequential::from_layers(InputShape::from(input_shape), layers.collect::<Result<Vec<_>>>()?)
}
