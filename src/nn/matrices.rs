//! Products of matrices on the CPU, of any strides, on the cores that are free.

use candle_core::{CpuStorage, CustomOp2, Error, Layout, Result, Shape, Tensor};
use gemm::Parallelism;
use rayon::prelude::*;

use super::on_cpu::{is_fusible, map_storage};
use super::tiles;
use crate::cores;

/// Products of fewer multiplications than this are faster on one core.
const ALONE: usize = 1 << 18;

/// Products of fewer rows for each core are shared by columns.
const MANY_ROWS: usize = 128;

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    pub(super) values: &'a [T],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

/// The number types of products.
pub(super) trait Real: Copy + Send + Sync + 'static {
    const ZERO: Self;
    const ONE: Self;

    /// The product by tiles of this type, on one core: whether there are any, and they can take these matrices.
    fn in_tiles(_a: &Matrix<Self>, _b: &Matrix<Self>, _out: &mut Rows<Self>, _start: Start<Self>) -> bool {
        false
    }
}

impl Real for f32 {
    const ZERO: Self = 0.;
    const ONE: Self = 1.;

    fn in_tiles(a: &Matrix<Self>, b: &Matrix<Self>, out: &mut Rows<Self>, start: Start<Self>) -> bool {
        tiles::multiply(a, b, out, start)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.;
    const ONE: Self = 1.;
}

impl<'a, T> Matrix<'a, T> {
    /// Rows of numbers, one after another.
    pub(super) fn of_rows(values: &'a [T], rows: usize, columns: usize) -> Self {
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The last two axes of a layout, whose first element is at `start` of `values`.
    pub(super) fn of(values: &'a [T], layout: &Layout, start: usize) -> Result<Self> {
        match (layout.dims(), layout.stride()) {
            ([.., rows, columns], [.., row_stride, column_stride]) => Ok(Self {
                values: values.get(start..).unwrap_or_default(),
                rows: *rows,
                columns: *columns,
                row_stride: *row_stride,
                column_stride: *column_stride,
            }),
            (dims, _) => Err(Error::Msg(format!("expected matrices [..., rows, columns], got {dims:?}"))),
        }
    }

    /// The matrix with rows and columns exchanged.
    pub(super) fn turned(self) -> Self {
        let Self { values, rows, columns, row_stride, column_stride } = self;
        Self { values, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }

    /// Whether every element is in the slice.
    fn is_whole(&self) -> bool {
        let last = |count: usize, stride: usize| count.saturating_sub(1).checked_mul(stride);
        let end =
            last(self.rows, self.row_stride).and_then(|rows| rows.checked_add(last(self.columns, self.column_stride)?));
        self.rows * self.columns == 0 || end.is_some_and(|end| end < self.values.len())
    }
}

/// Rows of numbers to which a product goes, `stride` apart.
pub(super) struct Rows<'a, T> {
    pub(super) values: &'a mut [T],
    pub(super) stride: usize,
}

/// What the sums of a product begin with.
#[derive(Clone, Copy)]
pub(super) enum Start<'a, T> {
    Zero,
    /// What is there.
    There,
    /// A number for each column.
    Bias(&'a [T]),
}

/// out = a·b, row-major.
pub(super) fn multiply<T: Real>(a: &Matrix<T>, b: &Matrix<T>, out: &mut [T]) -> Result<()> {
    if out.len() != a.rows * b.columns {
        return Err(Error::Msg(format!("{} numbers for a product of [{}, {}]", out.len(), a.rows, b.columns)));
    }
    multiply_into(a, b, Rows { values: out, stride: b.columns }, false)
}

/// out = a·b, or out + a·b if the product is `added`.
pub(super) fn multiply_into<T: Real>(a: &Matrix<T>, b: &Matrix<T>, out: Rows<T>, added: bool) -> Result<()> {
    multiply_from(a, b, out, if added { Start::There } else { Start::Zero })
}

/// out = start + a·b.
pub(super) fn multiply_from<T: Real>(a: &Matrix<T>, b: &Matrix<T>, out: Rows<T>, start: Start<T>) -> Result<()> {
    multiply_by(T::in_tiles, a, b, out, start)
}

/// A product on one core: true, or false if it cannot take these matrices.
pub(super) type Way<T> = fn(&Matrix<T>, &Matrix<T>, &mut Rows<T>, Start<T>) -> bool;

/// out = start + a·b, on one core this way.
pub(super) fn multiply_by<T: Real>(
    way: Way<T>,
    a: &Matrix<T>,
    b: &Matrix<T>,
    mut out: Rows<T>,
    start: Start<T>,
) -> Result<()> {
    let (rows, columns, depth) = (a.rows, b.columns, a.columns);
    let fits = columns <= out.stride
        && Matrix { values: &*out.values, rows, columns, row_stride: out.stride, column_stride: 1 }.is_whole();
    let has_bias = if let Start::Bias(bias) = start { bias.len() == columns } else { true };
    if depth != b.rows || !fits || !has_bias || !a.is_whole() || !b.is_whole() {
        return Err(Error::Msg(format!(
            "a product of [{rows}, {depth}] and [{}, {columns}] into {} numbers",
            b.rows,
            out.values.len()
        )));
    }
    if rows * columns == 0 {
        return Ok(());
    }
    if depth == 0 {
        out.begin(rows, columns, start);
        return Ok(());
    }
    let cores = if rows * columns * depth < ALONE { 1 } else { cores::free() };
    if cores > 1 {
        return match rows >= MANY_ROWS * cores {
            true => share_rows(way, a, b, out, start, cores),
            false => share_columns(way, a, b, out, start, cores),
        };
    }
    if way(a, b, &mut out, start) {
        return Ok(());
    }
    let added = !matches!(start, Start::Zero);
    if added {
        out.begin(rows, columns, start);
    }
    // SAFETY: every element of `a`, `b` and `out` is in its slice, `out` overlaps neither other; no slice is longer
    // than `isize::MAX`, so neither is a stride that leads to an element.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out.values.as_mut_ptr(),
            1,
            out.stride as isize,
            added,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            if added { T::ONE } else { T::ZERO },
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
    Ok(())
}

impl<T: Real> Rows<'_, T> {
    /// Puts what sums begin with into the first of these rows and columns.
    fn begin(&mut self, rows: usize, columns: usize, start: Start<T>) {
        for row in self.values.chunks_mut(self.stride).take(rows) {
            match start {
                Start::Zero => row[..columns].fill(T::ZERO),
                Start::There => {}
                Start::Bias(bias) => row[..columns].copy_from_slice(bias),
            }
        }
    }
}

/// The product by parts of the rows, one for each core.
fn share_rows<T: Real>(
    way: Way<T>,
    a: &Matrix<T>,
    b: &Matrix<T>,
    out: Rows<T>,
    start: Start<T>,
    cores: usize,
) -> Result<()> {
    let (stride, part) = (out.stride, a.rows.div_ceil(cores));
    let of_part = |(index, values): (usize, &mut [T])| {
        let first = index * part;
        let of_a = Matrix { values: &a.values[first * a.row_stride..], rows: part.min(a.rows - first), ..*a };
        cores::beside_others(|| multiply_by(way, &of_a, b, Rows { values, stride }, start))
    };
    let end = (a.rows - 1) * stride + b.columns;
    out.values[..end].par_chunks_mut(part * stride).enumerate().try_for_each(of_part)
}

/// The product by parts of the columns, one for each core, which then reads only its part of the right matrix.
fn share_columns<T: Real>(
    way: Way<T>,
    a: &Matrix<T>,
    b: &Matrix<T>,
    out: Rows<T>,
    start: Start<T>,
    cores: usize,
) -> Result<()> {
    let part = b.columns.div_ceil(cores).next_multiple_of(tiles::COLUMNS);
    let starts: Vec<usize> = (0..b.columns).step_by(part).collect();
    let before = &*out.values;
    let of_part = |first: &usize| {
        let columns = part.min(b.columns - first);
        let mut of_columns = vec![T::ZERO; a.rows * columns];
        let start = match start {
            Start::Zero => Start::Zero,
            Start::Bias(bias) => Start::Bias(&bias[*first..first + columns]),
            Start::There => {
                for (to, from) in of_columns.chunks_exact_mut(columns).zip(before.chunks(out.stride)) {
                    to.copy_from_slice(&from[*first..first + columns]);
                }
                Start::There
            }
        };
        let of_b = Matrix { values: &b.values[first * b.column_stride..], columns, ..*b };
        let to = Rows { values: &mut of_columns, stride: columns };
        cores::beside_others(|| multiply_by(way, a, &of_b, to, start)).map(|()| of_columns)
    };
    let parts = starts.par_iter().map(of_part).collect::<Result<Vec<_>>>()?;
    for (first, part) in starts.iter().zip(parts) {
        let columns = part.len() / a.rows;
        for (to, from) in out.values.chunks_mut(out.stride).zip(part.chunks_exact(columns)) {
            to[*first..first + columns].copy_from_slice(from);
        }
    }
    Ok(())
}

/// The product over the last two axes of two tensors with the same axes before them.
pub(crate) fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let fits = match (a.dims(), b.dims()) {
        ([of_a @ .., _, depth], [of_b @ .., rows, _]) => of_a == of_b && depth == rows,
        _ => false,
    };
    if fits && is_fusible(a) && is_fusible(b) && a.dtype() == b.dtype() {
        a.apply_op2(b, Products)
    } else {
        a.matmul(b)
    }
}

