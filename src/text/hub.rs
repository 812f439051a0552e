//! Models of the Hugging Face hub, kept in its usual cache.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use crate::error::{Error, Result, bail, error};
use crate::progress::Progress;

/// How often a broken connection is taken up again.
const RETRIES: usize = 3;
const MEGABYTE: usize = 1 << 20;

/// Whether a name has the form `owner/model` or `model`.
pub(super) fn is_model_id(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    name.split('/').count() <= 2 && name.split('/').all(plain)
}

/// The folder of a model's files: from the cache where they are complete, or downloaded into it.
/// A download that broke off goes on where it stopped.
pub(super) fn fetch(model: &str) -> Result<PathBuf> {
    if std::env::var_os("HF_HOME").is_none() && std::env::home_dir().is_none() {
        bail!(File, "there is no home folder for the cache of the Hugging Face hub: set HF_HOME to a folder")
    }
    let cached = Cache::from_env().model(model.to_string());
    let in_cache = |file: &str| cached.get(file);
    let all_in_cache =
        |files: Result<Vec<String>>| files.is_ok_and(|files| files.iter().all(|file| in_cache(file).is_some()));
    if let Some(config) = in_cache("config.json")
        && let Some(folder) = config.parent()
        && all_in_cache(needed(&files_of(folder)))
        && in_cache("model.safetensors.index.json").is_none_or(|index| all_in_cache(shards(&index)))
    {
        return Ok(folder.to_path_buf());
    }
    download(model)
}

fn download(model: &str) -> Result<PathBuf> {
    let failed = |what: &str, e: ApiError| explain(model, what, &e);
    let in_notebook = Progress::in_notebook();
    let api = ApiBuilder::from_env().with_retries(RETRIES).with_progress(!in_notebook).build();
    let api = api.map_err(|e| failed("the connection", e))?;
    let about = api.model(model.to_string()).info().map_err(|e| failed("its list of files", e))?;
    let there: Vec<String> = about.siblings.into_iter().map(|file| file.rfilename).collect();
    // All files of one commit, whatever happens on the hub meanwhile.
    let commit = Repo::with_revision(model.to_string(), RepoType::Model, about.sha.clone());
    let repo = api.repo(commit.clone());
    let cached = Cache::from_env().repo(commit);
    let get = |file: &str| match cached.get(file) {
        Some(path) => Ok(path),
        None => fetch_file(&repo, file, in_notebook).map_err(|e| failed(file, e)),
    };
    let config = get("config.json")?;
    for file in needed(&there).map_err(|e| e.at(model))? {
        get(&file)?;
    }
    let index = cached.get("model.safetensors.index.json");
    for shard in index.map(|index| shards(&index)).transpose()?.unwrap_or_default() {
        get(&shard)?;
    }
    let kept = Cache::from_env().model(model.to_string()).create_ref(&about.sha);
    kept.map_err(|e| error!(File, "cannot write into the cache of the Hugging Face hub: {e}"))?;
    match config.parent() {
        Some(folder) => Ok(folder.to_path_buf()),
        None => bail!(File, "{} is in no folder", config.display()),
    }
}

fn fetch_file(repo: &ApiRepo, file: &str, in_notebook: bool) -> std::result::Result<PathBuf, ApiError> {
    if in_notebook { repo.download_with_progress(file, Lines::default()) } else { repo.download(file) }
}

/// The files of a model that are read, out of those that are there.
fn needed(there: &[String]) -> Result<Vec<String>> {
    let has = |file: &str| there.iter().any(|other| other == file);
    let weights =
        ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"].into_iter().find(|file| has(file));
    let Some(weights) = weights else {
        bail!(File, "there are no weights: expected model.safetensors, its shards, or pytorch_model.bin")
    };
    let tokenizer: &[&str] = if has("bpe.codes") { &["vocab.txt", "bpe.codes"] } else { &["tokenizer.json"] };
    if let Some(missing) = tokenizer.iter().find(|file| !has(file)) {
        bail!(File, "there is no {missing}: expected a tokenizer.json, or PhoBERT's vocab.txt and bpe.codes")
    }
    // They tell whose tokenizer it is, and have another form of it.
    let more =
        ["tokenizer_config.json", "tokenizer.json"].into_iter().filter(|file| has(file) && !tokenizer.contains(file));
    let files = ["config.json", weights].into_iter().chain(tokenizer.iter().copied()).chain(more);
    Ok(files.map(str::to_string).collect())
}

fn files_of(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The files that an index names.
fn shards(index: &Path) -> Result<Vec<String>> {
    let broken = |why: String| error!(File, "{}: {why}", index.display());
    let text = std::fs::read_to_string(index).map_err(|e| broken(e.to_string()))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
    let map = json["weight_map"].as_object().ok_or_else(|| broken("there is no \"weight_map\" in it".to_string()))?;
    let mut files: Vec<String> = map.values().filter_map(|file| file.as_str().map(str::to_string)).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// What went wrong, and what to do about it.
fn explain(model: &str, what: &str, why: &ApiError) -> Error {
    let text = why.to_string();
    let advice = if text.contains("404") {
        "is the name right? If a folder was meant: there is none of this name here"
    } else if text.contains("401") || text.contains("403") {
        "the model is private or asks for consent: log in with `hf auth login`"
    } else {
        "is there a network? What has arrived is kept, and the next call goes on from there. If a folder was meant: \
         there is none of this name here"
    };
    error!(File, "cannot fetch {what} of {model} from the Hugging Face hub: {text}; {advice}")
}

/// Progress in whole lines, for notebooks.
#[derive(Default)]
struct Lines {
    progress: Option<Progress>,
    name: String,
    total: usize,
    done: usize,
}

impl hf_hub::api::Progress for Lines {
    fn init(&mut self, size: usize, file: &str) {
        self.done = 0;
        self.total = size;
        self.name = file.to_string();
        self.progress = Some(Progress::new("MB", size.div_ceil(MEGABYTE).max(1)));
    }

    fn update(&mut self, bytes: usize) {
        self.done += bytes;
        let (done, name) = (self.done.min(self.total) / MEGABYTE, &self.name);
        if let Some(progress) = &mut self.progress {
            progress.step(done, || name.clone());
        }
    }

    fn finish(&mut self) {}
}
