//! What is added to the logits of attention: masks, and biases of distances.

use candle_core::{Result, Tensor};

/// Tensors `[batch or 1, heads or 1, tokens or 1, tokens]`.
pub(super) struct Additions<'a>(Vec<Addition<'a>>);

struct Addition<'a> {
    values: &'a [f32],
    /// How far apart examples, heads and queries are; 0 where all have the same.
    strides: [usize; 3],
    tokens: usize,
}

impl<'a> Additions<'a> {
    pub(super) fn of(tensors: &[Tensor], values: impl Fn(&Tensor) -> Result<&'a [f32]>) -> Result<Self> {
        let addition = |tensor: &Tensor| {
            let (examples, heads, queries, tokens) = tensor.dims4()?;
            let stride = |count: usize, stride: usize| if count == 1 { 0 } else { stride };
            Ok(Addition {
                values: values(tensor)?,
                strides: [
                    stride(examples, heads * queries * tokens),
                    stride(heads, queries * tokens),
                    stride(queries, tokens),
                ],
                tokens,
            })
        };
        Ok(Self(tensors.iter().map(addition).collect::<Result<_>>()?))
    }

    /// What is added for this query, over the keys.
    #[inline(always)]
    pub(super) fn rows(&self, example: usize, head: usize, query: usize) -> impl Iterator<Item = &[f32]> {
        self.0.iter().map(move |addition| {
            let [of_example, of_head, of_query] = addition.strides;
            &addition.values[example * of_example + head * of_head + query * of_query..][..addition.tokens]
        })
    }
}
