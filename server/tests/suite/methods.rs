use candle_explain::attr::METHODS;
use candle_explain::engine::{Family, MethodInfo, Options};
use candle_explain::prelude::*;
use candle_explain_server::{Server, TabularModel};
use serde_json::{Value, json};

use super::client::*;

const MAN: [f32; 12] = [41., 1., 0., 8.1, 0., 1., 0., 0., 1., 0., 0., 1.];
const COMMENT: &str = "Hàng rất tốt, giao quá chậm";
const PAIRS: [u32; 12] = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5];
const EXACT: f64 = 1e-6;

/// The answer for one row with everything that is known.
pub fn explained(model: &str, record: Value, parameters: &Value) -> Result<Value, String> {
    let body = json!({ "instances": [record], "parameters": parameters }).to_string();
    let accept = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let reply = ask(shared().inference, "POST", &format!("/explanations/{model}"), &accept, body.as_bytes());
    match reply.status {
        200 => Ok(reply.json()),
        400 => Err(reply.json()["message"].as_str().unwrap().to_string()),
        status => panic!("{status}: {}", reply.text()),
    }
}

pub fn man() -> Tensor {
    Tensor::new(&[MAN], &Device::Cpu).unwrap()
}

/// What the server's page offers for a model.
fn offered(model: &str) -> Vec<Value> {
    let models = get(shared().inference, "/api/models").json();
    let of_model = models["models"].as_array().unwrap().iter().find(|other| other["name"] == json!(model)).unwrap();
    of_model["methods"].as_array().unwrap().clone()
}

fn info(method: &Value) -> &'static MethodInfo {
    METHODS.iter().find(|info| method["name"] == json!(info.name)).unwrap()
}

