//! What the relay tells the kernel, as lines among those that evcxr reads from the process of the cells.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const PREFIX: &str = "CANDLE_EXPLAIN_RELAY ";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The cell is compiled and begins to run.
    Started,
    Stdout(String),
    Stderr(String),
    Display(Display),
    /// The cell ended by a panic, which wrote this.
    Panicked(String),
    /// The cell ended by an error that it passed up with `?`, which reads so.
    Failed(String),
}

/// A place below the cell whose content may be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Display {
    pub id: String,
    pub data: Map<String, Value>,
    /// Whether it lasts only as long as the work does, and then makes room for the cell's result.
    #[serde(default)]
    pub passing: bool,
}

impl News {
    pub fn line(&self) -> String {
        format!("{PREFIX}{}", serde_json::to_string(self).unwrap_or_default())
    }

    pub fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(PREFIX)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_arrives() {
        let display =
            Display { id: "7".into(), data: Map::from_iter([("text/plain".into(), "5%".into())]), passing: true };
        for news in [
            News::Started,
            News::Stdout("50%\r".into()),
            News::Stderr("thread\n".into()),
            News::Display(display),
            News::Panicked(String::new()),
            News::Failed("đã hỏng".into()),
        ] {
            let line = news.line();
            assert!(!line.contains(['\n', '\r']));
            assert_eq!(News::read(&line), Some(news));
        }
    }

    #[test]
    fn other_lines_are_no_news() {
        assert_eq!(News::read("EVCXR_EXECUTION_COMPLETE"), None);
        assert_eq!(News::read("CANDLE_EXPLAIN_RELAY nonsense"), None);
    }
}
