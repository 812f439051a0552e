//! Bad input: each gives an error that says what was expected, what came, what to do.

use candle_explain::ErrorKind;
use candle_explain::model::SequenceClassifier;
use candle_explain::prelude::*;

fn net() -> Sequential {
    Titanic::network(Seed(1)).unwrap()
}

fn rows(count: usize) -> Tensor {
    Tensor::ones((count, 12), DType::F32, &Device::Cpu).unwrap()
}

#[track_caller]
fn assert_error<T>(result: Result<T>, kind: ErrorKind, parts: &[&str]) {
    let error = result.err().expect("an error");
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "\"{error}\" does not say \"{part}\"");
    }
}

#[test]
fn wrong_feature_count() {
    let x = Tensor::ones((4, 11), DType::F32, &Device::Cpu).unwrap();
    let result = IntegratedGradients::new(&net()).attribute(&x, Target::Class(1));
    assert_error(result, ErrorKind::Input, &["[batch, 12]", "[batch, 11] came"]);
}

#[test]
fn wrong_dtype() {
    let x = Tensor::ones((4, 12), DType::F64, &Device::Cpu).unwrap();
    let result = IntegratedGradients::new(&net()).attribute(&x, Target::Class(1));
    assert_error(result, ErrorKind::Input, &["F32", "F64", "to_dtype"]);
}

#[test]
fn target_out_of_range() {
    let result = IntegratedGradients::new(&net()).attribute(rows(393), Target::Class(2));
    let expected = "target class 2 is out of range: the model's output is [393, 2] (batch, classes)";
    assert_eq!(result.unwrap_err().to_string(), expected);
    let result = Saliency::new(&net()).attribute(rows(2), vec![0, 2]);
    assert_error(result, ErrorKind::Input, &["target class 2 of example 1 is out of range"]);
}

#[test]
fn target_of_the_wrong_form() {
    let saliency = Saliency::new(&net());
    assert_error(saliency.attribute(rows(2), Target::None), ErrorKind::Input, &["[2, 2]", "Target::Class(0)"]);
    assert_error(saliency.attribute(rows(2), vec![0]), ErrorKind::Input, &["1 targets for 2 examples"]);
    let result = saliency.attribute(rows(2), Target::Index(vec![0, 1]));
    assert_error(result, ErrorKind::Input, &["has 2 positions", "1 axes"]);
}

#[test]
fn nan_in_a_row() {
    let mut values = vec![1f32; 24];
    values[12 + 3] = f32::NAN;
    let x = Tensor::from_vec(values, (2, 12), &Device::Cpu).unwrap();
    let result = IntegratedGradients::new(&net()).attribute(&x, Target::Class(1));
    assert_error(result, ErrorKind::NotFinite, &["input 0", "[1, 3] is NaN"]);
}

#[test]
fn nan_in_an_extra_argument() {
    let model = from_fn(|input, _| Ok((input.first() * input.arg(0)?)?.sum(1)?));
    let args = Tensor::full(f32::NAN, (2, 12), &Device::Cpu).unwrap();
    let result = Saliency::new(&model).attribute(Inputs::from(rows(2)).with_args([args]), Target::None);
    assert_error(result, ErrorKind::NotFinite, &["extra argument 0", "[0, 0] is NaN"]);
}

#[test]
fn attributions_that_overflow() {
    let big = Tensor::full(1e5f32, (2, 12), &Device::Cpu).unwrap();
    let what = "is not finite although the inputs are";
    let steep = |x: &Tensor| x.affine(1e30, 0.)?.affine(1e20, 0.)?.sum(1);
    let zeros = big.zeros_like().unwrap();
    assert_error(Saliency::new(steep).attribute(&zeros, Target::None), ErrorKind::NotFinite, &["gradient", what]);
    let cut = |x: &Tensor| (x - x.detach())?.affine(1e35, 0.)?.sum(1);
    let product = InputXGradient::new(cut).gradient_check(Check::Off);
    assert_error(product.attribute(&big, Target::None), ErrorKind::NotFinite, &["attribution", what]);
    let integrated = IntegratedGradients::new(cut).gradient_check(Check::Off);
    assert_error(integrated.attribute(&big, Target::None), ErrorKind::NotFinite, &["attribution", what]);
}

