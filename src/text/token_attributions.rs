//! Attributions of texts, one number for each token or word.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;

use super::text_record::Attributed;
use super::{StrongestWords, TextRecord, Unit, WordStrength};
use crate::engine::{Rounding, Shortfall};
use crate::error::{Result, bail};
use crate::script::unseen;

/// The attributions of texts, one number for each token or word. With them come the text's
/// class, the model's prediction, and the class that was attributed.
///
/// A notebook shows it as a heatmap.
#[derive(Clone)]
pub struct TokenAttributions {
    pub(super) records: Vec<TextRecord>,
}

/// A word without its invisible characters, except those that shape letters: joiners and variation selectors.
fn spoken(word: &str) -> String {
    let shapes = |c| matches!(c, '\u{180b}'..='\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    let lost = |c: char| c.is_control() || matches!(c, '\u{200b}' | '\u{fffd}') || unseen(c) && !shapes(c);
    word.chars().filter(|c| !lost(*c)).collect()
}

impl TokenAttributions {
    /// The numbers of each text divided by their norm, √Σaᵢ², so that texts can be compared;
    /// zeros stay zeros.
    pub fn normalize(&self) -> Result<Self> {
        let mut changed = self.clone();
        for record in &mut changed.records {
            let values = || record.units.iter().map(|unit| unit.value);
            if let Some(value) = values().find(|value| !value.is_finite()) {
                bail!(NotFinite, "the attributions of {} have the value {value}, and no norm", record.place)
            }
            // Scaled first, so that squares neither overflow nor vanish.
            let largest = values().fold(0., |largest: f64, value| largest.max(value.abs()));
            if largest > 0. {
                let norm = values().map(|value| (value / largest).powi(2)).sum::<f64>().sqrt();
                record.units.iter_mut().for_each(|unit| unit.value = unit.value / largest / norm);
                record.norm *= largest * norm;
            }
            record.normalized = true;
        }
        Ok(changed)
    }

    /// One number for each word, the sum over its tokens; each special token is a word.
    pub fn by_word(&self) -> Self {
        let mut changed = self.clone();
        for record in &mut changed.records {
            let mut words: Vec<Unit> = Vec::new();
            for unit in record.units.drain(..) {
                match words.last_mut() {
                    Some(last) if last.word == unit.word => last.value += unit.value,
                    _ => {
                        let text = record.words.get(unit.word).cloned().unwrap_or_else(|| unit.text.clone());
                        words.push(Unit { text, ..unit });
                    }
                }
            }
            record.units = words;
        }
        changed
    }

    /// The method that made them; if there are several, the first.
    pub fn method(&self) -> &'static str {
        self.records.first().map_or("", |record| record.method)
    }

    /// One record for each text or, if several layers were attributed, for each text and layer.
    pub fn records(&self) -> &[TextRecord] {
        &self.records
    }

    /// Whether each text's numbers were divided by their norm.
    pub fn normalized(&self) -> bool {
        self.records.iter().all(|record| record.normalized)
    }

    /// What the reader of these numbers must know: how they were computed, and which cannot be trusted.
    pub fn remarks(&self) -> Vec<String> {
        let all = self.records.len();
        let mut methods: Vec<&str> = self.records.iter().map(|record| record.method).collect();
        methods.dedup();
        let made = |method: &&str| {
            let steps =
                || self.records.iter().filter(|record| record.method == *method).filter_map(|record| record.steps);
            match (steps().min(), steps().max()) {
                (Some(fewest), Some(most)) if fewest == most => format!("{method}, {most} steps"),
                (Some(fewest), Some(most)) => format!("{method}, {fewest} to {most} steps"),
                _ => method.to_string(),
            }
        };
        let mut remarks = vec![methods.iter().map(made).collect::<Vec<_>>().join("; ")];
        match self.records.iter().filter(|record| record.normalized).count() {
            0 => {}
            some if some == all => {
                remarks.push("the numbers of each row's tokens are divided by their norm".to_string());
            }
            some => remarks.push(format!(
                "the tokens' numbers of {some} of {all} rows are divided by their norm, and those of the others are not: \
                 their colours do not compare"
            )),
        }
        let shortfalls: Vec<_> = self.records.iter().map(|record| record.shortfall).collect();
        remarks.extend(Shortfall::of_several(&shortfalls));
        let roundings = self.records.iter().filter_map(|record| record.rounding);
        remarks.extend(roundings.reduce(Rounding::largest).map(|largest| largest.to_string()));
        let mut count = |what: &str, is: fn(&TextRecord) -> bool| match self.records.iter().filter(|r| is(r)).count() {
            0 => {}
            some => remarks.push(format!("{some} of {all} {what}")),
        };
        count("show a text that was longer than the model takes and was cut", |r| r.cut > 0);
        count("show a text with tokens that are not in the model's vocabulary: to it they are all the same", |r| {
            r.unknown > 0
        });
        remarks
    }

    /// A single record, without the remarks on its text (what was cut, which tokens are unknown).
    pub fn only(&self, index: usize) -> Self {
        Self { records: vec![TextRecord { cut: 0, unknown: 0, ..self.records[index].clone() }] }
    }

    /// These records followed by those of `other`.
    pub fn with(&self, other: &TokenAttributions) -> Self {
        let mut joined = self.clone();
        joined.records.extend(other.records.iter().cloned());
        joined
    }

    /// The `count` words that moved the predictions most over all texts: each word's attributions are added up, and
    /// the sum farthest from 0 comes first. Upper and lower case, composed and decomposed letters count as the same.
    /// White space, signs and special tokens are not words.
    ///
    /// All texts must be attributed for the same class. With two classes either will do, since what speaks for one
    /// speaks against the other. With more it is an error to mix them, as happens by default, when each text is
    /// explained for its predicted class: `explain.target(class).batch(&comments)` explains all for one class. All must
    /// also be attributed at the same layer, or a word would be counted once per layer.
    pub fn strongest_words(&self, count: usize) -> Result<StrongestWords> {
        let Some(reference) = self.records.iter().find_map(|record| record.attributed.as_ref()) else {
            bail!(Input, "there is nothing to rank: no text was attributed for a class")
        };
        let places: BTreeSet<&str> = self.records.iter().map(TextRecord::place).collect();
        if places.len() > 1 {
            bail!(
                Input,
                "the texts were attributed at several layers, {}: attribute all at one, or each word counts as often",
                places.into_iter().collect::<Vec<_>>().join(", ")
            )
        }
        let mut reference = reference.clone();
        if reference.class == 0
            && let Some(opposite) = reference.opposite.take()
        {
            reference = Attributed { class: 1, name: opposite, opposite: Some(reference.name) };
        }
        let mut words: BTreeMap<String, WordStrength> = BTreeMap::new();
        for record in self.by_word().records {
            let sign = match &record.attributed {
                Some(attributed) if attributed.class == reference.class => 1.,
                Some(_) if reference.opposite.is_some() => -1.,
                other => bail!(
                    Input,
                    "the texts were attributed for different classes, {} and {}: attribute all for one, by its number \
                     among the model's outputs, as explain.target({}).batch(&comments) does for {}",
                    reference.name,
                    other.as_ref().map_or("none", |attributed| &attributed.name),
                    reference.class,
                    reference.name
                ),
            };
            for unit in record.units.iter().filter(|unit| unit.text.chars().any(char::is_alphanumeric)) {
                if unit.special {
                    continue;
                }
                let word: String = spoken(&unit.text).to_lowercase().nfc().collect();
                let strength = words.entry(word.clone()).or_insert(WordStrength { word, sum: 0., count: 0 });
                strength.sum += sign * unit.value;
                strength.count += 1;
            }
        }
        let mut words: Vec<WordStrength> = words.into_values().collect();
        words.sort_by(|a, b| b.sum.abs().total_cmp(&a.sum.abs()));
        words.truncate(count);
        Ok(StrongestWords { words, class: reference.name, texts: self.records.len() })
    }
}

