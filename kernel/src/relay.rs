//! The process between evcxr and the process of the cells: it passes input on, and output as [`Sorter`] puts it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, getppid, kill_process};

use crate::sorter::Sorter;
use crate::wire::News;

pub const ROLE: &str = "--relay";

/// How evcxr's order to run a compiled cell begins.
const ORDER: &str = "LOAD_AND_RUN ";
/// The first one is evcxr's own trial. Nobody reads output at that time, and evcxr waits until all is read.
const TRIAL: &str = "code_1.";
const QUIET: Duration = Duration::from_millis(30);

/// Works until nothing can come from the process of the cells any more.
pub fn run(given: &[String]) -> Result<(), String> {
    let numbers: Vec<i32> = given.iter().filter_map(|number| number.parse().ok()).collect();
    let &[cells, to_cell, from_stdout, from_stderr] = &numbers[..] else {
        return Err(format!("the relay expected four numbers, got {given:?}"));
    };
    // SAFETY: the process that starts this one has opened these three for it, and nothing else here knows them.
    let [to_cell, from_stdout, from_stderr] =
        [to_cell, from_stdout, from_stderr].map(|number| Some(unsafe { File::from_raw_fd(number) }));
    let mut relay =
        Relay { cells, to_cell, from_stdout, from_stderr, orders: Some(Vec::new()), sorter: Sorter::default() };
    relay.run().map_err(|error| format!("the relay of the cells' output ended: {error}"))
}

struct Relay {
    cells: i32,
    to_cell: Option<File>,
    from_stdout: Option<File>,
    from_stderr: Option<File>,
    /// The line of input that has come so far; `None` once there is no more input.
    orders: Option<Vec<u8>>,
    sorter: Sorter,
}

impl Relay {
    fn run(&mut self) -> io::Result<()> {
        let mut last = Instant::now();
        while self.from_stdout.is_some() || self.from_stderr.is_some() {
            let [input, stdout, stderr] = self.ready(QUIET)?;
            if input {
                self.pass_input()?;
            }
            let mut lines = Vec::new();
            if stdout || stderr {
                last = Instant::now();
                let text = if stdout { taken(&mut self.from_stdout)? } else { Vec::new() };
                // What a cell wrote to stderr comes before the mark that ends it, which is on stdout.
                while self.from_stderr.is_some() && self.ready(Duration::ZERO)?[2] {
                    let text = taken(&mut self.from_stderr)?;
                    self.sorter.stderr(&text);
                }
                lines = self.sorter.stdout(&text);
            }
            if last.elapsed() >= QUIET {
                lines.extend(self.sorter.quiet(last.elapsed()));
            }
            say(&lines)?;
        }
        say(&self.sorter.end())
    }

    /// Which of input, stdout and stderr have something to read, or have ended.
    fn ready(&self, longest: Duration) -> io::Result<[bool; 3]> {
        let stdin = io::stdin();
        let ends: [Option<BorrowedFd>; 3] = [
            self.orders.is_some().then(|| stdin.as_fd()),
            self.from_stdout.as_ref().map(AsFd::as_fd),
            self.from_stderr.as_ref().map(AsFd::as_fd),
        ];
        let mut watched: Vec<PollFd> =
            ends.iter().flatten().map(|end| PollFd::from_borrowed_fd(*end, PollFlags::IN)).collect();
        let longest = Timespec { tv_sec: 0, tv_nsec: longest.subsec_nanos().into() };
        match poll(&mut watched, Some(&longest)) {
            Err(rustix::io::Errno::INTR) => return Ok([false; 3]),
            outcome => outcome?,
        };
        let mut states = watched.iter().map(|end| !end.revents().is_empty());
        Ok(ends.map(|end| end.is_some() && states.next().unwrap_or(false)))
    }

    fn pass_input(&mut self) -> io::Result<()> {
        let mut text = vec![0; 4096];
        let length = rustix::io::read(io::stdin(), &mut text[..])?;
        text.truncate(length);
        let Some(orders) = self.orders.as_mut().filter(|_| length > 0) else {
            // The kernel is gone, or has had enough of this process, which may be busy for ever.
            self.orders = None;
            self.to_cell = None;
            return end(self.cells);
        };
        orders.extend(&text);
        while let Some(length) = orders.iter().position(|byte| *byte == b'\n') {
            let order: Vec<u8> = orders.drain(..=length).collect();
            let order = String::from_utf8_lossy(&order);
            if order.starts_with(ORDER) && !order.contains(TRIAL) {
                say(&[News::Started.line()])?;
            }
        }
        if let Some(to_cell) = &mut self.to_cell {
            // Fails if that process has ended, which its output tells as well.
            let _ = to_cell.write_all(&text);
        }
        Ok(())
    }
}

/// What there is to read; at its end, the file is closed.
fn taken(from: &mut Option<File>) -> io::Result<Vec<u8>> {
    let mut text = vec![0; 65536];
    let length = match from {
        Some(file) => file.read(&mut text)?,
        None => 0,
    };
    text.truncate(length);
    if length == 0 {
        *from = None;
    }
    Ok(text)
}

fn say(lines: &[String]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in lines {
        writeln!(output, "{line}")?;
    }
    output.flush()
}

fn end(cells: i32) -> io::Result<()> {
    match Pid::from_raw(cells) {
        // Once that process has ended, its number may be another's.
        Some(cells) if getppid() == Some(cells) => Ok(kill_process(cells, Signal::KILL)?),
        _ => Ok(()),
    }
}