#[test]
fn nan_in_a_weight() {
    let net = net();
    let Layer::Linear(linear) = &net.layers()[2].1 else { panic!("a linear layer") };
    linear.bias().unwrap().set(&Tensor::full(f32::NAN, 8, &Device::Cpu).unwrap()).unwrap();
    let result = IntegratedGradients::new(&net).attribute(rows(2), Target::Class(1));
    assert_error(result, ErrorKind::NotFinite, &["layer \"linear2\"", "the first that is not finite", "weights"]);
}

#[test]
fn steps_and_passes_out_of_range() {
    let ig = IntegratedGradients::new(&net());
    let attribute = |ig: IntegratedGradients| ig.attribute(rows(2), Target::Class(1));
    assert_error(attribute(ig.n_steps(0)), ErrorKind::Input, &["n_steps is 0", "at least 1"]);
    assert_error(attribute(ig.internal_batch_size(0)), ErrorKind::Input, &["internal_batch_size is 0"]);
    assert_error(attribute(ig.tolerance(0.)), ErrorKind::Input, &["tolerance is 0", "above 0"]);
    assert_error(attribute(ig.tolerance(f64::NAN)), ErrorKind::Input, &["tolerance is NaN"]);
    assert_error(attribute(ig.tolerance(1e-3).max_steps(3)), ErrorKind::Input, &["max_steps is 3", "15 steps"]);
    assert_error(attribute(ig.workers(0)), ErrorKind::Input, &["workers is 0", "1 to 8"]);
    let trapezoid = ig.quadrature(Quadrature::Trapezoid).n_steps(1);
    assert_error(attribute(trapezoid), ErrorKind::Input, &["at least 2 points"]);
}

#[test]
fn every_path_method_refuses_zero_steps() {
    let (net, x) = (net(), rows(2));
    let results = [
        LayerIntegratedGradients::new(&net, "sigmoid1").n_steps(0).attribute(&x, Target::Class(1)),
        LayerConductance::new(&net, "sigmoid1").n_steps(0).attribute(&x, Target::Class(1)),
        InternalInfluence::new(&net, "sigmoid1").n_steps(0).attribute(&x, Target::Class(1)),
        NeuronConductance::new(&net, "sigmoid1", 0).n_steps(0).attribute(&x, Target::Class(1)),
        NeuronIntegratedGradients::new(&net, "sigmoid1", 0).n_steps(0).attribute(&x),
    ];
    for result in results {
        assert_error(result, ErrorKind::Input, &["n_steps is 0"]);
    }
}

#[test]
fn baseline_of_the_wrong_shape() {
    let ig = IntegratedGradients::new(&net());
    let two = Tensor::zeros((2, 12), DType::F32, &Device::Cpu).unwrap();
    let result = ig.baseline(&two).attribute(rows(3), Target::Class(1));
    assert_error(result, ErrorKind::Input, &["the baseline of input 0", "[2, 12]", "[3, 12]", "one row [1, 12]"]);
    let result = ig.baseline(vec![two.clone(), two.clone()]).attribute(rows(2), Target::Class(1));
    assert_error(result, ErrorKind::Input, &["2 tensors for 1 inputs"]);
    let result = ig.baseline(Baseline::Value(f64::INFINITY)).attribute(rows(2), Target::Class(1));
    assert_error(result, ErrorKind::NotFinite, &["the baseline is inf"]);
    let empty = two.narrow(0, 0, 0).unwrap();
    let result = ig.baseline(Baseline::distribution(&empty)).attribute(rows(2), Target::Class(1));
    assert_error(result, ErrorKind::Input, &["distribution", "has no row", "[[0, 12]]", "give"]);
}

#[test]
fn a_layer_that_is_not_there() {
    let result = LayerConductance::new(&net(), "sigmoid3").attribute(rows(2), Target::Class(1));
    let expected =
        "no layer named \"sigmoid3\" in this model; it has: linear1, sigmoid1, linear2, sigmoid2, linear3, softmax";
    assert_eq!(result.unwrap_err().to_string(), expected);
    let closure = |x: &Tensor| x.sum(1);
    let result = LayerActivation::new(closure, "hidden").attribute(rows(2));
    assert_error(result, ErrorKind::Layer, &["it names none", "layers.visit"]);
    let result = LayerActivation::new(&net(), Vec::<String>::new()).attribute(rows(2));
    assert_error(result, ErrorKind::Layer, &["no layer was named"]);
}