struct Products;

impl CustomOp2 for Products {
    fn name(&self) -> &'static str {
        "products-of-matrices"
    }

    fn cpu_fwd(&self, a: &CpuStorage, of_a: &Layout, b: &CpuStorage, of_b: &Layout) -> Result<(CpuStorage, Shape)> {
        let (before, rows, columns) = match (of_a.dims(), of_b.dims()) {
            ([before @ .., rows, _], [.., columns]) => (before, *rows, *columns),
            (a, b) => return Err(Error::Msg(format!("expected matrices, got {a:?} and {b:?}"))),
        };
        let starts = starts(of_a, before.len()).zip(starts(of_b, before.len()));
        let storage = map_storage!(a, b, |a, b| {
            let mut all: Vec<Real> = vec![0.; before.iter().product::<usize>() * rows * columns];
            for ((start_a, start_b), out) in starts.zip(all.chunks_mut((rows * columns).max(1))) {
                multiply(&Matrix::of(a, of_a, start_a)?, &Matrix::of(b, of_b, start_b)?, out)?;
            }
            all
        })?;
        Ok((storage, [before, &[rows, columns]].concat().into()))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(product(gradient, &b.t()?)?), Some(product(&a.t()?, gradient)?)))
    }
}

/// Where each matrix begins in the storage of a layout with so many axes before the matrices'.
fn starts(layout: &Layout, axes: usize) -> impl Iterator<Item = usize> {
    let (dims, strides) = (&layout.dims()[..axes], &layout.stride()[..axes]);
    let count = dims.iter().product::<usize>();
    (0..count).map(move |index| {
        let offset = |(mut rest, start): (usize, usize), (dim, stride): (&usize, &usize)| {
            let place = rest % dim;
            rest /= dim;
            (rest, start + place * stride)
        };
        let backwards = dims.iter().zip(strides).rev();
        backwards.fold((index, layout.start_offset()), offset).1
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::seed::Seed;

    fn numbers(shape: &[usize], dtype: DType) -> Tensor {
        let count = shape.iter().product::<usize>();
        let values: Vec<f64> = (0..count).map(|index| ((index * 37 + 11) % 23) as f64 / 7. - 1.5).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    #[track_caller]
    fn assert_near(a: &Tensor, b: &Tensor, tolerance: f64) {
        assert_eq!(a.dims(), b.dims());
        let apart = (a.to_dtype(DType::F64).unwrap() - b.to_dtype(DType::F64).unwrap()).unwrap().abs().unwrap();
        assert!(apart.flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap() <= tolerance);
    }

    #[test]
    fn products_are_candles_of_every_shape_and_stride() {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            for (a, b) in [
                (vec![1, 1], vec![1, 1]),
                (vec![3, 4], vec![4, 5]),
                (vec![2, 3, 4], vec![2, 4, 5]),
                (vec![2, 3, 7, 4], vec![2, 3, 4, 1]),
                (vec![130, 70], vec![70, 90]),
            ] {
                let (a, b) = (numbers(&a, dtype), numbers(&b, dtype));
                assert_near(&product(&a, &b).unwrap(), &a.matmul(&b).unwrap(), tolerance);
                let turned = |tensor: &Tensor| tensor.t().unwrap().contiguous().unwrap().t().unwrap();
                assert_near(&product(&turned(&a), &turned(&b)).unwrap(), &a.matmul(&b).unwrap(), tolerance);
                if a.rank() > 2 {
                    let swapped = |tensor: &Tensor| {
                        tensor.transpose(0, 1).unwrap().contiguous().unwrap().transpose(0, 1).unwrap()
                    };
                    let narrow = |tensor: &Tensor| swapped(tensor).narrow(0, 1, 1).unwrap();
                    let expected = narrow(&a).contiguous().unwrap().matmul(&narrow(&b).contiguous().unwrap()).unwrap();
                    assert_near(&product(&narrow(&a), &narrow(&b)).unwrap(), &expected, tolerance);
                }
            }
        }
    }

    #[test]
    fn an_element_is_the_same_whatever_the_rows_beside_it() {
        let seed = Seed(3);
        for (index, [rows, depth, columns]) in [[150, 40, 70], [61, 1500, 9], [97, 64, 300]].into_iter().enumerate() {
            let numbers = |count: usize, child: usize| -> Vec<f32> {
                seed.child(index).child(child).uniform(-1., 1.).take(count).map(|x| x as f32).collect()
            };
            let (a, b) = (numbers(rows * depth, 1), numbers(depth * columns, 2));
            for turned in [false, true] {
                let b = match turned {
                    true => Matrix::of_rows(&b, columns, depth).turned(),
                    false => Matrix::of_rows(&b, depth, columns),
                };
                let product = |rows: std::ops::Range<usize>| {
                    let mut out = vec![0.; rows.len() * columns];
                    let a = Matrix::of_rows(&a[rows.start * depth..rows.end * depth], rows.len(), depth);
                    multiply(&a, &b, &mut out).unwrap();
                    out
                };
                let whole = crate::cores::beside_others(|| product(0..rows));
                assert!(product(0..rows) == whole);
                let one = crate::cores::beside_others(|| product(rows - 4..rows - 3));
                assert!(one == whole[(rows - 4) * columns..][..columns]);
                for (row, column) in [(0, 0), (rows - 1, columns - 1), (rows / 2, columns / 3)] {
                    let terms = (0..depth).map(|term| {
                        let of_b = b.values[term * b.row_stride + column * b.column_stride];
                        f64::from(a[row * depth + term]) * f64::from(of_b)
                    });
                    let right: f64 = terms.sum();
                    assert!((f64::from(whole[row * columns + column]) - right).abs() < 1e-5 * (depth as f64).sqrt());
                }
            }
        }
    }

    #[test]
    fn a_product_is_added_to_what_is_there_and_touches_nothing_else() {
        let (a, b) = ([1f32, 2., 3., 4., 5., 6.], [1f32, 0., 2., 1., 0., 3.]);
        for b in [Matrix::of_rows(&b, 3, 2), Matrix { row_stride: 1, column_stride: 3, ..Matrix::of_rows(&b, 3, 2) }] {
            let mut out = [10f32; 6];
            multiply_into(&Matrix::of_rows(&a, 2, 3), &b, Rows { values: &mut out, stride: 3 }, true).unwrap();
            let at = |row: usize, column: usize| {
                let terms =
                    (0..3).map(|term| a[3 * row + term] * b.values[term * b.row_stride + column * b.column_stride]);
                10. + terms.sum::<f32>()
            };
            assert_eq!(out, [at(0, 0), at(0, 1), 10., at(1, 0), at(1, 1), 10.]);
        }
    }

    #[test]
    fn a_product_begins_with_a_bias_on_any_number_of_cores() {
        let seed = Seed(8);
        let numbers = |count: usize, child: usize| -> Vec<f32> {
            seed.child(child).uniform(-1., 1.).take(count).map(|x| x as f32).collect()
        };
        for [rows, depth, columns] in [[1, 3, 2], [60, 1100, 70], [600, 40, 97], [5, 0, 4]] {
            let (a, b, bias) = (numbers(rows * depth, 1), numbers(depth * columns, 2), numbers(columns, 3));
            let a = Matrix::of_rows(&a, rows, depth);
            for b in [Matrix::of_rows(&b, depth, columns), Matrix::of_rows(&b, columns, depth).turned()] {
                let (mut plain, stride) = (vec![0.; rows * columns], columns + 3);
                multiply(&a, &b, &mut plain).unwrap();
                let run = || {
                    let mut out = vec![7.; rows * stride];
                    multiply_from(&a, &b, Rows { values: &mut out, stride }, Start::Bias(&bias)).unwrap();
                    out
                };
                let out = run();
                assert_eq!(out, cores::beside_others(run));
                for (row, plain) in out.chunks(stride).zip(plain.chunks(columns)) {
                    assert_eq!(row[columns..], [7.; 3]);
                    for ((got, sum), bias) in row.iter().zip(plain).zip(&bias) {
                        assert!((got - (sum + bias)).abs() < 1e-5, "{rows} {depth} {columns}: {got}");
                    }
                }
            }
        }
        let (matrix, mut out) =
            (Matrix { values: &[1f32], rows: 1, columns: 1, row_stride: 1, column_stride: 1 }, [0.]);
        let to = Rows { values: &mut out, stride: 1 };
        assert!(multiply_from(&matrix, &matrix, to, Start::Bias(&[1., 2.])).is_err());
    }

    #[test]
    fn gradients_are_candles() {
        let (a, b) = (Var::from_tensor(&numbers(&[2, 3, 4], DType::F64)).unwrap(), numbers(&[2, 4, 5], DType::F64));
        let b = Var::from_tensor(&b).unwrap();
        let gradients = |result: Tensor| {
            let store = result.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            [store.get(&a).unwrap().clone(), store.get(&b).unwrap().clone()]
        };
        let (ours, candles) = (gradients(product(&a, &b).unwrap()), gradients(a.matmul(&b).unwrap()));
        for (ours, candles) in ours.iter().zip(&candles) {
            assert_near(ours, candles, 1e-11);
        }
    }

    #[test]
    fn what_does_not_fit_is_candles_error() {
        for (a, b) in [(vec![2, 3], vec![4, 5]), (vec![2, 3, 4], vec![3, 4, 5]), (vec![3], vec![3, 2])] {
            let (a, b) = (numbers(&a, DType::F32), numbers(&b, DType::F32));
            let said = |result: Result<Tensor>| result.unwrap_err().to_string().lines().next().map(str::to_string);
            assert_eq!(said(product(&a, &b)), said(a.matmul(&b)));
        }
        let (a, b) = (numbers(&[2, 0], DType::F32), numbers(&[0, 3], DType::F32));
        assert_eq!(product(&a, &b).unwrap().to_vec2::<f32>().unwrap(), [[0.; 3]; 2]);
    }

    #[test]
    fn a_matrix_beyond_its_numbers_is_an_error() {
        let short = Matrix { values: &[1f32; 5], rows: 2, columns: 3, row_stride: 3, column_stride: 1 };
        let whole = Matrix { values: &[1f32; 6], rows: 3, columns: 2, row_stride: 2, column_stride: 1 };
        let mut out = [0.; 4];
        assert!(multiply(&short, &whole, &mut out).is_err());
        assert!(multiply(&Matrix { values: &[1f32; 6], ..short }, &whole, &mut out).is_ok());
        assert_eq!(out, [3.; 4]);
        assert!(multiply(&Matrix { values: &[1f32; 6], ..short }, &whole, &mut out[..3]).is_err());
    }
}
