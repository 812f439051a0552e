//! Places in a text: Jupyter counts characters, Rust bytes.

pub fn to_bytes(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(byte, _)| byte)
}

pub fn to_characters(text: &str, bytes: usize) -> usize {
    text.char_indices().take_while(|(byte, _)| *byte < bytes).count()
}

/// The byte at which the character of this line and column stands, both counted from 1.
pub fn of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let line = text[start..].split('\n').next().unwrap_or_default();
    start + to_bytes(line, column.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_bytes() {
        let text = "đẹp 😍 x";
        for (characters, bytes) in [(0, 0), (1, 2), (3, 6), (5, 11), (7, 13)] {
            assert_eq!(to_bytes(text, characters), bytes);
            assert_eq!(to_characters(text, bytes), characters);
        }
        assert_eq!(to_bytes(text, 99), text.len());
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = "let a;\nđ = 1;\n";
        assert_eq!(of(text, 1, 5), 4);
        assert_eq!(of(text, 2, 2), 9);
        assert_eq!(of(text, 2, 99), 14);
        assert_eq!(of(text, 9, 1), text.len());
    }
}
