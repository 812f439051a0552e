//! Runs logged to an MLflow server that answers on this machine, well and badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use candle_explain_cli::tracking::{Destination, Mlflow, Patience, Report};
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

/// The status that breaks the connection off in the middle of the reply.
const HALF: u16 = 0;

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
        from(variable)
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
        if status == HALF {
            write!(stream, "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{answer}").ok()?;
            return None;
        }
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

fn from(variable: impl Fn(&str) -> Option<String>) -> Mlflow {
    match Mlflow::from_variables(variable, PATIENCE).unwrap() {
        Destination::Server(mlflow) => mlflow,
        Destination::Folder(why) => panic!("{why}"),
    }
}

/// A client that knows nothing but an address.
fn at(address: &str) -> Mlflow {
    from(|name| (name == "MLFLOW_TRACKING_URI").then(|| address.to_string()))
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
        let message = self::message(server.client(&[("MLFLOW_RUN_ID", "r1")]).log(&report, "titanic"));
        assert!(message.contains("runs/get"), "{message}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert!(is_kept(&report));
    }
    assert!(broken.asked().len() > 2);
    let message = message(at("http://127.0.0.1:1").log(&report("gone"), "titanic"));
    assert!(message.starts_with("nothing was logged: GET http://127.0.0.1:1/"), "{message}");
}

#[test]
fn a_server_that_fails_half_way_leaves_a_run_that_says_so() {
    let server = Fake::start(|_, asked| match asked.line.starts_with("PUT") {
        true => Some((403, json!({ "message": "no" }))),
        false => Some(well(asked)),
    });
    let report = report("half");
    let message = message(server.client(&[]).log(&report, "titanic"));
    let missing = "not logged: Average Importances.png, model/weights.bin, model titanic in the registry: PUT http";
    assert!(message.starts_with(missing) && message.contains("403"), "{message}");
    // What will not pass is asked once.
    assert_eq!(server.asked().iter().filter(|asked| asked.line.starts_with("PUT")).count(), 1);
    assert_eq!(server.calls("runs/update")[0]["status"], json!("FAILED"));
    assert!(is_kept(&report));
}

#[test]
fn a_server_that_breaks_off_in_the_middle_of_an_upload_or_a_reply() {
    let once = Mutex::new(true);
    let server = Fake::start(move |_, asked| match asked.line.starts_with("PUT") {
        true if std::mem::take(&mut *once.lock().unwrap()) => Some((HALF, json!({}))),
        _ => Some(well(asked)),
    });
    server.client(&[("MLFLOW_RUN_ID", "r1")]).log(&report("reply"), "titanic").unwrap();
    assert_eq!(server.asked().iter().filter(|asked| asked.line.starts_with("PUT")).count(), 3);
    let gone = Fake::start(|_, asked| (!asked.line.contains("weights.bin")).then(|| well(asked)));
    let report = report("upload");
    let message = message(gone.client(&[("MLFLOW_RUN_ID", "r1")]).log(&report, "titanic"));
    assert!(message.starts_with("not logged: model/weights.bin, model titanic in the registry: PUT"), "{message}");
    assert!(is_kept(&report));
}

#[test]
fn secrets_stay_out_of_messages() {
    let server = Fake::start(|_, _| Some((401, json!({}))));
    let token = server.client(&[("MLFLOW_TRACKING_TOKEN", "hunter2"), ("MLFLOW_RUN_ID", "r1")]);
    let address = server.address.replace("http://", "http://user:hunter2%21@");
    for client in [token, at(&address)] {
        let shown = message(client.log(&report("secret"), "titanic"));
        assert!(shown.contains("401") && !shown.contains("hunter2"), "{shown}");
    }
    let last = server.asked().pop().unwrap();
    assert_eq!(last.authorization.as_deref(), Some("Basic dXNlcjpodW50ZXIyIQ=="));
    for wrong in ["http://user:hunter2/x@host", "http://", "http://h h"] {
        let shown = message(Mlflow::from_variables(
            |name| (name == "MLFLOW_TRACKING_URI").then(|| wrong.to_string()),
            PATIENCE,
        ));
        assert!(shown.contains("is no address") && !shown.contains("hunter2"), "{shown}");
    }
    let broken = |name: &str| match name {
        "MLFLOW_TRACKING_URI" => Some("http://127.0.0.1:1".to_string()),
        "MLFLOW_TRACKING_TOKEN" => Some("hunter2\nhunter3".to_string()),
        _ => None,
    };
    let shown = message(Mlflow::from_variables(broken, PATIENCE));
    assert!(shown.contains("MLFLOW_TRACKING_TOKEN cannot be sent") && !shown.contains("hunter"), "{shown}");
}

#[test]
fn a_user_counts_before_a_token_as_with_mlflow() {
    let server = Fake::start(|_, asked| Some(well(asked)));
    let both = [
        ("MLFLOW_RUN_ID", "r1"),
        ("MLFLOW_TRACKING_USERNAME", "user"),
        ("MLFLOW_TRACKING_PASSWORD", "pass"),
        ("MLFLOW_TRACKING_TOKEN", "token"),
    ];
    server.client(&both).log(&report("both"), "titanic").unwrap();
    assert_eq!(server.asked()[0].authorization.as_deref(), Some("Basic dXNlcjpwYXNz"));
}

