//! Training a small classifier on your own comments.

mod average;
mod batches;
mod trainer;
mod vocabulary;

pub use trainer::{SentimentTrainer, TrainedSentiment};
