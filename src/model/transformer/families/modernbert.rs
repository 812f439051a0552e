//! ModernBERT: rotary positions, gated feed-forward networks, norms first, and layers that see only near tokens.

use super::{Family, bert};
use crate::error::{Result, bail};
use crate::model::transformer::architecture::{
    Architecture, AttentionPlan, EmbeddingsPlan, FeedForwardPlan, HeadPlan, LayerPlan, Norms, Pooling, Positions,
    ProjectionsPlan, Relation, Stack, TokenTypes,
};
use crate::model::transformer::settings::Settings;

pub(super) static FAMILY: Family = Family {
    model_types: &["modernbert"],
    classes: &["ModernBert"],
    prefix: "model",
    padding: 50283,
    architecture: modernbert,
};

fn modernbert(settings: Settings) -> Result<Architecture> {
    let bert = bert::bert(settings)?;
    if let (Some((_, size)), Some((_, width))) = (settings.told(&["head_dim"]), settings.told(&["hidden_size"]))
        && size.as_u64().and_then(|size| size.checked_mul(bert.heads as u64)) != width.as_u64()
    {
        bail!(File, "\"head_dim\" is {size}: expected the width {width} over the {} heads", bert.heads)
    }
    let kinds = kinds(settings)?;
    let layers =
        kinds.iter().enumerate().map(|(index, kind)| layer(settings, index, *kind)).collect::<Result<Vec<_>>>()?;
    Ok(Architecture {
        norms: Norms { eps: settings.eps("norm_eps", 1e-5)?, bias: settings.switch("norm_bias", false)? },
        embeddings: EmbeddingsPlan {
            words: "embeddings.tok_embeddings",
            positions: Positions::Nowhere(settings.count(&["max_position_embeddings"], 8192)?),
            token_types: TokenTypes::Refused,
            norm: "embeddings.norm",
            ..bert.embeddings
        },
        window: kinds.contains(&Kind::Near).then_some(window(settings)?),
        stack: Stack::of("layers.", layers),
        last_norm: Some("final_norm"),
        head: HeadPlan {
            pooling: pooling(settings)?,
            dense: "head.dense",
            dense_bias: settings.switch("classifier_bias", false)?,
            activation: settings.activation("classifier_activation", "gelu")?,
            norm: Some("head.norm"),
            ..bert.head
        },
        ..bert
    })
}

/// Whether a layer sees all tokens or only near ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Near,
}

impl Kind {
    fn named(name: &str) -> Result<Self> {
        match name {
            "full_attention" => Ok(Self::All),
            "sliding_attention" => Ok(Self::Near),
            other => bail!(File, "a layer is of type {other}: expected full_attention or sliding_attention"),
        }
    }
}

/// The kind of each layer.
fn kinds(settings: Settings) -> Result<Vec<Kind>> {
    let layers = settings.layers(&["num_hidden_layers"], 22)?;
    let every = settings.count(&["global_attn_every_n_layers"], 3)?;
    let Some(told) = settings.texts("layer_types")? else {
        let kind = |index: usize| if index.is_multiple_of(every) { Kind::All } else { Kind::Near };
        return Ok((0..layers).map(kind).collect());
    };
    if told.len() != layers {
        bail!(File, "\"layer_types\" names {} layers, and num_hidden_layers is {layers}: expected as many", told.len())
    }
    told.into_iter().map(Kind::named).collect()
}

fn layer(settings: Settings, index: usize, kind: Kind) -> Result<LayerPlan> {
    let (attention_bias, mlp_bias) = (settings.switch("attention_bias", false)?, settings.switch("mlp_bias", false)?);
    Ok(LayerPlan {
        attention: AttentionPlan {
            projections: ProjectionsPlan::Joined("attn.Wqkv"),
            output: "attn.Wo",
            bias: attention_bias,
            relation: Relation::Rotary(base(settings, kind)?),
            terms: 1,
            near: kind == Kind::Near,
        },
        // The embeddings' own norm comes before the first layer.
        attention_norm: (index > 0).then_some("attn_norm"),
        feed_forward: FeedForwardPlan {
            inner: "mlp.Wi",
            output: "mlp.Wo",
            bias: mlp_bias,
            width: "intermediate_size",
            activation: settings.activation("hidden_activation", "gelu")?,
            gated: true,
        },
        output_norm: "mlp_norm",
        norms_first: true,
    })
}

/// How many places away a layer of kind [`Kind::Near`] sees.
fn window(settings: Settings) -> Result<usize> {
    match settings.told(&["sliding_window"]) {
        Some(_) => settings.count(&["sliding_window"], 0),
        None => Ok(settings.count(&["local_attention"], 128)? / 2),
    }
}

/// The base of a layer's rotary positions.
fn base(settings: Settings, kind: Kind) -> Result<f64> {
    if let Some((key, value)) = settings.told(&["rope_scaling"]) {
        bail!(File, "\"{key}\" is {value}: expected none, the angles that the model was built with")
    }
    let (name, old, default) = match kind {
        Kind::All => ("full_attention", "global_rope_theta", 160_000.),
        Kind::Near => ("sliding_attention", "local_rope_theta", 10_000.),
    };
    let old = settings.positive(old, default)?;
    let Some((_, told)) = settings.told(&["rope_parameters"]) else { return Ok(old) };
    let known = |key: &String| ["full_attention", "sliding_attention"].contains(&key.as_str());
    if !told.as_object().is_some_and(|told| told.keys().all(known)) {
        bail!(
            File,
            "\"rope_parameters\" is {told}: expected an object with full_attention and sliding_attention, each with its \
             rope_theta"
        )
    }
    let mut keys = told[name].as_object().into_iter().flat_map(|told| told.keys());
    let told = Settings(&told[name]);
    told.only("rope_type", "default")?;
    told.only("type", "default")?;
    if let Some(key) = keys.find(|key| !["rope_type", "type", "rope_theta"].contains(&key.as_str())) {
        bail!(File, "\"rope_parameters\" has \"{key}\" for {name}: expected rope_type and rope_theta alone")
    }
    told.positive("rope_theta", old)
}

fn pooling(settings: Settings) -> Result<Pooling> {
    match settings.text("classifier_pooling", "cls")? {
        "cls" => Ok(Pooling::First),
        "mean" => Ok(Pooling::Mean),
        other => bail!(File, "the classifier_pooling is {other}: expected cls or mean"),
    }
}
