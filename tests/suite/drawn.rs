//! What the documents show of the code: the picture of who imports whom, and the table of methods.
//!
//! `DRAW=1 cargo test --release -p candle-explain --test suite drawn` draws them anew.

use std::collections::{BTreeMap, BTreeSet};

use candle_explain::attr::METHODS;
use candle_explain::engine::MethodInfo;

use crate::tidy::{PACKAGES, Package, imported, root};

/// Holds what stands in a document between two marks against what is drawn of the code, or draws it there.
fn hold(document: &str, what: &str, drawn: &str) {
    let (begin, end) = (format!("<!-- {what}: drawn from the code -->\n"), format!("<!-- /{what} -->"));
    let path = root().join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{document} has no {begin}"));
    let (shown, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{document} has no {end}"));
    if std::env::var_os("DRAW").is_some() {
        std::fs::write(&path, format!("{before}{begin}{drawn}{end}{after}")).unwrap();
    } else {
        let command = "DRAW=1 cargo test --release -p candle-explain --test suite drawn";
        assert!(shown == drawn, "the {what} of {document} are not those of the code: {command}");
    }
}

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Which modules each module of a package imports from.
fn graph(package: &Package) -> Graph {
    let modules: BTreeSet<&str> = package.may_import.iter().map(|(module, _)| *module).collect();
    let mut graph: Graph = modules.iter().map(|module| (module.to_string(), BTreeSet::new())).collect();
    for (path, text) in package.files() {
        let here = package.module(&path);
        let Some(imports) = graph.get_mut(&here) else { continue };
        let others = |name: &String| *name != here && modules.contains(name.as_str());
        imports.extend(imported(&text).into_iter().filter(others));
    }
    graph
}

/// All that a module reaches by at least one step.
fn reached(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = graph[from].iter().collect();
    while let Some(module) = open.pop() {
        if reached.insert(module.clone()) {
            open.extend(&graph[module]);
        }
    }
    reached
}

/// The same without the arrows that others imply.
fn reduced(graph: &Graph) -> Graph {
    let of_module = |(module, imports): (&String, &BTreeSet<String>)| {
        let implied = |import: &&String| imports.iter().any(|other| reached(graph, other).contains(*import));
        (module.clone(), imports.iter().filter(|import| !implied(import)).cloned().collect())
    };
    graph.iter().map(of_module).collect()
}

fn drawn() -> String {
    let mut lines = vec!["```mermaid".to_string(), "flowchart TD".to_string()];
    for package in PACKAGES {
        let name = if package.folder == "." { "src" } else { package.folder };
        lines.push(format!("    subgraph {name}"));
        let graph = reduced(&graph(&package));
        let id = |module: &str| format!("{name}_{module}[{module}]");
        for (module, imports) in &graph {
            if imports.is_empty() && !graph.values().any(|imports| imports.contains(module)) {
                lines.push(format!("        {}", id(module)));
            }
            lines.extend(imports.iter().map(|import| format!("        {} --> {}", id(module), id(import))));
        }
        lines.push("    end".to_string());
    }
    lines.push("    cli --> server --> src".to_string());
    lines.push("```".to_string());
    lines.join("\n") + "\n"
}

#[test]
fn imports_go_in_no_circle() {
    for package in PACKAGES {
        let graph = graph(&package);
        for module in graph.keys() {
            assert!(!reached(&graph, module).contains(module), "{}: {module} imports itself by others", package.folder);
        }
    }
}

#[test]
fn the_picture_of_imports_is_that_of_the_code() {
    hold("ARCHITECTURE.md", "imports", &drawn());
}

#[test]
fn the_table_of_methods_is_that_of_the_registry() {
    let row = |info: &MethodInfo| format!("| `{}` | {} |\n", info.name, info.summary);
    let rows: String = METHODS.iter().map(row).collect();
    hold("README.md", "methods", &format!("| Method | What its numbers mean |\n|---|---|\n{rows}"));
}
