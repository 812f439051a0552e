//! What a request gets instead of an answer.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use candle_explain::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::body;

/// Seconds after which a client that was turned away may try again.
const RETRY_AFTER: &str = "1";

/// What a request gets instead of an answer: a status, TorchServe's name for it, and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The same failure with another message.
    pub(crate) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "the token is missing or not the right one: send the header \"Authorization: Bearer KEY\" with \
                       the key of key_file.json that is meant for this port";
        Self::new(StatusCode::BAD_REQUEST, "InvalidKeyException", message)
    }

    pub(crate) fn no_model(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ModelNotFoundException", message)
    }

    pub(crate) fn no_version(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ModelVersionNotFoundException", message)
    }

    pub(crate) fn no_such_path(path: &str) -> Self {
        let message = format!("there is nothing at {path}: GET /api-description lists what there is");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub(crate) fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowedException", message)
    }

    pub(crate) fn not_acceptable(accept: &str) -> Self {
        let message = format!(
            "no answer in the form \"{accept}\": ask for application/json, text/html, text/csv, image/svg+xml, \
             image/png or */*"
        );
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptableException", message)
    }

    pub(crate) fn timed_out_reading(seconds: u64) -> Self {
        let message = format!("the body did not come within {seconds} seconds");
        Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", message)
    }

    pub(crate) fn head_too_late(seconds: u64) -> Self {
        let message = format!("the request's head did not come within {seconds} seconds");
        Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ConflictStatusException", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than the {limit} bytes that this server takes (max_request_size)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaTypeException", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message)
    }

    /// The failure of a computation, caused by the request or by the model itself.
    pub(crate) fn of_computation(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Input | ErrorKind::Layer | ErrorKind::Gradient => Self::bad_request(error.to_string()),
            _ => Self::internal(error.to_string()),
        }
    }

    /// What a row without an answer gets: `{"error": "..."}`.
    pub(crate) fn of_row(&self) -> Value {
        json!({ "error": self.message })
    }

    /// The body that KServe's clients expect: `{"error": "..."}`.
    pub(crate) fn in_kserve_form(self) -> Response {
        let reply = body::json(self.status, &json!({ "error": self.message }));
        self.with_headers(reply)
    }

    /// The body that clients of this address expect.
    pub(crate) fn at(self, path: &str) -> Response {
        match path.starts_with("/v1/") || path.starts_with("/v2/") {
            true => self.in_kserve_form(),
            false => self.into_response(),
        }
    }

    fn torchserves(&self) -> Value {
        json!({ "code": self.status.as_u16(), "type": self.kind, "message": self.message })
    }

    /// The whole reply in bytes, for a connection without a request to reply to.
    pub(crate) fn whole(&self) -> Vec<u8> {
        let body = self.torchserves().to_string();
        let (status, length) = (self.status, body.len());
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }

    fn with_headers(&self, mut reply: Response) -> Response {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if matches!(self.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // The rest of the body is not read.
            reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

/// The failure for an error in what a client sent.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::new(ErrorKind::Input, failure.message)
    }
}

impl IntoResponse for Failure {
    /// TorchServe's body.
    fn into_response(self) -> Response {
        self.with_headers(body::json(self.status, &self.torchserves()))
    }
}
