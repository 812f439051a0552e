//! Adam with decoupled weight decay, in `f32` at least.

use std::sync::{Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use super::Gradients;
use super::in_place::pair;
use crate::device;
use crate::error::Result;

/// Steps Adam on variables of any floating-point type. `f32` on the CPU is stepped in one go over its numbers, all else by
/// candle's operations; there variables of half precision are stepped as copies in `f32`: in their own type the moments
/// would vanish and small steps would be lost.
pub(crate) struct Adam {
    settings: ParamsAdamW,
    steps: i32,
    in_place: Vec<(Var, Mutex<Moments>)>,
    composed: AdamW,
    /// What `composed` steps.
    others: Vec<Other>,
}

/// A variable and what is stepped in its stead: itself, or a copy.
struct Other {
    var: Var,
    stepped: Var,
}

impl Adam {
    pub(crate) fn new(vars: &[Var], learning_rate: f64, weight_decay: f64) -> Result<Self> {
        let settings = ParamsAdamW { lr: learning_rate, weight_decay, ..ParamsAdamW::default() };
        let (mut in_place, mut others) = (Vec::new(), Vec::new());
        for var in vars {
            if var.dtype() == DType::F32 && device::is_cpu(var.device()) && var.is_contiguous() {
                in_place.push((var.clone(), Mutex::new(Moments::of(var.elem_count()))));
                continue;
            }
            let stepped = match var.dtype() {
                DType::F16 | DType::BF16 => Var::from_tensor(&var.as_detached_tensor().to_dtype(DType::F32)?)?,
                _ => var.clone(),
            };
            others.push(Other { var: var.clone(), stepped });
        }
        let stepped = others.iter().map(|other| other.stepped.clone()).collect();
        Ok(Self { composed: AdamW::new(stepped, settings.clone())?, settings, steps: 0, in_place, others })
    }

    pub(crate) fn set_learning_rate(&mut self, learning_rate: f64) {
        self.settings.lr = learning_rate;
    }

    /// Steps the variables that have a gradient, which is multiplied by `factor`.
    pub(crate) fn step(&mut self, gradients: &Gradients, factor: f64) -> Result<()> {
        self.steps += 1;
        for (var, moments) in &self.in_place {
            if let Some(gradient) = gradients.of(var) {
                let step = Step { settings: &self.settings, steps: self.steps, factor: factor as f32, moments };
                var.inplace_op2(&gradient.contiguous()?, &step)?;
            }
        }
        if self.others.is_empty() {
            return Ok(());
        }
        let mut store = GradStore::default();
        for Other { var, stepped } in &self.others {
            if let Some(gradient) = gradients.of(var) {
                store.insert(stepped, (gradient.to_dtype(stepped.dtype())? * factor)?);
            }
        }
        self.composed.set_learning_rate(self.settings.lr);
        self.composed.step(&store)?;
        for Other { var, stepped } in &self.others {
            if var.dtype() != stepped.dtype() {
                var.set(&stepped.as_detached_tensor().to_dtype(var.dtype())?)?;
            }
        }
        Ok(())
    }
}

/// The moving averages of a variable's gradient and of its square.
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Moments {
    fn of(count: usize) -> Self {
        Self { first: vec![0.; count], second: vec![0.; count] }
    }
}

struct Step<'a> {
    settings: &'a ParamsAdamW,
    steps: i32,
    factor: f32,
    moments: &'a Mutex<Moments>,
}

impl InplaceOp2 for Step<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        weights: &mut CpuStorage,
        of_weights: &Layout,
        gradient: &CpuStorage,
        of_gradient: &Layout,
    ) -> candle_core::Result<()> {
        let (weights, gradient) = pair((weights, of_weights), (gradient, of_gradient))?;
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let Moments { first, second } = &mut *moments;
        let ParamsAdamW { lr, beta1, beta2, eps, weight_decay } = *self.settings;
        let whole = |beta: f64| (1. / (1. - beta.powi(self.steps))) as f32;
        let (whole_first, whole_second) = (whole(beta1), whole(beta2));
        let [kept, rate, eps, beta1, beta2, rest1, rest2] =
            [1. - lr * weight_decay, lr, eps, beta1, beta2, 1. - beta1, 1. - beta2].map(|number| number as f32);
        for ((weight, gradient), (first, second)) in
            weights.iter_mut().zip(gradient).zip(first.iter_mut().zip(second.iter_mut()))
        {
            let gradient = gradient * self.factor;
            *first = beta1 * *first + rest1 * gradient;
            *second = beta2 * *second + rest2 * (gradient * gradient);
            let adjusted = *first * whole_first / ((*second * whole_second).sqrt() + eps);
            *weight = *weight * kept - rate * adjusted;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn steps_in_one_go_are_those_of_candles_operations() {
        let start: Vec<f32> = (0..40).map(|index| (index as f32 * 0.7).sin()).collect();
        let var = || Var::from_vec(start.clone(), (8, 5), &Device::Cpu).unwrap();
        let (ours, theirs) = (var(), var());
        let settings = ParamsAdamW { lr: 0.05, weight_decay: 0.01, ..ParamsAdamW::default() };
        let (mut adam, mut other) =
            (Adam::new(from_ref(&ours), 0.1, 0.01).unwrap(), AdamW::new(vec![theirs.clone()], settings).unwrap());
        adam.set_learning_rate(0.05);
        for step in 0..30 {
            let loss = |var: &Var| {
                let wave = ((var.as_tensor() * 3.).unwrap().sin().unwrap() * (1. + f64::from(step))).unwrap();
                wave.sum_all().unwrap().backward().unwrap()
            };
            adam.step(&Gradients::of_store(loss(&ours), from_ref(&ours)), 1.).unwrap();
            other.step(&loss(&theirs)).unwrap();
            let numbers = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (ours, theirs) in numbers(&ours).iter().zip(numbers(&theirs)) {
                assert!((ours - theirs).abs() < 1e-5, "step {step}: {ours} and {theirs}");
            }
        }
    }

    #[test]
    fn half_precision_moves_by_steps_smaller_than_its_digits() {
        let var =
            Var::from_tensor(&Tensor::new(&[1f32], &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap()).unwrap();
        let mut adam = Adam::new(from_ref(&var), 1e-3, 0.).unwrap();
        for _ in 0..10 {
            let store = (var.as_tensor() * 2.).unwrap().sum_all().unwrap().backward().unwrap();
            adam.step(&Gradients::of_store(store, from_ref(&var)), 0.5).unwrap();
        }
        let now = var.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap()[0];
        assert!((now - 0.99).abs() < 0.004, "{now}");
    }
}
