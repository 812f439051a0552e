use serde_json::{Value, json};

use super::client::*;

const CSV: (&str, &str) = ("Content-Type", "text/csv");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn detailed(path: &str, body: &str) -> Value {
    ask(shared().inference, "POST", path, &[JSON, ("Accept", "application/json")], body.as_bytes()).json()
}

/// Rows of the Titanic network of which the second and the fourth cannot be read.
fn mixed() -> String {
    format!("[[{WOMAN_ROW}], [1], [{MAN_ROW}], {{\"age\": \"old\"}}]")
}

#[test]
fn a_bad_row_has_its_error_in_its_place() {
    let server = shared().inference;
    let answer = post(server, "/predictions/titanic", &mixed());
    assert_eq!(answer.status, 200);
    let rows = answer.json();
    assert_eq!((&rows[0], &rows[2]), (&json!("Survived"), &json!("Not Survived")));
    assert!(rows[1]["error"].as_str().unwrap().contains("a row has 1 values: expected 12"), "{rows}");
    assert!(rows[3]["error"].as_str().unwrap().contains("missing"), "{rows}");

    let both = detailed("/predictions/titanic", &format!("[[{WOMAN_ROW}], [{MAN_ROW}]]"));
    let mixed_rows = detailed("/predictions/titanic", &mixed());
    assert_eq!((&mixed_rows["rows"][0], &mixed_rows["rows"][2]), (&both["rows"][0], &both["rows"][1]));
    assert!(mixed_rows["rows"][1]["error"].is_string());

    let texts = r#"{"instances": ["Rất tốt", "漢字", "", {"text": "Hàng quá tệ"}, 7]}"#;
    let rows = post(server, "/predictions/vi", texts).json();
    assert_eq!((&rows[0], &rows[3]), (&json!("positive"), &json!("negative")));
    for (row, why) in [(1, "vocabulary"), (2, "the text is empty"), (4, "expected a text")] {
        assert!(rows[row]["error"].as_str().unwrap().contains(why), "{rows}");
    }
}

