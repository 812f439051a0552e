//! A check of SentencePiece's table of characters before it is used.

use std::collections::HashSet;

use serde_json::Value;

use crate::error::{Error, Result, error};

/// An error if a look-up could leave the table, which is a double array and the texts that it points at.
pub(super) fn check(table: &[u8]) -> Result<()> {
    let (size, rest) = table.split_first_chunk().ok_or_else(broken)?;
    let (units, texts) = rest.split_at_checked(u32::from_le_bytes(*size) as usize / 4 * 4).ok_or_else(broken)?;
    let units: Vec<usize> = units.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
    let texts = std::str::from_utf8(texts).map_err(|_| broken())?;
    let unit = |position: usize| units.get(position).copied().ok_or_else(broken);
    let mut next = vec![offset(unit(0)?)];
    let mut seen: HashSet<usize> = next.iter().copied().collect();
    while let Some(base) = next.pop() {
        for byte in 1..=0xff {
            let here = unit(base ^ byte)?;
            if here & (1 << 31 | 0xff) != byte {
                continue;
            }
            let below = base ^ byte ^ offset(here);
            let is_end = here >> 8 & 1 == 1;
            if is_end && !texts.is_char_boundary(unit(below)? & !(1 << 31)) {
                return Err(broken());
            }
            if seen.insert(below) {
                next.push(below);
            }
        }
    }
    Ok(())
}

/// The same check for every table in the normalisers of a `tokenizer.json`.
pub(super) fn check_all(normalizer: &Value) -> Result<()> {
    match normalizer {
        Value::Array(all) => all.iter().try_for_each(check_all),
        Value::Object(settings) => match settings.get("precompiled_charsmap").and_then(Value::as_str) {
            Some(table) => check(&from_base64(table)),
            None => settings.values().try_for_each(check_all),
        },
        _ => Ok(()),
    }
}

/// The offset of a node's children.
fn offset(unit: usize) -> usize {
    (unit >> 10) << ((unit & 1 << 9) >> 6)
}

/// The bytes of a text in base 64; other characters are skipped.
fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0);
    for six in text.bytes().filter_map(digit) {
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

fn broken() -> Error {
    error!(File, "its table of characters is broken: fetch it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_read() {
        assert_eq!(from_base64("aMOgbmc="), "hàng".as_bytes());
        assert_eq!(from_base64("//79"), [0xff, 0xfe, 0xfd]);
        assert!(from_base64("").is_empty());
    }

    #[test]
    fn a_table_that_leads_astray_is_refused() {
        assert!(check(&[]).is_err());
        assert!(check(&[0, 0, 0, 0]).is_err(), "no root");
        assert!(check(&[200, 0, 0, 0, 1, 1]).is_err(), "less than it says");
        let table = |units: &[u32], texts: &str| -> Vec<u8> {
            let size = (units.len() as u32 * 4).to_le_bytes();
            size.into_iter().chain(units.iter().flat_map(|unit| unit.to_le_bytes())).chain(texts.bytes()).collect()
        };
        let mut units = vec![0; 256];
        assert!(check(&table(&units, "")).is_ok());
        // "a" leads to the unit at 'a' ^ 1, which is the place of its text.
        units[usize::from(b'a')] = u32::from(b'a') | 1 << 8 | 1 << 10;
        units[usize::from(b'a' ^ 1)] = 1 << 31;
        assert!(check(&table(&units, "é\0")).is_ok());
        units[usize::from(b'a' ^ 1)] = 1 << 31 | 1;
        assert!(check(&table(&units, "é\0")).is_err(), "inside of a character");
        units[usize::from(b'a' ^ 1)] = 1 << 31 | 9;
        assert!(check(&table(&units, "é\0")).is_err(), "behind the texts");
    }
}
