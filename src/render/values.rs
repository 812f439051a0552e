//! What a cell may end with besides figures: numbers, texts and settings are shown as Rust writes them.
//!
//! The kernel could do that by itself, but would compile the cell twice for it.

use candle_core::{DType, Device};

use super::figure::Show;
use super::html::escape;
use super::notebook;
use crate::engine::{
    Baseline, Check, Column, FeatureMask, Interpolation, LrpRule, Neuron, NoiseTunnelType, Progress, Quadrature,
    Sampler, Similarity, Sizes, Stdevs, Surrogate, Target,
};
use crate::error::Error;
use crate::model::{ClassifierOutput, Layer};
use crate::nn::{Activation, Conv2d, Linear, Precision};
use crate::render::{Palette, Theme};
use crate::robust::Norm;
use crate::seed::Seed;
use crate::tabular::{Parameters, Split, Trainer};
use crate::text::{Comment, SentimentTrainer};

/// Values that are shown as text alone, below the cell in the notebook's own letters.
macro_rules! shown_as_text {
    ($($value:ty),+ $(,)?) => {
        $(impl Show for $value {
            fn evcxr_display(&self) {
                notebook::display(&[("text/plain", format!("{self:?}"))]);
            }
        })+
    };
}

/// Numbers and texts, alone and in the lists that candle and this crate give.
macro_rules! shown_alone_and_in_lists {
    ($($value:ty),+ $(,)?) => {
        $(shown_as_text!($value, Option<$value>, Vec<$value>, Vec<Vec<$value>>, Vec<Vec<Vec<$value>>>);)+
    };
}

/// Settings, whose longer forms have lines.
macro_rules! shown_as_code {
    ($($value:ty),+ $(,)?) => {
        $(impl Show for $value {
            fn evcxr_display(&self) {
                notebook::display(&forms(self));
            }
        })+
    };
}

fn forms(value: &impl std::fmt::Debug) -> [(&'static str, String); 2] {
    let code = format!("{value:#?}");
    [("text/html", format!("<pre style=\"margin:0\">{}</pre>", escape(&code))), ("text/plain", code)]
}

shown_alone_and_in_lists!(f32, f64, u8, u32, i64, usize, bool, String, &str);

shown_as_text!(Error, (), char, i32, u64, DType, Device, (f32, f32), (f64, f64), (usize, usize), Vec<(String, f64)>);

shown_as_code!(
    Activation,
    Baseline,
    Check,
    ClassifierOutput,
    Column,
    Comment,
    Conv2d,
    FeatureMask,
    Interpolation,
    Layer,
    Linear,
    LrpRule,
    Neuron,
    NoiseTunnelType,
    Norm,
    Palette,
    Parameters,
    Precision,
    Progress,
    Quadrature,
    Sampler,
    Seed,
    SentimentTrainer,
    Similarity,
    Sizes,
    Split,
    Stdevs,
    Surrogate,
    Target,
    Theme,
    Trainer,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_shown_as_it_is_written() {
        let [(_, html), (_, text)] = forms(&Target::Class(1));
        assert!(text.starts_with("Class("), "{text}");
        assert_eq!(html, format!("<pre style=\"margin:0\">{text}</pre>"));
    }

    #[test]
    fn what_a_text_holds_is_not_read_as_html() {
        let [(_, html), _] = forms(&Comment::from("<script>"));
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");
    }
}
