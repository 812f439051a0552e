//! The results of a training run: kept in a folder, and logged to an MLflow server.

mod mlflow;
mod report;
mod server;

pub use mlflow::{Destination, LoggedRun, Mlflow};
pub use report::{Metric, Report};
pub use server::Patience;
