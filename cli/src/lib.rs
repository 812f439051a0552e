//! The command line, one file per command.

#![warn(missing_docs)]

mod archive;
mod batch;
mod console;
mod serve;
mod titanic;
pub mod tracking;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Why did the model say that?
#[derive(Parser)]
#[command(name = "candle-explain", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Archive(archive::Arguments),
    Batch(batch::Arguments),
    Serve(serve::Arguments),
    Titanic(titanic::Arguments),
}

/// Runs the command that the arguments name. Messages go to standard error. The exit
/// status is 0 if all went well, 1 if not, and 2 if the arguments cannot be read.
pub fn run() -> ExitCode {
    // The command tells by itself how far it is.
    candle_explain::hide_progress();
    let done = match Arguments::parse().command {
        Command::Archive(arguments) => archive::run(&arguments),
        Command::Batch(arguments) => batch::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Titanic(arguments) => titanic::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::say(format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
