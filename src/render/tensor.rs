//! Tensors as tables: shape, type, and the first numbers.

use candle_core::{DType, Device, Tensor};

use super::html::number;
use super::{Figure, Table};
use crate::error::Result;

const ROWS_SHOWN: usize = 6;
const COLUMNS_SHOWN: usize = 8;

impl Figure for Tensor {
    fn html(&self) -> String {
        table(self).html()
    }

    fn text(&self) -> String {
        table(self).text()
    }
}

fn table(tensor: &Tensor) -> Table {
    let caption = format!("Tensor {:?}, {}{}", tensor.dims(), tensor.dtype().as_str(), place(tensor.device()));
    numbers(tensor, &caption).unwrap_or_else(|error| Table::new(caption, &[]).remark(error.to_string()))
}

fn place(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => String::new(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!(", on CUDA device {gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!(", on Metal device {gpu_id}"),
    }
}

/// The numbers of the first matrix, as far as a table has room for them, and what they are like as a whole.
fn numbers(tensor: &Tensor, caption: &str) -> Result<Table> {
    let (rows, columns) = match *tensor.dims() {
        [] => (1, 1),
        [columns] => (1, columns),
        [.., rows, columns] => (rows, columns),
    };
    let (rows_shown, columns_shown) = (rows.min(ROWS_SHOWN), columns.min(COLUMNS_SHOWN));
    let heads: Vec<String> = std::iter::once(String::new()).chain((0..columns_shown).map(|c| c.to_string())).collect();
    let mut table = Table::new(caption, &heads.iter().map(String::as_str).collect::<Vec<_>>());
    if tensor.elem_count() == 0 {
        return Ok(table.remark("no numbers"));
    }
    let all: Vec<f64> = tensor.flatten_all()?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1()?;
    for (row, numbers) in all.chunks(columns).take(rows_shown).enumerate() {
        table = table.row(|cells| {
            let cells = cells.text(row.to_string());
            numbers[..columns_shown].iter().fold(cells, |cells, value| cells.number(*value))
        });
    }
    let whole = (rows_shown * columns_shown == all.len()).then_some(());
    Ok(table.remarks(match whole {
        Some(()) => Vec::new(),
        None => vec![beginning(tensor.dims().len(), [rows_shown, rows], [columns_shown, columns]), summary(&all)],
    }))
}

/// Which part of all numbers is shown.
fn beginning(rank: usize, [rows_shown, rows]: [usize; 2], [columns_shown, columns]: [usize; 2]) -> String {
    let part = match rank {
        1 => format!("{columns_shown} of {columns} numbers"),
        _ => format!("{rows_shown} of {rows} rows, {columns_shown} of {columns} columns"),
    };
    match rank {
        0..=2 => format!("shown: {part}"),
        _ => format!("shown: {part} of the first matrix"),
    }
}

/// All numbers in a line. Those that are not finite are counted, and left out of the rest.
fn summary(all: &[f64]) -> String {
    let finite: Vec<f64> = all.iter().copied().filter(|value| value.is_finite()).collect();
    let wrong = match all.len() - finite.len() {
        0 => String::new(),
        count => format!("; {count} NaN or infinite"),
    };
    if finite.is_empty() {
        return format!("{} numbers{wrong}", all.len());
    }
    let lowest = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    format!("{} numbers from {} to {}, mean {}{wrong}", all.len(), number(lowest), number(highest), number(mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tensor: Result<Tensor, candle_core::Error>) -> String {
        tensor.unwrap().text()
    }

    #[test]
    fn a_small_tensor_is_shown_whole() {
        let shown = text(Tensor::new(&[[1f32, -2.5], [0.25, 4.]], &Device::Cpu));
        assert!(shown.contains("Tensor [2, 2], f32") && shown.contains("-2.5") && !shown.contains("shown"), "{shown}");
    }

    #[test]
    fn a_large_tensor_says_what_is_left_out() {
        let shown = text(Tensor::arange(0f32, 600., &Device::Cpu).and_then(|x| x.reshape((2, 30, 10))));
        assert!(shown.contains("6 of 30 rows, 8 of 10 columns of the first matrix"), "{shown}");
        assert!(shown.contains("600 numbers from 0 to 599, mean 299.5"), "{shown}");
    }

    #[test]
    fn what_is_not_finite_is_counted() {
        let shown = text(Tensor::new(vec![f32::NAN; 9], &Device::Cpu));
        assert!(shown.contains("9 numbers; 9 NaN or infinite"), "{shown}");
    }

    #[test]
    fn scalars_ids_and_nothing_have_tables_too() {
        assert!(text(Tensor::new(3u32, &Device::Cpu)).contains("Tensor [], u32"));
        assert!(text(Tensor::zeros((0, 3), DType::F32, &Device::Cpu)).contains("no numbers"));
    }
}
