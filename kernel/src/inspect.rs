//! Which name of a cell the reader asks about.

/// The code up to and with the name at this byte, as evcxr's hover wants it: a method only counts with its bracket.
/// `None` if there is no name.
pub fn asked_about(code: &str, at: usize) -> Option<String> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    // In `f(|)` the reader asks about `f`.
    let before = code[..at].trim_end_matches([' ', '(']);
    let at = if before.len() < at && !code[at..].starts_with(part) { before.len() } else { at };
    let start =
        code[..at].rfind(|c| !part(c)).map_or(0, |last| last + code[last..].chars().next().map_or(1, char::len_utf8));
    let end = code[at..].find(|c| !part(c)).map_or(code.len(), |length| at + length);
    if start == end {
        return None;
    }
    let is_method = code[..start].trim_end().ends_with('.');
    // evcxr's commands are not Rust: without them, with their lines kept.
    let plain: Vec<&str> =
        code[..end].split('\n').map(|line| if line.trim_start().starts_with(':') { "" } else { line }).collect();
    Some(plain.join("\n") + if is_method { "(" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_is_meant_wherever_the_cursor_is_in_it() {
        for at in 4..=9 {
            assert_eq!(asked_about("1 + value + 2", at).as_deref(), Some("1 + value"));
        }
    }

    #[test]
    fn behind_a_bracket_the_function_is_meant() {
        assert_eq!(asked_about("a.sum_all()?", 10).as_deref(), Some("a.sum_all("));
        assert_eq!(asked_about("f( )", 2).as_deref(), Some("f"));
        assert_eq!(asked_about("f(x)", 2).as_deref(), Some("f(x"));
    }

    #[test]
    fn commands_are_left_out() {
        assert_eq!(asked_about(":dep a\nb", 8).as_deref(), Some("\nb"));
    }

    #[test]
    fn there_may_be_no_name() {
        assert_eq!(asked_about("1 + ", 3), None);
        assert_eq!(asked_about("", 0), None);
    }
}
