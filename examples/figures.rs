//! Draws the figures of `media/` with the shipped weights.
//!
//! `cargo run --release --example figures [-- FOLDER]`

use std::path::PathBuf;

use candle_explain::prelude::*;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "media".to_string()));
    let passengers = Titanic::load()?;
    println!("{}", passengers.source());
    let (_, test) = passengers.split(Split::Tutorial)?;
    let net = Titanic::network(Seed::default())?;
    net.load("data/titanic.safetensors")?;

    let importance = IntegratedGradients::new(&net).tolerance(1e-3).attribute(test.features(), Target::Class(1))?;
    let features = importance.mean()?.bars(test.feature_names())?.title("Which features speak for survival?");
    features.save(folder.join("titanic_features.svg"))?;

    let explain = Explainer::from_pretrained("data/sentiment-vi")?;
    let words = heatmap![
        explain.visualize(("Sản phẩm này rất tốt, nhưng giao hàng quá chậm", 0)),
        explain.visualize(("Áo đẹp lắm, mềm mịn, shop đóng gói cẩn thận", 0)),
        explain.visualize(("Chất lượng quá tệ, thất vọng, không bao giờ mua nữa", 1)),
    ]?;
    words.save(folder.join("sentiment_words.svg"))?;
    println!("titanic_features.svg and sentiment_words.svg in {}", folder.display());
    Ok(())
}
