//! Who answers which request.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

use crate::arguments::Arguments;
use crate::evaluator::{self, Shared};
use crate::history::History;
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::message::{self, Message};
use crate::outputs::Outputs;
use crate::queue::Queue;
use crate::sockets;
use crate::{complete, info};

/// What the last messages of a kernel take to leave.
const FAREWELL: Duration = Duration::from_millis(100);
const INTERRUPT_FILE: &str = "interrupt";

pub fn run(arguments: Arguments) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime could be made: {error}"))?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), String> {
    let sockets = sockets::bind(&arguments.connection_file).await?;
    let input = Arc::new(Input::new(sockets.stdin));
    let file = evaluator::compile_folder().map(|folder| folder.join(INTERRUPT_FILE)).unwrap_or_else(|| {
        std::env::temp_dir().join(format!("candle-explain-{INTERRUPT_FILE}-{}", std::process::id()))
    });
    let interrupt = Arc::new(Interrupt::new(file, Arc::clone(&input)));
    let shared = Shared {
        queue: Arc::new(Queue::default()),
        history: Arc::new(Mutex::new(History::default())),
        outputs: Arc::new(Outputs::new(sockets.publisher.clone(), Arc::clone(&interrupt))),
        interrupt,
        input,
        publisher: sockets.publisher,
        answers: sockets.shell.answers,
    };
    thread::spawn({
        let shared = shared.clone();
        move || evaluator::run(&arguments, shared)
    });
    let failed = |error| format!("signals cannot be received: {error}");
    let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminations = signal(SignalKind::terminate()).map_err(failed)?;
    let (mut shell, mut control) = (sockets.shell.requests, sockets.control.requests);
    let control_answers = sockets.control.answers;
    loop {
        let (request, answers) = tokio::select! {
            biased;
            Some(request) = control.recv() => (request, &control_answers),
            Some(request) = shell.recv() => (request, &shared.answers),
            _ = interrupts.recv() => {
                shared.interrupt.ask();
                continue;
            }
            _ = terminations.recv() => break,
            else => break,
        };
        if message::kind(&request) == "shutdown_request" {
            let restart = message::flag(&request, "restart", false);
            answer(&shared, answers, &request, json!({"status": "ok", "restart": restart}));
            break;
        }
        if let Some(content) = content(&shared, &request) {
            answer(&shared, answers, &request, content);
        }
    }
    shared.interrupt.end_all();
    tokio::time::sleep(FAREWELL).await;
    // The evaluator's thread may be in the middle of anything.
    std::process::exit(0);
}

/// The answer, if it can be given at once.
fn content(shared: &Shared, request: &Message) -> Option<Value> {
    match message::kind(request) {
        "kernel_info_request" => Some(info::kernel_info()),
        "is_complete_request" => Some(complete::answer(message::text(request, "code"))),
        "history_request" => Some(shared.history.lock().unwrap_or_else(PoisonError::into_inner).answer(request)),
        "comm_info_request" => Some(json!({"status": "ok", "comms": {}})),
        "interrupt_request" => {
            shared.interrupt.ask();
            Some(json!({"status": "ok"}))
        }
        // By the time that a cell is done, the reader has typed on.
        "complete_request" if shared.outputs.cell().is_some() => {
            Some(evaluator::no_completions(message::number(request, "cursor_pos").unwrap_or(0)))
        }
        "execute_request" | "complete_request" | "inspect_request" => {
            shared.queue.add(request.clone());
            None
        }
        "comm_open" => {
            let id = message::text(request, "comm_id");
            shared.publisher.send(request, "comm_close", json!({"comm_id": id, "data": {}}));
            None
        }
        _ => None,
    }
}

fn answer(shared: &Shared, answers: &UnboundedSender<Message>, request: &Message, content: Value) {
    shared.publisher.status(request, "busy");
    // Fails only when the kernel ends.
    let _ = answers.send(message::reply(request, content));
    shared.publisher.status(request, "idle");
    // Clients show the last status that they heard, whatever it was about.
    if let Some(cell) = shared.outputs.cell() {
        shared.publisher.status(&cell, "busy");
    }
}
