//! The order of words in lines that run from right to left.

use std::borrow::Cow;
use std::ops::Range;

use unicode_bidi::{BidiClass, BidiInfo, Level, bidi_class};

use crate::visible::visible;

/// The character that represents something without a direction in the bidirectional algorithm.
const OBJECT: char = '\u{fffc}';
/// Invisible letters of the right-to-left scripts and of the others.
const RIGHT_TO_LEFT_MARK: char = '\u{200f}';
const LEFT_TO_RIGHT_MARK: char = '\u{200e}';

/// Words in the order of reading, with the places that the Unicode bidirectional algorithm gives them.
pub(super) struct Order {
    base: Level,
    words: Vec<Level>,
    /// The level of the space before each word that has one.
    spaces: Vec<Option<Level>>,
}

/// A word of a text.
pub(super) struct Part<'a> {
    /// `None` for a part that takes the direction of the others, such as a special token.
    pub(super) letters: Option<&'a str>,
    /// Whether no white space separates it from the one before.
    pub(super) joined: bool,
}

impl Order {
    /// The order of the words of a text. The first letter with a direction decides that of the whole.
    pub(super) fn of<'a>(words: impl IntoIterator<Item = Part<'a>>) -> Self {
        let mut text = String::new();
        let mut spans: Vec<(Option<usize>, Range<usize>)> = Vec::new();
        for word in words {
            let space = (!word.joined && !text.is_empty()).then_some(text.len());
            text.extend(space.map(|_| ' '));
            let start = text.len();
            match word.letters {
                Some(letters) => text.extend(visible(letters).chars().map(|c| if ends_paragraph(c) { ' ' } else { c })),
                None => text.push(OBJECT),
            }
            spans.push((space, start..text.len()));
        }
        let info = BidiInfo::new(&text, None);
        let base = info.paragraphs.first().map_or(Level::ltr(), |paragraph| paragraph.level);
        let level = |(_, span): &(Option<usize>, Range<usize>)| {
            let strong = text[span.clone()].char_indices().find(|(_, c)| is_strong(*c));
            let lowest = || info.levels[span.clone()].iter().min().copied();
            strong.map(|(place, _)| info.levels[span.start + place]).or_else(lowest).unwrap_or(base)
        };
        let words = spans.iter().map(level).collect();
        let spaces = spans.iter().map(|(space, _)| space.map(|place| info.levels[place])).collect();
        Self { base, words, spaces }
    }

    /// Whether the first word is at the right.
    pub(super) fn is_right_to_left(&self) -> bool {
        self.base.is_rtl()
    }

    /// The words of one line, from left to right.
    pub(super) fn line(&self, line: Range<usize>) -> Vec<usize> {
        self.spaced_line(line).into_iter().map(|(word, _)| word).collect()
    }

    /// The same, each with whether there is a space on its left.
    pub(super) fn spaced_line(&self, line: Range<usize>) -> Vec<(usize, bool)> {
        let mut levels = Vec::new();
        let mut words = Vec::new();
        for index in line.clone() {
            if let Some(space) = self.spaces[index].filter(|_| index > line.start) {
                levels.push(space);
                words.push(None);
            }
            levels.push(self.words[index]);
            words.push(Some(index));
        }
        let mut seen: Vec<(usize, bool)> = Vec::with_capacity(line.len());
        let mut spaced = false;
        for word in BidiInfo::reorder_visual(&levels).into_iter().map(|place| words[place]) {
            match word {
                Some(word) => seen.push((word, spaced && !seen.is_empty())),
                None => spaced = true,
            }
            spaced &= word.is_none();
        }
        seen
    }

    /// A word prepared for drawing alone, where the direction is from left to right: signs at the
    /// ends of a right-to-left word stay on their sides.
    pub(super) fn alone<'a>(&self, index: usize, word: &'a str) -> Cow<'a, str> {
        let ends = [word.chars().next(), word.chars().next_back()];
        let turns = |c: &Option<char>| c.is_some_and(|c| matches!(bidi_class(c), BidiClass::R | BidiClass::AL));
        if self.words[index].is_rtl() && !ends.iter().all(turns) {
            Cow::Owned(format!("{RIGHT_TO_LEFT_MARK}{word}{RIGHT_TO_LEFT_MARK}"))
        } else {
            Cow::Borrowed(word)
        }
    }
}

/// Whether a text is read from right to left: its first letter with a direction decides.
pub(super) fn is_right_to_left(text: &str) -> bool {
    text.chars().find(|c| is_strong(*c)).is_some_and(|c| bidi_class(c) != BidiClass::L)
}

