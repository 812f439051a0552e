//! The Jupyter kernel for Rust notebooks: Jupyter's messages on one side, the `evcxr` library on the other.
//!
//! The same program is started in four roles. Jupyter starts the kernel. The kernel's evcxr starts the process of
//! the cells, which starts a relay for its output and then becomes the process that runs cells. Cargo starts it around
//! the compiler, which is evcxr's own affair.

mod arguments;
mod bundle;
mod cell;
mod cells;
mod compiler;
mod complete;
mod dependency;
mod evaluator;
mod failure;
mod history;
mod info;
mod input;
mod inspect;
mod interrupt;
mod message;
mod outputs;
mod paths;
mod places;
mod position;
mod print;
mod queue;
mod relay;
mod report;
mod server;
mod sockets;
mod sorter;
mod wire;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.first().is_some_and(|first| first == relay::ROLE) {
        return ended(relay::run(&given[1..]));
    }
    if std::env::var_os(cells::ROLE).is_some() && std::env::var_os(cells::RELAYED).is_none() {
        return ended(cells::start_relayed());
    }
    if std::env::var_os(cells::ROLE).is_some() {
        cells::ignore_interrupts();
    }
    // Does not return in the process of the cells, nor around the compiler.
    evcxr::runtime_hook();
    ended(arguments::Arguments::read(&given).and_then(server::run))
}

fn ended(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("candle-explain-kernel: {problem}");
            ExitCode::FAILURE
        }
    }
}
