//! Words in every script.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use candle_explain::model::RobertaShape;
use candle_explain::prelude::*;
use proptest::prelude::*;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation;

/// The tokenizers of all folders of the tests.
fn folders() -> &'static [(String, Tokenizer)] {
    static FOLDERS: OnceLock<Vec<(String, Tokenizer)>> = OnceLock::new();
    FOLDERS.get_or_init(|| {
        let texts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text");
        let entries = ["auto", "tokenizers"].iter().flat_map(|group| std::fs::read_dir(texts.join(group)).unwrap());
        let mut folders: Vec<PathBuf> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
        folders.iter().map(|path| (name(path), Tokenizer::from_pretrained(path).unwrap())).collect()
    })
}

fn tokenizer(name: &str) -> &'static Tokenizer {
    &folders().iter().find(|(folder, _)| folder == name).unwrap().1
}

/// The words that are no special tokens.
fn words(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    let encoded = tokenizer.encode(text).unwrap();
    let special = |word: usize| encoded.tokens.iter().any(|token| token.word == word && token.special);
    encoded.words.iter().enumerate().filter(|(word, _)| !special(*word)).map(|(_, word)| word.clone()).collect()
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Every visible character of a text stands in its words once and in order, and no word begins with a mark that
/// has a letter before it.
fn check(name: &str, tokenizer: &Tokenizer, text: &str) {
    let encoded = tokenizer.encode(text).unwrap();
    let words = words(tokenizer, text);
    if words.is_empty() {
        return;
    }
    let signs = |word: &&String| !word.chars().all(|c| matches!(c, '␣' | '⏎')) || text.contains(word.as_str());
    let shown: String = words.iter().filter(signs).map(|word| visible(word)).collect();
    assert_eq!(shown, visible(&encoded.text), "{name}: {text:?} gives {words:?}");
    let mut rest = encoded.text.as_str();
    for word in words.iter().filter(signs) {
        let place = rest.find(word.as_str()).unwrap_or_else(|| panic!("{name}: {word:?} is not in {text:?}"));
        let before = rest[..place].chars().next_back().or_else(|| {
            let consumed = encoded.text.len() - rest.len();
            encoded.text[..consumed].chars().next_back()
        });
        let lone = word.chars().next().is_some_and(is_combining_mark) && before.is_some_and(char::is_alphanumeric);
        assert!(!lone, "{name}: {word:?} begins with a mark in {text:?}");
        rest = &rest[place + word.len()..];
    }
}

#[test]
fn every_visible_character_stands_in_one_word() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/auto/texts.json");
    let texts: Vec<String> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let folders = folders();
    assert!(texts.len() >= 3000 && folders.len() >= 19);
    for (name, tokenizer) in folders {
        texts.iter().for_each(|text| check(name, tokenizer, text));
    }
}

/// The words of the shipped classifier, which parts a text into words before its tokenizer does.
fn segmented_words(text: &str) -> Vec<String> {
    static MODEL: OnceLock<TextClassifier> = OnceLock::new();
    let model = MODEL.get_or_init(|| TextClassifier::from_pretrained("data/sentiment-vi").unwrap());
    words(model.tokenizer(), &Segmenter::vietnamese().segment(text))
}

#[test]
fn a_segmented_word_ends_neither_before_a_mark_nor_inside_a_character() {
    for (text, expected) in [
        ("tốt 1️⃣ ok", vec!["tốt", "1️⃣", "ok"]),
        ("हिन्दी tốt", vec!["हिन्दी", "tốt"]),
        ("ก็ tốt", vec!["ก็", "tốt"]),
        ("می\u{200c}خواهم 🇻🇳 x\u{301}yz", vec!["می\u{200c}خواهم", "🇻🇳", "x\u{301}yz"]),
        ("👨\u{200d}👩\u{200d}👧 .\u{301}", vec!["👨\u{200d}👩\u{200d}👧", ".\u{301}"]),
    ] {
        assert_eq!(segmented_words(text), expected);
    }
    assert_eq!(Segmenter::vietnamese().segment("สินค้าดีมาก tốt"), "สินค้าดีมาก tốt");
    assert_eq!(Segmenter::vietnamese().segment("हिन्दी_में tốt"), "हिन्दी_में tốt");
    assert_eq!(segmented_words("สินค้าดีมาก tốt").concat(), "สินค้าดีมากtốt");
}

