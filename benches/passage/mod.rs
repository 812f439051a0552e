//! A classifier of PhoBERT's size, and texts for it.

use candle_explain::model::RobertaShape;
use candle_explain::prelude::*;
use serde_json::{Value, json};

use crate::rival::Outcome;

const TARGET: usize = 1;
const END: u32 = 2;
const PADDING: u32 = 1;

/// PhoBERT's sizes.
pub fn shape() -> RobertaShape {
    RobertaShape {
        vocabulary: 64001,
        hidden: 768,
        layers: 12,
        heads: 12,
        intermediate: 3072,
        tokens: 258,
        labels: vec!["positive".to_string(), "negative".to_string()],
        segmented_words: true,
    }
}

/// A text of token ids, what a method is given of it, and the padding that it is compared with.
#[derive(Clone)]
pub struct Text {
    pub ids: Tensor,
    pub inputs: Inputs,
    pub baseline: Tensor,
}

impl Text {
    pub fn of(tokens: usize) -> Outcome<Self> {
        let word = |place: usize| if place == 0 { 0 } else { 100 + 37 * place as u32 };
        let ids: Vec<u32> = (0..tokens - 1).map(word).chain([END]).collect();
        let baseline: Vec<u32> = ids.iter().map(|id| if [0, END].contains(id) { *id } else { PADDING }).collect();
        let [ids, baseline] = [ids, baseline].map(|ids| Tensor::new(ids, &Device::Cpu)?.unsqueeze(0));
        let ids = ids?;
        Ok(Self { inputs: Inputs::from(&ids), ids, baseline: baseline? })
    }

    pub fn request(&self, method: &str, settings: Value) -> Value {
        let ids = |tensor: &Tensor| tensor.to_vec2::<u32>().unwrap_or_default();
        let mut request =
            json!({"method": method, "ids": ids(&self.ids), "baseline": ids(&self.baseline), "target": TARGET});
        request
            .as_object_mut()
            .into_iter()
            .for_each(|all| all.extend(settings.as_object().cloned().unwrap_or_default()));
        request
    }

    pub fn path(&self, settings: Value) -> Value {
        self.request("LayerIntegratedGradients", settings)
    }

    pub fn integrated(&self, model: &SequenceClassifier) -> LayerIntegratedGradients {
        LayerIntegratedGradients::new(model, "embeddings").baseline(&self.baseline)
    }

    /// A number for each token, of one layer after another.
    pub fn attribute(&self, method: &dyn Attribute) -> Outcome<Vec<f64>> {
        let mut numbers = Vec::new();
        for found in method.attribute_to(&self.inputs, &Target::Class(TARGET))?.values() {
            let found = found.to_dtype(DType::F64)?;
            let of_tokens = if found.rank() == 3 { found.sum(2)? } else { found };
            numbers.extend(of_tokens.flatten_all()?.to_vec1::<f64>()?);
        }
        Ok(numbers)
    }
}