#[test]
fn a_layer_named_twice() {
    let twice = from_fn(|input, layers| {
        let x = layers.visit("same", input.first().affine(2., 0.)?)?;
        layers.visit("same", x)
    });
    let result = Saliency::new(&twice).attribute(rows(1), Target::Class(0));
    assert_error(result, ErrorKind::Layer, &["a second layer \"same\"", "same.1"]);
}

#[test]
fn a_layer_without_the_batch_as_first_axis() {
    let turned = from_fn(|input, layers| {
        let h = layers.visit("turned", input.first().t()?.contiguous()?)?;
        Ok(h.sum(0)?)
    });
    for result in [
        LayerActivation::new(&turned, "turned").attribute(rows(2)),
        LayerGradientXActivation::new(&turned, "turned").attribute(rows(2), Target::None),
        LayerConductance::new(&turned, "turned").attribute(rows(2), Target::None),
        LayerIntegratedGradients::new(&turned, "turned").attribute(rows(2), Target::None),
        NeuronConductance::new(&turned, "turned", 0).attribute(rows(2), Target::None),
    ] {
        assert_error(result, ErrorKind::Layer, &["layer \"turned\" gives [12, ", "first axis must be the batch"]);
    }
}

#[test]
fn inputs_that_a_model_would_ignore() {
    let result = Saliency::new(&net()).attribute([rows(2), rows(2)], 1);
    assert_error(result, ErrorKind::Input, &["reads 1 input and 0 extra arguments", "with_args"]);
    let result =
        Saliency::new(|x: &Tensor| x.sum(1)).attribute(Inputs::from(rows(2)).with_args([rows(2)]), Target::None);
    assert_error(result, ErrorKind::Input, &["1 and 1 came"]);
}

#[test]
fn a_neuron_out_of_range() {
    let result = NeuronConductance::new(&net(), "sigmoid2", 8).attribute(rows(2), Target::Class(1));
    assert_error(result, ErrorKind::Input, &["neuron 8 is out of range", "sigmoid2", "[8]"]);
    let result = NeuronGradient::new(&net(), "sigmoid2", [1, 2]).attribute(rows(2));
    assert_error(result, ErrorKind::Input, &["neuron [1, 2]", "1 positions"]);
}

#[test]
fn no_gradient_reaches_the_inputs() {
    let cut = |x: &Tensor| x.detach().sum(1);
    let result = IntegratedGradients::new(cut).attribute(rows(2), Target::None);
    assert_error(result, ErrorKind::Gradient, &["no gradient reaches input 0"]);
    let opaque = |x: &Tensor| candle_explain::candle_nn::ops::softmax_last_dim(x);
    let result = Saliency::new(opaque).attribute(rows(2), Target::Class(1));
    assert_error(result, ErrorKind::Gradient, &["softmax_last_dim"]);
}

#[test]
fn no_gradient_reaches_a_layer() {
    let beside = from_fn(|input, layers| {
        layers.visit("unused", input.first().affine(2., 0.)?)?;
        layers.visit("used", input.first().sum(1)?)
    });
    let result = LayerConductance::new(&beside, "unused").attribute(rows(2), Target::None);
    assert_error(result, ErrorKind::Gradient, &["no gradient reaches layer \"unused\""]);
}

#[test]
fn integer_inputs_have_no_gradient() {
    let ids = Tensor::new(&[[1u32, 2]], &Device::Cpu).unwrap();
    let lookup = |x: &Tensor| x.to_dtype(DType::F32)?.sum(1);
    let result = IntegratedGradients::new(lookup).attribute(&ids, Target::None);
    assert_error(result, ErrorKind::Gradient, &["U32", "LayerIntegratedGradients"]);
}

