//! Vietnamese words from syllables.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use crate::script::{Characters, is_mark, unseen};

/// One weight for each bucket of features.
static WEIGHTS: &[u8; 1 << BITS] = include_bytes!("../../data/segmenter_vi.bin");
const BITS: usize = 18;
/// Runs of joined gaps are distinguished up to this length.
const LONGEST_RUN: usize = 3;

/// Joins the syllables of Vietnamese words by underscores: `Sản phẩm này rất tốt` becomes
/// `Sản_phẩm này rất tốt`, as models that were trained on segmented text expect.
///
/// An averaged perceptron decides on each gap between two tokens, from the syllables around it and
/// its last decisions. It learned from underthesea's segmentation of shop comments
/// (`data/segmenter_vi.md`). Punctuation is set apart by spaces, and nothing is lost. A text with
/// an underscore between two letters counts as segmented already.
///
/// ```
/// use candle_explain::prelude::*;
///
/// assert_eq!(Segmenter::vietnamese().segment("Sản phẩm này rất tốt!"), "Sản_phẩm này rất tốt !");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Segmenter {
    weights: Arc<[i8]>,
}

impl Segmenter {
    /// The segmenter that comes with the crate.
    pub fn vietnamese() -> Self {
        Self { weights: WEIGHTS.iter().map(|&weight| weight as i8).collect() }
    }

    /// The text in NFC, with the syllables of words joined and words separated by single spaces.
    pub fn segment(&self, text: &str) -> String {
        let text: String = text.nfc().collect();
        if is_segmented(&text) {
            return text;
        }
        let tokens = tokens(&text);
        let lower: Vec<String> = tokens.iter().map(|token| token.to_lowercase()).collect();
        let mut segmented = String::with_capacity(text.len() + 8);
        let mut run = 0;
        for (index, token) in tokens.iter().enumerate() {
            if index > 0 {
                let join = self.joins(&tokens, &lower, index - 1, run);
                run = if join { run + 1 } else { 0 };
                segmented.push(if join { '_' } else { ' ' });
            }
            segmented.push_str(token);
        }
        segmented
    }

    /// Whether the token at `index` and the next one belong to one word; the last `run` gaps before
    /// them were joined.
    fn joins(&self, tokens: &[&str], lower: &[String], index: usize, run: usize) -> bool {
        let firsts = [tokens[index], tokens[index + 1]].map(|token| token.chars().next());
        if !firsts.into_iter().flatten().all(|first| first.is_alphanumeric() && !is_mark(first)) {
            return false;
        }
        let word = |position: Option<usize>| position.and_then(|at| lower.get(at)).map_or("", String::as_str);
        let (before, a) = (word(index.checked_sub(1)), word(Some(index)));
        let (b, behind) = (word(Some(index + 1)), word(Some(index + 2)));
        let shapes = [shape(tokens[index]), shape(tokens[index + 1])].concat();
        let run = ["0", "1", "2", "3"][run.min(LONGEST_RUN)];
        let features: [&[&str]; 14] = [
            &["bias"],
            &["a", a],
            &["b", b],
            &["ab", a, b],
            &["pa", before, a],
            &["bn", b, behind],
            &["p", before],
            &["n", behind],
            &["pb", before, b],
            &["an", a, behind],
            &["s", &shapes],
            &["r", run],
            &["ra", run, a],
            &["rb", run, b],
        ];
        features.iter().map(|feature| i32::from(self.weights[bucket(feature)])).sum::<i32>() > 0
    }
}

/// FNV-1a of the parts with a bar between them, folded to the table's size.
fn bucket(parts: &[&str]) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            eat(b'|');
        }
        part.bytes().for_each(&mut eat);
    }
    ((hash ^ (hash >> 32)) & ((1 << BITS) - 1)) as usize
}

fn shape(token: &str) -> &'static str {
    match token.chars().next() {
        Some(first) if first.is_uppercase() => "X",
        Some(first) if first.is_alphabetic() => "x",
        Some(first) if first.is_numeric() => "0",
        _ => ".",
    }
}

/// Whether an underscore joins two letters, except in an emoticon such as `T_T` or `o_O`.
fn is_segmented(text: &str) -> bool {
    let characters: Vec<char> = text.chars().filter(|c| !is_mark(*c) && !unseen(*c)).collect();
    let letter = |index: Option<usize>| index.and_then(|index| characters.get(index)).filter(|c| c.is_alphabetic());
    let joins = |index: usize| match (letter(index.checked_sub(1)), letter(Some(index + 1))) {
        (Some(before), Some(after)) => {
            let face = before.to_lowercase().eq(after.to_lowercase())
                && letter(index.checked_sub(2)).is_none()
                && letter(Some(index + 2)).is_none();
            !face
        }
        _ => false,
    };
    characters.iter().enumerate().any(|(index, c)| *c == '_' && joins(index))
}

/// Words, numbers, signs and marks of punctuation, in whole characters and without the white space between them.
fn tokens(text: &str) -> Vec<&str> {
    let characters = Characters::of(text);
    let mut tokens: Vec<&str> = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let mut end = start + token_length(&text[start..], first);
        if !first.is_whitespace() {
            end = characters.ceil(end);
            while let Some(next) = text[end..].chars().next().filter(|next| !next.is_whitespace())
                && text[..end].ends_with(JOINER)
            {
                end = characters.ceil(end + token_length(&text[end..], next));
            }
            tokens.push(&text[start..end]);
        }
        start = end;
    }
    tokens
}

const JOINER: char = '\u{200d}';

/// How many bytes the token at the start of a text has; `first` is its first character.
fn token_length(text: &str, first: char) -> usize {
    let while_is =
        |from: usize, is: fn(char) -> bool| from + text[from..].find(|c| !is(c)).unwrap_or(text.len() - from);
    if text.starts_with("http://") || text.starts_with("https://") {
        return while_is(0, |c| !c.is_whitespace());
    }
    if text.starts_with("<3") || text.starts_with("=>") || text.starts_with("->") {
        return 2;
    }
    if matches!(first, ':' | '=') && text[1..].starts_with(')') {
        return while_is(1, |c| c == ')');
    }
    match first {
        '.' => while_is(0, |c| c == '.'),
        '_' => while_is(0, |c| c == '_'),
        '0'..='9' => number_length(text),
        c if c.is_whitespace() => while_is(0, char::is_whitespace),
        c if is_letter(c) => {
            let letters = |from: usize| while_is(from, |c| is_letter(c) || is_mark(c) || unseen(c));
            let mut end = while_is(letters(0), |c| c.is_ascii_digit());
            while text[end..].starts_with(['-', '\'']) {
                let next = letters(end + 1);
                if next == end + 1 {
                    break;
                }
                end = next;
            }
            end
        }
        c => c.len_utf8(),
    }
}

/// The length of a number: digits with marks between them, and capitals after them if no small letter follows.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(0);
    while text[end..].starts_with(['.', ',', '/', ':', '-']) && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    let mut capitals = text[end..].bytes().take_while(u8::is_ascii_uppercase).count();
    if text[end + capitals..].starts_with(|c: char| c.is_ascii_lowercase()) {
        capitals = capitals.saturating_sub(1);
    }
    end + capitals
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && !c.is_ascii_digit()
}
