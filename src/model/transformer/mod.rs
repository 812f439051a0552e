//! Encoders with a classification head, from the folders of Hugging Face checkpoints. `families` describes BERT,
//! RoBERTa, ELECTRA and so on.

mod architecture;
mod attention;
mod biases;
mod checkpoint;
mod classifier;
mod config;
mod convolution;
mod disentangled;
mod distances;
mod embeddings;
mod encoder;
mod families;
mod feed_forward;
mod head;
mod layer;
mod masks;
mod nonlinearity;
mod part;
mod projections;
mod rotary;
mod settings;
mod untrained;
mod weight_files;
mod weight_name;

pub use classifier::{ClassifierOutput, SequenceClassifier};
pub use encoder::TransformerEncoder;
pub use untrained::RobertaShape;
#[cfg(feature = "hub")]
pub(crate) use weight_files::shards_of;
