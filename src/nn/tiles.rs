//! Products of matrices in `f32` that read weights where they lie.
//!
//! A tile of the product, some rows by a few vectors of columns, stays in registers while its terms are added. The left
//! matrix is read number by number, along its rows; the right one vector by vector. Weights `[out, in]` can be either:
//! for g·W they are on the right. For x·Wᵀ, whose transpose is W·xᵀ, they are on the left, and only x is copied, a few
//! columns of xᵀ at a time, unless W is smaller.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::matrices::{Matrix, Rows, Start};
use super::vectors::arch;

/// The most vectors side by side in a tile.
const VECTORS: usize = 3;
/// The most columns of a tile, for vectors of 64 bytes.
pub(super) const COLUMNS: usize = VECTORS * 16;
/// The terms that are added before a tile's sums are written. The vectors that they read stay in the second cache.
const TERMS: usize = 1024;
/// The panels, each of the columns of a tile, that are copied before they are read.
const PANELS: usize = 8;
/// The rows that are read again for each of these panels, and stay in the second cache.
const ROWS: usize = 96;
/// Panels that are read for no more rows than these are not copied.
const FEW_ROWS: usize = 64;

/// The terms of a column that are copied before those of the next.
const TERMS_COPIED: usize = 128;

thread_local! {
    static COPIED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// out = start + a·b: true, or false if another way must be taken, because rows of the left matrix are not together or the
/// processor has only small vectors. Every element must be in its slice.
pub(super) fn multiply(a: &Matrix<f32>, b: &Matrix<f32>, out: &mut Rows<f32>, start: Start<f32>) -> bool {
    let to = Tiles { values: &mut *out.values, stride: out.stride, turned: false };
    if a.column_stride == 1 && (b.column_stride == 1 || b.columns <= a.rows) {
        arch().dispatch(Product { a: *a, b: *b, out: to, start })
    } else if b.row_stride == 1 {
        let to = Tiles { turned: true, ..to };
        arch().dispatch(Product { a: b.turned(), b: a.turned(), out: to, start })
    } else {
        false
    }
}

/// A product whose left matrix has rows of numbers one after another.
struct Product<'a> {
    a: Matrix<'a, f32>,
    b: Matrix<'a, f32>,
    out: Tiles<'a>,
    start: Start<'a, f32>,
}

/// Where tiles go: rows `stride` apart, or columns if they are `turned`.
pub(super) struct Tiles<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) turned: bool,
}

/// Some columns of the right matrix: vectors `stride` numbers apart.
#[derive(Clone, Copy)]
struct Panel<'a> {
    values: &'a [f32],
    stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        // The sums of a tile, its vectors and one factor fill the registers.
        match size_of::<S::f32s>() / size_of::<f32>() {
            16 => self.compute::<S, 8>(simd),
            8 => self.compute::<S, 4>(simd),
            _ => return false,
        }
        true
    }
}

impl Product<'_> {
    #[inline(always)]
    fn compute<S: Simd, const HEIGHT: usize>(mut self, simd: S) {
        let mut copied = COPIED.take();
        let (depth, columns) = (self.a.columns, self.b.columns);
        let lanes = size_of::<S::f32s>() / size_of::<f32>();
        let (terms, width) = (depth.div_ceil(depth.div_ceil(TERMS)), VECTORS * lanes);
        for start in (0..depth).step_by(terms) {
            let terms = start..depth.min(start + terms);
            for start in (0..columns).step_by(PANELS * width) {
                let together = start..columns.min(start + PANELS * width);
                let in_place =
                    self.a.rows <= FEW_ROWS && self.b.column_stride == 1 && together.len().is_multiple_of(lanes);
                if !in_place {
                    copied.resize(copied.len().max(terms.len() * together.len().next_multiple_of(lanes)), 0.);
                    copy(&self.b, terms.clone(), together.clone(), (width, lanes), &mut copied);
                }
                for start in (0..self.a.rows).step_by(ROWS) {
                    let rows = start..self.a.rows.min(start + ROWS);
                    for start in together.clone().step_by(width) {
                        let columns = start..together.end.min(start + width);
                        let vectors = columns.len().div_ceil(lanes);
                        let panel = if in_place {
                            let values = &self.b.values[terms.start * self.b.row_stride + start..];
                            Panel { values, stride: self.b.row_stride }
                        } else {
                            let values = &copied[terms.len() * (start - together.start)..];
                            Panel { values, stride: vectors * lanes }
                        };
                        let at = (rows.clone(), terms.clone(), columns);
                        match vectors {
                            1 => self.column::<S, HEIGHT, 1>(simd, at, panel),
                            2 => self.column::<S, HEIGHT, 2>(simd, at, panel),
                            _ => self.column::<S, HEIGHT, VECTORS>(simd, at, panel),
                        }
                    }
                }
            }
            self.start = Start::There;
        }
        COPIED.set(copied);
    }

    /// Adds these terms to the tiles of these rows and columns.
    #[inline(always)]
    fn column<S: Simd, const HEIGHT: usize, const V: usize>(
        &mut self,
        simd: S,
        (rows, terms, columns): (Range<usize>, Range<usize>, Range<usize>),
        panel: Panel,
    ) {
        for first in rows.clone().step_by(HEIGHT) {
            let mut from = [&[][..]; HEIGHT];
            for (row, from) in (first..).zip(&mut from) {
                *from = &self.a.values[row.min(rows.end - 1) * self.a.row_stride..][terms.clone()];
            }
            let sums = tile::<S, HEIGHT, V>(simd, from, panel);
            self.out.write(&sums[..HEIGHT.min(rows.end - first)], first, columns.clone(), self.start);
        }
    }
}

