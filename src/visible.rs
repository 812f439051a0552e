//! Text without control characters that act instead of being shown.

/// The same text with a mark instead of each character that controls a terminal, changes the
/// direction of reading, or is not allowed in XML; line ends and tabs stay.
pub(crate) fn visible(text: &str) -> String {
    text.chars().map(drawn).collect()
}

/// The character itself, or the mark that [`visible`] replaces it by.
pub(crate) fn drawn(c: char) -> char {
    const MARK: char = '\u{fffd}';
    let acts = (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}');
    if acts { MARK } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_marked_and_all_else_stays() {
        assert_eq!(
            visible("tốt \u{1b}[31m\0\u{7}\u{202e}\u{ffff}"),
            "tốt \u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(visible("a\tb\r\nđẹp 😍"), "a\tb\r\nđẹp 😍");
    }
}
