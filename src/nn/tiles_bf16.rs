//! Products of matrices in `f32` whose numbers are rounded to bf16, where the processor multiplies these.
//!
//! One instruction multiplies two neighbours of the summed axis by two others, and adds both products to a sum in `f32`. So
//! both matrices are rounded, some rows and columns at a time, into pairs of bf16 along that axis. As in
//! [`tiles`](super::tiles), a tile of the product stays in registers while its terms are added, and weights can be on
//! either side. AVX-512 BF16 is used; AMX would be faster, but Rust has no stable functions for it.

#[cfg(target_arch = "x86_64")]
use self::avx512::{are_multiplied, product};
use super::matrices::{Matrix, Rows, Start};
use super::vectors::are_off;

/// Whether this processor multiplies bf16.
pub(super) fn is_there() -> bool {
    !are_off() && are_multiplied()
}

/// out = start + a·b, of numbers rounded to bf16: true, or false where the processor does not multiply these, or the terms of
/// the left matrix do not lie one after another. Every element must be in its slice.
pub(super) fn multiply(a: &Matrix<f32>, b: &Matrix<f32>, out: &mut Rows<f32>, start: Start<f32>) -> bool {
    is_there() && product(a, b, out, start)
}

#[cfg(not(target_arch = "x86_64"))]
fn are_multiplied() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn product(_: &Matrix<f32>, _: &Matrix<f32>, _: &mut Rows<f32>, _: Start<f32>) -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_permutexvar_epi16, _mm512_setzero_ps,
    };
    use std::cell::RefCell;
    use std::mem::transmute;
    use std::ops::Range;

    use crate::nn::matrices::{Matrix, Rows, Start};
    use crate::nn::tiles::{COLUMNS, Tiles};

    /// The pairs in a vector.
    const LANES: usize = 16;
    /// The rows of a tile: with three vectors of columns, its sums, the vectors and one factor fill the registers.
    const HEIGHT: usize = 8;
    /// The pairs of terms that are added before a tile's sums are written.
    const PAIRS: usize = 1024;
    /// The panels, each of the columns of a tile, that are rounded before they are read.
    const PANELS: usize = 8;
    /// The rows that are rounded, and read for each of these panels.
    const ROWS: usize = 96;
    /// The pairs of a column that are rounded before those of the next.
    const PAIRS_ROUNDED: usize = 64;

    thread_local! {
        static ROUNDED: RefCell<[Vec<u32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
    }

    pub(super) fn are_multiplied() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }

    /// The product: true, or false where the processor has no such instructions.
    pub(super) fn product(a: &Matrix<f32>, b: &Matrix<f32>, out: &mut Rows<f32>, start: Start<f32>) -> bool {
        let to = Tiles { values: &mut *out.values, stride: out.stride, turned: false };
        let product = match (a.column_stride, b.row_stride, b.column_stride) {
            (1, _, 1) => Product { a: *a, b: *b, out: to, start },
            (1, 1, _) => Product { a: b.turned(), b: a.turned(), out: Tiles { turned: true, ..to }, start },
            _ => return false,
        };
        let there = are_multiplied();
        if there {
            // SAFETY: the processor has the instructions.
            unsafe { product.compute() };
        }
        there
    }

    struct Product<'a> {
        a: Matrix<'a, f32>,
        b: Matrix<'a, f32>,
        out: Tiles<'a>,
        start: Start<'a, f32>,
    }

    impl Product<'_> {
        #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
        fn compute(mut self) {
            let [mut left, mut panels] = ROUNDED.take();
            let (depth, columns) = (self.a.columns, self.b.columns);
            let blocks = depth.div_ceil(2 * PAIRS);
            let terms = depth.div_ceil(blocks).next_multiple_of(2);
            for start in (0..depth).step_by(terms) {
                let terms = start..depth.min(start + terms);
                let pairs = terms.len().div_ceil(2);
                for start in (0..columns).step_by(PANELS * COLUMNS) {
                    let together = start..columns.min(start + PANELS * COLUMNS);
                    panels.resize(panels.len().max(pairs * together.len().next_multiple_of(LANES)), 0);
                    round_panels(&self.b, terms.clone(), together.clone(), &mut panels);
                    for start in (0..self.a.rows).step_by(ROWS) {
                        let rows = start..self.a.rows.min(start + ROWS);
                        left.resize(left.len().max(pairs * rows.len()), 0);
                        for (row, to) in rows.clone().zip(left.chunks_exact_mut(pairs)) {
                            round_terms(&self.a, row, terms.clone(), to);
                        }
                        for start in together.clone().step_by(COLUMNS) {
                            let columns = start..together.end.min(start + COLUMNS);
                            let panel = &panels[pairs * (start - together.start)..];
                            match columns.len().div_ceil(LANES) {
                                1 => self.column::<1>(rows.clone(), columns, (&left, pairs), panel),
                                2 => self.column::<2>(rows.clone(), columns, (&left, pairs), panel),
                                _ => self.column::<3>(rows.clone(), columns, (&left, pairs), panel),
                            }
                        }
                    }
                }
                self.start = Start::There;
            }
            ROUNDED.set([left, panels]);
        }

        /// Adds these pairs of terms to the tiles of these rows and columns.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
        fn column<const V: usize>(
            &mut self,
            rows: Range<usize>,
            columns: Range<usize>,
            (left, pairs): (&[u32], usize),
            panel: &[u32],
        ) {
            for first in (0..rows.len()).step_by(HEIGHT) {
                let mut from = [&[][..]; HEIGHT];
                for (row, from) in (first..).zip(&mut from) {
                    *from = &left[row.min(rows.len() - 1) * pairs..][..pairs];
                }
                let sums = tile::<V>(from, panel);
                let height = HEIGHT.min(rows.len() - first);
                self.out.write(&sums[..height], rows.start + first, columns.clone(), self.start);
            }
        }
    }

    /// Sums of products of the pairs of each row and the vectors of pairs at the same place.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn tile<const V: usize>(rows: [&[u32]; HEIGHT], panel: &[u32]) -> [[f32; COLUMNS]; HEIGHT] {
        let mut sums = [[_mm512_setzero_ps(); V]; HEIGHT];
        let pairs = rows[0].len();
        let (vectors, _) = panel.as_chunks::<LANES>();
        for (pair, from) in vectors.chunks_exact(V).take(pairs).enumerate() {
            let mut vectors = [bits(&[0; LANES]); V];
            for (vector, from) in vectors.iter_mut().zip(from) {
                *vector = bits(from);
            }
            for row in 0..HEIGHT {
                let factor = bits(&[rows[row][..pairs][pair]; LANES]);
                for vector in 0..V {
                    sums[row][vector] = _mm512_dpbf16_ps(sums[row][vector], factor, vectors[vector]);
                }
            }
        }
        let mut numbers = [[0.; COLUMNS]; HEIGHT];
        for (numbers, sums) in numbers.iter_mut().zip(&sums) {
            for (to, sum) in numbers.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
                *to = sums_of(*sum);
            }
        }
        numbers
    }

    /// Rounds these terms of a row, in pairs, with a zero behind an odd last one.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn round_terms(a: &Matrix<f32>, row: usize, terms: Range<usize>, to: &mut [u32]) {
        let first = row * a.row_stride + terms.start * a.column_stride;
        let (whole, rest) = a.values[first..first + terms.len()].as_chunks::<{ 2 * LANES }>();
        let (vectors, last) = to.split_at_mut(whole.len() * LANES);
        for (to, from) in vectors.as_chunks_mut::<LANES>().0.iter_mut().zip(whole) {
            *to = neighbours(from);
        }
        let mut padded = [0.; 2 * LANES];
        padded[..rest.len()].copy_from_slice(rest);
        last.copy_from_slice(&neighbours(&padded)[..last.len()]);
    }

    /// Rounds these columns of some terms of a matrix, panel after panel and in each pair after pair, with zeros up to whole
    /// vectors.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn round_panels(b: &Matrix<f32>, terms: Range<usize>, columns: Range<usize>, panels: &mut [u32]) {
        if b.column_stride != 1 {
            return round_turned(&b.turned(), terms, columns, panels);
        }
        let pairs = terms.len().div_ceil(2);
        for (index, term) in terms.clone().step_by(2).enumerate() {
            let row = |term: usize| &b.values[term * b.row_stride + columns.start..][..columns.len()];
            let (one, other) = (row(term), if term + 1 < terms.end { row(term + 1) } else { &[] });
            for start in (0..columns.len()).step_by(COLUMNS) {
                let padded = COLUMNS.min(columns.len() - start).next_multiple_of(LANES);
                let to = &mut panels[pairs * start + index * padded..][..padded];
                for (to, first) in to.as_chunks_mut::<LANES>().0.iter_mut().zip((start..).step_by(LANES)) {
                    *to = side_by_side(&beginning(one, first), &beginning(other, first));
                }
            }
        }
    }

    /// The same of a matrix that is given with rows and columns exchanged.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn round_turned(turned: &Matrix<f32>, terms: Range<usize>, columns: Range<usize>, panels: &mut [u32]) {
        let pairs = terms.len().div_ceil(2);
        let mut rounded = [0; PAIRS_ROUNDED];
        for start in (0..columns.len()).step_by(COLUMNS) {
            let count = COLUMNS.min(columns.len() - start);
            let padded = count.next_multiple_of(LANES);
            let to = &mut panels[pairs * start..][..pairs * padded];
            for (block, to) in to.chunks_mut(PAIRS_ROUNDED * padded).enumerate() {
                let first = terms.start + 2 * block * PAIRS_ROUNDED;
                let terms = first..terms.end.min(first + 2 * PAIRS_ROUNDED);
                let rounded = &mut rounded[..terms.len().div_ceil(2)];
                for column in 0..count {
                    round_terms(turned, columns.start + start + column, terms.clone(), rounded);
                    for (to, from) in to[column..].iter_mut().step_by(padded).zip(rounded.iter()) {
                        *to = *from;
                    }
                }
                for column in count..padded {
                    to[column..].iter_mut().step_by(padded).for_each(|to| *to = 0);
                }
            }
        }
    }

    /// As many numbers from this one on as a vector has, with zeros behind the last.
    #[inline(always)]
    fn beginning(values: &[f32], first: usize) -> [f32; LANES] {
        let from = values.get(first..).unwrap_or_default();
        from.first_chunk().copied().unwrap_or_else(|| {
            let mut padded = [0.; LANES];
            padded[..from.len()].copy_from_slice(from);
            padded
        })
    }

    /// Each two neighbours, rounded.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn neighbours(numbers: &[f32; 2 * LANES]) -> [u32; LANES] {
        let (halves, _) = numbers.as_chunks::<LANES>();
        let rounded = _mm512_cvtne2ps_pbh(vector(&halves[1]), vector(&halves[0]));
        // SAFETY: both types are 64 bytes, and any bits are a number.
        unsafe { transmute::<__m512bh, [u32; LANES]>(rounded) }
    }

    /// Each number of one vector beside that of the other, rounded.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn side_by_side(one: &[f32; LANES], other: &[f32; LANES]) -> [u32; LANES] {
        /// Numbers by turns of the lower and of the upper half, in 16 bits each.
        const BY_TURNS: [u32; LANES] = {
            let (mut order, mut lane) = ([0; LANES], 0);
            while lane < LANES {
                order[lane] = (lane | (lane + LANES) << 16) as u32;
                lane += 1;
            }
            order
        };
        let rounded = _mm512_cvtne2ps_pbh(vector(other), vector(one));
        // SAFETY: all types are 64 bytes, and any bits are a number.
        unsafe {
            let order = transmute::<[u32; LANES], __m512i>(BY_TURNS);
            let rounded = transmute::<__m512bh, __m512i>(rounded);
            transmute::<__m512i, [u32; LANES]>(_mm512_permutexvar_epi16(order, rounded))
        }
    }

    /// A vector of pairs.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn bits(pairs: &[u32; LANES]) -> __m512bh {
        // SAFETY: both types are 64 bytes, and any bits are numbers.
        unsafe { transmute::<[u32; LANES], __m512bh>(*pairs) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn vector(numbers: &[f32; LANES]) -> __m512 {
        // SAFETY: both types are 64 bytes, and any bits are a number.
        unsafe { transmute::<[f32; LANES], __m512>(*numbers) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn sums_of(vector: __m512) -> [f32; LANES] {
        // SAFETY: both types are 64 bytes, and any bits are a number.
        unsafe { transmute::<__m512, [f32; LANES]>(vector) }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;
    use crate::cores;
    use crate::nn::Precision;
    use crate::seed::Seed;

    fn numbers(count: usize, seed: Seed) -> Vec<f32> {
        seed.uniform(-1., 1.).take(count).map(|x| x as f32).collect()
    }

    /// The nearest bf16 of each, by candle.
    fn rounded(values: &[f32]) -> Vec<f64> {
        let tensor = Tensor::new(values, &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap();
        tensor.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
    }

    /// A product of these sizes with weights on the right, as they lie or turned, and what it begins with; beside the same in
    /// `f64`, of numbers that were rounded before.
    fn check([rows, depth, columns]: [usize; 3], turned: bool, start: u32, seed: Seed) {
        let (stride, width) = (depth + 3, columns + 2);
        let a = numbers(rows * stride, seed.child(1));
        let b = numbers(depth * columns, seed.child(2));
        let bias = numbers(columns, seed.child(3));
        let before = numbers(rows * width, seed.child(4));
        let of_a = Matrix { values: &a, rows, columns: depth, row_stride: stride, column_stride: 1 };
        let of_b = match turned {
            true => Matrix::of_rows(&b, columns, depth).turned(),
            false => Matrix::of_rows(&b, depth, columns),
        };
        let start = [Start::Zero, Start::There, Start::Bias(&bias)][start as usize % 3];
        let product = || {
            let mut out = before.clone();
            Precision::Bf16.multiply(&of_a, &of_b, Rows { values: &mut out, stride: width }, start).unwrap();
            out
        };
        let out = product();
        assert_eq!(out, cores::beside_others(product), "on one core");
        let (wide_a, wide_b) = (rounded(&a), rounded(&b));
        for row in 0..rows {
            for column in 0..width {
                let at = row * width + column;
                if column >= columns {
                    assert_eq!(out[at], before[at]);
                    continue;
                }
                let of = |term: usize| if turned { column * depth + term } else { term * columns + column };
                let terms = (0..depth).map(|term| wide_a[row * stride + term] * wide_b[of(term)]);
                let first = match start {
                    Start::Zero => 0.,
                    Start::There => f64::from(before[at]),
                    Start::Bias(bias) => f64::from(bias[column]),
                };
                let (sum, size) = terms.fold((first, first.abs()), |(sum, size), term| (sum + term, size + term.abs()));
                let apart = (f64::from(out[at]) - sum).abs();
                assert!(apart <= 1e-6 * size, "{rows} {depth} {columns} {turned}: {} for {sum}", out[at]);
            }
        }
    }

    #[test]
    fn only_sums_round_in_products_of_any_shape() {
        if !is_there() {
            return;
        }
        for seed in 0..150 {
            let seed = Seed(seed);
            let mut draw = seed.uniform(0., 1.);
            let mut below = |count: usize| (draw.next().unwrap() * count as f64) as usize;
            let shape = [1 + below(130), 1 + below(90), 1 + below(120)];
            check(shape, below(2) == 1, below(3) as u32, seed.child(1));
        }
        for turned in [false, true] {
            check([3, 4099, 50], turned, 1, Seed(1));
            check([300, 70, 500], turned, 2, Seed(2));
        }
    }

    #[test]
    fn numbers_round_to_the_nearest_bf16() {
        if !is_there() {
            return;
        }
        let half = 1. / 256.;
        let halves = [1. + half, 1. + 3. * half, -1. - half, 1. + half + f32::EPSILON];
        let halves = [&halves[..], &[3.4e38, -3.4e38, 0., -0., f32::INFINITY, 1e-30]].concat();
        let values = [halves, numbers(500, Seed(1))].concat();
        let one = |values: &[f32]| {
            let mut out = vec![0.; values.len()];
            let (a, b) = (Matrix::of_rows(values, values.len(), 1), Matrix::of_rows(&[1.], 1, 1));
            assert!(multiply(&a, &b, &mut Rows { values: &mut out, stride: 1 }, Start::Zero));
            out
        };
        for (ours, right) in one(&values).iter().zip(rounded(&values)) {
            assert_eq!(f64::from(*ours), right);
        }
        let none = [f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xffff_ffff)];
        assert!(one(&none).iter().all(|x| x.is_nan()));
    }
}
