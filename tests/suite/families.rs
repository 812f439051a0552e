//! Families of encoders: what each one's settings do, what it takes, and what it refuses.

use std::path::PathBuf;

use candle_explain::model::TransformerEncoder;
use candle_explain::prelude::*;
use serde_json::{Value, json};

use crate::checkpoints::{Folder, Weights, close_to, expected, integers, logits, numbers, source};

/// Every folder of a tiny checkpoint with weights as safetensors.
fn all() -> Vec<String> {
    let folders = std::fs::read_dir(source("")).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<PathBuf> = folders.filter(|folder| folder.join("model.safetensors").exists()).collect();
    folders.into_iter().map(|folder| folder.file_name().unwrap().to_str().unwrap().to_string()).collect()
}

/// A padded text, its mask, and token types that are those of a pair.
fn padded() -> [Tensor; 3] {
    let padded = expected()["padded"].clone();
    [0, 1, 2].map(|index| integers(&padded[index]))
}

#[test]
fn every_setting_is_that_of_transformers() {
    let [ids, mask, types] = padded();
    let expected = expected();
    let variants = expected["variants"].as_array().unwrap();
    for variant in variants {
        let checkpoint = variant["checkpoint"].as_str().unwrap();
        let folder = Folder::of("variants", checkpoint);
        folder.config(variant["settings"].clone());
        let mut given = vec![mask.clone()];
        given.extend(variant["types"].as_bool().unwrap().then(|| types.clone()));
        let model = folder.load().unwrap_or_else(|e| panic!("{variant}: {e}"));
        let input = Inputs::from(ids.clone()).with_args(given);
        // transformers computes parts of ModernBERT in f32 whatever the type.
        let tolerance = if checkpoint.contains("modernbert") { 2e-6 } else { 1e-7 };
        close_to(&logits(&model, input), &numbers(&variant["logits"]), tolerance, &variant.to_string());
    }
    assert!(variants.len() > 45, "{}", variants.len());
}

#[test]
fn a_model_type_that_is_not_known_is_told_of_with_those_that_are() {
    let folder = Folder::of("unknown", "tiny-electra");
    let known = [
        "albert",
        "bert",
        "camembert",
        "data2vec-text",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    ];
    let told: Vec<&str> = ["model_type is longformer"].into_iter().chain(known).collect();
    folder.config(json!({ "model_type": "longformer" })).error(&told);
    folder.config(json!({ "model_type": null })).load().unwrap();
    folder.config(json!({ "architectures": ["ElectricForSequenceClassification"] })).error(&["model_type is missing"]);
}

#[test]
fn every_family_is_found_by_its_class() {
    for name in all() {
        let folder = Folder::of("classes", &name);
        let before = folder.logits();
        assert_eq!(folder.config(json!({ "model_type": null })).logits(), before, "{name}");
    }
}

#[test]
fn padding_behind_a_mask_changes_nothing() {
    for name in all() {
        let model = Folder::of("padding", &name).load().unwrap().to_dtype(DType::F64).unwrap();
        let padding = model.pad_token_id();
        let text = Inputs::from(Tensor::new(&[[2u32, 17, 5, 9, 31, 3]], &Device::Cpu).unwrap());
        let ids = Tensor::new(&[[2, 17, 5, 9, 31, 3, padding, padding]], &Device::Cpu).unwrap();
        let mask = Tensor::new(&[[1u32, 1, 1, 1, 1, 1, 0, 0]], &Device::Cpu).unwrap();
        let longer = Inputs::from(ids).with_args([mask]);
        close_to(&logits(&model, longer), &logits(&model, text), 1e-12, &name);
    }
}

