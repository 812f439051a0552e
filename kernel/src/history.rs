//! The cells that ran, for clients that ask for them.

use serde_json::{Value, json};

use crate::message::{self, Message};

#[derive(Default)]
pub struct History(Vec<Entry>);

struct Entry {
    number: usize,
    input: String,
    output: String,
}

impl History {
    pub fn add(&mut self, number: usize, input: &str, output: &str) {
        self.0.push(Entry { number, input: input.to_owned(), output: output.to_owned() });
    }

    pub fn answer(&self, request: &Message) -> Value {
        let with_output = message::flag(request, "output", false);
        let entries: Vec<Value> = self
            .asked_for(request)
            .into_iter()
            .map(|entry| match with_output {
                true => json!([1, entry.number, [entry.input, entry.output]]),
                false => json!([1, entry.number, entry.input]),
            })
            .collect();
        json!({"status": "ok", "history": entries})
    }

    fn asked_for(&self, request: &Message) -> Vec<&Entry> {
        let newest = message::number(request, "n").unwrap_or(usize::MAX);
        let mut found: Vec<&Entry> = match message::text(request, "hist_access_type") {
            "range" => {
                let start = message::number(request, "start").unwrap_or(0);
                let stop = message::number(request, "stop").unwrap_or(usize::MAX);
                return self.0.iter().filter(|entry| (start..stop).contains(&entry.number)).collect();
            }
            "search" => {
                let pattern: Vec<char> = message::text(request, "pattern").chars().collect();
                let matches = |entry: &&Entry| fits(&entry.input.chars().collect::<Vec<_>>(), &pattern);
                self.0.iter().filter(matches).collect()
            }
            _ => self.0.iter().collect(),
        };
        if message::flag(request, "unique", false) {
            let mut seen = std::collections::HashSet::new();
            found.reverse();
            found.retain(|entry| seen.insert(&entry.input));
            found.reverse();
        }
        found.split_off(found.len().saturating_sub(newest))
    }
}

/// Whether a text is as a pattern says, in which `*` stands for anything and `?` for any one character.
fn fits(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skipped| fits(&text[skipped..], rest)),
        Some((wanted, rest)) => {
            text.split_first().is_some_and(|(first, others)| (*wanted == '?' || wanted == first) && fits(others, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(asked: Value) -> Value {
        let mut history = History::default();
        for (number, input) in ["let a = 1;", "a", "a", "a + 1"].into_iter().enumerate() {
            history.add(number + 1, input, if number == 3 { "2" } else { "" });
        }
        history.answer(&message::request("history_request", asked))["history"].clone()
    }

    #[test]
    fn the_tail_is_the_newest() {
        let asked = json!({"hist_access_type": "tail", "n": 1, "output": true});
        assert_eq!(answer(asked), json!([[1, 4, ["a + 1", "2"]]]));
    }

    #[test]
    fn a_range_stops_before_its_end() {
        let asked = json!({"hist_access_type": "range", "session": 0, "start": 1, "stop": 3});
        assert_eq!(answer(asked), json!([[1, 1, "let a = 1;"], [1, 2, "a"]]));
    }

    #[test]
    fn a_search_goes_by_a_pattern_and_may_leave_out_repetitions() {
        let asked = json!({"hist_access_type": "search", "pattern": "a*", "unique": true, "n": 9});
        assert_eq!(answer(asked), json!([[1, 3, "a"], [1, 4, "a + 1"]]));
        assert_eq!(answer(json!({"hist_access_type": "search", "pattern": "?"})), json!([[1, 2, "a"], [1, 3, "a"]]));
    }
}
