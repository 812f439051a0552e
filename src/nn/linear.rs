//! The dense layer, with a frozen form that computes no gradient of its weights.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp3, Device, Error, Layout, MetalStorage, Module, Shape, Storage, Tensor,
    Var,
};

use super::block::{Block, Operation, only};
use super::matrices::{Matrix, multiply, product};
use super::on_cpu::{elements, is_fusible, map_storage, unsupported, widened};
use super::sum::add;
use super::{Conversion, Reweighting, converted};
use crate::error::{Result, bail};
use crate::seed::Seed;

/// y = x·Wᵀ + b with W `[out, in]`, b `[out]`, x `[..., in]`.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let linear = Linear::new(3, 2, Seed(1))?;
/// let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(linear.forward(&x)?.dims(), [5, 2]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Var,
    bias: Option<Var>,
}

impl Linear {
    /// A trainable layer with weights and bias drawn uniformly from ±1/√in, as PyTorch does;
    /// the same seed gives the same weights everywhere.
    pub fn new(inputs: usize, outputs: usize, seed: Seed) -> Result<Self> {
        if inputs == 0 || outputs == 0 {
            bail!(Input, "a linear layer of {inputs} inputs and {outputs} outputs: both must be at least 1")
        }
        let bound = 1. / (inputs as f64).sqrt();
        let mut draw = seed.uniform(-bound, bound);
        let mut tensor = |shape: Shape| {
            let values: Vec<f32> = draw.by_ref().take(shape.elem_count()).map(|x| x as f32).collect();
            Var::from_vec(values, shape, &Device::Cpu)
        };
        Ok(Self { weight: tensor((outputs, inputs).into())?, bias: Some(tensor(outputs.into())?) })
    }

    /// A layer with given weights `[out, in]` and bias `[out]`.
    pub fn from_weights(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let &[outputs, _] = weight.dims() else {
            bail!(Input, "the weight of a linear layer has the shape {:?}: expected [out, in]", weight.dims())
        };
        if weight.elem_count() == 0 {
            bail!(Input, "the weight of a linear layer has the shape {:?}: both must be at least 1", weight.dims())
        }
        if let Some(bias) = bias
            && (bias.dims() != [outputs] || bias.dtype() != weight.dtype())
        {
            bail!(
                Input,
                "the bias of a linear layer is {:?} {:?}: expected {:?} [{outputs}], as its weight has it",
                bias.dtype(),
                bias.dims(),
                weight.dtype()
            )
        }
        Ok(Self { weight: Var::from_tensor(weight)?, bias: bias.map(Var::from_tensor).transpose()? })
    }

    /// The weight `[out, in]`.
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The bias `[out]`, if there is one.
    pub fn bias(&self) -> Option<&Var> {
        self.bias.as_ref()
    }

    /// The same layer in another type, with weights of its own.
    pub fn to_dtype(&self, dtype: candle_core::DType) -> candle_core::Result<Self> {
        self.converted(&|weight| weight.to_dtype(dtype))
    }

    /// The same layer on another device, with weights of its own.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let device = Device::Cpu; // or Device::new_cuda(0)?
    /// let linear = Linear::new(3, 2, Seed(1))?.to_device(&device)?;
    /// let x = Tensor::zeros((5, 3), DType::F32, &device)?;
    /// assert!(linear.forward(&x)?.device().same_device(&device));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        self.converted(&|weight| weight.to_device(device))
    }

    pub(crate) fn converted(&self, by: Conversion) -> candle_core::Result<Self> {
        let bias = self.bias.as_ref().map(|bias| converted(bias, by)).transpose()?;
        Ok(Self { weight: converted(&self.weight, by)?, bias })
    }

    /// The weights that training may change.
    pub fn parameters(&self) -> Vec<Var> {
        std::iter::once(&self.weight).chain(&self.bias).cloned().collect()
    }

    /// The weights that training may change, as `name.weight` and `name.bias`.
    pub fn named_parameters(&self, name: &str) -> Vec<(String, Var)> {
        super::named(name, &self.weight, self.bias.as_ref())
    }

    /// The same values, with no gradient of the weights: attribution needs none, and the
    /// backward pass then costs one product instead of two.
    pub fn forward_frozen(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let weight = self.weight.as_detached_tensor();
        let bias = self.bias.as_ref().map(Var::as_detached_tensor);
        self.check(x)?;
        Ok(if is_fusible(x) {
            x.contiguous()?.apply_op1(FrozenLinear { weight, bias })?
        } else {
            affine(x, &weight, bias.as_ref(), |x, turned| x.contiguous()?.apply_op1(FrozenProduct(turned.clone())))?
        })
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        let inputs = self.weight.dims()[1];
        if x.rank() == 0 || x.dims().last() != Some(&inputs) {
            bail!(Input, "a linear layer of {inputs} inputs got {:?}: expected [..., {inputs}]", x.dims())
        }
        super::same_kind("a linear layer", x, &self.weight)
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.check(x)?;
        match &self.bias {
            Some(bias) if is_fusible(x) => {
                x.contiguous()?.apply_op3(&self.weight.contiguous()?, &bias.contiguous()?, TrackedLinear)
            }
            bias => Ok(affine(x, self.weight.as_tensor(), bias.as_deref(), Tensor::matmul)?),
        }
    }
}

