//! Training a small RoBERTa classifier and its tokenizer.

use std::path::Path;
use std::time::Duration;

use candle_core::{D, DType, Device, Tensor, Var};
use serde_json::json;

use super::average::Average;
use super::{batches, vocabulary};
use crate::engine::Passes;
use crate::error::{Result, bail, error};
use crate::file::{cannot_write, write_whole};
use crate::model::{ClassifierOutput, Inputs, Layers, Model, RobertaShape, SequenceClassifier};
use crate::progress::Progress;
use crate::seed::Seed;
use crate::text::{Comment, Comments};
use crate::training::{Adam, Effort, Gradients, Parameters, check_differences, check_reached, cross_entropy};

const HEADS: usize = 4;
const TOKENS: usize = 256;
const WEIGHT_DECAY: f64 = 0.01;
/// The share of the steps in which the learning rate rises.
const WARM_UP: f64 = 0.1;
const LARGEST_GRADIENT: f64 = 1.;
const AVERAGE_OVER: f64 = 0.995;
const LEAST_COUNT: u64 = 5;
const TESTED_AT_ONCE: usize = 64;
/// The texts whose gradient is computed on one core.
const TEXTS_OF_A_PART: usize = 8;
/// The most texts over which the gradient is compared with the loss.
const TEXTS_CHECKED: usize = 8;

/// Trains a small RoBERTa classifier and its tokenizer on comments with labels.
///
/// AdamW minimises the cross entropy with smoothed labels. The learning rate rises over a tenth of the steps
/// and then falls to 0. Words and hidden numbers are left out at random. The final weights
/// are the average over the last steps. The defaults suit some ten thousand comments.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let comments = Comments::load("data/comments.csv")?;
/// let trained = SentimentTrainer::new(["positive", "negative"]).epochs(1).hidden(16).fit(&comments)?;
/// assert!(trained.accuracy(&comments)? > 0.3);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SentimentTrainer {
    labels: Vec<String>,
    vocabulary: usize,
    hidden: usize,
    layers: usize,
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    dropout: f64,
    word_dropout: f64,
    label_smoothing: f64,
    vietnamese: bool,
    seed: Seed,
}

/// A trained classifier, its tokenizer, and how the training went.
pub struct TrainedSentiment {
    classifier: SequenceClassifier,
    tokenizer: tokenizers::Tokenizer,
    losses: Vec<f64>,
    elapsed: Duration,
}

