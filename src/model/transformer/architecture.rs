//! What an encoder is made of, under the names that its weights have.

use super::nonlinearity::Nonlinearity;

/// An encoder with its head, as a configuration describes it. Names of weights are those of the checkpoint without
/// the family's prefix, those of a layer without the layer's name too.
#[derive(Clone, Debug)]
pub(super) struct Architecture {
    pub(super) heads: usize,
    pub(super) norms: Norms,
    pub(super) embeddings: EmbeddingsPlan,
    /// The dense layer from the embeddings' width to that of the layers.
    pub(super) projection: Option<&'static str>,
    pub(super) distances: Option<DistancesPlan>,
    /// How far a layer sees if it sees only near tokens.
    pub(super) window: Option<usize>,
    pub(super) convolution: Option<ConvolutionPlan>,
    pub(super) stack: Stack,
    /// The norm after the last layer.
    pub(super) last_norm: Option<&'static str>,
    pub(super) head: HeadPlan,
}

/// What all layer norms of an encoder have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norms {
    pub(super) eps: f64,
    pub(super) bias: bool,
}

/// The tables that turn token ids and their places into vectors.
#[derive(Clone, Debug)]
pub(super) struct EmbeddingsPlan {
    pub(super) words: &'static str,
    /// The key of the tables' width in `config.json`.
    pub(super) width: &'static str,
    pub(super) positions: Positions,
    pub(super) token_types: TokenTypes,
    /// The dense layer without a bias before the norm.
    pub(super) projection: Option<&'static str>,
    pub(super) norm: &'static str,
    /// Whether padding is 0 after the norm, and attends to all tokens alike.
    pub(super) blanks_padding: bool,
}

/// How the encoder treats token types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenTypes {
    /// There is a table of them.
    Known,
    /// They are accepted but change nothing.
    Ignored,
    /// Only 0 is accepted.
    Refused,
}

/// How a token's place enters its embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Positions {
    /// Places are counted from 0.
    Counted,
    /// Tokens with this id (padding) have it as their place; the others are counted from the next number on.
    Behind(u32),
    /// Not at all; a text has at most this many tokens.
    Nowhere(usize),
}

/// What attention knows about the distance of two tokens, shared by all layers.
#[derive(Clone, Debug)]
pub(super) enum DistancesPlan {
    /// A number for each bucket of distances and each head, added to the logits.
    Biases { table: &'static str, buckets: usize },
    /// A vector for each distance.
    Vectors { table: &'static str, count: usize, norm: Option<&'static str> },
}

/// A convolution over the embeddings that is added to the first layer's output.
#[derive(Clone, Debug)]
pub(super) struct ConvolutionPlan {
    pub(super) name: &'static str,
    pub(super) kernel: usize,
    pub(super) groups: usize,
    pub(super) activation: Nonlinearity,
}

/// The passes through layers, from the lowest.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) passes: Vec<Pass>,
    /// What the names of numbered weights begin with, and how many of them there may be.
    pub(super) counted: Vec<(String, usize)>,
}

/// One pass through a layer. Several can go through the same weights.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    /// The name by which the pass is known to methods.
    pub(super) name: String,
    /// What the names of the layer's weights begin with, without the dot.
    pub(super) weights: String,
    pub(super) layer: LayerPlan,
}

impl Stack {
    /// Passes through layers with weights of their own, named like those.
    pub(super) fn of(prefix: &str, layers: impl IntoIterator<Item = LayerPlan>) -> Self {
        let pass = |(index, layer)| {
            let name = format!("{prefix}{index}");
            Pass { weights: name.clone(), name, layer }
        };
        let passes: Vec<Pass> = layers.into_iter().enumerate().map(pass).collect();
        Self { counted: vec![(prefix.to_string(), passes.len())], passes }
    }
}

/// What a layer is made of.
#[derive(Clone, Debug)]
pub(super) struct LayerPlan {
    pub(super) attention: AttentionPlan,
    pub(super) attention_norm: Option<&'static str>,
    pub(super) feed_forward: FeedForwardPlan,
    pub(super) output_norm: &'static str,
    /// Whether the norms come before attention and feed-forward network; otherwise they follow the residuals.
    pub(super) norms_first: bool,
}

/// Self-attention.
#[derive(Clone, Debug)]
pub(super) struct AttentionPlan {
    pub(super) projections: ProjectionsPlan,
    pub(super) output: &'static str,
    pub(super) bias: bool,
    pub(super) relation: Relation,
    /// How many products a logit is the sum of.
    pub(super) terms: usize,
    /// Whether a token sees only those within the window.
    pub(super) near: bool,
}

/// The dense layers that give queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProjectionsPlan {
    Apart([&'static str; 3]),
    /// One that gives all three, one after the other.
    Joined(&'static str),
}

/// How the places of two tokens influence how much one attends to the other.
#[derive(Clone, Debug)]
pub(super) enum Relation {
    /// Not at all.
    None,
    /// By the encoder's [`DistancesPlan::Biases`].
    Biased,
    /// Queries and keys are rotated by angles that grow with the place; this is the base of the frequencies.
    Rotary(f64),
    /// By the encoder's [`DistancesPlan::Vectors`].
    Disentangled(Disentanglement),
}

/// How the distance of two tokens enters their logit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disentanglement {
    /// The dense layer that gives the keys of distances, which are multiplied with queries.
    pub(super) keys: Option<&'static str>,
    /// The dense layer that gives the queries of distances, which are multiplied with keys.
    pub(super) queries: Option<&'static str>,
    /// Whether the dense layers of the tokens' keys and queries are used instead.
    pub(super) shared: bool,
    /// How many distances are distinguished on either side.
    pub(super) span: usize,
    /// The distance up to which far ones share a vector, by their logarithm; `None` if each has its own.
    pub(super) farthest: Option<usize>,
}

/// A feed-forward network.
#[derive(Clone, Debug)]
pub(super) struct FeedForwardPlan {
    pub(super) inner: &'static str,
    pub(super) output: &'static str,
    pub(super) bias: bool,
    /// The key of its width in `config.json`.
    pub(super) width: &'static str,
    pub(super) activation: Nonlinearity,
    /// Whether one half of the inner layer's output is the gate of the other half.
    pub(super) gated: bool,
}

/// A classification head. Names are those of the checkpoint, with the family's prefix where they have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadPlan {
    pub(super) pooling: Pooling,
    pub(super) dense: &'static str,
    pub(super) dense_bias: bool,
    pub(super) activation: Nonlinearity,
    pub(super) norm: Option<&'static str>,
    pub(super) logits: &'static str,
}

/// Which hidden state the head sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// That of the first token.
    First,
    /// The mean over the tokens that are not padding.
    Mean,
}

impl HeadPlan {
    /// The names of its layers.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        [Some(self.dense), self.norm, Some(self.logits)].into_iter().flatten()
    }
}
