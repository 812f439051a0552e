//! The process that runs the cells, before it runs any.
//!
//! evcxr starts it with pipes for its input and output and reads whole lines only. So it starts a [relay](crate::relay)
//! that stands at those pipes, and then becomes itself again with pipes to the relay. Its number stays the same, so
//! evcxr's handle ends the right process; and the relay, a process of its own, still delivers what a cell wrote before
//! it crashed.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Set by evcxr.
pub const ROLE: &str = "EVCXR_IS_RUNTIME";
pub const RELAYED: &str = "CANDLE_EXPLAIN_RELAYED";

pub fn start_relayed() -> Result<(), String> {
    become_relayed().map_err(|error| format!("the process of the cells could not start: {error}"))
}

fn become_relayed() -> io::Result<()> {
    let (cell_stdin, to_cell) = io::pipe()?;
    let (from_stdout, cell_stdout) = io::pipe()?;
    let (from_stderr, cell_stderr) = io::pipe()?;
    let program = std::env::current_exe()?;
    let mut relay = Command::new(&program);
    relay.arg(crate::relay::ROLE).arg(std::process::id().to_string()).env_remove(ROLE);
    for end in [to_cell.as_fd(), from_stdout.as_fd(), from_stderr.as_fd()] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::empty())?;
        relay.arg(end.as_raw_fd().to_string());
    }
    relay.spawn()?;
    for end in [to_cell.as_fd(), from_stdout.as_fd(), from_stderr.as_fd()] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    Err(Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(RELAYED, "1")
        // The kernel shows where a panic was and what it said; a list of frames would only bury it.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::from(cell_stdin))
        .stdout(Stdio::from(cell_stdout))
        .stderr(Stdio::from(cell_stderr))
        .exec())
}

/// Ctrl-C in the terminal that Jupyter runs in reaches this process too, and would take all variables with it.
pub fn ignore_interrupts() {
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::new(AtomicBool::new(false))) {
        eprintln!("Ctrl-C would end the cells: {error}");
    }
}
