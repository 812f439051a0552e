//! `:dep` lines with a path.
//!
//! evcxr stores the absolute path and compares the text, so a repeated line with a relative path would ask cargo again
//! at every run. It gets the absolute path at once; columns after it are no longer the cell's, which nothing shows.

use std::path::Path;

/// The code with the paths of its dependencies as seen from nowhere in particular. A path that is not there stays as
/// it is, for evcxr's own message.
pub fn with_absolute_paths(code: &str, folder: &Path) -> String {
    code.split_inclusive('\n').map(|line| absolute(line, folder).unwrap_or_else(|| line.to_owned())).collect()
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

    #[test]
    fn a_relative_path_is_made_absolute_and_all_else_stays() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
        let src = folder.join("src");
        let code = ":dep own = { path = \"src\", features = [\"a\"] }\nlet path = \"src\";";
        let expected = format!(":dep own = {{ path = {src:?}, features = [\"a\"] }}\nlet path = \"src\";");
        assert_eq!(with_absolute_paths(code, &folder), expected);
        assert_eq!(with_absolute_paths(&expected, &folder), expected);
    }

    #[test]
    fn a_path_that_is_not_there_stays() {
        for code in [":dep own = { path = \"nowhere\" }", ":dep serde = \"1\"", ":dep path", ":dep a = { path = "] {
            assert_eq!(with_absolute_paths(code, Path::new(env!("CARGO_MANIFEST_DIR"))), code);
        }
    }
}
