//! Batches of texts of similar length.

use candle_core::{Device, Tensor};

use super::vocabulary::MASK;
use crate::error::Result;
use crate::model::Inputs;
use crate::seed::Seed;

/// How many batches are shuffled together, sorted by length, and divided again.
const POOL: usize = 32;
const PADDING: u32 = 1;
/// The ids below this one belong to special tokens.
const FIRST_WORD: u32 = 3;

/// The positions of the texts in batches of similar length; the batches are in random order.
pub(super) fn shuffled(lengths: &[usize], batch_size: usize, seed: Seed) -> Vec<Vec<usize>> {
    let order = seed.permutation(lengths.len());
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for pool in order.chunks(batch_size * POOL) {
        let mut pool = pool.to_vec();
        pool.sort_by_key(|&text| lengths[text]);
        batches.extend(pool.chunks(batch_size).map(<[usize]>::to_vec));
    }
    let order = seed.child(0).permutation(batches.len());
    order.into_iter().map(|index| std::mem::take(&mut batches[index])).collect()
}

/// Ids `[texts, tokens]` with their mask; a random share of the words is replaced by the mask token.
pub(super) fn inputs(texts: &[&Vec<u32>], left_out: f64, seed: Seed) -> Result<Inputs> {
    let longest = texts.iter().map(|ids| ids.len()).max().unwrap_or(0);
    let mut chances = seed.chances(left_out);
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for text in texts {
        for position in 0..longest {
            let id = text.get(position).copied();
            let hidden = id.is_some_and(|id| id >= FIRST_WORD) && chances.next() == Some(true);
            ids.push(if hidden { MASK } else { id.unwrap_or(PADDING) });
            mask.push(u32::from(id.is_some()));
        }
    }
    let shape = (texts.len(), longest);
    let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
    Ok(Inputs::from(Tensor::from_vec(ids, shape, &Device::Cpu)?).with_args([mask]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_batch() {
        let lengths: Vec<usize> = (0..500).map(|text| 1 + text * 7 % 40).collect();
        let batches = shuffled(&lengths, 16, Seed(5));
        let mut all = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
        assert_eq!(batches, shuffled(&lengths, 16, Seed(5)));
        assert_ne!(batches, shuffled(&lengths, 16, Seed(6)));
    }

    #[test]
    fn special_tokens_are_never_left_out() {
        let text = vec![0, 7, 8, 2];
        let input = inputs(&[&text, &vec![0, 2]], 1., Seed(1)).unwrap();
        assert_eq!(input.first().to_vec2::<u32>().unwrap(), [[0, MASK, MASK, 2], [0, 2, PADDING, PADDING]]);
        assert_eq!(input.args()[0].to_vec2::<u32>().unwrap(), [[1, 1, 1, 1], [1, 1, 0, 0]]);
    }
}
