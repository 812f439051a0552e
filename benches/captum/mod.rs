//! What the benchmarks beside Captum share: what is asked of it, and how far apart numbers are.

use std::path::Path;

use serde_json::{Value, json};

use crate::rival::{Outcome, Rival};

/// Captum with a model.
pub struct Captum(Rival);

impl Captum {
    /// Captum with the model of a folder.
    pub fn start(model: &Path) -> Outcome<Self> {
        Ok(Self(Rival::start("speed.py", &["--model", &model.to_string_lossy()])?))
    }

    /// What it is, in words.
    pub fn versions(&mut self) -> Outcome<String> {
        let found = self.0.ask(&json!({"method": "versions"}))?;
        let [captum, torch, transformers] =
            ["captum", "torch", "transformers"].map(|name| found[name].as_str().unwrap_or("?"));
        Ok(format!("Captum {captum}, PyTorch {torch}, transformers {transformers} on {} threads", found["threads"]))
    }

    /// The most memory that it had.
    pub fn peak_bytes(&mut self) -> Outcome<f64> {
        Ok(self.0.ask(&json!({"method": "versions"}))?["peak_bytes"].as_f64().unwrap_or_default())
    }

    /// The seconds that a request took, and the attributions.
    pub fn timed(&mut self, request: &Value) -> Outcome<(f64, Vec<f64>)> {
        let answer = self.0.ask(request)?;
        let attributions = answer["attributions"].as_array().ok_or("no attributions")?;
        let attributions = attributions.iter().filter_map(Value::as_f64).collect();
        Ok((answer["seconds"].as_f64().ok_or("no seconds")?, attributions))
    }
}

/// By how much numbers are apart, as a share of the largest of the others.
pub fn apart(ours: &[f64], theirs: &[f64]) -> f64 {
    if ours.len() != theirs.len() {
        return f64::INFINITY;
    }
    let largest = theirs.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    ours.iter().zip(theirs).map(|(one, other)| (one - other).abs()).fold(0., f64::max) / largest
}

/// The most memory that this process had, on Linux.
pub fn peak_bytes() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak")?;
    Ok(1024. * line.trim().trim_end_matches(" kB").parse::<f64>()?)
}
