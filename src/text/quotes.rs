//! Unclosed quotes in CSV.

use crate::error::Result;

#[derive(Clone, Copy)]
enum Place {
    StartOfField,
    Unquoted,
    Quoted,
    /// After the second quote and any spaces.
    Closed,
}

/// Where the first record of a CSV ends, or the position of its unclosed quote.
///
/// If a quote is closed in another line, its field must end there; otherwise the quote would swallow the rows between.
pub fn end_of_record(text: &[u8]) -> Result<usize, usize> {
    let mut place = Place::StartOfField;
    let mut opened = 0;
    for (index, byte) in text.iter().enumerate() {
        place = match (place, byte) {
            (Place::StartOfField, b'"') => {
                opened = index;
                Place::Quoted
            }
            (Place::Closed, b'"') if text[index - 1] == b'"' => Place::Quoted,
            (Place::Quoted, b'"') => Place::Closed,
            (Place::Quoted, _) => Place::Quoted,
            (_, b',') => Place::StartOfField,
            (_, b'\n' | b'\r') => return Ok(index + 1),
            (Place::Closed, b' ' | b'\t') => Place::Closed,
            (Place::Closed, _) if text[opened..index].iter().any(ends_line) => return Err(opened),
            _ => Place::Unquoted,
        }
    }
    if matches!(place, Place::Quoted) { Err(opened) } else { Ok(text.len()) }
}

/// The position of the first unclosed quote of a CSV.
pub(super) fn unclosed(text: &[u8]) -> Option<usize> {
    let mut start = 0;
    while start < text.len() {
        match end_of_record(&text[start..]) {
            Ok(length) => start += length,
            Err(opened) => return Some(start + opened),
        }
    }
    None
}

/// Whether a byte ends a line of CSV.
fn ends_line(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_where_its_quotes_are_closed() {
        for record in ["a,b\n", "\n", "\"a\nb\",c\r", "\"a\"\"\n\",\" \n\" \n", "\"a\" b\n", "a\"b\n", "\"\"\n"] {
            assert_eq!(end_of_record(format!("{record}x").as_bytes()), Ok(record.len()), "{record:?}");
        }
        assert_eq!(end_of_record(b"\"a\nb\""), Ok(5));
        for (record, opened) in
            [("a,\"b\nc", 2), ("\"a\nb\"c\n", 0), ("\"a\n\"\"", 0), ("\"a\nb\" \"c\"\n", 0), ("a,b,\"", 4)]
        {
            assert_eq!(end_of_record(record.as_bytes()), Err(opened), "{record:?}");
        }
        assert_eq!(unclosed(b"a\n\"b\nc\"\n\nd,\"e\nf\n"), Some(11));
        assert_eq!(unclosed(b"a\n\"b\nc\"\n\nd,\"e\"\nf\n"), None);
    }
}