#[test]
fn stores_without_http_leave_the_folder_and_say_what_to_do() {
    let why = |address: &str| {
        let variable = |name: &str| (name == "MLFLOW_TRACKING_URI").then(|| address.to_string());
        match Mlflow::from_variables(variable, PATIENCE).unwrap() {
            Destination::Folder(why) => why,
            Destination::Server(_) => panic!("{address}"),
        }
    };
    for (address, kind) in [
        ("sqlite:///mlflow.db", "sqlite"),
        ("postgresql://user:hunter2@host/runs", "postgresql"),
        ("./mlruns", "file"),
        ("databricks", "databricks"),
    ] {
        let why = why(address);
        assert!(why.contains(&format!("\"{kind}\"")) && why.contains("mlflow server"), "{why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
    assert_eq!(why(""), "MLFLOW_TRACKING_URI is not set");
}

#[test]
fn what_is_not_mlflow_or_keeps_artifacts_elsewhere_is_explained() {
    let elsewhere = Fake::start(|_, asked| {
        let (status, mut answer) = well(asked);
        answer["run"]["info"]["artifact_uri"] = json!("s3://bucket/r1");
        Some((status, answer))
    });
    let run = [("MLFLOW_RUN_ID", "r1")];
    assert!(message(elsewhere.client(&run).log(&report("s3"), "titanic")).contains("s3://bucket"));
    let stranger = Fake::start(|_, _| Some((200, json!({ "hello": 1 }))));
    assert!(message(stranger.client(&run).log(&report("stranger"), "titanic")).contains("is it MLflow?"));
}

/// The files of a run, by name.
const FILES: [&str; 10] = [
    "Average Feature Importances.png",
    "Average_Sibsp_Feature_Value.png",
    "Average Neuron Importances.png",
    "Neurons_Distribution.png",
    "model_summary.txt",
    "feature_imp_summary.txt",
    "neuron_imp_summary.txt",
    "Avg_Feature_Importances_Neuron_0.txt",
    "model/titanic.safetensors",
    "model/titanic.mar",
];

/// Runs `candle-explain titanic`: whether it succeeded, and what it said.
fn titanic(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("titanic-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    let mut command = Command::new(env!("CARGO_BIN_EXE_candle-explain"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MLFLOW_")) {
        command.env_remove(name);
    }
    // Without curl there is no download.
    command.env("PATH", "").envs(variables.iter().copied());
    let ran = command.arg("titanic").arg("--artifacts").arg(&folder).args(arguments).output().unwrap();
    FILES.iter().for_each(|file| assert!(folder.join(file).is_file(), "{name}: {file}"));
    (ran.status.success(), String::from_utf8(ran.stderr).unwrap())
}

#[test]
fn the_command_logs_the_whole_walkthrough() {
    let server = Fake::start(|_, asked| Some(well(asked)));
    let variables = [("MLFLOW_TRACKING_URI", server.address.as_str()), ("MLFLOW_RUN_ID", "r1")];
    let (fine, said) = titanic("all", &["--max_epochs", "120", "--use_pretrained_model", "false"], &variables);
    assert!(fine && said.contains("logged to MLflow as run r1 of experiment 7, model titanic version 3"), "{said}");
    let batches = server.calls("runs/log-batch");
    let params: Vec<&str> = batches[0]["params"].as_array().unwrap().iter().flat_map(|p| p["key"].as_str()).collect();
    assert_eq!(params, ["epochs", "use_pretrained_model", "Train Size", "Test Size"]);
    let metrics: Vec<(&str, u64)> = batches[1]["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| (metric["key"].as_str().unwrap(), metric["step"].as_u64().unwrap()))
        .collect();
    for expected in [("Train Loss", 50), ("Train Loss", 100), ("Train Loss", 120), ("Train Accuracy", 120)] {
        assert!(metrics.contains(&expected), "{expected:?}");
    }
    assert_eq!(metrics.len(), 3 + 2 + 12 + 12);
    let sent: Vec<String> = server
        .asked()
        .iter()
        .filter_map(|asked| asked.line.split("/artifacts/7/r1/artifacts/").nth(1).map(|name| name.replace("%20", " ")))
        .collect();
    assert_eq!(sent.len(), FILES.len());
    FILES.iter().for_each(|file| assert!(sent.iter().any(|name| name == file), "{file}"));
}

#[test]
fn the_command_says_what_a_server_did_not_take_and_fails() {
    let (fine, said) = titanic("none", &["--use-pretrained-model", "True", "--max-epochs", "1"], &[]);
    assert!(fine && said.contains("nothing was logged to MLflow: MLFLOW_TRACKING_URI is not set"), "{said}");
    let server = Fake::start(|_, asked| match asked.line.contains("Neurons") {
        true => Some((403, json!({}))),
        false => Some(well(asked)),
    });
    let (fine, said) = titanic("part", &["--max_epochs", "5"], &[("MLFLOW_TRACKING_URI", &server.address)]);
    assert!(
        !fine && said.contains("all of its files are in") && said.contains("not logged: Neurons_Distribution.png, "),
        "{said}"
    );
    assert_eq!(server.calls("runs/update")[0]["status"], json!("FAILED"));
}
