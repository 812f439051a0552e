//! What comparing the gradient with the model costs beside each method, and how long one passenger takes.
//!
//! `cargo bench --bench gradient_check`

use std::sync::Arc;
use std::time::Instant;

use candle_explain::attr::METHODS;
use candle_explain::engine::{MethodInfo, Options};
use candle_explain::prelude::*;

const ROUNDS: usize = 60;

type Failure = Box<dyn std::error::Error>;

fn main() -> std::result::Result<(), Failure> {
    let net = Titanic::network(Seed(1))?;
    net.load(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/titanic.safetensors"))?;
    let (_, test) = Titanic::load()?.split(Split::Tutorial)?;
    let passengers = test.features().first().clone();
    let known: Arc<dyn Model> = Arc::new(net.clone());
    let plain = net.clone();
    let unknown = from_fn(move |input, layers| net.forward(input, layers));
    for count in [1, test.len()] {
        let inputs = Inputs::from(&passengers.narrow(0, 0, count)?);
        let forward = median(|| plain.predict(&inputs).map(drop))?;
        println!("{count} passengers, microseconds; a forward pass of the model: {forward:.0}");
        println!("{:26} {:>16} {:>16} {:>16} {:>16}", "", "known model", "not looked at", "first call", "later calls");
        for info in METHODS {
            let call = |model: &Arc<dyn Model>, check: Check| -> Result<f64> {
                let method = (info.build)(model.clone(), &options(info, check))?;
                median(|| method.attribute_to(&inputs, &info.target(1)).map(drop))
            };
            let first = median(|| {
                let method = (info.build)(unknown.clone(), &options(info, Check::Error))?;
                method.attribute_to(&inputs, &info.target(1)).map(drop)
            })?;
            let (bare, off) = (call(&known, Check::Error)?, call(&unknown, Check::Off)?);
            let later = call(&unknown, Check::Error)?;
            println!("{:26} {bare:16.0} {off:16.0} {first:16.0} {later:16.0}", info.name);
        }
    }
    Ok(())
}

fn options(info: &MethodInfo, check: Check) -> Options {
    let mut options = Options::default();
    if info.takes("layer") {
        options.layers = vec!["sigmoid1".to_string()];
    }
    if info.takes("neuron") {
        options.neuron = Some(Neuron::from(10));
    }
    if info.takes("gradient_check") {
        options.gradient_check = Some(check);
    }
    options
}

/// The median time of a call in microseconds.
fn median(mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    call()?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
