//! Attributions of a text by a classifier of PhoBERT's size with random weights, beside Captum's on the same checkpoint.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench speed -- [WORK...]`, where that Python has what
//! `tests/golden/requirements.txt` lists, and each WORK is the beginning of a line of the table. Without any, all are
//! measured, which takes an hour on two cores. The two sides take turns, and must agree to 1e-4 of the largest number
//! where they compute the same. For paths the last column has the rate of their products over that of a product alone, measured
//! in the same rounds.

mod captum;
mod median;
mod passage;
mod rival;

use std::path::Path;
use std::time::Instant;

use candle_explain::prelude::*;
use serde_json::{Value, json};

use crate::captum::{Captum, apart, peak_bytes};
use crate::median::median;
use crate::passage::{Text, shape};
use crate::rival::Outcome;

const ROUNDS: usize = 5;
const STEPS: usize = 48;
/// Of the Vietnamese walkthrough.
const ITS_STEPS: usize = 500;
const ITS_BATCH: usize = 3;
const DELTA: f64 = 1e-3;
const STEPS_OF_LAYERS: usize = 16;
/// Captum takes the fastest of these.
const BATCHES: [usize; 4] = [4, 8, 16, 32];
const COALITIONS: usize = 256;
const WINDOW: usize = 2;
const TOGETHER: usize = 16;
const LARGEST_DIFFERENCE: f64 = 1e-4;
const TOKENS: usize = 32;
const PRODUCTS: usize = 20;

fn main() -> Outcome<()> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("phobert-sized-frozen");
    let model = SequenceClassifier::untrained(&shape(), Seed(1))?;
    model.save(&folder)?;
    let mut captum = Captum::start(&folder)?;
    println!("PhoBERT's size, {} numbers; {}; medians", model.parameter_count(), captum.versions()?);
    println!(
        "{:<50} {:>6} {:>10} {:>10} {:>7} {:>8} {:>9} {:>11}",
        "work", "rounds", "Captum, ms", "here, ms", "ratio", "at most", "apart by", "of products"
    );
    for work in works(&model)? {
        if asked.is_empty() || asked.iter().any(|asked| work.name.starts_with(asked.as_str())) {
            work.measure(&mut captum)?;
        }
    }
    let theirs = captum.peak_bytes()?;
    println!("peak memory of the processes: Captum {:.0} MB, here {:.0} MB", theirs / 1e6, peak_bytes()? / 1e6);
    Ok(())
}

/// What both sides do.
struct Work {
    name: String,
    /// The aim: the most of Captum's time that it may take.
    at_most: f64,
    /// Captum's side.
    request: Value,
    text: Text,
    method: Box<dyn Attribute>,
    /// Whether both compute the same numbers.
    same: bool,
    rounds: usize,
    /// The multiplications and additions of its dense products.
    operations: Option<f64>,
}

impl Work {
    fn measure(&self, captum: &mut Captum) -> Outcome<()> {
        let request = self.fastest(captum)?;
        let (mut here, mut there, mut furthest, mut rates) = (Vec::new(), Vec::new(), 0f64, Vec::new());
        self.text.attribute(&*self.method)?;
        for _ in 0..self.rounds {
            let start = Instant::now();
            let ours = self.text.attribute(&*self.method)?;
            here.push(start.elapsed().as_secs_f64() * 1e3);
            if self.operations.is_some() {
                rates.push(product_rate()?);
            }
            let (seconds, theirs) = captum.timed(&request)?;
            there.push(seconds * 1e3);
            furthest = furthest.max(apart(&ours, &theirs));
            if self.same && furthest > LARGEST_DIFFERENCE {
                return Err(format!("{}: the attributions are {furthest:.1e} apart", self.name).into());
            }
        }
        let (here, there) = (median(&mut here), median(&mut there));
        let share = self.operations.map(|operations| operations / (here / 1e3) / median(&mut rates));
        println!(
            "{:<50} {:>6} {there:>10.0} {here:>10.0} {:>7.3} {:>8.2} {furthest:>9.1e} {:>11}",
            self.name,
            self.rounds,
            here / there,
            self.at_most,
            share.map(|share| format!("{share:.2}")).unwrap_or_default()
        );
        Ok(())
    }

    /// The request with the internal batch that takes Captum the least time, where it has no other.
    fn fastest(&self, captum: &mut Captum) -> Outcome<Value> {
        if self.request["internal_batch_size"] != json!(null) || self.request["n_steps"].is_null() {
            return Ok(self.request.clone());
        }
        let mut best = (f64::INFINITY, Value::Null);
        for rows in BATCHES {
            let mut request = self.request.clone();
            request["internal_batch_size"] = json!(rows);
            let (seconds, _) = captum.timed(&request)?;
            if seconds < best.0 {
                best = (seconds, request);
            }
        }
        Ok(best.1)
    }
}

