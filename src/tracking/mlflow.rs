//! MLflow, through its REST API.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Method;

use super::Report;
use crate::error::{Error, Result, bail, error};

const API: &str = "/api/2.0/mlflow/";
/// What `runs/log-batch` takes at once.
const MOST_METRICS: usize = 1000;
const MOST_PARAMS: usize = 100;
/// What stands for something else in an address.
const PART_OF_AN_ADDRESS: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// An MLflow server, as the environment variables of MLflow name it.
///
/// | Variable | Meaning |
/// |---|---|
/// | `MLFLOW_TRACKING_URI` | the server, `http://...` or `https://...` |
/// | `MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD` | who asks |
/// | `MLFLOW_RUN_ID` | a run that is there already, which `mlflow run` makes |
/// | `MLFLOW_EXPERIMENT_ID`, `MLFLOW_EXPERIMENT_NAME` | where a new run belongs; `Default` if neither is set |
pub struct Mlflow {
    agent: Agent,
    server: String,
    authorization: Option<String>,
    run: Option<String>,
    experiment: Experiment,
    patience: Patience,
}

enum Experiment {
    Id(String),
    Name(String),
}

/// How long a server that does not answer, or answers that it cannot, is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long one request may take.
    pub request: Duration,
    /// The pause before the second try; each further one is twice as long.
    pub pause: Duration,
    /// How long one call may take with all its tries.
    pub total: Duration,
}

impl Default for Patience {
    /// 20 seconds a request, a first pause of a quarter of a second, and a minute in all.
    fn default() -> Self {
        Self { request: Duration::from_secs(20), pause: Duration::from_millis(250), total: Duration::from_secs(60) }
    }
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

impl Mlflow {
    /// The server of the environment; none if it names none. An error if it names something that
    /// does not speak REST.
    pub fn from_environment(patience: Patience) -> Result<Option<Self>> {
        Self::from_variables(|name| std::env::var(name).ok(), patience)
    }

