//! Answers for many records, one JSON line each, without a server.

use std::io::{BufRead, ErrorKind, Write};
use std::path::Path;

use candle_explain::{Result, bail, error};
use serde_json::{Map, Value};

use crate::answers::told::{Warned, explained, predicted};
use crate::json::{flaws, strict};
use crate::models::archive::Archive;
use crate::models::ask::Ask;
use crate::models::handler::load_folder;
use crate::models::servable::{Row, Servable};
use crate::models::watched::BeforePass;
use crate::settings::Settings;
use crate::work::queue::{Computed, Work};
use crate::work::running::each;

const LONGEST_LINE: u64 = 16 << 20;
/// How many groups of rows are read before they are sorted by size.
const WINDOW: usize = 16;

/// Answers JSON lines with JSON lines: predictions, or explanations, in the order of the input.
///
/// A line is a record in the server's format; an `id` in it is copied into the answer. A line that
/// cannot be answered gets `{"line": number, "error": "..."}`, so that every line has an answer.
///
/// ```
/// use candle_explain_server::JsonLines;
///
/// let batch = JsonLines::load("../data/sentiment-vi")?;
/// let mut answers = Vec::new();
/// let summary = batch.run(&b"{\"id\": 7, \"text\": \"rat tot\"}\n"[..], &mut answers)?;
/// assert_eq!((summary.answered, summary.bad), (1, 0));
/// assert!(String::from_utf8_lossy(&answers).starts_with("{\"line\":1,\"id\":7,\"class\":"));
/// # Ok::<(), candle_explain::Error>(())
/// ```
pub struct JsonLines {
    servable: Box<dyn Servable>,
    parameters: Option<Map<String, Value>>,
    skip: usize,
    progress: Box<dyn Fn(usize) + Send + Sync>,
}

/// How many lines were answered, failed or skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonLinesSummary {
    /// Lines with a prediction or an explanation.
    pub answered: usize,
    /// Lines with an error.
    pub bad: usize,
    /// Lines that were skipped because they were answered before.
    pub skipped: usize,
    /// Whether the reader of the answers left before the end, such as `head` at the end of a pipe.
    pub reader_left: bool,
}

/// A line that was read, and its result so far.
struct Line {
    number: usize,
    id: Option<Value>,
    row: Result<Row>,
}

impl Line {
    /// The complete answer for a line.
    fn answered(&self, answer: Result<Map<String, Value>>) -> Value {
        let mut named = Map::new();
        named.insert("line".into(), self.number.into());
        named.extend(self.id.clone().map(|id| ("id".to_string(), id)));
        match answer {
            Ok(answer) => named.extend(answer),
            Err(error) => drop(named.insert("error".into(), error.to_string().into())),
        }
        Value::Object(named)
    }
}

impl JsonLines {
    /// Loads the model of an archive or a checkpoint folder.
    pub fn load(model: impl AsRef<Path>) -> Result<Self> {
        let path = model.as_ref();
        let servable = if path.is_dir() {
            load_folder(path)?
        } else {
            let archive = Archive::read(path)?;
            archive.handler.load(&archive)?
        };
        Ok(Self { servable, parameters: None, skip: 0, progress: Box::new(|_| {}) })
    }

    /// Gives explanations instead of predictions, with the parameters that `/explanations` takes.
    pub fn explain(self, parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        let parameters = parameters.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Self { parameters: Some(parameters), ..self }
    }

    /// Skips this many lines at the beginning, which were answered before.
    pub fn skip(self, lines: usize) -> Self {
        Self { skip: lines, ..self }
    }

    /// Tells a function how many lines were worked on, now and then.
    pub fn progress(self, progress: impl Fn(usize) + Send + Sync + 'static) -> Self {
        Self { progress: Box::new(progress), ..self }
    }