impl Block for Linear {
    fn compute(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        Ok(self.forward_frozen(only("a linear layer", inputs)?)?)
    }

    fn compute_tracked(&self, inputs: &[&Tensor]) -> crate::Result<Tensor> {
        Ok(self.forward(only("a linear layer", inputs)?)?)
    }

    fn operation(&self) -> Operation<'_> {
        Operation::Affine
    }

    fn reweighted(&self, by: &Reweighting) -> crate::Result<Option<Box<dyn Block>>> {
        let (weight, bias) = by.weights(&self.weight, self.bias.as_deref())?;
        Ok(Some(Box::new(Self::from_weights(&weight, bias.as_ref())?)))
    }
}

/// The layer composed of candle's operations: `multiply` gives the product of rows `[rows, in]` and Wᵀ `[in, out]`.
fn affine(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    multiply: impl Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    widened(x, |x| {
        let (outputs, inputs) = weight.dims2()?;
        // As one matrix: candle would copy the weights for each example of a batch of matrices.
        let product = multiply(&x.reshape((x.elem_count() / inputs, inputs))?, &weight.to_dtype(x.dtype())?.t()?)?;
        let product = product.reshape([&x.dims()[..x.rank() - 1], &[outputs]].concat())?;
        match bias {
            Some(bias) => Ok(product.broadcast_add(&bias.to_dtype(x.dtype())?)?),
            None => Ok(product),
        }
    })
}

/// The product of rows `[rows, in]` and weights `[in, out]` by candle, on any device; candle's own backward would compute the
/// gradient of the weights as well.
struct FrozenProduct(Tensor);

impl FrozenProduct {
    fn of<S: BackendStorage>(
        (rows, layout): (&S, &Layout),
        (weight, of_weight): (&S, &Layout),
    ) -> candle_core::Result<(S, Shape)> {
        let ((count, inputs), (_, outputs)) = (layout.shape().dims2()?, of_weight.shape().dims2()?);
        let product = rows.matmul(weight, (1, count, outputs, inputs), layout, of_weight)?;
        Ok((product, (count, outputs).into()))
    }
}

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "frozen-product"
    }

    fn cpu_fwd(&self, rows: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (weight, of_weight) = self.0.storage_and_layout();
        let Storage::Cpu(weight) = &*weight else { return Err(elsewhere("weight")) };
        Self::of((rows, layout), (weight, of_weight))
    }

    fn cuda_fwd(&self, rows: &CudaStorage, layout: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        let (weight, of_weight) = self.0.storage_and_layout();
        let Storage::Cuda(weight) = &*weight else { return Err(elsewhere("weight")) };
        Self::of((rows, layout), (weight, of_weight))
    }

    fn metal_fwd(&self, rows: &MetalStorage, layout: &Layout) -> candle_core::Result<(MetalStorage, Shape)> {
        let (weight, of_weight) = self.0.storage_and_layout();
        let Storage::Metal(weight) = &*weight else { return Err(elsewhere("weight")) };
        Self::of((rows, layout), (weight, of_weight))
    }

    fn bwd(&self, _rows: &Tensor, _product: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1(Self(self.0.t()?)).map(Some)
    }
}

fn elsewhere(what: &str) -> Error {
    Error::Msg(format!("the {what} of a linear layer is not on the device of its input"))
}

struct FrozenLinear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (weight, weight_layout) = self.weight.storage_and_layout();
        let Storage::Cpu(weight) = &*weight else {
            return Err(elsewhere("weight"));
        };
        let (mut product, shape) = products((storage, layout), (weight, weight_layout))?;
        if let Some(bias) = &self.bias {
            let (bias, bias_layout) = bias.storage_and_layout();
            let Storage::Cpu(bias) = &*bias else {
                return Err(elsewhere("bias"));
            };
            add_to_rows(&mut product, (bias, bias_layout))?;
        }
        Ok((product, shape))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> candle_core::Result<Option<Tensor>> {
        grad_res.contiguous()?.apply_op1(FrozenLinear { weight: self.weight.t()?, bias: None }).map(Some)
    }
}

