//! TorchServe's management API.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, put};
use serde_json::{Value, json};

use super::app::{App, Open, model_of};
use super::openapi;
use crate::body;
use crate::failure::Failure;
use crate::work::running::Running;

type Reply = Result<Response, Failure>;

const MOST_WORKERS: usize = 64;
const LONGEST_LIST: usize = 100;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/models", get(list).post(register))
        .route("/models/{model}", get(describe).put(scale).delete(unregister))
        .route("/models/{model}/{version}", get(describe).put(scale).delete(unregister))
        .route("/models/{model}/{version}/set-default", put(set_default))
}

/// `OPTIONS /` and `/api-description`, where management has a port of its own.
pub(crate) fn description_routes() -> Router<Arc<App>> {
    let describe = || async { body::json(StatusCode::OK, &openapi::management()) };
    Router::new().route("/", axum::routing::options(describe)).route("/api-description", get(describe))
}

async fn list(State(app): State<Arc<App>>, uri: Uri) -> Reply {
    let query = query(&uri);
    let limit = number(&query, "limit")?.unwrap_or(LONGEST_LIST).clamp(1, LONGEST_LIST);
    let from = number(&query, "next_page_token")?.unwrap_or(0);
    let models = app.catalog.defaults();
    let shown = models.iter().skip(from).take(limit);
    let shown: Value = shown.map(|running| json!({ "modelName": running.name, "modelUrl": running.source })).collect();
    let mut answer = json!({ "models": shown });
    if models.len() > from.saturating_add(limit) {
        answer["nextPageToken"] = json!((from + limit).to_string());
    }
    Ok(body::json(StatusCode::OK, &answer))
}

async fn describe(State(app): State<Arc<App>>, open: Open) -> Reply {
    let (name, version) = model_of(open)?;
    let versions = match version.as_deref() {
        Some("all") => app.catalog.versions(&name)?,
        version => vec![app.catalog.get(&name, version)?],
    };
    Ok(body::json(StatusCode::OK, &versions.iter().map(|running| described(running)).collect()))
}

fn described(running: &Running) -> Value {
    let since = httpdate::fmt_http_date(running.since);
    let queue = running.queue();
    let worker = |number: usize| {
        json!({
            "id": (9000 + number).to_string(),
            "startTime": since,
            "status": "READY",
            "memoryUsage": 0,
            "pid": std::process::id(),
            "gpu": false,
            "gpuUsage": "N/A",
        })
    };
    json!({
        "modelName": running.name,
        "modelVersion": running.version,
        "modelUrl": running.source,
        "runtime": "candle-explain",
        "minWorkers": queue.workers(),
        "maxWorkers": queue.workers(),
        "batchSize": running.servable().description().rows_at_once,
        "maxBatchDelay": 0,
        "loadedAtStartup": running.at_start,
        "workers": (0..queue.workers()).map(worker).collect::<Value>(),
        "jobQueueStatus": {
            "remainingCapacity": queue.capacity().saturating_sub(queue.waiting()),
            "pendingRequests": queue.waiting(),
        },
    })
}

async fn register(State(app): State<Arc<App>>, request: Request) -> Reply {
    model_api(&app)?;
    let query = query(request.uri());
    let file = query.get("url").ok_or_else(|| {
        Failure::bad_request("the parameter url is missing: expected the name of an archive in the model store")
    })?;
    let workers = number(&query, "initial_workers")?.map(few).transpose()?;
    let (file, name) = (file.clone(), query.get("model_name").cloned());
    let loading = app.clone();
    let load = move || loading.catalog.load(&file, name.as_deref());
    let loaded =
        tokio::task::spawn_blocking(load).await.map_err(|_| Failure::bad_request("the model cannot be loaded"))?;
    let running = app.catalog.add(loaded?, false)?;
    if let Some(workers) = workers {
        running.scale(workers)?;
    }
    Ok(status(format!(
        "Model \"{}\" Version: {} registered with {} initial workers",
        running.name,
        running.version,
        running.queue().workers()
    )))
}

async fn scale(State(app): State<Arc<App>>, open: Open, uri: Uri) -> Reply {
    let (name, version) = model_of(open)?;
    let running = app.catalog.get(&name, version.as_deref())?;
    let query = query(&uri);
    let workers = match (number(&query, "min_worker")?, number(&query, "max_worker")?) {
        (Some(least), Some(most)) if most < least => {
            return Err(Failure::bad_request("max_worker is below min_worker"));
        }
        (Some(least), _) => least,
        (None, Some(most)) => most.min(running.queue().workers()),
        (None, None) => 1,
    };
    running.scale(few(workers)?)?;
    let waits = query.get("synchronous").is_some_and(|value| value == "true");
    let code = if waits { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(body::json(code, &json!({ "status": format!("Workers scaled to {workers} for model: {name}") })))
}

async fn set_default(State(app): State<Arc<App>>, open: Open) -> Reply {
    let (name, version) = model_of(open)?;
    let version = version.unwrap_or_default();
    app.catalog.set_default(&name, &version)?;
    Ok(status(format!("Default version successfully updated for model \"{name}\" to \"{version}\"")))
}

async fn unregister(State(app): State<Arc<App>>, open: Open) -> Reply {
    model_api(&app)?;
    let (name, version) = model_of(open)?;
    app.catalog.remove(&name, version.as_deref())?;
    Ok(status(format!("Model \"{name}\" unregistered")))
}

/// An error unless the operator lets clients register and remove models.
fn model_api(app: &App) -> Result<(), Failure> {
    if app.settings.model_api {
        return Ok(());
    }
    Err(Failure::method_not_allowed(
        "models are not registered or removed while the server runs: its operator can allow that with \
         enable_model_api=true in config.properties",
    ))
}

fn status(message: String) -> Response {
    body::json(StatusCode::OK, &json!({ "status": message }))
}

fn query(uri: &Uri) -> HashMap<String, String> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn number(query: &HashMap<String, String>, name: &str) -> Result<Option<usize>, Failure> {
    let Some(value) = query.get(name) else { return Ok(None) };
    value
        .parse()
        .map(Some)
        .map_err(|_| Failure::bad_request(format!("{name} is \"{}\": expected a whole number", value.escape_debug())))
}

fn few(workers: usize) -> Result<usize, Failure> {
    if workers <= MOST_WORKERS {
        return Ok(workers);
    }
    Err(Failure::bad_request(format!("{workers} workers: expected at most {MOST_WORKERS}")))
}
