//! Rotary positions: queries and keys are rotated by angles that grow with their places.

use candle_core::{D, Tensor};

use crate::error::Result;

/// The cosines and sines of the angles at each place, `[tokens, size / 2]`.
pub(super) struct Rotation {
    cosines: Tensor,
    sines: Tensor,
}

impl Rotation {
    /// The rotation for heads of this size, in the type of `like`. Angles have single precision, as in
    /// training: at a distant place, a finer computation would give visibly different ones.
    pub(super) fn of(base: f64, tokens: usize, size: usize, like: &Tensor) -> Result<Self> {
        let speed = |pair: usize| 1. / base.powf(f64::from((2 * pair) as f32 / size as f32)) as f32;
        let speeds: Vec<f32> = (0..size / 2).map(speed).collect();
        let angles = (0..tokens).flat_map(|place| speeds.iter().map(move |speed| f64::from(place as f32 * speed)));
        let angles: Vec<f64> = angles.collect();
        let table = |function: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|angle| function(*angle) as f32).collect();
            Tensor::from_vec(values, (tokens, size / 2), like.device())?.to_dtype(like.dtype())
        };
        Ok(Self { cosines: table(f64::cos)?, sines: table(f64::sin)? })
    }

    /// Rotates `[batch, heads, tokens, size]`: the two halves of a head are the two coordinates of the planes in which
    /// it is rotated.
    pub(super) fn turn(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let first = (a.broadcast_mul(&self.cosines)? - b.broadcast_mul(&self.sines)?)?;
        let second = (b.broadcast_mul(&self.cosines)? + a.broadcast_mul(&self.sines)?)?;
        Ok(Tensor::cat(&[first, second], D::Minus1)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn logits_depend_on_the_distance_alone() {
        let x = Tensor::new(&[[[[0.3f64, -0.7, 1.1, 0.4]; 6]]], &Device::Cpu).unwrap();
        let turned = Rotation::of(100., 6, 4, &x).unwrap().turn(&x).unwrap();
        let logits = turned.matmul(&turned.t().unwrap()).unwrap();
        let logits = logits.squeeze(0).unwrap().squeeze(0).unwrap().to_vec2::<f64>().unwrap();
        for place in 0..4 {
            assert!((logits[place][place + 2] - logits[0][2]).abs() < 1e-6);
            assert!((logits[place][place] - 1.95).abs() < 1e-6);
        }
        assert!((logits[0][1] - logits[0][2]).abs() > 1e-3);
    }
}
