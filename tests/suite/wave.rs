//! Numbers that are the same everywhere.

use candle_explain::prelude::*;

/// scale · sin(1.3 i + phase) in row-major order, f32.
pub fn wave(shape: &[usize], phase: f64, scale: f64) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (scale * (1.3 * i as f64 + phase).sin()) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}
