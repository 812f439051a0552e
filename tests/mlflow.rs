//! Runs logged to an MLflow server that answers on this machine, well and badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use candle_explain::tracking::{Mlflow, Patience, Report};
use serde_json::{Value, json};

const PATIENCE: Patience = Patience {
    request: Duration::from_millis(300),
    pause: Duration::from_millis(5),
    total: Duration::from_millis(600),
};

/// What a request was: method, path, headers, body.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    authorization: Option<String>,
    body: Vec<u8>,
}

/// How a server answers one request; nothing breaks the connection off.
type Answer = dyn Fn(usize, &Asked) -> Option<(u16, Value)> + Send + Sync;

struct Fake {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    fn start(answer: impl Fn(usize, &Asked) -> Option<(u16, Value)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer): (_, Arc<Answer>) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { address, asked }
    }

    fn client(&self, more: &[(&str, &str)]) -> Mlflow {
        let variable = |name: &str| match name {
            "MLFLOW_TRACKING_URI" => Some(self.address.clone()),
            _ => more.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string()),
        };
        Mlflow::from_variables(variable, PATIENCE).unwrap().unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The bodies of the calls of one name.
    fn calls(&self, name: &str) -> Vec<Value> {
        let asked = self.asked();
        let called = asked.iter().filter(|asked| asked.line.ends_with(name));
        called.map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Asked>>, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_string());
        }
        let header = |name: &str| {
            let found = head.iter().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
            found.map(|line| line[name.len() + 2..].to_string())
        };
        let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        let line = head[0].trim_end_matches(" HTTP/1.1").to_string();
        let asked = Asked { line, authorization: header("authorization"), body };
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(asked.clone());
            seen.len() - 1
        };
        let (status, answer) = answer(number, &asked)?;
        let answer = answer.to_string();
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).ok()?;
    }
}

/// What MLflow answers when all is well, for a run that has logged `lr` already.
fn well(asked: &Asked) -> (u16, Value) {
    let run = json!({ "run": {
        "info": { "run_id": "r1", "experiment_id": "7", "artifact_uri": "mlflow-artifacts:/7/r1/artifacts" },
        "data": { "params": [{ "key": "lr", "value": "0.10" }] },
    } });
    match asked.line.as_str() {
        line if line.contains("runs/get?run_id=r1") => (200, run),
        line if line.ends_with("runs/create") => (200, run),
        line if line.contains("get-by-name?experiment_name=new%20one") => {
            (404, json!({ "error_code": "RESOURCE_DOES_NOT_EXIST" }))
        }
        line if line.contains("get-by-name") => (200, json!({ "experiment": { "experiment_id": "7" } })),
        line if line.ends_with("experiments/create") => (200, json!({ "experiment_id": "8" })),
        line if line.ends_with("registered-models/create") => (400, json!({ "error_code": "RESOURCE_ALREADY_EXISTS" })),
        line if line.ends_with("model-versions/create") => (200, json!({ "model_version": { "version": "3" } })),
        _ => (200, json!({})),
    }
}

fn report(name: &str) -> Report {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mlflow-{name}"));
    let mut report = Report::new(folder).unwrap();
    report.param("epochs", 100);
    report.param("lr", 0.1);
    report.metric("Train Accuracy", 0.75, 100);
    for name in ["Average Importances.png", "model/weights.bin"] {
        let write = |path: &Path| {
            std::fs::write(path, name).unwrap();
            Ok(())
        };
        report.artifact(name, write).unwrap();
    }
    report.save().unwrap();
    report
}

fn message<T>(result: candle_explain::Result<T>) -> String {
    result.err().unwrap().to_string()
}

fn is_kept(report: &Report) -> bool {
    let kept = |name: &str| report.folder().join(name).is_file();
    report.artifacts().iter().all(|name| kept(name)) && kept("run.json")
}

#[test]
fn the_run_that_mlflow_made_gets_everything_once() {
    let server = Fake::start(|_, asked| Some(well(asked)));
    let logged =
        server.client(&[("MLFLOW_RUN_ID", "r1"), ("MLFLOW_TRACKING_TOKEN", "secret")]).log(&report("run"), "titanic");
    let logged = logged.unwrap();
    assert_eq!((logged.run.as_str(), logged.experiment.as_str(), logged.version.as_deref()), ("r1", "7", Some("3")));
    let batches = server.calls("runs/log-batch");
    assert_eq!(batches[0]["params"], json!([{ "key": "epochs", "value": "100" }]));
    assert_eq!(batches[1]["metrics"][0]["value"], json!(0.75));
    let asked = server.asked();
    let put: Vec<&Asked> = asked.iter().filter(|asked| asked.line.starts_with("PUT")).collect();
    assert_eq!(put[0].line, "PUT /api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/Average%20Importances.png");
    assert_eq!(put[0].body, b"Average Importances.png");
    assert_eq!(put.len(), 2);
    assert_eq!(server.calls("model-versions/create")[0]["source"], json!("mlflow-artifacts:/7/r1/artifacts/model"));
    assert!(asked.iter().all(|asked| asked.authorization.as_deref() == Some("Bearer secret")));
    // Who made the run ends it.
    assert!(server.calls("runs/update").is_empty() && server.calls("runs/create").is_empty());
}

