//! The output of the cells' process, put in an order that evcxr and the kernel can follow.
//!
//! evcxr's own marks go on as they are, each on a line of its own. All else becomes [`News`]: text as it comes, with or
//! without a line's end; how a cell ended, before the mark of which evcxr tells nobody.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::wire::News;

const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";
const PANIC: &str = "EVCXR_PANIC_NOTIFICATION";
const ERROR: &str = "EVCXR_ERROR_OCCURRED";
const BEGIN_CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
const END_CONTENT: &str = "EVCXR_END_CONTENT";
const DISPLAY: &str = "CANDLE_EXPLAIN_DISPLAY ";
/// A cell's last value is an error, which evcxr takes for a value like others: its text follows, in JSON.
const FAILED: &str = "CANDLE_EXPLAIN_FAILED ";
/// Marks that come with more after them.
const QUESTIONS: [&str; 2] = ["EVCXR_INPUT_REQUEST", "EVCXR_VARIABLE_CHANGED_TYPE:"];
/// What a mark begins with, of which only a part may have come yet.
const MARKS: [&str; 2] = ["EVCXR_", "CANDLE_EXPLAIN_"];
/// A panic's text is held until the mark of its end, if that comes at all: a thread's panic ends no cell.
const PANIC_HELD: Duration = Duration::from_millis(500);

#[derive(Default)]
pub struct Sorter {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    in_content: bool,
}

impl Sorter {
    pub fn stdout(&mut self, text: &[u8]) -> Vec<String> {
        self.stdout.extend(text);
        let mut lines = Lines::default();
        while let Some(length) = self.stdout.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.stdout.drain(..=length).collect();
            self.line(&String::from_utf8_lossy(&line[..length]), &mut lines);
        }
        lines.done()
    }

    pub fn stderr(&mut self, text: &[u8]) {
        self.stderr.extend(text);
    }

    /// Nothing has come for so long: what waits for a line's end is sent as it is.
    pub fn quiet(&mut self, time: Duration) -> Vec<String> {
        let mut lines = Lines::default();
        let begun = whole(&self.stdout);
        let text = String::from_utf8_lossy(&self.stdout[..begun]);
        if !self.in_content && !MARKS.iter().any(|mark| text.contains(mark)) {
            lines.text(&text);
            self.stdout.drain(..begun);
        }
        if time >= PANIC_HELD || panic_in(&String::from_utf8_lossy(&self.stderr)).is_none() {
            self.flush_stderr(&mut lines);
        }
        lines.done()
    }

    pub fn end(&mut self) -> Vec<String> {
        let mut lines = Lines::default();
        let rest = std::mem::take(&mut self.stdout);
        lines.text(&String::from_utf8_lossy(&rest));
        self.flush_stderr(&mut lines);
        lines.done()
    }

    fn line(&mut self, line: &str, lines: &mut Lines) {
        if self.in_content {
            match line {
                END_CONTENT => self.in_content = false,
                // evcxr takes this for the end of a content too.
                PANIC => {
                    self.in_content = false;
                    lines.mark(PANIC);
                    return self.panicked(lines);
                }
                _ => {}
            }
            return lines.mark(line);
        }
        if let Some(before) = line.strip_suffix(COMPLETE) {
            lines.text(before);
            self.flush_stderr(lines);
            lines.mark(COMPLETE);
        } else if let Some(before) = line.strip_suffix(PANIC) {
            lines.text(before);
            self.panicked(lines);
            lines.mark(PANIC);
        } else if let Some(before) = line.strip_suffix(ERROR) {
            lines.text(before);
            lines.news(News::Failed(self.taken_stderr().trim_end().to_owned()));
            lines.mark(ERROR);
        } else if let Some(start) = line.find(BEGIN_CONTENT) {
            lines.text(&line[..start]);
            lines.mark(&line[start..]);
            self.in_content = true;
        } else if let Some(start) = QUESTIONS.iter().find_map(|mark| line.find(mark)) {
            lines.text(&line[..start]);
            lines.mark(&line[start..]);
        } else if let Some((before, display)) = told_in(line, DISPLAY) {
            lines.text(before);
            lines.news(News::Display(display));
        } else if let Some((before, text)) = told_in(line, FAILED) {
            lines.text(before);
            lines.news(News::Failed(text));
        } else {
            lines.text(line);
            lines.text("\n");
        }
    }

    fn panicked(&mut self, lines: &mut Lines) {
        let text = self.taken_stderr();
        let start = panic_in(&text).unwrap_or(text.len());
        lines.error_text(&text[..start]);
        lines.news(News::Panicked(text[start..].trim().to_owned()));
    }

    fn flush_stderr(&mut self, lines: &mut Lines) {
        let text = self.taken_stderr();
        lines.error_text(&text);
    }

    fn taken_stderr(&mut self) -> String {
        let length = whole(&self.stderr);
        let text: Vec<u8> = self.stderr.drain(..length).collect();
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Where the text of a panic begins: `thread 'main' (7) panicked at src/lib.rs:1:2:`, after an empty line.
fn panic_in(text: &str) -> Option<usize> {
    let says = text.find("' panicked at ").or_else(|| text.find(") panicked at "))?;
    let start = text[..says].rfind("thread '")?;
    Some(if text[..start].ends_with("\n\n") || &text[..start] == "\n" { start - 1 } else { start })
}

/// What stands before a mark, and what it tells in JSON.
fn told_in<'a, T: DeserializeOwned>(line: &'a str, mark: &str) -> Option<(&'a str, T)> {
    let start = line.find(mark)?;
    Some((&line[..start], serde_json::from_str(&line[start + mark.len()..]).ok()?))
}

