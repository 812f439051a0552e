//! The one thread that compiles and runs: evcxr does one thing at a time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use evcxr::{CommandContext, EvalContext};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;

use crate::arguments::Arguments;
use crate::cell::{Outcome, Runner};
use crate::dependency::Dependencies;
use crate::failure::Failure;
use crate::history::History;
use crate::input::Input;
use crate::inspect;
use crate::interrupt::Interrupt;
use crate::message::{self, Message};
use crate::outputs::Outputs;
use crate::paths::Paths;
use crate::places::Places;
use crate::position;
use crate::queue::Queue;
use crate::sockets::Publisher;

/// What the evaluator shares with the sockets.
#[derive(Clone)]
pub struct Shared {
    pub queue: Arc<Queue>,
    pub history: Arc<Mutex<History>>,
    pub outputs: Arc<Outputs>,
    pub interrupt: Arc<Interrupt>,
    pub input: Arc<Input>,
    pub publisher: Publisher,
    pub answers: UnboundedSender<Message>,
}

/// Where evcxr compiles, if it is told where.
pub fn compile_folder() -> Option<PathBuf> {
    std::env::var_os("EVCXR_TMPDIR").map(PathBuf::from)
}

/// Work for as long as the kernel lives.
pub fn run(arguments: &Arguments, shared: Shared) {
    let prepared = prepare(&arguments.prepare);
    let runner = prepared.as_ref().map_err(String::clone).and_then(|_| start(&shared));
    let mut evaluator = Evaluator { shared, runner, count: 0 };
    for code in prepared.iter().flatten() {
        evaluator.preload(code);
    }
    loop {
        let request = evaluator.shared.queue.next();
        evaluator.shared.publisher.status(&request, "busy");
        let content = match message::kind(&request) {
            "execute_request" => evaluator.execute(&request),
            "complete_request" => evaluator.complete(&request),
            _ => evaluator.inspect(&request),
        };
        let stops = content["status"] == "error" && message::flag(&request, "stop_on_error", true);
        // Taken before the answer: a client that has it may send a cell on purpose.
        let behind = if stops { evaluator.shared.queue.give_up_cells() } else { Vec::new() };
        evaluator.answer(&request, content);
        for cell in behind {
            evaluator.shared.publisher.status(&cell, "busy");
            evaluator.answer(&cell, json!({"status": "aborted", "execution_count": evaluator.count}));
        }
    }
}

/// The cells to be read in advance.
fn prepare(command: &[String]) -> Result<Vec<String>, String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(Vec::new()) };
    let prepared = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{program} could not be started: {error}"))?;
    if !prepared.status.success() {
        return Err(format!(
            "the folder that cells are compiled in could not be prepared ({}); the kernel's log says why",
            prepared.status
        ));
    }
    serde_json::from_slice(&prepared.stdout)
        .map_err(|error| format!("{program} should have printed a JSON list of cells: {error}"))
}

fn start(shared: &Shared) -> Result<Runner, String> {
    let failed = |error: &dyn std::fmt::Display| format!("evcxr did not start: {error}");
    let folder = std::env::current_dir().map_err(|error| failed(&error))?;
    let mut cells = Command::new(std::env::current_exe().map_err(|error| failed(&error))?);
    cells.env("CANDLE_EXPLAIN_DISPLAYS", "1").env("CANDLE_EXPLAIN_INTERRUPT", &shared.interrupt.file);
    let (context, from_cells) = EvalContext::with_subprocess_command(cells).map_err(|error| failed(&error))?;
    let mut context = CommandContext::with_eval_context(context);
    context.execute(":load_config --quiet").map_err(|error| failed(&error))?;
    shared.outputs.follow(from_cells.stdout.clone());
    shared.outputs.follow(from_cells.stderr);
    Ok(Runner {
        context,
        lines: from_cells.stdout,
        outputs: Arc::clone(&shared.outputs),
        interrupt: Arc::clone(&shared.interrupt),
        input: Arc::clone(&shared.input),
        paths: Paths::new(compile_folder().as_deref().and_then(Path::parent), &folder),
        dependencies: Dependencies::new(folder)?,
        flushes: false,
    })
}

struct Evaluator {
    shared: Shared,
    /// Or why there is none.
    runner: Result<Runner, String>,
    count: usize,
}

impl Evaluator {
    /// Let rust-analyzer read what cells with this code need, unless somebody waits.
    fn preload(&mut self, code: &str) {
        if let (Ok(runner), true) = (&mut self.runner, self.shared.queue.is_empty()) {
            let (commands, rust): (Vec<&str>, Vec<&str>) = code.lines().partition(|line| line.starts_with(':'));
            let rust = rust.join("\n");
            // It is only there to be read; what is wrong with it is the first cell's to tell. Asking for the type of its
            // last word has the types of all its variables inferred, as running it would.
            let _ = runner.context.hover_at(&format!("{rust}\n{}", commands.join("\n")), rust.len());
        }
    }

