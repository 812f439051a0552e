use candle_explain::prelude::*;
use candle_explain_server::TabularModel;
use serde_json::{Value, json};

use super::client::*;
use super::methods::{close, explained, man, numbers};

const MAN: [f32; 12] = [41., 1., 0., 8.1, 0., 1., 0., 0., 1., 0., 0., 1.];

#[test]
fn each_parameter_is_the_methods_own() {
    let net = titanic().model();
    let background = Tensor::new(&[[0f32; 12], [1.; 12]], &Device::Cpu).unwrap();
    let rows = json!([[0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0.], vec![1.; 12]]);
    let noisy = |method: NoiseTunnel| method.stdevs(0.3).n_samples(12).seed(Seed(5));
    let lime = || Lime::new(&net).n_samples(80);
    let cases: Vec<(Value, Result<Attributions>)> = vec![
        (
            json!({ "method": "LRP", "default_rule": "epsilon:0.01" }),
            LRP::new(&net).default_rule(LrpRule::Epsilon(0.01)).attribute(man(), 1),
        ),
        (
            json!({ "method": "LRP", "default_rule": "gamma" }),
            LRP::new(&net).default_rule(LrpRule::Gamma(0.25)).attribute(man(), 1),
        ),
        (
            json!({ "method": "LRP", "default_rule": "alpha1beta0", "set_bias_to_zero": true }),
            LRP::new(&net).default_rule(LrpRule::Alpha1Beta0).set_bias_to_zero(true).attribute(man(), 1),
        ),
        (
            json!({ "method": "LRP", "rules": { "linear1": "zplus", "sigmoid1": "identity", "linear3": "gamma:2" } }),
            LRP::new(&net)
                .rule("linear1", LrpRule::ZPlus)
                .rule("sigmoid1", LrpRule::Identity)
                .rule("linear3", LrpRule::Gamma(2.))
                .attribute(man(), 1),
        ),
        (
            json!({ "method": "LayerLRP", "layer": "sigmoid1", "rules": "{\"linear2\": \"alpha1beta0\"}" }),
            LayerLRP::new(&net, "sigmoid1").rule("linear2", LrpRule::Alpha1Beta0).attribute(man(), 1),
        ),
        (
            json!({
                "method": "NoiseTunnel", "attribution_method": "Saliency", "abs": false, "stdevs": 0.3, "n_samples": 12,
                "seed": 5, "nt_type": "vargrad",
            }),
            noisy(NoiseTunnel::new(Saliency::new(&net).abs(false)).nt_type(NoiseTunnelType::VarGrad))
                .attribute(man(), 1),
        ),
        (
            json!({
                "method": "NoiseTunnel", "attribution_method": "IntegratedGradients", "n_steps": 7, "baseline": 1,
                "stdevs": "0.3", "n_samples": 12, "seed": 5, "nt_type": "smoothgrad_sq",
            }),
            noisy(
                NoiseTunnel::new(IntegratedGradients::new(&net).n_steps(7).baseline(1.))
                    .nt_type(NoiseTunnelType::SmoothGradSq),
            )
            .attribute(man(), 1),
        ),
        (
            json!({
                "method": "NoiseTunnel", "attribution_method": "LayerGradientXActivation", "layer": "sigmoid2",
                "stdevs": 0.3, "n_samples": 12, "seed": 5, "nt_type": "captum_vargrad",
            }),
            noisy(
                NoiseTunnel::new(LayerGradientXActivation::new(&net, "sigmoid2"))
                    .nt_type(NoiseTunnelType::CaptumVarGrad),
            )
            .attribute(man(), 1),
        ),
        (
            json!({ "method": "GradientShap", "baseline": rows, "stdevs": 0.1, "tolerance": 0.05, "seed": 2 }),
            GradientShap::new(&net)
                .baseline(Baseline::distribution(&background))
                .stdevs(0.1)
                .tolerance(0.05)
                .max_samples(600)
                .seed(Seed(2))
                .attribute(man(), 1),
        ),
        (
            json!({ "method": "ShapleyValueSampling", "antithetic": true, "tolerance": 0.01 }),
            ShapleyValueSampling::new(&net).antithetic(true).tolerance(0.01).max_samples(600).attribute(man(), 1),
        ),
        (
            json!({ "method": "KernelShap", "paired": false, "n_samples": 90 }),
            KernelShap::new(&net).paired(false).n_samples(90).attribute(man(), 1),
        ),
        (
            json!({ "method": "Lime", "n_samples": 80, "surrogate": "ridge:0.5", "similarity": "cosine:0.7" }),
            lime()
                .surrogate(Surrogate::Ridge { alpha: 0.5 })
                .similarity(Similarity::Cosine { width: 0.7 })
                .attribute(man(), 1),
        ),
        (
            json!({ "method": "Lime", "n_samples": 80, "surrogate": "linear", "sampler": 0.7 }),
            lime().surrogate(Surrogate::Linear).sampler(Sampler::Bernoulli(0.7)).attribute(man(), 1),
        ),
        (
            json!({ "method": "Lime", "n_samples": 80, "surrogate": "logistic", "similarity": "euclidean:50" }),
            lime()
                .surrogate(Surrogate::Logistic { alpha: 1. })
                .similarity(Similarity::Euclidean { width: 50. })
                .attribute(man(), 1),
        ),
        (
            json!({ "method": "DeepLift", "captum_rules": true, "multiply_by_inputs": "false" }),
            DeepLift::new(&net).captum_rules(true).multiply_by_inputs(false).attribute(man(), 1),
        ),
        (
            json!({ "method": "LayerGradCam", "layer": "sigmoid1", "relu_attributions": true }),
            LayerGradCam::new(&net, "sigmoid1").relu_attributions(true).attribute(man(), 1),
        ),
        (
            json!({ "method": "LayerActivation", "layer": "sigmoid1", "attribute_to_layer_input": true }),
            LayerActivation::new(&net, "sigmoid1").attribute_to_layer_input(true).attribute(man()),
        ),
        (
            json!({ "method": "LayerGradientShap", "layer": "sigmoid1", "baseline": rows, "interpolate_inputs": true }),
            LayerGradientShap::new(&net, "sigmoid1")
                .baseline(Baseline::distribution(&background))
                .interpolate_inputs(true)
                .attribute(man(), 1),
        ),
        (
            json!({ "method": "Occlusion", "sliding_window_shapes": 4, "strides": 2 }),
            Occlusion::new(&net, 4).strides(2).attribute(man(), 1),
        ),
    ];
    for (parameters, expected) in cases {
        let expected = expected.unwrap_or_else(|e| panic!("{parameters}: {e}"));
        let answer = explained("titanic", json!(MAN), &parameters).unwrap_or_else(|e| panic!("{parameters}: {e}"));
        let row = &answer["rows"][0];
        let values: Vec<f64> =
            expected.tensor().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        close(&parameters.to_string(), &numbers(&row["attributions"]), &values, 1e-6);
        assert_eq!(row["samples"].as_u64(), expected.samples().first().map(|count| *count as u64), "{parameters}");
        assert_eq!(row["settled"].as_bool(), expected.settled().map(|settled| settled[0]), "{parameters}");
    }
}

