//! The Titanic walkthrough's three attributions beside Captum's, in one run on one machine.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench titanic`, where that Python has captum, torch
//! and safetensors installed. Half of the rounds run before Captum's and half after them.

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

use candle_explain::prelude::*;
use serde_json::Value;

const ROUNDS: usize = 20;
const NEURON: usize = 10;
/// Both must compute the same thing for a comparison of times to mean anything.
const LARGEST_DIFFERENCE: f64 = 1e-4;

type Failure = Box<dyn std::error::Error>;

fn main() -> std::result::Result<(), Failure> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var("CAPTUM_PYTHON")
        .map_err(|_| "set CAPTUM_PYTHON to a Python that has captum, torch and safetensors installed")?;
    let weights = root.join("data/titanic.safetensors");
    let net = Titanic::network(Seed(1))?;
    net.load(&weights)?;
    let passengers = Titanic::load()?;
    let (_, test) = passengers.split(Split::Tutorial)?;
    println!("{}; {} test rows, 50 steps, float32", passengers.source(), test.len());

    let features = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("features.safetensors");
    let tensors = HashMap::from([("features", test.features().first().clone())]);
    candle_explain::candle_core::safetensors::save(&tensors, &features)?;

    let mut ours: Vec<Vec<f64>> = vec![Vec::new(); METHODS.len()];
    rounds(&net, &test, ROUNDS / 2, &mut ours)?;
    let child = Command::new(&python)
        .arg(root.join("benches/captum_titanic.py"))
        .args(["--rounds", &ROUNDS.to_string(), "--weights"])
        .arg(&weights)
        .arg("--features")
        .arg(&features)
        .output()?;
    if !child.status.success() {
        return Err(format!("Captum's side failed: {}", String::from_utf8_lossy(&child.stderr)).into());
    }
    let means = rounds(&net, &test, ROUNDS / 2, &mut ours)?;

    println!("{:<22} {:>12} {:>12} {:>8} {:>16}", "method", "here, ms", "Captum, ms", "ratio", "means differ by");
    let lines = String::from_utf8(child.stdout)?;
    for (index, name) in METHODS.iter().enumerate() {
        let theirs = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["method"] == *name)
            .ok_or_else(|| format!("Captum's side did not time {name}"))?;
        let captum = theirs["median_ms"].as_f64().ok_or("no median_ms")?;
        let expected = theirs["mean"].as_array().ok_or("no mean")?.iter().filter_map(Value::as_f64);
        let difference = means[index].iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0., f64::max);
        let median = median(&mut ours[index]);
        println!("{name:<22} {median:>12.2} {captum:>12.2} {:>8.1} {difference:>16.1e}", captum / median);
        if difference > LARGEST_DIFFERENCE {
            return Err(format!("{name}: the mean attributions differ by {difference}").into());
        }
    }
    Ok(())
}

const METHODS: [&str; 3] = ["IntegratedGradients", "LayerConductance", "NeuronConductance"];

/// Times each method in turn, and gives the mean attributions.
fn rounds(net: &Sequential, test: &Dataset, count: usize, times: &mut [Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let ig = IntegratedGradients::new(net);
    let layer = LayerConductance::new(net, "sigmoid1");
    let neuron = NeuronConductance::new(net, "sigmoid1", NEURON).quadrature(Quadrature::CaptumTrapezoid);
    let run = |index: usize| match index {
        0 => ig.attribute(test.features(), 1),
        1 => layer.attribute(test.features(), 1),
        _ => neuron.attribute(test.features(), 1),
    };
    let mut means = Vec::new();
    for index in 0..METHODS.len() {
        means.push(run(index)?.mean()?.values().to_vec());
    }
    for _ in 0..count {
        for (index, times) in times.iter_mut().enumerate() {
            let start = Instant::now();
            run(index)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(means)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    0.5 * (times[(times.len() - 1) / 2] + times[times.len() / 2])
}
