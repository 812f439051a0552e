//! The current and former names of weights, and which one counts if several mean the same weight.

use super::architecture::HeadPlan;
use super::families::{FAMILIES, Family};

/// Prefixes that training on several devices, compiling, adapters and trainers put before names.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "base_model.model", "model"];

/// The kind of a weight's name. If several names mean the same weight, the first kind counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The name that `transformers` saves.
    Usual,
    /// Without the encoder's name where it belongs, or with it where it does not.
    Unusual,
    /// Below the name of another encoder.
    Foreign,
}

/// How the weights of a family's encoders are spelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spelling {
    family: &'static Family,
    head: HeadPlan,
}

impl Spelling {
    pub(super) fn of(family: &'static Family, head: HeadPlan) -> Self {
        Self { family, head }
    }

    /// A name without the encoder's.
    pub(super) fn bare(self, name: &str) -> &str {
        below(name, self.family.prefix).unwrap_or(name)
    }

    /// Whether a weight belongs to the head and not to the encoder.
    fn of_head(self, bare: &str) -> bool {
        self.head.names().any(|name| self.bare(name) == name && below(bare, name).is_some())
    }

    /// Today's name of a weight without the encoder's name, and the kind of its name in the file.
    pub(super) fn todays_name(self, name: &str) -> (String, Rank) {
        let own = self.family.prefix;
        let (mut bare, mut encoder) = (name, None);
        while let Some((wrapper, inside)) = WRAPPERS.iter().find_map(|wrapper| Some((*wrapper, below(bare, wrapper)?)))
        {
            bare = inside;
            encoder = encoder.or((wrapper == own).then_some(own));
        }
        let mut encoders = FAMILIES.iter().map(|family| family.prefix).filter(|prefix| !WRAPPERS.contains(prefix));
        if let Some((named, inside)) = encoders.find_map(|prefix| Some((prefix, below(bare, prefix)?))) {
            (bare, encoder) = (inside, Some(named));
        }
        let rank = match encoder {
            Some(encoder) if encoder != own => Rank::Foreign,
            Some(_) if !self.of_head(bare) => Rank::Usual,
            None if self.of_head(bare) => Rank::Usual,
            _ => Rank::Unusual,
        };
        // The names that layer norms had before 2019.
        (bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"), rank)
    }
}

/// What follows a prefix and its dot.
fn below<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::transformer::config::Config;

    /// The spelling of a family with its usual head.
    fn spelling(model_type: &str) -> Spelling {
        Config::from_json(&json!({ "model_type": model_type })).unwrap().spelling()
    }

    #[test]
    fn the_encoders_own_name_goes_before_none() {
        let rank = |model_type, name| spelling(model_type).todays_name(name).1;
        assert_eq!(rank("bert", "bert.pooler.dense.weight"), Rank::Usual);
        assert_eq!(rank("bert", "pooler.dense.weight"), Rank::Unusual);
        assert_eq!(rank("bert", "roberta.pooler.dense.weight"), Rank::Foreign);
        assert_eq!(rank("bert", "classifier.weight"), Rank::Usual);
        assert_eq!(rank("bert", "bert.classifier.weight"), Rank::Unusual);
        assert_eq!(rank("deberta-v2", "pooler.dense.weight"), Rank::Usual);
        assert_eq!(rank("deberta-v2", "deberta.pooler.dense.weight"), Rank::Unusual);
        assert_eq!(rank("modernbert", "model.final_norm.weight"), Rank::Usual);
        assert_eq!(rank("modernbert", "final_norm.weight"), Rank::Unusual);
        assert_eq!(rank("modernbert", "head.dense.weight"), Rank::Usual);
        assert_eq!(rank("modernbert", "electra.final_norm.weight"), Rank::Foreign);
    }

    #[test]
    fn wrappers_are_taken_off() {
        for (model_type, encoder) in [("bert", "bert"), ("albert", "albert"), ("modernbert", "model")] {
            for wrapper in ["", "module.", "_orig_mod.module.", "base_model.model.", "model."] {
                let name = format!("{wrapper}{encoder}.x");
                assert_eq!(spelling(model_type).todays_name(&name), ("x".to_string(), Rank::Usual), "{name}");
            }
        }
        assert_eq!(spelling("bert").todays_name("bert.LayerNorm.gamma").0, "LayerNorm.weight");
    }
}