    /// Answers every line of the input, or stops when nobody reads the answers any more.
    pub fn run(&self, mut input: impl BufRead, mut output: impl Write) -> Result<JsonLinesSummary> {
        let most_steps = Settings::default().max_steps;
        let ask = self.parameters.as_ref().map(|parameters| Ask::new(parameters, &*self.servable, most_steps));
        let ask = ask.transpose()?;
        let work = ask.clone().map_or(Work::Predict, |ask| Work::Explain(ask.into()));
        let window = WINDOW * self.servable.description().rows_at_once;
        let mut summary = JsonLinesSummary::default();
        let mut number = 0;
        loop {
            let mut lines = Vec::new();
            while lines.len() < window {
                let Some(text) = next_line(&mut input, number + 1)? else { break };
                number += 1;
                if number <= self.skip {
                    summary.skipped += 1;
                    continue;
                }
                lines.push(self.read(number, text));
            }
            if lines.is_empty() {
                if number < self.skip {
                    bail!(Input, "{} lines were to be passed over, and {number} came: is it the same input?", self.skip)
                }
                return Ok(summary);
            }
            let before = summary.answered + summary.bad;
            let written =
                self.answers(&lines, &work, ask.as_ref(), before).into_iter().try_for_each(|(line, answer)| {
                    match answer {
                        Ok(_) => summary.answered += 1,
                        Err(_) => summary.bad += 1,
                    }
                    writeln!(output, "{}", line.answered(answer))
                });
            match written.and_then(|()| output.flush()) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                    return Ok(JsonLinesSummary { reader_left: true, ..summary });
                }
                Err(e) => bail!(File, "the answers cannot be written: {e}"),
            }
        }
    }

    fn read(&self, number: usize, text: Result<Vec<u8>>) -> Line {
        let mut id = None;
        let row = text.and_then(|text| {
            let mut record = strict::parse(text.trim_ascii(), "the line")?;
            if let Value::Object(named) = &mut record {
                id = named.shift_remove("id");
            }
            if let Some(flaw) = id.as_ref().and_then(flaws::within).map(str::to_string) {
                id = None;
                bail!(Input, "id is {flaw}")
            }
            self.servable.read(&record)
        });
        Line { number, id, row }
    }

    /// The answer for each line; there were some before. Rows of similar size are computed together, so that little
    /// padding is needed.
    fn answers<'a>(
        &self,
        lines: &'a [Line],
        work: &Work,
        ask: Option<&Ask>,
        before: usize,
    ) -> Vec<(&'a Line, Result<Map<String, Value>>)> {
        let mut answers: Vec<_> =
            lines.iter().map(|line| line.row.as_ref().map(|_| Map::new()).map_err(Clone::clone)).collect();
        let mut read: Vec<(usize, &Row)> =
            lines.iter().enumerate().filter_map(|(index, line)| Some((index, line.row.as_ref().ok()?))).collect();
        read.sort_by_key(|(_, row)| row.size());
        let uninterrupted = BeforePass::nothing();
        let mut done = before + lines.len() - read.len();
        for together in read.chunks(self.servable.description().rows_at_once) {
            let rows: Vec<Row> = together.iter().map(|(_, row)| (*row).clone()).collect();
            let mut outcome = each(&*self.servable, work, &rows, &uninterrupted);
            for (index, row) in together {
                answers[*index] = self.answer(row, outcome.take_first(1), ask);
            }
            done += together.len();
            (self.progress)(done);
        }
        lines.iter().zip(answers).collect()
    }

    fn answer(&self, row: &Row, outcome: Computed, ask: Option<&Ask>) -> Result<Map<String, Value>> {
        let warned = Warned::from(row);
        let description = self.servable.description();
        let value = match (outcome, ask) {
            (Computed::Explanations(mut explanations), Some(_)) => {
                let explanation = explanations.pop().transpose()?;
                explanation.map(|explanation| explained(description, &explanation, &warned))
            }
            (Computed::Predictions(mut outputs), _) => {
                let output = outputs.pop().transpose()?;
                output.map(|output| predicted(description, &output, &warned))
            }
            (Computed::Explanations(_), None) => None,
        };
        match value {
            Some(Value::Object(values)) => Ok(values),
            _ => bail!(Input, "the model left the line out"),
        }
    }
}

/// The next line without its line end, or `None`; a line that is too long gets an error of its own.
fn next_line(input: &mut impl BufRead, number: usize) -> Result<Option<Result<Vec<u8>>>> {
    let broken = |e: std::io::Error| error!(File, "line {number} cannot be read: {e}");
    let mut line = Vec::new();
    let mut bounded = std::io::Read::take(&mut *input, LONGEST_LINE);
    let read = bounded.read_until(b'\n', &mut line).map_err(broken)?;
    if read == 0 {
        return Ok(None);
    }
    if read as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
        skip_line(input).map_err(broken)?;
        return Ok(Some(Err(error!(Input, "the line is longer than {LONGEST_LINE} bytes"))));
    }
    Ok(Some(Ok(line)))
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (length, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(position) => (position + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(length);
        if ended {
            return Ok(());
        }
    }
}
