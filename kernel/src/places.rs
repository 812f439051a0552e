//! The places below a cell whose content changes while it runs.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::wire::Display;

/// A message for all clients: its kind and content.
pub type Shown = (&'static str, Value);

#[derive(Default)]
pub struct Places {
    order: Vec<String>,
    passing: HashMap<String, bool>,
}

impl Places {
    pub fn show(&mut self, display: Display) -> Shown {
        let known = self.passing.insert(display.id.clone(), display.passing).is_some();
        if !known {
            self.order.push(display.id.clone());
        }
        (if known { "update_display_data" } else { "display_data" }, content(&display.id, display.data))
    }

    /// What becomes of them at the cell's end. The result, if there is one, takes the last passing place.
    pub fn end(self, result: Option<Map<String, Value>>, number: usize) -> Vec<Shown> {
        let mut passing: Vec<String> = self.order.into_iter().filter(|id| self.passing[id]).collect();
        let mut shown = Vec::new();
        if let Some(result) = result {
            shown.push(match passing.pop() {
                Some(id) => ("update_display_data", content(&id, result)),
                None => ("execute_result", json!({"execution_count": number, "data": result, "metadata": {}})),
            });
        }
        let nothing = || Map::from_iter([("text/plain".to_owned(), "".into())]);
        shown.extend(passing.iter().map(|id| ("update_display_data", content(id, nothing()))));
        shown
    }
}

fn content(id: &str, data: Map<String, Value>) -> Value {
    json!({"data": data, "metadata": {}, "transient": {"display_id": id}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Map<String, Value> {
        Map::from_iter([("text/plain".to_owned(), text.into())])
    }

    fn bar(id: &str, passing: bool) -> Display {
        Display { id: id.into(), data: plain("50%"), passing }
    }

    #[test]
    fn a_place_is_made_once_and_then_changed() {
        let mut places = Places::default();
        let (kind, content) = places.show(bar("a", true));
        assert_eq!(kind, "display_data");
        assert_eq!(content["transient"]["display_id"], "a");
        assert_eq!(places.show(bar("a", true)).0, "update_display_data");
        assert_eq!(places.show(bar("b", true)).0, "display_data");
    }

    #[test]
    fn the_result_takes_the_last_passing_place_and_the_others_are_emptied() {
        let mut places = Places::default();
        for id in ["a", "b"] {
            places.show(bar(id, true));
        }
        let shown = places.end(Some(plain("7")), 3);
        assert_eq!(shown[0], ("update_display_data", content("b", plain("7"))));
        assert_eq!(shown[1], ("update_display_data", content("a", plain(""))));
        assert_eq!(shown.len(), 2);
    }

    #[test]
    fn a_place_that_stays_is_left_alone() {
        let mut places = Places::default();
        places.show(bar("a", true));
        places.show(bar("a", false));
        let [(kind, result)] = &places.end(Some(plain("7")), 3)[..] else { panic!("only the result") };
        assert_eq!((*kind, result["execution_count"].as_u64()), ("execute_result", Some(3)));
    }

    #[test]
    fn without_a_result_passing_places_are_emptied() {
        let mut places = Places::default();
        places.show(bar("a", true));
        assert_eq!(places.end(None, 3), [("update_display_data", content("a", plain("")))]);
        assert!(Places::default().end(None, 3).is_empty());
    }
}
