use std::io::Write;
use std::path::Path;

use candle_explain::prelude::*;
use candle_explain_server::{Server, TitanicModel};
use serde_json::{Value, json};

use super::client::*;

const CSV: (&str, &str) = ("Content-Type", "text/csv");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=XX");

fn csv(rows: &[&str]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

fn row(text: &str) -> Tensor {
    let values: Vec<f32> = text.split(',').map(|value| value.parse().unwrap()).collect();
    Tensor::from_vec(values, (1, 12), &Device::Cpu).unwrap()
}

/// The numbers of an object, in its order.
fn numbers(value: &Value) -> Vec<f64> {
    value.as_object().unwrap().values().map(|number| number.as_f64().unwrap()).collect()
}

fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= tolerance, "{a} and {b}");
    }
}

fn network() -> Sequential {
    let network = Titanic::network(Seed(1)).unwrap();
    network.load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/titanic.safetensors")).unwrap();
    network
}

#[test]
fn a_prediction_in_every_form_of_request() {
    let server = shared().inference;
    let (one, both) = (csv(&[WOMAN_ROW]), csv(&[WOMAN_ROW, MAN_ROW]));
    let multipart = |name: &str, content: &str| {
        format!(
            "--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x.csv\"\r\n\r\n{content}\r\n--XX--\r\n"
        )
    };
    let list = format!("[{WOMAN_ROW}]");
    let form = "age=22&sibsp=0&parch=0&fare=80.5&sex=female&embarked=C&pclass=1".to_string();
    let named: String =
        HEADER.split(',').zip(WOMAN_ROW.split(',')).map(|(name, value)| format!("\"{name}\": {value},")).collect();
    let named = format!("{{{}}}", named.trim_end_matches(','));
    let reordered: Vec<&str> = HEADER.split(',').rev().collect();
    let reordered =
        format!("{}\r\n{}\r\n", reordered.join(","), WOMAN_ROW.split(',').rev().collect::<Vec<_>>().join(","));
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], String);
    let cases: Vec<Case> = vec![
        ("the walkthrough's", &[JSON], r#"{"input_file_path": ["woman.csv"]}"#.into()),
        ("a path that is no list", &[JSON], r#"{"input_file_path": "woman.csv"}"#.into()),
        ("a form with a path", &[FORM], "input_file_path=woman.csv".into()),
        ("a form with the rows", &[FORM], format!("data={}", one.replace('\n', "%0A").replace(',', "%2C"))),
        ("multipart with a path", &[MULTIPART], multipart("input_file_path", "woman.csv")),
        ("multipart with a file", &[MULTIPART], multipart("data", &one)),
        ("CSV", &[CSV], one.clone()),
        ("CSV of no type", &[], one.clone()),
        ("CSV with CRLF, a BOM, columns in another order", &[CSV], format!("\u{feff}{reordered}")),
        ("a form with a record", &[FORM], form),
        ("rows as TorchServe's client sends them", &[], format!("{{\"data\": [{list}]}}")),
        ("JSON of no type", &[], WOMAN.into()),
        ("JSON under a form's type, as curl sends it", &[FORM], WOMAN.into()),
        ("CSV under a form's type, as curl sends it", &[FORM], one.clone()),
        ("a passenger", &[JSON], WOMAN.into()),
        ("features by name", &[JSON], named),
        ("features in order", &[JSON], list.clone()),
        ("a list of one row", &[JSON], format!("[{list}]")),
        ("instances", &[JSON], format!("{{\"instances\": [{WOMAN}]}}")),
    ];
    for (what, headers, body) in &cases {
        let reply = ask(server, "POST", "/predictions/titanic", headers, body.as_bytes());
        assert_eq!((reply.status, reply.text().as_str()), (200, "Survived"), "{what}: {}", reply.text());
        assert!(reply.header("x-request-id").is_some_and(|id| id.len() == 36));
        assert!(reply.header("cache-control").unwrap().contains("no-store"));
    }
    for method in ["GET", "PUT", "POST"] {
        assert_eq!(ask(server, method, "/predictions/titanic/1.0", &[CSV], one.as_bytes()).text(), "Survived");
    }
    let text = ask(server, "POST", "/predictions/vi", &[FORM], "Hàng rất tốt".as_bytes());
    assert_eq!((text.status, text.text().as_str()), (200, "positive"), "a text under a form's type, as curl sends it");
    let several = ask(server, "POST", "/predictions/titanic", &[CSV], both.as_bytes());
    assert_eq!(several.json(), json!(["Survived", "Not Survived"]));
    let echoed = ask(server, "POST", "/predictions/titanic", &[CSV, ("X-Request-Id", "mine")], one.as_bytes());
    assert_eq!(echoed.header("x-request-id"), Some("mine"));

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(one.as_bytes()).unwrap();
    let packed =
        ask(server, "POST", "/predictions/titanic", &[CSV, ("Content-Encoding", "gzip")], &gzip.finish().unwrap());
    assert_eq!(packed.text(), "Survived");
    assert_eq!(post(server, "/predictions/vi", "\"Sản phẩm này rất tốt\"").text(), "positive");
    assert_eq!(post(server, "/predictions/vi", r#"{"text": "Hàng tệ, quá chán"}"#).text(), "negative");
    assert_eq!(post(server, "/predictions/odd", "[2.5]").text(), "2.5");
    assert_eq!(post(server, "/predictions/odd", "[[2.5], [-1]]").json(), json!([2.5, -1.0]));
}

#[test]
fn an_explanation_is_what_the_library_gives() {
    let server = shared().inference;
    let rows = Tensor::cat(&[row(WOMAN_ROW), row(MAN_ROW)], 0).unwrap();
    let expected = IntegratedGradients::new(network()).attribute(&rows, Target::Class(1)).unwrap();
    let reply = ask(server, "POST", "/explanations/titanic", &[CSV], csv(&[WOMAN_ROW, MAN_ROW]).as_bytes());
    let names: Vec<String> = reply.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.join(","), HEADER);
    close(&numbers(&reply.json()), expected.mean().unwrap().values(), 1e-6);

    let detailed = |path: &str, body: &str| {
        ask(server, "POST", path, &[JSON, ("Accept", "application/json")], body.as_bytes()).json()
    };
    let both = format!("[[{WOMAN_ROW}], [{MAN_ROW}]]");
    let answer = detailed("/explanations/titanic", &both);
    for (index, values) in expected.tensor().to_vec2::<f32>().unwrap().iter().enumerate() {
        let row = &answer["rows"][index];
        close(&numbers(&row["attributions"]), &values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>(), 1e-6);
        close(
            &[row["convergence_delta"].as_f64().unwrap()],
            &expected.convergence_delta().unwrap().values()[index..=index],
            1e-5,
        );
        assert_eq!((row["steps"].as_u64(), row["target"]["label"].as_str()), (Some(50), Some("Survived")));
        let probabilities = numbers(&row["probabilities"]);
        assert!((probabilities.iter().sum::<f64>() - 1.).abs() < 1e-6);
    }
    close(&numbers(&answer["mean"]), expected.mean().unwrap().values(), 1e-6);

    let layer = LayerConductance::new(network(), "sigmoid1").n_steps(20).attribute(&rows, Target::Class(0)).unwrap();
    let answer = detailed(
        "/explanations/titanic?method=LayerConductance&layer=sigmoid1&n_steps=20&target=Not%20Survived",
        &both,
    );
    close(&numbers(&answer["mean"]), layer.mean().unwrap().values(), 1e-6);
    let neuron = NeuronConductance::new(network(), "sigmoid1", 3).attribute(&rows, Target::Class(1)).unwrap();
    let body = format!(
        r#"{{"instances": {both}, "parameters": {{"method": "NeuronConductance", "layer": "sigmoid1", "neuron": 3}}}}"#
    );
    close(&numbers(&detailed("/explanations/titanic", &body)["mean"]), neuron.mean().unwrap().values(), 1e-6);
    let settled = detailed("/explanations/titanic?tolerance=0.001&target=predicted&baseline=1", &both);
    assert_eq!(settled["rows"][1]["settled"], json!(true));
    assert_eq!(settled["rows"][1]["target"]["label"], json!("Not Survived"));
    assert_eq!(settled["baseline"], json!(1.));
    let against =
        IntegratedGradients::new(network()).baseline(row(MAN_ROW)).attribute(&rows, Target::Class(1)).unwrap();
    let man = format!("[{MAN_ROW}]");
    let baselines = [json!({ "baseline": man }), json!({ "baseline": serde_json::from_str::<Value>(&man).unwrap() })];
    for parameters in baselines {
        let body = json!({ "instances": serde_json::from_str::<Value>(&both).unwrap(), "parameters": parameters });
        let answer = detailed("/explanations/titanic", &body.to_string());
        close(&numbers(&answer["mean"]), against.mean().unwrap().values(), 1e-6);
        assert_eq!(
            (&answer["baseline"]["age"], answer["rows"][1]["steps"].as_u64()),
            (&json!(41.), Some(50)),
            "{answer}"
        );
    }
}

#[test]
fn the_tutorials_weights_give_the_tutorials_explanation() {
    let shared_data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let (weights, list) = (shared_data.join("titanic_tutorial_weights.safetensors"), shared_data.join("titanic3.csv"));
    if !weights.exists() || !list.exists() {
        return;
    }
    let passengers = Titanic::from_path(list).unwrap();
    let row = |index: usize| {
        let values = passengers.data().rows(&[index]).unwrap().features().first().to_vec2::<f32>().unwrap();
        json!(values).to_string()
    };
    let server = Server::new(settings(&[])).unwrap().with_model("titanic", "1.0", TitanicModel::load(weights).unwrap());
    let server = TestServer::start(server.unwrap());
    assert_eq!(post(server.inference, "/predictions/titanic", &row(0)).text(), "Survived");
    assert_eq!(post(server.inference, "/predictions/titanic", &row(3)).text(), "Not Survived");
    let explanation = post(server.inference, "/explanations/titanic", &row(0)).json();
    let expected = [-0.0325, 0., 0., -0.0008, 0.0289, 0., 0., 0., -0.0125, 0.0165, 0., 0.];
    close(&numbers(&explanation), &expected, 5e-5);
    server.end().unwrap();
}

#[test]
fn an_answer_in_every_form_that_is_asked_for() {
    let server = shared().inference;
    let form =
        |path: &str, accept: &str, body: &str| ask(server, "POST", path, &[JSON, ("Accept", accept)], body.as_bytes());
    let text = "\"<b>Sản phẩm</b> này rất tốt\"";
    for (path, body) in [("/explanations/titanic", WOMAN), ("/explanations/vi", text)] {
        let html = form(path, "text/html", body);
        assert!(html.header("content-type").unwrap().starts_with("text/html"));
        assert!(html.text().starts_with("<!DOCTYPE html>") && !html.text().contains("<b>"));
        let svg = form(path, "image/svg+xml", body);
        assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
        assert!(svg.text().contains("<svg") && !svg.text().contains("<b>"));
        let csv = form(path, "text/csv", body).text();
        assert!(csv.starts_with("row,prediction,") && csv.lines().count() >= 2, "{csv}");
        assert_eq!(form(path, "video/mp4", body).status, 406);
    }
    let words = form("/explanations/vi", "application/json", text).json();
    let expected = Explainer::from_pretrained("data/sentiment-vi").unwrap();
    let expected = expected.visualize("<b>Sản phẩm</b> này rất tốt").unwrap();
    for (word, unit) in words["rows"][0]["words"].as_array().unwrap().iter().zip(expected.records()[0].units()) {
        assert_eq!(word["word"], json!(unit.text));
        assert!((word["attribution"].as_f64().unwrap() - unit.value).abs() < 1e-6);
    }
    let number = form("/explanations/vi", "application/json", r#"["giao 3,5 sao"]"#).json();
    let of_number = number["rows"][0]["words"].as_array().unwrap().iter();
    let joined: Vec<&Value> =
        of_number.filter(|word| word["joined"] == json!(true)).map(|word| &word["word"]).collect();
    assert_eq!(joined, [",", "5"]);
    assert_eq!(words["rows"][0]["settled"], json!(true));
    let plain = post(server, "/explanations/vi", text).json();
    assert_eq!(plain["words"].as_array().unwrap().len(), plain["importances"].as_array().unwrap().len());
    let predicted = form("/predictions/titanic", "application/json", WOMAN).json();
    assert_eq!(predicted["rows"][0]["label"], json!("Survived"));
    assert!(form("/predictions/titanic", "text/csv", WOMAN).text().contains("Not Survived"));
    assert!(form("/predictions/titanic", "text/html", WOMAN).text().contains("<table"));
    assert_eq!(form("/predictions/titanic", "image/png", WOMAN).status, 400);
    let old = form("/explanations/titanic", "application/json", &WOMAN.replace("22", "99")).json();
    let flag = "age is 99: the training data go from 0.1667 to 80";
    assert_eq!(old["rows"][0]["warnings"], json!([flag]));
    let several = format!("[{WOMAN}, {}]", WOMAN.replace("22", "99"));
    for media in ["text/html", "image/svg+xml"] {
        let shown = form("/explanations/titanic", media, &several).text();
        assert!(shown.contains(&format!("row 1: {flag}")) && !shown.contains("row 0:"), "{shown}");
    }
    assert!(form("/explanations/titanic", "text/csv", &several).text().contains(&format!(",{flag}\n")));
    let coarse = form("/explanations/titanic?n_steps=1", "image/svg+xml", &format!("[{MAN_ROW}]")).text();
    assert!(coarse.contains("add up to what they must only within"), "{coarse}");
    let foreign = form("/explanations/vi", "application/json", r#"{"text": "rất tốt ქართული"}"#).json();
    assert!(foreign["rows"][0]["warnings"][0].as_str().unwrap().contains("not in the model's vocabulary"));
}

#[test]
fn what_is_there_besides() {
    let server = shared();
    assert_eq!(get(server.inference, "/ping").json(), json!({"status": "Healthy"}));
    assert_eq!(get(server.inference, "/").json(), json!({"status": "alive"}));
    let page = ask(server.inference, "GET", "/", &[("Accept", "text/html")], b"");
    assert!(page.text().contains("<!DOCTYPE html>") && page.header("content-security-policy").is_some());
    for described in [ask(server.inference, "OPTIONS", "/", &[], b""), get(server.inference, "/api-description")] {
        assert_eq!(described.json()["openapi"], json!("3.1.0"));
        assert!(described.json()["paths"]["/explanations/vi"]["post"].is_object());
    }
    let described = get(server.inference, "/api-description");
    let schemas = &described.json()["components"]["schemas"];
    let text = described.text();
    let named: Vec<&str> =
        text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(named.contains(&"titanic-KernelShap") && named.contains(&"vi-Occlusion"), "{named:?}");
    assert!(named.iter().all(|name| schemas[name].is_object()), "{named:?}");
    assert!(get(server.management, "/api-description").json()["paths"]["/models"].is_object());
    let models = get(server.inference, "/api/models").json();
    assert_eq!(models["models"][2]["record"].as_array().unwrap().len(), 7, "{models}");
    let metrics = get(server.metrics, "/metrics").text();
    assert!(metrics.contains("ts_inference_requests_total{model_name=\"titanic\",model_version=\"1.0\"}"), "{metrics}");
}

#[test]
fn what_cannot_be_answered_says_why() {
    let server = shared().inference;
    let row = |values: &str| csv(&[values]);
    let with =
        |name: &str, value: &str| WOMAN.replace(&format!("\"{name}\": "), &format!("\"{name}\": {value}, \"x\": "));
    let long = "x".repeat(30_000);
    let many = format!("[{}]", vec![format!("[{WOMAN_ROW}]"); 51].join(","));
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b'1'; 10_000_000]).unwrap();
    let bomb = bomb.finish().unwrap();
    let gzip: &[(&str, &str)] = &[CSV, ("Content-Encoding", "gzip")];
    assert!(bomb.len() < 20_000);
    let text = |text: String| text.into_bytes();
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16, &'a str);
    let cases: Vec<Case> = vec![
        (
            "NaN",
            "/predictions/titanic",
            &[CSV],
            text(row(&WOMAN_ROW.replacen("22", "NaN", 1))),
            400,
            "age is \"NaN\": expected a finite number",
        ),
        (
            "Inf",
            "/predictions/titanic",
            &[CSV],
            text(row(&WOMAN_ROW.replacen("22", "-inf", 1))),
            400,
            "age is \"-inf\"",
        ),
        (
            "larger than f32",
            "/predictions/titanic",
            &[JSON],
            text(WOMAN.replacen("22", "1e300", 1)),
            400,
            "expected a finite number",
        ),
        (
            "larger than f64",
            "/predictions/titanic",
            &[JSON],
            text(WOMAN.replacen("22", "1e999", 1)),
            400,
            "age is 1e999, which is more than a number of 64 bits can be",
        ),
        (
            "a missing value",
            "/predictions/titanic",
            &[CSV],
            text(row(&WOMAN_ROW.replacen("22", "", 1))),
            400,
            "age is \"\"",
        ),
        (
            "a missing column",
            "/predictions/titanic",
            &[CSV],
            text("age,fare\n1,2\n".into()),
            400,
            "sibsp, parch, female, male, embark_C, embark_Q, embark_S, class_1, class_2, class_3 are missing",
        ),
        (
            "columns between semicolons",
            "/predictions/titanic",
            &[CSV],
            text(csv(&[WOMAN_ROW]).replace(',', ";")),
            400,
            "no commas but semicolons",
        ),
        (
            "an extra column",
            "/predictions/titanic",
            &[CSV],
            text(format!("{HEADER},cabin\n{WOMAN_ROW},C2\n")),
            400,
            "cabin is not known",
        ),
        (
            "a duplicate column",
            "/predictions/titanic",
            &[CSV],
            text(format!("{HEADER},age\n{WOMAN_ROW},3\n")),
            400,
            "\"age\" stands twice",
        ),
        ("a duplicate name", "/predictions/titanic", &[JSON], text(with("age", "3, \"age\": 4")), 400, "stands twice"),
        ("a short row", "/predictions/titanic", &[CSV], text(row("1,2")), 400, "cannot be read as CSV"),
        (
            "a short list",
            "/predictions/titanic",
            &[JSON],
            text("[1, 2]".into()),
            400,
            "a row has 2 values: expected 12",
        ),
        (
            "a passenger with an extra field",
            "/predictions/titanic",
            &[JSON],
            text(with("age", "3")),
            400,
            "x is not known",
        ),
        (
            "a sex that there is none",
            "/predictions/titanic",
            &[JSON],
            text(WOMAN.replace("female", "cat")),
            400,
            "sex is \"cat\": expected female or male",
        ),
        (
            "a class that there is none",
            "/predictions/titanic",
            &[JSON],
            text(WOMAN.replace("\"pclass\": 1", "\"pclass\": 4")),
            400,
            "expected 3, 2 or 1",
        ),
        ("a NUL", "/predictions/titanic", &[CSV], text(format!("{HEADER}\n\0{WOMAN_ROW}\n")), 400, "NUL"),
        ("an empty body", "/predictions/titanic", &[], Vec::new(), 400, "is empty"),
        ("a header alone", "/predictions/titanic", &[CSV], text(format!("{HEADER}\n")), 400, "no rows"),
        ("an empty list", "/predictions/titanic", &[JSON], text("[]".into()), 400, "no rows"),
        ("broken JSON", "/predictions/titanic", &[JSON], text("{\"age\": ".into()), 400, "cannot be read as JSON"),
        ("deep JSON", "/predictions/titanic", &[JSON], text("[".repeat(5000)), 400, "recursion limit"),
        (
            "text that is no UTF-8",
            "/predictions/vi",
            &[("Content-Type", "text/plain")],
            vec![0xff, 0xfe],
            400,
            "not UTF-8",
        ),
        (
            "a body that is too large",
            "/predictions/titanic",
            &[CSV],
            text(long.clone()),
            413,
            "larger than the 20000 bytes",
        ),
        ("a gzip bomb", "/predictions/titanic", gzip, bomb, 413, "larger than the 20000 bytes"),
        ("gzip that is none", "/predictions/titanic", gzip, b"hello".to_vec(), 400, "compressed body"),
        (
            "an unknown encoding",
            "/predictions/titanic",
            &[CSV, ("Content-Encoding", "br")],
            b"x".to_vec(),
            415,
            "expected gzip",
        ),
        (
            "an unknown type",
            "/predictions/titanic",
            &[("Content-Type", "image/png")],
            b"x".to_vec(),
            415,
            "expected application/json",
        ),
        (
            "multipart without a boundary",
            "/predictions/titanic",
            &[("Content-Type", "multipart/form-data")],
            b"x".to_vec(),
            400,
            "multipart",
        ),
        ("too many rows", "/predictions/titanic", &[JSON], text(many), 400, "at most 50"),
        (
            "a path to the parent",
            "/predictions/titanic",
            &[JSON],
            text(r#"{"input_file_path": "../outside.csv"}"#.into()),
            400,
            "below the input directory",
        ),
        (
            "a link out of the folder",
            "/predictions/titanic",
            &[JSON],
            text(r#"{"input_file_path": "link.csv"}"#.into()),
            400,
            "below the input directory",
        ),
        (
            "an absolute path",
            "/predictions/titanic",
            &[FORM],
            b"input_file_path=/etc/passwd".to_vec(),
            400,
            "below the input directory",
        ),
        (
            "an address",
            "/predictions/titanic",
            &[FORM],
            b"input_file_path=http://127.0.0.1/x.csv".to_vec(),
            400,
            "below the input directory",
        ),
        (
            "a file that is not there",
            "/predictions/titanic",
            &[FORM],
            b"input_file_path=none.csv".to_vec(),
            400,
            "below the input directory",
        ),
        ("a form without data", "/predictions/titanic", &[FORM], b"n_steps=1".to_vec(), 400, "no input_file_path"),
        (
            "two paths",
            "/predictions/titanic",
            &[JSON],
            text(r#"{"input_file_path": ["a", "b"]}"#.into()),
            400,
            "one path",
        ),
        ("an empty text", "/predictions/vi", &[JSON], text("\" \"".into()), 400, "the text is empty"),
        ("unknown letters", "/predictions/vi", &[JSON], text("\"漢字\"".into()), 400, "vocabulary"),
        ("a NUL in a text", "/predictions/vi", &[JSON], text("{\"text\": \"a\\u0000b\"}".into()), 400, "holds a NUL"),
        ("a number for a text", "/predictions/vi", &[JSON], text("{\"text\": 1}".into()), 400, "text is 1"),
        (
            "a parameter for a prediction",
            "/predictions/titanic?n_steps=3",
            &[JSON],
            text(WOMAN.into()),
            400,
            "takes no parameter",
        ),
        (
            "an unknown parameter",
            "/explanations/titanic?steps=3",
            &[JSON],
            text(WOMAN.into()),
            400,
            "no parameter \"steps\"",
        ),
        ("too many steps", "/explanations/titanic?n_steps=601", &[JSON], text(WOMAN.into()), 400, "takes 1 to 600"),
        ("no steps", "/explanations/titanic?n_steps=0", &[JSON], text(WOMAN.into()), 400, "takes 1 to 600"),
        (
            "steps and a tolerance",
            "/explanations/titanic?n_steps=5&tolerance=1",
            &[JSON],
            text(WOMAN.into()),
            400,
            "give one of them",
        ),
        (
            "a tolerance below zero",
            "/explanations/titanic?tolerance=-1",
            &[JSON],
            text(WOMAN.into()),
            400,
            "expected a number above 0",
        ),
        (
            "an unknown method",
            "/explanations/titanic?method=Magic",
            &[JSON],
            text(WOMAN.into()),
            400,
            "expected IntegratedGradients",
        ),
        (
            "an unknown layer",
            "/explanations/titanic?method=LayerActivation&layer=x",
            &[JSON],
            text(WOMAN.into()),
            400,
            "linear1, sigmoid1",
        ),
        (
            "a method without its layer",
            "/explanations/titanic?method=LayerConductance",
            &[JSON],
            text(WOMAN.into()),
            400,
            "needs the parameter layer: one of linear1",
        ),
        (
            "a layer for a method without",
            "/explanations/titanic?layer=sigmoid1",
            &[JSON],
            text(WOMAN.into()),
            400,
            "IntegratedGradients has no parameter layer",
        ),
        (
            "a target out of range",
            "/explanations/titanic?target=2",
            &[JSON],
            text(WOMAN.into()),
            400,
            "expected predicted, Not Survived, Survived or 0 to 1",
        ),
        (
            "a target for one number",
            "/explanations/odd?target=0",
            &[JSON],
            text("[1]".into()),
            400,
            "leave the target out",
        ),
        (
            "a neuron out of range",
            "/explanations/titanic?method=NeuronGradient&layer=sigmoid1&neuron=99",
            &[JSON],
            text(WOMAN.into()),
            400,
            "neuron 99",
        ),
        ("a parameter twice", "/explanations/titanic?n_steps=3&n_steps=4", &[JSON], text(WOMAN.into()), 400, "twice"),
        ("an unknown model", "/predictions/none", &[JSON], text(WOMAN.into()), 404, "Model not found: none"),
        ("an unknown version", "/predictions/titanic/2.0", &[JSON], text(WOMAN.into()), 404, "there is 1.0"),
        ("an unknown path", "/nothing", &[], Vec::new(), 404, "nothing at /nothing"),
        ("a path that climbs", "/predictions/../../etc/passwd", &[], Vec::new(), 404, ""),
        ("a method that is not taken", "/api/models", &[], Vec::new(), 405, "does not take POST"),
        ("a model that panics", "/predictions/odd", &[JSON], text("[13]".into()), 500, "failed on this request"),
        ("a model that gives NaN", "/predictions/odd", &[JSON], text("[14]".into()), 500, "the model's output"),
    ];
    for (what, path, headers, body, status, message) in cases {
        let reply = ask(server, "POST", path, headers, &body);
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        let json = reply.json();
        assert_eq!(json["code"], json!(status), "{what}");
        assert!(json["type"].as_str().unwrap().ends_with("Exception"), "{what}");
        assert!(json["message"].as_str().unwrap().contains(message), "{what}: {}", reply.text());
    }
}

#[test]
fn what_is_no_request_ends_its_connection_alone() {
    let server = shared().inference;
    for bytes in [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"] {
        let mut client = Client::new(server);
        client.send(bytes).unwrap();
        client.send(b"\r\n\r\n").ok();
        if let Ok(reply) = client.reply() {
            assert_eq!(reply.status, 400);
        }
    }
    let mut huge = Client::new(server);
    let _ = huge.send(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1_000_000)).as_bytes());
    assert!(huge.reply().map_or(true, |reply| reply.status == 431));
    let mut cut = Client::new(server);
    cut.send(b"POST /predictions/titanic HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
    drop(cut);
    assert_eq!(get(server, "/ping").status, 200);
}

#[test]
fn a_large_body_is_answered_like_a_small_one() {
    let server = shared().inference;
    let v2 = r#"{"inputs": [{"name": "features", "shape": [1, 1], "datatype": "FP32", "data": [2.5]}]}"#;
    let cases = [
        ("/predictions/titanic", WOMAN),
        ("/explanations/titanic", WOMAN),
        ("/predictions/odd", "[[2.5], [-1]]"),
        ("/predictions/odd", "[\"x\"]"),
        ("/v1/models/odd:predict", r#"{"instances": [[2.5]]}"#),
        ("/v1/models/odd:predict", r#"{"instances": []}"#),
        ("/v1/models/odd:predict", r#"{"instances": 1}"#),
        ("/v2/models/odd/infer", v2),
        ("/v2/models/odd/infer", "{}"),
    ];
    for (path, body) in cases {
        let (small, large) = (post(server, path, body), post(server, path, &format!("{body}{}", " ".repeat(17_000))));
        assert_eq!((small.status, small.text()), (large.status, large.text()), "{path} {body}");
    }
}

#[test]
fn a_reply_to_a_body_that_was_not_read_is_the_last_of_its_connection() {
    let is_last = |path: &str| post(shared().inference, path, WOMAN).header("connection") == Some("close");
    for path in ["/predictions/none", "/v1/models/none:predict", "/v2/models/none/infer", "/ping", "/nothing"] {
        assert!(is_last(path), "{path}");
    }
    for path in ["/predictions/titanic", "/explanations/titanic", "/predictions/odd"] {
        assert!(!is_last(path), "{path}");
    }
}
