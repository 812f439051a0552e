//! Training a small classifier on comments of one's own.

mod average;
mod batches;
mod trainer;
mod vocabulary;

pub use trainer::{SentimentTrainer, TrainedSentiment};
