//! What a training run came to: kept in a folder, and logged to an MLflow server.

mod mlflow;
mod report;

pub use mlflow::{LoggedRun, Mlflow, Patience};
pub use report::{Metric, Report};