/// Sums of products of numbers of each row and the vectors at the same place.
#[inline(always)]
fn tile<S: Simd, const HEIGHT: usize, const V: usize>(
    simd: S,
    rows: [&[f32]; HEIGHT],
    panel: Panel,
) -> [[f32; COLUMNS]; HEIGHT] {
    let mut sums = [[simd.splat_f32s(0.); V]; HEIGHT];
    let width = V * size_of::<S::f32s>() / size_of::<f32>();
    let terms = rows[0].len();
    for (term, start) in (0..terms).map(|term| (term, term * panel.stride)) {
        let (vectors, _) = S::as_simd_f32s(&panel.values[start..][..width]);
        let vectors: [S::f32s; V] = std::array::from_fn(|vector| vectors[vector]);
        for row in 0..HEIGHT {
            let factor = simd.splat_f32s(rows[row][..terms][term]);
            for vector in 0..V {
                sums[row][vector] = simd.mul_add_e_f32s(factor, vectors[vector], sums[row][vector]);
            }
        }
    }
    let mut numbers = [[0.; COLUMNS]; HEIGHT];
    for (numbers, sums) in numbers.iter_mut().zip(&sums) {
        let (vectors, _) = S::as_mut_simd_f32s(numbers);
        vectors[..V].copy_from_slice(sums);
    }
    numbers
}

/// Copies these columns of some terms of a matrix, panel after panel and in each term after term, with zeros up to whole
/// vectors. A panel has `width` columns, the last one those that are left.
#[inline(always)]
fn copy(
    b: &Matrix<f32>,
    terms: Range<usize>,
    columns: Range<usize>,
    (width, lanes): (usize, usize),
    copied: &mut [f32],
) {
    let values = &b.values[terms.start * b.row_stride + columns.start * b.column_stride..];
    let panels = (0..columns.len()).step_by(width);
    if b.column_stride == 1 {
        // Several rows at a time, as memory answers several requests as fast as one.
        for block in (0..terms.len()).step_by(8) {
            for start in panels.clone() {
                for term in block..terms.len().min(block + 8) {
                    let from = &values[term * b.row_stride..][start..columns.len().min(start + width)];
                    let padded = from.len().next_multiple_of(lanes);
                    let (to, rest) = copied[terms.len() * start + term * padded..][..padded].split_at_mut(from.len());
                    for (to, from) in to.iter_mut().zip(from) {
                        *to = *from;
                    }
                    rest.fill(0.);
                }
            }
        }
        return;
    }
    for start in panels {
        let count = width.min(columns.len() - start);
        let padded = count.next_multiple_of(lanes);
        let to = &mut copied[terms.len() * start..][..terms.len() * padded];
        // So many that they stay in the first cache.
        for (block, to) in to.chunks_mut(TERMS_COPIED * padded).enumerate() {
            for column in 0..count {
                let first = (start + column) * b.column_stride + block * TERMS_COPIED * b.row_stride;
                let from = values[first..].iter().step_by(b.row_stride);
                for (to, from) in to[column..].iter_mut().step_by(padded).zip(from) {
                    *to = *from;
                }
            }
            for column in count..padded {
                for to in to[column..].iter_mut().step_by(padded) {
                    *to = 0.;
                }
            }
        }
    }
}

impl Tiles<'_> {
    /// Writes the tile whose first row is `first`, added to what the sums begin with.
    #[inline(always)]
    pub(super) fn write(&mut self, tile: &[[f32; COLUMNS]], first: usize, columns: Range<usize>, start: Start<f32>) {
        if self.turned {
            for (index, column) in columns.enumerate() {
                let to = &mut self.values[column * self.stride + first..][..tile.len()];
                put(to, tile.iter().map(|row| row[index]), start, first);
            }
        } else {
            for (row, tile) in (first..).zip(tile) {
                let to = &mut self.values[row * self.stride..][columns.clone()];
                put(to, tile.iter().copied(), start, columns.start);
            }
        }
    }
}

/// Writes sums, the first of which is in this column, added to what they begin with.
#[inline(always)]
fn put(to: &mut [f32], sums: impl Iterator<Item = f32>, start: Start<f32>, column: usize) {
    match start {
        Start::Zero => to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum),
        Start::There => to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum),
        Start::Bias(bias) => {
            let bias = &bias[column..][..to.len()];
            to.iter_mut().zip(sums).zip(bias).for_each(|((to, sum), bias)| *to = sum + bias);
        }
    }
}
