//! The parameters, metrics and files of one training run.

use std::path::{Path, PathBuf};

use candle_explain::file::{cannot_write, write_whole};
use candle_explain::{Result, error};
use serde_json::{Map, Value, json};

/// The parameters, metrics and files of one training run. The files are in a folder, whether or not
/// anything is logged.
#[derive(Clone, Debug)]
pub struct Report {
    folder: PathBuf,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) artifacts: Vec<String>,
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The metric's name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// After how many epochs it was measured.
    pub step: usize,
}

impl Report {
    /// A report whose files go into a folder, which is created if it does not exist.
    pub fn new(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| cannot_write(folder, e))?;
        Ok(Self { folder: folder.to_path_buf(), params: Vec::new(), metrics: Vec::new(), artifacts: Vec::new() })
    }

    /// The folder with its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of its files below the folder.
    pub fn artifacts(&self) -> &[String] {
        &self.artifacts
    }

    /// Adds a parameter of the run.
    pub fn param(&mut self, name: impl Into<String>, value: impl ToString) {
        self.params.push((name.into(), value.to_string()));
    }

    /// Adds a value of a metric after `step` epochs.
    pub fn metric(&mut self, name: impl Into<String>, value: f64, step: usize) {
        self.metrics.push(Metric { name: name.into(), value, step });
    }

    /// Adds a file, which `write` writes to the path that it gets.
    pub fn artifact(&mut self, name: impl Into<String>, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let name = name.into();
        let path = self.folder.join(&name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| cannot_write(folder, e))?;
        }
        write(&path)?;
        self.artifacts.push(name);
        Ok(())
    }

    /// Writes the parameters and metrics into `run.json` in the same folder.
    pub fn save(&self) -> Result<()> {
        let params: Map<String, Value> =
            self.params.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let metrics: Value = self
            .metrics
            .iter()
            .map(|metric| json!({ "name": metric.name, "value": metric.value, "step": metric.step }))
            .collect();
        let run = json!({ "params": params, "metrics": metrics, "artifacts": self.artifacts });
        let path = self.folder.join("run.json");
        write_whole(&path, |temporary| {
            std::fs::write(temporary, format!("{run:#}\n")).map_err(|e| cannot_write(&path, e))
        })
    }

    pub(crate) fn read(&self, artifact: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(artifact);
        std::fs::read(&path).map_err(|e| error!(File, "cannot read {}: {e}", path.display()))
    }
}
