//! The command `candle-explain batch`, run as a user runs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use candle_explain::prelude::*;
use candle_explain_server::Archive;
use serde_json::{Value, json};

const LINES: &str =
    "[41, 1, 0, 8.1, 0, 1, 0, 0, 1, 0, 0, 1]\n{\"id\": 7, \"age\": 24}\n[22, 0, 0, 80.5, 1, 0, 1, 0, 0, 1, 0, 0]\n";

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(file)
}

fn archive(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    Archive::new("titanic", "1.0", "titanic", data("titanic.safetensors")).unwrap().write(&folder, true).unwrap()
}

fn batch(model: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candle-explain"));
    command.arg("batch").arg("--model").arg(model).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that ends at once reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn explained(model: &Path, parameters: &[&str], input: &str) -> Vec<Value> {
    let arguments: Vec<&str> =
        std::iter::once("--explain").chain(parameters.iter().flat_map(|parameter| ["--set", parameter])).collect();
    let output = batch(model, &arguments, input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn attributions(answer: &Value) -> Vec<f64> {
    answer["attributions"].as_object().unwrap().values().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn a_method_and_its_parameters_are_set_as_on_the_server() {
    let model = archive("batch-set");
    let network = Titanic::network(Seed(1)).unwrap();
    network.load(data("titanic.safetensors")).unwrap();
    let man = Tensor::new(&[[41f32, 1., 0., 8.1, 0., 1., 0., 0., 1., 0., 0., 1.]], &Device::Cpu).unwrap();
    let cases: [(&[&str], Result<Attributions>); 4] = [
        (
            &["method=KernelShap", "n_samples=90", "seed=3", "target=Not Survived"],
            KernelShap::new(&network).n_samples(90).seed(Seed(3)).attribute(&man, 0),
        ),
        (
            &["method=LRP", "default_rule=gamma:0.5", "rules={\"linear1\": \"zplus\"}"],
            LRP::new(&network).default_rule(LrpRule::Gamma(0.5)).rule("linear1", LrpRule::ZPlus).attribute(&man, 1),
        ),
        (
            &["method=NoiseTunnel", "attribution_method=Saliency", "nt_type=vargrad", "stdevs=0.2", "n_samples=9"],
            NoiseTunnel::new(Saliency::new(&network))
                .nt_type(NoiseTunnelType::VarGrad)
                .stdevs(0.2)
                .n_samples(9)
                .attribute(&man, 1),
        ),
        (
            &["method=NeuronFeatureAblation", "layer=sigmoid1", "neuron=[3]", "feature_mask=[0,1,2,3,4,4,5,5,5,6,6,6]"],
            NeuronFeatureAblation::new(&network, "sigmoid1", 3)
                .feature_mask(FeatureMask::groups([vec![4, 5], vec![6, 7, 8], vec![9, 10, 11]]))
                .attribute(&man),
        ),
    ];
    for (parameters, expected) in cases {
        let answers = explained(&model, parameters, LINES);
        assert_eq!(answers.len(), 3, "{parameters:?}");
        let expected = expected.unwrap().tensor().to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap().remove(0);
        for (came, expected) in attributions(&answers[0]).iter().zip(&expected) {
            assert!((came - expected).abs() < 1e-6, "{parameters:?}: {came} and {expected}");
        }
        assert_eq!((&answers[1]["id"], answers[1]["error"].is_string()), (&json!(7), true));
        assert_eq!(answers[2]["label"], json!("Survived"));
    }
}

#[test]
fn words_have_their_errors() {
    let parameters = ["method=ShapleyValueSampling", "tolerance=0.05"];
    let answers = explained(&data("sentiment-vi"), &parameters, "\"Hàng rất tốt\"\n{\"text\": \"giao quá chậm\"}\n");
    for answer in &answers {
        assert_eq!(answer["settled"], json!(true));
        let samples = answer["samples"].as_u64().unwrap();
        assert!(samples >= 32, "{samples}");
        let words = answer["words"].as_array().unwrap();
        assert!(words.iter().all(|word| word["standard_error"].as_f64().unwrap() >= 0.));
    }
}

#[test]
fn a_wrong_parameter_ends_the_command_before_the_first_line() {
    let model = archive("batch-wrong");
    for (parameter, message) in [
        ("method=Magic", "the method is \"Magic\": expected IntegratedGradients"),
        ("n_samples=5", "IntegratedGradients has no parameter n_samples"),
        ("n_steps=0", "n_steps is 0: this server takes 1 to"),
        ("rules", "expected NAME=VALUE"),
    ] {
        let output = batch(&model, &["--explain", "--set", parameter], LINES);
        assert!(!output.status.success() && output.stdout.is_empty(), "{parameter}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(message), "{parameter}: {told}");
    }
}

#[test]
fn no_progress_is_written_where_nobody_watches() {
    let output = batch(&archive("batch-quiet"), &[], LINES);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "2 lines answered, 1 could not be\n");
}
