//! The models that are served, by name and version.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use candle_explain::{Error, Result, bail, error};

use super::running::Running;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::models::archive::{Archive, check_name};
use crate::models::handler::load_folder;
use crate::models::servable::Servable;
use crate::settings::Settings;

/// The version of a model that does not say its own.
const FIRST_VERSION: &str = "1.0";

/// The models that are served, by name and version. A request holds its version until it is
/// answered, whatever becomes of the catalog meanwhile.
pub(crate) struct Catalog {
    models: RwLock<BTreeMap<String, Versions>>,
    store: Option<PathBuf>,
    queue: usize,
    workers: usize,
    metrics: Arc<Metrics>,
}

struct Versions {
    default: String,
    running: BTreeMap<String, Arc<Running>>,
}

/// A model that is loaded and not yet served.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) source: String,
    pub(crate) servable: Box<dyn Servable>,
}

impl Catalog {
    pub(crate) fn new(settings: &Settings, metrics: Arc<Metrics>) -> Self {
        Self {
            models: RwLock::default(),
            store: settings.model_store.clone(),
            queue: settings.job_queue_size,
            workers: settings.workers,
            metrics,
        }
    }

    /// Loads what the settings name of the model store: all of it, or `titanic.mar`, `name=titanic.mar`.
    /// If all is wanted, models that cannot be loaded are left out, and their errors returned.
    pub(crate) fn load_store(&self, models: &[String]) -> Result<Vec<Error>> {
        let mut refused = Vec::new();
        for model in models {
            match model.as_str() {
                "" | "none" => {}
                "all" => {
                    for file in self.files_of_store()? {
                        let added: Result<Arc<Running>> =
                            self.load(&file, None).and_then(|loaded| Ok(self.add(loaded, true)?));
                        refused.extend(added.err().map(|e| e.at(&file)));
                    }
                }
                _ => {
                    let (name, file) = model.split_once('=').map_or((None, model.as_str()), |(n, f)| (Some(n), f));
                    self.add(self.load(file, name)?, true)?;
                }
            }
        }
        Ok(refused)
    }

