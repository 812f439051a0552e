//! Encoders of the BERT family with a classification head: BERT, RoBERTa (PhoBERT and XLM-RoBERTa
//! included) and DistilBERT, from the folders that Hugging Face checkpoints come in.

mod block;
mod checkpoint;
mod classifier;
mod config;
mod embeddings;
mod encoder;
mod nonlinearity;
mod untrained;
mod weight_files;
mod weight_name;

pub use classifier::{ClassifierOutput, SequenceClassifier};
pub use encoder::TransformerEncoder;
pub use untrained::RobertaShape;
