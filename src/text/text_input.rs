//! Texts as the input of a model.

use candle_core::{Device, Tensor};

use super::TokenizedText;
use crate::engine::{Baseline, FeatureMask};
use crate::error::Result;
use crate::model::Inputs;

/// Texts as the input of a model: ids `[texts, tokens]`, with a mask if they differ in length, and with token
/// types if some are pairs. It can be used as inputs or as a baseline.
#[derive(Clone, Debug)]
pub struct TextInput {
    texts: Vec<TokenizedText>,
    padding: u32,
    inputs: Inputs,
}

impl TextInput {
    /// An input of these texts; shorter ones are filled up with the padding id.
    pub fn new(texts: Vec<TokenizedText>, padding: u32) -> Result<Self> {
        let longest = texts.iter().map(|text| text.tokens.len()).max().unwrap_or(0);
        let filled = |of: &dyn Fn(&TokenizedText) -> Vec<u32>, filler: u32| {
            let rows = texts.iter().flat_map(|text| {
                let mut row = of(text);
                row.resize(longest, filler);
                row
            });
            Tensor::from_vec(rows.collect::<Vec<u32>>(), (texts.len(), longest), &Device::Cpu)
        };
        let ids = filled(&TokenizedText::ids, padding)?;
        let types = |text: &TokenizedText| text.tokens.iter().map(|token| token.type_id).collect();
        let typed = texts.iter().flat_map(|text| &text.tokens).any(|token| token.type_id != 0);
        let ragged = texts.iter().any(|text| text.tokens.len() != longest);
        let mask = (ragged || typed).then(|| filled(&|text| vec![1; text.tokens.len()], 0)).transpose()?;
        let types = typed.then(|| filled(&types, 0)).transpose()?;
        let inputs = Inputs::from(ids).with_args(mask.into_iter().chain(types));
        Ok(Self { texts, padding, inputs })
    }

    /// The same input on another device, where the model is. [`TextClassifier::tokenize`](super::TextClassifier::tokenize)
    /// makes its inputs there by itself.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let model = TextClassifier::from_pretrained("data/sentiment-vi")?;
    /// let input = model.tokenize("Sản phẩm này rất tốt")?.to_device(&device)?;
    /// assert!(input.ids().device().same_device(&device));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self { inputs: self.inputs.to_device(device)?, ..self.clone() })
    }

    /// The texts with their tokens and words.
    pub fn texts(&self) -> &[TokenizedText] {
        &self.texts
    }

    /// The ids `[texts, tokens]`.
    pub fn ids(&self) -> &Tensor {
        self.inputs.first()
    }

    /// The baseline of the texts: padding instead of every token except the special ones.
    pub fn reference(&self) -> Result<Self> {
        let mut texts = self.texts.clone();
        for token in texts.iter_mut().flat_map(|text| &mut text.tokens).filter(|token| !token.special) {
            token.id = self.padding;
            token.piece = "<pad>".to_string();
            token.unknown = false;
        }
        Self::new(texts, self.padding)?.to_device(self.ids().device())
    }

    /// Each word as one feature, for methods that leave features out: the pieces of a word go together. Special tokens
    /// and padding are in no feature; they stay, and are attributed 0.
    /// [`Attributions::of_words`](crate::engine::Attributions::of_words) reads the result.
    pub fn word_mask(&self) -> Result<FeatureMask> {
        let longest = self.ids().dims()[1];
        let row = |text: &TokenizedText| {
            let mut last = (None, -1);
            let mut ids: Vec<i64> = Vec::with_capacity(longest);
            for token in &text.tokens {
                if !token.special && last.0 != Some(token.word) {
                    last = (Some(token.word), last.1 + 1);
                }
                ids.push(if token.special { -1 } else { last.1 });
            }
            ids.resize(longest, -1);
            ids
        };
        let ids: Vec<i64> = self.texts.iter().flat_map(row).collect();
        Ok(FeatureMask::from(Tensor::from_vec(ids, (self.texts.len(), longest), &Device::Cpu)?))
    }
}

impl From<&TextInput> for Inputs {
    fn from(input: &TextInput) -> Self {
        input.inputs.clone()
    }
}

impl From<TextInput> for Inputs {
    fn from(input: TextInput) -> Self {
        input.inputs
    }
}

impl From<&TextInput> for Baseline {
    fn from(reference: &TextInput) -> Self {
        Baseline::from(&reference.inputs)
    }
}

impl From<TextInput> for Baseline {
    fn from(reference: TextInput) -> Self {
        Baseline::from(&reference.inputs)
    }
}
