//! From a text to its coloured words.

use std::path::{Path, PathBuf};

use candle_explain::prelude::*;
use candle_explain::{attr, text};

use crate::laws::mixes_rows;

const TEXT: &str = "Sản phẩm này rất tốt, nhưng giao hàng quá chậm";

fn model() -> TextClassifier {
    TextClassifier::from_pretrained("data/sentiment-vi").unwrap()
}

/// A copy of the shipped classifier that a test can change.
fn copy(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("text-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sentiment-vi");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    folder
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

/// The attributions of one text at some layers, against its reference.
fn attributed(model: &TextClassifier, layers: &[&str], text: &str) -> Attributions {
    let input = model.tokenize(text).unwrap();
    let method = LayerIntegratedGradients::new(model, layers).baseline(input.reference().unwrap()).tolerance(1e-5);
    method.attribute(&input, Target::Predicted).unwrap()
}

fn sum(record: &text::TextRecord) -> f64 {
    record.units().iter().map(|unit| unit.value).sum()
}

#[test]
fn predictions_and_attributions_are_those_of_transformers_and_captum() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/sentiment_vi.json");
    let cases: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let close = |ours: &[f64], theirs: &[f64], what: &str| {
        assert_eq!(ours.len(), theirs.len(), "{what}");
        let largest = theirs.iter().fold(0., |largest: f64, value| largest.max(value.abs()));
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() <= 1e-6 * largest.max(1e-3), "{what}: {a} and {b}");
        }
    };
    let shipped = model();
    let exact =
        TextClassifier::from_parts(shipped.classifier().to_dtype(DType::F64).unwrap(), shipped.tokenizer().clone());
    let (mut predicted, mut explained, mut by_embedding) = (0, 0, 0);
    for case in cases["comments"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let input = exact.tokenize(text).unwrap();
        let ids: Vec<f64> = input.texts()[0].ids().into_iter().map(f64::from).collect();
        assert_eq!(ids, numbers(&case["ids"]), "{text}");
        let prediction = exact.predict_text(text).unwrap();
        let probabilities: Vec<f64> = prediction.classes.iter().map(|(_, probability)| *probability).collect();
        close(&probabilities, &numbers(&case["probabilities"]), text);
        predicted += 1;
        let reference = input.reference().unwrap();
        if case["attributions"].is_array() {
            let lig = LayerIntegratedGradients::new(&exact, "embeddings").n_steps(500).internal_batch_size(3);
            let attributions = lig.baseline(&reference).attribute(&input, Target::Predicted).unwrap();
            let words = attributions.sum_hidden(&input).unwrap().normalize().unwrap();
            close(words.records()[0].values().values(), &numbers(&case["attributions"]), text);
            explained += 1;
        }
        if let Some(parts) = case["by_embedding"].as_object() {
            for (name, expected) in parts {
                let names: Vec<String> =
                    ["word", "position", "token_type"].map(|kind| format!("embeddings.{kind}_embeddings")).to_vec();
                let lig = LayerIntegratedGradients::new(&exact, names).baseline(&reference);
                let summed = lig.attribute(&input, Target::Predicted).unwrap().sum_hidden(&input).unwrap();
                let record = summed.records().iter().find(|record| record.place().contains(name.as_str())).unwrap();
                close(record.values().values(), &numbers(expected), name);
            }
            by_embedding += 1;
        }
    }
    assert!(predicted >= 10 && explained >= 4 && by_embedding >= 2, "{predicted}, {explained}, {by_embedding}");
}

#[test]
fn a_classifier_of_logits_predicts_with_probabilities() {
    let shipped = model();
    let with = |output| TextClassifier::from_parts(shipped.classifier().output(output), shipped.tokenizer().clone());
    let (probabilities, logits) = (with(ClassifierOutput::Probabilities), with(ClassifierOutput::Logits));
    let (expected, prediction) = (probabilities.predict_text(TEXT).unwrap(), logits.predict_text(TEXT).unwrap());
    assert_eq!(expected.label, prediction.label);
    for ((_, expected), (_, probability)) in expected.classes.iter().zip(&prediction.classes) {
        assert!((expected - probability).abs() < 1e-6, "{expected} and {probability}");
    }
    let words = attributed(&logits, &["embeddings"], TEXT).sum_hidden(&logits.tokenize(TEXT).unwrap()).unwrap();
    let (label, probability) = words.records()[0].prediction().unwrap();
    assert!(label == expected.label && (probability - expected.probability).abs() < 1e-6, "{probability}");
    let input = logits.tokenize(TEXT).unwrap();
    let class = expected.class;
    let logit = |input: &TextInput| logits.predict(input).unwrap().to_vec2::<f32>().unwrap()[0][class];
    let moved = logit(&input) - logit(&input.reference().unwrap());
    assert!((sum(&words.records()[0]) - f64::from(moved)).abs() < 1e-3, "{moved}");
}

