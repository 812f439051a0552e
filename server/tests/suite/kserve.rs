use serde_json::json;

use super::client::*;

#[test]
fn version_one() {
    let server = shared().inference;
    assert_eq!(get(server, "/v1/models").json(), json!({"models": ["odd", "quick", "titanic", "vi"]}));
    assert_eq!(get(server, "/v1/models/titanic").json(), json!({"name": "titanic", "ready": true}));
    let missing = get(server, "/v1/models/none");
    assert_eq!((missing.status, missing.json()["error"].is_string()), (404, true));
    assert_eq!(post(server, "/v1/models/titanic:predict", r#"{"instances": []}"#).json(), json!({"predictions": []}));
    assert_eq!(post(server, "/v1/models/vi:explain", r#"{"instances": []}"#).json(), json!({"explanations": []}));
    let got = get(server, "/v1/models/titanic:predict");
    assert_eq!((got.status, got.json()["error"].is_string()), (405, true));
    assert!(get(server, "/metrics").text().contains("ts_inference_requests_total"));
    let both = format!("{{\"instances\": [{WOMAN}, [{MAN_ROW}]]}}");
    let predicted = post(server, "/v1/models/titanic:predict", &both).json();
    assert_eq!(predicted, json!({"predictions": ["Survived", "Not Survived"]}));
    let explained = post(server, "/v1/models/titanic:explain", &both).json();
    assert_eq!(explained["explanations"].as_array().unwrap().len(), 2);
    assert!(explained["explanations"][0]["attributions"]["female"].is_number());
    let chosen = format!("{{\"instances\": [[{MAN_ROW}]], \"parameters\": {{\"n_steps\": 3}}}}");
    for (path, body, status) in [
        ("/v1/models/titanic:predict", chosen.as_str(), 400),
        ("/v1/models/titanic:predict", r#"{"instances": [], "parameters": {"n_steps": 3}}"#, 400),
        ("/v1/models/vi:explain", r#"{"instances": [], "parameters": {"n_steps": 0}}"#, 400),
        ("/v1/models/titanic:predict", "{}", 400),
        ("/v1/models/titanic:predict", r#"{"instances": "x"}"#, 400),
        ("/v1/models/titanic:predict", "[]", 400),
        ("/v1/models/titanic:predict", r#"{"instances": [[1]]}"#, 400),
        ("/v1/models/titanic:dance", &both, 400),
        ("/v1/models/none:predict", &both, 404),
        ("/v1/models/odd:predict", r#"{"instances": [[13]]}"#, 500),
    ] {
        let reply = post(server, path, body);
        assert_eq!(reply.status, status, "{path} {body}");
        assert!(reply.json()["error"].as_str().is_some_and(|error| !error.is_empty()));
    }
}

#[test]
fn version_two() {
    let server = shared().inference;
    assert_eq!(get(server, "/v2").json()["name"], json!("candle-explain"));
    assert_eq!(get(server, "/v2/health/live").json(), json!({"live": true}));
    assert_eq!(get(server, "/v2/health/ready").json(), json!({"ready": true}));
    assert_eq!(get(server, "/v2/models/titanic/versions/1.0/ready").json(), json!({"name": "titanic", "ready": true}));
    assert_eq!(get(server, "/v2/models").json(), json!({"models": ["odd", "quick", "titanic", "vi"]}));
    let model = get(server, "/v2/models/titanic").json();
    assert_eq!(model["inputs"][0], json!({"name": "features", "datatype": "FP32", "shape": [-1, 12]}));
    let input = |data: &str, shape: &str| {
        format!(
            r#"{{"id": "7", "inputs": [{{"name": "features", "shape": {shape}, "datatype": "FP32", "data": {data}}}]}}"#
        )
    };
    for data in [format!("[{WOMAN_ROW}, {MAN_ROW}]"), format!("[[{WOMAN_ROW}], [{MAN_ROW}]]")] {
        let reply = post(server, "/v2/models/titanic/infer", &input(&data, "[2, 12]")).json();
        assert_eq!((reply["id"].as_str(), reply["model_version"].as_str()), (Some("7"), Some("1.0")));
        let label = json!({"name": "label", "datatype": "BYTES", "shape": [2], "data": ["Survived", "Not Survived"]});
        assert_eq!(reply["outputs"][0], label);
        assert_eq!(reply["outputs"][2]["data"].as_array().unwrap().len(), 4);
    }
    let text = r#"{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Rất tốt"]}],
                   "outputs": [{"name": "class"}]}"#;
    let reply = post(server, "/v2/models/vi/versions/1.0/infer", text).json();
    assert_eq!(reply["outputs"], json!([{"name": "class", "datatype": "INT64", "shape": [1], "data": [0]}]));
    let (first, rest) = MAN_ROW.split_once(',').unwrap();
    let uneven = format!("[[{WOMAN_ROW}, {first}], [{rest}]]");
    for (path, body, status) in [
        ("/v2/models/titanic/infer", input("[1]", "[1, 12]"), 400),
        ("/v2/models/titanic/infer", input(&format!("[{WOMAN_ROW}]"), "[12]"), 400),
        ("/v2/models/titanic/infer", input("[\"x\"]", "[1, 12]"), 400),
        ("/v2/models/titanic/infer", input(&format!("[[{WOMAN_ROW}, {MAN_ROW}]]"), "[2, 12]"), 400),
        ("/v2/models/titanic/infer", input(&format!("[[{WOMAN_ROW}], {MAN_ROW}]"), "[2, 12]"), 400),
        ("/v2/models/titanic/infer", input(&format!("[[{WOMAN_ROW}], [{MAN_ROW}, 1]]"), "[2, 12]"), 400),
        ("/v2/models/titanic/infer", input(&uneven, "[2, 12]"), 400),
        ("/v2/models/titanic/infer", input(&format!("[{WOMAN_ROW}, null]"), "[1, 12]"), 400),
        ("/v2/models/titanic/infer", input(&format!("[{WOMAN_ROW}]").replacen('1', "null", 1), "[1, 12]"), 400),
        ("/v2/models/titanic/infer", input(&format!("[{WOMAN_ROW}]"), "[1, -12]"), 400),
        ("/v2/models/titanic/infer", input(&format!("[{WOMAN_ROW}]"), "[99999999999, 99999999999]"), 400),
        ("/v2/models/titanic/infer", "{}".to_string(), 400),
        ("/v2/models/vi/infer", text.replace("\"name\": \"text\", ", ""), 400),
        ("/v2/models/vi/infer", text.replace("class", "odds"), 400),
        ("/v2/models/none/infer", "{}".to_string(), 404),
        ("/v2/models/titanic/versions/9/infer", "{}".to_string(), 404),
    ] {
        let reply = post(server, path, &body);
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.text());
        assert!(reply.json()["error"].as_str().is_some_and(|error| !error.is_empty()));
    }
}
