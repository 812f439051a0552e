//! Keys that clients must show, as TorchServe hands them out.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use axum::http::{HeaderMap, header};
use candle_explain::file::{cannot_write, write_whole};
use candle_explain::{Result, bail, error};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::failure::Failure;

/// Which key a port asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Inference,
    Management,
}

/// The keys of a server: one for inference, one for management.
#[derive(Clone)]
pub(crate) struct Keys {
    inference: String,
    management: String,
}

impl Keys {
    /// Draws new keys from the system's random numbers.
    pub(crate) fn draw() -> Result<Self> {
        let key = || -> Result<String> {
            let mut bytes = [0; 24];
            getrandom::fill(&mut bytes).map_err(|e| error!(Input, "the system gives no random numbers: {e}"))?;
            Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        };
        Ok(Self { inference: key()?, management: key()? })
    }

    /// Reads keys from a file in the form of TorchServe's key_file.json.
    pub(crate) fn from_file(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| error!(File, "cannot read the keys {}: {e}", path.display()))?;
        let keys: Value =
            serde_json::from_str(&text).map_err(|e| error!(File, "{} is no JSON: {e}", path.display()))?;
        let key = |name: &str| match keys[name]["key"].as_str() {
            Some(key) if key.len() >= 8 => Ok(key.to_string()),
            _ => bail!(File, "{} has no \"{name}\": {{\"key\": \"at least 8 characters\"}}", path.display()),
        };
        Ok(Self { inference: key("inference")?, management: key("management")? })
    }

    /// Writes the keys where only their owner can read them.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let keys = json!({ "management": { "key": self.management }, "inference": { "key": self.inference } });
        write_whole(path, |temporary| {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let written = options.open(temporary).and_then(|mut file| writeln!(file, "{keys:#}"));
            written.map_err(|e| cannot_write(path, e))
        })
    }

    /// An error unless a request shows the key of this door. The check takes the same time however much
    /// of a wrong key is right.
    pub(crate) fn check(&self, door: Door, headers: &HeaderMap) -> Result<(), Failure> {
        let key = match door {
            Door::Inference => &self.inference,
            Door::Management => &self.management,
        };
        let shown = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let (scheme, token) = shown.split_at_checked(b"Bearer ".len()).unwrap_or_default();
        let token = if scheme.eq_ignore_ascii_case(b"Bearer ") { token } else { b"" };
        if bool::from(token.ct_eq(key.as_bytes())) { Ok(()) } else { Err(Failure::unauthorized()) }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_doors_own_key_opens_it() {
        let keys = Keys::draw().unwrap();
        let check = |door, shown: &str| {
            let shown = HeaderValue::from_str(shown).unwrap();
            keys.check(door, &HeaderMap::from_iter([(header::AUTHORIZATION, shown)])).is_ok()
        };
        assert!(check(Door::Inference, &format!("Bearer {}", keys.inference)));
        assert!(check(Door::Inference, &format!("bearer {}", keys.inference)));
        assert!(!check(Door::Management, &format!("Bearer {}", keys.inference)));
        assert!(!check(Door::Inference, &keys.inference));
        assert!(!check(Door::Inference, &format!("Bearer {}", &keys.inference[1..])));
        assert!(!check(Door::Inference, "Bearer "));
        assert!(keys.check(Door::Inference, &HeaderMap::new()).is_err());
    }

    #[test]
    fn keys_survive_their_file() {
        let path = std::env::temp_dir().join(format!("candle-explain-keys-{}.json", std::process::id()));
        let keys = Keys::draw().unwrap();
        keys.write(&path).unwrap();
        let read = Keys::from_file(&path).unwrap();
        assert_eq!((read.inference, read.management), (keys.inference, keys.management));
        std::fs::write(&path, "{}").unwrap();
        assert!(Keys::from_file(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
