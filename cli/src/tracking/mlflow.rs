//! MLflow, through its REST API.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use candle_explain::{Result, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use ureq::http::Method;

use super::server::{Credentials, Failure, Patience, Server};
use super::{Metric, Report};

const API: &str = "/api/2.0/mlflow/";
/// The most metrics that `runs/log-batch` takes at once.
const MOST_METRICS: usize = 1000;
const MOST_PARAMS: usize = 100;
/// The characters to be encoded in an address.
const PART_OF_AN_ADDRESS: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// An MLflow server, named by MLflow's environment variables.
///
/// | Variable | Meaning |
/// |---|---|
/// | `MLFLOW_TRACKING_URI` | the server, `http://...` or `https://...` |
/// | `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, or `MLFLOW_TRACKING_TOKEN` | the credentials |
/// | `MLFLOW_RUN_ID` | an existing run, which `mlflow run` makes |
/// | `MLFLOW_EXPERIMENT_ID`, `MLFLOW_EXPERIMENT_NAME` | where a new run belongs; `Default` if neither is set |
pub struct Mlflow {
    server: Server,
    run: Option<String>,
    experiment: Experiment,
}

/// Where a run is logged, besides the folder of its [`Report`].
pub enum Destination {
    /// Nowhere, and why.
    Folder(String),
    /// To an MLflow server.
    Server(Mlflow),
}

enum Experiment {
    Id(String),
    Name(String),
}

/// A run that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRun {
    /// The run's id.
    pub run: String,
    /// The experiment's id.
    pub experiment: String,
    /// The version under which the model was registered.
    pub version: Option<String>,
}

/// A run of the server.
struct Run {
    id: String,
    experiment: String,
    artifacts: String,
    params: Vec<String>,
}

/// A piece that is logged in one call, with its name for messages if it is missing.
enum Piece<'a> {
    Params,
    Metrics,
    Artifact(&'a str),
    Model(&'a str),
}

impl fmt::Display for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Params => f.write_str("the parameters"),
            Piece::Metrics => f.write_str("the metrics"),
            Piece::Artifact(name) => f.write_str(name),
            Piece::Model(name) => write!(f, "model {name} in the registry"),
        }
    }
}

impl Mlflow {
    /// The destination that the environment names. An error if the server's address is not valid.
    pub fn from_environment(patience: Patience) -> Result<Destination> {
        Self::from_variables(|name| std::env::var(name).ok(), patience)
    }