#[test]
fn a_wrong_parameter_is_named_with_what_came_and_what_is_allowed() {
    let cases = [
        (
            json!({ "method": "LRP", "default_rule": "delta" }),
            "default_rule is \"delta\": expected epsilon:0.000000001, gamma:0.25, alpha1beta0, zplus or identity",
        ),
        (json!({ "method": "LRP", "default_rule": "gamma:-1" }), "default_rule is \"gamma:-1\": expected"),
        (json!({ "method": "LRP", "default_rule": "zplus:1" }), "default_rule is \"zplus:1\": expected"),
        (json!({ "method": "LRP", "default_rule": 1 }), "default_rule is 1: expected"),
        (json!({ "method": "LRP", "rules": "gamma" }), "rules is \"gamma\": expected an object"),
        (json!({ "method": "LRP", "rules": { "linear1": 3 } }), "the rule of \"linear1\" in rules is 3: expected"),
        (json!({ "method": "LRP", "rules": { "linear9": "zplus" } }), "linear1, sigmoid1"),
        (json!({ "method": "LRP", "set_bias_to_zero": 1 }), "set_bias_to_zero is 1: expected true or false"),
        (
            json!({ "method": "LRP", "n_steps": 3 }),
            "LRP has no parameter n_steps; it has target, method, default_rule, rules, set_bias_to_zero",
        ),
        (
            json!({ "n_samples": 3 }),
            "IntegratedGradients has no parameter n_samples; it has target, method, baseline, n_steps, quadrature, tolerance, multiply_by_inputs",
        ),
        (json!({ "method": "NoiseTunnel" }), "NoiseTunnel needs the parameter attribution_method"),
        (
            json!({ "method": "NoiseTunnel", "attribution_method": "NoiseTunnel" }),
            "the attribution_method is \"NoiseTunnel\": expected IntegratedGradients",
        ),
        (
            json!({ "method": "NoiseTunnel", "attribution_method": "LRP", "layer": "x" }),
            "NoiseTunnel of LRP has no parameter layer",
        ),
        (
            json!({ "method": "NoiseTunnel", "attribution_method": "LayerActivation" }),
            "NoiseTunnel of LayerActivation needs the parameter layer",
        ),
        (
            json!({ "method": "NoiseTunnel", "attribution_method": "LRP", "nt_type": "x" }),
            "nt_type is \"x\": expected smoothgrad, smoothgrad_sq, vargrad or captum_vargrad",
        ),
        (
            json!({ "method": "NoiseTunnel", "attribution_method": "LRP", "stdevs": -1 }),
            "stdevs is -1: expected a number from 0 to 1000000",
        ),
        (
            json!({ "method": "NoiseTunnel", "attribution_method": "LRP", "stdevs": "x" }),
            "stdevs is \"x\": expected a finite number",
        ),
        (json!({ "method": "Saliency", "attribution_method": "LRP" }), "has no parameter attribution_method"),
        (json!({ "method": "GradientShap" }), "GradientShap needs the parameter baseline: a record"),
        (json!({ "method": "GradientShap", "baseline": 0 }), "baseline is 0: GradientShap draws rows"),
        (json!({ "method": "GradientShap", "baseline": [], "n_samples": 3 }), "a row has 0 values: expected 12"),
        (json!({ "method": "KernelShap", "n_samples": 601 }), "n_samples is 601: this server takes 1 to 600"),
        (json!({ "method": "KernelShap", "n_samples": 5, "tolerance": 0.1 }), "n_samples and tolerance both came"),
        (json!({ "method": "KernelShap", "tolerance": 0 }), "tolerance is 0: expected a number above 0"),
        (json!({ "method": "KernelShap", "seed": -1 }), "seed is -1: expected a whole number"),
        (json!({ "method": "KernelShap", "paired": "often" }), "paired is \"often\": expected true or false"),
        (
            json!({ "method": "Lime", "surrogate": "tree" }),
            "surrogate is \"tree\": expected lasso:0.01, ridge:1, linear or logistic:1",
        ),
        (json!({ "method": "Lime", "similarity": "far" }), "similarity is \"far\": expected cosine:1 or euclidean:1"),
        (json!({ "method": "Lime", "similarity": "cosine:0" }), "the width of the similarity is 0"),
        (json!({ "method": "Lime", "sampler": 1 }), "sampler is 1: expected a number between 0 and 1"),
        (json!({ "method": "Occlusion" }), "Occlusion needs the parameter sliding_window_shapes"),
        (json!({ "method": "Occlusion", "sliding_window_shapes": 0 }), "sliding_window_shapes is 0: expected 1 to 12"),
        (
            json!({ "method": "Occlusion", "sliding_window_shapes": 13 }),
            "sliding_window_shapes is 13: expected 1 to 12",
        ),
        (json!({ "method": "Occlusion", "sliding_window_shapes": 2, "strides": 3 }), "strides is 3: expected 1 to 2"),
        (
            json!({ "method": "FeatureAblation", "feature_mask": [0, 1] }),
            "feature_mask is [0,1]: expected 12 whole numbers",
        ),
        (json!({ "method": "FeatureAblation", "feature_mask": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2] }), "without a gap"),
        (
            json!({ "method": "LayerFeatureAblation", "layer": "sigmoid2", "baseline": MAN }),
            "expected a number, or 8 numbers, for what sigmoid2 gives",
        ),
        (
            json!({ "method": "LayerFeatureAblation", "layer": "sigmoid2", "feature_mask": vec![0; 12] }),
            "expected 8 whole numbers, an id for each of what sigmoid2 gives",
        ),
        (
            json!({ "method": "LayerFeatureAblation", "layer": "x", "baseline": [0] }),
            "layer is \"x\": expected linear1, sigmoid1",
        ),
        (
            json!({ "method": "LayerConductance" }),
            "LayerConductance needs the parameter layer: one of linear1, sigmoid1",
        ),
        (json!({ "method": "NeuronGradient", "layer": "sigmoid1" }), "NeuronGradient needs the parameter neuron"),
        (
            json!({ "method": "NeuronGradient", "layer": "sigmoid1", "neuron": "[1" }),
            "the neuron cannot be read as JSON",
        ),
        (json!({ "method": "Saliency", "abs": "no" }), "abs is \"no\": expected true or false"),
        (json!({ "quadrature": "simpson" }), "quadrature is \"simpson\": expected gausslegendre"),
    ];
    for (parameters, expected) in cases {
        let message = explained("titanic", json!(MAN), &parameters).expect_err(&parameters.to_string());
        assert!(message.contains(expected), "{parameters}: {message}");
    }
    let many = "tốt ".repeat(20);
    let of_texts = [
        (
            "hay",
            json!({ "method": "FeatureAblation", "feature_mask": [0] }),
            "FeatureAblation has no parameter feature_mask; it has target, method, baseline",
        ),
        ("hay", json!({ "method": "Saliency" }), "the method is \"Saliency\": expected LayerIntegratedGradients"),
        ("hay", json!({ "method": "NeuronFeatureAblation", "layer": "embeddings" }), "needs the parameter neuron"),
        ("hay", json!({ "method": "LayerGradientShap", "baseline": 1 }), "so expected none, for padding"),
        ("hay", json!({ "method": "LayerGradientShap", "stdevs": 1 }), "to which no noise can be added"),
        (
            "hay",
            json!({ "method": "Occlusion", "sliding_window_shapes": 50 }),
            "the window covers 50 features, and example 0 has 1: give at most as many",
        ),
        (many.as_str(), json!({ "method": "ShapleyValues" }), "ShapleyValues of 20 features takes 1048576 evaluations"),
    ];
    for (text, parameters, expected) in of_texts {
        let message = explained("vi", json!(text), &parameters).expect_err(&parameters.to_string());
        assert!(message.contains(expected), "{parameters}: {message}");
    }
}

#[test]
fn a_wrong_parameter_is_told_of_before_the_rows() {
    let reply = post(
        shared().inference,
        "/v1/models/titanic:explain",
        r#"{"instances": [], "parameters": {"method": "LRP", "n_steps": 3}}"#,
    );
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.json()["error"].as_str().unwrap().contains("LRP has no parameter n_steps"));
}
