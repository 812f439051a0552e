//! A text classifier with everything between a text and its prediction.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Tensor, Var};

use super::place::find;
use super::{Comment, Segmenter, TextInput, Tokenizer};
use crate::error::{Result, bail, error};
use crate::finite;
use crate::model::{Inputs, Layers, Model, SequenceClassifier, TokenizedText};
use crate::visible::visible;

/// A text classifier with everything between a text and its prediction: word segmentation for
/// Vietnamese, the tokenizer, the model, the names of the classes.
///
/// It is a [`Model`] of token ids with the layers of [`SequenceClassifier`], so every method takes
/// it, and gives a probability for each class, of a single logit too;
/// [`SentimentClassifier::tokenize`] makes its inputs.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let model = SentimentClassifier::from_pretrained("data/sentiment-vi")?;
/// let input = model.tokenize("Sản phẩm này rất tốt")?;
/// let attributions = LayerIntegratedGradients::new(&model, "embeddings")
///     .baseline(input.reference()?)
///     .attribute(&input, Target::Predicted)?;
/// let words = attributions.sum_hidden()?.normalize()?.by_word();
/// assert_eq!(words.records()[0].prediction().map(|(label, _)| label), Some("positive"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct SentimentClassifier {
    model: Arc<SequenceClassifier>,
    tokenizer: Tokenizer,
    labels: Arc<Vec<String>>,
    segmenter: Option<Segmenter>,
    truncate: bool,
}

/// How likely each class is for a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The class of the largest probability.
    pub class: usize,
    /// Its name.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// Each class's name and probability.
    pub classes: Vec<(String, f64)>,
}

impl SentimentClassifier {
    /// Reads a folder with a checkpoint and its tokenizer, as `transformers` saves them; with the
    /// crate's feature `hub` also a model id of the Hugging Face hub. A folder that is not there
    /// is looked for in the crate's own folder too.
    ///
    /// Texts are segmented into words first if the tokenizer is PhoBERT's, or if `config.json`
    /// says `"word_segmentation": "vietnamese"`.
    ///
    /// An error names the file that is missing or broken; a `config.json` that does not name its
    /// classes is one too: give them with [`SentimentClassifier::with_labels`].
    pub fn from_pretrained(model: impl AsRef<str>) -> Result<Self> {
        let folder = folder_of(model.as_ref())?;
        let loaded = Self::load(&folder)?;
        if !loaded.model.names_labels() {
            bail!(
                File,
                "{}: config.json does not name the classes (\"id2label\" is not there, or only LABEL_0, LABEL_1, ...): name \
                 them there, or call SentimentClassifier::with_labels(\"{}\", [\"positive\", \"negative\"]) and \
                 Explainer::new of that",
                folder.display(),
                model.as_ref()
            )
        }
        Ok(loaded)
    }

    /// The same with names for the classes, in the order of the model's outputs; a model of one
    /// output takes two.
    pub fn with_labels(model: impl AsRef<str>, labels: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let loaded = Self::load(&folder_of(model.as_ref())?)?;
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        let outputs = loaded.model.labels().len();
        if labels.len() != outputs.max(2) {
            bail!(
                Input,
                "{} names for the classes of a model of {outputs} outputs: give {}",
                labels.len(),
                outputs.max(2)
            )
        }
        Ok(Self { labels: Arc::new(labels), ..loaded })
    }

    fn load(folder: &Path) -> Result<Self> {
        let model = SequenceClassifier::from_pretrained(folder)?;
        let tokenizer = Tokenizer::from_pretrained(folder)?;
        let segmented = tokenizer.expects_segmented_words() || model.encoder().wants_segmented_words();
        let segmenter = segmented.then(Segmenter::vietnamese);
        let labels = Arc::new(model.labels());
        Ok(Self { model: Arc::new(model), tokenizer, labels, segmenter, truncate: false })
    }

    /// The same from a model and a tokenizer that are loaded already.
    pub fn from_parts(model: SequenceClassifier, tokenizer: Tokenizer) -> Self {
        let labels = Arc::new(model.labels());
        Self { model: Arc::new(model), tokenizer, labels, segmenter: None, truncate: false }
    }