#[test]
fn inputs_that_disagree_or_are_empty() {
    let saliency = Saliency::new(|x: &Tensor| x.sum(1));
    let result = saliency.attribute([rows(2), rows(3)], Target::None);
    assert_error(result, ErrorKind::Input, &["input 1", "expected 2 rows"]);
    assert_error(saliency.attribute(Vec::new(), Target::None), ErrorKind::Input, &["there are no inputs"]);
    let none = rows(1).narrow(0, 0, 0).unwrap();
    assert_error(saliency.attribute(&none, Target::None), ErrorKind::Input, &["the batch is empty"]);
    let missing = from_fn(|input, _| Ok(input.arg(0)?.sum(1)?));
    let result = Saliency::new(&missing).attribute(rows(1), Target::None);
    assert_error(result, ErrorKind::Input, &["extra argument 0", "with_args"]);
}

#[test]
fn a_method_without_delta_says_so() {
    let result = Saliency::new(&net()).attribute(rows(2), Target::Class(1)).unwrap();
    assert_error(result.convergence_delta(), ErrorKind::Input, &["Saliency has no convergence delta"]);
    assert_error(result.column("age"), ErrorKind::Input, &["these columns have no names"]);
    assert_error(result.column(12), ErrorKind::Input, &["no column 12", "12 columns"]);
}

#[test]
fn a_truncated_or_foreign_csv() {
    let folder = tempdir("csv");
    let full = include_str!("../../data/synthetic_passengers.csv");
    let header = full.lines().next().unwrap();
    let cases = [
        ("cut_in_a_row", &full[..full.len() / 2 - 20], vec!["passenger", "is the file complete"]),
        ("cut_at_a_row", &full[..full[..full.len() / 2].rfind('\n').unwrap() + 1], vec!["not the complete", "1309"]),
        ("synthetic", full, vec!["not the complete passenger list"]),
        ("header_only", header, vec!["there is no passenger"]),
        ("empty", "", vec!["there is no column \"pclass\""]),
        ("foreign", "a,b\n1,2\n", vec!["there is no column \"pclass\"", "a, b"]),
    ];
    for (name, text, parts) in cases {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let result = Titanic::from_path(&path);
        assert_error(result, ErrorKind::File, &[&parts[..], &[name]].concat());
    }
    let bad_age = format!("{header}\n1,1,Synthetic passenger 1,female,x,0,0,,1,,S,,,\n");
    std::fs::write(folder.join("bad_age"), bad_age).unwrap();
    assert_error(
        Titanic::from_path(folder.join("bad_age")),
        ErrorKind::File,
        &["passenger 1: age is \"x\"", "a number"],
    );
    assert_error(Titanic::from_path(folder.join("missing")), ErrorKind::File, &["cannot read", "missing"]);
}

#[test]
fn a_truncated_or_foreign_safetensors_file_changes_nothing() {
    let folder = tempdir("weights");
    let net = net();
    let weights = folder.join("net.safetensors");
    net.save(&weights).unwrap();
    let before = net.predict(rows(2)).unwrap().to_vec2::<f32>().unwrap();

    let bytes = std::fs::read(&weights).unwrap();
    for length in [0, 4, 100, bytes.len() - 1] {
        let cut = folder.join(format!("cut_{length}"));
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let complete = "is not a complete safetensors file";
        assert_error(net.load(&cut), ErrorKind::File, &[complete, &format!("({length} bytes)")]);
    }
    assert_error(net.load(folder.join("missing")), ErrorKind::File, &["cannot read the weights"]);

    let other = Sequential::builder(12).linear("linear1", 13).build(Seed(1)).unwrap();
    let foreign = folder.join("foreign.safetensors");
    other.save(&foreign).unwrap();
    assert_error(net.load(&foreign), ErrorKind::File, &["\"linear1.weight\"", "[13, 12]", "[12, 12]"]);
    let larger = Sequential::builder(12).linear("linear1", 12).build(Seed(1)).unwrap();
    assert_error(larger.load(&weights), ErrorKind::File, &["which this network has no place for"]);
    assert_eq!(net.predict(rows(2)).unwrap().to_vec2::<f32>().unwrap(), before);
    assert_error(net.save(folder.join("no/such/folder.safetensors")), ErrorKind::File, &["cannot write"]);
}

