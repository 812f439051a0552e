//! What the cell at work has shown so far, sent on as it comes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Select, TryRecvError};
use serde_json::json;

use crate::interrupt::Interrupt;
use crate::message::Message;
use crate::places::Places;
use crate::sockets::Publisher;
use crate::wire::News;

pub struct Outputs {
    publisher: Publisher,
    interrupt: Arc<Interrupt>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cell: Option<Message>,
    places: Places,
    ended: Option<Ended>,
}

/// How a cell ended that evcxr takes for a good one.
#[derive(Debug, PartialEq)]
pub enum Ended {
    Panicked(String),
    Failed(String),
}

impl Outputs {
    pub fn new(publisher: Publisher, interrupt: Arc<Interrupt>) -> Self {
        Self { publisher, interrupt, state: Mutex::default() }
    }

    pub fn begin(&self, cell: &Message) {
        *self.lock() = State { cell: Some(cell.clone()), ..State::default() };
    }

    pub fn end(&self) -> (Places, Option<Ended>) {
        let state = std::mem::take(&mut *self.lock());
        (state.places, state.ended)
    }

    /// The cell at work.
    pub fn cell(&self) -> Option<Message> {
        self.lock().cell.clone()
    }

    pub fn stderr(&self, text: &str) {
        self.stream(&self.lock(), "stderr", text);
    }

    /// Follow the lines that evcxr reads from the process of the cells, for as long as it does.
    pub fn follow(self: &Arc<Self>, lines: Receiver<String>) {
        let this = Arc::clone(self);
        thread::spawn(move || {
            loop {
                let mut select = Select::new();
                select.recv(&lines);
                select.ready();
                if !this.take(&lines) {
                    return;
                }
            }
        });
    }

    /// Send on the lines that are there, in one go: when this is done, none is on its way. Whether there may be more.
    pub fn take(&self, lines: &Receiver<String>) -> bool {
        let mut state = self.lock();
        loop {
            match lines.try_recv() {
                Ok(line) => self.line(&mut state, &line),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn line(&self, state: &mut State, line: &str) {
        match News::read(line) {
            Some(News::Started) => self.interrupt.runs(),
            Some(News::Stdout(text)) => self.stream(state, "stdout", &text),
            Some(News::Stderr(text)) => self.stream(state, "stderr", &text),
            Some(News::Display(display)) => {
                let (kind, content) = state.places.show(display);
                if let Some(cell) = &state.cell {
                    self.publisher.send(cell, kind, content);
                }
            }
            Some(News::Panicked(text)) => state.ended = Some(Ended::Panicked(text)),
            Some(News::Failed(text)) => state.ended = Some(Ended::Failed(text)),
            // evcxr's own words.
            None => self.stream(state, "stdout", &format!("{line}\n")),
        }
    }

    fn stream(&self, state: &State, name: &str, text: &str) {
        match &state.cell {
            Some(cell) => self.publisher.send(cell, "stream", json!({"name": name, "text": text})),
            None => eprint!("{text}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
