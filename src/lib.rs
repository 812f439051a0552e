//! candle-explain
pub mod attr;
pub mod engine;
mod error;
mod file;
mod finite;
pub mod model;
pub mod nn;
pub mod prelude;
mod progress;
pub mod render;
mod seed;
pub mod tabular;
pub use error::{Error, ErrorKind, Result};
pub use seed::Seed;
pub use {candle_core, candle_nn};
