//! One record of a request: named values, or values in the features' order.

use candle_explain::{Result, bail, error};
use serde_json::{Map, Value};

use super::flaws;

/// Up to here f64 holds every whole number.
const MOST_WHOLE: f64 = 9_007_199_254_740_992.;

/// The largest number allowed: with larger ones the sums of a model in f32 may overflow.
pub(crate) const LARGEST: f64 = 1e30;

/// A number that a model in f32 can compute with, written as a number or as its digits.
pub(crate) fn number(name: &str, value: &Value) -> Result<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if number.abs() <= LARGEST => Ok(number),
        _ => bail!(Input, "{name} is {}: expected a finite number, of at most {LARGEST:e} either way", shown(value)),
    }
}

/// A number without a fraction, which many programs write as 1.0.
pub(crate) fn whole_number(value: &Value) -> Option<u64> {
    let whole = |number: f64| number.fract() == 0. && (0. ..=MOST_WHOLE).contains(&number);
    value.as_u64().or_else(|| value.as_f64().filter(|number| whole(*number)).map(|number| number as u64))
}

/// One of some words; a number counts as its digits.
pub(crate) fn choice<'a>(name: &str, value: &Value, choices: &[&'a str]) -> Result<&'a str> {
    let given = match value {
        Value::String(word) => word.trim().to_string(),
        other => whole_number(other).map_or_else(|| other.to_string(), |number| number.to_string()),
    };
    let found = choices.iter().find(|choice| **choice == given);
    found.copied().ok_or_else(|| error!(Input, "{name} is {}: expected {}", shown(value), one_of(choices)))
}

/// An error if a record holds a value that JSON does not know.
pub(crate) fn check_values(record: &Value) -> Result<()> {
    if let Some(flaw) = flaws::of(record) {
        bail!(Input, "the row is {flaw}")
    }
    let flawed = |(name, value): (&String, &Value)| Some(error!(Input, "{name} is {}", flaws::within(value)?));
    record.as_object().into_iter().flatten().find_map(flawed).map_or(Ok(()), Err)
}

/// An error unless a record holds exactly these names.
pub(crate) fn check_names(record: &Map<String, Value>, expected: &[impl AsRef<str>]) -> Result<()> {
    let list = || expected.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    let missing: Vec<&str> = expected.iter().map(AsRef::as_ref).filter(|name| !record.contains_key(*name)).collect();
    if !missing.is_empty() {
        bail!(Input, "{} missing: expected {}", are(&missing), list())
    }
    if record.len() > expected.len() {
        let extra: Vec<&str> = record
            .keys()
            .map(String::as_str)
            .filter(|key| !expected.iter().any(|name| name.as_ref() == *key))
            .collect();
        bail!(Input, "{} not known: expected {}", are(&extra), list())
    }
    Ok(())
}

/// The start of a value, for an error.
pub(crate) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    flaws::within(value).map_or_else(|| start(value.to_string(), LONGEST), str::to_string)
}

fn start(text: String, longest: usize) -> String {
    if text.chars().count() <= longest { text } else { text.chars().take(longest).collect::<String>() + "…" }
}

fn are(names: &[&str]) -> String {
    const LONGEST: usize = 200;
    let shown = start(names.join(", ").escape_debug().to_string(), LONGEST);
    format!("{shown} {}", if names.len() == 1 { "is" } else { "are" })
}

pub(crate) fn one_of(choices: &[&str]) -> String {
    match choices {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => choices.concat(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_told_in_full() {
        let names =
            ["age", "sibsp", "parch", "fare", "embark_C", "embark_Q", "embark_S", "class_1", "class_2", "class_3"];
        let message = |record: Value| check_names(record.as_object().unwrap(), &names).unwrap_err().to_string();
        assert!(
            message(json!({"age": 1})).starts_with(&format!("{} are missing: expected age", names[1..].join(", ")))
        );
        let mut record: Map<String, Value> = names.iter().map(|name| (name.to_string(), json!(1))).collect();
        record.insert("\u{7}".repeat(300), json!(1));
        let long = check_names(&record, &names).unwrap_err().to_string();
        assert!(long.contains("… is not known: expected age") && long.chars().count() < 400, "{long}");
    }
}
