//! What the kernel is told when it starts.

use std::path::PathBuf;

const USAGE: &str = "expected: candle-explain-kernel CONNECTION_FILE [--preload CODE]... [--prepare COMMAND...]";

#[derive(Debug, PartialEq)]
pub struct Arguments {
    pub connection_file: PathBuf,
    /// Cells to be read, and not run, while nobody waits.
    pub preload: Vec<String>,
    /// Run before anything is compiled, while Jupyter already gets its answers.
    pub prepare: Vec<String>,
}

impl Arguments {
    pub fn read(given: &[String]) -> Result<Self, String> {
        let (connection_file, mut rest) = given.split_first().ok_or(USAGE)?;
        let mut found = Self { connection_file: connection_file.into(), preload: Vec::new(), prepare: Vec::new() };
        loop {
            match rest {
                [] => return Ok(found),
                [option, code, others @ ..] if option == "--preload" => {
                    found.preload.push(code.clone());
                    rest = others;
                }
                [option, command @ ..] if option == "--prepare" && !command.is_empty() => {
                    found.prepare = command.to_vec();
                    return Ok(found);
                }
                [option, ..] => return Err(format!("{USAGE}; got {option:?}")),
            }
        }
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
        assert_eq!(found.connection_file, PathBuf::from("/run/kernel.json"));
        assert!(found.preload.is_empty() && found.prepare.is_empty());
    }

    #[test]
    fn cells_to_be_read_and_a_command_may_follow() {
        let found = read(&["k.json", "--preload", "1", "--preload", "2", "--prepare", "python", "-m", "x"]).unwrap();
        assert_eq!(found.preload, ["1", "2"]);
        assert_eq!(found.prepare, ["python", "-m", "x"]);
    }

    #[test]
    fn anything_else_is_refused_with_what_was_expected() {
        for given in [&[][..], &["k.json", "--prepare"], &["k.json", "--preload"], &["k.json", "--other"]] {
            assert!(read(given).unwrap_err().starts_with("expected: "));
        }
    }
}