#[test]
fn words_add_up_to_what_the_prediction_moved() {
    let model = model();
    let result = attributed(&model, &["embeddings"], TEXT);
    let input = model.tokenize(TEXT).unwrap();
    let predictions = [model.predictions(&input).unwrap(), model.predictions(&input.reference().unwrap()).unwrap()];
    let class = predictions[0][0].class;
    let moved = predictions[0][0].classes[class].1 - predictions[1][0].classes[class].1;
    let pieces = result.sum_hidden(&input).unwrap();
    assert!((sum(&pieces.records()[0]) - moved).abs() < 1e-4);
    let words = pieces.by_word();
    assert!(words.records()[0].units().len() < pieces.records()[0].units().len());
    assert!((sum(&words.records()[0]) - sum(&pieces.records()[0])).abs() < 1e-12);
    let texts: Vec<&str> = words.records()[0].units().iter().map(|unit| unit.text.as_str()).collect();
    assert_eq!(texts[..4], ["<s>", "Sản_phẩm", "này", "rất"]);

    let normalized = pieces.normalize().unwrap();
    let norm: f64 = normalized.records()[0].values().values().iter().map(|value| value * value).sum();
    assert!((norm - 1.).abs() < 1e-12);
}

#[test]
fn a_text_against_itself_gets_zeros_and_they_stay_zeros() {
    let model = model();
    let input = model.tokenize(TEXT).unwrap();
    let lig = LayerIntegratedGradients::new(&model, "embeddings").baseline(&input).n_steps(5);
    let zeros = lig.attribute(&input, 0).unwrap().sum_hidden(&input).unwrap().normalize().unwrap().by_word();
    assert!(zeros.records()[0].values().values().iter().all(|value| *value == 0.));
    assert!(zeros.html().contains("Sản_phẩm") && zeros.text().contains("tốt 0"));
}

#[test]
fn one_call_gives_what_the_steps_give() {
    let model = model();
    let input = model.tokenize(TEXT).unwrap();
    let lig = LayerIntegratedGradients::new(&model, "embeddings").baseline(input.reference().unwrap()).n_steps(20);
    let steps =
        lig.attribute(&input, Target::Predicted).unwrap().sum_hidden(&input).unwrap().normalize().unwrap().by_word();
    let call = Explainer::new(&model).n_steps(20).visualize(TEXT).unwrap();
    assert_eq!(call.records()[0].units(), steps.records()[0].units());
    assert_eq!(call.html(), steps.html());
}

#[test]
fn many_texts_at_once_give_what_each_gives_alone() {
    let explain = Explainer::from_pretrained("data/sentiment-vi").unwrap().n_steps(20);
    let comments = Comments::load("data/comments.csv").unwrap().first(20);
    let all = explain.batch(&comments).unwrap();
    assert_eq!(all.records().len(), 20);
    for (comment, record) in comments.rows().iter().zip(all.records()) {
        let alone = explain.visualize(comment).unwrap();
        let alone = &alone.records()[0];
        assert_eq!(record.prediction().map(|(label, _)| label), alone.prediction().map(|(label, _)| label));
        assert_eq!(record.label(), alone.label());
        assert_eq!(record.units().len(), alone.units().len());
        for (a, b) in record.units().iter().zip(alone.units()) {
            assert_eq!(a.text, b.text);
            assert!((a.value - b.value).abs() < 1e-4, "{} {} {}", a.text, a.value, b.value);
        }
    }
}

