//! Properties of characters in their scripts.

use std::borrow::Cow;

use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// Blocks of scripts that are written without spaces between words, with their punctuation.
const UNSPACED: [(char, char); 32] = [
    ('\u{0e00}', '\u{0eff}'),   // Thai, Lao
    ('\u{0f00}', '\u{0fff}'),   // Tibetan
    ('\u{1000}', '\u{109f}'),   // Myanmar
    ('\u{1780}', '\u{17ff}'),   // Khmer
    ('\u{1950}', '\u{19ff}'),   // Tai Le, New Tai Lue, Khmer symbols
    ('\u{1a20}', '\u{1aaf}'),   // Tai Tham
    ('\u{1b00}', '\u{1b7f}'),   // Balinese
    ('\u{2e80}', '\u{2fdf}'),   // radicals
    ('\u{2ff0}', '\u{303f}'),   // Chinese and Japanese punctuation
    ('\u{3040}', '\u{312f}'),   // Hiragana, Katakana, Bopomofo
    ('\u{3190}', '\u{31ff}'),   // Kanbun, Bopomofo, strokes, Katakana
    ('\u{3220}', '\u{325f}'),   // enclosed Han
    ('\u{3280}', '\u{33ff}'),   // enclosed Han and Katakana
    ('\u{3400}', '\u{4dbf}'),   // Han
    ('\u{4e00}', '\u{9fff}'),   // Han
    ('\u{a000}', '\u{a4cf}'),   // Yi
    ('\u{a980}', '\u{a9ff}'),   // Javanese, Myanmar
    ('\u{aa60}', '\u{aadf}'),   // Myanmar, Tai Viet
    ('\u{f900}', '\u{faff}'),   // Han
    ('\u{fe30}', '\u{fe4f}'),   // vertical punctuation
    ('\u{ff01}', '\u{ff0f}'),   // fullwidth punctuation
    ('\u{ff1a}', '\u{ff20}'),   // fullwidth punctuation
    ('\u{ff3b}', '\u{ff40}'),   // fullwidth punctuation
    ('\u{ff5b}', '\u{ff9f}'),   // halfwidth Katakana
    ('\u{11700}', '\u{1174f}'), // Ahom
    ('\u{16fe0}', '\u{16fff}'), // ideographic symbols
    ('\u{17000}', '\u{18d8f}'), // Tangut, Khitan
    ('\u{1aff0}', '\u{1b16f}'), // Kana
    ('\u{1b170}', '\u{1b2ff}'), // Nushu
    ('\u{1f200}', '\u{1f2ff}'), // enclosed Han
    ('\u{20000}', '\u{2fa1f}'), // Han
    ('\u{30000}', '\u{3347f}'), // Han
];

/// Whether words of the character's script follow one another without spaces, as in Thai, Chinese and Japanese.
pub(crate) fn unspaced(c: char) -> bool {
    let behind = UNSPACED.partition_point(|(first, _)| *first <= c);
    behind > 0 && c <= UNSPACED[behind - 1].1
}

/// Whether a line may end between two words without a space between them: in scripts written without spaces, but
/// neither after an opening bracket nor before a sign.
pub(crate) fn line_may_end_between(before: &str, after: &str) -> bool {
    let (Some(last), Some(first)) = (before.chars().next_back(), after.chars().next()) else { return false };
    (unspaced(last) || unspaced(first)) && first.is_alphanumeric() && !"「『（【〈《〔［｛〖〘〚(".contains(last)
}

/// Whether a character is invisible and does not separate words: joiners, direction marks, soft hyphens,
/// variation selectors.
pub(crate) fn unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The signs below U+1F000 that are coloured pictures unless a variation selector says otherwise.
const PICTURES: &str = "⌚⌛⏩⏪⏫⏬⏰⏳◽◾☔☕♈♉♊♋♌♍♎♏♐♑♒♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓❔❕❗➕➖➗➰➿⬛⬜⭐⭕";

/// Whether a character, with its modifiers, is a small coloured picture.
pub(crate) fn is_emoji(whole: &str) -> bool {
    let picture = |c: char| ('\u{1f000}'..'\u{20000}').contains(&c) || PICTURES.contains(c);
    let first = whole.chars().next().is_some_and(picture) && !whole.contains('\u{fe0e}');
    first || whole.contains(['\u{fe0f}', '\u{20e3}'])
}

/// Whether a character is written onto the one before it.
pub(crate) fn is_mark(c: char) -> bool {
    is_combining_mark(c)
}

