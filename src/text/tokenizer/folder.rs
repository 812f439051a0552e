//! The files of a tokenizer's folder.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Result, bail, error};
use crate::file::{read, read_text};

/// The JSON files of a tokenizer's folder, read once.
pub(super) struct Folder {
    path: PathBuf,
    /// `config.json`: the model's.
    pub(super) model: Map<String, Value>,
    /// `tokenizer_config.json`.
    pub(super) settings: Map<String, Value>,
    /// `special_tokens_map.json`.
    pub(super) special_tokens: Map<String, Value>,
    /// `added_tokens.json`: the id of each token.
    pub(super) added_tokens: Map<String, Value>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            bail!(File, "there is no folder {}: expected the folder of a tokenizer", path.display())
        }
        let object = |file: &str| match json(&path.join(file))? {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(error!(File, "{} is not a JSON object", path.join(file).display())),
        };
        Ok(Self {
            path: path.to_path_buf(),
            model: object("config.json")?,
            settings: object("tokenizer_config.json")?,
            special_tokens: object("special_tokens_map.json")?,
            added_tokens: object("added_tokens.json")?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file is, if it is there.
    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.join(name)).filter(|path| path.is_file())
    }

    /// A file that must be there, as text.
    pub(super) fn text(&self, name: &str) -> Result<String> {
        read_text(&self.path.join(name))
    }

    /// A file that must be there, as it is.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        read(&self.path.join(name))
    }

    /// `tokenizer.json`, if it is there.
    pub(super) fn fast(&self) -> Result<Option<Value>> {
        json(&self.path.join("tokenizer.json"))
    }

    /// A boolean of `tokenizer_config.json`.
    pub(super) fn switch(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.optional_switch(key)?.unwrap_or(default))
    }

    /// A boolean of `tokenizer_config.json`; `None` if it is not set.
    pub(super) fn optional_switch(&self, key: &str) -> Result<Option<bool>> {
        match self.settings.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(on)) => Ok(Some(*on)),
            Some(other) => bail!(
                File,
                "{}: \"{key}\" is {other}: expected true or false",
                self.path.join("tokenizer_config.json").display()
            ),
        }
    }
}

fn json(path: &Path) -> Result<Option<Value>> {
    if !path.is_file() {
        return Ok(None);
    }
    let what = if path.ends_with("tokenizer.json") { "a tokenizer" } else { "JSON" };
    let value = serde_json::from_str(&read_text(path)?)
        .map_err(|e| error!(File, "{} is not {what}: {e}: fetch it again", path.display()))?;
    Ok(Some(value))
}
