//! Values that programs write although JSON does not allow them: halves of surrogate pairs, NaN, and infinite numbers.
//!
//! A flaw is kept as an object with one name that nothing else has, so that only its own row fails.

use serde_json::{Map, Value};

const NAME: &str = "\u{fdd0}";
/// The most flaws in one body.
const MOST: usize = 10_000;
/// How many characters of a number are shown.
const SHOWN: usize = 40;

/// The body with its flaws replaced by such objects; `None` if it has none or too many.
pub(super) fn told(body: &[u8]) -> Option<Vec<u8>> {
    let mut told = Vec::with_capacity(body.len() + 64);
    let mut count = 0;
    let mut rest = body;
    while let Some(&first) = rest.first() {
        let is_part_of_word = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let length = match first {
            b'"' => text_length(rest),
            _ => rest.iter().take_while(is_part_of_word).count().max(1),
        };
        let (token, behind) = rest.split_at(length);
        let is_name = || behind.trim_ascii_start().starts_with(b":");
        match flaw(token).filter(|_| !is_name()) {
            Some(flaw) => {
                let object = Map::from_iter([(NAME.to_string(), Value::from(flaw))]);
                told.extend_from_slice(Value::Object(object).to_string().as_bytes());
                count += 1;
            }
            None => told.extend_from_slice(token),
        }
        rest = behind;
    }
    (1..=MOST).contains(&count).then_some(told)
}

/// The flaw that a value stands for, as it was written.
pub(crate) fn of(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(NAME)?.as_str()
}

/// The flaw of a value, or the first one within it.
pub(crate) fn within(value: &Value) -> Option<&str> {
    of(value).or_else(|| match value {
        Value::Array(items) => items.iter().find_map(within),
        Value::Object(named) => named.values().find_map(within),
        _ => None,
    })
}

/// The length in bytes of a string with its quotes.
fn text_length(json: &[u8]) -> usize {
    let mut index = 1;
    while index < json.len() {
        match json[index] {
            b'"' => return index + 1,
            b'\\' => index += 2,
            _ => index += 1,
        }
    }
    json.len()
}

fn flaw(token: &[u8]) -> Option<String> {
    let token = std::str::from_utf8(token).ok()?;
    if token.starts_with('"') {
        return half_of_a_pair(token).map(|half| format!("a text with {half}, one half of a surrogate pair"));
    }
    if ["NaN", "Infinity", "-Infinity"].contains(&token) {
        return Some(format!("{token}, which JSON does not know"));
    }
    let is_number = token.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let is_infinite = is_number && token.parse::<f64>().is_ok_and(f64::is_infinite);
    let shown = if token.len() <= SHOWN { token.to_string() } else { format!("{}…", &token[..SHOWN]) };
    is_infinite.then(|| format!("{shown}, which is more than a number of 64 bits can be"))
}

/// The first escape in a string that is half of a surrogate pair without its other half.
pub(super) fn half_of_a_pair(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(start) = rest.find('\\') {
        rest = &rest[start..];
        let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
        let length = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => return rest.get(..6),
            _ => 2,
        };
        rest = rest.get(length..)?;
    }
    None
}