#[test]
fn several_layers_give_a_record_each_and_add_up_together() {
    let parts = ["embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.token_type_embeddings"];
    let model = model();
    let input = model.tokenize(TEXT).unwrap();
    let by_part = attributed(&model, &parts, TEXT).sum_hidden(&input).unwrap();
    let whole = attributed(&model, &["embeddings"], TEXT).sum_hidden(&input).unwrap();
    assert_eq!(by_part.records().len(), 3);
    let total: f64 = by_part.records().iter().map(sum).sum();
    assert!((total - sum(&whole.records()[0])).abs() < 1e-3);
    assert!(by_part.html().contains("embeddings.<wbr>position_<wbr>embeddings"));
    assert!(message(by_part.with(&whole).with(&whole).layer_map()).contains("one text at several layers"));
}

#[test]
fn conductance_flows_through_every_layer() {
    let explain = Explainer::from_pretrained("data/sentiment-vi").unwrap().tolerance(1e-4);
    let whole = explain.visualize(TEXT).unwrap();
    let layers = explain.layers(TEXT).unwrap();
    let places: Vec<&str> = layers.records().iter().map(text::TextRecord::place).collect();
    assert_eq!(places, ["layer \"encoder.layer.0\"", "layer \"encoder.layer.1\""]);
    for record in layers.records() {
        assert!(record.convergence_delta().unwrap().abs() < 1e-3, "{:?}", record.convergence_delta());
    }
    // Normalised by itself, the last layer has everything at the token that the head reads.
    assert!(layers.records()[1].units()[0].value.abs() > 0.999);
    let map = layers.layer_map().unwrap();
    assert!(map.svg().unwrap().contains("encoder.layer.1"));
    assert!(map.html().matches("<td").count() == 2 * whole.records()[0].units().len());
}

#[test]
fn the_part_above_the_embeddings_is_a_model_of_its_own() {
    let model = model();
    let (input, upper) = (model.tokenize(TEXT).unwrap(), FromLayer::new(&model, "embeddings"));
    let (embedded, reference) = (upper.inputs(&input).unwrap(), upper.inputs(input.reference().unwrap()).unwrap());
    let ig = IntegratedGradients::new(&upper).baseline(&reference).n_steps(30);
    let inside = ig.attribute(&embedded, Target::Predicted).unwrap();
    let lig = LayerIntegratedGradients::new(&model, "embeddings").baseline(input.reference().unwrap()).n_steps(30);
    let outside = lig.attribute(&input, Target::Predicted).unwrap();
    let largest = (inside.tensor() - outside.tensor()).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    assert!(largest.to_scalar::<f32>().unwrap() < 1e-6);
    let through = |place: &str| LayerConductance::new(&upper, place).attribute(&embedded, 0);
    assert!(message(through("embeddings")).contains("where this model begins"));
    assert!(message(FromLayer::new(&model, "nowhere").inputs(&input)).contains("no layer named \"nowhere\""));
    assert!(message(upper.predict(embedded.first())).contains("FromLayer::inputs"));
    let attention = LayerConductance::new(&upper, "encoder.layer.0.attention.weights").baseline(&reference);
    let attention = attention.attribute(&embedded, Target::Predicted).unwrap();
    let tokens = input.ids().dims()[1];
    assert_eq!(attention.tensor().dims(), [1, 4, tokens, tokens]);
}

#[test]
fn texts_that_nothing_can_be_said_about() {
    let model = model();
    for empty in ["", "   ", "\n\t"] {
        assert!(message(model.tokenize(empty)).contains("the text is empty"));
    }
    assert!(
        message(model.tokenize("漢字 ქართული")).contains("no part of \"漢字 ქართული\" is in the model's vocabulary")
    );
    let long = "rất tốt ".repeat(200);
    let error = message(model.tokenize(long.as_str()));
    assert!(
        error.contains("402 tokens, and the model takes at most 256") && error.contains("truncate(true)"),
        "{error}"
    );
    let cut = model.truncate(true).tokenize(long.as_str()).unwrap();
    assert_eq!((cut.ids().dims(), cut.texts()[0].cut), ([1, 256].as_slice(), 146));
    assert_eq!(cut.texts()[0].ids().last(), Some(&2));
    let cut = Explainer::new(&model.truncate(true)).n_steps(2).visualize(long.as_str()).unwrap();
    assert!(cut.remarks().iter().any(|remark| remark.contains("was cut")));
    let foreign = Explainer::new(&model).n_steps(2).visualize("rất tốt ქართული").unwrap();
    assert!(foreign.remarks().iter().any(|remark| remark.contains("not in the model's vocabulary")));
    assert!(message(model.tokenize(("tốt", 2))).contains("knows the classes 0 to 1"));
    assert!(message(model.tokenize_all(Vec::<&str>::new())).contains("there are no texts"));
    let comments: Comments = ["tốt", " "].into_iter().map(Comment::from).collect();
    assert!(message(Explainer::new(&model).batch(&comments).unwrap().row(1)).contains("the text is empty"));
}

