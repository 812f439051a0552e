//! The page to try models with, and what it must know about them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use candle_explain::engine::Target;
use serde_json::{Value, json};

use super::parameters;
use crate::body;
use crate::models::tabular_model::{Field, FieldKind};
use crate::settings::Settings;
use crate::work::running::Running;

const PAGE: &str = include_str!("page.html");
/// The page loads nothing else and talks only to this server.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn reply() -> Response {
    let mut reply = body::typed(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    reply.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    reply
}

/// What a model's form must know.
pub(crate) fn model(running: &Running, settings: &Settings) -> Value {
    let description = running.servable().description();
    let target = match &description.target {
        Target::Class(class) => description.class_name(*class).into(),
        Target::None => Value::Null,
        _ => "predicted".into(),
    };
    json!({
        "name": running.name,
        "version": running.version,
        "kind": description.kind.name(),
        "classes": description.classes,
        "target": target,
        "record": description.fields.iter().map(field).collect::<Value>(),
        "methods": parameters::methods(description, settings),
        "parameters": parameters::controls(description, settings),
    })
}

fn field(field: &Field) -> Value {
    match &field.kind {
        FieldKind::Number { range, typical } => json!({
            "name": field.name,
            "kind": "number",
            "lowest": range.map(|(lowest, _)| lowest),
            "highest": range.map(|(_, highest)| highest),
            "typical": typical,
        }),
        FieldKind::Choice { choices, typical } => {
            json!({ "name": field.name, "kind": "choice", "choices": choices, "typical": typical })
        }
        FieldKind::Text { typical, .. } => json!({ "name": field.name, "kind": "text", "typical": typical }),
    }
}
