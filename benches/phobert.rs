//! PhoBERT's tokenizer beside the one of transformers, in one run on one machine: the same ids for
//! every comment, raw and segmented, and the time that each takes.
//!
//! `CAPTUM_PYTHON=/path/to/python cargo bench --bench phobert -- VOCABULARY COMMENTS.csv [CACHE.json]`,
//! where that Python has transformers and underthesea installed, VOCABULARY is a folder with PhoBERT's
//! `vocab.txt` and `bpe.codes`, and CACHE.json keeps the segmentation for the next run.

use std::process::Command;
use std::time::Instant;

use candle_explain::prelude::*;
use serde_json::Value;

const ROUNDS: usize = 5;

type Failure = Box<dyn std::error::Error>;

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
    for (kind, texts) in [("raw", raw), ("segmented", segmented)] {
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
    Ok(())
}
