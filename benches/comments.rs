//! Comments explained with the shipped classifier, beside Captum's LayerIntegratedGradients on the same checkpoint, and what
//! a comment costs as there are more of them.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench comments -- [FILE.csv] [beside] [sizes]`, where that Python has what
//! `tests/golden/requirements.txt` lists. FILE.csv has a column `text`; without it, the comments of `data/comments.csv` are
//! taken. `beside` is the comparison, `sizes` the cost for ever more comments; without either, both are measured. Captum
//! explains one comment after another with the walkthrough's settings, a sample in each round, and so does the crate where
//! it takes as many steps; their times are scaled to all comments. Captum is given ids; the crate's time is that from the
//! texts to their words.

mod captum;
mod median;
mod rival;

use std::path::Path;
use std::time::Instant;

use candle_explain::prelude::*;
use serde_json::{Value, json};

use crate::captum::{Captum, apart, peak_bytes};
use crate::median::median;
use crate::rival::Outcome;

const MODEL: &str = "data/sentiment-vi";
const COMMENTS: usize = 1_000;
const SAMPLE: usize = 20;
const ROUNDS: usize = 3;
/// Of the Vietnamese walkthrough.
const ITS_STEPS: usize = 500;
const ITS_BATCH: usize = 3;
const AT_MOST: f64 = 0.1;
const LARGEST_DIFFERENCE: f64 = 1e-4;
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (files, works): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| argument.ends_with(".csv"));
    let wanted = |work: &str| works.is_empty() || works.iter().any(|wanted| *wanted == work);
    let all = Comments::load(files.first().map_or("data/comments.csv", |file| file))?;
    let model = TextClassifier::from_pretrained(MODEL)?.truncate(true);
    println!("{} comments, again and again where more are explained, with {MODEL}", all.len());
    Explainer::new(&model).batch(&first(&all, SAMPLE))?;
    if wanted("beside") {
        beside_captum(&model, &first(&all, COMMENTS))?;
    }
    if wanted("sizes") {
        for count in SIZES {
            cost(&model, &first(&all, count))?;
        }
    }
    Ok(())
}

fn first(all: &Comments, count: usize) -> Comments {
    all.rows().iter().cycle().take(count).cloned().collect()
}

fn beside_captum(model: &TextClassifier, comments: &Comments) -> Outcome<()> {
    let (explain, fixed) = (Explainer::new(model), Explainer::new(model).n_steps(ITS_STEPS));
    let mut captum = Captum::start(&Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL))?;
    println!("{}; medians of {ROUNDS} rounds", captum.versions()?);
    let (mut theirs, mut tolerant, mut equal) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let sample: Comments = comments.rows().iter().skip(round).step_by(COMMENTS / SAMPLE).cloned().collect();
        let scale = COMMENTS as f64 / sample.len() as f64;
        tolerant.push(seconds(|| whole(&explain, comments))?);
        equal.push(scale * seconds(|| whole(&fixed, &sample))?);
        let mut of_sample = 0.;
        for comment in sample.rows() {
            let (seconds, attributions) = captum.timed(&request(model, comment)?)?;
            of_sample += seconds;
            let furthest = if round == 0 { apart(&tokens(model, comment)?, &attributions) } else { 0. };
            if furthest > LARGEST_DIFFERENCE {
                return Err(format!("\"{}\": the attributions are {furthest:.1e} apart", comment.text).into());
            }
        }
        theirs.push(scale * of_sample);
    }
    let theirs = median(&mut theirs);
    println!("{:<44} {:>10} {:>10} {:>7} {:>8}", "work", "Captum, s", "here, s", "ratio", "at most");
    for (name, mut times) in [("tolerance 0.001", tolerant), ("500 steps, scaled from the samples", equal)] {
        let (name, ours) = (format!("{COMMENTS} comments, {name}"), median(&mut times));
        println!("{name:<44} {theirs:>10.1} {ours:>10.2} {:>7.4} {AT_MOST:>8.2}", ours / theirs);
    }
    println!(
        "Captum's time is that of {SAMPLE} comments in each round with {ITS_STEPS} steps, {ITS_BATCH} at once, times {}; \
         peak memory of the processes: Captum {:.0} MB, here {:.0} MB",
        COMMENTS / SAMPLE,
        captum.peak_bytes()? / 1e6,
        peak_bytes()? / 1e6
    );
    Ok(())
}

/// What each of these comments costs.
fn cost(model: &TextClassifier, comments: &Comments) -> Outcome<()> {
    let count = comments.len();
    let mut times = vec![0.; if count < COMMENTS { ROUNDS } else { 1 }];
    for time in &mut times {
        *time = seconds(|| whole(&Explainer::new(model), comments))?;
    }
    let each = 1e3 * median(&mut times) / count as f64;
    println!("{count:>6} comments: {each:.2} ms each; peak memory {:.0} MB", peak_bytes()? / 1e6);
    Ok(())
}

/// An error unless all of them are explained.
fn whole(explain: &Explainer, comments: &Comments) -> Result<()> {
    explain.batch(comments)?.rows().try_for_each(|row| row.map(drop))
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Outcome<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// What Captum is asked about a comment.
fn request(model: &TextClassifier, comment: &Comment) -> Outcome<Value> {
    let input = model.tokenize(comment)?;
    let ids = |input: &TextInput| input.ids().to_vec2::<u32>();
    Ok(json!({
        "method": "LayerIntegratedGradients",
        "ids": ids(&input)?,
        "baseline": ids(&input.reference()?)?,
        "target": model.predictions(&input)?[0].class,
        "n_steps": ITS_STEPS,
        "internal_batch_size": ITS_BATCH,
    }))
}

/// The attributions of a comment's tokens with as many steps.
fn tokens(model: &TextClassifier, comment: &Comment) -> Outcome<Vec<f64>> {
    let input = model.tokenize(comment)?;
    let method = LayerIntegratedGradients::new(model, "embeddings").baseline(input.reference()?).n_steps(ITS_STEPS);
    let found = method.attribute(&input, Target::Predicted)?;
    Ok(found.tensor().to_dtype(DType::F64)?.sum(2)?.flatten_all()?.to_vec1()?)
}