/// x·Wᵀ + b with the weight and the bias in the graph.
struct TrackedLinear;

impl CustomOp3 for TrackedLinear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        of_x: &Layout,
        weight: &CpuStorage,
        of_weight: &Layout,
        bias: &CpuStorage,
        of_bias: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (mut product, shape) = products((x, of_x), (weight, of_weight))?;
        add_to_rows(&mut product, (bias, of_bias))?;
        Ok((product, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _res: &Tensor,
        grad_res: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (outputs, inputs) = weight.dims2()?;
        let g = grad_res.contiguous()?;
        let below = FrozenLinear { weight: weight.detach().t()?, bias: None };
        let of_x = x.track_op().then(|| g.apply_op1_no_bwd(&below)).transpose()?;
        let (g, x) = (g.reshape(((), outputs))?.detach(), x.reshape(((), inputs))?.detach());
        let ones = Tensor::ones((1, g.dims()[0]), g.dtype(), g.device())?;
        Ok((of_x, Some(product(&g.t()?, &x)?), Some(product(&ones, &g)?.squeeze(0)?)))
    }
}

/// x·Wᵀ of contiguous rows.
fn products(
    (x, of_x): (&CpuStorage, &Layout),
    (weight, of_weight): (&CpuStorage, &Layout),
) -> candle_core::Result<(CpuStorage, Shape)> {
    let (outputs, inputs) = of_weight.shape().dims2()?;
    let rows = of_x.shape().elem_count() / inputs;
    let mut shape = of_x.dims().to_vec();
    shape.pop();
    shape.push(outputs);
    let turned = of_weight.transpose(0, 1)?;
    let product: candle_core::Result<CpuStorage> = map_storage!(x, weight, |x, weight| {
        let x = Matrix::of_rows(elements(x, of_x)?, rows, inputs);
        let mut product: Vec<Real> = vec![0.; rows * outputs];
        multiply(&x, &Matrix::of(weight, &turned, turned.start_offset())?, &mut product)?;
        product
    });
    Ok((product?, shape.into()))
}

fn add_to_rows(rows: &mut CpuStorage, (bias, of_bias): (&CpuStorage, &Layout)) -> candle_core::Result<()> {
    fn each<T: Copy + std::ops::AddAssign>(rows: &mut [T], bias: &[T]) {
        rows.chunks_exact_mut(bias.len()).for_each(|row| add(row, bias));
    }
    match (rows, bias) {
        (CpuStorage::F32(rows), CpuStorage::F32(bias)) => each(rows, elements(bias, of_bias)?),
        (CpuStorage::F64(rows), CpuStorage::F64(bias)) => each(rows, elements(bias, of_bias)?),
        (_, other) => return unsupported(other),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;

    #[test]
    fn gradients_of_rows_weights_and_biases_are_those_of_candles_operations() {
        for dtype in [DType::F32, DType::F64] {
            let numbers = |shape: &[usize], child: usize| {
                let values: Vec<f64> = Seed(4).child(child).uniform(-1., 1.).take(shape.iter().product()).collect();
                Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
            };
            let linear = Linear::from_weights(&numbers(&[5, 7], 1), Some(&numbers(&[5], 2))).unwrap();
            let x = Var::from_tensor(&numbers(&[3, 4, 7], 3)).unwrap();
            let tensors = [&x, linear.weight(), linear.bias().unwrap()];
            let ways = [
                linear.forward(x.as_tensor()).unwrap(),
                affine(&x, linear.weight().as_tensor(), linear.bias().map(|bias| bias.as_tensor()), Tensor::matmul)
                    .unwrap(),
            ];
            let all = ways.map(|y| {
                let store = (y.sqr().unwrap() * y).unwrap().sum_all().unwrap().backward().unwrap();
                let numbers = |var: &&Var| {
                    let gradient = store.get(var).unwrap();
                    assert_eq!(gradient.dims(), var.dims());
                    gradient.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
                };
                tensors.iter().flat_map(numbers).collect::<Vec<_>>()
            });
            let tolerance = if dtype == DType::F64 { 1e-12 } else { 2e-5 };
            for (ours, candles) in all[0].iter().zip(&all[1]) {
                assert!((ours - candles).abs() <= tolerance * candles.abs().max(1.), "{ours} and {candles}");
            }
        }
    }
}
