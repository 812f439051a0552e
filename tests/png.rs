//! Figures as PNG.

use candle_explain::prelude::*;

#[test]
fn figures_that_can_be_drawn_are_saved_as_png() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let explain = Explainer::from_pretrained("data/sentiment-vi").unwrap();
    let words = explain.visualize("Sản phẩm này rất tốt <3 & \"đẹp\"").unwrap();
    let bars = Series::new("x", vec![1., -2.]).bars(["a", "b"]).unwrap();
    let layers = explain.layers("rất tốt").unwrap().layer_map().unwrap();
    let saved = [
        words.save(folder.join("words.png")),
        bars.save(folder.join("bars.png")),
        layers.save(folder.join("layers.png")),
    ];
    for (result, name) in saved.into_iter().zip(["words", "bars", "layers"]) {
        match result {
            Ok(()) => {
                let bytes = std::fs::read(folder.join(name).with_extension("png")).unwrap();
                assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 4000, "{name}: {} bytes", bytes.len());
            }
            // A machine without a font cannot draw letters, and says so.
            Err(error) => assert!(error.to_string().contains("there are no fonts"), "{name}: {error}"),
        }
    }
    assert!(words.heatmap().save(folder.join("no/such/words.png")).is_err());
}
