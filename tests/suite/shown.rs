//! Whatever a cell may end with shows itself.

use std::collections::BTreeSet;

use candle_explain::prelude::*;
use candle_explain::{attr::METHODS, row};

fn shows<T: Show>() {}

/// The types that show themselves, by name: it compiles only if they do.
macro_rules! shown {
    ($($shown:ident),+ $(,)?) => {
        const SHOWN: &[&str] = &[$(stringify!($shown)),+];

        #[test]
        fn they_show_themselves() {
            $(shows::<$shown>();)+
            shows::<Vec<Attributions>>();
            shows::<Vec<Vec<f32>>>();
            shows::<Result<Attributions>>();
        }
    };
}

shown!(
    Activation,
    Attributions,
    Baseline,
    BatchAttributions,
    Beeswarm,
    Chart,
    Check,
    ClassifierOutput,
    Column,
    Comment,
    Comments,
    Conv2d,
    DType,
    Dataset,
    Dependence,
    Device,
    Error,
    Explainer,
    FGSM,
    FeatureMask,
    Force,
    FromLayer,
    Heatmap,
    History,
    Inputs,
    Interpolation,
    Layer,
    LayerMap,
    Linear,
    LrpRule,
    Neuron,
    NoiseTunnelType,
    Norm,
    PGD,
    Palette,
    Parameters,
    Passengers,
    Precision,
    Prediction,
    Progress,
    Quadrature,
    Row,
    Sampler,
    Seed,
    Segmenter,
    SentimentTrainer,
    SequenceClassifier,
    Sequential,
    Series,
    Similarity,
    Sizes,
    Split,
    Stdevs,
    StrongestWords,
    Surrogate,
    Table,
    Target,
    Tensor,
    TextClassifier,
    TextInput,
    Theme,
    Titanic,
    TokenAttributions,
    Tokenizer,
    TrainedSentiment,
    Trainer,
    TransformerEncoder,
    Waterfall,
);

/// Traits, what a cell cannot end with because it borrows, stores of candle's own, what is deprecated, and a figure of
/// any type.
const OTHERS: &[&str] = &[
    "Attribute",
    "Block",
    "D",
    "Figure",
    "IntoModel",
    "Layers",
    "Model",
    "Module",
    "Neighbour",
    "Observer",
    "Result",
    "SentimentClassifier",
    "Show",
    "Themed",
    "Var",
    "VarBuilder",
    "VarMap",
];

#[test]
fn every_type_of_the_prelude_is_among_them() {
    let prelude = include_str!("../../src/prelude.rs");
    let code = prelude.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let names: BTreeSet<&str> = code
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .collect();
    let known: BTreeSet<&str> = SHOWN.iter().chain(OTHERS).copied().collect();
    assert_eq!(names.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "neither shown nor known");
    assert_eq!(known.difference(&names).collect::<Vec<_>>(), Vec::<&&str>::new(), "known, but not in the prelude");
}

#[test]
fn a_method_says_what_it_is() -> Result<()> {
    let net = Sequential::builder(2).linear("hidden", 3).relu("relu").linear("out", 2).build(Seed(1))?;
    let method = IntegratedGradients::new(&net);
    let info = METHODS.iter().find(|info| info.name == "IntegratedGradients").unwrap();
    for shown in [method.text(), method.html()] {
        assert!(shown.contains(info.name) && shown.contains("n_steps"), "{shown}");
    }
    assert!(NoiseTunnel::new(method).text().contains("NoiseTunnel"));
    Ok(())
}

#[test]
fn several_classes_are_shown_below_each_other() -> Result<()> {
    let net = Sequential::builder(2).linear("out", 2).build(Seed(1))?;
    let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
    let both = IntegratedGradients::new(&net).attribute_classes(&x, 0..2)?;
    let text = both.text();
    assert!(text.contains("target class 0") && text.contains("target class 1"), "{text}");
    let beside = row![Tensor::zeros((2, 2), DType::F32, &Device::Cpu)?, both]?;
    assert!(beside.html().contains("Tensor [2, 2], f32"));
    Ok(())
}
