//! From the attributions of a model to those of its texts' tokens and words.

use candle_core::{DType, Device, Tensor};

use super::text_classifier::{class_probabilities, most_probable};
use super::text_record::Attributed;
use super::{TextInput, TextRecord, Token, TokenAttributions, TokenizedText, Unit};
use crate::engine::{Attributions, host_rows};
use crate::error::{Result, bail};

impl Attributions {
    /// The sum over the hidden axis: one number for each token of each text. Needs attributions
    /// `[batch, tokens, hidden]`, and the input that was attributed, as
    /// [`TextClassifier`](super::TextClassifier) tokenized it, for its words and tokens. Attributions to
    /// several layers give a record for each layer.
    pub fn sum_hidden(&self, input: &TextInput) -> Result<TokenAttributions> {
        self.of_texts(input, "[batch, tokens, hidden]", |value| {
            Ok((value.rank() == 3).then(|| value.sum(2)).transpose()?)
        })
    }

    /// One number for each token of each text, from attributions to the token ids, `[batch, tokens]`: of
    /// FeatureAblation or Occlusion with every token as a feature. Needs the input that was attributed.
    pub fn of_tokens(&self, input: &TextInput) -> Result<TokenAttributions> {
        if !self.grouping(0)?.is_trivial() {
            bail!(
                Input,
                "a feature_mask made features of several tokens, each of which has the number of its feature: take of_words, \
                 for features that are words"
            )
        }
        self.each_token(input)
    }

    fn each_token(&self, input: &TextInput) -> Result<TokenAttributions> {
        self.of_texts(input, "[batch, tokens]", |value| Ok((value.rank() == 2).then(|| value.clone())))
    }

    /// One number for each word of each text, from attributions to the token ids by the words' mask
    /// ([`TextInput::word_mask`]), `[batch, tokens]`: the number that all tokens of a word have, once.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let model = TextClassifier::from_pretrained("data/sentiment-vi")?;
    /// let input = model.tokenize("Sản phẩm này rất tốt, nhưng giao hàng quá chậm")?;
    /// let ablation = FeatureAblation::new(&model).baseline(input.reference()?).feature_mask(input.word_mask()?);
    /// let words = ablation.attribute(&input, Target::Predicted)?.of_words(&input)?;
    /// println!("{}", words.text());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn of_words(&self, input: &TextInput) -> Result<TokenAttributions> {
        let mut tokens = self.each_token(input)?;
        let grouping = self.grouping(0)?;
        for (row, record) in tokens.records.iter_mut().enumerate() {
            if let Some(features) = grouping.of(row) {
                let mut feature = features.iter();
                let mut last = None;
                record.units.retain(|unit| {
                    let place = (unit.word, feature.next());
                    last.replace(place) != Some(place)
                });
            }
            let parted = record.units.windows(2).find(|pair| pair[0].word == pair[1].word);
            if let Some([one, other]) = parted {
                bail!(
                    Input,
                    "\"{}\" and \"{}\" are pieces of one word and have different numbers: attribute with \
                     feature_mask(input.word_mask()?), or take of_tokens, whose by_word adds them up",
                    one.text,
                    other.text
                )
            }
        }
        Ok(tokens.by_word())
    }

    /// A record for each text, and for each layer where there are several. `to_tokens` gives the numbers
    /// `[batch, tokens]`, or nothing if the attributions are not of the shape `expected`.
    fn of_texts(
        &self,
        input: &TextInput,
        expected: &str,
        to_tokens: impl Fn(&Tensor) -> Result<Option<Tensor>>,
    ) -> Result<TokenAttributions> {
        let texts = input.texts();
        if texts.len() != self.batch_size() {
            bail!(
                Input,
                "these attributions are of {} examples, and the input is of {} texts: give the one that was attributed",
                self.batch_size(),
                texts.len()
            )
        }
        let outputs = self.output().map(|output| host_rows(std::slice::from_ref(output))).transpose()?;
        let mut records = Vec::new();
        for (index, (place, value)) in self.places().iter().zip(self.values()).enumerate() {
            let own = self.converging_as(index);
            let deltas = own.convergence_delta().ok();
            let longest = input.ids().dims()[1];
            let Some(sums) = to_tokens(&value.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)? else {
                bail!(Input, "the attributions of {place} are {:?}: expected {expected}", value.dims())
            };
            let tokens = sums.dims()[1];
            if tokens != longest {
                bail!(
                    Input,
                    "the attributions of {place} are of {tokens} tokens, and the input is of {longest}: give the one that \
                     was attributed"
                )
            }
            let sums = sums.to_vec2::<f64>()?;
            if let Some(sum) = sums.iter().flatten().find(|sum| !sum.is_finite()) {
                bail!(NotFinite, "a token's attributions of {place} have the sum {sum}")
            }
            for (row, (text, sums)) in texts.iter().zip(sums).enumerate() {
                let target = self.targets().get(row).and_then(|target| target.first().copied());
                let output = outputs.as_ref().and_then(|outputs| outputs.get(row));
                records.push(TextRecord {
                    method: self.method(),
                    place: place.clone(),
                    normalized: false,
                    units: units(text, &sums),
                    label: text.label.map(|label| class_name(text, label)),
                    prediction: output.and_then(|output| prediction(text, output)),
                    attributed: target.zip(output).map(|(target, output)| attributed(text, target, output.len())),
                    output: output.and_then(|output| output.get(target.unwrap_or(0)).copied()),
                    norm: 1.,
                    delta: deltas.as_ref().and_then(|deltas| deltas.values().get(row).copied()),
                    steps: own.steps().get(row).copied(),
                    shortfall: own.shortfall(row),
                    rounding: own.rounding(),
                    words: text.words.clone(),
                    cut: text.cut,
                    unknown: text.unknown(),
                });
            }
        }
        Ok(TokenAttributions { records })
    }
}

fn units(text: &TokenizedText, values: &[f64]) -> Vec<Unit> {
    let joined = |index: usize| {
        let Some(last) = index.checked_sub(1).map(|before| &text.tokens[before]) else { return false };
        let token = &text.tokens[index];
        // A piece of white space, such as a lone `Ġ`, separates the pieces around it.
        let own = text.text.get(token.span.clone()).unwrap_or_default();
        let start = if own.trim().is_empty() { token.span.end } else { token.span.start };
        let between = text.text.get(last.span.end..start).unwrap_or_default();
        !last.special && !token.special && !between.contains(char::is_whitespace)
    };
    let unit = |(index, (token, value)): (usize, (&Token, &f64))| Unit {
        text: token.piece.clone(),
        value: *value,
        special: token.special,
        word: token.word,
        joined: joined(index),
    };
    text.tokens.iter().zip(values).enumerate().map(unit).collect()
}

fn class_name(text: &TokenizedText, class: usize) -> String {
    text.classes.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
}

fn prediction(text: &TokenizedText, output: &[f64]) -> Option<(String, f64)> {
    let (class, probability) = most_probable(&class_probabilities(output, text.logits))?;
    Some((class_name(text, class), probability))
}

fn attributed(text: &TokenizedText, target: usize, outputs: usize) -> Attributed {
    let class = if outputs == 1 { 1 } else { target };
    let opposite = (text.classes.len() == 2).then(|| class_name(text, 1 - class.min(1)));
    Attributed { class, name: class_name(text, class), opposite }
}