#[test]
fn folders_that_no_classifier_comes_from() {
    assert!(message(load(Path::new("no/such/folder"))).contains("there is no folder"));
    let unnamed = copy("unnamed");
    let config = std::fs::read_to_string(unnamed.join("config.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&config).unwrap();
    json.as_object_mut().unwrap().remove("id2label");
    std::fs::write(unnamed.join("config.json"), json.to_string()).unwrap();
    assert_eq!(load(&unnamed).unwrap().labels(), ["positive", "negative"], "label2id alone will do");
    json.as_object_mut().unwrap().remove("label2id");
    std::fs::write(unnamed.join("config.json"), json.to_string()).unwrap();
    let error = message(load(&unnamed));
    assert!(error.contains("does not name the classes") && error.contains("with_labels"), "{error}");
    let named = TextClassifier::with_labels(unnamed.to_str().unwrap(), ["gut", "schlecht"]).unwrap();
    assert_eq!(named.predict_text(TEXT).unwrap().label, "gut");
    let three = TextClassifier::with_labels(unnamed.to_str().unwrap(), ["a", "b", "c"]);
    assert!(message(three).contains("3 names for the classes of a model of 2 outputs"));

    let untokenized = copy("untokenized");
    std::fs::remove_file(untokenized.join("tokenizer.json")).unwrap();
    assert!(message(load(&untokenized)).contains("holds no tokenizer"));
    let foreign = copy("foreign-tokenizer");
    std::fs::write(foreign.join("bpe.codes"), "").unwrap();
    std::fs::write(foreign.join("tokenizer_config.json"), r#"{"tokenizer_class": "BertweetTokenizer"}"#).unwrap();
    assert!(message(load(&foreign)).contains("write PreTrainedTokenizerFast"));
    std::fs::write(foreign.join("tokenizer_config.json"), r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#).unwrap();
    assert_eq!(load(&foreign).unwrap().predict_text(TEXT).unwrap(), model().predict_text(TEXT).unwrap());
    std::fs::write(foreign.join("tokenizer_config.json"), r#"{"tokenizer_class": "BertweetTokenizer"}"#).unwrap();
    std::fs::remove_file(foreign.join("tokenizer.json")).unwrap();
    assert!(message(load(&foreign)).contains("holds the tokenizer BertweetTokenizer"));
    std::fs::write(foreign.join("tokenizer_config.json"), r#"{"tokenizer_class": "PhobertTokenizer"}"#).unwrap();
    assert!(message(load(&foreign)).contains("vocab.txt"));
    let cut = copy("cut");
    let bytes = std::fs::read(cut.join("model.safetensors")).unwrap();
    std::fs::write(cut.join("model.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(message(load(&cut)).contains("is not a complete safetensors file"));
}

#[test]
fn files_of_comments() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("comments.csv");
    let load = |content: &str| {
        std::fs::write(&path, content).unwrap();
        Comments::load(&path)
    };
    let comments = load("\u{feff}id,text,label\n1,\"tốt, đẹp\",0\n2,tệ,\n").unwrap();
    assert_eq!(comments.rows()[0], Comment::from(("tốt, đẹp", 0)));
    assert_eq!(comments.rows()[1].label, None);
    assert!(message(load("id,comment\n1,a\n")).contains("there is no column \"text\"; the header has: id, comment"));
    assert!(message(load("text,label\na,good\n")).contains("line 2: the label is \"good\""));
    assert!(message(load("text,label\na,0\nb\n")).contains("comments.csv"));
    assert!(message(load("text,label\n")).contains("no rows"));
    assert!(message(Comments::load("no/such.csv")).contains("cannot read"));
    assert!(message(comments.get(2)).contains("there are 2"));
    assert_eq!((comments.skip(1).len(), comments.first(9).len()), (1, 2));
}

#[test]
fn what_a_comment_says_is_text_in_every_figure() {
    let explain = Explainer::from_pretrained("data/sentiment-vi").unwrap().n_steps(2);
    let evil = explain.visualize("<script>alert(1)</script> & \"quotes\" tệ").unwrap();
    let figures = heatmap![evil, explain.pieces(true).visualize(TEXT)].unwrap();
    for form in
        [figures.html(), figures.svg().unwrap(), explain.layers("<b>tốt</b>").unwrap().layer_map().unwrap().html()]
    {
        assert!(!form.contains("<script") && !form.contains("<b>"), "{form}");
        assert!(form.contains("&lt;"));
    }
    assert!(figures.html().contains("&quot;") && figures.html().contains("&amp;"));
    // Inline styles only.
    assert!(!figures.html().contains("class=") && !figures.html().contains("<style"));

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    figures.save(folder.join("words.html")).unwrap();
    figures.save(folder.join("words.svg")).unwrap();
    figures.save(folder.join("words.txt")).unwrap();
    let page = std::fs::read_to_string(folder.join("words.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("charset=\"utf-8\"") && page.contains("sản"));
    assert!(message(figures.save(folder.join("words.jpg"))).contains(".html, .txt, .svg or .png"));
    assert!(message(explain.model().save_as_picture(folder)).contains("not a picture"));
}

/// A figure that cannot be drawn.
trait SaveAsPicture: Figure + Sized {
    fn save_as_picture(&self, folder: &Path) -> Result<()> {
        self.save(folder.join("table.svg"))
    }
}

impl SaveAsPicture for TextClassifier {}

#[test]
fn one_scale_of_colours_for_all_texts() {
    let explain = Explainer::from_pretrained("data/sentiment-vi").unwrap().n_steps(10);
    let (strong, weak) = (explain.visualize("tốt").unwrap(), explain.visualize(TEXT).unwrap());
    let ground = |html: &str, word: &str| {
        let from = html.split(&format!("title=\"{word}:")).nth(1).unwrap();
        from.split("background:").nth(1).unwrap()[..7].to_string()
    };
    let together = heatmap![strong, weak].unwrap();
    assert_ne!(ground(&weak.html(), "chậm"), ground(&together.palette(Palette::GreenRed).html(), "chậm"));
    let largest = |figure: &TokenAttributions| {
        figure.records()[0].values().values().iter().fold(0., |largest: f64, value| largest.max(value.abs()))
    };
    assert!(largest(&strong) > largest(&weak));
    assert_ne!(ground(&weak.html(), "chậm"), ground(&together.html(), "chậm"));
    assert!(message(heatmap![strong, explain.visualize("")]).contains("empty"));

    let comments: Comments = ["tốt", " ", "chậm"].into_iter().map(Comment::from).collect();
    let batch = explain.batch(&comments);
    let with_batch = heatmap![strong, batch, *batch.as_ref().unwrap()].unwrap();
    let html = with_batch.html();
    let slow = |html: &str| html.matches("chậm").count();
    assert_eq!(slow(&html), 2 * slow(&heatmap![batch].unwrap().html()));
    assert!(slow(&html) > 0);
    assert_eq!(html.matches("1 of 3 texts could NOT be explained: text 1: the text is empty").count(), 2);
    let none: Comments = [" "].into_iter().map(Comment::from).collect();
    assert!(heatmap![explain.batch(&none)].unwrap().text().contains("1 of 1 texts could NOT"));
}

#[test]
fn the_strongest_words_speak_for_one_class() {
    let explain = Explainer::from_pretrained("data/sentiment-vi").unwrap().n_steps(10);
    let comments: Comments = ["rất tốt", "rất tệ", "tệ"].into_iter().map(Comment::from).collect();
    let predicted = explain.batch(&comments).unwrap().strongest_words(3).unwrap();
    let fixed = explain.target(1).batch(&comments).unwrap().strongest_words(3).unwrap();
    assert_eq!((predicted.class(), fixed.class()), ("negative", "negative"));
    for (a, b) in predicted.words().iter().zip(fixed.words()) {
        assert_eq!((&a.word, a.count), (&b.word, b.count));
        assert!((a.sum - b.sum).abs() < 1e-4, "{a:?} {b:?}");
    }
    let bad = predicted.words().iter().find(|word| word.word == "tệ").unwrap();
    assert!(bad.sum > 0. && bad.count == 2);
    assert!(predicted.bars().unwrap().svg().unwrap().contains("tệ (2×)"));
}

#[test]
fn words_that_carry_a_prediction_are_missed_when_they_are_gone() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/vietnamese_comments.csv");
    let comments = if real.exists() {
        // What the classifier was neither trained nor chosen with.
        let all = Comments::load(real).unwrap();
        all.skip(all.len() - 2000)
    } else {
        Comments::load("data/comments.csv").unwrap()
    };
    let model = model().truncate(true);
    let long_enough =
        |comment: &&Comment| model.tokenize(*comment).is_ok_and(|input| input.texts()[0].words.len() >= 8);
    let comments: Comments = comments.rows().iter().filter(long_enough).take(500).cloned().collect();
    let explain = Explainer::new(&model);
    let all = explain.batch(&comments).unwrap();
    let (mut before, mut without_strongest, mut without_random, mut count) = (0., 0., 0., 0);
    for (index, record) in all.records().iter().enumerate() {
        let words: Vec<&text::Unit> = record.units().iter().filter(|unit| !unit.special).collect();
        let (label, _) = record.prediction().unwrap();
        let probability = |left_out: &[usize]| {
            let left = words.iter().enumerate().filter(|(position, _)| !left_out.contains(position));
            let text: Vec<&str> = left.map(|(_, word)| word.text.as_str()).collect();
            // A text whose rest is unknown to the model says nothing.
            let prediction = model.predict_text(text.join(" ")).ok()?;
            prediction.classes.iter().find(|(name, _)| name == label).map(|(_, probability)| *probability)
        };
        let mut strongest: Vec<usize> = (0..words.len()).collect();
        strongest.sort_by(|a, b| words[*b].value.total_cmp(&words[*a].value));
        let mut random: Vec<usize> = (0..words.len()).collect();
        random.sort_by_key(|position| (position * 7919 + index * 104_729 + 13) % 1_000_003 % 9_973);
        if let (Some(whole), Some(strong), Some(any)) =
            (probability(&[]), probability(&strongest[..3]), probability(&random[..3]))
        {
            before += whole;
            without_strongest += strong;
            without_random += any;
            count += 1;
        }
    }
    let [before, strongest, random] = [before, without_strongest, without_random].map(|sum| sum / f64::from(count));
    println!(
        "{count} comments: {before:.4}; without the three strongest {strongest:.4}, without three others {random:.4}"
    );
    assert!(count > 100);
    assert!(before - strongest > 3. * (before - random), "{before} {strongest} {random}");
}

#[test]
fn a_classifier_of_ones_own() {
    let comments = Comments::load("data/comments.csv").unwrap();
    let trainer = SentimentTrainer::new(["positive", "negative"]).hidden(32).layers(1).epochs(40).learning_rate(5e-3);
    let trained = trainer.fit(&comments).unwrap();
    assert!(trained.losses()[39] < trained.losses()[0]);
    assert!(trained.accuracy(&comments).unwrap() > 0.9, "{}", trained.accuracy(&comments).unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-classifier");
    trained.save(&folder).unwrap();
    let loaded = load(&folder).unwrap();
    let mut right = 0;
    for comment in comments.rows() {
        right += usize::from(Some(loaded.predict_text(comment).unwrap().class) == comment.label);
    }
    assert_eq!(right as f64 / comments.len() as f64, trained.accuracy(&comments).unwrap());

    let short = trainer.epochs(1);
    let losses = |trainer: &SentimentTrainer| trainer.fit(&comments).unwrap().losses().to_vec();
    assert_eq!(losses(&short), losses(&short));
    assert_ne!(losses(&short), losses(&short.seed(Seed(1))));

    let unlabelled: Comments = [Comment::from("tốt")].into_iter().collect();
    assert!(message(trainer.fit(&unlabelled)).contains("comment 0 has no label"));
    let third: Comments = [Comment::from(("tốt", 2))].into_iter().collect();
    assert!(message(trainer.fit(&third)).contains("comment 0 has the label 2, and there are 2 classes"));
    assert!(message(trainer.epochs(0).fit(&comments)).contains("0 epochs"));
    assert!(message(trainer.hidden(30).fit(&comments)).contains("a multiple of the 4 attention heads"));
    assert!(message(trainer.layers(0).fit(&comments)).contains("0 layers"));
    let named = |names: &[&str]| message(SentimentTrainer::new(names.iter().copied()).fit(&comments));
    assert!(named(&["a", "b", "c"]).contains("no comment has the label 2 (\"c\")"));
    assert!(named(&["good", "good"]).contains("two classes have the name \"good\""));
    assert!(named(&["good"]).contains("1 names of classes: expected at least two"));
    assert!(message(trainer.vocabulary(5).fit(&comments)).contains("at least 100"));
    assert!(message(trainer.learning_rate(1e9).epochs(3).fit(&comments)).contains("smaller learning rate"));
}

#[test]
fn a_pytorch_file_gives_the_same_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints");
    let ids = Tensor::new(&[[0u32, 20, 30, 8, 2]], &Device::Cpu).unwrap();
    let [pickled, plain] = ["pickled-roberta", "tiny-roberta"].map(|name| {
        let model = SequenceClassifier::from_pretrained(folder.join(name)).unwrap();
        model.predict(&ids).unwrap().to_vec2::<f32>().unwrap()
    });
    assert_eq!(pickled, plain);
}

#[test]
fn a_text_of_a_model_of_one_output_names_both_classes() {
    let base = copy("single");
    let folder = base.to_str().unwrap();
    let mut weights =
        candle_explain::candle_core::safetensors::load(base.join("model.safetensors"), &Device::Cpu).unwrap();
    for name in ["classifier.out_proj.weight", "classifier.out_proj.bias"] {
        let narrow = weights[name].narrow(0, 1, 1).unwrap().contiguous().unwrap();
        weights.insert(name.to_string(), narrow);
    }
    candle_explain::candle_core::safetensors::save(&weights, base.join("model.safetensors")).unwrap();
    let single = TextClassifier::from_pretrained(folder).unwrap();
    let prediction = single.predict_text("tệ").unwrap();
    assert_eq!(prediction.classes.len(), 2);
    assert!((prediction.classes[0].1 + prediction.classes[1].1 - 1.).abs() < 1e-6);
    let words = Explainer::new(&single).visualize("tệ quá").unwrap();
    assert_eq!(words.records()[0].attributed(), Some("negative"));
    let [against, towards] = [0, 1].map(|class| {
        let words = Explainer::new(&single).target(Target::Class(class)).visualize("tệ quá").unwrap();
        assert_eq!(words.records()[0].attributed(), Some(["positive", "negative"][class]));
        words.records()[0].units().iter().map(|unit| unit.value).collect::<Vec<_>>()
    });
    assert!(against.iter().zip(&towards).all(|(a, b)| (a + b).abs() < 1e-6), "{against:?} {towards:?}");
    assert_eq!(words.records()[0].prediction().map(|(label, _)| label), Some(prediction.label.as_str()));

    // One name is that of the output, as transformers has it.
    let config = std::fs::read_to_string(base.join("config.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&config).unwrap();
    json["id2label"] = serde_json::json!({"0": "complaint"});
    json["label2id"] = serde_json::json!({"complaint": 0});
    std::fs::write(base.join("config.json"), json.to_string()).unwrap();
    let named = TextClassifier::from_pretrained(folder).unwrap();
    assert_eq!(named.labels(), ["not complaint", "complaint"]);
    for (text, label) in [("tệ", prediction.class), ("rất tốt", single.predict_text("rất tốt").unwrap().class)]
    {
        let again = named.predict_text(text).unwrap();
        assert_eq!((again.class, again.label.as_str()), (label, named.labels()[label].as_str()));
        let words = Explainer::new(&named).visualize(text).unwrap();
        assert_eq!(words.records()[0].prediction().map(|(label, _)| label), Some(again.label.as_str()));
    }
}

#[test]
fn characters_that_act_are_shown_as_marks() {
    let explain = Explainer::from_pretrained("data/sentiment-vi").unwrap().n_steps(2);
    let words = explain.visualize("tốt \u{1b}[31m\u{7}đẹp \u{202e}tệ").unwrap();
    for form in [words.html(), words.svg().unwrap(), words.text()] {
        assert!(!form.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{form:?}");
    }
}

#[test]
fn every_layer_method_takes_texts() {
    let model = model();
    let input = model.tokenize(TEXT).unwrap();
    let mut taken = 0;
    for info in attr::METHODS.iter().filter(|info| info.family == candle_explain::engine::Family::Layer) {
        // A permutation takes several texts, and Grad-CAM adds the second axis up, which is that of the words.
        if mixes_rows(info) || info.name == "LayerGradCam" {
            continue;
        }
        let reference = || Baseline::Distribution(Inputs::from(&input.reference().unwrap()).tensors().to_vec());
        let options = candle_explain::engine::Options {
            layers: vec!["encoder.layer.0".to_string()],
            baseline: info.needs("baseline").then(reference),
            ..Default::default()
        };
        let method = (info.build)(std::sync::Arc::new(model.clone()), &options).unwrap();
        match method.attribute_to(&Inputs::from(&input), &info.target(0)) {
            Ok(result) => {
                taken += 1;
                let words = result.sum_hidden(&input).unwrap().by_word();
                assert_eq!(words.records()[0].units().len(), input.texts()[0].words.len(), "{}", info.name);
            }
            Err(error) => assert!(error.to_string().contains("for token ids"), "{}: {error}", info.name),
        }
    }
    assert!(taken >= 3);
}

#[test]
fn words_are_ablated_as_one_feature_each() {
    let model = model();
    for texts in [vec![TEXT], vec![TEXT, "tệ"]] {
        let input = model.tokenize_all(texts.clone()).unwrap();
        let method = FeatureAblation::new(&model).baseline(input.reference().unwrap());
        let by_word = method.feature_mask(input.word_mask().unwrap()).attribute(&input, Target::Class(1)).unwrap();
        let words = by_word.of_words(&input).unwrap();
        let whole = model.predict(&input).unwrap().to_vec2::<f32>().unwrap();
        for (row, record) in words.records().iter().enumerate() {
            let text = &input.texts()[row];
            assert_eq!(record.units().len(), text.words.len());
            for (index, unit) in record.units().iter().enumerate() {
                assert_eq!(unit.text, text.words[index]);
                let mut without = text.clone();
                for token in without.tokens.iter_mut().filter(|token| token.word == index && !token.special) {
                    token.id = model.classifier().pad_token_id();
                }
                let without = TextInput::new(vec![without], model.classifier().pad_token_id()).unwrap();
                let lost = whole[row][1] - model.predict(&without).unwrap().to_vec2::<f32>().unwrap()[0][1];
                assert!((unit.value - f64::from(lost)).abs() < 1e-5, "{}: {} and {lost}", unit.text, unit.value);
            }
        }
        let by_token = method.attribute(&input, Target::Class(1)).unwrap();
        assert_eq!(by_token.of_tokens(&input).unwrap().records()[0].units().len(), input.texts()[0].tokens.len());
        assert!(words.svg().is_some());
        if input.texts().iter().any(|text| text.tokens.len() > text.words.len()) {
            let error = by_word.of_tokens(&input).err().unwrap().to_string();
            assert!(error.contains("take of_words"), "{error}");
        }
    }
    let input = model.tokenize(TEXT).unwrap();
    let method = FeatureAblation::new(&model).baseline(input.reference().unwrap());
    let apart = method.attribute(&input, Target::Class(1)).unwrap();
    let hidden = apart.sum_hidden(&input).err().unwrap().to_string();
    assert!(hidden.contains("expected [batch, tokens, hidden]"), "{hidden}");
    if input.texts()[0].tokens.len() > input.texts()[0].words.len() {
        let error = apart.of_words(&input).err().unwrap().to_string();
        assert!(error.contains("pieces of one word") && error.contains("word_mask"), "{error}");
    }
}
