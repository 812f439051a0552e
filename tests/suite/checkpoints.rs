//! Checkpoints as they come: names, types, files and settings that differ.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_explain::prelude::*;
use serde_json::{Value, json};

pub(crate) type Weights = HashMap<String, Tensor>;

pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints").join(name)
}

/// A copy of a tiny checkpoint that a test can change.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn of(name: &str, checkpoint: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("checkpoints-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for file in ["config.json", "model.safetensors"] {
            std::fs::copy(source(checkpoint).join(file), folder.join(file)).unwrap();
        }
        Self(folder)
    }

    pub(crate) fn weights(&self) -> Weights {
        candle_core::safetensors::load(self.0.join("model.safetensors"), &Device::Cpu).unwrap()
    }

    pub(crate) fn save(&self, weights: &Weights) -> &Self {
        candle_core::safetensors::save(weights, self.0.join("model.safetensors")).unwrap();
        self
    }

    /// Changes `config.json`; a key that is null is taken out.
    pub(crate) fn config(&self, changes: Value) -> &Self {
        let path = self.0.join("config.json");
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (key, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(config.as_object_mut().unwrap().remove(key)),
                value => config[key] = value.clone(),
            }
        }
        std::fs::write(path, config.to_string()).unwrap();
        self
    }

    pub(crate) fn load(&self) -> Result<SequenceClassifier> {
        SequenceClassifier::from_pretrained(&self.0)
    }

    pub(crate) fn logits(&self) -> Vec<f64> {
        logits(&self.load().unwrap(), Inputs::from(ids()))
    }

    #[track_caller]
    pub(crate) fn error(&self, parts: &[&str]) {
        let message = self.load().expect_err("it loads").to_string();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message}");
        }
    }
}

pub(crate) fn logits(model: &SequenceClassifier, input: Inputs) -> Vec<f64> {
    let model = model.to_dtype(DType::F64).unwrap().output(ClassifierOutput::Logits);
    model.predict(input).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn expected() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/checkpoints.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

pub(crate) fn integers(value: &Value) -> Tensor {
    let row: Vec<u32> = numbers(&value[0]).into_iter().map(|number| number as u32).collect();
    Tensor::from_vec(row.clone(), (1, row.len()), &Device::Cpu).unwrap()
}

fn ids() -> Tensor {
    integers(&expected()["ids"])
}

#[track_caller]
fn close(ours: &[f64], theirs: &[f64], what: &str) {
    close_to(ours, theirs, 1e-9, what);
}

#[track_caller]
pub(crate) fn close_to(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < tolerance, "{what}: {ours} and {theirs}");
    }
}

/// Adds one to a weight, so that it matters which of two is taken.
fn shifted(weight: &Tensor) -> Tensor {
    (weight + 1.).unwrap()
}

#[test]
fn every_activation_and_its_gradient_is_that_of_transformers() {
    let expected = expected();
    let activations = expected.as_object().unwrap().iter().filter(|(_, case)| case.is_object());
    let folder = Folder::of("activations", "tiny-bert");
    let mut weights = folder.weights();
    for layer in 0..2 {
        let name = format!("bert.encoder.layer.{layer}.intermediate.dense.weight");
        let wider = (&weights[&name] * 8.).unwrap();
        weights.insert(name, wider);
    }
    folder.save(&weights);
    let mut tried = 0;
    for (name, case) in activations {
        let model = folder.config(json!({ "hidden_act": name })).load().unwrap();
        close(&logits(&model, Inputs::from(ids())), &numbers(&case["logits"]), name);
        let model = model.to_dtype(DType::F64).unwrap().output(ClassifierOutput::Logits);
        let product = LayerGradientXActivation::new(&model, "embeddings").attribute(ids(), Target::Class(0)).unwrap();
        let sums = product.tensor().sum(2).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        close(&sums, &numbers(&case["gradient_times_activation"]), name);
        tried += 1;
    }
    assert!(tried >= 19, "{tried}");
    folder.config(json!({ "hidden_act": "softmax" })).error(&["the activation is softmax", "gelu or relu", "silu"]);
    folder.config(json!({ "hidden_act": 3 })).error(&["\"hidden_act\" is 3"]);
}

