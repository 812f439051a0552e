//! A token added to the vocabulary.

use serde_json::Value;
use tokenizers::AddedToken;

use crate::error::{Result, bail};

/// A token that is cut out of a text before anything else happens, as the files of a folder
/// define it. If `normalized` is not given, `special` decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) content: String,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    pub(super) normalized: Option<bool>,
    pub(super) special: bool,
}

impl Added {
    /// A special token given only by its content.
    pub(super) fn special(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
            special: true,
        }
    }

    /// A token from JSON: a string (its content), or an object.
    pub(super) fn from_json(json: &Value) -> Result<Self> {
        if let Some(content) = json.as_str() {
            return Ok(Self::special(content));
        }
        let Some(content) = json["content"].as_str() else {
            bail!(File, "the token {json} has no content: expected a string, or an object with \"content\"")
        };
        let is = |key: &str| json[key].as_bool();
        let [single_word, lstrip, rstrip, special] =
            ["single_word", "lstrip", "rstrip", "special"].map(|key| is(key).unwrap_or(false));
        Ok(Self { content: content.to_string(), single_word, lstrip, rstrip, normalized: is("normalized"), special })
    }
}

impl From<Added> for AddedToken {
    fn from(added: Added) -> Self {
        AddedToken::from(added.content, added.special)
            .single_word(added.single_word)
            .lstrip(added.lstrip)
            .rstrip(added.rstrip)
            .normalized(added.normalized.unwrap_or(!added.special))
    }
}
