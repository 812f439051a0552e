//! Trains the Titanic network on the tutorial's split and writes its weights.
//!
//! `cargo run --release --example train_titanic [-- WEIGHTS.safetensors]`

use candle_explain::prelude::*;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "data/titanic.safetensors".to_string());
    let passengers = Titanic::load()?;
    println!("{}", passengers.source());
    let (train, test) = passengers.split(Split::Tutorial)?;
    let net = Titanic::network(Seed::default())?;
    let history = Trainer::adam(0.1).epochs(200).test_on(&test).fit(&net, &train)?;
    net.save(&path)?;
    println!(
        "train accuracy {:.4}, test accuracy {:.4}, last loss {:.4}; weights in {path}",
        history.train_accuracy(),
        history.test_accuracy().unwrap_or_default(),
        history.losses().last().unwrap_or(&f64::NAN),
    );
    Ok(())
}
