//! HTTP to a tracking server: its address, credentials and retries.

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use candle_explain::{Error, Result, bail, error};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderValue, Method, Request, Uri};

/// An upload of fewer bytes a second is too slow.
const SLOWEST: usize = 100_000;
/// How many characters of an error answer are shown.
const SHOWN: usize = 300;

/// How long a request is retried if the server does not answer, or answers that it cannot.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long one request may take; a large file gets a second more for every 100 kB.
    pub request: Duration,
    /// The pause before the second try; each further one is twice as long.
    pub pause: Duration,
    /// How long one call may be retried in all.
    pub total: Duration,
}

impl Default for Patience {
    /// 20 seconds per request, a first pause of a quarter of a second, and a minute in all.
    fn default() -> Self {
        Self { request: Duration::from_secs(20), pause: Duration::from_millis(250), total: Duration::from_secs(60) }
    }
}

/// The credentials of a request; they are never shown.
pub(super) enum Credentials {
    User(String, String),
    Token(String),
}

pub(super) struct Server {
    agent: Agent,
    /// The address without user and password, so that messages can show it.
    address: String,
    authorization: Option<HeaderValue>,
    patience: Patience,
}

impl Server {
    /// A server at an `http` or `https` address. A user and a password in the address are used if there are
    /// no other credentials.
    pub(super) fn new(address: &str, credentials: Option<Credentials>, patience: Patience) -> Result<Self> {
        let Some((address, in_address)) = without_user(address) else {
            bail!(Input, "MLFLOW_TRACKING_URI is no address: expected one like http://127.0.0.1:5000")
        };
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        let authorization = credentials.or(in_address).map(header).transpose()?;
        Ok(Self { agent: config.into(), address, authorization, patience })
    }

    /// Sends a request, and again if the server does not answer, or answers that it cannot just now.
    pub(super) fn ask(&self, method: &Method, path: &str, content: &[u8]) -> std::result::Result<Value, Failure> {
        let (begun, mut pause) = (Instant::now(), self.patience.pause);
        loop {
            let failure = match self.try_once(method, path, content) {
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
        let fails = |may_pass, code, what: String| {
            let message = format!("{method} {}{shown}: {what}", self.address);
            Failure { message, code, may_pass }
        };
        let broken = |e: ureq::Error| fails(may_pass(&e), None, e.to_string());
        let kind = if *method == Method::PUT { "application/octet-stream" } else { "application/json" };
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.address));
        request = request.header("Content-Type", kind);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let request = request.body(content).map_err(|e| broken(e.into()))?;
        let time = self.patience.request + Duration::from_secs((content.len() / SLOWEST) as u64);
        let request = self.agent.configure_request(request).timeout_global(Some(time)).build();
        let mut reply = self.agent.run(request).map_err(broken)?;
        let status = reply.status().as_u16();
        let body = reply.body_mut().read_to_string().map_err(broken)?;
        let answer = serde_json::from_str::<Value>(&body);
        if !(200..300).contains(&status) {
            let code = answer.ok().and_then(|answer| answer["error_code"].as_str().map(str::to_string));
            let what = format!("{status} {}", body.trim().chars().take(SHOWN).collect::<String>());
            return Err(fails(matches!(status, 408 | 429 | 500..), code, what));
        }
        if body.trim().is_empty() {
            return Ok(Value::Null);
        }
        answer.map_err(|e| fails(false, None, format!("the answer is no JSON: {e}: is it MLflow?")))
    }
}

/// Whether a retry may help: not if the address or a certificate is wrong.
fn may_pass(error: &ureq::Error) -> bool {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
    match error {
        // An untrusted certificate gives this error.
        Io(error) => error.kind() != std::io::ErrorKind::InvalidData,
        other => matches!(other, ConnectionFailed | HostNotFound | Protocol(_) | Timeout(_)),
    }
}

/// An address without its user and password, and these as credentials.
fn without_user(address: &str) -> Option<(String, Option<Credentials>)> {
    let uri: Uri = address.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    // The text in the place of the port may be a password followed by a slash.
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return None;
    }
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let credentials = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        Credentials::User(decoded(name), decoded(password))
    });
    Some((format!("{scheme}://{host}{}", uri.path().trim_end_matches('/')), credentials))
}

fn header(credentials: Credentials) -> Result<HeaderValue> {
    let text = match credentials {
        Credentials::User(name, password) => {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
        }
        Credentials::Token(token) => format!("Bearer {}", token.trim()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        error!(Input, "MLFLOW_TRACKING_TOKEN cannot be sent: expected letters, digits and signs, in one line")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a server answered, or why it did not.
pub(super) struct Failure {
    message: String,
    /// MLflow's name for the error.
    code: Option<String>,
    /// Whether a retry may help.
    may_pass: bool,
}

impl Failure {
    /// Whether MLflow gave an error of this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        error!(File, "{}", failure.message)
    }
}
