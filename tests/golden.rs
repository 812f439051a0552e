//! Every reference case of `tests/golden/` against the method of its name, and every one of another folder: that in
//! `CANDLE_EXPLAIN_GOLDEN`, else `../shared/golden` beside the project, if it is there. No case is skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_explain::attr::METHODS;
use candle_explain::engine::{MethodInfo, Options, Requirement};
use candle_explain::model::{ClassifierOutput, InputShape, Layer, SequenceClassifier};
use candle_explain::nn::{AvgPool2d, MaxPool2d};
use candle_explain::prelude::*;
use serde_json::Value;

#[test]
fn every_case_of_the_project() {
    run_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
}

/// The operations of candle that a model runs on another device, for which the CPU stands: in a process of its own, because
/// it stands for it in all of a process.
#[test]
fn every_case_of_the_project_as_on_another_device() {
    const STANDS: &str = "CANDLE_EXPLAIN_STANDS";
    if std::env::var_os(STANDS).is_some() {
        candle_explain::device::stand_in(Some(1 << 30));
        return every_case_of_the_project();
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let child = child.args(["every_case_of_the_project_as_on_another_device", "--exact", "--nocapture"]);
    let output = child.env(STANDS, "1").output().unwrap();
    let shown = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && shown[0].contains("1 passed"), "{}", shown.concat());
}

#[test]
fn every_case_of_another_folder() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden");
    match std::env::var_os("CANDLE_EXPLAIN_GOLDEN") {
        Some(folder) => run_folder(Path::new(&folder)),
        None if beside.is_dir() => run_folder(&beside),
        None => println!("no other folder: CANDLE_EXPLAIN_GOLDEN is not set, and ../shared/golden is not there"),
    }
}

/// Runs every case of a folder, and fails unless all of them pass.
fn run_folder(folder: &Path) {
    let cases = case_files(folder);
    assert!(!cases.is_empty(), "there is no case in {}", folder.display());

    let mut passed: BTreeMap<String, usize> = BTreeMap::new();
    let mut failed = Vec::new();
    for file in &cases {
        let text = std::fs::read_to_string(file).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        let name = case["name"].as_str().unwrap().to_string();
        let method = case["method"].as_str().unwrap().to_string();
        match run(&case, folder) {
            Ok(()) => *passed.entry(method).or_default() += 1,
            Err(why) => failed.push(format!("{name}: {why}")),
        }
    }

    println!("{} cases in {}", cases.len(), folder.display());
    passed.iter().for_each(|(method, count)| println!("passed   {method}: {count}"));
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
    assert_eq!(passed.values().sum::<usize>(), cases.len(), "a case of the folder did not run");
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

fn run(case: &Value, folder: &Path) -> Result<(), String> {
    let method = case["method"].as_str().unwrap();
    let inputs: Vec<Tensor> = case["inputs"].as_array().unwrap().iter().map(tensor).collect();
    let model = model(case, folder, &inputs).map_err(|e| e.to_string())?;
    let given = case["forward_args"].as_array().into_iter().flatten().map(tensor);
    let inputs = Inputs::new(inputs).with_args(given);
    if method == "Forward" {
        let output = model.forward(&inputs, &mut Layers::default()).map_err(|e| e.to_string())?;
        let expected = numbers(&tensor(&case["expected"]["attributions"][0]));
        compare("output", &numbers(&output), &expected, case["tolerance"].as_f64().unwrap())?;
        return Ok(());
    }
    if method == "FGSM" || method == "PGD" {
        let perturbed = perturbed(case, model, &inputs).map_err(|e| e.to_string())?;
        let expected = case["expected"]["attributions"].as_array().unwrap();
        assert_eq!(perturbed.tensors().len(), expected.len());
        for (got, expected) in perturbed.tensors().iter().zip(expected) {
            compare("input", &numbers(got), &numbers(&tensor(expected)), case["tolerance"].as_f64().unwrap())?;
        }
        return Ok(());
    }
    let Some(info) = METHODS.iter().find(|info| info.name == method) else {
        return Err(format!("method {method} is not offered"));
    };
    let result = (info.build)(model, &options(case, info)?)
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
        compare("convergence delta", delta.values(), &of_examples(method, &expected, delta.len())?, tolerance)?;
    }
    Ok(())
}

