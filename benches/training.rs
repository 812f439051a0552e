//! Training beside PyTorch: the Titanic network, and a classifier of the shipped one's size.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench training`, where that Python has what `tests/golden/requirements.txt`
//! lists. The two sides take turns. PyTorch's classifier gets random tokens in texts of the same lengths.

mod median;
mod rival;

use std::time::Instant;

use candle_explain::prelude::*;
use serde_json::{Value, json};

use median::median;
use rival::{Outcome, Rival};

const ROUNDS: usize = 5;
const EPOCHS: usize = 200;
const LEARNING_RATE: f64 = 0.1;
const TEXTS: usize = 1600;

fn main() -> Outcome<()> {
    let mut torch = Rival::start("training.py", &[])?;
    let versions = torch.ask(&json!({"method": "versions"}))?;
    let [torch_version, transformers] = ["torch", "transformers"].map(|name| versions[name].as_str().unwrap_or("?"));
    println!("PyTorch {torch_version}, transformers {transformers}; medians of {ROUNDS} rounds");
    println!("{:<46} {:>12} {:>10} {:>7} {:>8}", "work", "PyTorch, ms", "here, ms", "ratio", "at most");
    titanic(&mut torch)?;
    classifier(&mut torch)
}

fn titanic(torch: &mut Rival) -> Outcome<()> {
    let (train, _) = Titanic::load()?.split(Split::Tutorial)?;
    let features = train.features().first().to_vec2::<f32>()?;
    let request = json!({
        "method": "titanic", "features": features, "labels": train.labels(), "epochs": EPOCHS, "learning_rate": LEARNING_RATE,
    });
    let run = || {
        let net = Titanic::network(Seed(1))?;
        let start = Instant::now();
        Trainer::adam(LEARNING_RATE).epochs(EPOCHS).fit(&net, &train)?;
        Ok(start.elapsed().as_secs_f64())
    };
    compare(&format!("Titanic network, {EPOCHS} epochs of {} rows", train.len()), 0.1, torch, &request, run)
}

fn classifier(torch: &mut Rival) -> Outcome<()> {
    let shipped = Comments::load("data/comments.csv")?;
    let comments: Comments = shipped.rows().iter().cycle().take(TEXTS).cloned().collect();
    let trainer = SentimentTrainer::new(["positive", "negative"]).epochs(1);
    let tokenizer = Tokenizer::from_pretrained("data/sentiment-vi")?;
    let lengths = comments.rows().iter().map(|comment| Ok(tokenizer.ids(&comment.text)?.len()));
    let lengths = lengths.collect::<Result<Vec<_>>>()?;
    let request = json!({
        "method": "classifier", "lengths": lengths, "batch": 32, "vocabulary": 3000, "hidden": 128, "layers": 2, "heads": 4,
        "tokens": 256, "dropout": 0.2,
    });
    // Without what comes before the first step, which learns the vocabulary and checks the gradient.
    let run = || {
        let (mut first, mut last) = (None, Instant::now());
        trainer.fit_watched(&comments, |_, _, _| {
            last = Instant::now();
            first.get_or_insert(last);
        })?;
        let steps = TEXTS.div_ceil(32) as f64;
        Ok((last - first.unwrap_or(last)).as_secs_f64() * steps / (steps - 1.))
    };
    compare(&format!("classifier, an epoch of {TEXTS} texts"), 0.8, torch, &request, run)
}

fn compare(
    name: &str,
    at_most: f64,
    torch: &mut Rival,
    request: &Value,
    run: impl Fn() -> Outcome<f64>,
) -> Outcome<()> {
    let (mut there, mut here) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let ours = run()?;
        let theirs = torch.ask(request)?["seconds"].as_f64().ok_or("no seconds")?;
        // The first round warms both up.
        if round > 0 {
            here.push(ours * 1e3);
            there.push(theirs * 1e3);
        }
    }
    let (here, there) = (median(&mut here), median(&mut there));
    println!("{name:<46} {there:>12.1} {here:>10.1} {:>7.3} {at_most:>8.2}", here / there);
    Ok(())
}