proptest! {
    #[test]
    fn segmented_words_are_whole_characters(
        text in "[a-zà-ỹ1 .\u{300}-\u{309}ก-๎ऀ-ॿא-תְ-ׇ的😍👍🏽🇻🇳\u{fe0f}\u{20e3}\u{200b}-\u{200f}\u{ad}<>'-]{0,30}|\\PC{0,20}"
    ) {
        let text: String = text.nfc().collect();
        let segmented = Segmenter::vietnamese().segment(&text);
        let mut rest = text.as_str();
        for word in segmented.split([' ', '_']) {
            let place = rest.find(word).unwrap();
            let typed = rest[..place].ends_with(|c: char| c.is_whitespace() || c == '_') || rest.len() == text.len();
            let whole = text.grapheme_indices(true).any(|(start, _)| start == text.len() - rest.len() + place);
            prop_assert!(typed || word.is_empty() || whole, "{:?} in {:?} of {:?}", word, segmented, text);
            prop_assert!(typed || !word.starts_with(is_combining_mark), "{:?} in {:?} of {:?}", word, segmented, text);
            rest = &rest[place + word.len()..];
        }
    }

    #[test]
    fn whatever_is_typed(
        text in "[a-zà-ỹ_@ #.\n\u{a0}\u{3000}\u{300}-\u{309}\u{323}ก-๎ऀ-ॿا-ٟא-תְ-ׇ的い😍\u{fe0f}\u{200b}-\u{200f}\u{ad}<>s/]{0,30}|\\PC{0,20}"
    ) {
        for (name, tokenizer) in folders().iter() {
            check(name, tokenizer, &text);
        }
    }
}

#[test]
fn marks_stay_with_their_letters() {
    let nfd: String = "sản phẩm tốt".nfd().collect();
    let texts =
        [nfd.as_str(), "हिन्दी में अच्छा", "שָׁלוֹם עֲלֵיכֶם", "السَّلَامُ عَلَيْكُمْ", "می\u{200c}خواهم رفت", "caf\u{e9} cafe\u{301}"];
    for (name, tokenizer) in folders() {
        for text in texts {
            let composed = |text: &str| text.nfc().collect::<String>();
            let shown: Vec<String> = words(tokenizer, text).iter().map(|word| composed(word)).collect();
            let expected: Vec<String> = text.split(' ').map(composed).collect();
            assert_eq!(shown, expected, "{name}");
        }
    }
}

#[test]
fn what_a_normaliser_drops_is_shown_with_its_word() {
    for name in ["bert-vocab", "wordpiece", "bert-accents"] {
        let tokenizer = tokenizer(name);
        assert_eq!(words(tokenizer, "cafe\u{301} ❤\u{fe0f} में"), ["cafe\u{301}", "❤\u{fe0f}", "में"], "{name}");
        assert_eq!(words(tokenizer, "\u{7}tốt\u{fffd} \u{fffd}"), ["\u{7}tốt\u{fffd} \u{fffd}"], "{name}");
        assert_eq!(words(tokenizer, "a \u{fffd}b"), ["a", "\u{fffd}b"], "{name}");
    }
}

#[test]
fn letters_behind_added_tokens_are_there() {
    let tokenizer = tokenizer("roberta-prefix");
    assert_eq!(words(tokenizer, "rất 😍tốt 😍 đẹp"), ["rất", "␣", "😍", "tốt", "␣", "😍", "đẹp"]);
    assert_eq!(words(tokenizer, "<mask>tốt"), ["<mask>", "tốt"]);
}

