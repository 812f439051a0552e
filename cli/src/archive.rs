//! `candle-explain archive`: weights and related files in one archive, with the flags of
//! torch-model-archiver.

use std::path::PathBuf;

use candle_explain::Result;
use candle_explain_server::Archive;

use crate::console::say;

/// Makes a model archive, NAME.mar, with the flags of torch-model-archiver
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The model's name, which is also the archive's
    #[arg(long)]
    model_name: String,
    /// The model's version
    #[arg(short, long, default_value = "1.0")]
    version: String,
    /// The weights: safetensors, or a state dict that torch.save wrote (it becomes safetensors)
    #[arg(long)]
    serialized_file: PathBuf,
    /// The handler that serves it: titanic or text_classifier
    #[arg(long)]
    handler: String,
    /// Python that describes the model; it is stored but never run
    #[arg(long)]
    model_file: Option<PathBuf>,
    /// More files, separated by commas: index_to_name.json; config.json and a tokenizer
    #[arg(long, alias = "extra-file", value_delimiter = ',')]
    extra_files: Vec<PathBuf>,
    /// The folder for the archive
    #[arg(long, default_value = ".")]
    export_path: PathBuf,
    /// Accepted for compatibility with torch-model-archiver: no Python is installed
    #[arg(short, long)]
    requirements_file: Option<PathBuf>,
    /// Accepted for compatibility with torch-model-archiver: no Python is run
    #[arg(long)]
    runtime: Option<String>,
    /// The archive's format: there is only one
    #[arg(long, value_parser = ["default"])]
    archive_format: Option<String>,
    /// Overwrites an existing archive
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let archive =
        Archive::new(&arguments.model_name, &arguments.version, &arguments.handler, &arguments.serialized_file)?;
    let archive = arguments.model_file.iter().chain(&arguments.extra_files).try_fold(archive, Archive::with_file)?;
    archive.check()?;
    let path = archive.write(&arguments.export_path, arguments.force)?;
    say(format!("{}", path.display()));
    Ok(())
}
