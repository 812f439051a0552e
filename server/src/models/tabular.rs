//! A table's model as the server runs it.

use std::sync::Arc;

use candle_explain::attr::{LayerActivation, METHODS};
use candle_explain::candle_core::{self, DType, Device, Tensor};
use candle_explain::engine::{Attribute, Attributions, Cost, MethodInfo, Options, Requirement};
use candle_explain::model::{Inputs, Model};
use candle_explain::{Result, bail};
use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::parameters::ASKED;
use super::servable::{Description, Explanation, Kind, LayerShape, Offered, Parts, Row, Servable};
use super::tabular_model::{Feature, TabularModel};
use super::watched::BeforePass;
use crate::json::record::{check_names, check_values, number, shown};

/// Needs an image.
const OF_IMAGES: &str = "GuidedGradCam";
/// The method that finds out which layers have a gradient.
const GRADIENT_OF_A_LAYER: &str = "LayerGradientXActivation";
/// More features than these are not offered for exact Shapley values: each doubles the evaluations, of which 12 take
/// 4,096.
const FEATURES_OF_EXACT_VALUES: usize = 12;
/// How many rows one pass has: small networks are fastest with many.
const ROWS_OF_A_PASS: usize = 2048;
/// How many rows of different requests are computed together.
const ROWS_AT_ONCE: usize = 256;

/// A table's model as the server runs it.
pub(crate) struct Tabular {
    served: Box<dyn TabularModel>,
    model: Arc<dyn Model>,
    features: Vec<Feature>,
    description: Description,
}

impl Tabular {
    /// Accepts a model after it has answered for one row of typical values.
    pub(crate) fn new(served: impl TabularModel) -> Result<Self> {
        let (features, classes) = (served.features(), served.classes());
        if features.is_empty() || classes.len() == 1 {
            bail!(
                Input,
                "the model names {} features and {} classes: expected at least one feature, and no or several classes",
                features.len(),
                classes.len()
            )
        }
        let description = Description {
            kind: Kind::Tabular,
            target: served.target(),
            features: features.iter().map(|feature| feature.name.clone()).collect(),
            fields: served.fields(),
            layers: Vec::new(),
            methods: METHODS.iter().filter(|info| is_for_tables(info)).map(|info| info.name).collect(),
            offered: Vec::new(),
            rows_at_once: ROWS_AT_ONCE,
            is_quick: served.is_quick(),
            classes,
        };
        let model = served.model();
        let mut tabular = Self { served: Box::new(served), model, features, description };
        let values = tabular.features.iter().map(|feature| feature.typical as f32).collect();
        let typical = [Row::Features { values, warnings: Vec::new() }];
        tabular.predict(&typical)?;
        tabular.description.layers = tabular.layers(&typical)?;
        let methods = METHODS.iter().filter(|info| tabular.description.methods.contains(&info.name));
        let offered: Vec<Offered> = methods.filter_map(|info| tabular.offered(info, &typical)).collect();
        tabular.description.offered = offered;
        Ok(tabular)
    }

    /// The layers whose output can be read.
    fn layers(&self, typical: &[Row]) -> Result<Vec<LayerShape>> {
        let inputs = self.inputs(typical)?;
        let shape = |name: String| {
            let activation = LayerActivation::new(self.model.clone(), name.as_str()).attribute(&inputs).ok()?;
            Some(LayerShape { shape: activation.tensor().dims()[1..].to_vec(), name })
        };
        Ok(self.model.layer_names(&inputs)?.into_iter().filter_map(shape).collect())
    }

    /// The method, if it can explain this model at some layer or without one.
    fn offered(&self, info: &MethodInfo, typical: &[Row]) -> Option<Offered> {
        let at = |layers| Offered { method: info.name, layers, any_record: true };
        if info.cost == Cost::PerCoalition {
            return (self.features.len() <= FEATURES_OF_EXACT_VALUES).then(|| at(Vec::new()));
        }
        if !info.takes("layer") {
            return (info.cost != Cost::ForwardBackward || self.can_explain(info.name, None, typical))
                .then(|| at(Vec::new()));
        }
        // A method of one pass is tried: rules need blocks of their kind. The others need a gradient at most.
        let tried = match info.cost {
            Cost::ForwardBackward => Some(info.name),
            Cost::PerStep | Cost::PerSample => Some(GRADIENT_OF_A_LAYER),
            Cost::Forward | Cost::PerFeature | Cost::PerCoalition => None,
        };
        let names = self.description.layers.iter().map(|layer| &layer.name);
        let fit = names.filter(|name| tried.is_none_or(|tried| self.can_explain(tried, Some(name.as_str()), typical)));
        let layers: Vec<String> = fit.cloned().collect();
        (!layers.is_empty()).then(|| at(layers))
    }