fn needs(method: &Value, name: &str) -> bool {
    method["needs"].as_array().unwrap().contains(&json!(name))
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub fn numbers(values: &Value) -> Vec<f64> {
    values.as_object().unwrap().values().map(|value| value.as_f64().unwrap()).collect()
}

pub fn close(what: &str, came: &[f64], expected: &[f64], within: f64) {
    assert_eq!(came.len(), expected.len(), "{what}");
    for (came, expected) in came.iter().zip(expected) {
        assert!((came - expected).abs() <= within * expected.abs().max(1.), "{what}: {came} and {expected}");
    }
}

#[test]
fn a_table_gets_the_librarys_numbers_from_every_method() {
    let network = titanic().model();
    let background = [[0f32; 12], [30., 0., 0., 32., 1., 0., 0., 0., 1., 0., 0., 1.]];
    let methods = offered("titanic");
    // Those that are not there need an image, rows of a batch, ReLUs, or more than this server's 600 evaluations.
    let left_out: Vec<&str> = METHODS
        .iter()
        .map(|info| info.name)
        .filter(|name| !methods.iter().any(|method| method["name"] == json!(name)))
        .collect();
    assert_eq!(
        left_out,
        [
            "GuidedBackprop",
            "Deconvolution",
            "GuidedGradCam",
            "FeaturePermutation",
            "ShapleyValues",
            "LayerFeaturePermutation",
            "NeuronGuidedBackprop",
            "NeuronDeconvolution",
        ]
    );
    for method in &methods {
        let info = info(method);
        let layers: Vec<Value> = method["layers"].as_array().unwrap().clone();
        assert_eq!(layers.is_empty(), info.family == Family::Primary, "{}", info.name);
        for layer in layers.iter().map(Some).chain(layers.is_empty().then_some(None)) {
            let mut parameters = json!({ "method": info.name });
            let mut options = Options::default();
            if let Some(layer) = layer {
                parameters["layer"] = layer.clone();
                options.layers = vec![layer.as_str().unwrap().to_string()];
            }
            if needs(method, "neuron") {
                parameters["neuron"] = json!(1);
                options.neuron = Some(1.into());
            }
            if needs(method, "baseline") {
                parameters["baseline"] = json!(background);
                options.baseline = Some(Baseline::distribution(&Tensor::new(&background, &Device::Cpu).unwrap()));
            }
            if needs(method, "sliding_window_shapes") {
                parameters["sliding_window_shapes"] = json!(3);
                options.sliding_window_shapes = Some(Sizes::from(3));
            }
            if needs(method, "attribution_method") {
                parameters["attribution_method"] = json!("IntegratedGradients");
                options.method = Some("IntegratedGradients".to_string());
            }
            let what = format!("{parameters}");
            let answer = explained("titanic", json!(MAN), &parameters).unwrap_or_else(|e| panic!("{what}: {e}"));
            let row = &answer["rows"][0];
            let method = (info.build)(network.clone(), &options).unwrap();
            let expected = method.attribute_to(&man().into(), &info.target(1)).unwrap();
            close(&what, &numbers(&row["attributions"]), &flat(expected.tensor()), EXACT);
            let delta = expected.convergence_delta().ok().map(|delta| delta.values()[0]);
            assert_eq!(row["convergence_delta"].is_null(), delta.is_none(), "{what}");
            assert_eq!(row["samples"].as_u64(), expected.samples().first().map(|count| *count as u64), "{what}");
            match expected.standard_errors() {
                None => assert!(row.get("standard_errors").is_none(), "{what}"),
                Some(errors) => close(&what, &numbers(&row["standard_errors"]), &flat(&errors[0]), EXACT),
            }
        }
    }
}

#[test]
fn a_text_gets_the_librarys_numbers_from_every_method() {
    let model = TextClassifier::from_pretrained("data/sentiment-vi").unwrap();
    let input = model.tokenize(COMMENT).unwrap();
    let reference = Inputs::from(input.reference().unwrap()).first().clone();
    let methods = offered("vi");
    assert_eq!(methods.len(), 13);
    for method in &methods {
        let info = info(method);
        let mut parameters = json!({ "method": info.name });
        let mut options = Options::default();
        if info.takes("layer") {
            options.layers = vec!["embeddings".to_string()];
        }
        if info.takes("baseline") {
            let one = Baseline::from(&reference);
            options.baseline = Some(if info.needs("baseline") { Baseline::distribution(&reference) } else { one });
        }
        if info.takes("feature_mask") {
            options.feature_mask = Some(input.word_mask().unwrap());
        }
        if info.takes("max_steps") {
            options.tolerance = Some(1e-3);
        }
        if info.takes("sliding_window_shapes") {
            options.sliding_window_shapes = Some(Sizes::from(1));
        }
        if needs(method, "neuron") {
            parameters["neuron"] = json!([2, 5]);
            parameters["layer"] = json!("encoder.layer.1");
            options.layers = vec!["encoder.layer.1".to_string()];
            options.neuron = Some(vec![2, 5].into());
        }
        let answer = explained("vi", json!(COMMENT), &parameters).unwrap_or_else(|e| panic!("{parameters}: {e}"));
        let row = &answer["rows"][0];
        let method = (info.build)(std::sync::Arc::new(model.clone()), &options).unwrap();
        let expected = method.attribute_to(&(&input).into(), &Target::Predicted).unwrap();
        let words = match info.takes("feature_mask") {
            true => expected.of_words(&input).unwrap(),
            false => expected.sum_hidden(&input).unwrap(),
        };
        let norm = row["norm"].as_f64().unwrap();
        let raw: f64 = words.records()[0].units().iter().map(|unit| unit.value * unit.value).sum();
        close(info.name, &[norm], &[raw.sqrt()], EXACT);
        let words = words.normalize().unwrap().by_word();
        let units = words.records()[0].units();
        let told = row["words"].as_array().unwrap();
        let of_words: Vec<f64> = told.iter().map(|word| word["attribution"].as_f64().unwrap()).collect();
        close(info.name, &of_words, &units.iter().map(|unit| unit.value).collect::<Vec<_>>(), EXACT);
        assert!(told.iter().zip(units).all(|(word, unit)| word["word"] == json!(unit.text)), "{}", info.name);
        let drawn = info.takes("feature_mask") && info.takes("n_samples");
        assert!(told.iter().all(|word| word["standard_error"].is_f64() == drawn), "{}: {row}", info.name);
        assert_eq!(row["samples"].is_u64(), info.takes("n_samples"), "{}", info.name);
    }
}

#[test]
fn errors_of_words_are_on_the_scale_of_their_attributions() {
    let model = TextClassifier::from_pretrained("data/sentiment-vi").unwrap();
    let input = model.tokenize(COMMENT).unwrap();
    let shap = ShapleyValueSampling::new(&model)
        .baseline(input.reference().unwrap())
        .feature_mask(input.word_mask().unwrap())
        .n_samples(40)
        .seed(Seed(3));
    let expected = shap.attribute(&input, Target::Predicted).unwrap();
    let (values, errors) = (flat(expected.tensor()), flat(&expected.standard_errors().unwrap()[0]));
    let parameters = json!({ "method": "ShapleyValueSampling", "n_samples": 40, "seed": 3 });
    let answer = explained("vi", json!(COMMENT), &parameters).unwrap();
    let norm = answer["rows"][0]["norm"].as_f64().unwrap();
    let words = answer["rows"][0]["words"].as_array().unwrap();
    // In this comment every token is a word.
    assert_eq!(words.len(), values.len());
    for ((word, value), error) in words.iter().zip(values).zip(errors) {
        close("value", &[word["attribution"].as_f64().unwrap() * norm], &[value], EXACT);
        close("error", &[word["standard_error"].as_f64().unwrap() * norm], &[error], EXACT);
    }
}

#[test]
fn what_a_text_gets_does_not_depend_on_the_texts_beside_it() {
    let parameters = json!({ "method": "KernelShap", "n_samples": 60 });
    let alone = explained("vi", json!(COMMENT), &parameters).unwrap();
    let longer = format!("{COMMENT} và {COMMENT}");
    let body = json!({ "instances": [longer, COMMENT], "parameters": parameters }).to_string();
    let accept = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let both = ask(shared().inference, "POST", "/explanations/vi", &accept, body.as_bytes()).json();
    assert_eq!(both["rows"][1], alone["rows"][0]);
}

#[test]
fn a_mask_groups_a_layers_neurons() {
    let ids: Vec<u32> = (0..8).map(|neuron| neuron / 2).collect();
    let ablation = LayerFeatureAblation::new(titanic().model(), "sigmoid2")
        .feature_mask(FeatureMask::from(Tensor::from_vec(ids.clone(), (1, 8), &Device::Cpu).unwrap()))
        .baseline(Tensor::full(0.5f32, (1, 8), &Device::Cpu).unwrap());
    let expected = ablation.attribute(man(), 1).unwrap();
    let mut parameters = json!({
        "method": "LayerFeatureAblation", "layer": "sigmoid2", "feature_mask": ids, "baseline": vec![0.5; 8],
    });
    let answer = explained("titanic", json!(MAN), &parameters).unwrap();
    close("layer", &numbers(&answer["rows"][0]["attributions"]), &flat(expected.tensor()), EXACT);
    assert_eq!(answer["baseline"], json!(vec![0.5; 8]));
    assert_eq!(answer["rows"][0]["groups"], json!([["[0]", "[1]"], ["[2]", "[3]"], ["[4]", "[5]"], ["[6]", "[7]"]]));
    parameters["baseline"] = json!(0.5);
    let answer = explained("titanic", json!(MAN), &parameters).unwrap();
    close("layer", &numbers(&answer["rows"][0]["attributions"]), &flat(expected.tensor()), EXACT);
}

#[test]
fn exact_values_are_offered_if_their_evaluations_are_allowed() {
    let asked = |models: &Value, parameter: &str| {
        let choices = models["models"][0]["parameters"][parameter]["choices"].as_array().unwrap().clone();
        choices.contains(&json!("ShapleyValues"))
    };
    for (most, allowed) in [("4095", false), ("4096", true)] {
        let server = Server::new(settings(&[("max_steps", most)])).unwrap();
        let server = TestServer::start(server.with_model("titanic", "1.0", titanic()).unwrap());
        let models = get(server.inference, "/api/models").json();
        let methods = models["models"][0]["methods"].as_array().unwrap();
        assert_eq!(methods.iter().any(|method| method["name"] == json!("ShapleyValues")), allowed, "{most}");
        assert_eq!(asked(&models, "attribution_method"), allowed, "{most}");
        for parameters in ["method=ShapleyValues", "method=NoiseTunnel&attribution_method=ShapleyValues&n_samples=1"] {
            let row = json!(MAN).to_string();
            let reply = post(server.inference, &format!("/explanations/titanic?{parameters}"), &row);
            assert_eq!(reply.status == 200, allowed, "{most} {parameters}: {}", reply.text());
        }
    }
}

#[test]
fn exact_values_of_pairs_are_the_librarys() {
    let exact = ShapleyValues::new(titanic().model()).feature_mask(Tensor::new(&[PAIRS], &Device::Cpu).unwrap());
    let expected = exact.attribute(man(), 1).unwrap();
    let parameters = json!({ "method": "ShapleyValues", "feature_mask": PAIRS });
    let answer = explained("titanic", json!(MAN), &parameters).unwrap();
    close("pairs", &numbers(&answer["rows"][0]["attributions"]), &flat(expected.tensor()), EXACT);
}

#[test]
fn what_a_mask_groups_is_one_bar() {
    let body = json!({
        "instances": [MAN],
        "parameters": { "method": "FeatureAblation", "feature_mask": [0, 1, 2, 3, 4, 4, 5, 5, 5, 6, 7, 8] },
    });
    let picture = |form: &str| {
        let accept = [("Content-Type", "application/json"), ("Accept", form)];
        ask(shared().inference, "POST", "/explanations/titanic", &accept, body.to_string().as_bytes()).text()
    };
    for form in ["text/html", "image/svg+xml"] {
        let drawn = picture(form);
        assert!(drawn.contains("female, male") && drawn.contains("embark_C, embark_Q, embark_S"), "{drawn}");
    }
}
