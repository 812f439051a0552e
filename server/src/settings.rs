//! The operator's settings, with the keys of TorchServe's config.properties.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_explain::engine::Check;
use candle_explain::{Result, bail, error};

use crate::files::input_directory::InputDirectory;

/// The operator's settings. [`Settings::from_file`] reads them from a file like TorchServe's
/// config.properties.
///
/// | Key | Default | Meaning |
/// |---|---|---|
/// | `inference_address` | `http://127.0.0.1:8080` | predictions, explanations, KServe, the page |
/// | `management_address` | `http://127.0.0.1:8081` | models |
/// | `metrics_address` | `http://127.0.0.1:8082` | Prometheus; addresses may be the same |
/// | `model_store` | none | the folder with archives and checkpoint folders |
/// | `load_models` | `all` | which of them are loaded: `all`, `none`, or names and files: `titanic=titanic.mar,vi` |
/// | `job_queue_size` | 100 | requests that may wait for one model; more get 503 |
/// | `default_workers_per_model` | 1 | threads that compute for one model |
/// | `default_response_timeout` | 120 | seconds until an answer that is not ready becomes 500; a quick model's predictions do not wait |
/// | `max_request_size` | 6553500 | bytes of a body, after decompression |
/// | `disable_token_authorization` | true on loopback, else false | whether requests need no key |
/// | `enable_model_api` | false | whether models may be registered and removed |
/// | `input_directory` | none | the only folder below which `input_file_path` is read; its small files are remembered until they change |
/// | `max_rows` | 1000 | rows of one request |
/// | `max_steps` | 5000 | steps of one explanation |
/// | `gradient_check` | `error` | what happens if the gradient of an explanation disagrees with the model's outputs: `error`, `warn`, or `off` (not checked); see [`Check`] |
/// | `max_connections` | 512 | connections at each port at once; more wait |
/// | `drain_timeout` | 30 | seconds that open requests get when the server is told to end |
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) inference_address: SocketAddr,
    pub(crate) management_address: SocketAddr,
    pub(crate) metrics_address: SocketAddr,
    pub(crate) model_store: Option<PathBuf>,
    pub(crate) load_models: Vec<String>,
    pub(crate) job_queue_size: usize,
    pub(crate) workers: usize,
    pub(crate) response_timeout: Duration,
    pub(crate) max_request_size: usize,
    pub(crate) authorization: Option<bool>,
    pub(crate) model_api: bool,
    pub(crate) input_directory: Option<InputDirectory>,
    pub(crate) max_rows: usize,
    pub(crate) max_steps: usize,
    pub(crate) gradient_check: Check,
    pub(crate) max_connections: usize,
    pub(crate) drain_timeout: Duration,
    ignored: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            inference_address: local(8080),
            management_address: local(8081),
            metrics_address: local(8082),
            model_store: None,
            load_models: vec!["all".to_string()],
            job_queue_size: 100,
            workers: 1,
            response_timeout: Duration::from_secs(120),
            max_request_size: 6_553_500,
            authorization: None,
            model_api: false,
            input_directory: None,
            max_rows: 1000,
            max_steps: 5000,
            gradient_check: Check::default(),
            max_connections: 512,
            drain_timeout: Duration::from_secs(30),
            ignored: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads a file like TorchServe's config.properties. Keys without a meaning here are
    /// kept in [`Settings::ignored`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|e| error!(File, "cannot read the settings {}: {e}", path.display()))?;
        Self::from_properties(&text).map_err(|e| e.at(path.display()))
    }

    /// The same from the file's text.
    pub fn from_properties(text: &str) -> Result<Self> {
        let mut settings = Self::default();
        let joined = text.replace("\\\r\n", "").replace("\\\n", "");
        for (index, line) in joined.lines().enumerate() {
            let line = line.trim().trim_start_matches('\u{feff}');
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                bail!(File, "line {}: \"{line}\": expected key=value", index + 1)
            };
            settings = settings.set(key.trim(), value.trim()).map_err(|e| e.at(format!("line {}", index + 1)))?;
        }
        Ok(settings)
    }

    /// The same with one key set, as in config.properties.
    pub fn set(&self, key: &str, value: &str) -> Result<Self> {
        let mut changed = self.clone();
        match key {
            "inference_address" => changed.inference_address = address(key, value)?,
            "management_address" => changed.management_address = address(key, value)?,
            "metrics_address" => changed.metrics_address = address(key, value)?,
            "model_store" => changed.model_store = Some(PathBuf::from(value)),
            "load_models" => changed.load_models = value.split(',').map(|model| model.trim().to_string()).collect(),
            "job_queue_size" => changed.job_queue_size = number(key, value, 1)?,
            "default_workers_per_model" => changed.workers = number(key, value, 1)?,
            "default_response_timeout" => changed.response_timeout = seconds(key, value)?,
            "max_request_size" => changed.max_request_size = number(key, value, 1)?,
            "disable_token_authorization" => changed.authorization = Some(!flag(key, value)?),
            "enable_model_api" => changed.model_api = flag(key, value)?,
            "input_directory" => changed.input_directory = Some(InputDirectory::open(Path::new(value))?),
            "max_rows" => changed.max_rows = number(key, value, 1)?,
            "max_steps" => changed.max_steps = number(key, value, 1)?,
            "gradient_check" => changed.gradient_check = check(key, value)?,
            "max_connections" => changed.max_connections = number(key, value, 1)?,
            "drain_timeout" => changed.drain_timeout = seconds(key, value)?,
            other => changed.ignored.push(other.to_string()),
        }
        Ok(changed)
    }

    /// Keys that were set but have no meaning here.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The address for predictions and explanations.
    pub fn inference_address(&self) -> SocketAddr {
        self.inference_address
    }

    /// Whether requests must carry a key; by default they must if other machines can
    /// reach the server.
    pub fn needs_keys(&self) -> bool {
        let addresses = [self.inference_address, self.management_address, self.metrics_address];
        self.authorization.unwrap_or_else(|| addresses.iter().any(|address| !address.ip().is_loopback()))
    }
}