/// Multiplications and additions a second of our product of many rows with weights of the largest of this size, on all cores.
fn product_rate() -> Outcome<f64> {
    let (rows, shape) = (768, shape());
    let layer = Linear::new(shape.hidden, shape.intermediate, Seed(1))?;
    let x = Tensor::ones((rows, shape.hidden), DType::F32, &Device::Cpu)?;
    layer.forward_frozen(&x)?;
    let start = Instant::now();
    for _ in 0..PRODUCTS {
        layer.forward_frozen(&x)?;
    }
    Ok((2 * rows * shape.hidden * shape.intermediate * PRODUCTS) as f64 / start.elapsed().as_secs_f64())
}

/// The multiplications and additions of the dense products of a path: of each step forward and back, and of the function at both
/// ends. Of the last layer, only keys and values are those of all tokens.
fn operations(tokens: usize, steps: usize) -> f64 {
    let shape = shape();
    let of_projection = shape.hidden * shape.hidden;
    let of_layer = 4 * of_projection + 2 * shape.hidden * shape.intermediate;
    let forward = 2 * tokens * ((shape.layers - 1) * of_layer + 2 * of_projection);
    (forward * (2 * steps + 2)) as f64
}

fn works(model: &SequenceClassifier) -> Outcome<Vec<Work>> {
    let mut works = Vec::new();
    for tokens in [32, 8, 64, 128, 256] {
        let text = Text::of(tokens)?;
        let steps = if tokens > 64 { STEPS / 4 } else { STEPS };
        works.push(Work {
            name: format!("path {tokens} tokens, {steps} steps"),
            at_most: 0.80,
            request: text.path(json!({"n_steps": steps})),
            method: Box::new(text.integrated(model).n_steps(steps)),
            text,
            same: true,
            rounds: ROUNDS,
            operations: Some(operations(tokens, steps)),
        });
    }
    let text = Text::of(TOKENS)?;
    if let Ok(coarse) = model.precision(Precision::Bf16) {
        works.push(Work {
            name: format!("bf16 {TOKENS} tokens, {STEPS} steps"),
            at_most: 0.45,
            request: text.path(json!({"n_steps": STEPS})),
            method: Box::new(text.integrated(&coarse).n_steps(STEPS)),
            text: text.clone(),
            same: false,
            rounds: ROUNDS,
            operations: None,
        });
    }
    let of_walkthrough = |name: String, at_most: f64, method: LayerIntegratedGradients, same: bool| Work {
        name,
        at_most,
        request: text.path(json!({"n_steps": ITS_STEPS, "internal_batch_size": ITS_BATCH})),
        method: Box::new(method),
        text: text.clone(),
        same,
        rounds: 1,
        operations: None,
    };
    let itself = text.integrated(model).n_steps(ITS_STEPS).internal_batch_size(ITS_BATCH);
    works.push(of_walkthrough(format!("walkthrough: {ITS_STEPS} steps, {ITS_BATCH} at once"), 0.65, itself, true));
    let settled = text.integrated(model).tolerance(DELTA);
    let name = format!("tolerance: a delta below {DELTA} beside {ITS_STEPS} steps");
    works.push(of_walkthrough(name, 0.03, settled, false));
    works.push(of_layers(model)?);
    let without = |name: String, request: Value, method: Box<dyn Attribute>, same: bool| Work {
        name,
        at_most: 0.75,
        request,
        method,
        text: text.clone(),
        same,
        rounds: ROUNDS,
        operations: None,
    };
    works.push(without(
        format!("FeatureAblation of {TOKENS} tokens"),
        asked(&text, "FeatureAblation", json!({})),
        Box::new(FeatureAblation::new(model).baseline(&text.baseline)),
        true,
    ));
    works.push(without(
        format!("Occlusion of {WINDOW} of {TOKENS} tokens"),
        asked(&text, "Occlusion", json!({"window": WINDOW})),
        Box::new(Occlusion::new(model, WINDOW).baseline(&text.baseline)),
        true,
    ));
    works.push(without(
        format!("KernelShap, {COALITIONS} coalitions of {TOKENS} tokens"),
        asked(&text, "KernelShap", json!({"n_samples": COALITIONS})),
        Box::new(KernelShap::new(model).n_samples(COALITIONS).baseline(&text.baseline)),
        false,
    ));
    Ok(works)
}

/// The conductance of every encoder layer, which Captum takes one after another.
fn of_layers(model: &SequenceClassifier) -> Outcome<Work> {
    let text = Text::of(TOKENS)?;
    let upper = FromLayer::new(model, "embeddings");
    let names = model.encoder().encoder_layers();
    let name = format!("LayerConductance of {} layers, {STEPS_OF_LAYERS} steps", names.len());
    let method = LayerConductance::new(&upper, names).baseline(upper.inputs(&text.baseline)?).n_steps(STEPS_OF_LAYERS);
    Ok(Work {
        name,
        at_most: 0.75,
        request: text.request("LayerConductance", json!({"n_steps": STEPS_OF_LAYERS})),
        method: Box::new(method),
        text: Text { inputs: upper.inputs(&text.ids)?, ..text },
        same: true,
        rounds: ROUNDS,
        operations: None,
    })
}

/// What Captum is asked of a method that leaves tokens out.
fn asked(text: &Text, method: &str, settings: Value) -> Value {
    let mut request = text.request(method, settings);
    request["perturbations_per_eval"] = json!(TOGETHER);
    request
}