    /// The same with `get` instead of the environment.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>, patience: Patience) -> Result<Destination> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let Some(address) = get("MLFLOW_TRACKING_URI") else {
            return Ok(Destination::Folder("MLFLOW_TRACKING_URI is not set".to_string()));
        };
        if !(address.starts_with("http://") || address.starts_with("https://")) {
            // Only the kind is shown: the rest may hold a password.
            let kind = match address.split_once(':') {
                Some((kind, _)) => kind,
                None if address == "databricks" => "databricks",
                None => "file",
            };
            return Ok(Destination::Folder(format!(
                "MLFLOW_TRACKING_URI names a store of the kind \"{kind}\", which does not answer over HTTP: start a \
                 server on it with `mlflow server --backend-store-uri ...`, and let MLFLOW_TRACKING_URI be that \
                 server's http:// address"
            )));
        }
        let user = get("MLFLOW_TRACKING_USERNAME").zip(get("MLFLOW_TRACKING_PASSWORD"));
        let credentials = user.map(|(name, password)| Credentials::User(name, password));
        let credentials = credentials.or(get("MLFLOW_TRACKING_TOKEN").map(Credentials::Token));
        Ok(Destination::Server(Self {
            server: Server::new(&address, credentials, patience)?,
            run: get("MLFLOW_RUN_ID"),
            experiment: match (get("MLFLOW_EXPERIMENT_ID"), get("MLFLOW_EXPERIMENT_NAME")) {
                (Some(id), _) => Experiment::Id(id),
                (None, name) => Experiment::Name(name.unwrap_or_else(|| "Default".to_string())),
            },
        }))
    }

    /// Logs a report into the run that the environment names, or into a new one, which is then
    /// finished. The model in the artifacts' folder `model` is registered under this name.
    ///
    /// An error says what was not logged, and what the server answered; everything logged before stays.
    pub fn log(&self, report: &Report, model: &str) -> Result<LoggedRun> {
        let run = self.run.as_ref().map_or_else(|| self.new_run(), |id| self.existing_run(id));
        let run = run.map_err(|e| e.at("nothing was logged"))?;
        let logged = self.log_into(&run, report, model);
        // `mlflow run` ends its own run, with this program's exit status.
        if self.run.is_none() {
            let status = if logged.is_ok() { "FINISHED" } else { "FAILED" };
            let end = json!({ "run_id": run.id, "status": status, "end_time": now() });
            let ended = self.call("runs/update", &end);
            if logged.is_ok() {
                ended.map_err(|e| {
                    candle_explain::Error::from(e).at("all is logged, but the run cannot be marked as finished")
                })?;
            }
        }
        Ok(LoggedRun { version: logged?, run: run.id, experiment: run.experiment })
    }

    /// Logs one piece after the other; returns the model's version, if there is one.
    fn log_into(&self, run: &Run, report: &Report, model: &str) -> Result<Option<String>> {
        let mut pieces = vec![Piece::Params, Piece::Metrics];
        pieces.extend(report.artifacts.iter().map(|name| Piece::Artifact(name)));
        if report.artifacts.iter().any(|name| name.starts_with("model/")) {
            pieces.push(Piece::Model(model));
        }
        let mut version = None;
        for (index, piece) in pieces.iter().enumerate() {
            let logged = match piece {
                Piece::Params => self.log_params(run, report),
                Piece::Metrics => self.log_metrics(run, report),
                Piece::Artifact(name) => report.read(name).and_then(|content| self.upload(run, name, &content)),
                Piece::Model(name) => self.register(run, name).map(|new| version = Some(new)),
            };
            logged.map_err(|e| {
                let missing: Vec<String> = pieces[index..].iter().map(Piece::to_string).collect();
                e.at(format!("not logged: {}", missing.join(", ")))
            })?;
        }
        Ok(version)
    }

    fn log_params(&self, run: &Run, report: &Report) -> Result<()> {
        // `mlflow run` has already logged its parameters, and refuses another spelling.
        let new = report.params.iter().filter(|(name, _)| !run.params.contains(name));
        let params: Vec<Value> = new.map(|(name, value)| json!({ "key": name, "value": value })).collect();
        for chunk in params.chunks(MOST_PARAMS) {
            self.call("runs/log-batch", &json!({ "run_id": run.id, "params": chunk }))?;
        }
        Ok(())
    }

    fn log_metrics(&self, run: &Run, report: &Report) -> Result<()> {
        let timestamp = now();
        let metric = |Metric { name, value, step }: &Metric| json!({ "key": name, "value": value, "step": step, "timestamp": timestamp });
        let metrics: Vec<Value> = report.metrics.iter().map(metric).collect();
        for chunk in metrics.chunks(MOST_METRICS) {
            self.call("runs/log-batch", &json!({ "run_id": run.id, "metrics": chunk }))?;
        }
        Ok(())
    }

    fn existing_run(&self, id: &str) -> Result<Run> {
        let answer = self.server.ask(&Method::GET, &format!("{API}runs/get?run_id={}", encoded(id)), &[])?;
        run_of(&answer["run"])
    }

    fn new_run(&self) -> Result<Run> {
        let experiment = match &self.experiment {
            Experiment::Id(id) => id.clone(),
            Experiment::Name(name) => self.experiment_named(name)?,
        };
        let asked = json!({ "experiment_id": experiment, "start_time": now(), "tags": [
            { "key": "mlflow.source.name", "value": "candle-explain" },
            { "key": "mlflow.source.type", "value": "LOCAL" },
        ] });
        run_of(&self.call("runs/create", &asked)?["run"])
    }

    fn experiment_named(&self, name: &str) -> Result<String> {
        let path = format!("{API}experiments/get-by-name?experiment_name={}", encoded(name));
        let answer = match self.server.ask(&Method::GET, &path, &[]) {
            Err(failure) if failure.is("RESOURCE_DOES_NOT_EXIST") => {
                return text(&self.call("experiments/create", &json!({ "name": name }))?["experiment_id"]);
            }
            answer => answer?,
        };
        text(&answer["experiment"]["experiment_id"])
    }

    /// Puts a file where the run keeps its artifacts.
    fn upload(&self, run: &Run, name: &str, content: &[u8]) -> Result<()> {
        let Some(rest) = run.artifacts.strip_prefix("mlflow-artifacts:") else {
            bail!(
                File,
                "the run keeps its artifacts in {}, which cannot be reached over HTTP: start the server with \
                 --serve-artifacts (its default)",
                run.artifacts
            )
        };
        // mlflow-artifacts:/0/ab12/artifacts, or with a host in front.
        let path = rest.strip_prefix("//").and_then(|rest| rest.split_once('/')).map_or(rest, |(_, path)| path);
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{}/{}", path.trim_matches('/'), encoded(name));
        self.server.ask(&Method::PUT, &path, content)?;
        Ok(())
    }

    fn register(&self, run: &Run, model: &str) -> Result<String> {
        match self.call("registered-models/create", &json!({ "name": model })) {
            Err(failure) if failure.is("RESOURCE_ALREADY_EXISTS") => {}
            answer => drop(answer?),
        }
        let source = format!("{}/model", run.artifacts);
        let version = json!({ "name": model, "source": source, "run_id": run.id });
        text(&self.call("model-versions/create", &version)?["model_version"]["version"])
    }

    fn call(&self, name: &str, asked: &Value) -> std::result::Result<Value, Failure> {
        self.server.ask(&Method::POST, &format!("{API}{name}"), asked.to_string().as_bytes())
    }
}

fn run_of(run: &Value) -> Result<Run> {
    let params = run["data"]["params"].as_array().into_iter().flatten();
    Ok(Run {
        id: text(&run["info"]["run_id"])?,
        experiment: text(&run["info"]["experiment_id"])?,
        artifacts: text(&run["info"]["artifact_uri"])?.trim_end_matches('/').to_string(),
        params: params.filter_map(|param| param["key"].as_str().map(str::to_string)).collect(),
    })
}

fn text(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => bail!(File, "the server's answer does not have what it must: is it MLflow?"),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Text encoded as a part of an address.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &PART_OF_AN_ADDRESS).to_string()
}