    /// Whether a method explains a row, given the least that it needs.
    fn can_explain(&self, method: &'static str, layer: Option<&str>, typical: &[Row]) -> bool {
        let Row::Features { values, .. } = &typical[0] else { return false };
        let given = |name: &str| match name {
            "layer" => json!(layer),
            "baseline" => json!([values]),
            ASKED => json!(self.description.methods[0]),
            "neuron" => {
                let of_layer = self.description.layers.iter().find(|known| Some(known.name.as_str()) == layer);
                json!(of_layer.map_or(Vec::new(), |layer| vec![0; layer.shape.len()]))
            }
            _ => json!(1),
        };
        let explained = super::ask::method_of(method).and_then(|info| {
            let needed = self.description.needs(info).into_iter().map(|name| (name.to_string(), given(name)));
            let parameters: Map<String, Value> = needed.chain([("method".to_string(), json!(method))]).collect();
            self.explain(typical, &Ask::new(&parameters, self, 1)?, &BeforePass::nothing())
        });
        explained.is_ok()
    }

    fn inputs(&self, rows: &[Row]) -> Result<Inputs> {
        let mut values = Vec::with_capacity(rows.len() * self.features.len());
        for row in rows {
            match row {
                Row::Features { values: row, .. } => values.extend_from_slice(row),
                Row::Text(_) => bail!(Input, "this model takes features, and a text came"),
            }
        }
        let tensor = Tensor::from_vec(values, (rows.len(), self.features.len()), &Device::Cpu)?;
        Ok(Inputs::from(tensor).with_names(self.description.features.iter()))
    }

    fn outputs(&self, output: &Tensor, rows: usize) -> Result<Vec<Vec<f64>>> {
        let classes = self.description.classes.len();
        let flat = output.reshape((rows, ()))?.to_dtype(DType::F64)?;
        let width = flat.dims()[1];
        if width != classes.max(1) {
            bail!(Tensor, "the model gives {width} numbers for each row, and {classes} classes are named")
        }
        let rows: Vec<Vec<f64>> = flat.to_vec2()?;
        if let Some(row) = rows.iter().find(|row| !row.iter().all(|number| number.is_finite())) {
            bail!(NotFinite, "the model's output is {row:?}: expected finite numbers (check the weights)")
        }
        Ok(rows)
    }

    fn method(&self, ask: &Ask, info: &MethodInfo, before_pass: &BeforePass) -> Result<Box<dyn Attribute>> {
        let in_passes = info.takes("internal_batch_size");
        let internal_batch_size = (in_passes && !ask.chooses_tolerance()).then_some(ROWS_OF_A_PASS);
        (info.build)(before_pass.of(self.model.clone()), &Options { internal_batch_size, ..ask.options()? })
    }

    /// The name of each number that is attributed to a row.
    fn names(&self, attributions: &Attributions, width: usize) -> Vec<String> {
        if attributions.places().len() == 1 && attributions.names().len() == width {
            return attributions.names().to_vec();
        }
        (0..width).map(|index| format!("[{index}]")).collect()
    }
}

impl Servable for Tabular {
    fn description(&self) -> &Description {
        &self.description
    }