    /// The archives and checkpoint folders of the store, by name.
    fn files_of_store(&self) -> Result<Vec<String>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let entries = std::fs::read_dir(store)
            .map_err(|e| error!(File, "cannot read the model store {}: {e}", store.display()))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok())
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "mar") || path.join("config.json").is_file())
            .filter_map(|path| path.file_name()?.to_str().map(str::to_string))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Loads an archive or a checkpoint folder of the model store. Nothing outside the store is touched.
    pub(crate) fn load(&self, file: &str, name: Option<&str>) -> Result<Loaded> {
        let Some(store) = &self.store else {
            bail!(Input, "there is no model store: start the server with --model-store")
        };
        let Some(file) = name_within(store, file) else {
            bail!(
                Input,
                "the model is \"{}\": expected the name of a file in the model store; nothing is fetched from elsewhere",
                file.escape_debug()
            )
        };
        let path = store.join(file);
        if path.is_dir() {
            let name = name.unwrap_or(file);
            check_name("model name", name)?;
            let servable = load_folder(&path)?;
            return Ok(Loaded { name: name.into(), version: FIRST_VERSION.into(), source: file.into(), servable });
        }
        let archive = Archive::read(&path)?;
        let name = name.unwrap_or(&archive.name).to_string();
        check_name("model name", &name)?;
        let servable = archive.handler.load(&archive).map_err(|e| e.at(file))?;
        Ok(Loaded { name, version: archive.version, source: file.into(), servable })
    }

    /// Serves a model under its name and version, from now on. The first version of a name is its
    /// default.
    pub(crate) fn add(&self, loaded: Loaded, at_start: bool) -> Result<Arc<Running>, Failure> {
        let Loaded { name, version, source, servable } = loaded;
        let taken = |models: &BTreeMap<String, Versions>| {
            models.get(&name).is_some_and(|versions| versions.running.contains_key(&version))
        };
        let conflict = || Failure::conflict(format!("version {version} of {name} is served already"));
        if taken(&self.read()) {
            return Err(conflict());
        }
        let metrics = self.metrics.of_model(&name, &version);
        let names = (name.as_str(), version.as_str(), source.as_str());
        let running = Running::start(names, servable, (self.queue, self.workers), (metrics, at_start))?;
        let running = Arc::new(running);
        let mut models = self.write();
        if taken(&models) {
            return Err(conflict());
        }
        let versions = models
            .entry(name.clone())
            .or_insert_with(|| Versions { default: version.clone(), running: BTreeMap::new() });
        versions.running.insert(version.clone(), running.clone());
        Ok(running)
    }

    /// A version of a model; the default one if none is named.
    pub(crate) fn get(&self, name: &str, version: Option<&str>) -> Result<Arc<Running>, Failure> {
        let models = self.read();
        let versions = known(&models, name)?;
        let version = version.unwrap_or(&versions.default);
        versions.running.get(version).cloned().ok_or_else(|| no_version(name, version, versions))
    }

    /// All versions of a model, the default one first.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<Arc<Running>>, Failure> {
        let models = self.read();
        let versions = known(&models, name)?;
        let mut running: Vec<_> = versions.running.values().cloned().collect();
        running.sort_by_key(|version| version.version != versions.default);
        Ok(running)
    }

    /// The default version of each model.
    pub(crate) fn defaults(&self) -> Vec<Arc<Running>> {
        self.read().values().filter_map(|versions| versions.running.get(&versions.default)).cloned().collect()
    }

    /// Makes a version the default: later requests that name no version get it.
    pub(crate) fn set_default(&self, name: &str, version: &str) -> Result<(), Failure> {
        let mut models = self.write();
        known(&models, name)?;
        if let Some(versions) = models.get_mut(name) {
            if !versions.running.contains_key(version) {
                return Err(no_version(name, version, versions));
            }
            versions.default = version.to_string();
        }
        Ok(())
    }

    /// Stops serving a version; if none is named, the default one. The last version takes the
    /// name with it; while there are others, the default one cannot be removed.
    pub(crate) fn remove(&self, name: &str, version: Option<&str>) -> Result<(), Failure> {
        let mut models = self.write();
        let versions = known(&models, name)?;
        let version = version.unwrap_or(&versions.default).to_string();
        if !versions.running.contains_key(&version) {
            return Err(no_version(name, &version, versions));
        }
        if versions.running.len() > 1 && versions.default == version {
            return Err(Failure::bad_request(format!(
                "version {version} is the default of {name}: make another one the default first"
            )));
        }
        let empty = models.get_mut(name).is_some_and(|versions| {
            versions.running.remove(&version);
            versions.running.is_empty()
        });
        if empty {
            models.remove(name);
        }
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Versions>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Versions>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a file in a folder, from that name or from the file's path.
fn name_within<'a>(folder: &Path, file: &'a str) -> Option<&'a str> {
    let path = Path::new(file);
    let Some(Component::Normal(name)) = path.components().next_back() else { return None };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let inside =
        parent.is_none_or(|parent| matches!((parent.canonicalize(), folder.canonicalize()), (Ok(a), Ok(b)) if a == b));
    if inside { name.to_str() } else { None }
}

fn known<'a>(models: &'a BTreeMap<String, Versions>, name: &str) -> Result<&'a Versions, Failure> {
    models.get(name).ok_or_else(|| Failure::no_model(format!("Model not found: {name}")))
}

fn no_version(name: &str, version: &str, versions: &Versions) -> Failure {
    let there: Vec<&str> = versions.running.keys().map(String::as_str).collect();
    Failure::no_version(format!(
        "Model version: {version} does not exist for model: {name}; there is {}",
        there.join(", ")
    ))
}
