//! Tables of examples: features with names, a label for each row, splitting, training.

mod dataset;
mod split;
mod titanic;
mod trainer;

pub use dataset::{Dataset, neuron_names};
pub use split::Split;
#[cfg(feature = "serve")]
pub(crate) use titanic::{PASSENGER_FEATURES, passenger_features};
pub use titanic::{Passengers, Source, Titanic};
pub use trainer::{History, Trainer};

pub use crate::training::Parameters;
