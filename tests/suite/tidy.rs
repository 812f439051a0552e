//! What the source tree promises about itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_explain::attr::METHODS;

/// A package of the workspace: its folder, and which of its modules a module may import from. Between packages cargo
/// holds the direction: the command line uses the server, both the library.
pub struct Package {
    pub folder: &'static str,
    pub may_import: &'static [(&'static str, &'static [&'static str])],
}

const LIBRARY: Package = Package {
    folder: ".",
    // Everything may use `error`.
    may_import: &[
        ("error", &[]),
        ("seed", &[]),
        ("interrupt", &["error"]),
        ("progress", &["error", "interrupt"]),
        ("visible", &[]),
        ("script", &[]),
        ("finite", &["error"]),
        ("file", &["error"]),
        ("deep_stack", &["error"]),
        ("device", &["error"]),
        ("cores", &[]),
        ("nn", &["error", "seed", "cores", "device"]),
        ("model", &["error", "seed", "progress", "file", "finite", "deep_stack", "device", "nn"]),
        (
            "engine",
            &["error", "seed", "interrupt", "progress", "finite", "deep_stack", "device", "cores", "nn", "model"],
        ),
        ("attr", &["error", "seed", "model", "engine"]),
        ("robust", &["error", "seed", "progress", "finite", "model", "engine"]),
        ("training", &["error", "seed", "finite", "device", "nn", "model"]),
        ("tabular", &["error", "seed", "file", "finite", "progress", "deep_stack", "model", "engine", "training"]),
        (
            "text",
            &[
                "error", "seed", "file", "finite", "progress", "visible", "script", "device", "cores", "nn", "model",
                "engine", "attr", "training",
            ],
        ),
        (
            "render",
            &[
                "error", "file", "visible", "script", "seed", "progress", "nn", "engine", "model", "attr", "robust",
                "tabular", "text",
            ],
        ),
        (
            "prelude",
            &[
                "error", "seed", "nn", "model", "engine", "attr", "robust", "tabular", "text", "render", "row",
                "heatmap",
            ],
        ),
    ],
};

const SERVER: Package = Package {
    folder: "server",
    may_import: &[
        ("body", &[]),
        ("metrics", &[]),
        ("json", &[]),
        ("files", &[]),
        ("failure", &["body"]),
        ("settings", &["files"]),
        ("models", &["json"]),
        ("work", &["failure", "metrics", "settings", "models"]),
        ("request", &["failure", "settings", "json", "models"]),
        ("answers", &["body", "failure", "models", "work"]),
        ("routes", &["body", "failure", "metrics", "settings", "json", "models", "work", "request", "answers"]),
        ("ports", &["body", "failure", "metrics", "settings", "models", "work", "request", "routes"]),
        ("json_lines", &["settings", "json", "models", "work", "answers"]),
        ("fuzzing", &["settings", "json", "models", "request", "routes"]),
    ],
};

const COMMAND_LINE: Package = Package {
    folder: "cli",
    may_import: &[
        ("console", &[]),
        ("tracking", &[]),
        ("archive", &["console"]),
        ("batch", &["console"]),
        ("serve", &["console"]),
        ("titanic", &["console", "tracking"]),
        ("main", &[]),
    ],
};

