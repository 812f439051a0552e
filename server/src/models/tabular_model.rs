//! What the server must know about a table's model: the trait that your own model implements.

use std::sync::Arc;

use candle_explain::Result;
use candle_explain::engine::Target;
use candle_explain::model::Model;
use serde_json::{Map, Value};

/// A model of tables. Implement it to serve a model of your own.
///
/// ```
/// use std::sync::Arc;
/// use candle_explain::prelude::*;
/// use candle_explain_server::{Feature, TabularModel};
///
/// struct Weather(Sequential);
///
/// impl TabularModel for Weather {
///     fn model(&self) -> Arc<dyn Model> {
///         Arc::new(self.0.clone())
///     }
///
///     fn features(&self) -> Vec<Feature> {
///         vec![Feature::new("pressure").range(950., 1050.).typical(1013.), Feature::new("humidity").range(0., 100.)]
///     }
///
///     fn classes(&self) -> Vec<String> {
///         vec!["dry".to_string(), "rain".to_string()]
///     }
/// }
///
/// let net = Sequential::builder(2).linear("linear", 2).softmax("softmax").build(Seed(1))?;
/// assert_eq!(Weather(net).features().len(), 2);
/// # Ok::<(), Error>(())
/// ```
pub trait TabularModel: Send + Sync + 'static {
    /// The model, from rows of features `[batch, features]` in f32 to one probability for each class
    /// `[batch, classes]`; or, without classes, to one number `[batch]` or `[batch, 1]`.
    fn model(&self) -> Arc<dyn Model>;

    /// The features in the order of the model's columns.
    fn features(&self) -> Vec<Feature>;

    /// The names of the classes in the order of the model's outputs; empty for a model of one number.
    fn classes(&self) -> Vec<String>;

    /// What is explained if a request does not say; by default the predicted class.
    fn target(&self) -> Target {
        if self.classes().is_empty() { Target::None } else { Target::Predicted }
    }

    /// Whether a prediction takes no longer than handing it to a worker and back: some ten microseconds, as
    /// with a small network. Then the thread that read a request of up to 256 rows also computes it.
    /// That thread's other clients wait meanwhile, so the model must never be slow. The limits of the queue
    /// and of the response time do not apply. False by default: predictions of several requests
    /// are computed together.
    fn is_quick(&self) -> bool {
        false
    }

    /// The fields of a form; by default the features. A model that [encodes](Self::encode) records
    /// names their fields here.
    fn fields(&self) -> Vec<Field> {
        self.features().iter().map(Field::from).collect()
    }

    /// Encodes a record that is not written in features; `None` for one that is.
    fn encode(&self, _record: &Map<String, Value>) -> Result<Option<Vec<f32>>> {
        Ok(None)
    }
}

/// One column of a table's model.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    pub(crate) name: String,
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) typical: f64,
}

impl Feature {
    /// A feature of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), range: None, typical: 0. }
    }

    /// The lowest and the highest value in the training data; answers flag values outside.
    pub fn range(self, lowest: f64, highest: f64) -> Self {
        Self { range: Some((lowest, highest)), ..self }
    }

    /// The initial value in a form; 0 by default.
    pub fn typical(self, typical: f64) -> Self {
        Self { typical, ..self }
    }
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FieldKind {
    Number { range: Option<(f64, f64)>, typical: f64 },
    Choice { choices: Vec<String>, typical: String },
    Text { typical: String, pattern: String },
}

impl Field {
    /// A choice among words; the first is the initial value in a form.
    pub fn choice(name: impl Into<String>, choices: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let choices: Vec<String> = choices.into_iter().map(Into::into).collect();
        let typical = choices.first().cloned().unwrap_or_default();
        Self { name: name.into(), kind: FieldKind::Choice { choices, typical } }
    }

    /// A text that must match this regular expression somewhere.
    pub(crate) fn text(name: impl Into<String>, typical: impl Into<String>, pattern: String) -> Self {
        Self { name: name.into(), kind: FieldKind::Text { typical: typical.into(), pattern } }
    }
}

impl From<&Feature> for Field {
    fn from(feature: &Feature) -> Self {
        let kind = FieldKind::Number { range: feature.range, typical: feature.typical };
        Self { name: feature.name.clone(), kind }
    }
}