/// What an attack makes of the inputs.
fn perturbed(case: &Value, model: Arc<dyn Model>, inputs: &Inputs) -> Result<Inputs> {
    let args = &case["args"];
    let number = |name: &str| args[name].as_f64().unwrap();
    let bound = |name: &str, default: f64| args[name].as_f64().unwrap_or(default);
    let (lower, upper) = (bound("lower_bound", f64::NEG_INFINITY), bound("upper_bound", f64::INFINITY));
    let (target, targeted) = (target(&case["target"]), args["targeted"] == true);
    if case["method"] == "FGSM" {
        let attack = FGSM::new(model).bounds(lower, upper).targeted(targeted);
        return attack.perturb(inputs, number("epsilon"), target);
    }
    let norm = if args["norm"] == "L2" { Norm::L2 } else { Norm::Linf };
    let attack = PGD::new(model).bounds(lower, upper).targeted(targeted).norm(norm);
    let steps = args["step_num"].as_u64().unwrap() as usize;
    attack.perturb(inputs, number("radius"), number("step_size"), steps, target)
}

/// Captum's deltas of several baselines or samples of each example, as one number: of baselines that farthest from 0, of
/// samples the mean.
fn of_examples(method: &str, deltas: &[f64], examples: usize) -> Result<Vec<f64>, String> {
    if !deltas.len().is_multiple_of(examples) {
        return Err(format!("{} deltas for {examples} examples", deltas.len()));
    }
    let each = deltas.len() / examples;
    let farthest =
        |deltas: &[f64]| deltas.iter().fold(0., |far: f64, delta| if delta.abs() > far.abs() { *delta } else { far });
    let mean = |deltas: &[f64]| deltas.iter().sum::<f64>() / each as f64;
    Ok(deltas
        .chunks(each)
        .map(|deltas| if method.contains("GradientShap") { mean(deltas) } else { farthest(deltas) })
        .collect())
}

fn compare(what: &str, got: &[f64], expected: &[f64], tolerance: f64) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{what}: {} numbers instead of {}", got.len(), expected.len()));
    }
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
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
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

fn neuron(value: &Value) -> Option<Neuron> {
    let slices = value["slice"].as_array().into_iter().flatten().map(index);
    let part: Vec<_> = slices.map(|slice| slice[0]..slice[1]).collect();
    match value {
        Value::Null => None,
        Value::Object(_) => Some(part.into()),
        _ => Some(index(value).into()),
    }
}

fn baseline(value: &Value, info: &MethodInfo) -> Option<Baseline> {
    let tensors = || value.as_array().unwrap().iter().map(tensor).collect();
    match value {
        Value::Null => None,
        Value::Number(value) => Some(Baseline::Value(value.as_f64().unwrap())),
        _ if info.needs("baseline") => Some(Baseline::Distribution(tensors())),
        _ => Some(Baseline::Tensors(tensors())),
    }
}

/// A tensor of ids for each input, or one input's ids as they are.
fn mask(value: &Value) -> Vec<Tensor> {
    let list = value.as_array().unwrap();
    if list.iter().all(Value::is_object) {
        return list.iter().map(tensor).collect();
    }
    let ids: Vec<i64> = list.iter().map(|id| id.as_i64().unwrap()).collect();
    vec![Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap()]
}

fn sizes(value: &Value) -> Sizes {
    match value {
        Value::Number(size) => (size.as_u64().unwrap() as usize).into(),
        list if list.as_array().unwrap().iter().all(Value::is_array) => {
            list.as_array().unwrap().iter().map(index).collect::<Vec<_>>().into()
        }
        list => index(list).into(),
    }
}

fn rule(args: &Value) -> Result<LrpRule, String> {
    let number = |name: &str, default: f64| args[name].as_f64().unwrap_or(default);
    match args["rule"].as_str().unwrap() {
        "epsilon" => Ok(LrpRule::Epsilon(number("epsilon", 1e-9))),
        "gamma" => Ok(LrpRule::Gamma(number("gamma", 0.25))),
        "alpha1_beta0" => Ok(LrpRule::Alpha1Beta0),
        "identity" => Ok(LrpRule::Identity),
        other => Err(format!("unknown rule {other}")),
    }
}

