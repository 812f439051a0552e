//! Everything a notebook needs, with one `use candle_explain::prelude::*;`.
//!
//! It includes candle's own types, so that the notebook kernel can name every variable's type.

pub use candle_core::{D, DType, Device, Module, Tensor, Var};
pub use candle_nn::{VarBuilder, VarMap};

pub use crate::attr::*;
pub use crate::engine::{
    Attribute, Attributions, Baseline, Check, Column, FeatureMask, Interpolation, LrpRule, Neighbour, Neuron,
    NoiseTunnelType, Observer, Progress, Quadrature, Sampler, Series, Similarity, Sizes, Stdevs, Surrogate, Target,
};
pub use crate::error::{Error, Result};
pub use crate::model::{
    ClassifierOutput, FromLayer, Inputs, IntoModel, Layer, Layers, Model, SequenceClassifier, Sequential,
    TransformerEncoder, from_fn, from_rows,
};
pub use crate::nn::{Activation, Block, Conv2d, Linear, Precision, block};
pub use crate::render::{
    Beeswarm, Chart, Dependence, Figure, Force, Heatmap, LayerMap, Palette, Row, Show, Table, Theme, Themed, Waterfall,
    set_theme,
};
pub use crate::robust::{FGSM, Norm, PGD};
pub use crate::seed::Seed;
pub use crate::tabular::{Dataset, History, Parameters, Passengers, Split, Titanic, Trainer, neuron_names};
#[allow(deprecated)]
pub use crate::text::SentimentClassifier;
pub use crate::text::{
    BatchAttributions, Comment, Comments, Explainer, Prediction, Segmenter, SentimentTrainer, StrongestWords,
    TextClassifier, TextInput, TokenAttributions, Tokenizer, TrainedSentiment,
};
pub use crate::{heatmap, row};