#[test]
fn token_types_are_known_or_ignored_or_refused() {
    let [ids, mask, types] = padded();
    for name in all() {
        let model = Folder::of("token-types", &name).load().unwrap();
        let with = |types: Tensor| Inputs::from(ids.clone()).with_args([mask.clone(), types]);
        let none = with(types.zeros_like().unwrap());
        let table = |(name, table): &(String, Var)| name.contains("token_type") && table.dims()[0] > 1;
        if model.named_parameters().iter().any(table) {
            assert_ne!(logits(&model, with(types.clone())), logits(&model, none), "{name}");
        } else if name == "tiny-deberta-v3" {
            assert_eq!(logits(&model, with(types.clone())), logits(&model, none));
        } else {
            let error = model.predict(with(types.clone())).unwrap_err().to_string();
            assert!(error.contains("is of type 1, and this model knows 1"), "{name}: {error}");
        }
    }
}

#[test]
fn what_is_saved_is_what_was_read() {
    for name in all() {
        let folder = Folder::of("saving", &name);
        let (model, weights) = (folder.load().unwrap(), folder.weights());
        let before = folder.logits();
        model.save(&folder.0).unwrap();
        assert_eq!(folder.logits(), before, "{name}");
        let mut saved: Vec<String> = folder.weights().into_keys().collect();
        saved.sort();
        let mut names: Vec<String> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, saved, "{name}: each weight once");
        if name != "old-bert" {
            // BERT's and MPNet's usual classes have poolers that their heads do not read.
            let mut there: Vec<String> = weights.into_keys().collect();
            there.sort();
            assert_eq!(saved, there, "{name}");
        }
        TransformerEncoder::from_pretrained(&folder.0).unwrap();
    }
}

#[test]
fn every_prefix_comes_off_in_every_family() {
    for name in all() {
        let folder = Folder::of("family-prefixes", &name);
        let (weights, before) = (folder.weights(), folder.logits());
        for prefix in ["module.", "model.", "module._orig_mod."] {
            let wrapped = weights.iter().map(|(name, weight)| (format!("{prefix}{name}"), weight.clone())).collect();
            assert_eq!(folder.save(&wrapped).logits(), before, "{name} behind {prefix}");
        }
    }
}

#[test]
fn every_weight_that_is_missing_is_named() {
    for name in all() {
        let folder = Folder::of("missing", &name);
        let weights = folder.weights();
        let needed: Vec<String> = folder.load().unwrap().named_parameters().into_iter().map(|(name, _)| name).collect();
        for missing in needed.iter().filter(|_| name != "old-bert") {
            let mut others = weights.clone();
            others.remove(missing);
            let message = folder.save(&others).load().expect_err(missing).to_string();
            let last = missing.rsplit('.').take(2).collect::<Vec<_>>();
            assert!(message.contains(&format!("{}.{}", last[1], last[0])), "{missing}: {message}");
            assert!(message.contains("no weights for 1 of") || message.contains("no classification head"), "{message}");
        }
    }
}

#[test]
fn the_passes_of_albert_have_names_of_their_own() {
    let model = Folder::of("passes", "tiny-albert").load().unwrap();
    let passes: Vec<String> = (0..6).map(|index| format!("encoder.layer.{index}")).collect();
    assert_eq!(model.encoder().encoder_layers(), passes);
    assert_eq!(model.encoder().layer_count(), 6);
    let [ids, mask, _] = padded();
    let names = model.layer_names(Inputs::from(ids).with_args([mask])).unwrap();
    for pass in &passes {
        assert!(names.contains(pass) && names.contains(&format!("{pass}.attention.weights")), "{names:?}");
    }
    // Three passes through two groups of two layers go through the first group twice.
    let of_layers =
        model.named_parameters().into_iter().filter(|(name, _)| name.ends_with("albert_layers.0.ffn.weight"));
    assert_eq!(of_layers.count(), 2);
}

#[test]
fn half_precision_is_near() {
    let [ids, mask, _] = padded();
    for name in all() {
        let model = Folder::of("halves", &name).load().unwrap();
        let input = Inputs::from(ids.clone()).with_args([mask.clone()]);
        let host = |model: &SequenceClassifier| -> Vec<f64> {
            let output = model.predict(input.clone()).unwrap().to_dtype(DType::F64).unwrap();
            output.flatten_all().unwrap().to_vec1().unwrap()
        };
        for dtype in [DType::F16, DType::BF16] {
            close_to(&host(&model.to_dtype(dtype).unwrap()), &host(&model), 0.06, &format!("{name} in {dtype:?}"));
        }
    }
}

