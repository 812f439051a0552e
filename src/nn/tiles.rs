//! Products of matrices in `f32` that read weights where they lie.
//!
//! A tile of the product, some rows by a few vectors of columns, stays in registers while its terms are added. The left
//! matrix is read number by number, along its rows; the right one vector by vector. Weights `[out, in]` can be either:
//! for g·W they are on the right. For x·Wᵀ, whose transpose is W·xᵀ, they are on the left, and only the smaller x is
//! copied, a few columns of xᵀ at a time.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::matrices::{Matrix, Rows};

/// The most vectors side by side in a tile.
const VECTORS: usize = 3;
/// The most columns of a tile, for vectors of 64 bytes.
const COLUMNS: usize = VECTORS * 16;
/// The terms that are added before a tile's sums are written, so that the vectors they read stay in the second cache.
const TERMS: usize = 1024;
/// The terms that are copied of one column before those of the next.
const COPIED: usize = 16;

thread_local! {
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// out = a·b, or out + a·b if the product is `added`: true, or false if another way must be taken, because rows of the
/// left matrix are not together or the processor has only small vectors. Every element must be in its slice.
pub(super) fn multiply(a: &Matrix<f32>, b: &Matrix<f32>, out: &mut Rows<f32>, added: bool) -> bool {
    let to = Tiles { values: &mut *out.values, stride: out.stride, turned: false };
    if a.column_stride == 1 && b.column_stride == 1 {
        Arch::new().dispatch(Product { a: *a, b: *b, out: to, added })
    } else if b.row_stride == 1 {
        let to = Tiles { turned: true, ..to };
        Arch::new().dispatch(Product { a: b.turned(), b: a.turned(), out: to, added })
    } else {
        false
    }
}

/// A product whose left matrix has rows of numbers one after another.
struct Product<'a> {
    a: Matrix<'a, f32>,
    b: Matrix<'a, f32>,
    out: Tiles<'a>,
    added: bool,
}

/// Where tiles go: rows `stride` apart, or columns if they are `turned`.
struct Tiles<'a> {
    values: &'a mut [f32],
    stride: usize,
    turned: bool,
}

/// Some columns of the right matrix, as vectors `stride` numbers apart.
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
    fn compute<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let mut copied = PANEL.take();
        let (depth, columns) = (self.a.columns, self.b.columns);
        let lanes = size_of::<S::f32s>() / size_of::<f32>();
        let terms = depth.div_ceil(depth.div_ceil(TERMS));
        for start in (0..depth).step_by(terms) {
            let terms = start..depth.min(start + terms);
            for first in (0..columns).step_by(VECTORS * lanes) {
                let columns = first..columns.min(first + VECTORS * lanes);
                let vectors = columns.len().div_ceil(lanes);
                let panel = panel(&self.b, terms.clone(), columns.clone(), vectors * lanes, &mut copied);
                match vectors {
                    1 => self.column::<S, ROWS, 1>(simd, terms.clone(), columns, panel),
                    2 => self.column::<S, ROWS, 2>(simd, terms.clone(), columns, panel),
                    _ => self.column::<S, ROWS, VECTORS>(simd, terms.clone(), columns, panel),
                }
            }
            self.added = true;
        }
        PANEL.set(copied);
    }

    /// Adds these terms to all tiles of these columns.
    #[inline(always)]
    fn column<S: Simd, const ROWS: usize, const V: usize>(
        &mut self,
        simd: S,
        terms: Range<usize>,
        columns: Range<usize>,
        panel: Panel,
    ) {
        for first in (0..self.a.rows).step_by(ROWS) {
            let last = self.a.rows - 1;
            let mut from = [&[][..]; ROWS];
            for (row, from) in from.iter_mut().enumerate() {
                *from = &self.a.values[(first + row).min(last) * self.a.row_stride..][terms.clone()];
            }
            let sums = tile::<S, ROWS, V>(simd, from, panel);
            let rows = ROWS.min(self.a.rows - first);
            self.out.write(&sums[..rows], first, columns.clone(), self.added);
        }
    }
}

/// Sums of products of numbers of each row and the vectors at the same place.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const V: usize>(
    simd: S,
    rows: [&[f32]; ROWS],
    panel: Panel,
) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.); V]; ROWS];
    let width = V * size_of::<S::f32s>() / size_of::<f32>();
    let terms = rows[0].len();
    for term in 0..terms {
        let (vectors, _) = S::as_simd_f32s(&panel.values[term * panel.stride..][..width]);
        let vectors: [S::f32s; V] = std::array::from_fn(|vector| vectors[vector]);
        for row in 0..ROWS {
            let factor = simd.splat_f32s(rows[row][..terms][term]);
            for vector in 0..V {
                sums[row][vector] = simd.mul_add_e_f32s(factor, vectors[vector], sums[row][vector]);
            }
        }
    }
    let mut numbers = [[0.; COLUMNS]; ROWS];
    for (numbers, sums) in numbers.iter_mut().zip(&sums) {
        let (vectors, _) = S::as_mut_simd_f32s(numbers);
        vectors[..V].copy_from_slice(sums);
    }
    numbers
}

/// These columns of the terms of a matrix, with zeros up to `width`: where they lie if they can be read there, or
/// copied.
#[inline(always)]
fn panel<'a>(
    b: &Matrix<'a, f32>,
    terms: Range<usize>,
    columns: Range<usize>,
    width: usize,
    copied: &'a mut Vec<f32>,
) -> Panel<'a> {
    let start = terms.start * b.row_stride + columns.start * b.column_stride;
    let values = &b.values[start..];
    if b.column_stride == 1 && columns.len() == width {
        return Panel { values, stride: b.row_stride };
    }
    copied.resize(copied.len().max(terms.len() * width), 0.);
    for (block, to) in copied[..terms.len() * width].chunks_mut(COPIED * width).enumerate() {
        let count = to.len() / width;
        for column in 0..width {
            if column >= columns.len() {
                for term in 0..count {
                    to[term * width + column] = 0.;
                }
                continue;
            }
            let from = &values[column * b.column_stride + block * COPIED * b.row_stride..];
            if b.row_stride == 1 {
                let from = &from[..count];
                for term in 0..count {
                    to[term * width + column] = from[term];
                }
            } else {
                for term in 0..count {
                    to[term * width + column] = from[term * b.row_stride];
                }
            }
        }
    }
    Panel { values: copied, stride: width }
}

impl Tiles<'_> {
    /// Writes the tile whose first row is `first`, or adds it.
    #[inline(always)]
    fn write(&mut self, tile: &[[f32; COLUMNS]], first: usize, columns: Range<usize>, added: bool) {
        if self.turned {
            for (index, column) in columns.enumerate() {
                let to = &mut self.values[column * self.stride + first..][..tile.len()];
                for (to, row) in to.iter_mut().zip(tile) {
                    put(to, row[index], added);
                }
            }
        } else {
            for (row, tile) in (first..).zip(tile) {
                let to = &mut self.values[row * self.stride..][columns.clone()];
                for (to, sum) in to.iter_mut().zip(tile) {
                    put(to, *sum, added);
                }
            }
        }
    }
}

#[inline(always)]
fn put(to: &mut f32, sum: f32, added: bool) {
    *to = if added { *to + sum } else { sum };
}
