//! Model archives: `.mar` files, as TorchServe's archiver makes them, with safetensors inside.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use candle_explain::candle_core::{Device, safetensors};
use candle_explain::file::{cannot_write, write_whole};
use candle_explain::model::pickle;
use candle_explain::{Error, Result, bail, error};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::handler::Handler;

const MANIFEST: &str = "MAR-INF/MANIFEST.json";
/// The most bytes of all files of an archive together.
const LARGEST: u64 = 4 << 30;
const MOST_FILES: usize = 1000;
/// The first bytes of a Git LFS pointer, a file whose content was not fetched.
const LFS: &[u8] = b"version https://git-lfs";

/// A model archive: weights, the name of their handler, and other files.
///
/// Archives are zip files with a `MAR-INF/MANIFEST.json`. Python in an archive is carried along
/// and never run.
#[derive(Clone, Debug)]
pub struct Archive {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) handler: Handler,
    pub(crate) serialized_file: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// An archive of weights: a safetensors file, or a state dict written by `torch.save`, which
    /// is converted into safetensors.
    ///
    /// `handler` is `titanic` or `text_classifier`.
    pub fn new(name: &str, version: &str, handler: &str, serialized_file: impl AsRef<Path>) -> Result<Self> {
        check_name("model name", name)?;
        check_name("version", version)?;
        let path = serialized_file.as_ref();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("model");
        let file = format!("{stem}.safetensors");
        let weights = weights_of(path)?;
        Ok(Self {
            name: name.to_string(),
            version: version.to_string(),
            handler: Handler::named(handler)?,
            files: BTreeMap::from([(file.clone(), weights)]),
            serialized_file: file,
        })
    }

    /// The same with one more file: `index_to_name.json`, `config.json`, a tokenizer.
    pub fn with_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let content =
            std::fs::read(path).map_err(|e| error!(File, "cannot read the extra file {}: {e}", path.display()))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_string();
        if self.files.insert(name.clone(), content).is_some() {
            bail!(Input, "two files of the archive are named \"{name}\": rename one of them")
        }
        Ok(self)
    }

    /// An error if a server could not load the archive.
    pub fn check(&self) -> Result<()> {
        self.handler.load(self).map(drop)
    }

    /// Writes `NAME.mar` into a folder, whole or not at all.
    pub fn write(&self, folder: impl AsRef<Path>, overwrite: bool) -> Result<PathBuf> {
        let path = folder.as_ref().join(format!("{}.mar", self.name));
        if path.exists() && !overwrite {
            bail!(File, "{} is there already: remove it, or write over it with --force", path.display())
        }
        let bytes = self.bytes()?;
        write_whole(&path, |temporary| std::fs::write(temporary, &bytes).map_err(|e| cannot_write(&path, e)))?;
        Ok(path)
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let manifest = json!({
            "runtime": "candle-explain",
            "archiverVersion": env!("CARGO_PKG_VERSION"),
            "model": {
                "modelName": self.name,
                "modelVersion": self.version,
                "serializedFile": self.serialized_file,
                "handler": self.handler.name(),
            },
        });
        let manifest = format!("{manifest:#}\n").into_bytes();
        let files = self.files.iter().map(|(name, content)| (name.as_str(), content));
        let written = std::iter::once((MANIFEST, &manifest)).chain(files).try_fold(
            ZipWriter::new(Cursor::new(Vec::new())),
            |mut zip, (name, content)| {
                let large = content.len() as u64 > u64::from(u32::MAX);
                let options =
                    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(large);
                zip.start_file(name, options)?;
                zip.write_all(content)?;
                Ok::<_, zip::result::ZipError>(zip)
            },
        );
        let finished = written.and_then(ZipWriter::finish);
        Ok(finished.map_err(|e| error!(File, "the archive cannot be made: {e}"))?.into_inner())
    }

    /// Reads an archive.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| error!(File, "cannot read the archive {}: {e}", path.display()))?;
        Self::from_bytes(&bytes, LARGEST).map_err(|e| e.at(path.display()))
    }

    /// Reads an archive whose files have at most `largest` bytes together.
    pub(crate) fn from_bytes(bytes: &[u8], largest: u64) -> Result<Self> {
        let broken = |e: &dyn std::fmt::Display| error!(File, "this is not a complete archive: {e}");
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
        if zip.len() > MOST_FILES {
            bail!(File, "the archive holds {} files: expected at most {MOST_FILES}", zip.len())
        }
        let (mut files, mut left) = (BTreeMap::new(), largest);
        for index in 0..zip.len() {
            let entry = zip.by_index(index).map_err(|e| broken(&e))?;
            if entry.is_dir() {
                continue;
            }
            let Some(name) = entry.enclosed_name().and_then(|name| name.to_str().map(str::to_string)) else {
                bail!(File, "the name of file {index} of the archive leads outside of it, or is no text")
            };
            let mut content = Vec::new();
            // One byte more than allowed is read, to see whether there is more.
            entry.take(left + 1).read_to_end(&mut content).map_err(|e| broken(&e))?;
            left = left
                .checked_sub(content.len() as u64)
                .ok_or_else(|| error!(File, "the archive's files are larger than {largest} bytes together"))?;
            files.insert(name, content);
        }
        let Some(manifest) = files.remove(MANIFEST) else {
            bail!(File, "the archive holds no {MANIFEST}: make it with the archiver")
        };
        let manifest: Value =
            serde_json::from_slice(&manifest).map_err(|e| error!(File, "{MANIFEST} is no JSON: {e}"))?;
        let entry = |key: &str| match &manifest["model"][key] {
            Value::String(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err(error!(File, "{MANIFEST} does not name the model's {key}")),
        };
        let archive = Self {
            name: entry("modelName")?,
            version: entry("modelVersion").unwrap_or_else(|_| "1.0".to_string()),
            handler: Handler::named(&entry("handler")?)?,
            serialized_file: entry("serializedFile")?,
            files,
        };
        check_name("model name", &archive.name)?;
        check_name("version", &archive.version)?;
        Ok(archive)
    }

    pub(crate) fn weights(&self) -> Result<&[u8]> {
        self.files.get(&self.serialized_file).map(Vec::as_slice).ok_or_else(|| {
            let names: Vec<&str> = self.files.keys().map(String::as_str).collect();
            error!(
                File,
                "the archive does not hold its weights {}; it holds {}",
                self.serialized_file,
                names.join(", ")
            )
        })
    }

    /// The names of the classes, if `index_to_name.json` gives them: `{"0": "first", "1": "second"}`.
    pub(crate) fn class_names(&self) -> Result<Option<Vec<String>>> {
        const FILE: &str = "index_to_name.json";
        let Some(content) = self.files.get(FILE) else { return Ok(None) };
        let names: Value = serde_json::from_slice(content).map_err(|e| error!(File, "{FILE} is no JSON: {e}"))?;
        let count = names.as_object().map_or(0, serde_json::Map::len);
        let name = |index: usize| names[index.to_string()].as_str().map(str::to_string);
        (0..count)
            .map(name)
            .collect::<Option<Vec<_>>>()
            .filter(|names| !names.is_empty())
            .map(Some)
            .ok_or_else(|| error!(File, "{FILE}: expected {{\"0\": \"first class\", \"1\": \"second class\"}}"))
    }
}

