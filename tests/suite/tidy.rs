//! What the source tree promises about itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_explain::attr::METHODS;

/// Which modules a module may import from. Everything may use `error`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("seed", &[]),
    ("progress", &[]),
    ("visible", &[]),
    ("script", &[]),
    ("finite", &["error"]),
    ("file", &["error"]),
    ("deep_stack", &["error"]),
    ("nn", &["error", "seed"]),
    ("model", &["error", "seed", "file", "finite", "deep_stack", "nn"]),
    ("engine", &["error", "finite", "deep_stack", "nn", "model"]),
    ("attr", &["error", "model", "engine"]),
    ("training", &["error", "seed", "finite", "model"]),
    ("tabular", &["error", "seed", "file", "finite", "progress", "deep_stack", "model", "engine", "training"]),
    (
        "text",
        &["error", "seed", "file", "finite", "progress", "visible", "script", "model", "engine", "attr", "training"],
    ),
    ("render", &["error", "file", "visible", "script", "engine", "model", "tabular", "text"]),
    ("serve", &["error", "seed", "file", "finite", "model", "engine", "attr", "tabular", "text", "render"]),
    ("tracking", &["error", "file"]),
    ("cli", &["error", "seed", "file", "model", "engine", "attr", "tabular", "render", "serve", "tracking"]),
    ("main", &["cli"]),
    ("prelude", &["error", "seed", "nn", "model", "engine", "attr", "tabular", "text", "render", "row", "heatmap"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    collect(&root().join("src"), &mut found);
    found
}

fn module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_string()
}

#[test]
fn imports_point_one_way() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    for (path, text) in sources() {
        let here = module(&path);
        if here == "lib" {
            continue;
        }
        let allowed = allowed.get(here.as_str()).unwrap_or_else(|| panic!("{here} is not in the table of imports"));
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for import in line.split("crate::").skip(1) {
                let name: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_module = name.starts_with(|c: char| c.is_lowercase());
                let fine = !is_module || name == here || allowed.contains(&name.as_str());
                assert!(fine, "{}: {here} may not import {name}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} has no line on what it is", path.display());
        assert!(text.lines().count() <= 500, "{} is longer than 500 lines", path.display());
    }
}

#[test]
fn a_method_is_found_in_the_file_of_its_name() {
    for info in METHODS {
        let file: String = info
            .name
            .chars()
            .enumerate()
            .flat_map(|(index, c)| {
                let separator = (index > 0 && c.is_uppercase()).then_some('_');
                separator.into_iter().chain(c.to_lowercase())
            })
            .collect();
        let path = root().join("src/attr").join(format!("{file}.rs"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for part in ["**Gives**", "**Costs**", "**Differs from Captum**", "**Errors**", "```"] {
            assert!(text.contains(part), "{} does not say {part}", path.display());
        }
    }
}

#[test]
fn the_readme_lists_every_method() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for info in METHODS {
        assert!(
            readme.contains(&format!("| `{}` | {} |", info.name, info.summary)),
            "README.md does not list {}",
            info.name
        );
    }
}

#[test]
fn the_library_neither_panics_nor_prints() {
    let forbidden = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "println!(", "print!(", "assert!("];
    for (path, text) in sources() {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for call in forbidden {
                assert!(!line.contains(call), "{}: {call} in {line}", path.display());
            }
        }
    }
}
