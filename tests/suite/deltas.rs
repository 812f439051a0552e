//! DeepLift's deltas in f32 beside Captum's, on every tiny checkpoint: `docs/measurements.md` has the table.

use std::path::Path;

use candle_explain::prelude::*;
use serde_json::Value;

use crate::checkpoints::source;

fn ids(value: &Value) -> Inputs {
    let shape: Vec<usize> =
        value["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect();
    let ids: Vec<u32> = value["data"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    Inputs::from(Tensor::from_vec(ids, shape, &Device::Cpu).unwrap())
}

/// The largest delta, each divided by max(1, |F(x) − F(b)|).
fn relative(result: &Attributions, changes: &[f64]) -> f64 {
    let deltas = result.convergence_delta().unwrap();
    let shares = deltas.values().iter().zip(changes).map(|(delta, change)| delta.abs() / change.max(1.));
    shares.fold(0., f64::max)
}

#[test]
fn deltas_are_small_where_captums_are_large() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/deltas.json");
    let figures: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(figures.len(), 26);
    println!(
        "| Checkpoint | Output | \\|F(x) − F(b)\\| | DeepLift | LayerDeepLift | Captum: DeepLift | LayerDeepLift |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|");
    for figure in figures {
        let (name, output) = (figure["checkpoint"].as_str().unwrap(), figure["output"].as_str().unwrap());
        let (x, b) = (ids(&figure["ids"]), ids(&figure["baselines"]));
        let target = figure["target"].as_u64().unwrap() as usize;
        let kind = if output == "logits" { ClassifierOutput::Logits } else { ClassifierOutput::Probabilities };
        let model = SequenceClassifier::from_pretrained(source(name)).unwrap().output(kind);
        let of = |inputs: &Inputs| -> Vec<f32> {
            let output = model.predict(inputs.clone()).unwrap().narrow(1, target, 1).unwrap();
            output.flatten_all().unwrap().to_vec1().unwrap()
        };
        let changes: Vec<f64> = of(&x).into_iter().zip(of(&b)).map(|(x, b)| f64::from((x - b).abs())).collect();
        let upper = FromLayer::new(&model, "embeddings");
        let (above, origin) = (upper.inputs(x.clone()).unwrap(), upper.inputs(b.clone()).unwrap());
        let deep = DeepLift::new(&upper).baseline(&origin).attribute(above, target).unwrap();
        let layer = LayerDeepLift::new(&model, "embeddings").baseline(&b).attribute(x, target).unwrap();
        let ours = [&deep, &layer].map(|result| relative(result, &changes));
        let captums = ["DeepLift", "LayerDeepLift"].map(|method| figure["captum"][method].as_f64().unwrap());
        let change = changes.iter().copied().fold(0., f64::max);
        let [deep, layer, captums_deep, captums_layer] = [ours[0], ours[1], captums[0], captums[1]];
        println!(
            "| {name} | {output} | {change:.3} | {deep:.1e} | {layer:.1e} | {captums_deep:.1e} | {captums_layer:.1e} |"
        );
        for (ours, captums) in ours.into_iter().zip(captums) {
            assert!(ours <= 1e-4, "{name}, {output}: {ours:e}");
            assert!(captums > 100. * ours, "{name}, {output}: {ours:e}, Captum's {captums:e}");
        }
    }
}