#[test]
fn white_space_is_shown_by_its_sign() {
    for name in ["byte_level_bpe", "roberta-vocab", "gpt2-vocab"] {
        let tokenizer = tokenizer(name);
        assert_eq!(words(tokenizer, "tốt "), ["tốt", "␣"], "{name}");
        assert_eq!(words(tokenizer, "tốt  đẹp"), ["tốt", "␣", "đẹp"], "{name}");
        assert_eq!(words(tokenizer, "tốt\u{3000}\u{3000}"), ["tốt", "␣␣"], "{name}");
    }
    for (name, tokenizer) in folders() {
        for text in [" tốt", "tốt \n đẹp ", "😍 \u{3000}", "\u{a0}tốt\u{a0}"] {
            for word in words(tokenizer, text) {
                assert!(!word.contains(['Ġ', '▁', 'ã', 'Ċ', 'Â']), "{name}: {word:?} in {text:?}");
            }
        }
    }
}

#[test]
fn scripts_without_spaces_are_parted_at_pieces() {
    for name in ["xlm-roberta-fast", "albert-spm"] {
        let tokenizer = tokenizer(name);
        assert_eq!(words(tokenizer, "这个产品很好，但是太贵了。"), ["这个产品很好，但是太贵了", "。"], "{name}");
        assert_eq!(words(tokenizer, "とても良い商品です。"), ["とても良い商品です", "。"], "{name}");
        // Its marks stay with their letters.
        let thai = ["สิ", "น", "ค้", "าดี", "ม", "า", "ก", "ส่", "ง", "เ", "ร็", "ว"];
        assert_eq!(words(tokenizer, "สินค้าดีมากส่งเร็ว"), thai, "{name}");
    }
    for (name, tokenizer) in folders() {
        // Letters of other scripts and digits part from them, and stay whole.
        let words = words(tokenizer, "tốt很好 đẹp");
        assert!(words.first().is_some_and(|word| word == "tốt") || words.len() == 2, "{name}: {words:?}");
        assert_eq!(words.last().unwrap(), "đẹp", "{name}");
    }
}

/// A classifier of texts in every script, whose numbers mean nothing.
fn explain(tokenizer: &Tokenizer) -> Explainer {
    let shape = RobertaShape {
        vocabulary: tokenizer.vocabulary_size(),
        hidden: 8,
        layers: 1,
        heads: 2,
        intermediate: 8,
        tokens: 300,
        labels: vec!["positive".to_string(), "negative".to_string()],
        segmented_words: false,
    };
    let model = SequenceClassifier::untrained(&shape, Seed(1)).unwrap();
    Explainer::new(&TextClassifier::from_parts(model, tokenizer.clone())).n_steps(2)
}

