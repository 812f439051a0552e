//! What the kernel is told when it starts.

use std::path::PathBuf;

const USAGE: &str = "expected: candle-explain-kernel CONNECTION_FILE [--prepare COMMAND...]";

#[derive(Debug, PartialEq)]
pub struct Arguments {
    pub connection_file: PathBuf,
    /// Run before anything is compiled, while Jupyter already gets its answers. Its output is a JSON list of cells to
    /// be read, and not run, while nobody waits.
    pub prepare: Vec<String>,
}

impl Arguments {
    pub fn read(given: &[String]) -> Result<Self, String> {
        let (connection_file, rest) = given.split_first().ok_or(USAGE)?;
        let prepare = match rest {
            [] => Vec::new(),
            [option, command @ ..] if option == "--prepare" && !command.is_empty() => command.to_vec(),
            [option, ..] => return Err(format!("{USAGE}; got {option:?}")),
        };
        Ok(Self { connection_file: connection_file.into(), prepare })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[&str]) -> Result<Arguments, String> {
        Arguments::read(&given.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_connection_file_is_enough() {
        let found = read(&["/run/kernel.json"]).unwrap();
        assert_eq!(found, Arguments { connection_file: "/run/kernel.json".into(), prepare: Vec::new() });
    }

    #[test]
    fn a_command_may_follow() {
        assert_eq!(read(&["k.json", "--prepare", "python", "-m", "x"]).unwrap().prepare, ["python", "-m", "x"]);
    }

    #[test]
    fn anything_else_is_refused_with_what_was_expected() {
        for given in [&[][..], &["k.json", "--prepare"], &["k.json", "--other"]] {
            assert!(read(given).unwrap_err().starts_with("expected: "));
        }
    }
}
