//! A text classifier with everything between a text and its prediction.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};

use super::shipped::find;
use super::{Comment, Segmenter, TextInput, TokenizedText, Tokenizer};
use crate::error::{Result, bail, error};
use crate::file::read;
use crate::finite;
use crate::model::{Inputs, Layers, Model, SequenceClassifier};
use crate::visible::visible;

/// A text classifier with everything between a text and its prediction: word segmentation for
/// Vietnamese, the tokenizer, the model, the names of the classes.
///
/// It is a [`Model`] of token ids with the layers of [`SequenceClassifier`], so every method takes
/// it. It gives a probability for each class, even from a single logit.
/// [`TextClassifier::tokenize`] makes its inputs.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let model = TextClassifier::from_pretrained("data/sentiment-vi")?;
/// let input = model.tokenize("Sản phẩm này rất tốt")?;
/// let attributions = LayerIntegratedGradients::new(&model, "embeddings")
///     .baseline(input.reference()?)
///     .attribute(&input, Target::Predicted)?;
/// let words = attributions.sum_hidden(&input)?.normalize()?.by_word();
/// assert_eq!(words.records()[0].prediction().map(|(label, _)| label), Some("positive"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct TextClassifier {
    pub(super) model: Arc<SequenceClassifier>,
    tokenizer: Tokenizer,
    labels: Arc<Vec<String>>,
    segmenter: Option<Segmenter>,
    truncate: bool,
    /// How many tokens a text may have, if that was set.
    most: Option<usize>,
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

impl TextClassifier {
    /// Reads a folder with a checkpoint and its tokenizer, as `transformers` saves them; with the
    /// crate's feature `hub` also a model id of the Hugging Face hub. If the folder does not exist, it
    /// is looked for in the crate's own folder.
    ///
    /// Texts are segmented into words first if the tokenizer is PhoBERT's, or if `config.json`
    /// says `"word_segmentation": "vietnamese"`.
    ///
    /// Padding is the tokenizer's. An error names the file that is missing or broken. It is also an error if
    /// `config.json` does not name its classes, or gives two the same name: then give names with
    /// [`TextClassifier::with_labels`].
    pub fn from_pretrained(model: impl AsRef<str>) -> Result<Self> {
        let folder = folder_of(model.as_ref())?;
        let loaded = Self::load(&folder)?;
        let advice = || {
            let outputs: Vec<String> =
                (0..loaded.labels.len()).map(|class| format!("\"name of class {class}\"")).collect();
            format!(
                "name them there, or call TextClassifier::with_labels(\"{}\", [{}]), in the order of the model's \
                 outputs, and Explainer::new of that; whoever trained the model knows the order",
                model.as_ref(),
                outputs.join(", ")
            )
        };
        if !loaded.model.names_labels() {
            bail!(
                File,
                "{}: config.json does not name the classes (\"id2label\" is not there, or only LABEL_0, LABEL_1, ...): {}",
                folder.display(),
                advice()
            )
        }
        if let Some(name) = twice(&loaded.labels) {
            bail!(File, "{}: config.json gives two classes the name \"{name}\": {}", folder.display(), advice())
        }
        Ok(loaded)
    }

