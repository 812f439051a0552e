//! candle-explain
mod attr; mod engine; mod error; mod file; mod finite; pub mod model; pub mod nn; pub mod prelude; mod seed;
pub use error::{Error, ErrorKind, Result};
pub use candle_core;
