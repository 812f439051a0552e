//! `candle-explain batch`: JSON lines in, JSON lines out.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use candle_explain::file::cannot_write;
use candle_explain::{Result, bail, error};
use candle_explain_server::{JsonLines, JsonLinesSummary};

use crate::console::{Progress, say};

/// Reads JSON lines from standard input and answers each with a JSON line: a prediction or an explanation
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// An archive, or the folder of a text classifier's checkpoint
    #[arg(long)]
    model: PathBuf,
    /// Gives explanations instead of predictions
    #[arg(long)]
    explain: bool,
    /// A parameter of the explanations, as the server takes it: method=KernelShap, n_samples=200, default_rule=gamma:0.25,
    /// 'rules={"linear1": "zplus"}', ...
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = name_and_value, requires = "explain")]
    parameters: Vec<(String, String)>,
    /// The file for the answers, instead of standard output
    #[arg(long)]
    output: Option<PathBuf>,
    /// Continues after the answers that the output file already holds
    #[arg(long, requires = "output")]
    resume: bool,
}

fn name_and_value(text: &str) -> std::result::Result<(String, String), String> {
    let parts = text.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()));
    parts.ok_or_else(|| "expected NAME=VALUE".to_string())
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut batch = JsonLines::load(&arguments.model)?;
    if arguments.explain {
        batch = batch.explain(arguments.parameters.iter().cloned());
    }
    // Answers in the same terminal show themselves how far it is.
    if arguments.output.is_some() || !std::io::stdout().is_terminal() {
        let progress = Progress::new();
        batch = batch.progress(move |lines| progress.show(format_args!("{lines} lines")));
    }
    let summary = answer(batch, arguments)?;
    if summary.reader_left {
        return Ok(());
    }
    let skipped = if summary.skipped > 0 { format!(", {} answered before", summary.skipped) } else { String::new() };
    say(format!("{} lines answered, {} could not be{skipped}", summary.answered, summary.bad));
    Ok(())
}

fn answer(batch: JsonLines, arguments: &Arguments) -> Result<JsonLinesSummary> {
    let input = std::io::stdin().lock();
    match &arguments.output {
        None => batch.run(input, BufWriter::new(std::io::stdout().lock())),
        Some(path) => {
            let (file, answered) = open(path, arguments.resume)?;
            batch.skip(answered).run(input, BufWriter::new(file))
        }
    }
}

/// The output file, and how many answers it already holds. An incomplete answer is removed.
fn open(path: &Path, resume: bool) -> Result<(File, usize)> {
    if !resume {
        if path.exists() {
            bail!(File, "{} is there already: go on behind its answers with --resume, or remove it", path.display())
        }
        return Ok((File::create(path).map_err(|e| cannot_write(path, e))?, 0));
    }
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = opened.map_err(|e| cannot_write(path, e))?;
    let (answered, whole) = whole_lines(&file).map_err(|e| error!(File, "cannot read {}: {e}", path.display()))?;
    file.set_len(whole).map_err(|e| cannot_write(path, e))?;
    file.seek(SeekFrom::End(0)).map_err(|e| cannot_write(path, e))?;
    file.flush().map_err(|e| cannot_write(path, e))?;
    Ok((file, answered))
}

/// How many whole lines a file holds, and their bytes.
fn whole_lines(file: &File) -> std::io::Result<(usize, u64)> {
    let mut reader = BufReader::new(file);
    let (mut lines, mut bytes, mut line) = (0, 0, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        if line.last() == Some(&b'\n') {
            lines += 1;
            bytes += line.len() as u64;
        }
        line.clear();
    }
    Ok((lines, bytes))
}
