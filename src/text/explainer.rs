//! From a text to its coloured words in one call.

use std::collections::BTreeMap;

use candle_core::Device;

use super::{
    BatchAttributions, Comment, Comments, TextClassifier, TextInput, TextRecord, TokenAttributions, TokenizedText,
};
use crate::attr::{LayerConductance, LayerIntegratedGradients};
use crate::engine::{Attribute, Baseline, PathSettings, Target};
use crate::error::{Error, Result, bail};
use crate::model::FromLayer;
use crate::nn::Precision;
use crate::progress::Progress;

/// How many texts go through the model together.
const TEXTS_AT_ONCE: usize = 16;
/// How many more tokens the longest of them may have than the shortest: this many, and a quarter of the shortest's.
const MORE_TOKENS: usize = 4;

/// Explains a text classifier's predictions word by word: LayerIntegratedGradients on its
/// embeddings with padding as baseline, summed over the hidden axis, normalised, joined into words.
///
/// By default it explains the class that the model predicts, with enough steps for a tolerance of 0.001.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let explain = Explainer::from_pretrained("data/sentiment-vi")?;
/// let words = explain.visualize("Sản phẩm này rất tốt, nhưng giao hàng quá chậm")?;
/// assert_eq!(words.records().len(), 1);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Explainer {
    model: TextClassifier,
    layer: String,
    path: PathSettings,
    target: Target,
    pieces: bool,
}

impl Explainer {
    /// Reads a folder with a checkpoint and its tokenizer; see [`TextClassifier::from_pretrained`].
    pub fn from_pretrained(model: impl AsRef<str>) -> Result<Self> {
        Ok(Self::new(&TextClassifier::from_pretrained(model)?))
    }

    /// Explains a model that is already loaded.
    pub fn new(model: &TextClassifier) -> Self {
        Self {
            model: model.clone(),
            layer: "embeddings".to_string(),
            path: PathSettings { tolerance: Some(1e-3), ..PathSettings::default() },
            target: Target::Predicted,
            pieces: false,
        }
    }

