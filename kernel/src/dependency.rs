//! `:dep` lines, each in the one form in which evcxr stores it.
//!
//! evcxr stores the absolute path and compares the text, so a repeated line with a relative path would ask cargo again
//! at every run. It gets the absolute path at once; columns after it are no longer the cell's, which nothing shows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The variable that holds other spellings of lines, as a JSON object from each to the line that it means.
const SPELLINGS: &str = "CANDLE_EXPLAIN_SPELLINGS";

pub struct Dependencies {
    /// Where the notebook lies.
    folder: PathBuf,
    spellings: HashMap<String, String>,
}

impl Dependencies {
    pub fn new(folder: PathBuf) -> Result<Self, String> {
        let spellings = match std::env::var(SPELLINGS) {
            Ok(json) => {
                serde_json::from_str(&json).map_err(|error| format!("{SPELLINGS} is not as expected: {error}"))?
            }
            Err(_) => HashMap::new(),
        };
        Ok(Self { folder, spellings })
    }

    /// The code with the paths of its dependencies as seen from nowhere in particular. A path that is not there stays
    /// as it is, for evcxr's own message.
    pub fn spelled_out(&self, code: &str) -> String {
        code.split_inclusive('\n').map(|line| self.line(line).unwrap_or_else(|| line.to_owned())).collect()
    }

    fn line(&self, line: &str) -> Option<String> {
        let code = line.trim_end();
        match self.spellings.get(code) {
            Some(meant) => Some(format!("{meant}{}", &line[code.len()..])),
            None => absolute(line, &self.folder),
        }
    }
}

fn absolute(line: &str, folder: &Path) -> Option<String> {
    if !line.trim_start().starts_with(":dep ") {
        return None;
    }
    let value = line.find("path")? + "path".len();
    let quote = value + line[value..].find(|c: char| !c.is_whitespace() && c != '=')?;
    let path = line[quote..].strip_prefix('"')?.split('"').next()?;
    if Path::new(path).is_absolute() {
        return None;
    }
    let whole = folder.join(path).canonicalize().ok()?;
    let quoted = serde_json::to_string(whole.to_str()?).ok()?;
    Some(format!("{}{quoted}{}", &line[..quote], &line[quote + path.len() + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependencies(folder: &Path) -> Dependencies {
        let spellings = [(":dep own = \"1\"".to_owned(), ":dep own = { path = \"/own\" }".to_owned())].into();
        Dependencies { folder: folder.to_owned(), spellings }
    }

    #[test]
    fn another_spelling_gives_way_to_the_line_that_it_means() {
        let code = ":dep own = \"1\" \n:dep own = \"2\"\nlet a = 1;";
        let expected = ":dep own = { path = \"/own\" } \n:dep own = \"2\"\nlet a = 1;";
        assert_eq!(dependencies(Path::new("/")).spelled_out(code), expected);
    }

    #[test]
    fn a_relative_path_is_made_absolute_and_all_else_stays() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
        let src = folder.join("src");
        let code = ":dep own = { path = \"src\", features = [\"a\"] }\nlet path = \"src\";";
        let expected = format!(":dep own = {{ path = {src:?}, features = [\"a\"] }}\nlet path = \"src\";");
        assert_eq!(dependencies(&folder).spelled_out(code), expected);
        assert_eq!(dependencies(&folder).spelled_out(&expected), expected);
    }

    #[test]
    fn a_path_that_is_not_there_stays() {
        for code in [":dep own = { path = \"nowhere\" }", ":dep serde = \"1\"", ":dep path", ":dep a = { path = "] {
            assert_eq!(dependencies(Path::new(env!("CARGO_MANIFEST_DIR"))).spelled_out(code), code);
        }
    }
}
