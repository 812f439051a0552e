//! The fused layers of an encoder beside the same layers composed of candle's operations, with the vectors of this processor
//! and without any of its own: there too nothing may be slower than candle.
//!
//! `cargo bench --bench plain`. candle's products choose their vectors themselves, on both sides.

mod median;

use std::time::Instant;

use candle_explain::device::stand_in;
use candle_explain::model::RobertaShape;
use candle_explain::nn::without_vectors;
use candle_explain::prelude::*;

use median::median;

const ROUNDS: usize = 3;
const STEPS: usize = 12;
const LARGEST_DIFFERENCE: f64 = 1e-4;
/// Of the device that the CPU stands for to take candle's way: so large that passes have as many rows.
const MEMORY: usize = 1 << 30;

fn main() -> Result<()> {
    let model = SequenceClassifier::untrained(&shape(), Seed(1))?;
    println!("{STEPS} steps of LayerIntegratedGradients; medians of {ROUNDS} rounds in turns, ms");
    println!("{:<12} {:>8} {:>14} {:>16} {:>8}", "tokens", "fused", "no vectors", "candle", "ratio");
    for tokens in [8, 32, 128] {
        let ids: Vec<u32> = (0..tokens).map(|place| 5 + 7 * place).collect();
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        let method = LayerIntegratedGradients::new(&model, "embeddings").n_steps(STEPS).baseline(ids.ones_like()?);
        let run = |times: &mut Vec<f64>| -> Result<Vec<f64>> {
            let start = Instant::now();
            let found = method.attribute(&ids, 1)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            Ok(found.tensor().to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
        };
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            let fused = run(&mut times[0])?;
            without_vectors(true);
            let bare = run(&mut times[1]);
            without_vectors(false);
            stand_in(Some(MEMORY));
            let candle = run(&mut times[2]);
            stand_in(None);
            let candle = candle?;
            let largest = candle.iter().fold(0f64, |largest, number| largest.max(number.abs()));
            for (ours, right) in fused.iter().chain(&bare?).zip(candle.iter().chain(&candle)) {
                if (ours - right).abs() > LARGEST_DIFFERENCE * largest {
                    panic!("{ours} where candle gives {right} of {largest}");
                }
            }
            // The first round warms up.
            if round == 0 {
                times.iter_mut().for_each(Vec::clear);
            }
        }
        let [fused, bare, candle] = times.map(|mut times| median(&mut times));
        println!("{tokens:<12} {fused:>8.0} {bare:>14.0} {candle:>16.0} {:>8.3}", bare / candle);
    }
    Ok(())
}

fn shape() -> RobertaShape {
    RobertaShape {
        vocabulary: 4000,
        hidden: 768,
        layers: 12,
        heads: 12,
        intermediate: 3072,
        tokens: 258,
        labels: vec!["positive".to_string(), "negative".to_string()],
        segmented_words: false,
    }
}