impl From<TextRecord> for TokenAttributions {
    fn from(record: TextRecord) -> Self {
        Self { records: vec![record] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attributions of a text of one word for a class of several.
    fn attributed_for(class: usize, opposite: Option<&str>) -> TokenAttributions {
        let unit = Unit { text: "tốt".to_string(), value: 1., special: false, word: 0, joined: false };
        let opposite = opposite.map(str::to_string);
        let record = TextRecord {
            method: "LayerIntegratedGradients",
            place: "layer \"embeddings\"".to_string(),
            normalized: true,
            units: vec![unit],
            label: None,
            prediction: None,
            attributed: Some(Attributed { class, name: format!("class {class}"), opposite }),
            output: None,
            norm: 1.,
            delta: None,
            steps: None,
            shortfall: None,
            rounding: None,
            words: vec!["tốt".to_string()],
            cut: 0,
            unknown: 0,
        };
        TokenAttributions { records: vec![record] }
    }

    #[test]
    fn words_for_several_classes_are_not_mixed() {
        let (first, second) = (attributed_for(0, None), attributed_for(1, None));
        for mixed in [first.with(&second), second.with(&first)] {
            assert!(mixed.strongest_words(3).unwrap_err().to_string().contains("different classes"));
        }
        let error = second.with(&first).strongest_words(3).unwrap_err().to_string();
        assert!(error.contains("explain.target(1).batch(&comments) does for class 1"), "{error}");
        assert_eq!(first.strongest_words(3).unwrap().class(), "class 0");
    }

    #[test]
    fn what_is_told_of_a_text_is_not_told_again_of_its_record() {
        let mut unknown = attributed_for(0, None);
        unknown.records[0] = TextRecord { cut: 1, unknown: 1, ..unknown.records[0].clone() };
        assert_eq!(unknown.remarks().len(), 4);
        assert_eq!(unknown.only(0).remarks(), attributed_for(0, None).remarks());
    }

    #[test]
    fn what_was_made_in_different_ways_is_told_apart() {
        let normalized = attributed_for(0, None);
        let mut raw = normalized.clone();
        raw.records[0] =
            TextRecord { method: "LayerConductance", normalized: false, steps: Some(9), ..raw.records[0].clone() };
        assert_eq!(normalized.remarks().len(), 2);
        let remarks = normalized.with(&raw).remarks();
        assert_eq!(remarks[0], "LayerIntegratedGradients; LayerConductance, 9 steps");
        assert!(remarks[1].contains("1 of 2 rows") && remarks[1].contains("do not compare"), "{}", remarks[1]);
    }

    #[test]
    fn numbers_of_any_size_have_a_norm() {
        for size in [1., 1e200, 1e-200, 5e-324, 1.7e308] {
            let mut texts = attributed_for(1, None);
            let unit = texts.records[0].units[0].clone();
            texts.records[0].units = vec![Unit { value: size, ..unit.clone() }, Unit { value: -size, ..unit }];
            let values = texts.normalize().unwrap().records[0].values().values().to_vec();
            assert!((values[0] - 0.5f64.sqrt()).abs() < 1e-12 && values[1] == -values[0], "{size:e}: {values:?}");
            texts.records[0].units[0].value = f64::INFINITY;
            assert!(texts.normalize().unwrap_err().to_string().contains("no norm"));
        }
    }

    #[test]
    fn composed_and_decomposed_words_are_the_same() {
        let (composed, mut decomposed) = (attributed_for(1, None), attributed_for(1, None));
        decomposed.records[0].words = vec!["TO\u{302}\u{301}T".to_string()];
        let strongest = composed.with(&decomposed).strongest_words(3).unwrap();
        assert_eq!(
            (strongest.words().len(), strongest.words()[0].word.as_str(), strongest.words()[0].count),
            (1, "tốt", 2)
        );
    }

    #[test]
    fn what_is_not_seen_makes_no_other_word() {
        let with_words = |words: &[&str]| {
            let texts = words.iter().map(|word| {
                let mut text = attributed_for(1, None);
                text.records[0].words = vec![word.to_string()];
                text
            });
            let all = texts.reduce(|all, text| all.with(&text)).unwrap();
            let strongest = all.strongest_words(9).unwrap();
            strongest.words().iter().map(|word| (word.word.clone(), word.count)).collect::<Vec<_>>()
        };
        let alike = ["bell", "\u{7}bell", "be\u{ad}ll", "bell\u{1b}", "\u{200b}bell\u{200f}", "\u{fffd}Bell\u{feff}"];
        assert_eq!(with_words(&alike), [("bell".to_string(), alike.len())]);
        assert_eq!(with_words(&["می\u{200c}خواهم"]), [("می\u{200c}خواهم".to_string(), 1)]);
    }

    #[test]
    fn words_of_several_layers_are_not_counted_as_often() {
        let one = attributed_for(1, Some("class 0"));
        let mut other = one.clone();
        other.records[0].place = "layer \"encoder.layer.0\"".to_string();
        let error = one.with(&other).strongest_words(3).unwrap_err().to_string();
        assert!(error.contains("layer \"embeddings\", layer \"encoder.layer.0\""), "{error}");
    }

    #[test]
    fn of_two_classes_one_counts_against_the_other() {
        let both = attributed_for(0, Some("class 1")).with(&attributed_for(1, Some("class 0")));
        let strongest = both.strongest_words(3).unwrap();
        assert_eq!((strongest.class(), strongest.words()[0].sum, strongest.words()[0].count), ("class 1", 0., 2));
    }
}
