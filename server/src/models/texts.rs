//! A text classifier as the server runs it.

use std::sync::Arc;

use candle_explain::attr::LayerActivation;
use candle_explain::candle_core::DType;
use candle_explain::engine::{Attributions, Baseline, Cost, MethodInfo, Options, Sizes, Target};
use candle_explain::model::{Inputs, Model};
use candle_explain::text::{Prediction, TextClassifier, TextInput, TokenAttributions, TokenizedText};
use candle_explain::{Error, Result, bail};
use serde_json::Value;

use super::ask::{Ask, method_of};
use super::readable;
use super::servable::{Description, Explanation, Kind, LayerShape, Offered, Parts, Row, Servable};
use super::tabular_model::Field;
use super::watched::BeforePass;
use crate::json::record::{check_names, check_values, shown};

/// The most bytes of one text. A model reads only its first few hundred words, but its pieces take a hundred
/// times as much memory.
const LONGEST_TEXT: usize = 256 << 10;
/// The layer that is explained if a request names none.
const LAYER: &str = "embeddings";
/// The tolerance if a request does not choose the steps.
const TOLERANCE: f64 = 1e-3;
/// How many texts of different requests are computed together.
const TEXTS_AT_ONCE: usize = 16;
/// At a layer, and over the words. Ids are no points between which a path could run, and cannot have noise or a gradient.
const METHODS: [&str; 13] = [
    "LayerIntegratedGradients",
    "LayerGradientXActivation",
    "LayerGradientShap",
    "LayerDeepLift",
    "LayerLRP",
    "LayerActivation",
    "FeatureAblation",
    "Occlusion",
    "ShapleyValueSampling",
    "ShapleyValues",
    "Lime",
    "KernelShap",
    "NeuronFeatureAblation",
];
const FIRST_TEXT: &str = "Sản phẩm này rất tốt, nhưng giao hàng quá chậm";

/// A text classifier as the server runs it. Texts that are too long are cut, and the answer says so.
pub(crate) struct Texts {
    model: TextClassifier,
    description: Description,
}

impl Texts {
    pub(crate) fn new(model: &TextClassifier) -> Result<Self> {
        let model = model.truncate(true);
        let description = Description {
            kind: Kind::Text,
            classes: model.labels().to_vec(),
            target: Target::Predicted,
            features: Vec::new(),
            fields: vec![Field::text("text", FIRST_TEXT, readable::pattern(&model))],
            layers: layers(&model),
            methods: METHODS.to_vec(),
            offered: Vec::new(),
            rows_at_once: TEXTS_AT_ONCE,
            is_quick: false,
        };
        let offered = METHODS.iter().map(|method| offered(method, &description.layers)).collect();
        Ok(Self { model, description: Description { offered, ..description } })
    }

    fn input(&self, rows: &[Row]) -> Result<TextInput> {
        let text = |row: &Row| match row {
            Row::Text(text) => Ok(text.clone()),
            Row::Features { .. } => bail!(Input, "this model takes texts, and features came"),
        };
        let texts: Vec<TokenizedText> = rows.iter().map(text).collect::<Result<_>>()?;
        TextInput::new(texts, self.model.classifier().pad_token_id())
    }

    /// What the request leaves open: the words as features, padding as the baseline, and the layer.
    fn options(&self, input: &TextInput, ask: &Ask, info: &MethodInfo) -> Result<Options> {
        let ask = if info.takes("max_steps") && !ask.chooses_steps() { &ask.to_tolerance(TOLERANCE) } else { ask };
        let mut options = ask.options()?;
        if info.takes("layer") && options.layers.is_empty() {
            options.layers.push(LAYER.to_string());
        }
        if info.takes("baseline") && options.baseline.is_none() {
            let padding = Inputs::from(input.reference()?).tensors().to_vec();
            let several = info.needs("baseline");
            options.baseline = Some(if several { Baseline::Distribution(padding) } else { Baseline::Tensors(padding) });
        }
        if info.takes("feature_mask") {
            ask.check_exact_values(words_of(&input.texts()[0]))?;
            options.feature_mask = Some(input.word_mask()?);
        }
        if info.takes("sliding_window_shapes") && options.sliding_window_shapes.is_none() {
            options.sliding_window_shapes = Some(Sizes::from(1));
        }
        Ok(options)
    }

    fn explain_together(&self, rows: &[Row], ask: &Ask, before_pass: &BeforePass) -> Result<Vec<Explanation>> {
        let info = ask.info()?;
        let input = self.input(rows)?;
        let options = self.options(&input, ask, info)?;
        let method = (info.build)(before_pass.of(Arc::new(self.model.clone())), &options)?;
        let attributions = method.attribute_to(&(&input).into(), &ask.target)?;
        let features = Features::of(info);
        let read = features.read(&attributions, &input)?;
        let words = read.normalize()?.by_word();
        let predictions = match attributions.output() {
            Some(output) => self.model.predictions_from(output)?,
            None => self.model.predictions(&input)?,
        };
        let explanation = |(row, output): (usize, Vec<f64>)| {
            let norm = norm(read.records()[row].units().iter().map(|unit| unit.value));
            let errors = (features == Features::Words).then(|| errors_of_words(&attributions, &input, row, norm));
            Ok(Explanation {
                output,
                class: attributions.targets().get(row).and_then(|target: &Vec<usize>| target.first().copied()),
                groups: Vec::new(),
                delta: words.records()[row].convergence_delta(),
                steps: attributions.steps().get(row).copied(),
                samples: attributions.samples().get(row).copied(),
                errors: errors.transpose()?.flatten(),
                norm: Some(norm),
                settled: attributions.settled().and_then(|settled| settled.get(row).copied()),
                remarks: attributions.remarks_of(row),
                parts: Parts::Words(words.only(row)),
            })
        };
        probabilities(predictions).into_iter().enumerate().map(explanation).collect()
    }
}