#[test]
fn settings_that_cannot_be_honoured_are_told() {
    let told = |checkpoint: &str, settings: Value, parts: &[&str]| {
        Folder::of("refused", checkpoint).config(settings).error(parts);
    };
    for checkpoint in all().iter().filter(|name| !name.contains("bert") || name.contains("deberta")) {
        told(checkpoint, json!({ "is_decoder": true }), &["\"is_decoder\" is true"]);
    }
    told(
        "tiny-albert",
        json!({ "num_hidden_groups": 1 }),
        &["weights of 2 layers", "albert_layer_groups.1", "tells of 1"],
    );
    told("tiny-albert", json!({ "inner_group_num": 1 }), &["weights of 2 layers", "albert_layers.1", "tells of 1"]);
    told("tiny-albert", json!({ "num_hidden_groups": 0 }), &["\"num_hidden_groups\" is 0", "at least 1"]);
    told("tiny-albert", json!({ "inner_group_num": 900 }), &["\"inner_group_num\" 900", "at most 1000 passes"]);
    told("tiny-albert", json!({ "embedding_size": 8 }), &["embedding_size is 8, and the weights have 10"]);
    told("tiny-electra", json!({ "hidden_size": 12 }), &["hidden_size is 12, and the weights have 16"]);
    told("tiny-data2vec-text", json!({ "hidden_act": "mish" }), &["the activation is mish (\"hidden_act\")"]);
    for (checkpoint, class) in
        [("tiny-modernbert", "ModernBertForTokenClassification"), ("tiny-bert", "BertForMultipleChoice")]
    {
        told(checkpoint, json!({ "architectures": [class] }), &[class, "ForSequenceClassification"]);
    }
    let rope = |of_near: Value| json!({ "rope_parameters": { "sliding_attention": of_near } });
    told("tiny-modernbert", rope(json!({ "type": "linear" })), &["the type is \"linear\"", "default"]);
    told("tiny-modernbert", rope(json!({ "factor": 2 })), &["\"factor\"", "sliding_attention"]);

    let v2 = |settings, parts: &[&str]| told("tiny-deberta-v2", settings, parts);
    v2(json!({ "conv_kernel_size": 2 }), &["\"conv_kernel_size\" is 2", "odd"]);
    v2(json!({ "conv_kernel_size": 5 }), &["encoder.conv.conv.weight", "expected [16, 8, 5]"]);
    v2(json!({ "conv_groups": 3 }), &["conv_groups is 3", "the width 16"]);
    v2(json!({ "pos_att_type": 3 }), &["\"pos_att_type\" is 3", "list of texts"]);
    v2(json!({ "attention_head_size": 4 }), &["\"attention_head_size\" is 4: expected 8"]);
    v2(json!({ "pooler_hidden_size": 8 }), &["\"pooler_hidden_size\" is 8: expected 16"]);
    v2(json!({ "position_biased_input": "yes" }), &["\"position_biased_input\" is \"yes\": expected true or false"]);
    v2(json!({ "pooler_hidden_act": "mish" }), &["the activation is mish (\"pooler_hidden_act\")"]);
    let v3 = |settings, parts: &[&str]| told("tiny-deberta-v3", settings, parts);
    v3(json!({ "position_buckets": 1 }), &["\"position_buckets\" is 1", "at least 2"]);
    v3(json!({ "max_relative_positions": 4 }), &["\"position_buckets\" is 6 for distances up to 4"]);
    v3(json!({ "position_buckets": 8 }), &["encoder.rel_embeddings.weight", "expected [16, 16]"]);
    v3(
        json!({ "max_relative_positions": 99_999_999_999u64 }),
        &["\"max_relative_positions\" is 99999999999", "at most"],
    );
    v3(json!({ "position_buckets": "6" }), &["\"position_buckets\" is \"6\": expected a whole number"]);

    let mpnet = |settings, parts: &[&str]| told("tiny-mpnet", settings, parts);
    mpnet(
        json!({ "relative_attention_num_buckets": 16 }),
        &["\"relative_attention_num_buckets\" is 16", "at least 32"],
    );
    mpnet(json!({ "relative_attention_num_buckets": 40 }), &["relative_attention_bias", "expected [40, 2]"]);

    let modern = |settings, parts: &[&str]| told("tiny-modernbert", settings, parts);
    modern(json!({ "classifier_pooling": "max" }), &["classifier_pooling is max: expected cls or mean"]);
    modern(json!({ "layer_types": ["full_attention"] }), &["\"layer_types\" names 1 layers", "num_hidden_layers is 4"]);
    modern(json!({ "layer_types": ["full_attention", "x", "x", "x"] }), &["of type x", "sliding_attention"]);
    modern(json!({ "rope_scaling": { "rope_type": "yarn", "factor": 2 } }), &["\"rope_scaling\" is", "expected none"]);
    modern(
        json!({ "rope_parameters": { "rope_theta": 5 } }),
        &["\"rope_parameters\" is", "full_attention and sliding"],
    );
    let scaled = json!({ "full_attention": { "rope_type": "linear", "factor": 2 } });
    modern(json!({ "rope_parameters": scaled }), &["the rope_type is \"linear\": expected default"]);
    modern(json!({ "head_dim": 4 }), &["\"head_dim\" is 4", "the width 16 over the 2 heads"]);
    modern(json!({ "num_attention_heads": 16 }), &["16 attention heads over a width of 16", "even size"]);
    modern(json!({ "mlp_bias": true }), &["no weights for 8 of", "layers.0.mlp.Wi.bias"]);
    modern(json!({ "local_attention": 0 }), &["\"local_attention\" is 0", "at least 1"]);
}

