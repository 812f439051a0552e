//! The families of encoders: one file and one line for each.

use super::architecture::Architecture;
use super::settings::Settings;
use crate::error::Result;

/// A family of encoders: the names of its configurations and weights, and what its encoders are made of.
#[derive(Debug)]
pub(super) struct Family {
    /// The values of `model_type` in `config.json`.
    pub(super) model_types: &'static [&'static str],
    /// What the names of `transformers`' classes begin with, for a configuration without a `model_type`.
    pub(super) classes: &'static [&'static str],
    /// What the names of the encoder's weights begin with in a checkpoint, without the dot.
    pub(super) prefix: &'static str,
    /// The id of padding if the configuration has none.
    pub(super) padding: u32,
    /// The architecture that a configuration describes.
    pub(super) architecture: fn(Settings) -> Result<Architecture>,
}

macro_rules! define_families {
    ($($file:ident),+ $(,)?) => {
        $(mod $file;)+

        /// Every family.
        pub(super) static FAMILIES: &[&Family] = &[$(&$file::FAMILY),+];
    };
}

define_families! {
    albert,
    bert,
    data2vec_text,
    deberta_v2,
    distilbert,
    electra,
    modernbert,
    mpnet,
    roberta,
    roberta_prelayernorm,
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;

    use candle_core::{DType, Device, Tensor};

    use super::FAMILIES;
    use crate::model::{Inputs, Layers, Model, SequenceClassifier};

    /// The tiny checkpoints of `tests/golden`, with a padded text.
    fn every_checkpoint(test: impl Fn(&str, SequenceClassifier, Inputs)) {
        for folder in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoints")).unwrap()
        {
            let folder = folder.unwrap().path();
            let ids = Tensor::new(&[[2u32, 17, 5, 9, 31, 12, 3, 22, 1, 1]], &Device::Cpu).unwrap();
            let mask = Tensor::new(&[[1u32, 1, 1, 1, 1, 1, 1, 1, 0, 0]], &Device::Cpu).unwrap();
            let classifier = SequenceClassifier::from_pretrained(&folder).unwrap();
            test(&folder.display().to_string(), classifier, Inputs::from(ids).with_args([mask]));
        }
    }

    #[test]
    fn every_family_has_a_checkpoint() {
        let seen = RefCell::new(Vec::new());
        every_checkpoint(|_, classifier, _| seen.borrow_mut().push(classifier.encoder().config.family.prefix));
        for family in FAMILIES {
            assert!(seen.borrow().contains(&family.prefix), "none of {:?}", family.model_types);
        }
    }

    #[test]
    fn every_weight_is_reached_in_a_training() {
        every_checkpoint(|name, classifier, text| {
            let output = classifier.forward(&text, &mut Layers::for_training()).unwrap();
            let first = output.narrow(1, 0, 1).unwrap().sum_all().unwrap();
            let gradients = first.backward().unwrap();
            for (weight, var) in classifier.named_parameters() {
                assert!(gradients.get(&var).is_some(), "{name}: {weight}");
            }
        });
    }

    #[test]
    fn no_more_tensors_are_made_than_is_told() {
        let number = |tensor: &Tensor| -> usize {
            let id = format!("{:?}", tensor.id());
            id.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
        };
        let now = || number(&Tensor::zeros((), DType::U8, &Device::Cpu).unwrap());
        every_checkpoint(|name, classifier, text| {
            for dtype in [DType::F32, DType::F64, DType::BF16] {
                let classifier = classifier.to_dtype(dtype).unwrap();
                let told = classifier.known_operations().unwrap();
                let made = || {
                    let before = now();
                    classifier.forward(&text, &mut Layers::for_training()).unwrap();
                    now() - before
                };
                // The tests beside this one make tensors as well: one pass without theirs is enough.
                assert!((0..5000).any(|_| made() <= told), "{name} in {dtype:?} makes more than {told}");
            }
        });
    }
}
