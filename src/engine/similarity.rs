//! How much a sample of Lime counts: the more, the more it is like the example.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use super::host::host_row;
use super::{Coalitions, Features};
use crate::error::{Result, bail};

/// How much a sample counts in [`Lime`](crate::attr::Lime): a kernel of its distance d from the example, over the
/// numbers of all inputs, or a closure.
#[derive(Clone)]
pub enum Similarity {
    /// exp(−d²/2w²) of the cosine distance d, 1 − cos(x, x′).
    Cosine {
        /// The width w, above 0.
        width: f64,
    },
    /// exp(−d²/2w²) of the Euclidean distance d, |x − x′|.
    Euclidean {
        /// The width w, above 0.
        width: f64,
    },
    /// What a closure says; see [`Similarity::custom`].
    Custom(Kernel),
}

type Kernel = Arc<dyn Fn(&Neighbour) -> f64 + Send + Sync>;

/// A sample of Lime beside its example.
#[derive(Clone, Copy, Debug)]
pub struct Neighbour<'a> {
    /// Which features are present.
    pub present: &'a [bool],
    /// 1 − cos(x, x′).
    pub cosine_distance: f64,
    /// |x − x′|.
    pub euclidean_distance: f64,
}

impl Similarity {
    /// The similarity that a closure gives, a finite number that is not negative.
    ///
    /// ```
    /// use candle_explain::engine::Similarity;
    ///
    /// let share = Similarity::custom(|sample| {
    ///     sample.present.iter().filter(|present| **present).count() as f64 / sample.present.len() as f64
    /// });
    /// # let _ = share;
    /// ```
    pub fn custom(similarity: impl Fn(&Neighbour) -> f64 + Send + Sync + 'static) -> Self {
        Similarity::Custom(Arc::new(similarity))
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Similarity::Cosine { width } | Similarity::Euclidean { width } if !(*width > 0. && width.is_finite()) => {
                bail!(Input, "the width of the similarity is {width}: expected a finite number above 0")
            }
            _ => Ok(()),
        }
    }

    fn of(&self, neighbour: &Neighbour) -> f64 {
        let kernel = |distance: f64, width: f64| (-distance * distance / (2. * width * width)).exp();
        match self {
            Similarity::Cosine { width } => kernel(neighbour.cosine_distance, *width),
            Similarity::Euclidean { width } => kernel(neighbour.euclidean_distance, *width),
            Similarity::Custom(similarity) => similarity(neighbour),
        }
    }
}

impl Default for Similarity {
    /// Captum's: the cosine kernel of width 1.
    fn default() -> Self {
        Similarity::Cosine { width: 1. }
    }
}

impl Debug for Similarity {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Similarity::Cosine { width } => f.debug_struct("Cosine").field("width", width).finish(),
            Similarity::Euclidean { width } => f.debug_struct("Euclidean").field("width", width).finish(),
            Similarity::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// What the distances between an example and its samples are made of: sums over each feature's elements.
pub(super) struct Products {
    /// Those for each baseline; after the features, the elements of no feature.
    of_baselines: Vec<Vec<Product>>,
}

/// Sums over the elements x of an example and b of its baseline.
#[derive(Clone, Copy, Default)]
struct Product {
    own: f64,
    crossed: f64,
    other: f64,
    apart: f64,
}

impl Coalitions<'_> {
    /// The products of an example and its baselines.
    pub(super) fn products(&self, example: usize) -> Result<Products> {
        let row = |tensors: &[candle_core::Tensor], row: usize| {
            let rows =
                tensors.iter().map(|tensor| tensor.narrow(0, row, 1)).collect::<candle_core::Result<Vec<_>>>()?;
            host_row(&rows)
        };
        let point = row(self.points(), example)?;
        let starts = self.starts(example).into_iter().map(|(tensors, start)| row(tensors, start));
        let of_baseline = |start: Vec<f64>| products(self.feature_ids(), example, &point, &start);
        Ok(Products { of_baselines: starts.map(|start| Ok(of_baseline(start?))).collect::<Result<_>>()? })
    }
}

fn products(features: &Features, example: usize, point: &[f64], start: &[f64]) -> Vec<Product> {
    let mut products = vec![Product::default(); features.count() + 1];
    for ((feature, x), b) in features.of_elements(example).zip(point).zip(start) {
        let product = &mut products[feature.unwrap_or(features.count())];
        product.own += x * x;
        product.crossed += x * b;
        product.other += b * b;
        product.apart += (x - b) * (x - b);
    }
    products
}

impl Products {
    /// The similarity of the example and a sample of it; of several baselines the mean.
    pub(super) fn similarity(&self, present: &[bool], similarity: &Similarity) -> f64 {
        let of_baseline = |products: &Vec<Product>| similarity.of(&neighbour(products, present));
        self.of_baselines.iter().map(of_baseline).sum::<f64>() / self.of_baselines.len() as f64
    }
}

fn neighbour<'a>(products: &[Product], present: &'a [bool]) -> Neighbour<'a> {
    let (mut own, mut dot, mut other, mut apart) = (0., 0., 0., 0.);
    for (product, present) in products.iter().zip(present.iter().chain([&true])) {
        own += product.own;
        dot += if *present { product.own } else { product.crossed };
        other += if *present { product.own } else { product.other };
        apart += if *present { 0. } else { product.apart };
    }
    // A vector of zeros has no direction; as in PyTorch its cosine with any other is 0.
    let cosine = dot / (own * other).sqrt().max(1e-8);
    Neighbour { present, cosine_distance: 1. - cosine, euclidean_distance: apart.sqrt() }
}
