//! From a text to the picture of its words in one call.

use super::{Comment, Comments, SentimentClassifier, TextInput, TokenAttributions};
use crate::attr::{LayerConductance, LayerIntegratedGradients};
use crate::engine::{Attribute, Baseline, PathSettings, Target};
use crate::error::{Result, bail};
use crate::model::FromLayer;
use crate::progress::Progress;

/// How many texts go through the model together.
const TEXTS_AT_ONCE: usize = 16;

/// Explains a text classifier's predictions by the words: LayerIntegratedGradients on its
/// embeddings, against padding, summed over the hidden axis, normalised, joined into words.
///
/// By default the class that the model predicts is explained, and the steps are chosen so that
/// the attributions add up to 0.001.
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
    model: SentimentClassifier,
    layer: String,
    path: PathSettings,
    target: Target,
    pieces: bool,
}

impl Explainer {
    /// Reads a folder with a checkpoint and its tokenizer; see [`SentimentClassifier::from_pretrained`].
    pub fn from_pretrained(model: impl AsRef<str>) -> Result<Self> {
        Ok(Self::new(&SentimentClassifier::from_pretrained(model)?))
    }

    /// Explains a model that is loaded already.
    pub fn new(model: &SentimentClassifier) -> Self {
        Self {
            model: model.clone(),
            layer: "embeddings".to_string(),
            path: PathSettings { tolerance: Some(1e-3), ..PathSettings::default() },
            target: Target::Predicted,
            pieces: false,
        }
    }

    /// The class that is explained; the predicted one by default.
    pub fn target(&self, target: impl Into<Target>) -> Self {
        Self { target: target.into(), ..self.clone() }
    }

    /// A fixed number of points of the path, in place of the tolerance.
    pub fn n_steps(&self, n_steps: usize) -> Self {
        let mut changed = self.clone();
        changed.path.fix_steps(n_steps);
        changed
    }

    /// How closely the attributions must add up; see [`LayerIntegratedGradients::tolerance`].
    pub fn tolerance(&self, tolerance: f64) -> Self {
        Self { path: PathSettings { tolerance: Some(tolerance), ..self.path.clone() }, ..self.clone() }
    }

    /// How many steps the tolerance may take at most; see [`LayerIntegratedGradients::max_steps`].
    pub fn max_steps(&self, max_steps: usize) -> Self {
        Self { path: PathSettings { max_steps, ..self.path.clone() }, ..self.clone() }
    }

    /// How many rows one pass evaluates at most; see [`LayerIntegratedGradients::internal_batch_size`].
    pub fn internal_batch_size(&self, rows: usize) -> Self {
        Self { path: PathSettings { internal_batch_size: Some(rows), ..self.path.clone() }, ..self.clone() }
    }

    /// Another layer than `embeddings`: `embeddings.word_embeddings`, `encoder.layer.0`, ...
    pub fn layer(&self, layer: impl Into<String>) -> Self {
        Self { layer: layer.into(), ..self.clone() }
    }

    /// Whether tokens are shown as the tokenizer cuts them, instead of whole words.
    pub fn pieces(&self, pieces: bool) -> Self {
        Self { pieces, ..self.clone() }
    }

    /// The model that is explained.
    pub fn model(&self) -> &SentimentClassifier {
        &self.model
    }

    /// The words of one text, a `&str` or `(text, label)`, coloured by what they say for the class.
    pub fn visualize(&self, text: impl Into<Comment>) -> Result<TokenAttributions> {
        self.words_of(&self.model.tokenize(text)?)
    }

    /// The words of many texts. Texts go through the model in blocks of like length, and only the
    /// words' numbers are kept. Every text is tokenized before the first is explained, so a text
    /// that cannot be read is an error before any time is spent.
    pub fn batch(&self, comments: &Comments) -> Result<TokenAttributions> {
        let texts = comments
            .rows()
            .iter()
            .enumerate()
            .map(|(index, comment)| self.model.read(comment).map_err(|e| e.at(format!("comment {index}"))));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&index| texts[index].tokens.len());
        let mut progress = Progress::new("comment", texts.len());
        let mut records = vec![None; texts.len()];
        let (mut joined, mut done): (Option<TokenAttributions>, usize) = (None, 0);
        for block in order.chunks(TEXTS_AT_ONCE) {
            let input = TextInput::new(
                block.iter().map(|&index| texts[index].clone()).collect(),
                self.model.classifier().pad_token_id(),
            )?;
            let mut words = self.words_of(&input)?;
            for (&index, record) in block.iter().zip(words.records.drain(..)) {
                records[index] = Some(record);
            }
            done += block.len();
            progress
                .step(done, || format!("{} words", input.texts().iter().map(|text| text.words.len()).sum::<usize>()));
            joined.get_or_insert(words);
        }
        let Some(mut all) = joined else { bail!(Input, "there are no comments: give at least one") };
        all.records = records.into_iter().flatten().collect();
        Ok(all)
    }

    /// The layer x word picture: LayerConductance through every encoder layer, along the path
    /// from the reference's embeddings to the text's. Costs the path once for each layer.
    pub fn layers(&self, text: impl Into<Comment>) -> Result<TokenAttributions> {
        let input = self.model.tokenize(text)?;
        let upper = FromLayer::new(&self.model, "embeddings");
        let (embedded, reference) = (upper.inputs(&input)?, upper.inputs(input.reference()?)?);
        let names = self.model.classifier().encoder().encoder_layers();
        let mut progress = Progress::new("layer", names.len());
        let mut all: Option<TokenAttributions> = None;
        for (index, name) in names.iter().enumerate() {
            let method = LayerConductance::new(&upper, name.as_str()).with_settings(self.against(&reference));
            let attributions = method.attribute(&embedded, self.target.clone())?;
            let layer = self.summarized(attributions.sum_hidden()?)?;
            all = Some(all.map_or(layer.clone(), |all| all.with(&layer)));
            progress.step(index + 1, || name.clone());
        }
        match all {
            Some(all) => Ok(all),
            None => bail!(Layer, "the model has no layers above its embeddings"),
        }
    }

    fn words_of(&self, input: &TextInput) -> Result<TokenAttributions> {
        let method = LayerIntegratedGradients::new(&self.model, self.layer.as_str())
            .with_settings(self.against(input.reference()?));
        self.summarized(method.attribute(input, self.target.clone())?.sum_hidden()?)
    }

    fn against(&self, baseline: impl Into<Baseline>) -> PathSettings {
        PathSettings { baseline: baseline.into(), ..self.path.clone() }
    }

    fn summarized(&self, tokens: TokenAttributions) -> Result<TokenAttributions> {
        let tokens = tokens.normalize()?;
        Ok(if self.pieces { tokens } else { tokens.by_word() })
    }
}
