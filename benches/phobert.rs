//! PhoBERT's tokenizer beside the one of transformers, in one run on one machine: the same ids for
//! every comment, raw and segmented, and the time that each takes. Then word segmentation beside
//! underthesea's on the last 1,000 comments: how far both agree.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench phobert -- VOCABULARY COMMENTS.csv [CACHE.json]`,
//! where that Python has transformers and underthesea installed, VOCABULARY is a folder with PhoBERT's
//! `vocab.txt` and `bpe.codes`, and CACHE.json keeps the segmentation for the next run.

use std::collections::HashSet;
use std::process::Command;
use std::time::Instant;

use candle_explain::prelude::*;
use serde_json::Value;

const ROUNDS: usize = 5;
const SEGMENTED: usize = 1000;
const LONGEST_WORD: usize = 4;

type Failure = Box<dyn std::error::Error>;
type Way<'a> = Box<dyn Fn(&str) -> String + 'a>;

fn main() -> std::result::Result<(), Failure> {
    let python = std::env::var("CAPTUM_PYTHON")
        .map_err(|_| "set CAPTUM_PYTHON to a Python that has transformers and underthesea installed")?;
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [vocabulary, comments, cache @ ..] = arguments.as_slice() else {
        return Err("expected: VOCABULARY COMMENTS.csv [CACHE.json]".into());
    };
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("phobert.jsonl");
    let mut command = Command::new(&python);
    command.arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/phobert_tokenizer.py"));
    command.args(["--vocabulary", vocabulary, "--csv", comments, "--out"]).arg(&out);
    if let Some(cache) = cache.first() {
        command.args(["--cache", cache]);
    }
    let child = command.output()?;
    if !child.status.success() {
        return Err(format!("the other side failed: {}", String::from_utf8_lossy(&child.stderr)).into());
    }
    let theirs: Value = serde_json::from_str(String::from_utf8(child.stdout)?.lines().last().ok_or("no result")?)?;
    let lines = std::fs::read_to_string(&out)?;
    let lines = lines.lines().map(serde_json::from_str).collect::<std::result::Result<Vec<Value>, _>>()?;
    let raw = Comments::load(comments)?;
    let raw: Vec<&str> = raw.rows().iter().map(|comment| comment.text.as_str()).collect();
    let segmented = lines.iter().map(|line| line["segmented"].as_str()).collect::<Option<Vec<_>>>().ok_or("no text")?;

    println!("{} comments; transformers {}", lines.len(), theirs["transformers"].as_str().unwrap_or("?"));
    println!("{:<10} {:>10} {:>16} {:>8} {:>20}", "", "here, ms", "transformers, ms", "ratio", "comments that differ");
    for (kind, texts) in [("raw", &raw), ("segmented", &segmented)] {
        let mut times = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..ROUNDS {
            // A new one each time: what it remembers of the words is a part of its speed.
            let tokenizer = Tokenizer::from_pretrained(vocabulary)?;
            let start = Instant::now();
            ids = texts.iter().map(|text| tokenizer.ids(text)).collect::<Result<Vec<_>>>()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let differ = ids.iter().zip(&lines).filter(|(ids, line)| {
            let expected: Vec<u32> = line[format!("{kind}_ids")]
                .as_array()
                .map(|ids| ids.iter().filter_map(|id| id.as_u64().map(|id| id as u32)).collect())
                .unwrap_or_default();
            **ids != expected
        });
        let differ = differ.count();
        let (ours, theirs) = (times[ROUNDS / 2], theirs[format!("{kind}_seconds")].as_f64().ok_or("no time")? * 1e3);
        println!("{kind:<10} {ours:>10.1} {theirs:>16.0} {:>7.0}x {differ:>20}", theirs / ours);
        if differ > 0 {
            return Err(format!("{differ} comments got other ids").into());
        }
    }
    agreement(vocabulary, &raw, &segmented)
}

/// How far segmentations agree with underthesea's.
fn agreement(vocabulary: &str, raw: &[&str], segmented: &[&str]) -> std::result::Result<(), Failure> {
    let lines = std::fs::read_to_string(std::path::Path::new(vocabulary).join("vocab.txt"))?;
    let words = lines.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_lowercase()));
    let words: HashSet<String> = words.filter(|word| word.contains('_') && !word.ends_with("@@")).collect();
    let segmenter = Segmenter::vietnamese();
    let start = raw.len().saturating_sub(SEGMENTED);
    println!(
        "\n{:<34} {:>6} {:>10} {:>7} {:>15}",
        "words as underthesea has them", "F1", "precision", "recall", "equal comments"
    );
    let ways: [(&str, Way); 2] = [
        ("the crate's segmenter", Box::new(|text| segmenter.segment(text))),
        ("longest match over the vocabulary", Box::new(|text| longest_match(&segmenter.segment(text), &words))),
    ];
    for (name, way) in ways {
        let (mut both, mut ours, mut theirs, mut equal) = (0, 0, 0, 0);
        for (text, expected) in raw[start..].iter().zip(&segmented[start..]) {
            let found = way(text);
            let [a, b] = [&found, *expected].map(spans);
            both += a.intersection(&b).count();
            ours += a.len();
            theirs += b.len();
            equal += usize::from(found == *expected);
        }
        let (precision, recall) = (both as f64 / ours as f64, both as f64 / theirs as f64);
        let f1 = 2. * precision * recall / (precision + recall);
        println!("{name:<34} {f1:>6.3} {precision:>10.3} {recall:>7.3} {equal:>15}");
    }
    Ok(())
}

/// Where each word stands among the characters that are no spaces and no underscores.
fn spans(segmented: &str) -> HashSet<(usize, usize)> {
    let mut position = 0;
    let span = |word: &str| {
        let start = position;
        position += word.chars().filter(|c| *c != '_').count();
        (start, position)
    };
    segmented.split(' ').map(span).collect()
}

/// The same tokens joined into the longest words of a vocabulary, from left to right.
fn longest_match(segmented: &str, words: &HashSet<String>) -> String {
    let tokens: Vec<&str> = segmented.split([' ', '_']).filter(|token| !token.is_empty()).collect();
    let mut joined = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let longest = LONGEST_WORD.min(tokens.len() - index);
        let length =
            (2..=longest).rev().find(|length| words.contains(&tokens[index..index + length].join("_").to_lowercase()));
        let length = length.unwrap_or(1);
        joined.push(tokens[index..index + length].join("_"));
        index += length;
    }
    joined.join(" ")
}