pub const PACKAGES: [Package; 3] = [LIBRARY, SERVER, COMMAND_LINE];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Package {
    fn source(&self) -> PathBuf {
        root().join(self.folder).join("src")
    }

    pub fn files(&self) -> Vec<(PathBuf, String)> {
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
        collect(&self.source(), &mut found);
        found
    }

    pub fn module(&self, path: &Path) -> String {
        let inside = path.strip_prefix(self.source()).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        first.trim_end_matches(".rs").to_string()
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    PACKAGES.iter().flat_map(Package::files).collect()
}

pub fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// What a source file takes from its own crate: `crate::name`, or each of `crate::{a, b}`, on however many lines.
pub fn imported(text: &str) -> Vec<String> {
    let name = |item: &str| item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let listed = |rest: &str| -> Vec<String> {
        let Some(list) = rest.strip_prefix('{') else { return vec![name(rest)] };
        let (mut items, mut depth) = (vec![String::new()], 1);
        for letter in list.chars() {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            match letter {
                _ if depth == 0 => break,
                ',' if depth == 1 => items.push(String::new()),
                letter => items.last_mut().unwrap().push(letter),
            }
        }
        items.iter().map(|item| name(item)).filter(|name| !name.is_empty()).collect()
    };
    let lines: Vec<&str> = code(text).collect();
    lines.join(" ").split("crate::").skip(1).flat_map(listed).collect()
}

#[test]
fn imports_are_found_on_several_lines() {
    let text =
        "use crate::one::A;\n// crate::not\nuse crate::{\n    two::{B, C},\n    three,\n};\nlet x = crate::four();";
    assert_eq!(imported(text), ["one", "two", "three", "four"]);
}

#[test]
fn imports_point_one_way() {
    for package in PACKAGES {
        let allowed: BTreeMap<_, _> = package.may_import.iter().copied().collect();
        for (path, text) in package.files() {
            let here = package.module(&path);
            if here == "lib" {
                continue;
            }
            let allowed = allowed.get(here.as_str()).unwrap_or_else(|| panic!("{here} is not in the table of imports"));
            for name in imported(&text) {
                let is_module = name.starts_with(|c: char| c.is_lowercase());
                let fine = !is_module || name == here || allowed.contains(&name.as_str());
                assert!(fine, "{}: {here} may not import {name}", path.display());
            }
        }
    }
}

#[test]
fn a_module_imports_what_stands_above_it_in_the_table() {
    const MACROS: [&str; 2] = ["row", "heatmap"];
    for package in PACKAGES {
        for (index, (module, imports)) in package.may_import.iter().enumerate() {
            for import in imports.iter().filter(|import| !MACROS.contains(import)) {
                let above = package.may_import[..index].iter().any(|(other, _)| other == import);
                assert!(above, "{}: {import} does not stand above {module}, which imports it", package.folder);
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
        // Capitals in a row are one word.
        let name: Vec<char> = info.name.chars().collect();
        let file: String = (0..name.len())
            .flat_map(|index| {
                let small = |index: usize| name.get(index).is_some_and(|c| c.is_lowercase());
                let begins = index > 0 && name[index].is_uppercase() && (small(index - 1) || small(index + 1));
                begins.then_some('_').into_iter().chain(name[index].to_lowercase())
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
fn figures_have_their_colours_from_the_theme() {
    let hexadecimal = |text: &str| text.len() > 6 && text.bytes().take(6).all(|digit| digit.is_ascii_hexdigit());
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    for (path, text) in LIBRARY.files() {
        if LIBRARY.module(&path) != "render" || path.ends_with("theme.rs") {
            continue;
        }
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let written = text.split('#').skip(1).any(hexadecimal) || text.split("Colour(").skip(1).any(number);
        let named = ["RGBColor(1", "RGBColor(2", "WHITE", "BLACK"].iter().find(|name| text.contains(**name));
        assert!(!written && named.is_none(), "{} has a colour of its own", path.display());
    }
}

#[test]
fn the_library_neither_panics_nor_prints() {
    let forbidden = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "println!(", "print!(", "assert!("];
    for (path, text) in sources() {
        for line in code(text.split("#[cfg(test)]").next().unwrap()) {
            for call in forbidden {
                assert!(!line.contains(call), "{}: {call} in {line}", path.display());
            }
        }
    }
}

/// Whether an operation has a form of its own for the CPU is decided in one place, and what is not on every device is only
/// used there.
#[test]
fn operations_for_the_cpu_alone_are_used_there_alone() {
    for (path, text) in LIBRARY.files() {
        let text: String = code(text.split("#[cfg(test)]").next().unwrap()).collect::<Vec<_>>().join("\n");
        assert!(!text.contains(".is_cpu()") || path.ends_with("src/device.rs"), "{} asks for the CPU", path.display());
        let operation = text.contains("fn cpu_fwd(");
        let folder = std::fs::read_to_string(path.with_file_name("mod.rs")).unwrap_or_default();
        let asks = [&text, &folder].iter().any(|text| text.contains("is_fusible(") || text.contains("device::is_cpu("));
        let fits = asks || text.contains("fn cuda_fwd(") && text.contains("fn metal_fwd(");
        assert!(!operation || fits, "{} has an operation for the CPU and does not ask for it", path.display());
    }
}

/// Metal has no f64, so numbers become f64 on the host. Models are loaded and trained there.
#[test]
fn numbers_become_f64_on_the_host() {
    const ON_THE_HOST: [&str; 4] = ["src/training", "src/tabular", "src/text/training", "transformer/checkpoint.rs"];
    for (path, text) in LIBRARY.files() {
        let shown = path.display().to_string();
        if ON_THE_HOST.iter().any(|place| shown.contains(place)) {
            continue;
        }
        for line in code(text.split("#[cfg(test)]").next().unwrap()) {
            let fine = !line.contains("to_dtype(DType::F64)") || line.contains("&Device::Cpu");
            assert!(fine, "{shown}: {line}");
        }
    }
}

/// What a generator writes is the same on every machine.
#[test]
fn data_keep_no_path_of_the_machine_that_made_them() {
    fn look(folder: &Path, machine: &[String]) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "__pycache__" {
                    look(&path, machine);
                }
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for prefix in machine {
                let found = bytes.windows(prefix.len()).any(|window| window == prefix.as_bytes());
                assert!(!found, "{} holds {prefix}", path.display());
            }
        }
    }
    let machine = ["tmp", "root", "home", "Users"].map(|folder| format!("/{folder}/"));
    for folder in ["data", "tests", "media"] {
        look(&root().join(folder), &machine);
    }
}

/// A picture or page that nothing points to is left over.
#[test]
fn every_picture_and_page_is_shown_or_linked_somewhere() {
    let files = |folder: &str| -> Vec<PathBuf> {
        std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let pages = ["README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "server/README.md"].map(|page| root().join(page));
    let notebooks = files("notebooks").into_iter().filter(|path| path.is_file());
    let pages: Vec<(PathBuf, String)> =
        pages.into_iter().chain(files("docs")).chain(notebooks).map(|path| (path.clone(), read(&path))).collect();
    for file in ["media", "docs", "notebooks/media"].into_iter().flat_map(files) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let pointed_to = pages.iter().any(|(page, text)| *page != file && text.contains(name));
        assert!(pointed_to, "nothing shows or links {}", file.display());
    }
}
