//! Predictions with their reasons over HTTP.
//!
//! [`Server`] answers as TorchServe does, on its three ports; speaks KServe's V1 and V2 protocols on
//! the first; and shows a page to try models with. It serves the Titanic network, text classifiers
//! and any model that implements [`TabularModel`]. What it takes and answers is described at
//! `/api-description`.
//!
//! Requests for the same model that ask the same are computed together, except predictions that take
//! less than being handed on ([`TabularModel::is_quick`]). A model that fails on one request costs that
//! request alone.

mod accept;
mod answer;
mod app;
mod archive;
mod aside;
mod ask;
mod batch;
mod body;
mod catalog;
mod connection;
mod csv_rows;
mod failure;
mod flaws;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handler;
mod inference;
mod input_directory;
mod kserve_v1;
mod kserve_v2;
mod lanes;
mod management;
mod metrics;
mod openapi;
mod page;
mod payload;
mod queue;
mod readable;
mod record;
mod remembered;
mod rows;
mod running;
mod schemas;
mod servable;
mod server;
mod settings;
mod strict_json;
mod tabular;
mod tabular_model;
mod texts;
mod titanic;
mod token;
mod told;
mod watched;

pub use archive::Archive;
use ask::Ask;
pub use batch::{Batch, BatchSummary};
use failure::Failure;
use handler::Handler;
use running::Running;
pub use server::{BoundServer, Server};
pub use settings::Settings;
pub use tabular_model::{Feature, Field, TabularModel};
pub use titanic::TitanicModel;
