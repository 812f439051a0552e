//! Where a bar is shown: in its place below a notebook's cell, in whole lines there, or in a terminal.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use super::bar::{Bar, Stage};

/// Our kernel sets it: a line that begins with [`MARK`] is shown in one place, which later lines of its id change.
const DISPLAYS: &str = "CANDLE_EXPLAIN_DISPLAYS";
const MARK: &str = "CANDLE_EXPLAIN_DISPLAY";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outlet {
    /// A place below the cell that gives way to the cell's result.
    Place,
    /// Whole lines below the cell.
    Lines,
    /// A line on standard error that is written over.
    Terminal,
}

impl Outlet {
    /// Where this process shows bars, if anywhere.
    pub(super) fn of_process() -> Option<Self> {
        static OUTLET: OnceLock<Option<Outlet>> = OnceLock::new();
        *OUTLET.get_or_init(|| {
            if std::env::var_os(DISPLAYS).is_some() {
                Some(Self::Place)
            } else if super::in_notebook() {
                Some(Self::Lines)
            } else {
                std::io::stderr().is_terminal().then_some(Self::Terminal)
            }
        })
    }

    /// How long work takes before its bar is shown.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::Place | Self::Terminal => Duration::from_millis(300),
            Self::Lines => Duration::from_millis(1000),
        }
    }

    /// The time between two updates.
    pub(super) fn interval(self) -> Duration {
        match self {
            Self::Place | Self::Terminal => Duration::from_millis(250),
            Self::Lines => Duration::from_millis(700),
        }
    }

    /// Shows a bar. What cannot be shown must not stop the work.
    pub(super) fn show(self, number: usize, bar: &Bar) {
        let _ = match self {
            Self::Place => writeln!(std::io::stdout(), "{}", marked(number, bar)),
            // There is no place to change, so the last figure need not be told.
            Self::Lines if bar.stage != Stage::Running || bar.done == 0 => Ok(()),
            Self::Lines => writeln!(std::io::stdout(), "{}", bar.line()),
            Self::Terminal if bar.stage != Stage::Running => write!(std::io::stderr(), "\r\x1b[K"),
            // Without wrapping, a narrow terminal cuts the line.
            Self::Terminal => write!(std::io::stderr(), "\r\x1b[?7l{}\x1b[K\x1b[?7h", bar.text()),
        };
    }
}

/// The line that our kernel shows in a place of its own.
fn marked(number: usize, bar: &Bar) -> String {
    let display = serde_json::json!({
        "id": format!("progress-{}-{number}", std::process::id()),
        "data": { "text/html": bar.html(), "text/plain": bar.text() },
        "passing": true,
    });
    format!("{MARK} {display}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_line_is_one_line_of_json_behind_the_mark() {
        let bar = Bar { what: "row", state: "two\nlines".to_string(), share: Some(0.5), ..Bar::default() };
        let line = marked(3, &bar);
        assert!(!line.contains('\n'), "{line}");
        let display: serde_json::Value =
            serde_json::from_str(line.strip_prefix("CANDLE_EXPLAIN_DISPLAY ").unwrap()).unwrap();
        assert_eq!(display["id"], format!("progress-{}-3", std::process::id()));
        assert_eq!(display["passing"], true);
        assert_eq!(display["data"]["text/html"], bar.html());
        assert_eq!(display["data"]["text/plain"], bar.text());
    }
}
