//! Dense products in bf16: what they change, what is said of it, and where they are refused.

use std::path::Path;
use std::process::Command;

use candle_explain::ErrorKind;
use candle_explain::nn::without_vectors;
use candle_explain::prelude::*;

use crate::laws_on_models::numbers;

const TEXT: &str = "Sản phẩm này rất tốt, nhưng giao hàng quá chậm";
/// Says to a process of its own that it has no vectors.
const BARE: &str = "CANDLE_EXPLAIN_BARE";

fn shipped() -> TextClassifier {
    TextClassifier::from_pretrained("data/sentiment-vi").unwrap()
}

/// The shipped classifier in f32 and in bf16, where this processor multiplies bf16.
fn both() -> Option<[TextClassifier; 2]> {
    let model = shipped();
    match model.precision(Precision::Bf16) {
        Ok(rounded) => Some([model, rounded]),
        Err(error) => {
            assert!(error.to_string().contains("expected a processor that multiplies bf16"), "{error}");
            None
        }
    }
}

fn golden(name: &str) -> SequenceClassifier {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints").join(name);
    SequenceClassifier::from_pretrained(folder).unwrap()
}

/// The largest difference, as a share of the largest number.
fn apart(ours: &[f64], right: &[f64]) -> f64 {
    assert_eq!(ours.len(), right.len());
    let largest = right.iter().fold(0., |largest: f64, x| largest.max(x.abs()));
    ours.iter().zip(right).fold(0., |apart: f64, (ours, right)| apart.max((ours - right).abs())) / largest
}

fn upper(model: &TextClassifier, text: &str) -> (FromLayer, Inputs) {
    let upper = FromLayer::new(model, "embeddings");
    let inputs = upper.inputs(model.tokenize(text).unwrap()).unwrap();
    (upper, inputs)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, parts: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn attributions_in_bf16_are_near_those_in_f32() {
    let Some(models) = both() else { return };
    let [exact, rounded] = models.each_ref().map(|model| {
        let input = model.tokenize(TEXT).unwrap();
        let path = LayerIntegratedGradients::new(model, "embeddings").baseline(input.reference().unwrap()).n_steps(20);
        path.attribute(&input, 1).unwrap()
    });
    let share = apart(&numbers(rounded.tensor()), &numbers(exact.tensor()));
    assert!(share > 1e-6 && share < 0.01, "{share}");
}

#[test]
fn what_a_result_says_is_what_is_measured() {
    let Some(models) = both() else { return };
    let [exact, rounded] = models.each_ref().map(|model| {
        let (upper, inputs) = upper(model, TEXT);
        let gradient = Saliency::new(&upper).abs(false).attribute(&inputs, 1).unwrap();
        let output = upper.predict(inputs).unwrap().to_vec2::<f32>().unwrap()[0][1];
        (numbers(gradient.tensor()), f64::from(output))
    });
    let expected = format!(
        "dense products are in bf16: where also taken in f32, the number is at most {:.1e} off, and the gradient {:.2} % of its \
         largest number",
        (rounded.1 - exact.1).abs(),
        100. * apart(&rounded.0, &exact.0)
    );
    let (of_layer, inputs) = upper(&models[1], TEXT);
    let path = IntegratedGradients::new(&of_layer);
    for method in [path.clone(), path.clone().internal_batch_size(3), path.tolerance(0.05)] {
        let remarks = method.attribute(&inputs, 1).unwrap().remarks();
        assert_eq!(remarks[0], expected);
    }
    let remarks = InputXGradient::new(&of_layer).attribute(&inputs, 1).unwrap().remarks();
    assert_eq!(remarks, std::slice::from_ref(&expected));
    let ablated = FeatureAblation::new(&of_layer).attribute(&inputs, 1).unwrap().remarks();
    assert_eq!(ablated, [expected.split_once(", and").unwrap().0]);
    assert_eq!(shipped().precision(Precision::F32).unwrap().predict_text(TEXT).unwrap().label, "positive");
}

#[test]
fn an_example_is_the_same_in_any_batch() {
    let Some([_, model]) = both() else { return };
    let ids: Vec<Vec<u32>> = (0..9u32).map(|row| (0..23).map(|place| 5 + (row * 23 + place) % 90).collect()).collect();
    let all = Tensor::new(ids.clone(), &Device::Cpu).unwrap();
    let method = LayerGradientXActivation::new(&model, "embeddings");
    let together = numbers(method.attribute(&all, 1).unwrap().tensor());
    let size = together.len() / ids.len();
    for (row, ids) in ids.into_iter().enumerate() {
        let alone = method.attribute(Tensor::new(vec![ids], &Device::Cpu).unwrap(), 1).unwrap();
        let share = apart(&together[row * size..][..size], &numbers(alone.tensor()));
        assert_eq!(share, 0.);
    }
}

#[test]
fn numbers_are_the_same_on_any_number_of_workers() {
    let Some([_, model]) = both() else { return };
    let (of_layer, inputs) = upper(&model, TEXT);
    let method = IntegratedGradients::new(&of_layer).n_steps(9);
    let of = |method: IntegratedGradients| numbers(method.attribute(&inputs, 1).unwrap().tensor());
    let one = of(method.clone().workers(1));
    assert_eq!(one, of(method.clone().workers(5)));
    assert_eq!(one, of(method.internal_batch_size(2).workers(3)));
}

#[test]
fn activations_say_how_far_off_they_are() {
    let Some(models) = both() else { return };
    let [exact, rounded] = models
        .each_ref()
        .map(|model| LayerActivation::new(model, "encoder.layer.1").attribute(model.tokenize(TEXT).unwrap()).unwrap());
    assert!(exact.remarks().is_empty());
    assert!(rounded.remarks()[0].starts_with("dense products are in bf16"), "{:?}", rounded.remarks());
}

#[test]
fn a_tolerance_is_reached_or_too_fine_for_bf16() {
    let Some([_, model]) = both() else { return };
    let (of_layer, inputs) = upper(&model, TEXT);
    for tolerance in [1e-1, 1e-2, 1e-3] {
        let found = IntegratedGradients::new(&of_layer).tolerance(tolerance).attribute(&inputs, 1).unwrap();
        assert!(found.convergence_delta().unwrap().max_abs() <= tolerance);
        let remarks = found.remarks();
        assert!(remarks.contains(&format!("settled within the tolerance {tolerance}")), "{remarks:?}");
        assert_eq!(found.remarks_of(0), remarks[..1]);
    }
    let finer = IntegratedGradients::new(&of_layer).tolerance(9e-4).attribute(&inputs, 1);
    refused(finer, &["tolerance(0.0009): expected at least 0.001 with precision(Precision::Bf16)"]);
    let explainer = Explainer::new(&shipped()).precision(Precision::Bf16).unwrap();
    let remarks = explainer.visualize(TEXT).unwrap().remarks();
    assert!(remarks.iter().any(|remark| remark.starts_with("dense products are in bf16")), "{remarks:?}");
    let many: Comments = (0..70).map(|words| Comment::from([TEXT, &" rất".repeat(words)].concat())).collect();
    let remarks = explainer.batch(&many).unwrap().remarks();
    let of_rounding = remarks.iter().filter(|remark| remark.starts_with("dense products are in bf16"));
    assert_eq!(of_rounding.count(), 1, "{remarks:?}");
}

/// A model of whose operations nothing is known, so that its gradient is compared with its outputs.
#[derive(Clone)]
struct Unknown(FromLayer);

impl Model for Unknown {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        self.0.forward(input, layers)
    }
}