impl SentimentTrainer {
    /// A trainer for classes with these names; label 0 is the first.
    pub fn new(labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            labels: labels.into_iter().map(Into::into).collect(),
            vocabulary: 3000,
            hidden: 128,
            layers: 2,
            epochs: 5,
            batch_size: 32,
            learning_rate: 1e-3,
            dropout: 0.2,
            word_dropout: 0.2,
            label_smoothing: 0.1,
            vietnamese: false,
            seed: Seed::default(),
        }
    }

    /// The most tokens of the vocabulary; 3000 by default.
    pub fn vocabulary(&self, vocabulary: usize) -> Self {
        Self { vocabulary, ..self.clone() }
    }

    /// The width of the hidden states, a multiple of 4; 128 by default.
    pub fn hidden(&self, hidden: usize) -> Self {
        Self { hidden, ..self.clone() }
    }

    /// How many layers the encoder has; 2 by default.
    pub fn layers(&self, layers: usize) -> Self {
        Self { layers, ..self.clone() }
    }

    /// How many times training goes through all comments; 5 by default.
    pub fn epochs(&self, epochs: usize) -> Self {
        Self { epochs, ..self.clone() }
    }

    /// The highest learning rate; 0.001 by default.
    pub fn learning_rate(&self, learning_rate: f64) -> Self {
        Self { learning_rate, ..self.clone() }
    }

    /// The seed for the weights, the order of the comments, and dropout.
    pub fn seed(&self, seed: Seed) -> Self {
        Self { seed, ..self.clone() }
    }

    /// Whether texts are Vietnamese, so that explanations show whole words; false by default.
    pub fn vietnamese(&self, vietnamese: bool) -> Self {
        Self { vietnamese, ..self.clone() }
    }

    /// Trains on comments that all have a label. Texts of more than 256 tokens are cut.
    pub fn fit(&self, comments: &Comments) -> Result<TrainedSentiment> {
        self.fit_watched(comments, |_, _, _| {})
    }

    /// The same; `watch` is called after each step with its number, the total number of steps, and
    /// the loss of the step.
    pub fn fit_watched(
        &self,
        comments: &Comments,
        mut watch: impl FnMut(usize, usize, f64),
    ) -> Result<TrainedSentiment> {
        self.check()?;
        let labels = labels(comments, self.labels.len())?;
        if let Some(class) = (0..self.labels.len()).find(|class| !labels.contains(&(*class as u32))) {
            bail!(
                Input,
                "no comment has the label {class} (\"{}\"): a class without examples cannot be learned",
                self.labels[class]
            )
        }
        let steps = self.epochs * comments.rows().len().div_ceil(self.batch_size);
        let progress = Progress::new("step", steps);
        progress.under_way(1);
        let texts: Vec<&str> = comments.rows().iter().map(|comment| comment.text.as_str()).collect();
        let tokenizer = vocabulary::learn(&texts, self.vocabulary, LEAST_COUNT)?;
        let ids = ids(&tokenizer, comments, &progress)?;
        let classifier = SequenceClassifier::untrained(&self.shape(tokenizer.get_vocab_size(true)), self.seed)?;
        let classifier = classifier.output(ClassifierOutput::Logits);
        let weights = classifier.parameters();
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let loss_of = |batch: &[usize], input: &Inputs, layers: &mut Layers, dtype: DType| {
            let logits = classifier.forward(input, layers)?.to_dtype(dtype)?;
            let labels: Vec<u32> = batch.iter().map(|&text| labels[text]).collect();
            cross_entropy(&logits, &Tensor::new(labels, &Device::Cpu)?.unsqueeze(1)?, self.label_smoothing)
        };
        let parameters = Parameters::of(&classifier);
        let effort = Effort::new(&parameters, lengths.len(), self.epochs, TEXTS_CHECKED);
        let first = &batches::shuffled(&lengths, effort.rows, self.seed)[0];
        let input = batches::inputs(&first.iter().map(|&text| &ids[text]).collect::<Vec<_>>(), 0., self.seed)?;
        let loss = || {
            progress.step(0, || "checking the gradient".to_string())?;
            loss_of(first, &input, &mut Layers::for_training(), DType::F64)
        };
        check_reached(&parameters, &loss)?;
        check_differences(&parameters, effort, &loss)?;

        let mut average = Average::new(&weights, AVERAGE_OVER)?;
        let mut adam = Adam::new(&weights, self.learning_rate, WEIGHT_DECAY)?;
        let mut losses = Vec::with_capacity(self.epochs);
        let mut step = 0;
        for epoch in 0..self.epochs {
            let mut sum = 0.;
            let order = batches::shuffled(&lengths, self.batch_size, self.seed.child(1).child(epoch));
            for batch in &order {
                step += 1;
                let seed = self.seed.child(2).child(step);
                let (value, gradients) = self.step(batch, seed, &weights, &|part, seed| {
                    let texts: Vec<&Vec<u32>> = part.iter().map(|&text| &ids[text]).collect();
                    let input = batches::inputs(&texts, self.word_dropout, seed)?;
                    let mut layers = Layers::for_training().with_dropout(self.dropout, seed.child(0));
                    loss_of(part, &input, &mut layers, DType::F32)
                })?;
                if !value.is_finite() {
                    bail!(
                        NotFinite,
                        "the loss is {value} after {step} steps: take a smaller learning rate than {}",
                        self.learning_rate
                    )
                }
                adam.set_learning_rate(self.learning_rate * warmed_up(step, steps));
                let length = gradients.length(&weights)?;
                if !length.is_finite() {
                    bail!(
                        NotFinite,
                        "the gradient is not finite after {step} steps although the loss is: take a smaller learning \
                         rate than {}",
                        self.learning_rate
                    )
                }
                adam.step(&gradients, (LARGEST_GRADIENT / length).min(1.))?;
                average.add()?;
                sum += value;
                watch(step, steps, value);
                progress.step(step, || format!("epoch {} of {}, loss {value:.3}", epoch + 1, self.epochs))?;
            }
            losses.push(sum / order.len() as f64);
        }
        average.settle()?;
        let classifier = classifier.output(ClassifierOutput::Probabilities);
        Ok(TrainedSentiment { classifier, tokenizer, losses, elapsed: progress.elapsed() })
    }

    /// The mean loss of a batch, whose parts are computed on all cores, and its gradients.
    fn step(
        &self,
        batch: &[usize],
        seed: Seed,
        weights: &[Var],
        loss: &(dyn Fn(&[usize], Seed) -> Result<Tensor> + Sync),
    ) -> Result<(f64, Gradients)> {
        let part = |index: usize| {
            let part = &batch[index * TEXTS_OF_A_PART..batch.len().min((index + 1) * TEXTS_OF_A_PART)];
            let share = part.len() as f64 / batch.len() as f64;
            let loss = (loss(part, seed.child(index))? * share)?;
            let value = f64::from(loss.to_scalar::<f32>()?);
            Ok((value, Gradients::of_store(loss.backward()?, weights)))
        };
        let (mut sum, mut all) = (0., Gradients::default());
        Passes::on_all_cores(TEXTS_OF_A_PART).run(
            batch.len().div_ceil(TEXTS_OF_A_PART),
            part,
            |(value, gradients)| {
                sum += value;
                all.add(gradients)
            },
        )?;
        Ok((sum, all))
    }

    fn shape(&self, vocabulary: usize) -> RobertaShape {
        RobertaShape {
            vocabulary,
            hidden: self.hidden,
            layers: self.layers,
            heads: HEADS,
            intermediate: 2 * self.hidden,
            tokens: TOKENS,
            labels: self.labels.clone(),
            segmented_words: self.vietnamese,
        }
    }

    fn check(&self) -> Result<()> {
        if self.epochs == 0 || !(self.learning_rate.is_finite() && self.learning_rate > 0.) {
            bail!(
                Input,
                "{} epochs at a learning rate of {}: expected at least 1, and a number above 0",
                self.epochs,
                self.learning_rate
            )
        }
        if self.vocabulary < 100 {
            bail!(Input, "a vocabulary of {} tokens: expected at least 100", self.vocabulary)
        }
        if self.layers == 0 || self.hidden == 0 || !self.hidden.is_multiple_of(HEADS) {
            bail!(
                Input,
                "{} layers with {} numbers a token: expected at least 1, and a multiple of the {HEADS} attention heads",
                self.layers,
                self.hidden
            )
        }
        if let Some(twice) = self.labels.iter().enumerate().find(|(index, label)| self.labels[..*index].contains(label))
        {
            bail!(Input, "two classes have the name \"{}\": expected a name of its own for each", twice.1)
        }
        if self.labels.len() < 2 {
            bail!(Input, "{} names of classes: expected at least two", self.labels.len())
        }
        Ok(())
    }
}

