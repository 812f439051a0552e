//! Bodies of replies.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

/// JSON with an indentation of two, as TorchServe writes it.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    typed(status, "application/json", format!("{value:#}\n"))
}

pub(crate) fn text(content: impl Into<Body>) -> Response {
    typed(StatusCode::OK, "text/plain; charset=utf-8", content)
}

pub(crate) fn typed(status: StatusCode, kind: &'static str, content: impl Into<Body>) -> Response {
    let mut reply = Response::new(content.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
