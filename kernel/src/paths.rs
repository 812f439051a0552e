//! Texts without the paths of this machine.

use std::path::{Path, PathBuf};

/// Folders of this machine, each with what stands for it.
pub struct Paths(Vec<(PathBuf, &'static str)>);

impl Paths {
    /// `compiled` is where evcxr compiles cells, `notebook` where the notebook lies.
    pub fn new(compiled: Option<&Path>, notebook: &Path) -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let known = [(compiled, ""), (Some(notebook), ""), (home.as_deref(), "~/")];
        let usable = |folder: &&Path| folder.components().count() > 1;
        Self(known.into_iter().filter_map(|(path, mark)| Some((path.filter(usable)?.to_owned(), mark))).collect())
    }

    pub fn hidden(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (folder, mark) in &self.0 {
            let Some(folder) = folder.to_str() else { continue };
            text = text.replace(&format!("{folder}/"), mark).replace(folder, if mark.is_empty() { "." } else { "~" });
        }
        text
    }
}

/// A source file as its crate's folder names it: `candle-core-0.11.1/src/tensor.rs`.
pub fn in_crate(file: &str) -> &str {
    match file.rfind("/src/").or_else(|| file.find("/library/")) {
        Some(end) => &file[file[..end].rfind('/').map_or(0, |start| start + 1)..],
        None => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_this_machine_are_hidden() {
        let paths = Paths(vec![("/lab/cell".into(), ""), ("/home/mai/work".into(), ""), ("/home/mai".into(), "~/")]);
        assert_eq!(paths.hidden("in /lab/cell/src/lib.rs"), "in src/lib.rs");
        assert_eq!(paths.hidden("/home/mai/work/a.csv, /home/mai/.cargo, /home/mai/work"), "a.csv, ~/.cargo, .");
        assert_eq!(paths.hidden("/usr/lib"), "/usr/lib");
    }

    #[test]
    fn the_root_hides_nothing() {
        assert!(!Paths::new(Some(Path::new("/")), Path::new("/")).0.iter().any(|(folder, _)| folder == Path::new("/")));
    }

    #[test]
    fn a_file_is_named_from_its_crate_on() {
        let file = "/home/mai/.cargo/registry/src/index-1/candle-core-0.11.1/src/tensor.rs";
        assert_eq!(in_crate(file), "candle-core-0.11.1/src/tensor.rs");
        assert_eq!(in_crate("/rustc/59807/library/core/src/option.rs"), "core/src/option.rs");
        assert_eq!(in_crate("src/lib.rs"), "src/lib.rs");
    }
}