impl TrainedSentiment {
    /// The share of comments whose label is predicted.
    pub fn accuracy(&self, comments: &Comments) -> Result<f64> {
        let labels = labels(comments, self.classifier.labels().len())?;
        let progress = Progress::new("comment", comments.rows().len());
        let ids = ids(&self.tokenizer, comments, &progress)?;
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|&text| ids[text].len());
        let (mut right, mut done) = (0, 0);
        for batch in order.chunks(TESTED_AT_ONCE) {
            let texts: Vec<&Vec<u32>> = batch.iter().map(|&text| &ids[text]).collect();
            let output = self.classifier.predict(batches::inputs(&texts, 0., Seed(0))?)?;
            let predicted = output.argmax(D::Minus1)?.to_vec1::<u32>()?;
            right += predicted.iter().zip(batch).filter(|(class, text)| **class == labels[**text]).count();
            done += batch.len();
            progress.step(done, String::new)?;
        }
        Ok(right as f64 / ids.len() as f64)
    }

    /// The mean loss of each epoch.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// How long the training took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The classifier.
    pub fn classifier(&self) -> &SequenceClassifier {
        &self.classifier
    }

    /// Writes `config.json`, `model.safetensors`, `tokenizer.json` and its configuration into a folder that
    /// [`TextClassifier::from_pretrained`](crate::text::TextClassifier::from_pretrained)
    /// and `transformers` read.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        self.classifier.save(folder)?;
        write_whole(&folder.join("tokenizer.json"), |path| {
            self.tokenizer.save(path, false).map_err(|e| cannot_write(path, e))
        })?;
        // Without it transformers would choose RoBERTa's tokenizer, whose vocabulary has another form.
        let settings = json!({
            "bos_token": "<s>",
            "eos_token": "</s>",
            "mask_token": "<mask>",
            "model_max_length": TOKENS,
            "pad_token": "<pad>",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "<unk>",
        });
        write_whole(&folder.join("tokenizer_config.json"), |path| {
            std::fs::write(path, format!("{settings:#}\n")).map_err(|e| cannot_write(path, e))
        })
    }
}

/// The label of every comment.
fn labels(comments: &Comments, classes: usize) -> Result<Vec<u32>> {
    let label = |(index, comment): (usize, &Comment)| match comment.label {
        Some(label) if label < classes => Ok(label as u32),
        Some(label) => Err(error!(Input, "comment {index} has the label {label}, and there are {classes} classes")),
        None => Err(error!(Input, "comment {index} has no label: training and testing need one for each")),
    };
    comments.rows().iter().enumerate().map(label).collect()
}

/// The ids of every comment, cut to what the model takes.
fn ids(tokenizer: &tokenizers::Tokenizer, comments: &Comments, progress: &Progress) -> Result<Vec<Vec<u32>>> {
    let ids = |(index, comment): (usize, &Comment)| {
        progress.step(0, || "reading".to_string())?;
        let encoding = tokenizer.encode_fast(comment.text.as_str(), true);
        let mut ids = encoding.map_err(|e| error!(Input, "comment {index}: {e}"))?.get_ids().to_vec();
        if ids.len() > TOKENS {
            ids.drain(TOKENS - 1..ids.len() - 1);
        }
        Ok(ids)
    };
    comments.rows().iter().enumerate().map(ids).collect()
}

/// The share of the learning rate at a step: rising, then falling to 0.
fn warmed_up(step: usize, steps: usize) -> f64 {
    let warm = (WARM_UP * steps as f64).max(1.);
    let step = step as f64;
    if step < warm { step / warm } else { (steps as f64 - step) / (steps as f64 - warm).max(1.) }
}