#[test]
fn networks_that_do_not_fit() {
    let result = Sequential::builder(3).linear("a", 2).linear("a", 2).build(Seed(1));
    assert_error(result, ErrorKind::Layer, &["two layers are named \"a\""]);
    let result = Sequential::builder(3).conv2d("conv", 2, 3).build(Seed(1));
    assert_error(result, ErrorKind::Input, &["layer \"conv\"", "[channels, height, width]"]);
    let result = Sequential::builder([1, 2, 2]).conv2d("conv", 2, 3).build(Seed(1));
    assert_error(result, ErrorKind::Tensor, &["layer \"conv\"", "3 x 3 does not fit into 2 x 2"]);
    let result = Sequential::builder([1, 2, 2]).max_pool2d("pool", 3).build(Seed(1));
    assert_error(result, ErrorKind::Tensor, &["layer \"pool\"", "kernel must fit"]);
    assert_error(Sequential::builder(3).linear("a", 0).build(Seed(1)), ErrorKind::Input, &["at least 1"]);
}

#[test]
fn training_that_cannot_go_on_leaves_the_weights() {
    let data = Dataset::new(rows(4), (0..12).map(|i| format!("f{i}")), vec![0, 1, 0, 1]).unwrap();
    let net = Sequential::builder(12).linear("out", 2).build(Seed(1)).unwrap();
    let before = net.predict(rows(1)).unwrap().to_vec2::<f32>().unwrap();
    let result = Trainer::adam(f64::MAX).epochs(5).fit(&net, &data);
    assert_error(result, ErrorKind::NotFinite, &["the loss is", "smaller learning rate"]);
    assert_eq!(net.predict(rows(1)).unwrap().to_vec2::<f32>().unwrap(), before);
    assert_error(Trainer::adam(0.1).epochs(0).fit(&net, &data), ErrorKind::Input, &["0 epochs"]);
    assert_error(Trainer::adam(-1.).fit(&net, &data), ErrorKind::Input, &["rate of -1"]);
    let closure = from_fn(|input, _| Ok(input.first().clone()));
    assert_error(Trainer::adam(0.1).fit(&closure, &data), ErrorKind::Input, &["no parameters", "fit_parameters"]);
    let other = Sequential::builder(12).linear("out", 2).build(Seed(2)).unwrap();
    let result = Trainer::adam(0.1).fit_parameters(&net, other.parameters(), &data);
    assert_error(result, ErrorKind::Gradient, &["no gradient reaches any of the 2 parameters"]);
    let narrow = Sequential::builder(12).linear("out", 1).build(Seed(1)).unwrap();
    assert_error(Trainer::adam(0.1).fit(&narrow, &data), ErrorKind::Input, &["[4, 1]", "at least 2 classes"]);
}

#[test]
fn tables_that_do_not_fit() {
    let names = || (0..12).map(|i| format!("f{i}"));
    assert_error(Dataset::new(rows(2), names(), vec![0]), ErrorKind::Input, &["1 labels"]);
    assert_error(Dataset::new(rows(2), ["one"], vec![0, 1]), ErrorKind::Input, &["1 names"]);
    let data = Dataset::new(rows(2), names(), vec![0, 1]).unwrap();
    assert_error(data.column("age"), ErrorKind::Input, &["no feature \"age\"", "f0, f1"]);
    assert_error(data.rows(&[2]), ErrorKind::Input, &["no row 2", "2 rows"]);
    assert_error(data.split(Split::Stratified { test: 1.5, seed: 1 }), ErrorKind::Input, &["1.5", "between 0 and 1"]);
}

/// A copy of a tiny checkpoint that a test can damage.
fn checkpoint(name: &str, source: &str) -> std::path::PathBuf {
    let folder = tempdir(name);
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints").join(source);
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    folder
}