#[test]
fn texts_are_as_long_as_the_family_takes() {
    let longest = |name: &str| Folder::of("longest", name).load().unwrap().max_tokens();
    assert_eq!(longest("tiny-albert"), 12);
    assert_eq!(longest("tiny-camembert"), 10);
    assert_eq!(longest("tiny-data2vec-text"), 10);
    assert_eq!(longest("tiny-mpnet"), 14);
    assert_eq!(longest("tiny-deberta-v3"), 16);
    assert_eq!(longest("tiny-modernbert"), 16);
    let model = Folder::of("too-long", "tiny-modernbert").load().unwrap();
    let error = model.predict(Tensor::zeros((1, 17), DType::U32, &Device::Cpu).unwrap()).unwrap_err().to_string();
    assert!(error.contains("17 tokens: this model takes 1 to 16"), "{error}");
}

/// A checkpoint with one of the tokenizers of `tests/text/auto`, and as many words as it has.
fn with_tokenizer(checkpoint: &str, tokenizer: &str) -> Folder {
    let folder = Folder::of(&format!("with-{tokenizer}"), checkpoint);
    let files = source("").join("../../text/auto").join(tokenizer);
    for file in std::fs::read_dir(files).unwrap().map(|file| file.unwrap().path()) {
        if !file.ends_with("config.json") {
            std::fs::copy(&file, folder.0.join(file.file_name().unwrap())).unwrap();
        }
    }
    let mut weights = folder.weights();
    let words = |name: &&String| name.contains("word_embeddings") || name.contains("tok_embeddings");
    let name = weights.keys().find(words).unwrap().clone();
    let more = Tensor::cat(&[&weights[&name]; 16], 0).unwrap();
    let size = more.dims()[0];
    weights.insert(name, more);
    let padding = Tokenizer::from_pretrained(&folder.0).unwrap().pad_token_id().unwrap();
    folder.save(&weights).config(json!({ "vocab_size": size, "pad_token_id": padding,
        "id2label": { "0": "negative", "1": "positive" }, "label2id": { "negative": 0, "positive": 1 } }));
    folder
}