/// The `dir` attribute of an element that holds a text, if the text is read from right to left.
pub(super) fn direction(text: &str) -> &'static str {
    if is_right_to_left(text) { " dir=\"rtl\"" } else { "" }
}

/// A number after a name: its sign stays on its left even if the name runs from right to left.
pub(super) fn named(name: &str, number: &str) -> String {
    if name.chars().any(|c| is_strong(c) && bidi_class(c) != BidiClass::L) {
        format!("{name}: {LEFT_TO_RIGHT_MARK}{number}")
    } else {
        format!("{name}: {number}")
    }
}

fn is_strong(c: char) -> bool {
    matches!(bidi_class(c), BidiClass::L | BidiClass::R | BidiClass::AL)
}

fn ends_paragraph(c: char) -> bool {
    bidi_class(c) == BidiClass::B
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words behind spaces; those with a plus before them behind none.
    fn parts<'a>(words: &[&'a str]) -> Vec<Part<'a>> {
        let part = |word: &&'a str| {
            let letters = word.trim_start_matches('+');
            Part { letters: (!word.starts_with('<')).then_some(letters), joined: letters != *word }
        };
        words.iter().map(part).collect()
    }

    fn seen(words: &[&str]) -> Vec<String> {
        let order = Order::of(parts(words));
        order.line(0..words.len()).into_iter().map(|index| words[index].to_string()).collect()
    }

    #[test]
    fn the_first_word_of_arabic_and_hebrew_stands_at_the_right() {
        assert_eq!(seen(&["<s>", "المنتج", "رائع", ".", "</s>"]), ["</s>", ".", "رائع", "المنتج", "<s>"]);
        assert_eq!(seen(&["שָׁלוֹם", "עוֹלָם"]), ["עוֹלָם", "שָׁלוֹם"]);
        assert_eq!(seen(&["rất", "tốt", "."]), ["rất", "tốt", "."]);
    }

    #[test]
    fn each_script_keeps_its_direction_within_the_other() {
        assert_eq!(seen(&["قال", "I", "love", "it", "ثم"]), ["ثم", "I", "love", "it", "قال"]);
        assert_eq!(seen(&["he", "said", "نعم", "شكرا", "twice"]), ["he", "said", "شكرا", "نعم", "twice"]);
        assert_eq!(seen(&["سعر", "100", "200", "دينار"]), ["دينار", "200", "100", "سعر"]);
        assert_eq!(seen(&["سعر", "1", "+0", "+0", "2"]), ["2", "1", "+0", "+0", "سعر"]);
        assert_eq!(seen(&["ب1", "ج2"]), ["ج2", "ب1"]);
    }

    #[test]
    fn spaces_stand_between_the_words_that_they_part() {
        let spaces = |words: &[&str]| Order::of(parts(words)).spaced_line(0..words.len());
        assert_eq!(spaces(&["سلبي", "(0.97)"]), [(1, false), (0, true)]);
        assert_eq!(spaces(&["a", "+ب", "ج", "d"]), [(0, false), (2, false), (1, true), (3, true)]);
        assert_eq!(spaces(&["سعر", "1", "+0", "2"]), [(3, false), (1, true), (2, false), (0, true)]);
    }

    #[test]
    fn lines_are_ordered_each_by_itself() {
        let order = Order::of(parts(&["ا", "ب", "ج", "د"]));
        assert!(order.is_right_to_left());
        assert_eq!((order.line(0..2), order.line(2..4), order.line(4..4)), (vec![1, 0], vec![3, 2], vec![]));
    }

    #[test]
    fn signs_stay_on_their_side_of_a_word() {
        let order = Order::of(parts(&["نعم.", "tốt."]));
        assert_eq!(order.alone(0, "نعم."), "\u{200f}نعم.\u{200f}");
        assert_eq!(order.alone(1, "tốt."), "tốt.");
        assert_eq!((named("tốt", "-0.1"), named("نعم", "-0.1")), ("tốt: -0.1".into(), "نعم: \u{200e}-0.1".into()));
    }

    #[test]
    fn no_word_is_lost_whatever_it_holds() {
        for words in [vec![], vec![""], vec!["", "ا\nb\u{2029}", "\u{202e}x"]] {
            let order = Order::of(parts(&words));
            let mut line = order.line(0..words.len());
            line.sort_unstable();
            assert_eq!(line, (0..words.len()).collect::<Vec<_>>());
        }
    }
}