    /// The same explainer with its model on another device: a GPU takes many steps of a path at once.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let explain = Explainer::from_pretrained("data/sentiment-vi")?.to_device(&device)?;
    /// let words = explain.visualize("Sản phẩm này rất tốt, nhưng giao hàng quá chậm")?;
    /// assert_eq!(words.records().len(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self { model: self.model.to_device(device)?, ..self.clone() })
    }

    /// The same explainer with the dense products of its model in another precision on the CPU:
    /// [`Precision::Bf16`] may take less time, and the result's remarks say how far its numbers are off. See
    /// [`TransformerEncoder::precision`](crate::model::TransformerEncoder::precision) for what it needs. Attributions in
    /// bf16 add up less closely: a tolerance below 0.001 is an error.
    pub fn precision(&self, precision: Precision) -> Result<Self> {
        Ok(Self { model: self.model.precision(precision)?, ..self.clone() })
    }

    /// The class that is explained; the predicted one by default.
    pub fn target(&self, target: impl Into<Target>) -> Self {
        Self { target: target.into(), ..self.clone() }
    }

    /// A fixed number of points of the path, instead of the tolerance.
    pub fn n_steps(&self, n_steps: usize) -> Self {
        let mut changed = self.clone();
        changed.path.fix_steps(n_steps);
        changed
    }

    /// How closely the attributions must add up; see [`LayerIntegratedGradients::tolerance`].
    pub fn tolerance(&self, tolerance: f64) -> Self {
        Self { path: PathSettings { tolerance: Some(tolerance), ..self.path.clone() }, ..self.clone() }
    }

    /// The most steps that the tolerance may take; see [`LayerIntegratedGradients::max_steps`].
    pub fn max_steps(&self, max_steps: usize) -> Self {
        Self { path: PathSettings { max_steps, ..self.path.clone() }, ..self.clone() }
    }

    /// The most passes that run at once; see [`LayerIntegratedGradients::workers`].
    pub fn workers(&self, workers: usize) -> Self {
        let mut changed = self.clone();
        changed.path.budget.workers = Some(workers);
        changed
    }

    /// The most rows that one pass evaluates; see [`LayerIntegratedGradients::internal_batch_size`].
    pub fn internal_batch_size(&self, rows: usize) -> Self {
        let mut changed = self.clone();
        changed.path.budget.rows = Some(rows);
        changed
    }

    /// The share of a GPU's memory that a pass may take; see [`LayerIntegratedGradients::device_memory_share`].
    pub fn device_memory_share(&self, share: f64) -> Self {
        let mut changed = self.clone();
        changed.path.budget.share_of_device = share;
        changed
    }

    /// Another layer than `embeddings`: `embeddings.word_embeddings`, `encoder.layer.0`, ...
    pub fn layer(&self, layer: impl Into<String>) -> Self {
        Self { layer: layer.into(), ..self.clone() }
    }

    /// Whether to show the tokenizer's pieces instead of whole words.
    pub fn pieces(&self, pieces: bool) -> Self {
        Self { pieces, ..self.clone() }
    }

    /// The model that is explained.
    pub fn model(&self) -> &TextClassifier {
        &self.model
    }

    /// The layer whose attributions it shows.
    pub(crate) fn attributed_layer(&self) -> &str {
        &self.layer
    }

    /// The words of one text, a `&str` or `(text, label)`, coloured by their attributions.
    pub fn visualize(&self, text: impl Into<Comment>) -> Result<TokenAttributions> {
        self.words_of(&self.model.tokenize(text)?)
    }

    /// The words of many texts. Texts of similar length go through the model together, and only the
    /// words' numbers are kept. A text that cannot be read or explained gets an error; the others are not
    /// affected.
    ///
    /// An error if there are no texts, or if all of them fail for the same reason, such as a layer that does not
    /// exist.
    pub fn batch(&self, comments: &Comments) -> Result<BatchAttributions> {
        if comments.is_empty() {
            bail!(Input, "there are no comments: give at least one")
        }
        let progress = Progress::new("comment", comments.rows().len());
        let (mut rows, mut texts) = (BTreeMap::new(), Vec::new());
        for (index, comment) in comments.rows().iter().enumerate() {
            progress.step(0, || "reading".to_string())?;
            match self.model.read(comment) {
                Ok(text) => texts.push((index, text)),
                Err(error) => drop(rows.insert(index, Err(error))),
            }
        }
        progress.step(rows.len(), String::new)?;
        texts.sort_by_key(|(_, text)| text.tokens.len());
        let (mut done, mut failures) = (rows.len(), Vec::new());
        for block in of_similar_length(&texts, |(_, text)| text.tokens.len()) {
            let alone: Vec<TokenizedText> = block.iter().map(|(_, text)| text.clone()).collect();
            progress.under_way(block.len());
            let explained = self.each(&alone);
            failures.extend(explained.iter().filter_map(|row| row.as_ref().err().cloned()));
            rows.extend(block.iter().map(|(index, _)| *index).zip(explained));
            done += block.len();
            progress.step(done, || format!("{} words", alone.iter().map(|text| text.words.len()).sum::<usize>()))?;
        }
        match failures.first() {
            Some(first) if failures.len() == texts.len() && same(&failures) => Err(first.clone()),
            _ => Ok(BatchAttributions::new(rows.into_values().collect())),
        }
    }

    /// The layer x word picture: LayerConductance through every encoder layer, along the path
    /// from the reference's embeddings to the text's. The points of the path are evaluated once for all layers,
    /// or for some at a time if the text is long.
    pub fn layers(&self, text: impl Into<Comment>) -> Result<TokenAttributions> {
        let input = self.model.tokenize(text)?;
        let upper = FromLayer::new(&self.model, "embeddings");
        let (embedded, reference) = (upper.inputs(&input)?, upper.inputs(input.reference()?)?);
        let names = self.model.classifier().encoder().encoder_layers();
        if names.is_empty() {
            bail!(Layer, "the model has no layers above its embeddings")
        }
        let method = LayerConductance::new(&upper, names).with_settings(self.against(&reference));
        self.summarized(method.attribute(&embedded, self.target.clone())?.sum_hidden(&input)?)
    }

    /// The words of each text: all texts together or, if that fails, in halves, down to the texts that fail.
    fn each(&self, texts: &[TokenizedText]) -> Vec<Result<TextRecord>> {
        let together = self.model.input(texts.to_vec());
        match together.and_then(|input| self.words_of(&input)) {
            Ok(words) => words.records.into_iter().map(Ok).collect(),
            Err(error) if texts.len() < 2 => vec![Err(error)],
            Err(_) => {
                let (first, second) = texts.split_at(texts.len() / 2);
                [self.each(first), self.each(second)].concat()
            }
        }
    }

    fn words_of(&self, input: &TextInput) -> Result<TokenAttributions> {
        let method = LayerIntegratedGradients::new(&self.model, self.layer.as_str())
            .with_settings(self.against(input.reference()?));
        self.summarized(method.attribute(input, self.target.clone())?.sum_hidden(input)?)
    }

    fn against(&self, baseline: impl Into<Baseline>) -> PathSettings {
        PathSettings { baseline: baseline.into(), ..self.path.clone() }
    }

    fn summarized(&self, tokens: TokenAttributions) -> Result<TokenAttributions> {
        let tokens = tokens.normalize()?;
        Ok(if self.pieces { tokens } else { tokens.by_word() })
    }
}

/// Blocks of texts that are sorted by their length: padded to the longest, none of a block is much longer than it was.
fn of_similar_length<T>(texts: &[T], length: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut left = texts;
    std::iter::from_fn(move || {
        let shortest = length(left.first()?);
        let most = shortest + shortest / 4 + MORE_TOKENS;
        let count = left.iter().take(TEXTS_AT_ONCE).take_while(|text| length(text) <= most).count();
        let (block, others) = left.split_at(count);
        left = others;
        Some(block)
    })
}

/// Whether all errors say the same: then the texts are not their cause.
fn same(errors: &[Error]) -> bool {
    errors.windows(2).all(|pair| pair[0].to_string() == pair[1].to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_similar_length_go_together() {
        let blocks = |lengths: &[usize]| -> Vec<Vec<usize>> {
            of_similar_length(lengths, |length| *length).map(<[usize]>::to_vec).collect()
        };
        assert_eq!(blocks(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(blocks(&[3, 7, 8, 14, 15, 168]), [vec![3, 7], vec![8, 14], vec![15], vec![168]]);
        assert_eq!(blocks(&[20; 40]).iter().map(Vec::len).collect::<Vec<_>>(), [16, 16, 8]);
    }
}
