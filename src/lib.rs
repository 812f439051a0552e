//! Model interpretability for [candle](candle_core): why did the model say that?
//!
//! candle-explain is to candle what Captum is to PyTorch, made for Jupyter notebooks with the Rust
//! kernel. It attributes a model's prediction to its inputs, layers and neurons, and shows the result
//! as a table or chart below the cell.
//!
//! ```
//! use candle_explain::prelude::*;
//!
//! let passengers = Titanic::offline()?;
//! let (train, test) = passengers.split(Split::Stratified { test: 0.3, seed: 42 })?;
//! let net = Sequential::builder(12)
//!     .linear("linear1", 12).sigmoid("sigmoid1")
//!     .linear("linear2", 2).softmax("softmax")
//!     .build(Seed(1))?;
//! Trainer::adam(0.1).epochs(100).fit(&net, &train)?;
//!
//! let importance = IntegratedGradients::new(&net).tolerance(1e-3).attribute(test.features(), Target::Class(1))?;
//! importance.mean()?.bars(test.feature_names())?;
//! LayerConductance::new(&net, "sigmoid1").attribute(test.features(), Target::Class(1))?;
//! # Ok::<(), Error>(())
//! ```
//!
//! And for texts:
//!
//! ```
//! use candle_explain::prelude::*;
//!
//! let explain = Explainer::from_pretrained("data/sentiment-vi")?;
//! let words = explain.visualize("Sản phẩm này rất tốt, nhưng giao hàng quá chậm")?;
//! println!("{}", words.text());
//! # Ok::<(), Error>(())
//! ```
//!
//! # Map
//!
//! | Module | What is in it |
//! |---|---|
//! | [`prelude`] | everything a notebook needs, with one `use` |
//! | [`attr`] | the attribution methods |
//! | [`robust`] | attacks: FGSM and PGD |
//! | [`model`] | the seam to candle: [`model::Model`], named layers, ready networks |
//! | [`nn`] | building blocks with a correct backward |
//! | [`engine`] | what methods are made of: targets, baselines, quadrature, results |
//! | [`tabular`] | tables, splits, training, the Titanic |
//! | [`text`] | tokenizers, Vietnamese words, comments, classifiers, attributions down to the word |
//! | [`render`] | figures: tables and charts that show themselves |
//! | [`file`](mod@file) | files that are written whole or not at all |
//!
//! The package `candle-explain-server` serves predictions and explanations over HTTP. The package `candle-explain-cli`
//! is the command `candle-explain`.
//!
//! # A model
//!
//! A candle `Module` or a closure can be attributed at its inputs. To look inside, implement
//! [`model::Model`] and name layers in the forward pass, one line each.
//!
//! # In notebooks
//!
//! Use candle through this crate: the prelude re-exports its types, and [`candle_core`] and
//! [`candle_nn`] are re-exported whole. The crate is also built as a dynamic library, so that all cells
//! of a notebook share one copy of it. If each cell had its own copy, gradients would be wrong
//! without an error.

#![warn(missing_docs)]

pub mod attr;
mod cores;
mod deep_stack;
#[doc(hidden)]
pub mod device;
pub mod engine;
mod error;
pub mod file;
mod finite;
mod interrupt;
pub mod model;
pub mod nn;
pub mod prelude;
mod progress;
pub mod render;
pub mod robust;
mod script;
mod seed;
pub mod tabular;
pub mod text;
mod training;
mod visible;

pub use error::{Error, ErrorKind, Result};
pub use progress::hide_progress;
pub use seed::Seed;
pub use {candle_core, candle_nn};
