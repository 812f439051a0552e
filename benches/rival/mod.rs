//! The other side of a benchmark: a Python script that answers requests, a line of JSON for each.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub struct Rival {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Rival {
    /// Starts a script of `benches/` with as many threads as this machine has, in the Python that `CAPTUM_PYTHON` names.
    pub fn start(script: &str, arguments: &[&str]) -> Outcome<Self> {
        let python = std::env::var("CAPTUM_PYTHON")
            .map_err(|_| "set CAPTUM_PYTHON to a Python that has what tests/golden/requirements.txt lists")?;
        let mut process = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(script))
            .args(["--threads", &std::thread::available_parallelism()?.to_string()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = process.stdin.take().ok_or("no input")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no output")?);
        Ok(Self { process, requests, answers })
    }

    pub fn ask(&mut self, request: &Value) -> Outcome<Value> {
        writeln!(self.requests, "{request}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the other side failed".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // It waits for a request.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
