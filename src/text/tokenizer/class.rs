//! The class of `transformers` that a tokenizer belongs to.

use serde_json::Value;

use super::folder::Folder;

/// A class of `transformers` that builds its tokenizer from a vocabulary and ignores the rest of
/// `tokenizer.json`, or [`Class::AsWritten`] for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// WordPiece as in BERT.
    Bert,
    /// WordPiece between `<s>` and `</s>`.
    MpNet,
    /// Byte-level BPE between `<s>` and `</s>`.
    Roberta,
    /// Byte-level BPE without tokens around it.
    Gpt2,
    /// BPE with `</w>`, after BERT's splitting into words.
    Herbert,
    /// Unigram with the ids of fairseq.
    XlmRoberta,
    Camembert,
    /// Unigram as SentencePiece wrote it.
    Albert,
    /// The same without SentencePiece's table of characters.
    DebertaV2,
    /// fastBPE over words.
    PhoBert,
    /// What `tokenizer.json` says.
    AsWritten,
}

/// Other classes with code of their own in `transformers`, named without the final `Tokenizer`: their
/// `tokenizer.json` does not say all that they do.
#[rustfmt::skip]
const MADE_OTHERWISE: [&str; 65] = [
    "Barthez", "Bartpho", "BertGeneration", "BertJapanese", "Bertweet", "BigBird",
    "BioGpt", "BlenderbotSmall", "Blenderbot", "ByT5", "CLIP", "CTRL",
    "Canine", "Clvp", "CodeGen", "CodeLlama", "Cohere", "ConvBert",
    "Cpm", "DPRContextEncoder", "DPRQuestionEncoder", "DPRReader", "Deberta",
    "Esm", "FNet", "FSMT", "Flaubert", "Funnel", "GPTNeoXJapanese",
    "GPTNeoX", "GPTSw3", "Gemma", "LayoutLMv2", "LayoutLMv3", "LayoutXLM",
    "Llama", "Luke", "M2M100", "MBart50", "MBart", "MLuke",
    "Marian", "MarkupLM", "Mvp", "Nllb", "OpenAIGPT", "PLBart",
    "Pegasus", "Perceiver", "ProphetNet", "Qwen2", "Reformer", "RemBert",
    "RoCBert", "RoFormer", "SeamlessM4T", "Siglip", "Splinter", "T5",
    "Tapas", "Udop", "Whisper", "XGLM", "XLM", "XLNet",
];

/// A class, and whether the folder names it or it is only the model's usual one.
pub(super) struct Chosen {
    pub(super) class: Class,
    /// As the folder names it.
    pub(super) name: Option<String>,
}

impl Chosen {
    /// The class of a folder: `tokenizer_config.json` decides, then `config.json`, the model's type, the files.
    pub(super) fn of(folder: &Folder) -> Self {
        let named = [&folder.settings, &folder.model]
            .into_iter()
            .find_map(|json| json.get("tokenizer_class").and_then(Value::as_str));
        if let Some(name) = named {
            return Self { class: Class::named(name), name: Some(name.to_string()) };
        }
        let by_files = || {
            let has = |file: &str| folder.file(file).is_some();
            if has("bpe.codes") {
                Some(Class::PhoBert)
            } else if has("tokenizer.json") {
                None
            } else if has("sentencepiece.bpe.model") {
                Some(Class::XlmRoberta)
            } else if has("spiece.model") {
                Some(Class::Albert)
            } else if has("spm.model") {
                Some(Class::DebertaV2)
            } else if has("vocab.json") && has("merges.txt") {
                Some(Class::Roberta)
            } else {
                has("vocab.txt").then_some(Class::Bert)
            }
        };
        let by_model = match folder.model.get("model_type").and_then(Value::as_str) {
            _ if folder.file("bpe.codes").is_some() => Some(Class::PhoBert),
            Some("bert" | "distilbert" | "electra") => Some(Class::Bert),
            Some("roberta" | "roberta-prelayernorm" | "data2vec-text") => Some(Class::Roberta),
            Some("xlm-roberta") => Some(Class::XlmRoberta),
            Some("camembert") => Some(Class::Camembert),
            Some("albert") => Some(Class::Albert),
            Some("deberta-v2") => Some(Class::DebertaV2),
            Some("mpnet") => Some(Class::MpNet),
            _ => None,
        };
        Self { class: by_model.or_else(by_files).unwrap_or(Class::AsWritten), name: None }
    }
}

/// Whether `transformers` has a class of this name that is not implemented here.
pub(super) fn is_made_otherwise(name: &str) -> bool {
    let name = name.strip_suffix("Fast").unwrap_or(name);
    name.strip_suffix("Tokenizer").is_some_and(|name| MADE_OTHERWISE.contains(&name))
}

impl Class {
    fn named(name: &str) -> Self {
        match name.strip_suffix("Fast").unwrap_or(name) {
            "BertTokenizer"
            | "DistilBertTokenizer"
            | "ElectraTokenizer"
            | "MobileBertTokenizer"
            | "SqueezeBertTokenizer"
            | "LxmertTokenizer"
            | "LayoutLMTokenizer" => Class::Bert,
            "MPNetTokenizer" => Class::MpNet,
            "RobertaTokenizer" | "LongformerTokenizer" | "LEDTokenizer" | "BartTokenizer" => Class::Roberta,
            "GPT2Tokenizer" => Class::Gpt2,
            "HerbertTokenizer" => Class::Herbert,
            "XLMRobertaTokenizer" => Class::XlmRoberta,
            "CamembertTokenizer" => Class::Camembert,
            "AlbertTokenizer" => Class::Albert,
            "DebertaV2Tokenizer" => Class::DebertaV2,
            "PhobertTokenizer" => Class::PhoBert,
            _ => Class::AsWritten,
        }
    }

    /// The kind of model that the class uses, as `tokenizer.json` calls it.
    pub(super) fn model(self) -> Option<&'static str> {
        match self {
            Class::Bert | Class::MpNet => Some("WordPiece"),
            Class::Roberta | Class::Gpt2 | Class::Herbert => Some("BPE"),
            Class::XlmRoberta | Class::Camembert | Class::Albert | Class::DebertaV2 => Some("Unigram"),
            Class::PhoBert | Class::AsWritten => None,
        }
    }

    /// The files that the class is built from if there is no `tokenizer.json`.
    pub(super) fn files(self) -> &'static [&'static str] {
        match self {
            Class::Bert | Class::MpNet => &["vocab.txt"],
            Class::Roberta | Class::Gpt2 | Class::Herbert => &["vocab.json", "merges.txt"],
            Class::XlmRoberta | Class::Camembert => &["sentencepiece.bpe.model"],
            Class::Albert => &["spiece.model"],
            Class::DebertaV2 => &["spm.model"],
            Class::PhoBert => &["vocab.txt", "bpe.codes"],
            Class::AsWritten => &[],
        }
    }
}
