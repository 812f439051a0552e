//! The Titanic network as a model to serve.

use std::path::Path;
use std::sync::Arc;

use candle_explain::engine::Target;
use candle_explain::model::{Model, Sequential};
use candle_explain::tabular::Titanic;
use candle_explain::{Result, Seed, bail};
use serde_json::{Map, Value};

use super::tabular_model::{Feature, Field, TabularModel};
use crate::json::record;

/// The tutorials' network of passengers: it takes the twelve features, or a passenger with `sex`,
/// `embarked` and `pclass`, and is explained for survival.
#[derive(Clone, Debug)]
pub struct TitanicModel {
    network: Sequential,
    classes: Vec<String>,
}

/// The lowest, the highest and an ordinary value of each number in the complete passenger list.
const NUMBERS: [(&str, f64, f64, f64); 4] =
    [("age", 0.1667, 80., 30.), ("sibsp", 0., 8., 0.), ("parch", 0., 9., 0.), ("fare", 0., 512.3292, 32.)];
pub(super) const CLASS_NAMES: [&str; 2] = ["Not Survived", "Survived"];
const SEXES: [&str; 2] = ["female", "male"];
const PORTS: [&str; 3] = ["S", "C", "Q"];
const CLASSES: [&str; 3] = ["3", "2", "1"];

impl TitanicModel {
    /// The network with the weights that come with the library.
    pub fn pretrained() -> Result<Self> {
        Self::new(Titanic::pretrained()?, CLASS_NAMES)
    }

    /// The network with weights from a safetensors file.
    pub fn load(weights: impl AsRef<Path>) -> Result<Self> {
        let network = Titanic::network(Seed::default())?;
        network.load(weights)?;
        Self::new(network, CLASS_NAMES)
    }

    pub(crate) fn new(network: Sequential, classes: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        if classes.len() != 2 {
            bail!(
                Input,
                "the Titanic network has two classes, and {} names came: {}",
                classes.len(),
                classes.join(", ")
            )
        }
        Ok(Self { network, classes })
    }
}

impl TabularModel for TitanicModel {
    fn model(&self) -> Arc<dyn Model> {
        Arc::new(self.network.clone())
    }

    fn features(&self) -> Vec<Feature> {
        let feature = |name: &&str| match NUMBERS.iter().find(|(number, ..)| number == name) {
            Some((_, lowest, highest, typical)) => Feature::new(*name).range(*lowest, *highest).typical(*typical),
            None => Feature::new(*name).range(0., 1.),
        };
        Titanic::FEATURES.iter().map(feature).collect()
    }

    fn classes(&self) -> Vec<String> {
        self.classes.clone()
    }

    fn target(&self) -> Target {
        Target::Class(1)
    }

    fn is_quick(&self) -> bool {
        true
    }

    fn fields(&self) -> Vec<Field> {
        let numbers = self.features().into_iter().take(NUMBERS.len()).map(|feature| Field::from(&feature));
        let choices = [Field::choice("sex", SEXES), Field::choice("pclass", CLASSES), Field::choice("embarked", PORTS)];
        numbers.chain(choices).collect()
    }

    fn encode(&self, record: &Map<String, Value>) -> Result<Option<Vec<f32>>> {
        const CHOSEN: [&str; 3] = ["sex", "pclass", "embarked"];
        if !CHOSEN.iter().any(|name| record.contains_key(*name)) {
            return Ok(None);
        }
        let expected: Vec<&str> = NUMBERS.iter().map(|(name, ..)| *name).chain(CHOSEN).collect();
        record::check_names(record, &expected)?;
        let [age, sibsp, parch, fare] = NUMBERS.map(|(name, ..)| record::number(name, &record[name]));
        let female = record::choice("sex", &record["sex"], &SEXES)? == "female";
        let class = record::choice("pclass", &record["pclass"], &CLASSES)?.parse().unwrap_or_default();
        let port = record::choice("embarked", &record["embarked"], &PORTS)?.chars().next();
        Ok(Some(Titanic::encode([age?, sibsp?, parch?, fare?], female, port, class).to_vec()))
    }
}