/// Where each word begins in a picture, with its line.
fn places(svg: &str) -> Vec<(f64, f64, String)> {
    let number = |part: &str, name: &str| -> f64 {
        part.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let place = |part: &str| {
        let letters = part.split("</text>").next().unwrap().rsplit('>').next().unwrap();
        (
            number(part, "x"),
            number(part, "y"),
            letters.replace('\u{200f}', "").replace("&lt;", "<").replace("&gt;", ">"),
        )
    };
    svg.split("<rect").filter(|part| part.contains("</title>") || part.contains("<text")).skip(1).map(place).collect()
}

#[test]
fn words_of_right_to_left_scripts_stand_in_their_order() {
    let explain = explain(tokenizer("byte_level_bpe"));
    for (text, right_to_left) in
        [("المنتج رائع جدا", true), ("שָׁלוֹם עֲלֵיכֶם חֲבֵרִים", true), ("rất tốt lắm", false), ("यह बहुत अच्छा", false)]
    {
        let words = explain.visualize(text).unwrap();
        let html = words.html();
        assert!(html.contains(if right_to_left { "<div dir=\"rtl\"" } else { "<div dir=\"ltr\"" }), "{html}");
        assert!(!html.contains("inline-block"));
        let svg = words.svg().unwrap();
        let x = |word: &str| places(&svg).into_iter().find(|(_, _, letters)| letters == word).unwrap().0;
        let seen: Vec<f64> = text.split(' ').map(x).collect();
        assert!(seen.windows(2).all(|pair| (pair[0] > pair[1]) == right_to_left), "{text}: {seen:?}");
        assert_eq!(x("<s>") > x("</s>"), right_to_left);

        let map = explain.layers(text).unwrap().layer_map().unwrap();
        for form in [map.html(), map.svg().unwrap()] {
            let seen: Vec<usize> = text.split(' ').map(|word| form.rfind(word).unwrap()).collect();
            assert!(seen.windows(2).all(|pair| (pair[0] > pair[1]) == right_to_left), "{text}: {seen:?}");
        }
    }
    let mixed = explain.visualize("he said نعم شكرا twice").unwrap().svg().unwrap();
    let mut seen = places(&mixed);
    seen.retain(|(_, _, word)| !word.starts_with(['<', '+', '-', '0']));
    let words: Vec<&str> = seen.iter().map(|(_, _, word)| word.as_str()).collect();
    assert!(words.ends_with(&["he", "said", "شكرا", "نعم", "twice"]), "{words:?}");
}

#[test]
fn numbers_and_letters_behind_a_lone_space_are_apart_from_the_word_before() {
    let explain = explain(tokenizer("byte_level_bpe"));
    for text in ["كتاب 700 800 900 نعم", "نعم كتاب ღ ჩ"] {
        let lone = tokenizer("byte_level_bpe").encode(text).unwrap();
        assert!(lone.pieces().contains(&"Ġ"), "no lone space in {text}");
        let words = explain.visualize(text).unwrap();
        let svg = words.svg().unwrap();
        let x = |word: &str| places(&svg).into_iter().find(|(_, _, letters)| letters == word).unwrap().0;
        let typed: Vec<&str> = text.split(' ').collect();
        let (html, map) = (words.html(), explain.layers(text).unwrap().layer_map().unwrap().html());
        for pair in typed.windows(2) {
            for form in [&html, &map] {
                let between = form.split(&format!(">{}<", pair[0])).nth(1).unwrap();
                let between = between.split(&format!(">{}<", pair[1])).next().unwrap();
                assert!(!between.contains("<wbr>"), "{pair:?} are joined in {form}");
            }
        }
        let seen: Vec<f64> = typed.iter().map(|word| x(word)).collect();
        if text.contains("700") {
            assert!(seen[1] > seen[2] && seen[2] > seen[3] && seen[0] > seen[1] && seen[3] > seen[4], "{seen:?}");
        }
        assert!(html.contains(&format!("{}</span> <span", typed[0])), "{html}");
    }
}

#[test]
fn a_long_word_takes_time_in_proportion() {
    for (name, tokenizer) in folders() {
        for text in [format!("a{}", "\u{301}".repeat(60_000)), "ي".repeat(120_000), "a".repeat(120_000)] {
            let begun = std::time::Instant::now();
            assert_eq!(tokenizer.encode(&text).unwrap().ids(), tokenizer.ids(&text).unwrap());
            assert!(begun.elapsed().as_secs_f64() < 4., "{name}: {:?}", begun.elapsed());
        }
    }
}

#[test]
fn white_space_is_never_ranked() {
    let explain = explain(tokenizer("byte_level_bpe"));
    let comments: Comments =
        ["rất  tốt \n tốt ", "đẹp\u{3000}\u{3000}tốt\u{a0}"].into_iter().map(Comment::from).collect();
    let all = explain.target(1).batch(&comments).unwrap();
    assert!(all.records()[0].units().iter().any(|unit| unit.text == "␣"));
    let ranked = all.strongest_words(100).unwrap();
    let mut words: Vec<&str> = ranked.words().iter().map(|word| word.word.as_str()).collect();
    words.sort_unstable();
    assert_eq!(words, ["rất", "tốt", "đẹp"]);
}

#[test]
fn a_piece_that_is_a_mark_stands_on_a_circle() {
    let tokenizer = tokenizer("xlm-roberta-fast");
    let pieces = tokenizer.encode("สินค้า").unwrap();
    assert!(pieces.tokens.iter().any(|token| token.piece.starts_with('\u{e34}')));
    let explain = explain(tokenizer).pieces(true);
    let words = explain.visualize("สินค้าดี").unwrap();
    let map = explain.layers("สินค้าดี").unwrap().layer_map().unwrap();
    for form in [words.html(), words.svg().unwrap(), map.html(), map.svg().unwrap()] {
        assert!(form.contains(">\u{25cc}\u{e34}<") && !form.contains(">\u{e34}"), "{form}");
    }
}
