//! From a folder to a classifier of texts: what its tokenizer, its model and their settings say of each other.

use std::path::{Path, PathBuf};

use candle_explain::prelude::*;
use serde_json::{Value, json};

const WORDS: usize = 60;

fn fresh(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("text-folders-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The tiny BERT with a vocabulary of its own: [MASK] is 0, and [PAD] is 1.
fn bert(name: &str) -> PathBuf {
    let folder = fresh(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints/tiny-bert");
    std::fs::copy(source.join("model.safetensors"), folder.join("model.safetensors")).unwrap();
    let special = ["[MASK]", "[PAD]", "[CLS]", "[SEP]", "[UNK]", "good", "bad", "movie", "film", "##s"];
    let more = (special.len()..WORDS).map(|word| format!("w{word}"));
    let words: Vec<String> = special.iter().map(|word| word.to_string()).chain(more).collect();
    std::fs::write(folder.join("vocab.txt"), words.join("\n") + "\n").unwrap();
    let config = std::fs::read_to_string(source.join("config.json")).unwrap();
    std::fs::write(folder.join("config.json"), config).unwrap();
    set(&folder, "config.json", json!({ "pad_token_id": null }));
    folder
}

/// Changes a file of JSON; a key that is null is taken out.
fn set(folder: &Path, file: &str, changes: Value) {
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or("{}".to_string());
    let mut json: Value = serde_json::from_str(&text).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(json.as_object_mut().unwrap().remove(key)),
            value => json[key] = value.clone(),
        }
    }
    std::fs::write(path, json.to_string()).unwrap();
}

fn load(folder: &Path) -> Result<TextClassifier> {
    TextClassifier::from_pretrained(folder.to_str().unwrap())
}

fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("there was no error"),
        Err(error) => error.to_string(),
    }
}

fn ids(input: &TextInput) -> Vec<u32> {
    input.ids().flatten_all().unwrap().to_vec1().unwrap()
}

fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::from_pretrained(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/auto").join(name)).unwrap()
}

#[test]
fn padding_is_what_the_tokenizer_says() {
    let folder = bert("padding");
    let model = load(&folder).unwrap();
    let input = model.tokenize("good movie").unwrap();
    assert_eq!(ids(&input), [2, 5, 7, 3]);
    assert_eq!(ids(&input.reference().unwrap()), [2, 1, 1, 3]);
    assert_eq!(ids(&model.tokenize_all(["good movie", "bad"]).unwrap()), [2, 5, 7, 3, 2, 6, 3, 1]);
    assert_eq!(model.classifier().pad_token_id(), 1);
    set(&folder, "config.json", json!({ "pad_token_id": 1 }));
    assert_eq!(load(&folder).unwrap().classifier().pad_token_id(), 1);
    set(&folder, "config.json", json!({ "pad_token_id": 0 }));
    let error = message(load(&folder));
    assert!(error.contains("padding is token 1") && error.contains("pad_token_id is 0"), "{error}");
    let parts = (SequenceClassifier::from_pretrained(&folder).unwrap(), Tokenizer::from_pretrained(&folder).unwrap());
    let model = TextClassifier::from_parts(parts.0, parts.1);
    assert_eq!(ids(&model.tokenize("good").unwrap().reference().unwrap()), [2, 1, 3]);
    set(&folder, "config.json", json!({ "pad_token_id": null }));
    set(&folder, "tokenizer_config.json", json!({ "pad_token": "w20" }));
    assert_eq!(load(&folder).unwrap().classifier().pad_token_id(), 20);
}