#[test]
fn explanations_leave_a_bad_row_out_of_the_means() {
    let server = shared().inference;
    let both = detailed("/explanations/titanic", &format!("[[{WOMAN_ROW}], [{MAN_ROW}]]"));
    let answer = detailed("/explanations/titanic", &mixed());
    assert_eq!((&answer["mean"], &answer["spread"]), (&both["mean"], &both["spread"]));
    assert_eq!((&answer["rows"][0], &answer["rows"][2]), (&both["rows"][0], &both["rows"][1]));
    assert!(answer["rows"][1]["error"].is_string() && answer["rows"][3]["error"].is_string());

    let plain = post(server, "/explanations/titanic", &mixed()).json();
    assert_eq!((plain.as_object().unwrap().len(), &plain["age"]), (13, &both["mean"]["age"]));
    assert_eq!((&plain["errors"][0]["row"], &plain["errors"][1]["row"]), (&json!(1), &json!(3)));

    let texts = post(server, "/explanations/vi", r#"["Rất tốt", "漢字", "Hàng quá tệ"]"#).json();
    assert!(texts[0]["words"].is_array() && texts[2]["words"].is_array(), "{texts}");
    assert!(texts[1]["error"].as_str().unwrap().contains("vocabulary"));

    for (path, body) in [("/explanations/titanic", mixed()), ("/explanations/vi", r#"["Rất tốt", "漢字"]"#.into())]
    {
        for accept in ["text/html", "image/svg+xml"] {
            let shown = ask(server, "POST", path, &[JSON, ("Accept", accept)], body.as_bytes()).text();
            assert!(shown.contains("row 1: no answer"), "{shown}");
        }
        let table = ask(server, "POST", path, &[JSON, ("Accept", "text/csv")], body.as_bytes()).text();
        assert!(table.lines().next().unwrap().ends_with(",error"), "{table}");
        let cells = table.lines().next().unwrap().split(',').count();
        assert!(table.lines().any(|line| line.starts_with(&format!("1{}", ",".repeat(cells - 2)))), "{table}");
    }
}

#[test]
fn what_a_model_fails_on_costs_that_row_alone() {
    let server = shared().inference;
    let sent: Vec<f64> = (0..40).map(f64::from).map(|value| if value == 15. { 55. } else { value }).collect();
    let instances: Vec<[f64; 1]> = sent.iter().map(|value| [*value]).collect();
    for model in ["odd", "quick"] {
        let rows = post(server, &format!("/predictions/{model}"), &format!("{instances:?}")).json();
        for (row, value) in rows.as_array().unwrap().iter().zip(&sent) {
            match *value as u32 {
                13 => assert!(row["error"].as_str().unwrap().contains("failed on this request")),
                14 => assert!(row["error"].as_str().unwrap().contains("the model's output")),
                _ => assert_eq!(row, &json!(value)),
            }
        }
        let answers = post(server, &format!("/explanations/{model}"), &format!("{instances:?}")).json();
        assert_eq!(answers["errors"].as_array().unwrap().len(), 2, "{answers}");
    }
}

#[test]
fn a_csv_row_of_another_length_costs_no_other() {
    let body = format!("{HEADER}\n{WOMAN_ROW}\n1,2\n{MAN_ROW}\n");
    let rows = ask(shared().inference, "POST", "/predictions/titanic", &[CSV], body.as_bytes()).json();
    assert_eq!((&rows[0], &rows[2]), (&json!("Survived"), &json!("Not Survived")));
    assert!(rows[1]["error"].as_str().unwrap().contains("it has 2 fields, and the header 12"));
}

#[test]
fn an_unclosed_quote_costs_its_row_alone() {
    let server = shared().inference;
    let open = json!({"error": "the row cannot be read as CSV: a quote is opened and not closed"});
    let texts = "text\ntốt\n\"chậm quá\nhay\ntệ\n\"rất\ntốt\"\n";
    let rows = ask(server, "POST", "/predictions/vi", &[CSV], texts.as_bytes()).json();
    assert_eq!(rows, json!(["positive", open, "positive", "negative", "positive"]));
    let passengers = "age,sibsp,parch,fare,sex,embarked,pclass\n24,0,0,80,\"female,C,1\n24,0,0,80,female,C,1\n\
                      41,0,0,7,\"male\",S,3\n";
    let rows = ask(server, "POST", "/predictions/titanic", &[CSV], passengers.as_bytes()).json();
    assert_eq!(rows, json!([open, "Survived", "Not Survived"]));
}

#[test]
fn what_json_does_not_know_costs_its_row_alone() {
    let server = shared().inference;
    let half = r"a text with \ud800, one half of a surrogate pair";
    let error = |row: &Value| row["error"].as_str().unwrap_or_default().to_string();
    for body in [r#"["Rất tốt", "a\ud800", "tệ"]"#, r#"["Rất tốt", {"text": "a\ud800"}, "tệ"]"#] {
        let rows = post(server, "/predictions/vi", body).json();
        assert_eq!((&rows[0], &rows[2]), (&json!("positive"), &json!("negative")));
        assert!(error(&rows[1]).contains(half), "{rows}");
        let rows = post(server, "/v1/models/vi:predict", &format!("{{\"instances\": {body}}}")).json();
        assert_eq!(rows["predictions"][2], json!("negative"));
        assert!(error(&rows["predictions"][1]).contains(half), "{rows}");
    }
    let body = r#"{"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["Rất tốt", "\ud800"]}]}"#;
    let answer = post(server, "/v2/models/vi/infer", body).json();
    assert_eq!(answer["outputs"][0]["data"], json!(["positive", ""]));
    assert!(answer["parameters"]["error_of_row_1"].as_str().unwrap().contains(half), "{answer}");

    for (number, told) in [("NaN", "NaN, which JSON does not know"), ("1e999", "1e999, which is more than a number")] {
        let list = MAN_ROW.replacen("41", number, 1);
        let named = WOMAN.replacen("22", number, 1);
        let rows = post(server, "/predictions/titanic", &format!("[[{WOMAN_ROW}], [{list}], {named}]")).json();
        assert_eq!(rows[0], json!("Survived"));
        for row in 1..3 {
            assert!(error(&rows[row]).contains(&format!("age is {told}")), "{rows}");
        }
        let body = format!(
            r#"{{"inputs": [{{"name": "features", "shape": [2, 12], "datatype": "FP32", "data": [{WOMAN_ROW},{list}]}}]}}"#
        );
        let answer = post(server, "/v2/models/titanic/infer", &body).json();
        assert!(
            answer["parameters"]["error_of_row_1"].as_str().unwrap().contains(&format!("age is {told}")),
            "{answer}"
        );
        for body in [
            format!("[{list}]"),
            named,
            format!(r#"{{"instances": [{WOMAN}], "parameters": {{"n_steps": {number}}}}}"#),
        ] {
            let refusal = post(server, "/explanations/titanic", &body);
            assert_eq!(refusal.status, 400);
            assert!(refusal.json()["message"].as_str().unwrap().contains(told), "{}", refusal.text());
        }
    }
}

#[test]
fn a_request_without_a_good_row_fails() {
    let server = shared().inference;
    for (body, why) in [
        ("[[1], [2]]".to_string(), "a row has 1 values: expected 12"),
        (format!("[[1], {WOMAN_ROW:?}]"), "none of the 2 rows can be answered: row 0: a row has 1 values"),
    ] {
        let answer = post(server, "/predictions/titanic", &body);
        assert_eq!(answer.status, 400);
        assert!(answer.json()["message"].as_str().unwrap().starts_with(why), "{}", answer.text());
    }
    assert_eq!(post(server, "/predictions/odd", "[[13], [13]]").status, 500);
}

#[test]
fn kserves_answers_have_a_place_for_each_row() {
    let server = shared().inference;
    let body = format!("{{\"instances\": {}}}", mixed());
    let predictions = post(server, "/v1/models/titanic:predict", &body).json();
    assert_eq!(
        (&predictions["predictions"][0], predictions["predictions"].as_array().unwrap().len()),
        (&json!("Survived"), 4)
    );
    assert!(predictions["predictions"][1]["error"].is_string());
    let explanations = post(server, "/v1/models/titanic:explain", &body).json();
    assert!(explanations["explanations"][0]["attributions"].is_object());
    assert!(explanations["explanations"][3]["error"].is_string());

    let body =
        r#"{"inputs": [{"name": "text", "shape": [3], "datatype": "BYTES", "data": ["Rất tốt", "", "Hàng quá tệ"]}]}"#;
    let answer = post(server, "/v2/models/vi/infer", body).json();
    assert_eq!(answer["outputs"][0]["data"], json!(["positive", "", "negative"]));
    assert_eq!(answer["outputs"][1]["data"], json!([0, -1, 1]));
    assert_eq!(answer["outputs"][2]["data"].as_array().unwrap()[2..4], [Value::Null, Value::Null]);
    assert!(answer["parameters"]["error_of_row_1"].as_str().unwrap().contains("empty"));
    let row = format!("{WOMAN_ROW},{}", MAN_ROW.replacen("41", "null", 1));
    let body =
        format!(r#"{{"inputs": [{{"name": "features", "shape": [2, 12], "datatype": "FP32", "data": [{row}]}}]}}"#);
    let answer = post(server, "/v2/models/titanic/infer", &body).json();
    assert_eq!(answer["outputs"][0]["data"], json!(["Survived", ""]));
    assert!(answer["parameters"]["error_of_row_1"].as_str().unwrap().contains("age is null: expected a number"));
}
