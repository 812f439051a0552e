use std::sync::Arc;

use candle_explain::prelude::*;
use candle_explain_server::{Feature, Server, TabularModel};

use super::client::*;

/// A model of 17 features, which adds them.
struct Wide;

impl TabularModel for Wide {
    fn model(&self) -> Arc<dyn Model> {
        from_fn(|input: &Inputs, _: &mut Layers| Ok(input.first().sum(1)?))
    }

    fn features(&self) -> Vec<Feature> {
        (0..17).map(|index| Feature::new(format!("x{index}"))).collect()
    }

    fn classes(&self) -> Vec<String> {
        Vec::new()
    }
}

fn ids(ids: &[u64]) -> String {
    format!("%5B{}%5D", ids.iter().map(u64::to_string).collect::<Vec<_>>().join(","))
}

fn explained(parameters: &str) -> (u16, String) {
    let reply = post(shared().inference, &format!("/explanations/titanic?method={parameters}"), WOMAN);
    (reply.status, reply.text())
}

#[track_caller]
fn assert_refused(parameters: &str, part: &str) {
    let (status, text) = explained(parameters);
    assert_eq!(status, 400, "{parameters}: {text}");
    assert!(text.contains(part), "{parameters}: {text}");
}

#[test]
fn masks() {
    let mask = |method: &str, of: &[u64]| format!("{method}&feature_mask={}", ids(of));
    for method in ["FeatureAblation", "ShapleyValueSampling", "Lime", "KernelShap", "ShapleyValues"] {
        assert_refused(&mask(method, &[0, 1, 2]), "expected 12 whole numbers, an id for each of age");
        let gap = mask(method, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1]);
        assert_refused(&gap, "no element of id 2, and goes up to 3");
        let large = mask(method, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 5_000_000_000]);
        assert_refused(&large, "an id of feature_mask is 5000000000: expected at most 11");
        assert_eq!(explained(&mask(method, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1])).0, 200, "{method}");
    }
    // A layer is as wide as it is.
    let layer = "LayerFeatureAblation&layer=sigmoid2";
    assert_eq!(explained(&mask(layer, &[0, 0, 0, 0, 1, 1, 1, 1])).0, 200);
    assert_refused(&mask(layer, &[0; 12]), "expected 8 whole numbers, an id for each of what sigmoid2 gives");
}

#[test]
fn windows() {
    let window = "Occlusion&sliding_window_shapes=";
    assert_refused(&format!("{window}13"), "sliding_window_shapes is 13: expected 1 to 12");
    assert_refused(&format!("{window}2&strides=0"), "strides is 0: expected 1 to 2");
    assert_refused("Occlusion", "Occlusion needs the parameter sliding_window_shapes");
    assert_eq!(explained(&format!("{window}2&strides=2")).0, 200);
    // A window over features is at most as many as a mask leaves.
    let mask = format!("&feature_mask={}", ids(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]));
    assert_eq!(explained(&format!("{window}3{mask}")).0, 200);
    assert_refused(&format!("{window}4{mask}"), "sliding_window_shapes is 4: expected 1 to 3");
}

#[test]
fn rows_of_others() {
    for method in ["FeaturePermutation", "LayerFeaturePermutation&layer=sigmoid1"] {
        assert_refused(method, "expected IntegratedGradients, Saliency");
    }
}

#[test]
fn baselines() {
    for method in ["GradientShap", "DeepLiftShap", "NeuronGradientShap&layer=sigmoid1&neuron=0"] {
        assert_refused(method, "needs the parameter baseline: a record that samples are drawn from, or several");
        assert_refused(&format!("{method}&baseline=%5B%5D"), "the baseline: a row has 0 values: expected 12");
        assert_eq!(explained(&format!("{method}&baseline={}", ids(&[0; 12]))).0, 200, "{method}");
    }
}

#[test]
fn exact_values_of_many_features() {
    let said =
        "ShapleyValues of 12 features takes 4096 evaluations, and this server takes up to 600: ask for KernelShap";
    assert_refused("ShapleyValues", said);
    for (most, said) in [("5000", "takes 131072 evaluations"), ("200000", "take 131072 evaluations of the model")] {
        let server = Server::new(settings(&[("max_steps", most)])).unwrap();
        let server = TestServer::start(server.with_model("wide", "1.0", Wide).unwrap());
        let row = format!("[{}]", ["1"; 17].join(","));
        let reply = post(server.inference, "/explanations/wide?method=ShapleyValues", &row);
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.text().contains(said) && reply.text().contains("17 features"), "{}", reply.text());
    }
}