/// Whether a line ends at a character.
pub(crate) fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// A text that can be shown by itself: a mark at its beginning, or after a tokenizer's sign there, gets a dotted circle
/// below it, as in dictionaries.
pub(crate) fn free_standing(text: &str) -> Cow<'_, str> {
    const BASE: char = '\u{25cc}';
    let bare = text.trim_start();
    let rest = bare.strip_prefix("##").unwrap_or(bare.trim_start_matches('▁'));
    match rest.chars().next() {
        Some(first) if is_mark(first) && !unseen(first) => {
            Cow::Owned(format!("{}{BASE}{rest}", &bare[..bare.len() - rest.len()]))
        }
        _ => Cow::Borrowed(text),
    }
}

/// The byte positions where characters, as readers count them, begin and end, including both ends of the text.
pub(crate) struct Characters(Vec<usize>);

impl Characters {
    pub(crate) fn of(text: &str) -> Self {
        // Unicode's rules make some marks of Myanmar and neighbouring scripts characters of their own.
        let alone = |(start, whole): &(usize, &str)| {
            let before = text[..*start].chars().next_back();
            !whole.chars().next().is_some_and(is_mark) || before.is_none_or(|c| c.is_control() || ends_line(c))
        };
        Self(text.grapheme_indices(true).filter(alone).map(|(start, _)| start).chain([text.len()]).collect())
    }

    /// The place itself or, inside a character, the beginning of that character.
    pub(crate) fn floor(&self, place: usize) -> usize {
        self.0[self.0.partition_point(|edge| *edge <= place).max(1) - 1]
    }

    /// The place itself or, inside a character, the end of that character.
    pub(crate) fn ceil(&self, place: usize) -> usize {
        let last = self.0.len() - 1;
        self.0[self.0.partition_point(|edge| *edge < place).min(last)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_in_order() {
        assert!(UNSPACED.windows(2).all(|pair| pair[0].1 < pair[1].0) && UNSPACED.iter().all(|(a, b)| a <= b));
        for c in "สກམកﾊ。，！好の한".chars() {
            assert_eq!(unspaced(c), c != '한', "{c}");
        }
        assert!(!"aéÀ0.ạक ا א😍€".chars().any(unspaced));
    }

    #[test]
    fn lines_end_between_words_but_not_before_signs() {
        for (before, after) in [("很", "好"), ("好", "100"), ("。", "た"), ("ดี", "มาก")] {
            assert!(line_may_end_between(before, after), "{before}|{after}");
        }
        for (before, after) in [("好", "。"), ("「", "好"), ("1", "0"), ("đẹp", ","), ("(", "đẹp"), ("", "好")]
        {
            assert!(!line_may_end_between(before, after), "{before}|{after}");
        }
    }

    #[test]
    fn a_mark_gets_something_to_stand_on() {
        assert_eq!(free_standing("\u{309}n"), "\u{25cc}\u{309}n");
        assert_eq!(free_standing(" \u{309}"), "\u{25cc}\u{309}");
        assert_eq!(
            (free_standing("##\u{309}n").as_ref(), free_standing("▁\u{309}").as_ref()),
            ("##\u{25cc}\u{309}n", "▁\u{25cc}\u{309}")
        );
        for whole in ["##n", "#\u{fe0f}\u{20e3}", "sa\u{309}n", "\u{fe0f}", "", " a"] {
            assert_eq!(free_standing(whole), whole);
        }
    }

    #[test]
    fn emoji_are_told_from_letters_and_signs() {
        for whole in ["😍", "❤\u{fe0f}", "1\u{fe0f}\u{20e3}", "🇻🇳", "👍🏽", "⭐", "👨\u{200d}👩\u{200d}👧"]
        {
            assert!(is_emoji(whole), "{whole}");
        }
        for whole in ["❤", "⭐\u{fe0e}", "1", "#", "字", "𠀀", "é", "", " "] {
            assert!(!is_emoji(whole), "{whole}");
        }
    }

    #[test]
    fn places_move_to_the_edges_of_characters() {
        let characters = Characters::of("a\u{309}b");
        assert_eq!([0, 1, 2, 3, 4].map(|place| characters.floor(place)), [0, 0, 0, 3, 4]);
        assert_eq!([0, 1, 2, 3, 4].map(|place| characters.ceil(place)), [0, 3, 3, 3, 4]);
        assert_eq!((Characters::of("က\u{102c}").ceil(3), Characters::of("\n\u{301}").ceil(1)), (6, 1));
        assert_eq!((Characters::of("").floor(0), Characters::of("").ceil(7)), (0, 0));
    }
}
