//! The environment variables for the Hugging Face hub, the same as in huggingface_hub.

use std::path::PathBuf;

use crate::error::{Result, bail};

const USUAL_ENDPOINT: &str = "https://huggingface.co";

/// Where models are kept and downloaded from, and with which token.
///
/// | Variable | Meaning |
/// |---|---|
/// | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE` | the cache; `hub` below `HF_HOME` by default |
/// | `HF_HOME` | `huggingface` below `XDG_CACHE_HOME`, or below `~/.cache`, by default |
/// | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` | the token |
/// | `HF_TOKEN_PATH` | the file with the token, if no variable holds it; `token` below `HF_HOME` by default |
/// | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | if true, no token is sent |
/// | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | if true, only the cache is used |
/// | `HF_ENDPOINT` | the hub's address |
///
/// If both variables of a row are set, the first counts. An empty variable counts as not set. `1`, `on`, `yes` and
/// `true` mean true, in upper or lower case.
#[derive(Debug, PartialEq)]
pub(super) struct Environment {
    pub(super) cache: PathBuf,
    pub(super) token: Option<String>,
    pub(super) offline: bool,
    pub(super) endpoint: String,
}

impl Environment {
    pub(super) fn read() -> Result<Self> {
        Self::of(&|name| std::env::var(name).ok(), std::env::home_dir())
    }

    fn of(variable: &dyn Fn(&str) -> Option<String>, user: Option<PathBuf>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let either = |first: &str, second: &str| set(first).or_else(|| set(second));
        let is_true =
            |value: Option<String>| value.is_some_and(|v| ["1", "ON", "YES", "TRUE"].contains(&&*v.to_uppercase()));
        let path = |written: &str| expanded(written, variable, user.as_deref().and_then(|user| user.to_str()));
        let home = set("HF_HOME").map(|home| path(&home));
        let home = home.or_else(|| set("XDG_CACHE_HOME").map(|caches| path(&caches).join("huggingface")));
        let home = home.or_else(|| user.as_ref().map(|user| user.join(".cache/huggingface")));
        let cache = either("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE").map(|cache| path(&cache));
        let Some(cache) = cache.or_else(|| home.as_ref().map(|home| home.join("hub"))) else {
            bail!(File, "there is no home folder for the cache of the Hugging Face hub: set HF_HOME to a folder")
        };
        let token_file = set("HF_TOKEN_PATH").map(|file| path(&file)).or_else(|| home.map(|home| home.join("token")));
        let in_file = || token_file.and_then(|file| std::fs::read_to_string(file).ok());
        let token = match is_true(set("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
            true => None,
            false => either("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN").or_else(in_file),
        };
        let token = token.map(|token| token.replace(['\r', '\n'], "").trim().to_string()).filter(|t| !t.is_empty());
        if token.as_ref().is_some_and(|token| !token.chars().all(|c| c.is_ascii_graphic())) {
            bail!(
                Input,
                "the token for the Hugging Face hub holds spaces or other characters that no token has: set HF_TOKEN to \
                 one that begins with hf_, or log in with `hf auth login`"
            )
        }
        let offline = is_true(either("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"));
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| USUAL_ENDPOINT.to_string());
        Ok(Self { cache, token, offline, endpoint: endpoint.trim().trim_end_matches('/').to_string() })
    }
}

/// A path with `~`, `$NAME` and `${NAME}` replaced; the name of an unset variable is left as it is.
fn expanded(path: &str, variable: &dyn Fn(&str) -> Option<String>, user: Option<&str>) -> PathBuf {
    let below_home = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')).zip(user);
    let path = below_home.map_or_else(|| path.to_string(), |(rest, user)| format!("{user}{rest}"));
    let mut parts = path.split('$');
    let mut whole = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let in_braces = part.strip_prefix('{').and_then(|part| part.split_once('}'));
        let plain = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        let (name, rest) = in_braces.unwrap_or_else(|| part.split_at(plain));
        match variable(name) {
            Some(value) => whole.extend([value.as_str(), rest]),
            None => whole.extend(["$", part]),
        }
    }
    PathBuf::from(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment> {
        let value = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string());
        Environment::of(&value, Some(PathBuf::from("/home/mai")))
    }

    fn cache(variables: &[(&str, &str)]) -> PathBuf {
        read(variables).unwrap().cache
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        assert_eq!(cache(&[]), PathBuf::from("/home/mai/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "")]), cache(&[]));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/caches")]), PathBuf::from("/caches/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("XDG_CACHE_HOME", "/caches")]), PathBuf::from("/hf/hub"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/hf")]), PathBuf::from("/old"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")]), PathBuf::from("/new"));
        assert_eq!(cache(&[("HF_HOME", "~/hf")]), PathBuf::from("/home/mai/hf/hub"));
        let disk = ("DISK", "/disk");
        assert_eq!(cache(&[("HF_HUB_CACHE", "$DISK/a/${DISK}_$NONE"), disk]), PathBuf::from("/disk/a//disk_$NONE"));
        assert!(Environment::of(&|_| None, None).unwrap_err().to_string().contains("set HF_HOME"));
    }

    #[test]
    fn the_token_comes_from_the_environment_or_a_file() {
        let folder = std::env::temp_dir().join(format!("candle-explain-token-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("token"), " hf_home\n").unwrap();
        std::fs::write(folder.join("other"), "hf_other\r\n").unwrap();
        let (home, other) = (folder.to_str().unwrap().to_string(), folder.join("other").to_str().unwrap().to_string());
        let token = |variables: &[(&str, &str)]| read(variables).unwrap().token;
        let home = ("HF_HOME", home.as_str());
        let other = ("HF_TOKEN_PATH", other.as_str());
        assert_eq!(token(&[home]).as_deref(), Some("hf_home"));
        assert_eq!(token(&[home, other]).as_deref(), Some("hf_other"));
        assert_eq!(token(&[home, ("HUGGING_FACE_HUB_TOKEN", "hf_old")]).as_deref(), Some("hf_old"));
        let both = [home, other, ("HUGGING_FACE_HUB_TOKEN", "hf_old"), ("HF_TOKEN", " hf_new\n")];
        assert_eq!(token(&both).as_deref(), Some("hf_new"));
        assert_eq!(token(&[home, ("HF_TOKEN", "hf_new"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes")]), None);
        assert_eq!(token(&[("HF_HOME", "/none/such")]), None);
        let error = read(&[("HF_TOKEN", "hf geheim")]).unwrap_err().to_string();
        assert!(error.contains("log in") && !error.contains("geheim"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_address_and_whether_it_is_asked() {
        assert_eq!(read(&[]).unwrap().endpoint, "https://huggingface.co");
        assert_eq!(read(&[("HF_ENDPOINT", "https://mirror.example/")]).unwrap().endpoint, "https://mirror.example");
        let offline = |variables: &[(&str, &str)]| read(variables).unwrap().offline;
        assert!(!offline(&[]) && !offline(&[("HF_HUB_OFFLINE", "0")]));
        assert!(offline(&[("HF_HUB_OFFLINE", "1")]) && offline(&[("TRANSFORMERS_OFFLINE", "True")]));
        assert!(!offline(&[("HF_HUB_OFFLINE", "no"), ("TRANSFORMERS_OFFLINE", "1")]));
    }
}
