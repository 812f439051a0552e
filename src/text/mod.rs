//! Texts: tokenizers, Vietnamese words, comments, classifiers, and attributions down to the word.

mod batch_attributions;
mod comments;
mod explainer;
#[cfg(feature = "hub")]
mod hub;
mod of_texts;
mod on_device;
mod quotes;
mod segmenter;
mod shipped;
mod strongest_words;
mod text_classifier;
mod text_input;
mod text_record;
mod token_attributions;
mod tokenizer;
mod tokens;
mod training;

pub use batch_attributions::BatchAttributions;
pub use comments::{Comment, Comments};
pub use explainer::Explainer;
pub use quotes::end_of_record;
pub use segmenter::Segmenter;
pub use strongest_words::{StrongestWords, WordStrength};
#[allow(deprecated)]
pub use text_classifier::SentimentClassifier;
pub use text_classifier::{Prediction, TextClassifier};
pub use text_input::TextInput;
pub use text_record::{TextRecord, Unit};
pub use token_attributions::TokenAttributions;
pub use tokenizer::Tokenizer;
pub use tokens::{Token, TokenizedText};
pub use training::{SentimentTrainer, TrainedSentiment};