#[test]
fn the_second_text_of_a_pair_has_a_type_of_its_own() {
    let (model, expected) = (Folder::of("pair", "tiny-bert").load().unwrap(), expected());
    let mask = || Tensor::ones((1, 7), DType::U32, &Device::Cpu).unwrap();
    let with = |types: Tensor| Inputs::from(ids()).with_args([mask(), types]);
    close(&logits(&model, with(integers(&expected["types"]))), &numbers(&expected["pair"]), "pair");
    close(
        &logits(&model, with(Tensor::zeros((1, 7), DType::U32, &Device::Cpu).unwrap())),
        &numbers(&expected["single"]),
        "0",
    );
    close(&logits(&model, Inputs::from(ids())), &numbers(&expected["single"]), "single");
    let error = model.predict(with(Tensor::new(&[[0u32, 0, 0, 2, 0, 0, 0]], &Device::Cpu).unwrap())).unwrap_err();
    assert!(error.to_string().contains("type 2, and this model knows 2"), "{error}");
    let error = model.predict(with(Tensor::zeros((1, 6), DType::U32, &Device::Cpu).unwrap())).unwrap_err();
    assert!(error.to_string().contains("the token types are U32 [1, 6]"), "{error}");
    let without = Folder::of("typeless", "tiny-distilbert").load().unwrap();
    assert!(without.predict(with(integers(&expected["types"]))).unwrap_err().to_string().contains("knows 1"));
}

#[test]
fn the_encoders_own_name_of_a_weight_goes_before_none() {
    let folder = Folder::of("own", "tiny-bert");
    let (weights, before) = (folder.weights(), folder.logits());
    let mut both = weights.clone();
    for name in ["bert.pooler.dense.weight", "bert.embeddings.word_embeddings.weight"] {
        both.insert(name.trim_start_matches("bert.").to_string(), shifted(&weights[name]));
    }
    // Of another encoder in the same file nothing is taken, not even how many layers it has.
    for (name, weight) in &weights {
        if let Some(inside) = name.strip_prefix("bert.") {
            both.insert(format!("roberta.{inside}"), shifted(weight));
            both.insert(format!("roberta.{}", inside.replace("layer.1", "layer.7")), shifted(weight));
        }
    }
    both.insert("bert.classifier.weight".to_string(), shifted(&weights["classifier.weight"]));
    assert_eq!(folder.save(&both).logits(), before);
}

#[test]
fn two_names_with_different_numbers_are_an_error() {
    let folder = Folder::of("two", "tiny-bert");
    let (weights, before) = (folder.weights(), folder.logits());
    let pairs = [
        ("bert.pooler.dense.weight", "module.bert.pooler.dense.weight"),
        ("classifier.bias", "_orig_mod.classifier.bias"),
        ("bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.gamma"),
        ("bert.embeddings.LayerNorm.bias", "model.bert.embeddings.LayerNorm.beta"),
        ("bert.embeddings.word_embeddings.weight", "base_model.model.bert.embeddings.word_embeddings.weight"),
    ];
    for (usual, other) in pairs {
        let mut both = weights.clone();
        both.insert(other.to_string(), weights[usual].clone());
        assert_eq!(folder.save(&both).logits(), before, "{other}");
        both.insert(other.to_string(), shifted(&weights[usual]));
        folder.save(&both).error(&[&format!("\"{usual}\""), &format!("\"{other}\""), "different numbers"]);
        both.remove(usual);
        both.insert(other.to_string(), weights[usual].clone());
        assert_eq!(folder.save(&both).logits(), before, "{other} alone");
    }
}

#[test]
fn two_shards_must_agree() {
    let folder = Folder::of("shards", "tiny-bert");
    let (weights, before) = (folder.weights(), folder.logits());
    let name = "bert.pooler.dense.weight";
    std::fs::remove_file(folder.0.join("model.safetensors")).unwrap();
    let shard = |file: &str, weights: &Weights| candle_core::safetensors::save(weights, folder.0.join(file)).unwrap();
    let map: serde_json::Map<String, Value> =
        weights.keys().map(|name| (name.clone(), json!("a.safetensors"))).collect();
    let mut index = json!({ "weight_map": map });
    index["weight_map"][name] = json!("b.safetensors");
    std::fs::write(folder.0.join("model.safetensors.index.json"), index.to_string()).unwrap();
    shard("a.safetensors", &weights);
    shard("b.safetensors", &HashMap::from([(name.to_string(), weights[name].clone())]));
    assert_eq!(folder.logits(), before);
    shard("b.safetensors", &HashMap::from([(name.to_string(), shifted(&weights[name]))]));
    folder.error(&[name, "different numbers"]);
}

