//! Trains a small sentiment classifier on comments and writes it into a folder.
//!
//! `cargo run --release --example train_sentiment -- COMMENTS.csv FOLDER [OPTIONS]`
//!
//!
//! `--help` lists the options.

use std::io::{IsTerminal, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};

use candle_explain::prelude::*;

const USAGE: &str = "\
train_sentiment COMMENTS.csv FOLDER [OPTIONS]

COMMENTS.csv has columns text and label (whole numbers from 0 on).

  --labels positive,negative   the names of the classes
  --test 2000                  how many comments at the end are only tested with
  --epochs 5  --seed 13  --vocabulary 3000  --hidden 128  --layers 2
  --vietnamese                 texts are segmented into words when they are explained";

type Failure = Box<dyn std::error::Error>;

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> std::result::Result<(), Failure> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if take_flag(&mut arguments, "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let vietnamese = take_flag(&mut arguments, "--vietnamese");
    let labels = take_option::<String>(&mut arguments, "--labels")?.unwrap_or("positive,negative".to_string());
    let tested = take_option(&mut arguments, "--test")?.unwrap_or(0);
    let mut trainer = SentimentTrainer::new(labels.split(',')).vietnamese(vietnamese);
    if let Some(epochs) = take_option(&mut arguments, "--epochs")? {
        trainer = trainer.epochs(epochs);
    }
    if let Some(seed) = take_option(&mut arguments, "--seed")? {
        trainer = trainer.seed(Seed(seed));
    }
    if let Some(vocabulary) = take_option(&mut arguments, "--vocabulary")? {
        trainer = trainer.vocabulary(vocabulary);
    }
    if let Some(hidden) = take_option(&mut arguments, "--hidden")? {
        trainer = trainer.hidden(hidden);
    }
    if let Some(layers) = take_option(&mut arguments, "--layers")? {
        trainer = trainer.layers(layers);
    }
    let [file, folder] = arguments.as_slice() else {
        return Err(format!("expected two names, with options of those below, and not {arguments:?}\n{USAGE}").into());
    };
    let comments = Comments::load(file)?;
    // That nothing can be written is to be known before the training, not after it.
    std::fs::create_dir_all(folder).map_err(|e| format!("cannot make the folder {folder}: {e}"))?;
    let probe = std::path::Path::new(folder).join(".writable");
    std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe)).map_err(|e| format!("{folder}: {e}"))?;
    if tested >= comments.len() {
        return Err(format!("{tested} comments to test with, and there are {} in all", comments.len()).into());
    }
    for (class, name) in labels.split(',').enumerate() {
        let count = comments.rows().iter().filter(|comment| comment.label == Some(class)).count();
        println!("label {class} is «{name}»: {count} comments");
    }
    let (train, test) = (comments.first(comments.len() - tested), comments.skip(comments.len() - tested));

    let (started, on_terminal) = (Instant::now(), std::io::stdout().is_terminal());
    let mut printed = Instant::now();
    let trained = trainer.fit_watched(&train, |step, steps, loss| {
        let wait = Duration::from_secs(if on_terminal { 0 } else { 10 });
        if step == steps || printed.elapsed() >= wait {
            printed = Instant::now();
            let left = started.elapsed().as_secs_f64() / step as f64 * (steps - step) as f64;
            let (start, end) = if on_terminal { ("\r", "   ") } else { ("", "\n") };
            print!("{start}step {step}/{steps} ({}%), loss {loss:.3}, {left:.0} s left{end}", 100 * step / steps);
            // A display that cannot be shown must not stop the training.
            let _ = std::io::stdout().flush();
        }
    })?;
    println!();
    trained.save(folder)?;
    println!(
        "{} comments, {} numbers, {:.0} s; train accuracy {:.4}",
        train.len(),
        trained.classifier().parameter_count(),
        trained.elapsed().as_secs_f64(),
        trained.accuracy(&train)?
    );
    if tested > 0 {
        println!("test accuracy {:.4} on the last {tested} comments", trained.accuracy(&test)?);
    }
    println!("config.json, model.safetensors and tokenizer.json in {folder}");
    Ok(())
}

/// Whether a flag was given; it is taken out.
fn take_flag(arguments: &mut Vec<String>, name: &str) -> bool {
    let found = arguments.iter().position(|argument| argument == name);
    found.map(|index| arguments.remove(index)).is_some()
}

/// The value of an option, if it was given; both are taken out.
fn take_option<T: FromStr>(arguments: &mut Vec<String>, name: &str) -> std::result::Result<Option<T>, Failure> {
    let Some(index) = arguments.iter().position(|argument| argument == name) else { return Ok(None) };
    arguments.remove(index);
    let value = if index < arguments.len() { arguments.remove(index) } else { String::new() };
    value.parse().map(Some).map_err(|_| format!("{name} is \"{value}\"").into())
}
