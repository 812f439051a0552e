//! A result as Jupyter wants it: one value in several forms.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The forms that evcxr gathered, or `None` if there are none. JSON is sent as such, all else as text.
pub fn bundle(contents: HashMap<String, String>) -> Option<Map<String, Value>> {
    let forms: Map<String, Value> = contents
        .into_iter()
        .map(|(kind, content)| {
            let parsed = if is_json(&kind) { serde_json::from_str(&content).ok() } else { None };
            (kind, parsed.unwrap_or(Value::String(content)))
        })
        .collect();
    (!forms.is_empty()).then_some(forms)
}

fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: &str, content: &str) -> Value {
        Value::Object(bundle(HashMap::from([(kind.to_owned(), content.to_owned())])).unwrap())
    }

    #[test]
    fn nothing_is_no_result() {
        assert_eq!(bundle(HashMap::new()), None);
    }

    #[test]
    fn json_is_sent_as_json_and_text_as_text() {
        assert_eq!(made("text/html", "<b>1</b>")["text/html"], "<b>1</b>");
        assert_eq!(made("application/json", "[1]")["application/json"][0], 1);
        assert_eq!(made("application/vnd.vega.v5+json", "{\"a\": 2}")["application/vnd.vega.v5+json"]["a"], 2);
        assert_eq!(made("application/json", "no")["application/json"], "no");
    }
}
