//! Tables of examples: features with names, a label for each row, splitting, training.

mod dataset;
mod from_csv;
mod split;
mod titanic;
mod trainer;

pub use dataset::{Dataset, neuron_names};
pub use split::Split;
pub use titanic::{Passengers, Source, Titanic};
pub use trainer::{History, Trainer};

pub use crate::training::Parameters;
