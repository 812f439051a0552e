//! Whether code could run as it is, or goes on in the next line.

use serde_json::{Value, json};

#[derive(Debug, PartialEq)]
pub enum State {
    Complete,
    Incomplete { depth: usize },
    Invalid,
}

pub fn answer(code: &str) -> Value {
    match state(code) {
        State::Complete => json!({"status": "complete"}),
        State::Incomplete { depth } => json!({"status": "incomplete", "indent": "    ".repeat(depth)}),
        State::Invalid => json!({"status": "invalid"}),
    }
}

/// By brackets, texts and comments that are still open.
pub fn state(code: &str) -> State {
    let mut open = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => match comment(rest) {
                Some(length) => length,
                None => return State::Incomplete { depth: open.len() },
            },
            '"' => match text(rest) {
                Some(length) => length,
                None => return State::Incomplete { depth: 0 },
            },
            'r' if raw_hashes(rest).is_some() => {
                let hashes = raw_hashes(rest).unwrap_or(0);
                let begins = 1 + hashes + 1;
                match rest[begins..].find(&format!("\"{}", "#".repeat(hashes))) {
                    Some(length) => begins + length + 1 + hashes,
                    None => return State::Incomplete { depth: 0 },
                }
            }
            '\'' => character(rest),
            '(' | '[' | '{' => {
                open.push(first);
                1
            }
            ')' | ']' | '}' => {
                let expected = match first {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(expected) {
                    return State::Invalid;
                }
                1
            }
            // A whole word, so that the `r` at its end begins no text.
            _ if first.is_alphanumeric() || first == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        rest = &rest[length..];
    }
    if open.is_empty() { State::Complete } else { State::Incomplete { depth: open.len() } }
}

/// The length of a comment, which may hold others.
fn comment(code: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &code[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next()?.len_utf8();
        }
    }
}

fn text(code: &str) -> Option<usize> {
    let mut characters = code.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// How many `#` follow the `r` of a raw text; `None` if it is none.
fn raw_hashes(code: &str) -> Option<usize> {
    let rest = code.strip_prefix('r')?;
    let quoted = rest.trim_start_matches('#');
    quoted.starts_with('"').then_some(rest.len() - quoted.len())
}

/// The length of a character, or of the mark of a lifetime.
fn character(code: &str) -> usize {
    let mut characters = code.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => code[3..].find('\'').map_or(1, |at| at + 4),
        Some((at, _)) if characters.next().is_some_and(|(_, next)| next == '\'') => {
            at + code[at..].chars().next().map_or(0, char::len_utf8) + 1
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_code_is_complete() {
        for code in [
            "",
            "1 + 1",
            "fn f() -> [u8; 2] { [1, 2] }",
            ":dep serde = \"1\"",
            "let s = \"a { \\\" b\";",
            "let s = r#\"a \" { \"#;",
            "let r = 1; // {",
            "/* { /* ( */ */ 1",
            "let c = '{'; let q = '\\''; let u = '\\u{7b}'; let d = 'đ';",
            "fn f<'a>(x: &'a str) -> &'a str { x }",
        ] {
            assert_eq!(state(code), State::Complete, "{code}");
        }
    }

    #[test]
    fn open_code_goes_on() {
        for (code, depth) in
            [("fn f() {", 1), ("f(&[1,", 2), ("let s = \"a", 0), ("let s = r#\"a\"", 0), ("/* /* */", 0), ("{ '\\'", 1)]
        {
            assert_eq!(state(code), State::Incomplete { depth }, "{code}");
        }
    }

    #[test]
    fn what_no_line_can_mend_is_invalid() {
        for code in ["}", "f(]", "{ ) }"] {
            assert_eq!(state(code), State::Invalid, "{code}");
        }
    }

    #[test]
    fn the_next_line_is_indented_by_what_is_open() {
        assert_eq!(answer("mod a { fn f() {")["indent"], "        ");
        assert_eq!(answer("1"), json!({"status": "complete"}));
    }
}
