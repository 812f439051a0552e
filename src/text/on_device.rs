//! A text classifier and its inputs on another device, or in another precision.

use std::sync::Arc;

use candle_core::Device;

use super::{TextClassifier, TextInput, TokenizedText};
use crate::error::Result;
use crate::nn::Precision;

impl TextClassifier {
    /// The same classifier on another device, with weights of its own; what it tokenizes is there as well.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let model = TextClassifier::from_pretrained("data/sentiment-vi")?.to_device(&device)?;
    /// assert_eq!(model.predict_text("Sản phẩm này rất tốt")?.label, "positive");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let mut moved = self.clone();
        moved.model = Arc::new(self.model.to_device(device)?);
        Ok(moved)
    }

    /// The same classifier, which shares its weights, with dense products in another precision on the CPU; see
    /// [`TransformerEncoder::precision`](crate::model::TransformerEncoder::precision).
    pub fn precision(&self, precision: Precision) -> Result<Self> {
        let mut changed = self.clone();
        changed.model = Arc::new(self.model.precision(precision)?);
        Ok(changed)
    }

    /// The input of texts that were read, on the device of the model.
    pub(crate) fn input(&self, texts: Vec<TokenizedText>) -> Result<TextInput> {
        TextInput::new(texts, self.model.pad_token_id())?.to_device(self.model.encoder().device())
    }
}
