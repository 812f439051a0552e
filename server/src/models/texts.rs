//! A text classifier as the server runs it.

use std::sync::Arc;

use candle_explain::engine::{Baseline, Options, Target};
use candle_explain::text::{Prediction, TextClassifier, TextInput, TokenizedText};
use candle_explain::{Result, bail};
use serde_json::Value;

use super::ask::Ask;
use super::readable;
use super::servable::{Description, Explanation, Kind, Parts, Row, Servable};
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
const METHODS: [&str; 5] =
    ["LayerIntegratedGradients", "LayerGradientXActivation", "LayerDeepLift", "LayerLRP", "LayerActivation"];
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
            methods: METHODS.to_vec(),
            offered: METHODS.to_vec(),
            rows_at_once: TEXTS_AT_ONCE,
            is_quick: false,
        };
        Ok(Self { model, description })
    }

    fn input(&self, rows: &[Row]) -> Result<TextInput> {
        let text = |row: &Row| match row {
            Row::Text(text) => Ok(text.clone()),
            Row::Features { .. } => bail!(Input, "this model takes texts, and features came"),
        };
        let texts: Vec<TokenizedText> = rows.iter().map(text).collect::<Result<_>>()?;
        TextInput::new(texts, self.model.classifier().pad_token_id())
    }
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
        let input = self.input(rows)?;
        let compared = info.takes("baseline");
        let ask =
            if info.takes("tolerance") && !ask.chooses_steps() { ask.to_tolerance(TOLERANCE) } else { ask.clone() };
        let mut options: Options = ask.options()?;
        if options.layers.is_empty() {
            options.layers.push(LAYER.to_string());
        }
        if compared && options.baseline.is_none() {
            options.baseline = Some(Baseline::from(input.reference()?));
        }
        let method = (info.build)(before_pass.of(Arc::new(self.model.clone())), &options)?;
        let attributions = method.attribute_to(&(&input).into(), &ask.target)?;
        let words = attributions.sum_hidden(&input)?.normalize()?.by_word();
        let predictions = match attributions.output() {
            Some(output) => self.model.predictions_from(output)?,
            None => self.model.predictions(&input)?,
        };
        let explanation = |(row, output): (usize, Vec<f64>)| Explanation {
            output,
            class: attributions.targets().get(row).and_then(|target: &Vec<usize>| target.first().copied()),
            delta: words.records()[row].convergence_delta(),
            steps: attributions.steps().get(row).copied(),
            samples: attributions.samples().get(row).copied(),
            errors: None,
            settled: attributions.settled().and_then(|settled| settled.get(row).copied()),
            remarks: attributions.remarks_of(row),
            parts: Parts::Words(words.only(row)),
        };
        Ok(probabilities(predictions).into_iter().enumerate().map(explanation).collect())
    }
}
