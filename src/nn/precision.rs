//! In which numbers products are computed.

use candle_core::Error as CandleError;

use super::matrices::{Matrix, Rows, Start, multiply_by, multiply_from};
use super::tiles_bf16;
use crate::error::{Result, bail};

/// The numbers in which the dense products of an encoder's layers are computed on the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// The weights' own; the default.
    #[default]
    F32,
    /// Both factors are rounded to bf16, which has 8 significant bits, and their products are added in f32. It takes a
    /// processor with AVX-512 BF16, and there may take less time from about a dozen steps of a path on (an AMD EPYC
    /// did, an Intel Xeon took more, see BENCHMARKS.md): the first example is also taken in f32, for a remark on how far its number and its gradient are off. Of trained classifiers, gradients change by
    /// about a hundredth of the largest number, of tiny random ones by a tenth.
    /// Numbers below 1e-38 count as 0.
    Bf16,
}

impl Precision {
    /// An error if this processor does not multiply these numbers.
    pub(crate) fn require(self) -> Result<()> {
        if self == Precision::Bf16 && !tiles_bf16::is_there() {
            bail!(
                Input,
                "precision(Precision::Bf16): expected a processor that multiplies bf16 (AVX-512 BF16), and this one does not: \
                 leave the precision at Precision::F32"
            )
        }
        Ok(())
    }

    /// out = start + a·b.
    pub(super) fn multiply(
        self,
        a: &Matrix<f32>,
        b: &Matrix<f32>,
        out: Rows<f32>,
        start: Start<f32>,
    ) -> candle_core::Result<()> {
        match self {
            Precision::F32 => multiply_from(a, b, out, start),
            Precision::Bf16 => {
                self.require().map_err(CandleError::wrap)?;
                multiply_by(tiles_bf16::multiply, a, b, out, start)
            }
        }
    }
}
