//! KServe's V1 protocol.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::app::{App, Open, model_of, read_rows};
use crate::answers::answer::Answer;
use crate::answers::told::Warned;
use crate::body;
use crate::failure::Failure;
use crate::json::strict;
use crate::models::servable::Row;
use crate::request::aside;
use crate::request::payload::{self, Content, Payload};
use crate::work::rows::Each;
use crate::work::running::Running;

type Reply = Result<Response, Response>;

const VERBS: [&str; 2] = [":predict", ":explain"];

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/models", get(list)).route("/v1/models/{model}", get(ready).post(ask))
}

async fn list(State(app): State<Arc<App>>) -> Response {
    let names: Value = app.catalog.defaults().iter().map(|running| running.name.as_str()).collect();
    body::json(StatusCode::OK, &json!({ "models": names }))
}

/// Whether an address ends in a verb; it shares its route with the model's.
pub(crate) fn is_verb(path: &str) -> bool {
    path.starts_with("/v1/models/") && VERBS.iter().any(|verb| path.ends_with(verb))
}

/// The reply to another method than POST for a verb.
pub(crate) fn only_posted(failure: Failure) -> Response {
    let mut reply = failure.in_kserve_form();
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    reply
}

async fn ready(State(app): State<Arc<App>>, open: Open) -> Reply {
    let answer = || {
        let (name, _) = model_of(open)?;
        if VERBS.iter().any(|verb| name.ends_with(verb)) {
            let failure = Failure::method_not_allowed(format!("/v1/models/{name} takes POST alone"));
            return Ok(only_posted(failure));
        }
        let running = app.catalog.get(&name, None)?;
        match running.is_ready() {
            true => Ok(body::json(StatusCode::OK, &json!({ "name": name, "ready": true }))),
            false => Err(Failure::unavailable(format!("Model with name {name} is not ready."))),
        }
    };
    answer().map_err(Failure::in_kserve_form)
}

/// `MODEL:predict` and `MODEL:explain`.
async fn ask(State(app): State<Arc<App>>, open: Open, request: Request) -> Reply {
    answer(&app, open, request).await.map_err(Failure::in_kserve_form)
}

async fn answer(app: &Arc<App>, open: Open, request: Request) -> Result<Response, Failure> {
    let (open, _) = model_of(open)?;
    let (name, verb) = open.rsplit_once(':').unwrap_or((&open, ""));
    let running = app.catalog.get(name, None)?;
    let answers = match verb {
        "predict" => "predictions",
        "explain" => "explanations",
        _ => {
            let message = format!("\"{}\" is no verb: POST /v1/models/{name}:predict or :explain", verb.escape_debug());
            return Err(Failure::bad_request(message));
        }
    };
    let (parts, content) = request.into_parts();
    let Content { bytes, room: _room } = payload::receive(&parts, content, &app.settings).await?;
    let (reader, model) = (app.clone(), running.clone());
    let asked = aside::read(bytes.len(), async move { read(&reader, &model, &bytes) });
    let (parameters, rows) = asked.await?;
    let warned: Vec<Warned> = rows.iter().map(|row| row.as_ref().map(Warned::from).unwrap_or_default()).collect();
    if verb == "predict" {
        payload::no_parameters(&parameters)?;
        let outputs = app.predict(&running, rows).await?;
        let description = running.servable().description();
        let label = |output: &Result<Vec<f64>, Failure>| match output {
            Ok(output) => description.label(output),
            Err(failure) => failure.of_row(),
        };
        let labels: Value = outputs.iter().map(label).collect();
        return Ok(body::json(StatusCode::OK, &json!({ answers: labels })));
    }
    let (_, explanations) = app.explain(&running, &parameters, rows).await?;
    let explained = Answer::of(&running, &warned).explained(&explanations);
    Ok(body::json(StatusCode::OK, &json!({ answers: explained })))
}

/// The parameters and the rows of a request; it may have none.
fn read(app: &App, running: &Running, bytes: &[u8]) -> Result<(Map<String, Value>, Each<Row>), Failure> {
    let value = strict::parse(bytes, "the body")?;
    if !value["instances"].is_array() {
        return Err(Failure::bad_request("Expected \"instances\" to be a list: {\"instances\": [record, ...]}"));
    }
    let Payload { records, parameters } = Payload::of_json(value, &app.settings)?;
    Ok((parameters, read_rows(running, records)))
}
