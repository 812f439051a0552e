//! DeBERTa-v2 and v3: attention that separates content and distance.

use serde_json::Value;

use super::{Family, bert};
use crate::error::{Result, bail};
use crate::model::transformer::architecture::{
    Architecture, AttentionPlan, ConvolutionPlan, Disentanglement, DistancesPlan, EmbeddingsPlan, HeadPlan, LayerPlan,
    Norms, Positions, ProjectionsPlan, Relation, Stack, TokenTypes,
};
use crate::model::transformer::settings::Settings;

pub(super) static FAMILY: Family = Family {
    model_types: &["deberta-v2"],
    classes: &["DebertaV2"],
    prefix: "deberta",
    padding: 0,
    architecture: deberta,
};

fn deberta(settings: Settings) -> Result<Architecture> {
    let bert = bert::bert(settings)?;
    let heads = settings.count(&["num_attention_heads"], 24)?;
    let width = settings.count(&["hidden_size"], 1536)?;
    refuse_other_sizes(settings, heads, width)?;
    let kinds = kinds(settings)?;
    let relation = relation(settings, &kinds)?;
    let layer = layer(settings, &relation, kinds.len())?;
    let layers = settings.layers(&["num_hidden_layers"], 24)?;
    Ok(Architecture {
        heads,
        norms: Norms { eps: settings.eps("layer_norm_eps", 1e-7)?, bias: true },
        embeddings: embeddings(settings, width, bert.embeddings)?,
        distances: distances(settings, &relation)?,
        convolution: convolution(settings)?,
        stack: Stack::of("encoder.layer.", std::iter::repeat_n(layer, layers)),
        head: HeadPlan {
            dense: "pooler.dense",
            activation: settings.activation("pooler_hidden_act", "gelu")?,
            ..bert.head
        },
        ..bert
    })
}

/// An error if the configuration has a size with which transformers could not build the model.
fn refuse_other_sizes(settings: Settings, heads: usize, width: usize) -> Result<()> {
    let size = settings.count(&["attention_head_size"], width / heads)?;
    if size != width / heads {
        bail!(File, "\"attention_head_size\" is {size}: expected {}, the width over the heads", width / heads)
    }
    let pooled = settings.count(&["pooler_hidden_size"], width)?;
    if pooled != width {
        bail!(File, "\"pooler_hidden_size\" is {pooled}: expected {width}, the width of the layers")
    }
    Ok(())
}

/// Which products with distances `pos_att_type` asks for.
fn kinds(settings: Settings) -> Result<Vec<&'static str>> {
    let told = match settings.told(&["pos_att_type"]) {
        Some((_, Value::String(kinds))) => {
            kinds.to_lowercase().split('|').map(|kind| kind.trim().to_string()).collect()
        }
        _ => settings.texts("pos_att_type")?.unwrap_or_default().into_iter().map(str::to_string).collect::<Vec<_>>(),
    };
    Ok([QUERY_TO_DISTANCE, KEY_TO_DISTANCE].into_iter().filter(|kind| told.iter().any(|told| told == kind)).collect())
}

const QUERY_TO_DISTANCE: &str = "c2p";
const KEY_TO_DISTANCE: &str = "p2c";

fn relation(settings: Settings, kinds: &[&str]) -> Result<Relation> {
    if !settings.switch("relative_attention", false)? {
        return Ok(Relation::None);
    }
    let farthest = match settings.count_if_any("max_relative_positions")? {
        Some(told) => told,
        None => settings.count(&["max_position_embeddings"], 512)?,
    };
    let buckets = settings.count_if_any("position_buckets")?;
    if let Some(buckets) = buckets
        && (buckets < 2 || farthest <= buckets / 2 + 1)
    {
        bail!(
            File,
            "\"position_buckets\" is {buckets} for distances up to {farthest}: expected at least 2, and less than twice \
             the farthest distance"
        )
    }
    let asked = |kind, name| kinds.contains(&kind).then_some(name);
    Ok(Relation::Disentangled(Disentanglement {
        keys: asked(QUERY_TO_DISTANCE, "attention.self.pos_key_proj"),
        queries: asked(KEY_TO_DISTANCE, "attention.self.pos_query_proj"),
        shared: settings.switch("share_att_key", false)?,
        span: buckets.unwrap_or(farthest),
        farthest: buckets.map(|_| farthest),
    }))
}

/// The vectors of distances: one for each number from minus the span to the span.
fn distances(settings: Settings, relation: &Relation) -> Result<Option<DistancesPlan>> {
    let Relation::Disentangled(Disentanglement { span, .. }) = relation else { return Ok(None) };
    let norms = settings.text("norm_rel_ebd", "none")?.to_lowercase();
    let norm = norms.split('|').any(|norm| norm.trim() == "layer_norm").then_some("encoder.LayerNorm");
    Ok(Some(DistancesPlan::Vectors { table: "encoder.rel_embeddings", count: 2 * span, norm }))
}

fn layer(settings: Settings, relation: &Relation, kinds: usize) -> Result<LayerPlan> {
    let like_bert = bert::layer(settings)?;
    let names = ["attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"];
    let projections = ProjectionsPlan::Apart(names);
    let attention = AttentionPlan { projections, relation: relation.clone(), terms: 1 + kinds, ..like_bert.attention };
    Ok(LayerPlan { attention, ..like_bert })
}

fn embeddings(settings: Settings, width: usize, like_bert: EmbeddingsPlan) -> Result<EmbeddingsPlan> {
    let narrow = settings.count(&["embedding_size"], width)?;
    let placed = settings.switch("position_biased_input", true)?;
    let most = settings.count(&["max_position_embeddings"], 512)?;
    let typed = settings.count_if_any("type_vocab_size")?.is_some();
    Ok(EmbeddingsPlan {
        width: if narrow == width { "hidden_size" } else { "embedding_size" },
        positions: if placed { Positions::Counted } else { Positions::Nowhere(most) },
        token_types: if typed { TokenTypes::Known } else { TokenTypes::Ignored },
        projection: (narrow != width).then_some("embeddings.embed_proj"),
        blanks_padding: true,
        ..like_bert
    })
}

fn convolution(settings: Settings) -> Result<Option<ConvolutionPlan>> {
    let Some(kernel) = settings.count_if_any("conv_kernel_size")? else { return Ok(None) };
    if kernel.is_multiple_of(2) {
        bail!(
            File,
            "\"conv_kernel_size\" is {kernel}: expected an odd number, which leaves as many tokens as there are"
        )
    }
    Ok(Some(ConvolutionPlan {
        name: "encoder.conv",
        kernel,
        groups: settings.count(&["conv_groups"], 1)?,
        activation: settings.activation("conv_act", "tanh")?,
    }))
}
