//! The texts that a classifier can explain, as a regular expression.

use candle_explain::text::TextClassifier;

/// The characters that are tried: Latin with Vietnamese letters, general punctuation, signs and emoji.
const LOOKED_AT: [(u32, u32); 6] =
    [(0x21, 0x250), (0x1ea0, 0x1efa), (0x2010, 0x2070), (0x20a0, 0x2400), (0x2600, 0x27c0), (0x1f300, 0x1fb00)];
/// A letter and a sign that few models know.
const STRANGE: [char; 2] = ['\u{a66e}', '\u{2318}'];
/// Not followed by a mark, which would change the letter.
const MARKS: &str = "(?![\\u0300-\\u036f])";

/// The pattern that a text must match. A text in which the model knows nothing is refused. A character may be known
/// everywhere, or only at the beginning of a word. A model that knows strange characters takes all texts.
pub(super) fn pattern(model: &TextClassifier) -> String {
    let reads = |text: String| model.tokenize(text).is_ok();
    if STRANGE.iter().all(|strange| reads(strange.to_string())) {
        return "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$".to_string();
    }
    let all = LOOKED_AT.into_iter().flat_map(|(from, to)| from..to).filter_map(char::from_u32);
    let known = all.filter(|character| reads(character.to_string()));
    let (everywhere, beginning): (Vec<char>, Vec<char>) =
        known.partition(|character| STRANGE.iter().all(|strange| reads(format!("{strange}{character}"))));
    let anywhere = (!everywhere.is_empty()).then(|| format!("[^\\u0000]*{}{MARKS}", class(&everywhere)));
    let at_beginning = (!beginning.is_empty()).then(|| format!("(?:[^\\u0000]*\\s)?{}{MARKS}", class(&beginning)));
    let found: Vec<String> = anywhere.into_iter().chain(at_beginning).collect();
    format!("^(?:{})[^\\u0000]*$", found.join("|"))
}

/// A class of characters, neighbours joined.
fn class(characters: &[char]) -> String {
    let mut ranges: Vec<(char, char)> = Vec::new();
    for &character in characters {
        match ranges.last_mut() {
            Some((_, last)) if *last as u32 + 1 == character as u32 => *last = character,
            _ => ranges.push((character, character)),
        }
    }
    let written = |character: char| {
        if character.is_ascii_punctuation() { format!("\\{character}") } else { character.to_string() }
    };
    let range = |(first, last): (char, char)| match first == last {
        true => written(first),
        false => format!("{}-{}", written(first), written(last)),
    };
    format!("[{}]", ranges.into_iter().map(range).collect::<String>())
}