#[test]
fn rounding_is_not_taken_for_a_wrong_gradient() {
    let Some([_, model]) = both() else { return };
    for text in [TEXT, "Rất tốt", "Hàng lỗi, không dùng được, thất vọng"] {
        let (upper, inputs) = upper(&model, text);
        for class in 0..2 {
            let remarks = Saliency::new(Unknown(upper.clone())).attribute(&inputs, class).unwrap().remarks();
            assert!(remarks.len() == 1 && remarks[0].starts_with("dense products are in bf16"), "{remarks:?}");
        }
    }
}

#[test]
fn what_is_not_computed_in_bf16_is_an_error() {
    let Some([_, model]) = both() else { return };
    let input = model.tokenize(TEXT).unwrap();
    let (upper, inputs) = upper(&model, TEXT);
    let whole = ["encoder.layer.0 is to be computed in Bf16", "precision(Precision::F32)"];
    refused(DeepLift::new(&upper).attribute(&inputs, 1), &whole);
    refused(LRP::new(&upper).attribute(&inputs, 1), &whole);
    let weights = "encoder.layer.0.attention.weights";
    refused(LayerActivation::new(&model, weights).attribute(&input), &[whole[0], weights]);
    refused(LayerIntegratedGradients::new(&model, weights).attribute(&input, 1), &whole);
    let classifier = model.classifier();
    let wide = classifier.to_dtype(DType::F64).unwrap();
    refused(wide.predict(Tensor::new(&[[0u32, 5, 2]], &Device::Cpu).unwrap()), &whole);
    refused(shipped().classifier().to_dtype(DType::F64).unwrap().precision(Precision::Bf16), &["f32", "F64"]);
    for family in ["modernbert", "deberta-v2", "deberta-v3"] {
        refused(golden(&format!("tiny-{family}")).precision(Precision::Bf16), &["expected layers like BERT's"]);
        golden(&format!("tiny-{family}")).precision(Precision::F32).unwrap();
    }
    golden("tiny-bert").precision(Precision::Bf16).unwrap();
}

#[test]
fn a_processor_without_bf16_is_an_error() {
    let test = "precision::a_processor_without_bf16_is_an_error";
    if std::env::var_os(BARE).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args([test, "--exact"]).env(BARE, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let before = shipped().precision(Precision::Bf16);
    without_vectors(true);
    let expected = ["expected a processor that multiplies bf16 (AVX-512 BF16)", "Precision::F32"];
    refused(Explainer::new(&shipped()).precision(Precision::Bf16).map(|_| ()), &expected);
    if let Ok(before) = before {
        let error = before.predict_text(TEXT).unwrap_err();
        assert!(error.to_string().contains(expected[0]), "{error}");
    }
    shipped().precision(Precision::F32).unwrap();
}