    /// The same from variables that `get` knows.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>, patience: Patience) -> Result<Option<Self>> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let Some(server) = get("MLFLOW_TRACKING_URI") else { return Ok(None) };
        if !(server.starts_with("http://") || server.starts_with("https://")) {
            bail!(
                Input,
                "MLFLOW_TRACKING_URI is {server}, which cannot be reached over HTTP: start one with `mlflow server \
                 --backend-store-uri {server}` and let MLFLOW_TRACKING_URI be its http:// address"
            )
        }
        let basic = |(user, password): (String, String)| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
        };
        let user = get("MLFLOW_TRACKING_USERNAME").zip(get("MLFLOW_TRACKING_PASSWORD"));
        let config = Agent::config_builder()
            .timeout_global(Some(patience.request))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Ok(Some(Self {
            agent: config.into(),
            server: server.trim_end_matches('/').to_string(),
            authorization: get("MLFLOW_TRACKING_TOKEN").map(|token| format!("Bearer {token}")).or(user.map(basic)),
            run: get("MLFLOW_RUN_ID"),
            experiment: match (get("MLFLOW_EXPERIMENT_ID"), get("MLFLOW_EXPERIMENT_NAME")) {
                (Some(id), _) => Experiment::Id(id),
                (None, name) => Experiment::Name(name.unwrap_or_else(|| "Default".to_string())),
            },
            patience,
        }))
    }

    /// Logs a report: into the run that the environment names, or into a new one, which is finished
    /// with it. The model in the artifacts' folder `model` is registered under a name.
    ///
    /// An error says what the server answered; what was logged before stays.
    pub fn log(&self, report: &Report, model: &str) -> Result<LoggedRun> {
        let run = match &self.run {
            Some(id) => self.existing_run(id)?,
            None => self.new_run()?,
        };
        let logged = self.log_into(&run, report, model);
        if self.run.is_none() {
            let status = if logged.is_ok() { "FINISHED" } else { "FAILED" };
            let end = json!({ "run_id": run.id, "status": status, "end_time": now() });
            let ended = self.call("runs/update", &end);
            if logged.is_ok() {
                ended?;
            }
        }
        Ok(LoggedRun { version: logged?, run: run.id, experiment: run.experiment })
    }

    fn log_into(&self, run: &Run, report: &Report, model: &str) -> Result<Option<String>> {
        // `mlflow run` has logged its parameters already, and would not take another spelling.
        let new = report.params.iter().filter(|(name, _)| !run.params.contains(name));
        let params: Vec<Value> = new.map(|(name, value)| json!({ "key": name, "value": value })).collect();
        for chunk in params.chunks(MOST_PARAMS) {
            self.call("runs/log-batch", &json!({ "run_id": run.id, "params": chunk }))?;
        }
        let timestamp = now();
        let metric = |metric: &super::Metric| json!({ "key": metric.name, "value": metric.value, "step": metric.step, "timestamp": timestamp });
        let metrics: Vec<Value> = report.metrics.iter().map(metric).collect();
        for chunk in metrics.chunks(MOST_METRICS) {
            self.call("runs/log-batch", &json!({ "run_id": run.id, "metrics": chunk }))?;
        }
        for name in &report.artifacts {
            self.upload(run, name, report.read(name)?)?;
        }
        let has_model = report.artifacts.iter().any(|name| name.starts_with("model/"));
        has_model.then(|| self.register(run, model)).transpose()
    }

    fn existing_run(&self, id: &str) -> Result<Run> {
        let answer = self.ask(Method::GET, &format!("{API}runs/get?run_id={}", encoded(id)), &[])?;
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
        let answer = match self.ask(Method::GET, &path, &[]) {
            Err(failure) if failure.is("RESOURCE_DOES_NOT_EXIST") => {
                return text(&self.call("experiments/create", &json!({ "name": name }))?["experiment_id"]);
            }
            answer => answer?,
        };
        text(&answer["experiment"]["experiment_id"])
    }

    /// Puts a file where the run keeps its artifacts.
    fn upload(&self, run: &Run, name: &str, content: Vec<u8>) -> Result<()> {
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
        self.ask(Method::PUT, &path, &content)?;
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
        self.ask(Method::POST, &format!("{API}{name}"), asked.to_string().as_bytes())
    }

    /// Asks, and asks again where the server did not answer, or said that it cannot just now.
    fn ask(&self, method: Method, path: &str, content: &[u8]) -> std::result::Result<Value, Failure> {
        let (begun, mut pause) = (Instant::now(), self.patience.pause);
        loop {
            let failure = match self.try_once(&method, path, content) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.may_pass || begun.elapsed() + pause > self.patience.total {
                return Err(failure);
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
    }

    fn try_once(&self, method: &Method, path: &str, content: &[u8]) -> std::result::Result<Value, Failure> {
        let shown = path.split('?').next().unwrap_or(path);
        let fails =
            |may_pass, what: String| Failure { message: format!("{method} {}{shown}: {what}", self.server), may_pass };
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.server));
        let kind = if *method == Method::PUT { "application/octet-stream" } else { "application/json" };
        request = request.header("Content-Type", kind);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let request = request.body(content).map_err(|_| fails(false, "this is no address".to_string()))?;
        let mut reply = self.agent.run(request).map_err(|e| fails(true, e.to_string()))?;
        let status = reply.status().as_u16();
        let body = reply.body_mut().read_to_string().map_err(|e| fails(true, e.to_string()))?;
        if !(200..300).contains(&status) {
            let may_pass = matches!(status, 408 | 429 | 500..);
            return Err(fails(may_pass, format!("{status} {}", body.trim().chars().take(300).collect::<String>())));
        }
        if body.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&body).map_err(|e| fails(false, format!("the answer is no JSON: {e}: is it MLflow?")))
    }
}

/// What a server answered, or why it did not.
struct Failure {
    message: String,
    /// Whether asking again may help.
    may_pass: bool,
}

impl Failure {
    /// Whether MLflow gave an error of this code.
    fn is(&self, code: &str) -> bool {
        self.message.contains(code)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        error!(File, "{}", failure.message)
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

/// Text as a part of an address.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &PART_OF_AN_ADDRESS).to_string()
}