#[test]
fn padding_that_nothing_tells_of_is_an_error() {
    let folder = bert("unpadded");
    set(&folder, "tokenizer_config.json", json!({ "pad_token": "[UNHEARD]" }));
    for told in [Value::Null, json!(1)] {
        set(&folder, "config.json", json!({ "pad_token_id": told }));
        let error = message(load(&folder));
        assert!(error.contains("padding token [UNHEARD] is not in its vocabulary and would be token 60"), "{error}");
        assert!(error.contains("\"pad_token\" in tokenizer_config.json"), "{error}");
    }
    let vocabulary = std::fs::read_to_string(folder.join("vocab.txt")).unwrap();
    let marked = format!("\u{feff}{}", vocabulary.replace("[PAD]\n", "").replacen("[MASK]", "[PAD]\n[MASK]", 1));
    std::fs::write(folder.join("vocab.txt"), marked).unwrap();
    set(&folder, "tokenizer_config.json", json!({ "pad_token": "[PAD]" }));
    let error = message(load(&folder));
    assert!(error.contains("[PAD] is not in its vocabulary") && error.contains("byte order mark"), "{error}");
    std::fs::write(folder.join("vocab.txt"), vocabulary).unwrap();
    set(&folder, "config.json", json!({ "pad_token_id": null }));
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/tokenizers/wordpiece/tokenizer.json");
    let mut fast: Value = serde_json::from_str(&std::fs::read_to_string(written).unwrap()).unwrap();
    let vocabulary = fast["model"]["vocab"].as_object_mut().unwrap();
    vocabulary.retain(|_, id| id.as_u64().unwrap() < WORDS as u64);
    std::fs::write(folder.join("tokenizer.json"), fast.to_string()).unwrap();
    std::fs::write(folder.join("tokenizer_config.json"), "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}").unwrap();
    let error = message(load(&folder));
    assert!(error.contains("nothing tells which token is padding") && error.contains("pad_token"), "{error}");
    set(&folder, "config.json", json!({ "pad_token_id": 0 }));
    assert_eq!(load(&folder).unwrap().classifier().pad_token_id(), 0);
}

#[test]
fn a_tokenizer_that_is_larger_than_the_model_is_an_error_at_loading() {
    let folder = bert("larger");
    set(&folder, "added_tokens.json", json!({ "😍": WORDS }));
    let error = message(load(&folder));
    assert!(error.contains("a token of number 60, and the model knows 60 tokens"), "{error}");
    std::fs::remove_file(folder.join("added_tokens.json")).unwrap();
    let vocabulary = std::fs::read_to_string(folder.join("vocab.txt")).unwrap();
    std::fs::write(folder.join("vocab.txt"), vocabulary.clone() + "w60\nw61\n").unwrap();
    assert!(message(load(&folder)).contains("a token of number 61"));
    std::fs::write(folder.join("vocab.txt"), vocabulary.replace("[MASK]", "mask")).unwrap();
    assert!(load(&folder).is_ok(), "a special token of the class that no file names is no reason");
    std::fs::write(folder.join("vocab.txt"), vocabulary).unwrap();
    for told in [json!({ "cls_token": "[NOPE]" }), json!({ "additional_special_tokens": ["[NOPE]"] })] {
        let _ = std::fs::remove_file(folder.join("tokenizer_config.json"));
        set(&folder, "tokenizer_config.json", told);
        assert!(message(load(&folder)).contains("a token of number 60"));
    }
}