#[test]
fn every_prefix_comes_off() {
    let folder = Folder::of("prefixes", "tiny-bert");
    let (weights, before) = (folder.weights(), folder.logits());
    for prefix in ["module.", "_orig_mod.", "base_model.model.", "model.", "module._orig_mod."] {
        let wrapped: Weights =
            weights.iter().map(|(name, weight)| (format!("{prefix}{name}"), weight.clone())).collect();
        assert_eq!(folder.save(&wrapped).logits(), before, "{prefix}");
    }
    let bare = |name: &String| name.trim_start_matches("bert.").to_string();
    assert_eq!(
        folder.save(&weights.iter().map(|(name, weight)| (bare(name), weight.clone())).collect()).logits(),
        before
    );
}

#[test]
fn all_weights_have_one_type() {
    let folder = Folder::of("types", "tiny-bert");
    let (weights, before) = (folder.weights(), folder.logits());
    let text = || ids();
    let double = |names: &dyn Fn(&str) -> bool| -> Weights {
        let convert = |(name, weight): (&String, &Tensor)| {
            let dtype = if names(name) { DType::F64 } else { DType::F32 };
            (name.clone(), weight.to_dtype(dtype).unwrap())
        };
        weights.iter().map(convert).collect()
    };
    for (what, mixed) in [
        ("head", double(&|name| name.starts_with("classifier"))),
        ("one norm", double(&|name| name.contains("layer.1.output.LayerNorm"))),
        ("all but the head", double(&|name| !name.starts_with("classifier"))),
        ("all", double(&|_| true)),
    ] {
        let model = folder.save(&mixed).load().unwrap();
        assert_eq!(model.predict(text()).unwrap().dtype(), DType::F64, "{what}");
        close(&folder.logits(), &before, what);
    }
    // What nobody needs decides nothing.
    let mut extra = weights.clone();
    extra.insert("cls.predictions.bias".to_string(), Tensor::zeros(3, DType::F64, &Device::Cpu).unwrap());
    let model = folder.save(&extra).load().unwrap();
    assert_eq!(model.predict(text()).unwrap().dtype(), DType::F32);
    let halves = weights.iter().map(|(name, weight)| (name.clone(), weight.to_dtype(DType::F16).unwrap())).collect();
    assert_eq!(folder.save(&halves).load().unwrap().predict(text()).unwrap().dtype(), DType::F32);
}

#[test]
fn a_pointer_of_git_lfs_is_told_as_such() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n";
    let advice = ["is a Git LFS pointer", "git lfs pull"];
    let folder = Folder::of("pointer", "tiny-bert");
    for file in ["config.json", "model.safetensors"] {
        let whole = std::fs::read(folder.0.join(file)).unwrap();
        std::fs::write(folder.0.join(file), pointer).unwrap();
        folder.error(&advice);
        let message = SequenceClassifier::from_pretrained(&folder.0).err().unwrap().to_string();
        assert_eq!(message.matches("again").count(), 1, "{message}");
        std::fs::write(folder.0.join(file), whole).unwrap();
    }
    std::fs::remove_file(folder.0.join("model.safetensors")).unwrap();
    std::fs::write(folder.0.join("pytorch_model.bin"), pointer).unwrap();
    folder.error(&advice);
    for file in ["tokenizer.json", "vocab.txt", "spiece.model"] {
        let folder = Folder::of("pointer-tokenizer", "tiny-bert");
        std::fs::write(folder.0.join("config.json"), "{}").unwrap();
        std::fs::write(folder.0.join(file), pointer).unwrap();
        let message = Tokenizer::from_pretrained(&folder.0).err().unwrap().to_string();
        assert!(advice.iter().all(|part| message.contains(part)), "{file}: {message}");
        assert_eq!(message.matches("again").count(), 1, "{message}");
    }
}

