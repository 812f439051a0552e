//! Errors are texts for people: no backtrace of candle stands in them, although it adds one where
//! `RUST_BACKTRACE` is set, as it is in notebooks.

use std::process::Command;

use candle_explain::candle_core::{self, Context};
use candle_explain::nn::{LayerNorm, avg_pool2d, max, max_pool2d, softmax};
use candle_explain::prelude::*;

const CHILD: &str = "CANDLE_EXPLAIN_BACKTRACES";

/// Whether to capture backtraces is decided once in a process, so another one is asked.
#[test]
fn errors_have_no_backtrace() {
    if std::env::var_os(CHILD).is_some() {
        return look();
    }
    let name = "backtraces::errors_have_no_backtrace";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name]).env(CHILD, "1").env("RUST_BACKTRACE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn look() {
    let x = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let candles_own = x(&[2, 3]).matmul(&x(&[2, 3])).unwrap_err();
    assert!(candles_own.to_string().contains("   0: "), "{candles_own}");

    let (vector, image) = (x(&[3]), x(&[2, 2, 2, 2]));
    let (double, whole) = (x(&[2, 3]).to_dtype(DType::F64).unwrap(), x(&[2, 3]).to_dtype(DType::U32).unwrap());
    let linear = Linear::new(4, 2, Seed(1)).unwrap();
    let conv = Conv2d::new(3, 2, 3, 1, 0, Seed(1)).unwrap();
    let norm = LayerNorm::new(&vector, &vector, 1e-5).unwrap();
    let errors: Vec<candle_core::Result<Tensor>> = vec![
        linear.forward(&image),
        linear.forward_frozen(&image),
        linear.forward(&x(&[])),
        conv.forward(&image),
        conv.forward_frozen(&vector),
        conv.forward(&x(&[1, 3, 2, 2])),
        norm.forward(&image),
        norm.forward_frozen(&double),
        norm.forward(&x(&[])),
        max_pool2d(&image, 3, 1),
        max_pool2d(&vector, 1, 1),
        avg_pool2d(&image, 0, 1),
        avg_pool2d(&whole, 1, 1),
        max(&vector, 1),
        max(&x(&[0]), 0),
        softmax(&vector, D::Minus2),
        softmax(&whole, 1),
        Activation::Gelu.forward(&whole),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        plain(&format!("block {index}"), error.unwrap_err());
    }

    plain("new", Linear::from_weights(&image, None).unwrap_err());
    plain("new", LayerNorm::new(&image, &image, 1.).unwrap_err());
    plain("new", Conv2d::from_weights(&vector, None, 1, 0).unwrap_err());
    plain("sequential", Sequential::builder([1, 2, 2]).max_pool2d("pool", 3).build(Seed(1)).unwrap_err());
    let wrapped = |error: candle_core::Result<Tensor>| Error::from(error.unwrap_err());
    let mismatch = || x(&[2, 3]).matmul(&x(&[2, 3]));
    plain("context", wrapped(mismatch().context("the product")));
    plain("context", wrapped(mismatch().map_err(|error| error.context("the product"))));
    plain("path", wrapped(mismatch().map_err(|error| error.with_path("weights"))));
    let model = from_fn(move |input, _| Ok(input.first().matmul(input.first())?));
    plain("model", Saliency::new(&model).attribute(x(&[2, 3]), 0).unwrap_err());
}

fn plain(what: &str, error: impl std::error::Error) {
    for text in [error.to_string(), format!("{error:?}")] {
        let traced = ["backtrace", ".rs", "   0: ", "candle_core::"].iter().any(|part| text.contains(part));
        assert!(!traced, "{what}: {text}");
        assert!(text.len() > 10, "{what}: {text}");
    }
}