    fn read(&self, record: &Value) -> Result<Row> {
        check_values(record)?;
        let values: Vec<f32> = match record {
            Value::Object(named) => match self.served.encode(named)? {
                Some(encoded) if encoded.len() == self.features.len() => encoded,
                Some(encoded) => bail!(
                    Input,
                    "the model encoded a record into {} numbers: expected {}",
                    encoded.len(),
                    self.features.len()
                ),
                None => {
                    check_names(named, &self.description.features)?;
                    let value = |feature: &Feature| Ok(number(&feature.name, &named[&feature.name])? as f32);
                    self.features.iter().map(value).collect::<Result<_>>()?
                }
            },
            Value::Array(values) if values.len() == self.features.len() => self
                .features
                .iter()
                .zip(values)
                .map(|(feature, value)| Ok(number(&feature.name, value)? as f32))
                .collect::<Result<_>>()?,
            Value::Array(values) => bail!(
                Input,
                "a row has {} values: expected {}, for {}",
                values.len(),
                self.features.len(),
                self.description.features.join(", ")
            ),
            other => bail!(
                Input,
                "a row is {}: expected an object or a list with {}",
                shown(other),
                self.description.features.join(", ")
            ),
        };
        let warnings = self.features.iter().zip(&values).filter_map(|(feature, &value)| outside(feature, value));
        Ok(Row::Features { warnings: warnings.collect(), values })
    }

    fn predict(&self, rows: &[Row]) -> Result<Vec<Vec<f64>>> {
        let output = self.model.predict(self.inputs(rows)?)?;
        self.outputs(&output, rows.len())
    }

    fn explain(&self, rows: &[Row], ask: &Ask, before_pass: &BeforePass) -> Result<Vec<Explanation>> {
        let info = ask.info()?;
        let inputs = self.inputs(rows)?;
        let attributions = self.method(ask, info, before_pass)?.attribute_to(&inputs, &ask.target)?;
        let outputs = match attributions.output() {
            Some(output) => self.outputs(output, rows.len())?,
            None => self.predict(rows)?,
        };
        let in_rows = |values: &[Tensor]| -> Result<Vec<Vec<f64>>> {
            let flat = values.iter().map(|value| value.reshape((rows.len(), ()))?.to_dtype(DType::F64));
            Ok(Tensor::cat(&flat.collect::<candle_core::Result<Vec<_>>>()?, 1)?.to_vec2::<f64>()?)
        };
        let values = in_rows(attributions.values())?;
        let errors: Option<Vec<Vec<f64>>> = attributions.standard_errors().map(in_rows).transpose()?;
        let names = self.names(&attributions, values.first().map_or(0, Vec::len));
        let named = |columns: &Vec<usize>| columns.iter().filter_map(|column| names.get(*column).cloned()).collect();
        let groups: Vec<Vec<String>> = ask.groups().iter().map(named).collect();
        let deltas = attributions.convergence_delta().ok();
        let explanation = |(row, (values, output)): (usize, (Vec<f64>, Vec<f64>))| Explanation {
            output,
            class: attributions.targets().get(row).and_then(|target: &Vec<usize>| target.first().copied()),
            parts: Parts::Features(zip_names(&names, values)),
            groups: groups.clone(),
            delta: deltas.as_ref().and_then(|deltas| deltas.values().get(row).copied()),
            steps: attributions.steps().get(row).copied(),
            samples: attributions.samples().get(row).copied(),
            errors: errors.as_ref().and_then(|errors| Some(zip_names(&names, errors.get(row)?.clone()))),
            norm: None,
            settled: attributions.settled().and_then(|settled| settled.get(row).copied()),
            remarks: attributions.remarks_of(row),
        };
        Ok(values.into_iter().zip(outputs).enumerate().map(explanation).collect())
    }
}

/// Whether a method is offered for tables. In a batch there are rows of different requests, which must not change each
/// other.
fn is_for_tables(info: &MethodInfo) -> bool {
    info.name != OF_IMAGES && !info.requires(Requirement::SeveralRows)
}

/// Values with their names; −0 is 0.
fn zip_names(names: &[String], values: Vec<f64>) -> Vec<(String, f64)> {
    names.iter().cloned().zip(values.into_iter().map(|value| value + 0.)).collect()
}

/// The warning about a value outside the range of the training data.
fn outside(feature: &Feature, value: f32) -> Option<String> {
    let (lowest, highest) = feature.range?;
    let (least, most) = (lowest as f32, highest as f32);
    (value < least || value > most)
        .then(|| format!("{} is {value}: the training data go from {lowest} to {highest}", feature.name))
}