#[test]
fn shards_of_pytorch() {
    let folder = Folder::of("bin-shards", "tiny-roberta");
    let before = folder.logits();
    std::fs::remove_file(folder.0.join("model.safetensors")).unwrap();
    folder.error(&["holds no weights", "pytorch_model.bin.index.json"]);
    let shard = "pytorch_model-00001-of-00001.bin";
    std::fs::copy(source("pickled-roberta").join("pytorch_model.bin"), folder.0.join(shard)).unwrap();
    let index = json!({ "weight_map": { "roberta.embeddings.word_embeddings.weight": shard } });
    std::fs::write(folder.0.join("pytorch_model.bin.index.json"), index.to_string()).unwrap();
    assert_eq!(folder.logits(), before);
}

#[test]
fn what_a_configuration_leaves_out_is_what_transformers_takes() {
    let folder = Folder::of("gaps", "tiny-bert");
    let before = folder.logits();
    let gone = json!({ "hidden_act": null, "layer_norm_eps": null, "pad_token_id": null, "hidden_size": null,
        "intermediate_size": null, "vocab_size": null, "max_position_embeddings": null, "type_vocab_size": null });
    assert_eq!(folder.config(gone).logits(), before);
    assert_eq!(folder.config(json!({ "model_type": null })).logits(), before, "by its class");
    folder.config(json!({ "num_hidden_layers": null })).error(&["no weights for 160 of the 201"]);
    folder.config(json!({ "num_hidden_layers": 2, "num_attention_heads": null })).error(&["12 attention heads"]);
    folder.config(json!({ "architectures": null })).error(&["model_type is missing"]);

    let folder = Folder::of("distil-gaps", "tiny-distilbert");
    let before = folder.logits();
    let odd = json!({ "activation": null, "layer_norm_eps": 0.5, "n_layers": null, "num_hidden_layers": 2 });
    assert_eq!(folder.config(odd).logits(), before, "DistilBERT's norms have 1e-12 whatever is told");
    let folder = Folder::of("roberta-gaps", "tiny-roberta");
    let before = folder.logits();
    assert_eq!(folder.config(json!({ "pad_token_id": null, "hidden_act": null })).logits(), before);
}

#[test]
fn odd_settings_are_told() {
    let told = |name: &str, value: Value, parts: &[&str]| {
        Folder::of("odd", "tiny-bert").config(json!({ name: value })).error(parts);
    };
    for padding in [json!(-1), json!("0"), json!(1.5), json!(99_999_999_999u64)] {
        told("pad_token_id", padding.clone(), &[&format!("pad_token_id is {padding}"), "the tokenizer's"]);
    }
    for eps in [json!("1e-5"), json!(-1), json!(true)] {
        told("layer_norm_eps", eps.clone(), &[&format!("\"layer_norm_eps\" is {eps}")]);
    }
    told("num_attention_heads", json!(0), &["\"num_attention_heads\" is 0", "at least 1"]);
    told("num_hidden_layers", json!(2.0), &["\"num_hidden_layers\" is 2.0", "at least 1"]);
    told("id2label", json!({ "0": null, "1": "b", "2": "c" }), &["gives class 0 the name null"]);
    told("id2label", json!({ "0": "", "1": "b", "2": "c" }), &["gives class 0 the name \"\""]);
    told("id2label", json!({ "1": "a", "2": "b", "3": "c" }), &["none of them is \"0\""]);
    let folder = Folder::of("numbers", "tiny-bert");
    folder.config(json!({ "id2label": { "0": 1, "1": 2, "2": 3 } }));
    assert_eq!(folder.load().unwrap().labels(), ["1", "2", "3"], "stars");
    folder.config(json!({ "id2label": null, "label2id": { "c": 2, "a": 0, "b": 1 } }));
    assert_eq!(folder.load().unwrap().labels(), ["a", "b", "c"]);
    folder.config(json!({ "label2id": null, "num_labels": 5 })).error(&["num_labels is 5, and the weights have 3"]);
}