    fn answer(&self, request: &Message, content: Value) {
        // Fails only when the kernel ends.
        let _ = self.shared.answers.send(message::reply(request, content));
        self.shared.publisher.status(request, "idle");
    }

    fn execute(&mut self, cell: &Message) -> Value {
        let code = message::text(cell, "code");
        let silent = message::flag(cell, "silent", false);
        let stored = message::flag(cell, "store_history", true) && !silent;
        self.count += usize::from(stored);
        if !silent {
            let input = json!({"code": code, "execution_count": self.count});
            self.shared.publisher.send(cell, "execute_input", input);
        }
        let (outcome, places) = match &mut self.runner {
            Ok(runner) => runner.run(cell, self.count),
            Err(problem) => (Err(Failure::new("KernelError", problem)), Places::default()),
        };
        if stored {
            let output = outcome.as_ref().ok().and_then(Option::as_ref).map(plain).unwrap_or_default();
            self.shared.history.lock().unwrap_or_else(PoisonError::into_inner).add(self.count, code, output);
        }
        self.reported(cell, outcome, places, silent)
    }

    fn reported(&self, cell: &Message, outcome: Outcome, places: Places, silent: bool) -> Value {
        let (result, failure) = match outcome {
            Ok(result) => (result.filter(|_| !silent), None),
            Err(failure) => (None, Some(failure)),
        };
        for (kind, content) in places.end(result, self.count) {
            self.shared.publisher.send(cell, kind, content);
        }
        match failure {
            None => json!({
                "status": "ok",
                "execution_count": self.count,
                "payload": [],
                "user_expressions": expressions(cell),
            }),
            Some(failure) => {
                let mut content = failure.content();
                self.shared.publisher.send(cell, "error", content.clone());
                content["status"] = "error".into();
                content["execution_count"] = self.count.into();
                content
            }
        }
    }

    fn complete(&mut self, request: &Message) -> Value {
        let code = message::text(request, "code");
        let cursor = message::number(request, "cursor_pos").unwrap_or(usize::MAX);
        let at = position::to_bytes(code, cursor);
        let found = self.runner.as_mut().ok().and_then(|runner| runner.context.completions(code, at).ok());
        let Some(found) = found else { return no_completions(position::to_characters(code, at)) };
        let start = position::to_characters(code, found.start_offset);
        let end = position::to_characters(code, found.end_offset);
        let kinds: Vec<Value> = found
            .completions
            .iter()
            .map(|one| json!({"text": one.code, "type": one.kind, "start": start, "end": end}))
            .collect();
        let matches: Vec<&String> = found.completions.iter().map(|one| &one.code).collect();
        json!({
            "status": "ok",
            "matches": matches,
            "cursor_start": start,
            "cursor_end": end,
            "metadata": {"_jupyter_types_experimental": kinds},
        })
    }

    fn inspect(&mut self, request: &Message) -> Value {
        let code = message::text(request, "code");
        let at = position::to_bytes(code, message::number(request, "cursor_pos").unwrap_or(usize::MAX));
        let found = self.runner.as_mut().ok().and_then(|runner| {
            let code = inspect::asked_about(code, at)?;
            runner.context.hover_at(&code, code.len()).ok()
        });
        match found.filter(|(text, _)| text != "No documentation found") {
            Some((text, html)) => {
                json!({"status": "ok", "found": true, "data": {"text/plain": text, "text/html": html}, "metadata": {}})
            }
            None => json!({"status": "ok", "found": false, "data": {}, "metadata": {}}),
        }
    }
}

/// The answer to a completion for which there is nothing, or no time.
pub fn no_completions(cursor: usize) -> Value {
    json!({"status": "ok", "matches": [], "cursor_start": cursor, "cursor_end": cursor, "metadata": {}})
}

fn plain(result: &Map<String, Value>) -> &str {
    result.get("text/plain").and_then(Value::as_str).unwrap_or_default()
}

/// What a client wants computed beside the cell, which Rust has no way to do.
fn expressions(cell: &Message) -> Map<String, Value> {
    let refusal = Failure::new("NotSupported", "user_expressions are not evaluated: put the expression into the cell");
    let refused = || {
        let mut content = refusal.content();
        content["status"] = "error".into();
        content
    };
    let asked = message::field(cell, "user_expressions").as_object();
    asked.into_iter().flatten().map(|(name, _)| (name.clone(), refused())).collect()
}