/// How many words a text has, special tokens left out.
fn words_of(text: &TokenizedText) -> usize {
    let mut words: Vec<usize> = text.tokens.iter().filter(|token| !token.special).map(|token| token.word).collect();
    words.dedup();
    words.len()
}

/// What numbers are divided by so that their squares add up to 1; 1 for zeros.
fn norm(values: impl Iterator<Item = f64>) -> f64 {
    Some(values.fold(0., f64::hypot)).filter(|norm| *norm > 0.).unwrap_or(1.)
}

/// The standard error of each word's attribution, on the scale of attributions that were divided by this norm; `None` for
/// a method that draws nothing.
fn errors_of_words(
    attributions: &Attributions,
    input: &TextInput,
    row: usize,
    norm: f64,
) -> Result<Option<Vec<(String, f64)>>> {
    let Some([errors]) = attributions.standard_errors() else { return Ok(None) };
    let errors: Vec<f64> = errors.get(row)?.to_dtype(DType::F64)?.to_vec1()?;
    let text = &input.texts()[row];
    let mut of_words = Vec::new();
    let mut last = None;
    for (token, error) in text.tokens.iter().zip(errors) {
        if last != Some(token.word) {
            last = Some(token.word);
            of_words.push((text.words.get(token.word).cloned().unwrap_or_default(), error / norm));
        }
    }
    Ok(Some(of_words))
}

/// A method as texts are offered it. Not every text has few words enough for exact Shapley values.
fn offered(method: &'static str, layers: &[LayerShape]) -> Offered {
    let info = method_of(method).ok();
    let of_a_neuron = info.is_some_and(|info| info.needs("neuron"));
    // The last says most: the output is computed from it.
    let layers = layers.iter().rev().filter(|_| of_a_neuron).map(|layer| layer.name.clone());
    Offered { method, layers: layers.collect(), any_record: info.is_none_or(|info| info.cost != Cost::PerCoalition) }
}

/// The layers that give numbers for each token; none if the model cannot read the first text.
fn layers(model: &TextClassifier) -> Vec<LayerShape> {
    let shapes = || {
        let input = model.tokenize(FIRST_TEXT)?;
        let of_tokens = |name: String| {
            let activation = LayerActivation::new(model, name.as_str()).attribute(&input).ok()?;
            let shape = activation.tensor().dims()[1..].to_vec();
            (shape.len() == 2 && shape[0] == input.ids().dims()[1]).then_some(LayerShape { name, shape })
        };
        Ok::<_, Error>(model.layer_names(&input)?.into_iter().filter_map(of_tokens).collect())
    };
    shapes().unwrap_or_default()
}

/// The text without words that lost all their tokens: a long text may wait in a queue, and should not take memory.
fn without_what_was_cut(mut text: TokenizedText) -> TokenizedText {
    if text.cut == 0 {
        return text;
    }
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for token in &mut text.tokens {
        if last != Some(token.word) {
            last = Some(token.word);
            words.push(text.words.get(token.word).cloned().unwrap_or_default());
        }
        token.word = words.len() - 1;
    }
    text.words = words;
    text.tokens.shrink_to_fit();
    text
}

/// The probability of each class for each text.
fn probabilities(predictions: Vec<Prediction>) -> Vec<Vec<f64>> {
    let of_text = |prediction: Prediction| prediction.classes.into_iter().map(|(_, probability)| probability).collect();
    predictions.into_iter().map(of_text).collect()
}

impl Servable for Texts {
    fn description(&self) -> &Description {
        &self.description
    }

    fn read(&self, record: &Value) -> Result<Row> {
        check_values(record)?;
        let text = match record {
            Value::String(text) => text,
            Value::Object(named) => {
                check_names(named, &["text"])?;
                match &named["text"] {
                    Value::String(text) => text,
                    other => bail!(Input, "text is {}: expected a text in quotes", shown(other)),
                }
            }
            other => bail!(Input, "a row is {}: expected a text, or an object with \"text\"", shown(other)),
        };
        if text.contains('\0') {
            bail!(Input, "the text holds a NUL: expected words")
        }
        if text.len() > LONGEST_TEXT {
            bail!(Input, "the text has {} bytes: expected at most {LONGEST_TEXT}", text.len())
        }
        Ok(Row::Text(without_what_was_cut(self.model.tokenize(text.as_str())?.texts()[0].clone())))
    }

    fn predict(&self, rows: &[Row]) -> Result<Vec<Vec<f64>>> {
        Ok(probabilities(self.model.predictions(&self.input(rows)?)?))
    }

    fn explain(&self, rows: &[Row], ask: &Ask, before_pass: &BeforePass) -> Result<Vec<Explanation>> {
        let info = ask.info()?;
        let per_text = Features::of(info) != Features::OfLayer || info.needs("baseline");
        let at_once = if per_text { 1 } else { rows.len().max(1) };
        let explained = rows.chunks(at_once).map(|texts| self.explain_together(texts, ask, before_pass));
        Ok(explained.collect::<Result<Vec<_>>>()?.concat())
    }
}

/// What a method attributes to in a text.
#[derive(Clone, Copy, PartialEq)]
enum Features {
    /// The numbers of a layer, of which each token has some.
    OfLayer,
    Words,
}

impl Features {
    fn of(info: &MethodInfo) -> Self {
        if info.takes("feature_mask") { Features::Words } else { Features::OfLayer }
    }

    fn read(self, attributions: &Attributions, input: &TextInput) -> Result<TokenAttributions> {
        match self {
            Features::OfLayer => attributions.sum_hidden(input),
            Features::Words => attributions.of_words(input),
        }
    }
}
