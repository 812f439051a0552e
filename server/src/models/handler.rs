//! The handlers that load models from archives and folders.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_explain::tabular::Titanic;
use candle_explain::text::TextClassifier;
use candle_explain::{Error, Result, Seed, bail, error};

use super::archive::Archive;
use super::servable::Servable;
use super::tabular::Tabular;
use super::texts::Texts;
use super::titanic::{CLASS_NAMES, TitanicModel};

/// The handler of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handler {
    Titanic,
    TextClassifier,
}

impl Handler {
    /// The handler of a name; `titanic_handler.py` counts as `titanic`, as no Python is ever run.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let plain = name.strip_suffix(".py").unwrap_or(name);
        match plain.strip_suffix("_handler").unwrap_or(plain) {
            "titanic" => Ok(Handler::Titanic),
            "text_classifier" => Ok(Handler::TextClassifier),
            _ => bail!(
                Input,
                "there is no handler \"{}\": expected titanic or text_classifier; a model of your own is served from \
                 Rust, by the trait TabularModel",
                name.escape_debug()
            ),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Handler::Titanic => "titanic",
            Handler::TextClassifier => "text_classifier",
        }
    }

    /// The model of an archive, loaded and tried.
    pub(crate) fn load(self, archive: &Archive) -> Result<Box<dyn Servable>> {
        if !archive.serialized_file.ends_with(".safetensors") {
            bail!(
                File,
                "the archive's weights are {}, and expected are safetensors: make it anew with `candle-explain archive`, \
                 which turns a state dict that torch.save wrote into them",
                archive.serialized_file.escape_debug()
            )
        }
        let classes = archive.class_names()?;
        match self {
            Handler::Titanic => {
                let network = Titanic::network(Seed::default())?;
                network.load_bytes(archive.weights()?, &archive.serialized_file)?;
                let classes = classes.unwrap_or_else(|| CLASS_NAMES.map(String::from).to_vec());
                Ok(Box::new(Tabular::new(TitanicModel::new(network, classes)?)?))
            }
            Handler::TextClassifier => {
                let folder = Unpacked::new(archive)?;
                let place = folder.0.to_str().ok_or_else(|| error!(File, "{} is no text", folder.0.display()))?;
                let model = match classes {
                    Some(classes) => TextClassifier::with_labels(place, classes),
                    None => TextClassifier::from_pretrained(place),
                };
                // The temporary folder means nothing to the reader.
                let told = |e: Error| Error::new(e.kind(), e.to_string().replace(place, &archive.name));
                text_classifier(&model.map_err(told)?)
            }
        }
    }
}

/// The model of a checkpoint folder, loaded and tried.
pub(crate) fn load_folder(folder: &Path) -> Result<Box<dyn Servable>> {
    let place = folder.to_str().ok_or_else(|| error!(File, "{} is no text", folder.display()))?;
    text_classifier(&TextClassifier::from_pretrained(place)?)
}

pub(crate) fn text_classifier(model: &TextClassifier) -> Result<Box<dyn Servable>> {
    Ok(Box::new(Texts::new(model)?))
}

/// An archive's files in a temporary folder, while its checkpoint is read.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(archive: &Archive) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let fails =
            |path: &Path, e: std::io::Error| error!(File, "cannot unpack the archive to {}: {e}", path.display());
        let unpacked = loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let folder = std::env::temp_dir().join(format!("candle-explain-{}-{number}", std::process::id()));
            match std::fs::create_dir(&folder) {
                Ok(()) => break Self(folder),
                // In a container every server has the same process number, and a killed one leaves its folder.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(fails(&folder, e)),
            }
        };
        for (name, content) in &archive.files {
            // Checkpoints expect this name for their weights.
            let name = if *name == archive.serialized_file { "model.safetensors" } else { name };
            let path = unpacked.0.join(name);
            if path.parent() == Some(unpacked.0.as_path()) {
                std::fs::write(&path, content).map_err(|e| fails(&path, e))?;
            }
        }
        Ok(unpacked)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // A leftover temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