#[test]
fn checkpoints_that_cannot_be_read() {
    let load = |folder: &std::path::Path| SequenceClassifier::from_pretrained(folder);
    assert_error(load("no/such/folder".as_ref()), ErrorKind::File, &["there is no folder no/such/folder"]);
    assert_error(load(&tempdir("empty")), ErrorKind::File, &["config.json", "a checkpoint is a folder"]);

    let folder = checkpoint("unweighted", "tiny-bert");
    std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    assert_error(load(&folder), ErrorKind::File, &["holds no weights", "pytorch_model.bin"]);
    std::fs::write(folder.join("pytorch_model.bin"), b"\x80\x02an old pickle").unwrap();
    assert_error(load(&folder), ErrorKind::File, &["pytorch_model.bin", "zip format", "safetensors"]);
    std::fs::remove_file(folder.join("pytorch_model.bin")).unwrap();

    let folder = checkpoint("cut", "tiny-bert");
    let weights = folder.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    for length in [0, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&weights, &bytes[..length]).unwrap();
        let parts = ["is not a complete safetensors file", &format!("({length} bytes)"), "fetch it again"];
        assert_error(load(&folder), ErrorKind::File, &parts);
    }

    let folder = checkpoint("foreign", "tiny-bert");
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        std::fs::write(folder.join("config.json"), config.replace(from, to)).unwrap();
    };
    with("\"model_type\": \"bert\"", "\"model_type\": \"gpt2\"");
    assert_error(load(&folder), ErrorKind::File, &["model_type is gpt2", "roberta"]);
    with("\"model_type\": \"bert\"", "\"model_type\": \"roberta\"");
    assert_error(load(&folder), ErrorKind::File, &["no classification head", "classifier.out_proj.weight"]);
    with("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"mish\"");
    assert_error(load(&folder), ErrorKind::File, &["activation is mish", "gelu or relu"]);
    with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    let missing = ["no weights for 16 of the 57", "\"encoder.layer.2.attention.self.query.weight\"", "nothing else"];
    assert_error(load(&folder), ErrorKind::File, &missing);
    with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
    let more = ["weights of 2 layers", "\"encoder.layer.1.", "tells of 1"];
    assert_error(load(&folder), ErrorKind::File, &more);
    assert_error(TransformerEncoder::from_pretrained(&folder), ErrorKind::File, &more);
    with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 100000000000");
    assert_error(load(&folder), ErrorKind::File, &["num_hidden_layers", "at most 1000"]);
    with("\"model_type\": \"bert\"", "\"is_decoder\": true, \"model_type\": \"bert\"");
    assert_error(load(&folder), ErrorKind::File, &["is_decoder", "expected an encoder"]);
    with("\"model_type\": \"bert\"", "\"problem_type\": \"multi_label_classification\", \"model_type\": \"bert\"");
    assert_error(load(&folder), ErrorKind::File, &["problem_type is multi_label_classification"]);
    let mut other: serde_json::Value = serde_json::from_str(&config).unwrap();
    let sizes = ["vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "type_vocab_size"];
    for key in sizes.into_iter().chain(["pad_token_id"]) {
        let theirs = std::mem::replace(&mut other[key], 99_999.into());
        std::fs::write(folder.join("config.json"), other.to_string()).unwrap();
        assert_error(load(&folder), ErrorKind::File, &[&format!("{key} is 99999")]);
        other[key] = theirs;
    }
    with("\"num_attention_heads\": 4", "\"num_attention_heads\": 5");
    assert_error(load(&folder), ErrorKind::File, &["foreign: config.json tells of 5 attention heads"]);
    std::fs::write(folder.join("config.json"), &config[..config.len() / 2]).unwrap();
    assert_error(load(&folder), ErrorKind::File, &["config.json is not JSON"]);
}

#[test]
fn weights_of_other_names_are_listed() {
    let folder = checkpoint("renamed", "tiny-bert");
    let path = folder.join("model.safetensors");
    let mut weights = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    for part in ["weight", "bias"] {
        let pooler = weights.remove(&format!("bert.pooler.dense.{part}")).unwrap();
        weights.insert(format!("bert.head.dense.{part}"), pooler);
    }
    candle_core::safetensors::save(&weights, &path).unwrap();
    let parts = [
        "no weights for 2 of the 41",
        "\"pooler.dense.weight\", \"pooler.dense.bias\"",
        "in their place: \"head.dense.bias\", \"head.dense.weight\"",
    ];
    assert_error(SequenceClassifier::from_pretrained(&folder), ErrorKind::File, &parts);
    assert!(TransformerEncoder::from_pretrained(&folder).is_ok(), "an encoder needs no pooler");
}

