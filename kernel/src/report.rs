//! Compile errors with the lines of the cell that they are about.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};
use evcxr::CompilationError;

use crate::failure::Failure;
use crate::position;

/// What the compiler says of one place.
struct Mark {
    span: Range<usize>,
    label: String,
    primary: bool,
}

struct Report {
    code: Option<String>,
    message: String,
    marks: Vec<Mark>,
    helps: Vec<String>,
}

/// What is wrong with the cell of this number.
pub fn failure(errors: &[CompilationError], cell: &str, number: usize) -> Failure {
    let reports: Vec<Report> = errors.iter().map(|error| Report::of(error, cell)).collect();
    let Some(first) = reports.first() else {
        return Failure::new("CompileError", "the cell does not compile, and the compiler does not say why");
    };
    let mut failure = Failure::new(first.code.as_deref().unwrap_or("CompileError"), &first.message);
    failure.details = reports.iter().flat_map(|report| report.lines(cell, number)).collect();
    failure
}

impl Report {
    fn of(error: &CompilationError, cell: &str) -> Self {
        let marks = error
            .spanned_messages()
            .iter()
            .filter_map(|said| {
                let span = said.span?;
                let start = position::of(cell, span.start_line, span.start_column);
                let end = position::of(cell, span.end_line, span.end_column).max(start);
                // Where the compiler has nothing to say of a place, evcxr repeats the message.
                let label = if said.label == format!("error: {}", error.message()) { "" } else { &said.label };
                Some(Mark { span: start..end, label: label.to_owned(), primary: said.is_primary })
            })
            .collect();
        let mut helps = error.help();
        helps.extend(error.evcxr_extra_hint().map(str::to_owned));
        if let Some("E0384" | "E0596") = error.code() {
            helps.push("a variable of an earlier cell becomes mutable by `let mut x = x;`".to_owned());
        }
        Self { code: error.code().map(str::to_owned), message: error.message(), marks, helps }
    }

    fn lines(&self, cell: &str, number: usize) -> Vec<String> {
        let mut title = Level::ERROR.primary_title(&self.message);
        if let Some(code) = &self.code {
            title = title.id(code);
        }
        let mut group = Group::with_title(title);
        if !self.marks.is_empty() {
            let annotations = self.marks.iter().map(|mark| {
                let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
                let label = Some(mark.label.as_str()).filter(|label| !label.is_empty());
                kind.span(mark.span.clone()).label(label)
            });
            group = group.element(Snippet::source(cell).path(format!("cell {number}")).annotations(annotations));
        }
        for help in &self.helps {
            group = group.element(Element::from(Level::HELP.message(help)));
        }
        let rendered = Renderer::styled().render(&[group]);
        rendered.lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[String]) -> String {
        let mut text = String::new();
        for part in lines.join("\n").split('\x1b') {
            text.push_str(part.split_once('m').filter(|_| part.starts_with('[')).map_or(part, |(_, rest)| rest));
        }
        text
    }

    #[test]
    fn the_line_is_quoted_with_what_is_said_of_it() {
        let cell = "let đ = 1;\nlet s: String = đ;";
        let start = cell.rfind('đ').unwrap();
        let report = Report {
            code: Some("E0308".into()),
            message: "mismatched types".into(),
            marks: vec![Mark { span: start..start + 2, label: "expected `String`".into(), primary: true }],
            helps: vec!["try `đ.to_string()`".into()],
        };
        let shown = plain(&report.lines(cell, 3));
        for part in ["error[E0308]: mismatched types", "cell 3:2:17", "2 | let s: String = đ;", "^ expected `String`"]
        {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(shown.contains("help: try `đ.to_string()`"), "{shown}");
    }

    #[test]
    fn an_error_without_a_place_is_only_said() {
        let report = Report { code: None, message: "no such crate".into(), marks: Vec::new(), helps: Vec::new() };
        assert_eq!(plain(&report.lines("", 1)), "error: no such crate");
    }

    #[test]
    fn no_errors_are_a_failure_all_the_same() {
        assert_eq!(failure(&[], "1", 1).name, "CompileError");
    }
}
