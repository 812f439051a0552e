//! What the benchmarks beside Captum share: Captum in a process of its own, and medians.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

pub type Failure = Box<dyn std::error::Error>;
pub type Outcome<T> = std::result::Result<T, Failure>;

/// Captum, in a process that answers requests.
pub struct Captum {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Captum {
    /// Captum with the model of a folder, in the Python that the environment names.
    pub fn start(model: &Path) -> Outcome<Self> {
        let python = std::env::var("CAPTUM_PYTHON")
            .map_err(|_| "set CAPTUM_PYTHON to a Python that has captum, torch and transformers installed")?;
        let threads = std::thread::available_parallelism()?;
        let mut process = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/speed.py"))
            .args(["--threads", &threads.to_string(), "--model"])
            .arg(model)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = process.stdin.take().ok_or("no input")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no output")?);
        Ok(Self { process, requests, answers })
    }

    fn ask(&mut self, request: &Value) -> Outcome<Value> {
        writeln!(self.requests, "{request}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the other side failed".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// What it is, in words.
    pub fn versions(&mut self) -> Outcome<String> {
        let found = self.ask(&json!({"method": "versions"}))?;
        let [captum, torch, transformers] =
            ["captum", "torch", "transformers"].map(|name| found[name].as_str().unwrap_or("?"));
        Ok(format!("Captum {captum}, PyTorch {torch}, transformers {transformers} on {} threads", found["threads"]))
    }

    /// The most memory that it had.
    pub fn peak_bytes(&mut self) -> Outcome<f64> {
        Ok(self.ask(&json!({"method": "versions"}))?["peak_bytes"].as_f64().unwrap_or_default())
    }

    /// The seconds that a request took, and the attributions.
    pub fn timed(&mut self, request: &Value) -> Outcome<(f64, Vec<f64>)> {
        let answer = self.ask(request)?;
        let attributions = answer["attributions"].as_array().ok_or("no attributions")?;
        let attributions = attributions.iter().filter_map(Value::as_f64).collect();
        Ok((answer["seconds"].as_f64().ok_or("no seconds")?, attributions))
    }
}

impl Drop for Captum {
    fn drop(&mut self) {
        // It waits for a request.
        let _ = self.process.kill();
        let _ = self.process.wait();
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

pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    0.5 * (times[(times.len() - 1) / 2] + times[times.len() / 2])
}
