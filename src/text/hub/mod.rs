//! Models of the Hugging Face hub, kept in its usual cache.

mod environment;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use self::environment::Environment;
use crate::error::{Error, Result, bail, error};
use crate::model::shards_of;
use crate::progress::{self, Progress};

/// How often a broken connection is retried.
const RETRIES: usize = 3;
const MEGABYTE: usize = 1 << 20;

/// Files of weights or their indices, which name the shards; the first that exists is read.
const WEIGHTS: [&str; 4] = ["model.safetensors", INDICES[0], "pytorch_model.bin", INDICES[1]];
const INDICES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
/// Files that a tokenizer can be read from.
const VOCABULARIES: [&[&str]; 8] = [
    &["tokenizer.json"],
    &["vocab.txt", "bpe.codes"],
    &["vocab.txt"],
    &["vocab.json", "merges.txt"],
    &["sentencepiece.bpe.model"],
    &["spiece.model"],
    &["spm.model"],
    &["tokenizer.model"],
];
/// Files that change what a tokenizer does.
const BESIDE_THEM: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/// Whether a name has the form `owner/model` or `model`.
pub(super) fn is_model_id(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    name.split('/').count() <= 2 && name.split('/').all(plain)
}

/// The folder of a model's files: from the cache if they are complete, else downloaded into it.
/// An interrupted download continues where it stopped. [`Environment`] lists the variables that count.
pub(super) fn fetch(model: &str) -> Result<PathBuf> {
    let environment = Environment::read()?;
    let cached = Cache::new(environment.cache.clone()).model(model.to_string());
    let all_in_cache = |files: &[String]| files.iter().all(|file| cached.get(file).is_some());
    let shards_too = |file: &String| {
        !INDICES.contains(&file.as_str())
            || cached.get(file).is_some_and(|index| shards_of(&index).is_ok_and(|shards| all_in_cache(&shards)))
    };
    if let Some(config) = cached.get("config.json")
        && let Some(folder) = config.parent()
        && let Ok(files) = needed(&files_of(folder))
        && all_in_cache(&files)
        && files.iter().all(shards_too)
    {
        return Ok(folder.to_path_buf());
    }
    if environment.offline {
        bail!(
            File,
            "{model} is not complete in the cache {}, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE says that nothing is \
             fetched: set them to 0, or fetch the model with `hf download {model}` where there is a network. If a folder \
             was meant: there is none of this name here",
            environment.cache.display()
        )
    }
    download(model, &environment)
}

fn download(model: &str, environment: &Environment) -> Result<PathBuf> {
    let failed = |what: &str, e: ApiError| explain(model, what, &e);
    let shown = progress::is_shown();
    let cache = Cache::new(environment.cache.clone());
    let api = ApiBuilder::from_cache(cache.clone())
        .with_endpoint(environment.endpoint.clone())
        .with_token(environment.token.clone())
        .with_retries(RETRIES)
        .with_progress(false)
        .build()
        .map_err(|e| failed("the connection", e))?;
    let about = api.model(model.to_string()).info().map_err(|e| failed("its list of files", e))?;
    let there: Vec<String> = about.siblings.into_iter().map(|file| file.rfilename).collect();
    // All files are of one commit, even if the hub changes meanwhile.
    let commit = Repo::with_revision(model.to_string(), RepoType::Model, about.sha.clone());
    let repo = api.repo(commit.clone());
    let cached = cache.repo(commit);
    let get = |file: &str| match cached.get(file) {
        Some(path) => Ok(path),
        None if shown => repo.download_with_progress(file, Megabytes::default()).map_err(|e| failed(file, e)),
        None => repo.download(file).map_err(|e| failed(file, e)),
    };
    let config = get("config.json")?;
    let mut parts = Vec::new();
    for file in needed(&there).map_err(|e| e.at(model))? {
        let path = get(&file)?;
        if INDICES.contains(&file.as_str()) {
            parts.extend(shards_of(&path)?);
        }
    }
    for shard in parts {
        get(&shard)?;
    }
    let kept = cache.model(model.to_string()).create_ref(&about.sha);
    kept.map_err(|e| error!(File, "cannot write into the cache of the Hugging Face hub: {e}"))?;
    match config.parent() {
        Some(folder) => Ok(folder.to_path_buf()),
        None => bail!(File, "{} is in no folder", config.display()),
    }
}

/// Which of the model's files are needed.
fn needed(there: &[String]) -> Result<Vec<String>> {
    let has = |file: &str| there.iter().any(|other| other == file);
    let Some(weights) = WEIGHTS.into_iter().find(|file| has(file)) else {
        bail!(
            File,
            "there are no weights: expected model.safetensors, pytorch_model.bin, or the shards of one of them; there \
             are {}",
            listed(there)
        )
    };
    if !VOCABULARIES.iter().any(|together| together.iter().all(|file| has(file))) {
        bail!(
            File,
            "there is no tokenizer: expected {}; there are {}",
            VOCABULARIES.map(|together| together.join(" with ")).join(", or "),
            listed(there)
        )
    }
    let tokenizer = VOCABULARIES.into_iter().flatten().copied().chain(BESIDE_THEM).filter(|file| has(file));
    let mut files: Vec<String> = ["config.json", weights].into_iter().chain(tokenizer).map(str::to_string).collect();
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// The names as a list; of many only the first.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let first = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{first} and {} more", names.len() - SHOWN) } else { first }
}

fn files_of(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
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

/// How much of a file has arrived.
#[derive(Default)]
struct Megabytes {
    progress: Option<Progress>,
    name: String,
    total: usize,
    done: usize,
}

impl hf_hub::api::Progress for Megabytes {
    fn init(&mut self, size: usize, file: &str) {
        self.done = 0;
        self.total = size;
        self.name = file.to_string();
        self.progress = Some(Progress::new("MB", size.div_ceil(MEGABYTE).max(1)));
    }

    fn update(&mut self, bytes: usize) {
        self.done += bytes;
        let (done, name) = (self.done.min(self.total) / MEGABYTE, &self.name);
        if let Some(progress) = &self.progress {
            // The download cannot be stopped from here; what has arrived is kept if the cell's process is ended.
            let _ = progress.step(done, || name.clone());
        }
    }

    fn finish(&mut self) {}
}
