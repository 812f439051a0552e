use std::collections::HashMap;
use std::time::Duration;

use candle_explain::prelude::*;
use candle_explain_server::Server;
use serde_json::Value;

use super::client::*;

/// Numbers that differ from one to the next, the same in every run.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// A passenger of many that there could be.
fn passenger(number: u64) -> String {
    let mut draw = numbers(number + 1);
    let (sex, port) = (["female", "male"][draw(2) as usize], ["C", "Q", "S"][draw(3) as usize]);
    format!(
        r#"{{"age": {}, "sibsp": {}, "parch": {}, "fare": {}, "sex": "{sex}", "embarked": "{port}", "pclass": {}}}"#,
        1 + draw(79),
        draw(5),
        draw(4),
        draw(200),
        1 + draw(3)
    )
}

fn explained(client: &mut Client, rows: &[String]) -> Vec<Value> {
    let accept = [("Content-Type", "application/json"), ("Accept", "application/json")];
    let body = format!("[{}]", rows.join(","));
    let reply = client.ask("POST", "/explanations/titanic", &accept, body.as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["rows"].as_array().unwrap().clone()
}

fn attributions(row: &Value) -> Vec<f64> {
    row["attributions"].as_object().unwrap().values().map(|value| value.as_f64().unwrap()).collect()
}

/// How many answers are compared: a few thousand, or as many as the variable says.
fn wanted_answers() -> u64 {
    std::env::var("CANDLE_EXPLAIN_ANSWERS").map_or(2_500, |count| count.parse().unwrap())
}

#[test]
fn rows_of_many_requests_together_get_what_each_gets_alone() {
    const PASSENGERS: u64 = 40;
    const CLIENTS: u64 = 8;
    let address = shared().inference;
    let mut client = Client::new(address);
    let alone: HashMap<u64, Value> =
        (0..PASSENGERS).map(|number| (number, explained(&mut client, &[passenger(number)]).remove(0))).collect();
    std::thread::scope(|scope| {
        for index in 0..CLIENTS {
            let alone = &alone;
            scope.spawn(move || {
                let (mut draw, mut client) = (numbers(100 + index), Client::new(address));
                let mut compared = 0;
                while compared < wanted_answers().div_ceil(CLIENTS) {
                    let chosen: Vec<u64> = (0..=draw(9)).map(|_| draw(PASSENGERS)).collect();
                    compared += chosen.len() as u64;
                    let rows: Vec<String> = chosen.iter().map(|number| passenger(*number)).collect();
                    if draw(2) == 0 {
                        // Their output is what comes in: each row has its own.
                        let model = ["odd", "quick"][draw(2) as usize];
                        let sent: Vec<f64> = chosen.iter().map(|_| (16 + draw(1 << 20)) as f64).collect();
                        let instances: Vec<[f64; 1]> = sent.iter().map(|value| [*value]).collect();
                        let body = format!("{{\"instances\": {instances:?}}}");
                        let path = format!("/v1/models/{model}:predict");
                        let reply = client.ask("POST", &path, &[], body.as_bytes()).unwrap();
                        assert_eq!(reply.json()["predictions"], Value::from(sent));
                        compared += chosen.len() as u64;
                    }
                    if draw(2) == 0 {
                        let body = format!("{{\"instances\": [{}]}}", rows.join(","));
                        let reply = client.ask("POST", "/v1/models/titanic:predict", &[], body.as_bytes()).unwrap();
                        let labels: Vec<Value> = chosen.iter().map(|number| alone[number]["label"].clone()).collect();
                        assert_eq!(reply.json()["predictions"], Value::from(labels));
                        continue;
                    }
                    let answers = explained(&mut client, &rows);
                    assert_eq!(answers.len(), chosen.len());
                    for (answer, number) in answers.iter().zip(&chosen) {
                        for (a, b) in attributions(answer).iter().zip(attributions(&alone[number])) {
                            assert!((a - b).abs() < 1e-6, "{a} and {b}");
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn a_long_explanation_keeps_no_prediction_waiting_and_ends_when_its_client_leaves() {
    let texts = TextClassifier::from_pretrained("data/sentiment-vi").unwrap();
    for asked in ["n_steps=5000", "method=ShapleyValueSampling&n_samples=5000", "method=KernelShap&tolerance=1e-9"] {
        let settings = settings(&[("max_steps", "5000"), ("default_workers_per_model", "1")]);
        let server = Server::new(settings).unwrap().with_text_classifier("vi", "1.0", &texts).unwrap();
        let server = TestServer::start(server);
        let mut long = Client::new(server.inference);
        let text = "tốt ".repeat(3000);
        let head = format!("POST /explanations/vi?{asked} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n");
        long.send(format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes()).unwrap();
        while !get(server.inference, "/metrics").text().contains("model_name=\"vi\",model_version=\"1.0\"} 1") {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(post(server.inference, "/predictions/vi", "\"Rất tốt\"").text(), "positive");
        assert!(long.waits(), "{asked}");
        drop(long);
        assert_eq!(post(server.inference, "/explanations/vi?n_steps=5", "\"Rất tốt\"").status, 200, "{asked}");
    }
}
