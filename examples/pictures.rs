//! Draws the pictures of single predictions and of whole tables, with the shipped models.
//!
//! `cargo run --release --example pictures -- FOLDER`

use std::path::PathBuf;

use candle_explain::prelude::*;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "pictures".to_string()));
    let passengers = Titanic::load()?;
    println!("{}", passengers.source());
    let (_, test) = passengers.split(Split::Tutorial)?;
    let importance =
        IntegratedGradients::new(Titanic::pretrained()?).tolerance(1e-3).attribute(&test, Target::Class(1))?;
    for form in ["svg", "html"] {
        let file = |name: &str| folder.join(name).with_extension(form);
        importance.waterfall((&test, 4))?.save(file("waterfall"))?;
        importance.beeswarm(&test)?.title("What speaks for survival?").save(file("beeswarm"))?;
        importance.dependence(&test, "age")?.save(file("dependence"))?;
        importance.dependence(&test, "sibsp")?.coloured_by("fare")?.save(file("dependence_steps"))?;
        importance.force((&test, 4))?.save(file("force"))?;
    }

    let explain = Explainer::from_pretrained("data/sentiment-vi")?;
    let words = explain.visualize("Sản phẩm này rất tốt, nhưng giao hàng quá chậm")?;
    words.force()?.save(folder.join("force_words.svg"))?;
    words.force()?.save(folder.join("force_words.html"))?;
    println!("waterfall, beeswarm, dependence and force in {}", folder.display());
    Ok(())
}