#[test]
fn quantised_weights_are_no_weights_and_extra_ones_do_not_matter() {
    let folder = checkpoint("quantised", "tiny-bert");
    let path = folder.join("model.safetensors");
    let load = || SequenceClassifier::from_pretrained(&folder);
    let weights = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let name = "bert.encoder.layer.0.intermediate.dense.weight";
    let mut quantised = weights.clone();
    quantised.insert(name.to_string(), weights[name].to_dtype(DType::U8).unwrap());
    candle_core::safetensors::save(&quantised, &path).unwrap();
    assert_error(load(), ErrorKind::File, &["encoder.layer.0.intermediate.dense.weight", "U8", "quantised"]);

    // A tensor of booleans, which candle does not know.
    candle_core::safetensors::save(&weights, &path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let end = bytes.len() - 8 - length;
    header["extra"] = serde_json::json!({ "dtype": "BOOL", "shape": [2], "data_offsets": [end, end + 2] });
    let header = header.to_string();
    let data = bytes.split_off(8 + length);
    let whole = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data, &[0, 1]].concat();
    std::fs::write(&path, whole).unwrap();
    assert!(load().is_ok(), "{:?}", load().err());

    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let told = config.replacen('{', "{\"quantization_config\": {\"quant_method\": \"fp8\"},", 1);
    std::fs::write(folder.join("config.json"), told).unwrap();
    assert_error(load(), ErrorKind::File, &["quantization_config"]);
}

#[test]
fn texts_that_a_classifier_cannot_take() {
    let classifier = SequenceClassifier::from_pretrained(checkpoint("whole", "tiny-roberta")).unwrap();
    let ids = |count: usize, id: u32| Tensor::from_vec(vec![id; count], (1, count), &Device::Cpu).unwrap();
    let longest = classifier.max_tokens();
    assert!(classifier.predict(ids(longest, 5)).is_ok());
    let too_many = format!("{} tokens: this model takes 1 to {longest}", longest + 1);
    assert_error(classifier.predict(ids(longest + 1, 5)), ErrorKind::Input, &[&too_many]);
    assert_error(classifier.predict(ids(3, 60_000)), ErrorKind::Input, &["token id 60000", "vocabulary"]);
    let floats = ids(3, 5).to_dtype(DType::F32).unwrap();
    assert_error(classifier.predict(&floats), ErrorKind::Input, &["F32", "expected integers"]);
    let flat = ids(3, 5).flatten_all().unwrap();
    assert_error(classifier.predict(&flat), ErrorKind::Input, &["[3]", "[batch, tokens]"]);
    let masked = Inputs::from(ids(3, 5)).with_args([Tensor::ones((1, 4), DType::U32, &Device::Cpu).unwrap()]);
    assert_error(classifier.predict(masked), ErrorKind::Input, &["mask", "[1, 4]", "[1, 3]"]);
    let result = LayerConductance::new(&classifier, "encoder.layer.9").attribute(ids(3, 5), Target::None);
    assert_error(result, ErrorKind::Gradient, &["input 0 is U32", "LayerIntegratedGradients"]);
    let result = LayerIntegratedGradients::new(&classifier, "encoder.layer.9").attribute(ids(3, 5), Target::None);
    assert_error(result, ErrorKind::Layer, &["encoder.layer.9", "embeddings.word_embeddings, ", "encoder.layer.1"]);
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_neuron_that_is_not_finite_is_an_error_in_any_row() {
    let exp = from_fn(|input, layers| layers.visit("exp", input.first().exp()?));
    for rows in [vec![89f32], vec![1., 89., 2.]] {
        let x = Tensor::from_vec(rows.clone(), (rows.len(), 1), &Device::Cpu).unwrap();
        let method = NeuronIntegratedGradients::new(&exp, "exp", 0).gradient_check(Check::Off);
        for method in [method.n_steps(5), method.tolerance(1e-3)] {
            assert_error(method.attribute(&x), ErrorKind::NotFinite, &["neuron 0 of layer \"exp\""]);
        }
    }
}
