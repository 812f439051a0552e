use candle_explain_server::{Archive, JsonLines};
use serde_json::{Value, json};

use super::client::folder;

fn run(batch: &JsonLines, lines: &[&str]) -> Vec<Value> {
    let mut output = Vec::new();
    batch.run(lines.join("\n").as_bytes(), &mut output).unwrap();
    String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_has_its_answer_in_its_place() {
    let batch = JsonLines::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/sentiment-vi")).unwrap();
    let mut lines: Vec<String> = (0..50).map(|id| format!("{{\"id\": {id}, \"text\": \"hàng rất tốt\"}}")).collect();
    lines[7] = "{\"id\": \"seven\", \"text\": 1}".to_string();
    lines[8] = "broken".to_string();
    lines[9] = String::new();
    lines[10] = format!("\"{}\"", "hàng ".repeat(60_000));
    lines[30] = "\"Hàng quá tệ\"".to_string();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answers = run(&batch, &lines);
    assert_eq!(answers.len(), 50);
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(answer["line"], json!(index + 1));
        match index {
            7 => assert_eq!((&answer["id"], answer["error"].is_string()), (&json!("seven"), true)),
            8 | 9 => assert!(answer["error"].as_str().unwrap().starts_with("the line cannot be read as JSON")),
            10 => assert!(answer["error"].as_str().unwrap().contains("expected at most 262144")),
            30 => assert_eq!(answer["label"], json!("negative")),
            _ => assert_eq!((&answer["id"], &answer["label"]), (&json!(index), &json!("positive"))),
        }
    }
    let explained = run(&batch.explain([("n_steps".to_string(), "5".to_string())]), &lines[29..31]);
    assert_eq!(explained[1]["target"]["label"], json!("negative"));
    assert_eq!(explained[1]["words"].as_array().unwrap().len(), 5);
}

#[test]
fn a_run_goes_on_where_another_ended() {
    let folder = folder("lines");
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/titanic.safetensors");
    let archive = Archive::new("titanic", "1.0", "titanic", weights).unwrap().write(folder, true).unwrap();
    let lines: Vec<String> = (0..9)
        .map(|age| format!("{{\"id\": {age}, \"age\": {age}, \"sibsp\": 0, \"parch\": 0, \"fare\": 9, \"sex\": \"male\", \"embarked\": \"S\", \"pclass\": 3}}"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let whole = run(&JsonLines::load(&archive).unwrap(), &lines);
    let rest = run(&JsonLines::load(&archive).unwrap().skip(4), &lines);
    assert_eq!(whole[4..], rest);
    let batch = JsonLines::load(&archive).unwrap().skip(10);
    let error = batch.run(lines.join("\n").as_bytes(), Vec::new()).unwrap_err().to_string();
    assert!(error.contains("10 lines were to be passed over, and 9 came"), "{error}");
    let wrong = JsonLines::load(&archive).unwrap().explain([("n_steps".to_string(), "x".to_string())]);
    assert!(wrong.run(&b"[]"[..], Vec::new()).unwrap_err().to_string().contains("n_steps is \"x\""));
}

#[test]
fn models_that_are_not_there() {
    let message = |model: &str| JsonLines::load(model).err().unwrap().to_string();
    assert!(message("none.mar").contains("cannot read the archive"));
    assert!(message(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).contains("config.json"));
}

/// An output whose reader leaves after the first bytes.
struct Left(usize);

impl std::io::Write for Left {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.0 -= 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_leaves_ends_the_work_without_an_error() {
    let batch = JsonLines::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/sentiment-vi")).unwrap();
    let lines = "\"Rất tốt\"\n".repeat(2000);
    let summary = batch.run(lines.as_bytes(), Left(3)).unwrap();
    assert!(summary.reader_left && summary.answered < 2000, "{summary:?}");
    assert!(!batch.run(&b"\"hay\"\n"[..], Left(100)).unwrap().reader_left);
}
