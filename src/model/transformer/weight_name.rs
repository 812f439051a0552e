//! The names that weights have had, and which of several that mean the same counts.

use super::config::Architecture;

/// What training on several devices, compiling, adapters and trainers put in front of names.
const WRAPPERS: [&str; 4] = ["module.", "_orig_mod.", "base_model.model.", "model."];

/// What the encoders of this family are called by.
const ENCODERS: [&str; 3] = ["bert.", "roberta.", "distilbert."];

/// Under which of the names that mean the same weight it stands; the first goes before the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// As `transformers` saves it.
    Usual,
    /// Without the encoder's name, or with it where it does not belong.
    Unusual,
    /// Below the name of another encoder.
    Foreign,
}

/// Today's name of a weight without the encoder's, and how usual the one is that it has.
pub(super) fn todays_name(name: &str, architecture: Architecture) -> (String, Rank) {
    let mut bare = name;
    while let Some(inside) = WRAPPERS.iter().find_map(|wrapper| bare.strip_prefix(wrapper)) {
        bare = inside;
    }
    let encoder = ENCODERS.iter().find_map(|encoder| Some((*encoder, bare.strip_prefix(encoder)?)));
    let bare = encoder.map_or(bare, |(_, inside)| inside);
    let of_head = ["classifier.", "pre_classifier."].iter().any(|head| bare.starts_with(head));
    let own = architecture.prefix();
    let rank = match encoder {
        Some((encoder, _)) if encoder.strip_suffix('.') != Some(own) => Rank::Foreign,
        Some(_) if !of_head => Rank::Usual,
        None if of_head => Rank::Usual,
        _ => Rank::Unusual,
    };
    // The names that layer norms had before 2019.
    (bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"), rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoders_own_name_goes_before_none() {
        let rank = |name: &str| todays_name(name, Architecture::Bert).1;
        assert_eq!(rank("bert.pooler.dense.weight"), Rank::Usual);
        assert_eq!(rank("pooler.dense.weight"), Rank::Unusual);
        assert_eq!(rank("roberta.pooler.dense.weight"), Rank::Foreign);
        assert_eq!(rank("classifier.weight"), Rank::Usual);
        assert_eq!(rank("bert.classifier.weight"), Rank::Unusual);
    }

    #[test]
    fn wrappers_are_taken_off() {
        for wrapped in ["module.bert.x", "_orig_mod.module.bert.x", "base_model.model.bert.x", "model.bert.x", "bert.x"]
        {
            assert_eq!(todays_name(wrapped, Architecture::Bert), ("x".to_string(), Rank::Usual), "{wrapped}");
        }
        assert_eq!(todays_name("bert.LayerNorm.gamma", Architecture::Bert).0, "LayerNorm.weight");
    }
}
