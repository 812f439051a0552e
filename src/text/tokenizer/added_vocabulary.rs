//! Added tokens, found as the Python tokenizers of `transformers` find them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::added_token::Added;
use super::phobert::is_space;

/// Tokens that are cut out of a text before the vocabulary sees the rest.
pub(super) struct AddedVocabulary {
    tokens: BTreeMap<u32, Added>,
    ids: HashMap<String, u32>,
    /// What is looked for, by its first byte, the longest first.
    sought: HashMap<u8, Vec<String>>,
}

/// A stretch of a text: one added token, or the text between two.
pub(super) struct Segment {
    pub(super) span: Range<usize>,
    /// The added token's id; `None` for text that the vocabulary handles.
    pub(super) id: Option<u32>,
}

impl AddedVocabulary {
    /// Tokens with ids, and special ones, which get an id after all others if the vocabulary
    /// has none for them.
    pub(super) fn new(numbered: BTreeMap<u32, Added>, special: &[String], vocabulary: &HashMap<String, u32>) -> Self {
        let mut ids: HashMap<String, u32> = numbered.iter().map(|(id, token)| (token.content.clone(), *id)).collect();
        let mut tokens = numbered;
        let mut next = (vocabulary.len() + ids.keys().filter(|token| !vocabulary.contains_key(*token)).count()) as u32;
        for content in special {
            if ids.contains_key(content) || content.is_empty() {
                continue;
            }
            let id = vocabulary.get(content).copied().unwrap_or(next);
            next += u32::from(id == next);
            tokens.insert(id, Added::special(content));
            ids.insert(content.clone(), id);
        }
        let mut sought: HashMap<u8, Vec<String>> = HashMap::new();
        for content in tokens.values().map(|token| &token.content).collect::<BTreeSet<_>>() {
            if let Some(first) = content.bytes().next() {
                sought.entry(first).or_default().push(content.clone());
            }
        }
        for contents in sought.values_mut() {
            contents.sort_by_key(|content| std::cmp::Reverse(content.len()));
        }
        Self { tokens, ids, sought }
    }

    /// The same tokens, none of which is found in a text.
    pub(super) fn unsought(self) -> Self {
        Self { sought: HashMap::new(), ..self }
    }

    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// The contents of all tokens.
    pub(super) fn contents(&self) -> impl Iterator<Item = &String> {
        self.ids.keys()
    }

    /// The added tokens of a text, and the text between them.
    pub(super) fn split(&self, text: &str) -> Vec<Segment> {
        if self.sought.is_empty() {
            return vec![Segment { span: 0..text.len(), id: None }];
        }
        let mut spans = self.found(text);
        for index in 0..spans.len() {
            let Some(token) = self.ids.get(&text[spans[index].clone()]).and_then(|id| self.tokens.get(id)) else {
                continue;
            };
            let left = index.checked_sub(1).map(|before| text[spans[before].clone()].to_string()).unwrap_or_default();
            let right = spans.get(index + 1).map(|span| text[span.clone()].to_string()).unwrap_or_default();
            if token.rstrip && !right.is_empty() {
                spans[index + 1].start += right.len() - right.trim_start_matches(is_space).len();
            }
            if token.lstrip && !left.is_empty() {
                spans[index - 1].end -= left.len() - left.trim_end_matches(is_space).len();
            }
            if token.single_word && !left.is_empty() && !left.ends_with(' ') {
                spans[index - 1].end = spans[index].end;
                spans[index].start = spans[index].end;
            } else if token.single_word && !right.is_empty() && !right.starts_with(' ') {
                spans[index + 1].start = spans[index].start;
                spans[index].end = spans[index].start;
            }
        }
        let segment = |span: Range<usize>| Segment { id: self.id(&text[span.clone()]), span };
        spans.into_iter().filter(|span| !span.is_empty()).map(segment).collect()
    }

    /// Each added token, the leftmost and then the longest, and the text between.
    fn found(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        let (mut rest, mut position) = (0, 0);
        while let Some(byte) = text.as_bytes().get(position) {
            let here = self.sought.get(byte).into_iter().flatten().find(|token| text[position..].starts_with(*token));
            match here {
                Some(token) => {
                    spans.push(rest..position);
                    spans.push(position..position + token.len());
                    position += token.len();
                    rest = position;
                }
                None => position += 1,
            }
        }
        spans.push(rest..text.len());
        spans.retain(|span| !span.is_empty());
        spans
    }
}