/// How much of it is whole characters; the rest of the last one may still come.
fn whole(text: &[u8]) -> usize {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    }
}

/// Lines for evcxr, with neighbouring texts in one.
#[derive(Default)]
struct Lines {
    finished: Vec<String>,
    text: String,
}

impl Lines {
    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn error_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.news(News::Stderr(text.to_owned()));
        }
    }

    fn news(&mut self, news: News) {
        self.mark(&news.line());
    }

    fn mark(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.finished.push(News::Stdout(std::mem::take(&mut self.text)).line());
        }
        self.finished.push(line.to_owned());
    }

    fn done(mut self) -> Vec<String> {
        if !self.text.is_empty() {
            self.finished.push(News::Stdout(self.text).line());
        }
        self.finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const PANIC_TEXT: &str = "\nthread 'main' (7) panicked at src/lib.rs:3:1:\nno\n";

    fn stdout(text: &str) -> String {
        News::Stdout(text.into()).line()
    }

    fn stderr(text: &str) -> String {
        News::Stderr(text.into()).line()
    }

    #[test]
    fn lines_that_come_together_go_on_together() {
        assert_eq!(Sorter::default().stdout(b"one\ntwo\n"), [stdout("one\ntwo\n")]);
    }

    #[test]
    fn text_without_a_line_end_goes_on_after_a_while() {
        let mut sorter = Sorter::default();
        assert!(sorter.stdout(b"50%").is_empty());
        assert_eq!(sorter.quiet(SHORT), [stdout("50%")]);
        assert_eq!(sorter.stdout(b"\r60%\n"), [stdout("\r60%\n")]);
    }

    #[test]
    fn a_mark_behind_text_gets_a_line_of_its_own() {
        assert_eq!(Sorter::default().stdout(b"textEVCXR_EXECUTION_COMPLETE\n"), [stdout("text"), COMPLETE.into()]);
    }

    #[test]
    fn half_a_mark_waits_for_the_rest() {
        let mut sorter = Sorter::default();
        sorter.stdout(b"EVCXR_EXEC");
        assert!(sorter.quiet(SHORT).is_empty());
        assert_eq!(sorter.stdout(b"UTION_COMPLETE\n"), [COMPLETE]);
    }

    #[test]
    fn contents_are_left_as_they_are() {
        let content = "EVCXR_BEGIN_CONTENT text/html\n<b>1</b>\n\nEVCXR_END_CONTENT\n";
        let lines = Sorter::default().stdout(content.as_bytes());
        assert_eq!(lines.join("\n") + "\n", content);
    }

    #[test]
    fn a_content_that_is_not_finished_waits() {
        let mut sorter = Sorter::default();
        sorter.stdout(b"EVCXR_BEGIN_CONTENT text/html\n<b>");
        assert!(sorter.quiet(SHORT).is_empty());
        assert_eq!(sorter.stdout(b"1</b>\n"), ["<b>1</b>"]);
    }

    #[test]
    fn a_panic_is_told_before_evcxrs_mark_and_not_as_text() {
        let mut sorter = Sorter::default();
        sorter.stderr(b"careful\n");
        sorter.stderr(PANIC_TEXT.as_bytes());
        let lines = sorter.stdout(b"EVCXR_PANIC_NOTIFICATION\n");
        assert_eq!(lines, [stderr("careful\n"), News::Panicked(PANIC_TEXT.trim().into()).line(), PANIC.into()]);
        assert!(sorter.end().is_empty());
    }

    #[test]
    fn a_panic_of_another_thread_is_text_in_the_end() {
        let mut sorter = Sorter::default();
        sorter.stderr(PANIC_TEXT.as_bytes());
        assert!(sorter.quiet(SHORT).is_empty());
        assert_eq!(sorter.quiet(PANIC_HELD), [stderr(PANIC_TEXT)]);
    }

    #[test]
    fn an_error_passed_up_is_told_with_its_text() {
        let mut sorter = Sorter::default();
        sorter.stderr(b"no such file\n");
        assert_eq!(
            sorter.stdout(b"EVCXR_ERROR_OCCURRED\n"),
            [News::Failed("no such file".into()).line(), ERROR.into()]
        );
    }

    #[test]
    fn an_error_as_the_last_value_is_told_with_its_text() {
        let lines = Sorter::default().stdout(b"a CANDLE_EXPLAIN_FAILED \"no such\\nfile\"\n");
        assert_eq!(lines, [stdout("a "), News::Failed("no such\nfile".into()).line()]);
    }

    #[test]
    fn stderr_comes_before_the_end_of_its_cell() {
        let mut sorter = Sorter::default();
        sorter.stderr(b"warning");
        assert_eq!(sorter.stdout(b"EVCXR_EXECUTION_COMPLETE\n"), [stderr("warning"), COMPLETE.into()]);
    }

    #[test]
    fn displays_are_told_and_what_only_looks_like_one_is_text() {
        let mut sorter = Sorter::default();
        let line = r#"CANDLE_EXPLAIN_DISPLAY {"id": "1", "data": {"text/plain": "5%"}, "passing": true}"#;
        let [news] = &sorter.stdout(format!("{line}\n").as_bytes())[..] else { panic!("one line") };
        assert!(matches!(News::read(news), Some(News::Display(display)) if display.id == "1" && display.passing));
        assert_eq!(sorter.stdout(b"CANDLE_EXPLAIN_DISPLAY so\n"), [stdout("CANDLE_EXPLAIN_DISPLAY so\n")]);
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        let mut sorter = Sorter::default();
        let text = "đ".as_bytes();
        sorter.stdout(&text[..1]);
        assert!(sorter.quiet(SHORT).is_empty());
        sorter.stdout(&text[1..]);
        assert_eq!(sorter.quiet(SHORT), [stdout("đ")]);
    }

    #[test]
    fn what_is_not_utf8_does_not_stop_the_rest() {
        assert_eq!(Sorter::default().stdout(b"a\xffb\n"), [stdout("a\u{fffd}b\n")]);
    }

    #[test]
    fn nothing_is_lost_at_the_end() {
        let mut sorter = Sorter::default();
        sorter.stdout(b"last");
        sorter.stderr(b"words");
        assert_eq!(sorter.end(), [stdout("last"), stderr("words")]);
    }
}