#[test]
fn two_texts_are_given_as_two() {
    let folder = bert("pairs");
    let model = load(&folder).unwrap();
    let pair = model.tokenize_pair("good movie", "bad films").unwrap();
    assert_eq!(ids(&pair), [2, 5, 7, 3, 6, 8, 9, 3]);
    let args = Inputs::from(&pair).args().to_vec();
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<u32>().unwrap();
    assert_eq!(flat(&args[0]), [1; 8]);
    assert_eq!(flat(&args[1]), [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(pair.texts()[0].words, ["[CLS]", "good", "movie", "[SEP]", "bad", "films", "[SEP]"]);
    let reference = pair.reference().unwrap();
    assert_eq!(
        (ids(&reference), flat(&Inputs::from(&reference).args()[1])),
        (vec![2, 1, 1, 3, 1, 1, 1, 3], flat(&args[1]))
    );
    let words = LayerIntegratedGradients::new(&model, "embeddings").baseline(&reference).tolerance(1e-4);
    let words = words.attribute(&pair, Target::Predicted).unwrap().sum_hidden(&pair).unwrap().by_word();
    assert_eq!(words.records()[0].units().len(), 7);

    let typed = message(model.tokenize("good movie[SEP]bad film"));
    assert!(typed.contains("holds [SEP]") && typed.contains("tokenize_pair"), "{typed}");
    assert!(model.tokenize("good [MASK] movie").is_ok());
    assert!(message(model.tokenize_pair("good", " ")).contains("a text of the pair is empty"));
    let long = "good ".repeat(20);
    assert!(message(model.tokenize_pair(&long, "bad")).contains("24 tokens, and the model takes at most 12"));
    let cut = model.truncate(true).tokenize_pair(&long, "bad film").unwrap();
    assert_eq!(ids(&cut), [2, 5, 5, 5, 5, 5, 5, 5, 3, 6, 8, 3]);
    assert_eq!(flat(&Inputs::from(&cut).args()[1]), [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
}

#[test]
fn texts_are_cut_where_the_tokenizer_says() {
    let folder = bert("cut");
    let text = "good bad movie film w20 w21 w22 w23";
    assert_eq!(ids(&load(&folder).unwrap().tokenize(text).unwrap()).len(), 10);
    set(&folder, "tokenizer_config.json", json!({ "model_max_length": 6 }));
    let model = load(&folder).unwrap();
    assert!(message(model.tokenize(text)).contains("10 tokens, and the model takes at most 6"));
    let cut = model.truncate(true).tokenize(text).unwrap();
    assert_eq!(ids(&cut), [2, 5, 6, 7, 8, 3]);
    assert_eq!(cut.texts()[0].cut_in_words().as_deref(), Some("4 tokens at the end were cut off"));
    set(&folder, "tokenizer_config.json", json!({ "truncation_side": "left" }));
    let model = load(&folder).unwrap().truncate(true);
    let cut = model.tokenize(text).unwrap();
    assert_eq!(ids(&cut), [2, 20, 21, 22, 23, 3]);
    assert_eq!(cut.texts()[0].cut_in_words().as_deref(), Some("4 tokens at the beginning were cut off"));
    let words = Explainer::new(&model).n_steps(2).visualize(text).unwrap();
    let shown: Vec<&str> = words.records()[0].units().iter().map(|unit| unit.text.as_str()).collect();
    assert_eq!(shown, ["[CLS]", "w20", "w21", "w22", "w23", "[SEP]"]);
    assert_eq!(ids(&model.max_tokens(12).tokenize(text).unwrap()).len(), 10);
    assert_eq!(ids(&model.max_tokens(4).tokenize(text).unwrap()), [2, 22, 23, 3]);
    assert!(message(model.max_tokens(13).tokenize(text)).contains("max_tokens(13): the model takes at most 12"));
    assert!(message(model.max_tokens(2).tokenize(text)).contains("none would be left"));
    for (key, value) in
        [("model_max_length", json!(0)), ("model_max_length", json!("5")), ("truncation_side", json!("up"))]
    {
        set(&folder, "tokenizer_config.json", json!({ key: value }));
        assert!(message(load(&folder)).contains(key), "{key}");
        set(&folder, "tokenizer_config.json", json!({ "model_max_length": 1e30, "truncation_side": "right" }));
    }
    assert_eq!(ids(&load(&folder).unwrap().tokenize(text).unwrap()).len(), 10);
}

#[test]
fn two_texts_with_nothing_between_are_cut_as_two() {
    let folder = bert("bare-pair");
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/auto/bert-cased/tokenizer.json");
    std::fs::copy(written, folder.join("tokenizer.json")).unwrap();
    set(&folder, "tokenizer_config.json", json!({ "tokenizer_class": "PreTrainedTokenizerFast" }));
    let tokenizer = Tokenizer::from_pretrained(&folder).unwrap();
    let [long, short] = ["a b c d e f g h", "h g"].map(|text| tokenizer.ids(text).unwrap());
    assert_eq!((long.len(), short.len()), (8, 2));
    let pair = tokenizer.encode_pair("a b c d e f g h", "h g").unwrap();
    let cut = tokenizer.cut(pair, 6).unwrap();
    assert_eq!(cut.ids(), [&long[..4], &short].concat());
}

#[test]
fn added_tokens_stand_for_themselves() {
    let ids = |name: &str, text: &str| tokenizer(name).ids(text).unwrap();
    assert_eq!(ids("phobert-added", "hàng tuyệt_vời 😍😍"), [0, 44, 584, 583, 583, 2]);
    for name in ["bert-cased", "bert-accents", "roberta-prefix", "wordpiece-as-written", "albert-lower"] {
        let ids = ids(name, "so 😍😍 good");
        let size = tokenizer(name).vocabulary_size() as u32;
        let added = ids.iter().filter(|id| **id + 3 >= size).count();
        assert_eq!(added, 2, "{name}: {ids:?}");
    }
}

#[test]
fn phobert_parts_special_tokens_if_it_is_told_to() {
    let (folder, source) =
        (fresh("phobert"), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/auto/phobert-added"));
    for file in std::fs::read_dir(source).unwrap().map(|file| file.unwrap()) {
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let ids = || Tokenizer::from_pretrained(&folder).unwrap().ids("😍😍").unwrap();
    assert_eq!(ids(), [0, 583, 583, 2]);
    set(&folder, "tokenizer_config.json", json!({ "split_special_tokens": true }));
    assert_eq!(ids(), [0, 3, 583, 2]);
}

#[test]
fn the_unknown_is_found_whatever_its_name() {
    let text = tokenizer("wordpiece-as-written").encode("hàng ქართული").unwrap();
    assert!(text.tokens.iter().any(|token| token.piece == "<oov>" && token.unknown));
    assert_eq!(text.unknown(), 1);
    for name in ["albert-spm", "xlm-roberta-fast", "camembert-spm", "herbert-vocab", "phobert-added", "mpnet-vocab"] {
        assert!(tokenizer(name).encode("ქართული").unwrap().unknown() > 0, "{name}");
    }
}

#[test]
fn names_of_classes() {
    let folder = bert("names");
    set(&folder, "config.json", json!({ "id2label": { "0": "good", "1": "bad", "2": "good" } }));
    let error = message(load(&folder));
    assert!(error.contains("two classes the name \"good\"") && error.contains("with_labels"), "{error}");
    let named = |names: [&str; 3]| TextClassifier::with_labels(folder.to_str().unwrap(), names);
    assert_eq!(named(["bad", "fair", "good"]).unwrap().labels(), ["bad", "fair", "good"]);
    assert!(message(named(["bad", "good", "bad"])).contains("two classes have the name \"bad\""));
    set(&folder, "config.json", json!({ "id2label": null, "label2id": null }));
    let error = message(load(&folder));
    assert!(error.contains("does not name the classes") && error.contains("name of class 2"), "{error}");
    assert!(!error.contains("positive"), "{error}");
    let told = |labels: Value| {
        set(&folder, "config.json", json!({ "id2label": null, "label2id": null }));
        set(&folder, "config.json", labels);
        load(&folder)
    };
    let error = message(told(json!({ "id2label": ["a", "b", "c"] })));
    assert!(error.contains("\"id2label\" is [\"a\",\"b\",\"c\"]: expected an object, {\"0\""), "{error}");
    let error = message(told(json!({ "label2id": ["a", "b", "c"] })));
    assert!(error.contains("\"label2id\" is [") && error.contains("{\"name of class 0\": 0, ...}"), "{error}");
    let error = message(told(json!({ "label2id": { "x": "2" } })));
    assert!(error.contains("label2id names 1 classes") && !error.contains("id2label"), "{error}");
    let by_text = told(json!({ "label2id": { "x": "2", "y": "0", "z": 1 } })).unwrap();
    assert_eq!(by_text.labels(), ["y", "z", "x"]);
}

#[test]
fn what_is_missing_or_contradicts_itself_is_told() {
    let folder = fresh("broken");
    let error = |files: &[(&str, &str)]| {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (file, content) in files {
            std::fs::write(folder.join(file), content).unwrap();
        }
        message(Tokenizer::from_pretrained(&folder))
    };
    let of_class = |class: &str| format!("{{\"tokenizer_class\": \"{class}\"}}");
    let expect = |message: String, parts: &[&str]| {
        assert!(parts.iter().all(|part| message.contains(part)), "no {parts:?} in {message}");
    };
    let roberta = of_class("RobertaTokenizerFast");
    expect(
        error(&[("tokenizer_config.json", &roberta), ("vocab.json", "{}")]),
        &["holds no merges.txt", "vocab.json and"],
    );
    expect(
        error(&[("tokenizer_config.json", &of_class("XLNetTokenizer"))]),
        &["tokenizer XLNetTokenizer", "tokenizer.json"],
    );
    expect(error(&[("vocab.txt", "")]), &["vocabulary is empty"]);
    expect(error(&[("vocab.json", "{\"a\": 0"), ("merges.txt", "")]), &["vocab.json is not JSON"]);
    expect(error(&[("vocab.json", "{\"a\": 0}"), ("merges.txt", "a a a")]), &["merges.txt: line 1 is \"a a a\""]);
    expect(error(&[("vocab.json", "{\"a\": 0}"), ("merges.txt", "a b")]), &["not a tokenizer"]);
    expect(
        error(&[("tokenizer_config.json", "[]"), ("vocab.txt", "a")]),
        &["tokenizer_config.json is not a JSON object"],
    );
    let odd = |settings: &str| error(&[("tokenizer_config.json", settings), ("vocab.txt", "[UNK]\na")]);
    expect(odd("{\"do_lower_case\": \"no\"}"), &["\"do_lower_case\" is \"no\"", "true or false"]);
    expect(odd("{\"mask_token\": 3}"), &["mask_token", "expected a string"]);
    expect(odd("{\"added_tokens_decoder\": {\"x\": {\"content\": \"a\"}}}"), &["a token \"x\"", "its number"]);
    expect(odd("{\"additional_special_tokens\": \"a\"}"), &["additional_special_tokens", "a list"]);
    expect(odd("{\"cls_token\": null}"), &["\"cls_token\" is null"]);
    let unigram = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/auto/xlm-roberta-fast/tokenizer.json");
    let unigram = std::fs::read_to_string(unigram).unwrap();
    expect(
        error(&[("tokenizer_config.json", &of_class("BertTokenizer")), ("tokenizer.json", &unigram)]),
        &["BertTokenizer, whose model is WordPiece", "holds Unigram", "PreTrainedTokenizerFast"],
    );
    for class in ["XLNetTokenizer", "T5TokenizerFast", "DebertaTokenizer"] {
        expect(
            error(&[("tokenizer_config.json", &of_class(class)), ("tokenizer.json", &unigram)]),
            &[class, "in a way of its own", "PreTrainedTokenizerFast"],
        );
    }
}

#[test]
fn a_broken_sentencepiece_model_is_an_error() {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/auto/albert-spm/spiece.model");
    let whole = std::fs::read(whole).unwrap();
    let folder = fresh("spiece");
    std::fs::write(folder.join("config.json"), "{\"model_type\": \"albert\"}").unwrap();
    let path = folder.join("spiece.model");
    let mut refused = 0;
    for length in (0..whole.len()).step_by(97) {
        std::fs::write(&path, &whole[..length]).unwrap();
        // A model that ends between two pieces is a smaller one.
        refused += usize::from(Tokenizer::from_pretrained(&folder).is_err());
    }
    assert!(refused > 100, "{refused}");
    for change in (0..whole.len()).step_by(61) {
        let mut bytes = whole.clone();
        bytes[change] = bytes[change].wrapping_add(77);
        std::fs::write(&path, &bytes).unwrap();
        let _ = Tokenizer::from_pretrained(&folder);
    }
}