#[test]
fn a_run_of_ones_own_is_made_and_ended() {
    let server = Fake::start(|_, asked| Some(well(asked)));
    let user = [("MLFLOW_TRACKING_USERNAME", "user"), ("MLFLOW_TRACKING_PASSWORD", "pass")];
    server.client(&user).log(&report("own"), "titanic").unwrap();
    assert_eq!(server.calls("runs/create")[0]["experiment_id"], json!("7"));
    assert_eq!(server.calls("runs/update")[0]["status"], json!("FINISHED"));
    assert_eq!(server.asked()[0].authorization.as_deref(), Some("Basic dXNlcjpwYXNz"));
    let named = server.client(&[("MLFLOW_EXPERIMENT_NAME", "new one")]);
    named.log(&report("named"), "titanic").unwrap();
    assert_eq!(server.calls("runs/create")[1]["experiment_id"], json!("8"));
    server.client(&[("MLFLOW_EXPERIMENT_ID", "12")]).log(&report("numbered"), "titanic").unwrap();
    assert_eq!(server.calls("runs/create")[2]["experiment_id"], json!("12"));
}

#[test]
fn many_metrics_go_in_several_batches() {
    let server = Fake::start(|_, asked| Some(well(asked)));
    let mut many = report("many");
    (0..2500).for_each(|step| many.metric("loss", f64::from(step), step as usize));
    (0..150).for_each(|number| many.param(format!("p{number}"), number));
    server.client(&[("MLFLOW_RUN_ID", "r1")]).log(&many, "titanic").unwrap();
    let sizes = |kind: &str| -> Vec<usize> {
        server.calls("runs/log-batch").iter().filter_map(|batch| batch[kind].as_array().map(Vec::len)).collect()
    };
    assert_eq!((sizes("params"), sizes("metrics")), (vec![100, 51], vec![1000, 1000, 501]));
}

#[test]
fn a_server_that_is_busy_or_breaks_off_is_asked_again() {
    let server = Fake::start(|number, asked| match number {
        0 => Some((429, json!({}))),
        1 => Some((503, json!({}))),
        2 => None,
        _ => Some(well(asked)),
    });
    server.client(&[("MLFLOW_RUN_ID", "r1")]).log(&report("busy"), "titanic").unwrap();
    assert!(server.asked().iter().take(4).all(|asked| asked.line.contains("runs/get")));
}

#[test]
fn a_server_that_does_not_recover_is_given_up_in_time_and_nothing_is_lost() {
    let broken = Fake::start(|_, _| Some((500, json!({ "message": "out of order" }))));
    let silent = Fake::start(|_, _| {
        std::thread::sleep(Duration::from_secs(5));
        None
    });
    for (name, server) in [("broken", &broken), ("silent", &silent)] {
        let (report, begun) = (report(name), Instant::now());
        let message = message(server.client(&[("MLFLOW_RUN_ID", "r1")]).log(&report, "titanic"));
        assert!(message.contains("runs/get"), "{message}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert!(is_kept(&report));
    }
    assert!(broken.asked().len() > 2);
    let closed: PathBuf = "http://127.0.0.1:1".into();
    let gone = Mlflow::from_variables(
        |name| (name == "MLFLOW_TRACKING_URI").then(|| closed.to_str().unwrap().to_string()),
        PATIENCE,
    );
    assert!(message(gone.unwrap().unwrap().log(&report("gone"), "titanic")).contains("127.0.0.1:1"));
}

#[test]
fn a_server_that_fails_half_way_leaves_a_run_that_says_so() {
    let server = Fake::start(|_, asked| match asked.line.starts_with("PUT") {
        true => Some((403, json!({ "message": "no" }))),
        false => Some(well(asked)),
    });
    let report = report("half");
    let message = message(server.client(&[]).log(&report, "titanic"));
    assert!(message.contains("PUT") && message.contains("403"), "{message}");
    assert_eq!(server.calls("runs/update")[0]["status"], json!("FAILED"));
    assert!(is_kept(&report));
}

#[test]
fn a_secret_stays_out_of_messages_and_other_stores_are_explained() {
    let server = Fake::start(|_, _| Some((401, json!({}))));
    let message_of = |variables: &[(&str, &str)]| message(server.client(variables).log(&report("secret"), "titanic"));
    let shown = message_of(&[("MLFLOW_TRACKING_TOKEN", "hunter2"), ("MLFLOW_RUN_ID", "r1")]);
    assert!(shown.contains("401") && !shown.contains("hunter2"), "{shown}");
    let from = |server: &'static str| {
        Mlflow::from_variables(move |name| (name == "MLFLOW_TRACKING_URI").then(|| server.to_string()), PATIENCE)
    };
    assert!(message(from("sqlite:///mlflow.db")).contains("mlflow server"));
    assert!(from("").unwrap().is_none());
    let elsewhere = Fake::start(|_, asked| {
        let (status, mut answer) = well(asked);
        answer["run"]["info"]["artifact_uri"] = json!("s3://bucket/r1");
        Some((status, answer))
    });
    assert!(
        message(elsewhere.client(&[("MLFLOW_RUN_ID", "r1")]).log(&report("s3"), "titanic")).contains("s3://bucket")
    );
    let stranger = Fake::start(|_, _| Some((200, json!({ "hello": 1 }))));
    assert!(
        message(stranger.client(&[("MLFLOW_RUN_ID", "r1")]).log(&report("stranger"), "titanic"))
            .contains("is it MLflow?")
    );
}
