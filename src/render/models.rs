//! How models, and what is made around them, are displayed.

use super::Table;
use super::shown_as::shown_as;
use crate::model::{FromLayer, SequenceClassifier, TransformerEncoder};
use crate::robust::{FGSM, PGD};
use crate::tabular::Titanic;
use crate::text::{Explainer, Segmenter, TextClassifier, Tokenizer, TrainedSentiment};

shown_as! {
    TransformerEncoder => encoder;
    SequenceClassifier => classifier;
    TextClassifier => text_classifier;
    TrainedSentiment => trained;
    Explainer => explainer;
    Tokenizer => tokenizer;
    Segmenter => |_| what_next("Segmenter", "Cut a text into words with .segment(text)");
    FromLayer => from_layer;
    Titanic => |_| what_next("Titanic", "Read the passengers with Titanic::load()");
    FGSM => |_| what_next("FGSM", "Move inputs with .perturb(&inputs, epsilon, target)");
    PGD => |_| what_next("PGD", "Move inputs with .perturb(&inputs, radius, step_size, steps, target)");
}

fn encoder(encoder: &TransformerEncoder) -> Table {
    about(Table::new("Encoder", &["", ""]), encoder)
}

/// The rows that every model with an encoder has.
fn about(table: Table, encoder: &TransformerEncoder) -> Table {
    table
        .row(|row| row.text("vocabulary").text(encoder.vocabulary_size().to_string()))
        .row(|row| row.text("tokens at most").text(encoder.max_tokens().to_string()))
        .row(|row| row.text("layers").text(format!("embeddings, {}", encoder.encoder_layers().join(", "))))
}

fn classifier(model: &SequenceClassifier) -> Table {
    let table = Table::new("Classifier", &["", ""])
        .row(|row| row.text("classes").text(model.labels().join(", ")))
        .row(|row| row.text("parameters").text(model.parameter_count().to_string()));
    about(table, model.encoder())
}

fn text_classifier(model: &TextClassifier) -> Table {
    about_texts(Table::new("Text classifier", &["", ""]), model)
}

fn about_texts(table: Table, model: &TextClassifier) -> Table {
    let table = table
        .row(|row| row.text("classes").text(model.labels().join(", ")))
        .row(|row| row.text("parameters").text(model.classifier().parameter_count().to_string()));
    about(table, model.classifier().encoder())
        .row(|row| row.text("word segmentation").text(if model.segments_words() { "Vietnamese" } else { "none" }))
}

fn trained(trained: &TrainedSentiment) -> Table {
    let losses = trained.losses();
    let last = losses.last().copied().unwrap_or(f64::NAN);
    classifier(trained.classifier()).remark(format!(
        "{} epochs in {:.1} s, last loss {last:.4}; write it to a folder with .save(folder)",
        losses.len(),
        trained.elapsed().as_secs_f64()
    ))
}

fn explainer(explainer: &Explainer) -> Table {
    about_texts(Table::new("Explainer", &["", ""]), explainer.model())
        .row(|row| row.text("attributed layer").text(explainer.attributed_layer()))
        .remark("Ask it with .visualize(text), .batch(&comments) or .layers(text)")
}

fn tokenizer(tokenizer: &Tokenizer) -> Table {
    let most = tokenizer.max_tokens().map_or("not said".to_string(), |most| most.to_string());
    Table::new("Tokenizer", &["", ""])
        .row(|row| row.text("vocabulary").text(tokenizer.vocabulary_size().to_string()))
        .row(|row| row.text("tokens at most").text(most))
        .remark("Cut a text into tokens with .encode(text)")
}

fn from_layer(model: &FromLayer) -> Table {
    what_next(format!("The model above {}", model.beginning()), "Make its inputs with .inputs(&inputs)")
}

fn what_next(name: impl Into<String>, call: &str) -> Table {
    Table::new(name, &[]).remark(call)
}