    /// Whether texts are segmented into Vietnamese words first. A text that has an underscore
    /// between two letters is taken to be segmented already and left as it is.
    pub fn segment_words(&self, segment: bool) -> Self {
        Self { segmenter: segment.then(Segmenter::vietnamese), ..self.clone() }
    }

    /// Whether texts that are too long are cut at their end instead of being an error. What was
    /// cut is said in the result.
    pub fn truncate(&self, truncate: bool) -> Self {
        Self { truncate, ..self.clone() }
    }

    /// The names of the classes.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The model without its tokenizer.
    pub fn classifier(&self) -> &SequenceClassifier {
        &self.model
    }

    /// Whether texts are segmented into Vietnamese words first.
    pub fn segments_words(&self) -> bool {
        self.segmenter.is_some()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// A text, with its class if that is known, as the model takes it.
    ///
    /// An error if it is empty, has no token that the model knows, or more than it takes.
    pub fn tokenize(&self, text: impl Into<Comment>) -> Result<TextInput> {
        TextInput::new(vec![self.read(&text.into())?], self.model.pad_token_id())
    }

    /// Several texts at once, filled up with padding to the longest.
    pub fn tokenize_all<T: Into<Comment>>(&self, texts: impl IntoIterator<Item = T>) -> Result<TextInput> {
        let texts = texts.into_iter().enumerate().map(|(index, text)| {
            let text = text.into();
            self.read(&text).map_err(|e| e.at(format!("text {index}")))
        });
        let texts = texts.collect::<Result<Vec<_>>>()?;
        if texts.is_empty() {
            bail!(Input, "there are no texts: give at least one")
        }
        TextInput::new(texts, self.model.pad_token_id())
    }

    /// The prediction for one text.
    pub fn predict_text(&self, text: impl Into<Comment>) -> Result<Prediction> {
        let mut predictions = self.predictions(&self.tokenize(text)?)?;
        Ok(predictions.swap_remove(0))
    }

    /// The prediction for each text of an input.
    pub fn predictions(&self, input: &TextInput) -> Result<Vec<Prediction>> {
        self.predictions_from(&self.predict(input)?)
    }

    /// The prediction for each row of what the model gave.
    pub(crate) fn predictions_from(&self, output: &Tensor) -> Result<Vec<Prediction>> {
        finite::check(output).map_err(|e| e.at("the model's output (check the weights)"))?;
        let rows = output.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        rows.into_iter().map(|row| self.prediction(&row)).collect()
    }

    fn prediction(&self, output: &[f64]) -> Result<Prediction> {
        let probabilities = class_probabilities(output, !self.model.gives_probabilities());
        let (class, probability) =
            most_probable(&probabilities).ok_or_else(|| error!(Input, "the model gives no output"))?;
        Ok(Prediction {
            class,
            label: self.labels[class].clone(),
            probability,
            classes: self.labels.iter().cloned().zip(probabilities.iter().copied()).collect(),
        })
    }

    /// Tokens and words of a text; what no model can say anything about is an error.
    pub(crate) fn read(&self, comment: &Comment) -> Result<TokenizedText> {
        if comment.text.trim().is_empty() {
            bail!(Input, "the text is empty: give at least one word")
        }
        if let Some(label) = comment.label
            && label >= self.labels.len()
        {
            bail!(Input, "the label is {label}, and the model knows the classes 0 to {}", self.labels.len() - 1)
        }
        let mut text = match &self.segmenter {
            Some(segmenter) => self.tokenizer.encode(&segmenter.segment(&comment.text))?,
            None => self.tokenizer.encode(&comment.text)?,
        };
        let own = text.tokens.iter().filter(|token| !token.special);
        if own.clone().count() == 0 {
            bail!(Input, "\"{}\" has no tokens: give at least one word", excerpt(&comment.text))
        }
        if own.clone().all(|token| token.unknown) {
            bail!(
                Input,
                "no part of \"{}\" is in the model's vocabulary: is it the language that the model was trained on?",
                excerpt(&comment.text)
            )
        }
        let most = self.model.max_tokens();
        let count = text.tokens.len();
        if count > most {
            if !self.truncate {
                bail!(
                    Input,
                    "\"{}\" has {count} tokens, and the model takes at most {most}: shorten it, or cut it at its end \
                     with truncate(true)",
                    excerpt(&comment.text)
                )
            }
            cut(&mut text, most);
        }
        text.label = comment.label;
        text.classes = self.labels.clone();
        text.logits = !self.model.gives_probabilities();
        Ok(text)
    }
}

/// A probability for each class, from a model's output or from its logits; a single one is class 1's.
pub(super) fn class_probabilities(output: &[f64], logits: bool) -> Vec<f64> {
    match output {
        &[logit] if logits => vec![1. / (1. + logit.exp()), 1. / (1. + (-logit).exp())],
        &[second] => vec![1. - second, second],
        logits_of_all if logits => {
            let largest = logits_of_all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exponentials: Vec<f64> = logits_of_all.iter().map(|logit| (logit - largest).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            exponentials.into_iter().map(|exponential| exponential / sum).collect()
        }
        probabilities => probabilities.to_vec(),
    }
}

/// The class of the largest probability, of equal ones the first.
pub(crate) fn most_probable(probabilities: &[f64]) -> Option<(usize, f64)> {
    probabilities.iter().copied().enumerate().rev().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Takes tokens out before the special ones at the end until `most` are left.
fn cut(text: &mut TokenizedText, most: usize) {
    let closing = text.tokens.iter().rev().take_while(|token| token.special).count();
    let excess = text.tokens.len() - most;
    let end = text.tokens.len() - closing;
    let start = end.saturating_sub(excess);
    text.cut = end - start;
    text.tokens.drain(start..end);
}

/// The beginning of a text, for an error.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut characters = text.trim().chars();
    let start = visible(&characters.by_ref().take(SHOWN).collect::<String>());
    if characters.next().is_some() { format!("{start}…") } else { start }
}

/// The folder that a name means.
fn folder_of(model: &str) -> Result<std::path::PathBuf> {
    let folder = find(Path::new(model));
    if folder.is_dir() {
        return Ok(folder);
    }
    #[cfg(feature = "hub")]
    if super::hub::is_model_id(model) {
        return super::hub::fetch(model);
    }
    bail!(
        File,
        "there is no folder {}: expected the folder of a checkpoint{}",
        folder.display(),
        if cfg!(feature = "hub") {
            ", or a model id of the Hugging Face hub, for example vinai/phobert-base"
        } else {
            " (a model id of the Hugging Face hub needs the crate's feature hub)"
        }
    )
}

impl Model for SentimentClassifier {
    fn forward(&self, input: &Inputs, layers: &mut Layers) -> Result<Tensor> {
        let output = self.model.forward(input, layers)?;
        match output.dims() {
            [_, 1] if self.model.gives_probabilities() => Ok(Tensor::cat(&[(1. - &output)?, output], 1)?),
            _ => Ok(output),
        }
    }

    fn parameters(&self) -> Vec<Var> {
        self.model.parameters()
    }

    fn named_parameters(&self) -> Vec<(String, Var)> {
        self.model.named_parameters()
    }

    fn known_operations(&self) -> Option<usize> {
        Some(self.model.known_operations()? + 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_become_probabilities() {
        let close = |output: &[f64], expected: &[f64]| {
            let probabilities = class_probabilities(output, true);
            assert_eq!(probabilities.len(), expected.len());
            let differ = probabilities.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0., f64::max);
            assert!(differ < 1e-12, "{probabilities:?}");
        };
        close(&[0.], &[0.5, 0.5]);
        close(&[3f64.ln()], &[0.25, 0.75]);
        close(&[-800.], &[1., 0.]);
        close(&[1000., 1000. + 3f64.ln()], &[0.25, 0.75]);
        assert_eq!(class_probabilities(&[0.25], false), [0.75, 0.25]);
    }

    #[test]
    fn of_equal_probabilities_the_first_is_taken() {
        assert_eq!(most_probable(&[0.2, 0.4, 0.4]), Some((1, 0.4)));
        assert_eq!(most_probable(&[]), None);
    }
}
