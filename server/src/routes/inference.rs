//! TorchServe's inference API, and the page.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get};
use serde_json::{Map, Value, json};

use super::app::{App, Open, model_of, read_rows};
use super::{kserve_v1, openapi, page};
use crate::answers::accept::Form;
use crate::answers::answer::Answer;
use crate::answers::told::Warned;
use crate::body;
use crate::failure::Failure;
use crate::models::servable::Row;
use crate::request::aside;
use crate::request::aside::Room;
use crate::request::payload::{self, Content, Payload};
use crate::work::rows::Each;
use crate::work::running::Running;

type Reply = Result<Response, Failure>;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/models", get(models))
        .route("/predictions/{model}", asked(predictions))
        .route("/predictions/{model}/{version}", asked(predictions))
        .route("/explanations/{model}", asked(explanations))
        .route("/explanations/{model}/{version}", asked(explanations))
}

/// A route for the HTTP methods that TorchServe's clients use to send bodies.
fn asked<H: Handler<T, Arc<App>> + Clone, T: 'static>(answer: H) -> MethodRouter<Arc<App>> {
    get(answer.clone()).post(answer.clone()).put(answer)
}

/// The routes that need no key: whether the server runs, and its description.
pub(crate) fn open_routes() -> Router<Arc<App>> {
    Router::new().route("/", any(root)).route("/ping", get(ping)).route("/api-description", get(description))
}

/// The page for a browser, the description for TorchServe's `OPTIONS`, a sign of life for KServe.
async fn root(State(app): State<Arc<App>>, method: Method, headers: HeaderMap) -> Response {
    match method {
        Method::OPTIONS => body::json(StatusCode::OK, &openapi::inference(&app)),
        _ if Form::is_page(&headers) => page::reply(),
        _ => body::json(StatusCode::OK, &json!({ "status": "alive" })),
    }
}

async fn ping(State(app): State<Arc<App>>) -> Response {
    match app.catalog.defaults().iter().all(|running| running.is_ready()) {
        true => body::json(StatusCode::OK, &json!({ "status": "Healthy" })),
        false => body::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "status": "Unhealthy" })),
    }
}

async fn description(State(app): State<Arc<App>>) -> Response {
    body::json(StatusCode::OK, &openapi::inference(&app))
}

async fn models(State(app): State<Arc<App>>) -> Response {
    let models = app.catalog.defaults().iter().map(|running| page::model(running, &app.settings)).collect::<Value>();
    body::json(StatusCode::OK, &json!({ "models": models }))
}

/// A request to a model that was read.
struct Asked {
    running: Arc<Running>,
    form: Form,
    parameters: Map<String, Value>,
    rows: Each<Row>,
    warned: Vec<Warned>,
    _room: Room,
}

async fn read(app: &Arc<App>, open: Open, request: Request) -> Result<Asked, Failure> {
    let (name, version) = model_of(open)?;
    let running = app.catalog.get(&name, version.as_deref())?;
    let (parts, content) = request.into_parts();
    let form = Form::wanted(&parts.headers)?;
    let Content { bytes, room } = payload::receive(&parts, content, &app.settings).await?;
    let app = app.clone();
    aside::read(bytes.len(), async move {
        let Payload { records, parameters } = Payload::read(&parts, bytes, &app.settings).await?;
        let rows = read_rows(&running, records);
        let warned = rows.iter().map(|row| row.as_ref().map(Warned::from).unwrap_or_default()).collect();
        Ok(Asked { running, form, parameters, rows, warned, _room: room })
    })
    .await
}

async fn predictions(State(app): State<Arc<App>>, open: Open, request: Request) -> Reply {
    let Asked { running, form, parameters, rows, warned, _room } = read(&app, open, request).await?;
    payload::no_parameters(&parameters)?;
    let outputs = app.predict(&running, rows).await?;
    Answer::of(&running, &warned).predictions(form, &outputs)
}

async fn explanations(State(app): State<Arc<App>>, open: Open, request: Request) -> Reply {
    let Asked { running, form, parameters, rows, warned, _room } = read(&app, open, request).await?;
    let (ask, explanations) = app.explain(&running, &parameters, rows).await?;
    let answer = move || Answer::of(&running, &warned).explanations(form, &ask, &explanations);
    match form {
        // Drawing takes so long that others would wait.
        Form::Svg | Form::Png => {
            let drawn = tokio::task::spawn_blocking(answer).await;
            drawn.unwrap_or_else(|_| Err(Failure::internal("the picture could not be drawn")))
        }
        _ => answer(),
    }
}

/// The reply for an unknown address.
pub(crate) async fn nothing(request: Request) -> Response {
    Failure::no_such_path(request.uri().path()).at(request.uri().path())
}

/// The reply for a method that an address does not take.
pub(crate) async fn not_allowed(request: Request) -> Response {
    let path = request.uri().path();
    let failure = Failure::method_not_allowed(format!("{path} does not take {}", request.method()));
    match kserve_v1::is_verb(path) {
        true => kserve_v1::only_posted(failure),
        false => failure.at(path),
    }
}