#[test]
fn texts_go_all_the_way_through_every_family() {
    for (checkpoint, tokenizer) in [
        ("tiny-electra", "bert-vocab"),
        ("tiny-albert", "albert-lower"),
        ("tiny-deberta-v2", "deberta-spm"),
        ("tiny-deberta-v3", "deberta-fast"),
        ("tiny-mpnet", "mpnet-vocab"),
        ("tiny-modernbert", "wordpiece-as-written"),
        ("tiny-camembert", "camembert-spm"),
        ("tiny-xlm-roberta", "xlm-roberta-spm"),
        ("tiny-data2vec-text", "roberta-vocab"),
    ] {
        let folder = with_tokenizer(checkpoint, tokenizer);
        let classifier =
            TextClassifier::from_pretrained(folder.0.to_str().unwrap()).unwrap_or_else(|e| panic!("{checkpoint}: {e}"));
        let both = classifier.tokenize_all(["a", "a e"]).unwrap();
        assert_eq!(classifier.predictions(&both).unwrap().len(), 2, "{checkpoint}");
        let pair = classifier.tokenize_pair("a", "e").unwrap();
        for input in [&both, &pair] {
            let upper = FromLayer::new(&classifier, "embeddings");
            let reference = upper.inputs(input.reference().unwrap()).unwrap();
            let attributions = DeepLift::new(&upper)
                .baseline(reference)
                .attribute_to(&upper.inputs(input).unwrap(), &Target::Class(1))
                .unwrap();
            let worst = attributions.convergence_delta().unwrap().max_abs();
            assert!(worst < 1e-4, "{checkpoint}: {worst:e}");
            let words = LayerIntegratedGradients::new(&classifier, "embeddings")
                .baseline(input.reference().unwrap())
                .attribute(input, Target::Class(1))
                .unwrap();
            assert!(words.convergence_delta().unwrap().max_abs() < 2e-2, "{checkpoint}");
        }
    }
}

#[test]
fn an_encoder_without_a_head_is_read() {
    let [ids, mask, _] = padded();
    let input = Inputs::from(ids).with_args([mask]);
    let hidden = |encoder: &TransformerEncoder| -> Vec<f32> {
        encoder.predict(input.clone()).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    for name in all() {
        let folder = Folder::of("headless", &name);
        let before = hidden(folder.load().unwrap().encoder());
        let weights = folder.weights();
        // DeBERTa has embeddings further in, too.
        let prefixes = weights.keys().filter_map(|name| Some(name.split_once("embeddings")?.0));
        let prefix = prefixes.min_by_key(|prefix| prefix.len()).unwrap().to_string();
        let bare = |(name, weight): (String, Tensor)| Some((name.strip_prefix(&prefix)?.to_string(), weight));
        let encoder: Weights = weights.into_iter().filter_map(bare).collect();
        folder.save(&encoder);
        assert_eq!(hidden(&TransformerEncoder::from_pretrained(&folder.0).unwrap()), before, "{name}");
        let error = folder.load().unwrap_err().to_string();
        let asked = error.contains("no classification head") || error.contains("no weights for");
        assert!(asked, "{name}: {error}");
    }
}

#[test]
fn shards_are_put_together_in_every_family() {
    for name in all() {
        let folder = Folder::of("family-shards", &name);
        let (weights, before) = (folder.weights(), folder.logits());
        std::fs::remove_file(folder.0.join("model.safetensors")).unwrap();
        let shard =
            |weight: &String| if weight.len().is_multiple_of(2) { "even.safetensors" } else { "odd.safetensors" };
        let map: serde_json::Map<String, Value> =
            weights.keys().map(|name| (name.clone(), json!(shard(name)))).collect();
        for file in ["even.safetensors", "odd.safetensors"] {
            let part = weights.iter().filter(|(name, _)| shard(name) == file);
            let part: Weights = part.map(|(name, weight)| (name.clone(), weight.clone())).collect();
            candle_core::safetensors::save(&part, folder.0.join(file)).unwrap();
        }
        let index = json!({ "weight_map": map }).to_string();
        std::fs::write(folder.0.join("model.safetensors.index.json"), index).unwrap();
        assert_eq!(folder.logits(), before, "{name}");
    }
}
