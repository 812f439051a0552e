//! KServe's V1 protocol.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Warned};
use super::app::{App, Open, model_of, read_rows};
use super::payload::{self, Payload};
use super::servable::Row;
use super::{Failure, Running, aside, body, strict_json};

type Reply = Result<Response, Response>;

const VERBS: [&str; 2] = [":predict", ":explain"];

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/models", get(list)).route("/v1/models/{model}", get(ready).post(ask))
}

async fn list(State(app): State<Arc<App>>) -> Response {
    let names: Value = app.catalog.defaults().iter().map(|running| running.name.as_str()).collect();
    body::json(StatusCode::OK, &json!({ "models": names }))
}

async fn ready(State(app): State<Arc<App>>, open: Open) -> Reply {
    let answer = || {
        let (name, _) = model_of(open)?;
        if VERBS.iter().any(|verb| name.ends_with(verb)) {
            return Err(Failure::method_not_allowed(format!("/v1/models/{name} takes POST alone")));
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
    let bytes = payload::receive(&parts, content, &app.settings).await?;
    let (reader, model) = (app.clone(), running.clone());
    let asked = aside::read(bytes.len(), async move { read(&reader, &model, &bytes) });
    let (parameters, rows) = asked.await?;
    if rows.is_empty() {
        return Ok(body::json(StatusCode::OK, &json!({ answers: [] })));
    }
    let warned: Vec<Warned> = rows.iter().map(Warned::from).collect();
    if verb == "predict" {
        payload::no_parameters(&parameters)?;
        let outputs = app.predict(&running, rows).await?;
        let description = running.servable().description();
        let labels: Value = outputs.iter().map(|output| description.label(output)).collect();
        return Ok(body::json(StatusCode::OK, &json!({ answers: labels })));
    }
    let (ask, explanations) = app.explain(&running, &parameters, rows).await?;
    let detailed = Answer::of(&running, &warned).detailed(&ask, &explanations);
    Ok(body::json(StatusCode::OK, &json!({ answers: detailed["rows"] })))
}

/// The parameters and the rows of a request; it may have none.
fn read(app: &App, running: &Running, bytes: &[u8]) -> Result<(Map<String, Value>, Vec<Row>), Failure> {
    let value = strict_json::parse(bytes)?;
    match value["instances"].as_array() {
        Some(none) if none.is_empty() => return Ok((Map::new(), Vec::new())),
        Some(_) => {}
        None => {
            return Err(Failure::bad_request("Expected \"instances\" to be a list: {\"instances\": [record, ...]}"));
        }
    }
    let Payload { records, parameters } = Payload::of_json(value, &app.settings)?.within(&app.settings)?;
    Ok((parameters, read_rows(running, &records)?))
}