    /// The same with names for the classes, in the order of the model's outputs; a model with one
    /// output takes two names.
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
        if let Some(name) = twice(&labels) {
            bail!(Input, "two classes have the name \"{name}\": give each its own")
        }
        Ok(Self { labels: Arc::new(labels), ..loaded })
    }

    fn load(folder: &Path) -> Result<Self> {
        let model = SequenceClassifier::from_pretrained(folder)?;
        let tokenizer = Tokenizer::from_pretrained(folder)?;
        let vocabulary = model.encoder().vocabulary_size();
        let (padding, told) = (tokenizer.pad_token_id(), model.encoder().told_padding());
        if let (Some(token), Some(id)) = (tokenizer.unlisted_padding(), padding)
            && (id as usize >= vocabulary || told.is_some_and(|told| told != id))
        {
            bail!(
                File,
                "{}: the tokenizer's padding token {token} is not in its vocabulary and would be token {id}, and the model \
                 knows {vocabulary} tokens: {}",
                folder.display(),
                if begins_with_a_byte_order_mark(folder) {
                    MARKED_VOCABULARY
                } else {
                    "name one of them as \"pad_token\" in tokenizer_config.json"
                }
            )
        }
        if tokenizer.largest_id() as usize >= vocabulary {
            bail!(
                File,
                "{}: the tokenizer has a token of number {}, and the model knows {vocabulary} tokens, from 0 on: {}",
                folder.display(),
                tokenizer.largest_id(),
                if begins_with_a_byte_order_mark(folder) {
                    MARKED_VOCABULARY
                } else {
                    "is it this model's tokenizer? If tokens were added to it, the model was not enlarged with them"
                }
            )
        }
        let model = match (padding, told) {
            (Some(padding), Some(told)) if padding != told => bail!(
                File,
                "{}: the tokenizer's padding is token {padding}, and config.json says that pad_token_id is {told}: one of \
                 them is not what the model was trained with; transformers fills texts up with the tokenizer's: if that \
                 is right, write {padding} into config.json",
                folder.display()
            ),
            (None, None) => bail!(
                File,
                "{}: nothing tells which token is padding, which texts are compared with: name it as \"pad_token\" in \
                 tokenizer_config.json, or its number as \"pad_token_id\" in config.json",
                folder.display()
            ),
            (Some(padding), _) | (None, Some(padding)) => model.with_padding(padding),
        };
        let segmented = tokenizer.expects_segmented_words() || model.encoder().wants_segmented_words();
        let segmenter = segmented.then(Segmenter::vietnamese);
        Ok(Self { segmenter, ..Self::from_parts(model, tokenizer) })
    }

    /// A classifier from a model and a tokenizer that are already loaded. Padding is the tokenizer's, if it has any.
    pub fn from_parts(model: SequenceClassifier, tokenizer: Tokenizer) -> Self {
        let labels = Arc::new(model.labels());
        let padding = tokenizer.pad_token_id().unwrap_or(model.pad_token_id());
        let model = Arc::new(model.with_padding(padding));
        Self { model, tokenizer, labels, segmenter: None, truncate: false, most: None }
    }

    /// Whether texts are segmented into Vietnamese words first. A text that has an underscore
    /// between two letters is taken to be segmented already and left as it is.
    pub fn segment_words(&self, segment: bool) -> Self {
        Self { segmenter: segment.then(Segmenter::vietnamese), ..self.clone() }
    }

    /// Whether texts that are too long are cut instead of being an error. They lose their end, or their beginning
    /// if the tokenizer says so; of a pair first the longer text, then both. The result says what was cut.
    pub fn truncate(&self, truncate: bool) -> Self {
        Self { truncate, ..self.clone() }
    }

    /// The most tokens that a text may have, special ones included; by default the tokenizer's limit. It never
    /// exceeds what the model takes.
    pub fn max_tokens(&self, most: usize) -> Self {
        Self { most: Some(most), ..self.clone() }
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

    /// The model's input for a text, with its class if that is known.
    ///
    /// An error if the text is empty, has no token that the model knows, or has too many tokens.
    pub fn tokenize(&self, text: impl Into<Comment>) -> Result<TextInput> {
        self.input(vec![self.read(&text.into())?])
    }

    /// The input for two texts that the model was trained to read as a pair: a question and its answer, or two
    /// sentences. Their attributions cover both texts.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let model = TextClassifier::from_pretrained("data/sentiment-vi")?;
    /// let pair = model.tokenize_pair("Áo có đẹp không?", "Rất đẹp")?;
    /// assert_eq!(pair.texts()[0].words.last().map(String::as_str), Some("</s>"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn tokenize_pair(&self, first: &str, second: &str) -> Result<TextInput> {
        if first.trim().is_empty() || second.trim().is_empty() {
            bail!(Input, "a text of the pair is empty: give at least one word")
        }
        let [first, second] = [first, second].map(|text| self.segmented(text));
        let pair = self.fitted(self.tokenizer.encode_pair(&first, &second)?, &first)?;
        self.input(vec![pair])
    }

    /// The input for several texts at once, padded to the longest.
    pub fn tokenize_all<T: Into<Comment>>(&self, texts: impl IntoIterator<Item = T>) -> Result<TextInput> {
        let texts = texts.into_iter().enumerate().map(|(index, text)| {
            let text = text.into();
            self.read(&text).map_err(|e| e.at(format!("text {index}")))
        });
        let texts = texts.collect::<Result<Vec<_>>>()?;
        if texts.is_empty() {
            bail!(Input, "there are no texts: give at least one")
        }
        self.input(texts)
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

    /// The prediction for each row of a model's output.
    pub fn predictions_from(&self, output: &Tensor) -> Result<Vec<Prediction>> {
        finite::check(output).map_err(|e| e.at("the model's output (check the weights)"))?;
        let rows = output.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
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

    /// Tokens and words of a text; an error if the model cannot say anything about it.
    pub(crate) fn read(&self, comment: &Comment) -> Result<TokenizedText> {
        if comment.text.trim().is_empty() {
            bail!(Input, "the text is empty: give at least one word")
        }
        if let Some(label) = comment.label
            && label >= self.labels.len()
        {
            bail!(Input, "the label is {label}, and the model knows the classes 0 to {}", self.labels.len() - 1)
        }
        let text = self.tokenizer.encode(&self.segmented(&comment.text))?;
        self.refuse_typed_pair(&text)?;
        Ok(TokenizedText { label: comment.label, ..self.fitted(text, &comment.text)? })
    }

    fn segmented(&self, text: &str) -> String {
        self.segmenter.as_ref().map_or_else(|| text.to_string(), |segmenter| segmenter.segment(text))
    }

    /// An error if a single text contains the separator of pairs although the model tells the texts of a pair apart by
    /// token types.
    fn refuse_typed_pair(&self, text: &TokenizedText) -> Result<()> {
        let separator = self.tokenizer.separator();
        let typed = text.tokens.iter().find(|token| !token.special && Some(token.id) == separator);
        let Some(typed) = typed.filter(|_| self.model.encoder().type_count() > 1) else { return Ok(()) };
        if self.tokenizer.encode_pair("a", "b")?.tokens.iter().all(|token| token.type_id == 0) {
            return Ok(());
        }
        bail!(
            Input,
            "\"{}\" holds {}, which stands between two texts: typed in one, the model would take both for the first; give \
             them to tokenize_pair, or leave the mark out",
            excerpt(&text.text),
            typed.piece
        )
    }

    /// The text, cut to what the model takes; an error if the model cannot say anything about it.
    fn fitted(&self, mut text: TokenizedText, typed: &str) -> Result<TokenizedText> {
        let own = text.tokens.iter().filter(|token| !token.special);
        if own.clone().count() == 0 {
            bail!(Input, "\"{}\" has no tokens: give at least one word", excerpt(typed))
        }
        if own.clone().all(|token| token.unknown) {
            bail!(
                Input,
                "no part of \"{}\" is in the model's vocabulary: is it the language that the model was trained on?",
                excerpt(typed)
            )
        }
        if !self.model.encoder().takes_types() {
            text.tokens.iter_mut().for_each(|token| token.type_id = 0);
        }
        let most = self.most_tokens()?;
        let count = text.tokens.len();
        if count > most {
            if !self.truncate {
                bail!(
                    Input,
                    "\"{}\" has {count} tokens, and the model takes at most {most}: shorten it, or have it cut with \
                     truncate(true)",
                    excerpt(typed)
                )
            }
            text = self.tokenizer.cut(text, most)?;
        }
        text.classes = self.labels.clone();
        text.logits = !self.model.gives_probabilities();
        Ok(text)
    }

    /// How many tokens a text may have.
    fn most_tokens(&self) -> Result<usize> {
        let takes = self.model.max_tokens();
        match self.most {
            Some(most) if most > takes => {
                bail!(Input, "max_tokens({most}): the model takes at most {takes} tokens")
            }
            Some(most) => Ok(most),
            None => Ok(self.tokenizer.max_tokens().map_or(takes, |most| most.min(takes))),
        }
    }
}

/// A probability for each class, from a model's probabilities or logits; a single one belongs to class 1.
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

/// The class with the largest probability and that probability; at a tie the first class.
pub(super) fn most_probable(probabilities: &[f64]) -> Option<(usize, f64)> {
    probabilities.iter().copied().enumerate().rev().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The first name that two classes share.
fn twice(labels: &[String]) -> Option<&String> {
    labels.iter().enumerate().find(|(index, label)| labels[..*index].contains(label)).map(|(_, label)| label)
}

/// The beginning of a text, for an error.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut characters = text.trim().chars();
    let start = visible(&characters.by_ref().take(SHOWN).collect::<String>());
    if characters.next().is_some() { format!("{start}…") } else { start }
}

/// The folder of a model: a path, or the downloaded files of a model id.
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

/// Whether `vocab.txt` begins with a byte order mark, which would change its first token.
fn begins_with_a_byte_order_mark(folder: &Path) -> bool {
    const MARK: &str = "\u{feff}";
    read(&folder.join("vocab.txt")).is_ok_and(|vocabulary| vocabulary.starts_with(MARK.as_bytes()))
}

const MARKED_VOCABULARY: &str = "vocab.txt begins with a byte order mark, which makes another token of its first one: \
                                 save it as UTF-8 without the mark";

/// The former name of [`TextClassifier`].
#[deprecated(note = "it loads any text classifier, and is called TextClassifier")]
pub type SentimentClassifier = TextClassifier;

impl Model for TextClassifier {
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