/// An error unless a name can be part of paths and addresses.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let fine = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.chars().all(fine) {
        bail!(Input, "the {what} is \"{}\": expected letters, digits, '.', '_' and '-'", name.escape_debug())
    }
    Ok(())
}

/// The weights of a file as safetensors.
fn weights_of(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|e| error!(File, "cannot read the weights {}: {e}", path.display()))?;
    if bytes.starts_with(LFS) {
        bail!(
            File,
            "{} is a pointer of Git LFS in place of the weights themselves: fetch them with `git lfs pull`",
            path.display()
        )
    }
    let broken = |e: Error| e.at(format!("{} holds no weights", path.display()));
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|e| broken(e.into()))?;
        return Ok(bytes);
    }
    let tensors = pickle::state_dict(path, None).map_err(broken)?;
    if tensors.is_empty() {
        bail!(File, "{} holds no tensors: expected a state dict that torch.save wrote, or safetensors", path.display())
    }
    let whole = |(name, tensor): (String, pickle::Loaded)| match tensor {
        Ok(tensor) => Ok((name, tensor)),
        Err(why) => Err(broken(error!(File, "\"{name}\" cannot be read: {why}"))),
    };
    let tensors = tensors.into_iter().map(whole).collect::<Result<Vec<_>>>()?;
    ::safetensors::serialize(tensors, None)
        .map_err(|e| error!(File, "{} cannot be turned into safetensors: {e}", path.display()))
}
