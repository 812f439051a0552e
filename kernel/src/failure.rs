//! A failed cell, told so that its reader can mend it.

use serde_json::{Value, json};

use crate::paths::{Paths, in_crate};

#[derive(Debug, PartialEq)]
pub struct Failure {
    /// A compiler's code such as `E0308`, or the kind of the failure in a word.
    pub name: String,
    pub message: String,
    /// What stands below the name and the message.
    pub details: Vec<String>,
}

impl Failure {
    pub fn new(name: &str, message: &str) -> Self {
        Self { name: name.to_owned(), message: message.trim().to_owned(), details: Vec::new() }
    }

    /// From what a panic writes to stderr. `source` is the program that was compiled for the cell, `code` the cell.
    pub fn panic(text: &str, source: &str, code: &str) -> Self {
        let (first, said) = text.split_once('\n').unwrap_or((text, ""));
        let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("note: run with ")).collect();
        let message = said.join("\n");
        let mut failure = Self::new("panic", if message.is_empty() { "the cell panicked" } else { &message });
        if let Some((_, place)) = first.split_once("panicked at ") {
            let place = place.trim_end_matches(':');
            failure.details = match line_in_cell(place, source, code) {
                Some(line) => vec![format!("in line {line} of the cell:"), quoted(code, line)],
                None => vec![format!("at {}", in_crate(place))],
            };
        }
        failure
    }

    pub fn interrupted(kept: bool) -> Self {
        let message = match kept {
            true => "the cell was interrupted; variables of earlier cells are kept",
            false => "the cell was interrupted and did not stop by itself, so it was ended with all variables",
        };
        Self::new("Interrupted", message)
    }

    /// The process of the cells ended within a cell.
    pub fn died(text: &str) -> Self {
        let said = text.lines().last().unwrap_or_default();
        let how = said.split_once("status: ").map_or(said, |(_, status)| status);
        Self::new("CellDied", &format!("the process of the cells ended ({how}); all variables are lost"))
    }

    pub fn hide(mut self, paths: &Paths) -> Self {
        self.message = paths.hidden(&self.message);
        self.details.iter_mut().for_each(|line| *line = paths.hidden(line));
        self
    }

    pub fn content(&self) -> Value {
        let title = format!("\x1b[1;31m{}\x1b[0m: {}", self.name, self.message);
        // A compiler's report begins with the same words.
        let reported = self.details.first().is_some_and(|first| first.contains(&format!("[{}]", self.name)));
        let lines = if reported { None } else { Some(title) }.into_iter().chain(self.details.iter().cloned());
        json!({"ename": self.name, "evalue": self.message, "traceback": lines.collect::<Vec<_>>()})
    }
}

/// The line of the cell that stands at `src/lib.rs:12:5` in the compiled program, if only one line reads so.
fn line_in_cell(place: &str, source: &str, code: &str) -> Option<usize> {
    let number: usize = compiled(place)?.split(':').next()?.parse().ok()?;
    let wanted = source.lines().nth(number.checked_sub(1)?)?.trim();
    let mut found =
        code.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && wanted.contains(line.trim()));
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Some(index + 1),
        _ => None,
    }
}

/// The line and column of a place in the program that is compiled for the cells. cargo names it from its workspace on.
fn compiled(place: &str) -> Option<&str> {
    place.strip_prefix("src/lib.rs:").or_else(|| place.strip_prefix("cell/src/lib.rs:"))
}

fn quoted(code: &str, line: usize) -> String {
    format!("{line} | {}", code.lines().nth(line - 1).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &str =
        "thread '<unnamed>' (7) panicked at src/lib.rs:3:9:\nindex out of bounds\nnote: run with `RUST_BACKTRACE=1`";

    #[test]
    fn a_panic_in_the_cell_names_its_line() {
        for text in [PANIC, &PANIC.replace("src/", "cell/src/")] {
            let failure = Failure::panic(text, "a\nb\n    let x = v[9];\n", "let v = [1];\nlet x = v[9];");
            assert_eq!((&*failure.name, &*failure.message), ("panic", "index out of bounds"));
            assert_eq!(failure.details, ["in line 2 of the cell:", "2 | let x = v[9];"]);
        }
    }

    #[test]
    fn a_line_that_the_cell_has_twice_is_not_guessed() {
        let failure = Failure::panic(PANIC, "a\nb\nf();\n", "f();\nf();");
        assert_eq!(failure.details, ["at src/lib.rs:3:9"]);
    }

    #[test]
    fn a_panic_in_a_library_names_the_crate_and_no_folder_of_this_machine() {
        let text = "thread 'main' panicked at /home/mai/.cargo/registry/src/x/own-1.0.0/src/lib.rs:1:2:\nno\nand no";
        let failure = Failure::panic(text, "", "");
        assert_eq!(failure.message, "no\nand no");
        assert_eq!(failure.details, ["at own-1.0.0/src/lib.rs:1:2"]);
    }

    #[test]
    fn a_panic_without_words_is_one_all_the_same() {
        assert_eq!(Failure::panic("", "", ""), Failure::new("panic", "the cell panicked"));
    }

    #[test]
    fn a_cells_death_says_how() {
        let failure = Failure::died("some output\nSubprocess terminated with status: signal: 9 (SIGKILL)");
        assert!(failure.message.contains("(signal: 9 (SIGKILL))"));
    }

    #[test]
    fn the_traceback_begins_with_name_and_message() {
        let content = Failure::new("Error", "no such file\n").content();
        assert_eq!((&content["ename"], &content["evalue"]), (&json!("Error"), &json!("no such file")));
        assert_eq!(content["traceback"], json!(["\x1b[1;31mError\x1b[0m: no such file"]));
    }
}