fn address(key: &str, value: &str) -> Result<SocketAddr> {
    let host = value.strip_prefix("http://").unwrap_or(value).trim_end_matches('/');
    if host.starts_with("https://") {
        bail!(Input, "{key} is \"{value}\": this server speaks http; put a proxy in front of it for https")
    }
    let resolved = host.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    resolved
        .ok_or_else(|| error!(Input, "{key} is \"{value}\": expected host and port, for example http://127.0.0.1:8080"))
}

fn number(key: &str, value: &str, least: usize) -> Result<usize> {
    match value.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => bail!(Input, "{key} is \"{value}\": expected a whole number of at least {least}"),
    }
}

fn seconds(key: &str, value: &str) -> Result<Duration> {
    Ok(Duration::from_secs(number(key, value, 1)? as u64))
}

fn flag(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => bail!(Input, "{key} is \"{value}\": expected true or false"),
    }
}

fn check(key: &str, value: &str) -> Result<Check> {
    match value {
        "error" => Ok(Check::Error),
        "warn" => Ok(Check::Warn),
        "off" => Ok(Check::Off),
        _ => bail!(Input, "{key} is \"{value}\": expected error, warn or off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torchserves_file_is_read() {
        let text = "\u{feff}# a comment\r\ninference_address=http://127.0.0.1:9090\r\n\nmodel_store=model_store/\n\
                    load_models=titanic=titanic.mar,\\\nvi\nenable_envvars_config=true\n";
        let settings = Settings::from_properties(text).unwrap();
        assert_eq!(settings.inference_address.port(), 9090);
        assert_eq!(settings.load_models, ["titanic=titanic.mar", "vi"]);
        assert_eq!(settings.ignored(), ["enable_envvars_config"]);
        assert!(!settings.needs_keys());
    }

    #[test]
    fn keys_are_needed_where_others_can_reach_the_server() {
        let open = Settings::from_properties("inference_address=http://0.0.0.0:8080").unwrap();
        assert!(open.needs_keys());
        assert!(!open.set("disable_token_authorization", "true").unwrap().needs_keys());
        assert!(Settings::default().set("disable_token_authorization", "false").unwrap().needs_keys());
    }

    #[test]
    fn a_wrong_value_is_named() {
        let message = |text: &str| Settings::from_properties(text).unwrap_err().to_string();
        assert!(message("\njob_queue_size=none").contains("line 2: job_queue_size is \"none\""));
        assert!(message("max_rows=0").contains("at least 1"));
        assert!(message("inference_address=https://[::1]:1").contains("speaks http"));
        assert!(message("inference_address=nowhere").contains("host and port"));
        assert!(message("enable_model_api=yes").contains("true or false"));
        assert!(message("gradient_check=none").contains("error, warn or off"));
        assert!(message("hello").contains("key=value"));
    }
}