fn options(case: &Value, info: &MethodInfo) -> Result<Options, String> {
    let mut options = Options {
        layers: case["layer"].as_str().map(str::to_string).into_iter().collect(),
        neuron: neuron(&case["neuron"]),
        baseline: baseline(&case["baselines"], info),
        interpolate_inputs: info.takes("interpolate_inputs").then_some(true),
        captum_rules: (info.takes("captum_rules") && info.requires(Requirement::Gradients)).then_some(true),
        ..Options::default()
    };
    let number = |name: &str, default: f64| case["args"][name].as_f64().unwrap_or(default);
    let text = |name: &str| case["args"][name].as_str();
    for (name, value) in case["args"].as_object().unwrap() {
        let count = || value.as_u64().map(|count| count as usize);
        match name.as_str() {
            "n_steps" => options.n_steps = count(),
            "n_samples" | "nt_samples" => options.n_samples = count(),
            "stdevs" => options.stdevs = value.as_f64().map(Stdevs::from),
            "method" => options.method = value.as_str().map(str::to_string),
            "nt_type" => {
                options.nt_type = Some(match value.as_str().unwrap() {
                    "smoothgrad" => NoiseTunnelType::SmoothGrad,
                    "smoothgrad_sq" => NoiseTunnelType::SmoothGradSq,
                    "vargrad" => NoiseTunnelType::CaptumVarGrad,
                    other => return Err(format!("unknown type of noise tunnel {other}")),
                });
            }
            "feature_mask" | "layer_mask" => options.feature_mask = Some(mask(value).into()),
            "layer_baselines" => options.baseline = baseline(value, info),
            "sliding_window_shapes" => options.sliding_window_shapes = Some(sizes(value)),
            "strides" => options.strides = Some(sizes(value)),
            "relu_attributions" => options.relu_attributions = value.as_bool(),
            "attr_dim_summation" => options.attr_dim_summation = value.as_bool(),
            "interpolate_mode" => {
                options.interpolate_mode = Some(match value.as_str().unwrap() {
                    "nearest" => Interpolation::Nearest,
                    "bilinear" => Interpolation::Linear,
                    other => return Err(format!("unknown interpolation {other}")),
                });
            }
            "rule" => options.default_rule = Some(rule(&case["args"])?),
            "rules" => {
                let rules = value.as_object().unwrap().iter().map(|(layer, of)| Ok((layer.clone(), rule(of)?)));
                options.rules = Some(rules.collect::<Result<_, String>>()?);
            }
            "epsilon" | "gamma" => {} // of the rule
            "surrogate" => {
                options.surrogate = Some(match value.as_str().unwrap() {
                    "lasso" => Surrogate::Lasso { alpha: number("alpha", 0.01) },
                    "ridge" => Surrogate::Ridge { alpha: number("alpha", 1.) },
                    "linear" => Surrogate::Linear,
                    other => return Err(format!("unknown surrogate {other}")),
                });
            }
            "distance_mode" | "kernel_width" => {
                let width = number("kernel_width", 1.);
                options.similarity = Some(match text("distance_mode") {
                    Some("euclidean") => Similarity::Euclidean { width },
                    _ => Similarity::Cosine { width },
                });
            }
            "alpha" => {} // of the surrogate
            "internal_batch_size" => options.internal_batch_size = count(),
            "multiply_by_inputs" => options.multiply_by_inputs = value.as_bool(),
            "abs" => options.abs = value.as_bool(),
            "attribute_to_layer_input" | "attribute_to_neuron_input" => {
                options.attribute_to_layer_input = value.as_bool();
            }
            "output" => {}                                           // of the model
            "perturbations_per_eval" | "nt_samples_batch_size" => {} // how many rows go together, which changes nothing
            "set_bias_to_zero" => options.set_bias_to_zero = value.as_bool(),
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
        "sequential" => Ok(Arc::new(network(&case["model"]["layers"], &inputs[0].dims()[1..])?)),
        "joined" => Ok(Arc::new(Joined::new(&case["model"], inputs)?)),
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

/// One way for each input, put side by side for the other layers.
struct Joined {
    ways: Vec<Sequential>,
    rest: Sequential,
}

impl Joined {
    fn new(model: &Value, inputs: &[Tensor]) -> Result<Self> {
        let ways = model["ways"].as_array().unwrap().iter().zip(inputs);
        let ways: Vec<_> = ways.map(|(way, input)| network(way, &input.dims()[1..])).collect::<Result<_>>()?;
        let side_by_side = joined(&ways, &Inputs::new(inputs.to_vec()), &mut Layers::default())?;
        let rest = network(&model["layers"], &side_by_side.dims()[1..])?;
        Ok(Self { ways, rest })
    }
}

fn joined(ways: &[Sequential], inputs: &Inputs, layers: &mut Layers) -> Result<Tensor> {
    let ways = ways.iter().zip(inputs.tensors()).map(|(way, input)| way.forward(&input.into(), layers));
    Ok(Tensor::cat(&ways.collect::<Result<Vec<_>>>()?, 1)?)
}

impl Model for Joined {
    fn forward(&self, inputs: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let side_by_side = joined(&self.ways, inputs, layers)?;
        self.rest.forward(&Inputs::from(side_by_side), layers)
    }
}

fn network(layers: &Value, input_shape: &[usize]) -> Result<Sequential> {
    let specs = layers.as_array().unwrap();
    let layers = specs.iter().map(|named| {
        let first = specs.iter().find(|spec| !named["as"].is_null() && spec["name"] == named["as"]);
        let layer = first.unwrap_or(named);
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
        Ok((named["name"].as_str().unwrap(), ready))
    });
    Sequential::from_layers(InputShape::from(input_shape), layers.collect::<Result<Vec<_>>>()?)
}
