//! Interrupting a cell, with as little loss as its state allows.
//!
//! While a cell is compiled, the compiler is ended. While it runs, a file appears for which candle-explain's long work
//! looks, and then gives up with an error, as an ordinary function would. Only a cell that goes on all the same is
//! ended with its process, and all variables are lost.

use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::compiler;
use crate::input::Input;

/// What a cell may take to stop by itself.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub struct Interrupt {
    /// The file by which a running cell is asked to stop.
    pub file: PathBuf,
    input: Arc<Input>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts the cells.
    number: u64,
    cell: Option<Cell>,
    process: Option<Arc<Mutex<Child>>>,
}

#[derive(Default)]
struct Cell {
    runs: bool,
    interrupted: bool,
    killed: bool,
}

/// What was done to a cell that has ended.
#[derive(Debug, PartialEq)]
pub enum Done {
    Nothing,
    Interrupted,
    Killed,
}

impl Interrupt {
    pub fn new(file: PathBuf, input: Arc<Input>) -> Self {
        Self { file, input, state: Mutex::default() }
    }

    pub fn begin(&self, process: Arc<Mutex<Child>>) {
        self.remove_file();
        let mut state = self.lock();
        state.number += 1;
        state.cell = Some(Cell::default());
        state.process = Some(process);
    }

    /// The cell is compiled and runs.
    pub fn runs(&self) {
        if let Some(cell) = &mut self.lock().cell {
            cell.runs = true;
        }
    }

    pub fn end(&self) -> Done {
        let cell = self.lock().cell.take().unwrap_or_default();
        self.remove_file();
        match cell {
            Cell { killed: true, .. } => Done::Killed,
            Cell { interrupted: true, .. } => Done::Interrupted,
            _ => Done::Nothing,
        }
    }

    /// Begin to stop the cell that is at work, if there is one.
    pub fn ask(self: &Arc<Self>) {
        let mut state = self.lock();
        let number = state.number;
        let Some(cell) = state.cell.as_mut().filter(|cell| !cell.interrupted) else { return };
        cell.interrupted = true;
        drop(state);
        self.input.give_up();
        let this = Arc::clone(self);
        thread::spawn(move || this.follow(number));
    }

    /// End everything that this kernel has started.
    pub fn end_all(&self) {
        let process = self.lock().process.clone();
        if let Some(process) = process {
            kill(&process);
        }
        compiler::end_all_but(0);
        self.remove_file();
    }

    fn follow(&self, number: u64) {
        let mut asked: Option<Instant> = None;
        loop {
            let mut state = self.lock();
            let process = state.process.clone();
            let is_same = state.number == number;
            let Some(cell) = state.cell.as_mut().filter(|_| is_same) else { return };
            let runs = cell.runs;
            if asked.is_some_and(|asked| asked.elapsed() >= PATIENCE) {
                cell.killed = true;
                if let Some(process) = &process {
                    kill(process);
                }
                return;
            }
            if runs && asked.is_none() {
                asked = Some(Instant::now());
                // Within the lock: a file that appears after the cell's end would stop the next one.
                if let Err(error) = std::fs::write(&self.file, "") {
                    eprintln!("{} could not be written: {error}", self.file.display());
                }
            }
            if !runs {
                // Within the lock too: it might be the next cell's compiler.
                compiler::end_all_but(process.map_or(0, |process| lock(&process).id()));
            }
            drop(state);
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn remove_file(&self) {
        // Almost never there.
        let _ = std::fs::remove_file(&self.file);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(process: &Mutex<Child>) {
    // Fails if it has ended by itself.
    let _ = lock(process).kill();
}
