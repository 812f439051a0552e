//! NoiseTunnel: any method's attributions, over inputs with noise.

use std::sync::Arc;

use crate::engine::{
    Attribute, Attributions, Cost, Family, MethodInfo, NoiseTunnelType, NoisyInputs, Observer, Options,
    SamplingSettings, Stdevs, Target, setting,
};
use crate::error::{Result, error};
use crate::model::{Inputs, Model};
use crate::seed::Seed;

/// NoiseTunnel: the mean, mean square or variance of any method's attributions over inputs with normal noise.
///
/// SmoothGrad E\[a(x + ε)\], SmoothGrad-Squared E\[a(x + ε)²\], VarGrad Var\[a(x + ε)\], over ε of N(0, stdevs²)
///
/// * **Gives** what the method gives, in the same shapes, with standard errors: of the mean, or of the variance by the
///   fourth moment. There is no convergence delta; a remark counts the attributions that fell short by the method's own
///   measure.
/// * **Needs** any method, of inputs, layers or neurons, your own included; floating-point inputs where there is noise.
/// * **Costs** the method's cost once without noise, and once for each of the `n_samples` (5).
/// * **Target**: [`Target::Predicted`] is the class predicted without noise, in all samples.
/// * **Draws** by the seed and the sample's number alone: all examples get the same noise. A method that draws itself gets
///   a fresh seed with each sample; with the same one its own chance would not average out, and the standard errors
///   would not know of it. A method that compares the examples of a batch, as a permutation does, gets all of them in
///   each sample, also those that are within the tolerance.
/// * **Differs from Captum** in the variance, which Captum divides by n instead of n − 1
///   ([`NoiseTunnelType::CaptumVarGrad`] gives its number); in the fixed predicted class; in standard errors and
///   `tolerance`; and in that `nt_samples` is called `n_samples`. Baselines drawn anew for each sample are
///   [`GradientShap`](crate::attr::GradientShap).
/// * **Errors** if a standard deviation does not fit or is not a number of at least 0, an input with noise is not of
///   floating-point numbers, a variance is asked of one sample, and wherever the method does.
/// * **Paper**: Smilkov et al., *SmoothGrad: removing noise by adding noise*, 2017; Adebayo et al., *Local
///   Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values*, 2018.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).tanh("tanh").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let smooth = NoiseTunnel::new(Saliency::new(&net)).stdevs(0.2).n_samples(50);
/// let result = smooth.attribute(&x, Target::Predicted)?;
/// assert_eq!(result.standard_errors().unwrap()[0].dims(), [1, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct NoiseTunnel {
    method: Arc<dyn Attribute>,
    sampling: SamplingSettings,
    stdevs: Stdevs,
    nt_type: NoiseTunnelType,
    observer: Option<Arc<dyn Observer>>,
}

impl NoiseTunnel {
    setting! { setter sampling }
    setting! { setter stdevs }
    setting! { setter nt_type: NoiseTunnelType = "What is taken of the samples: their mean (the default), the mean of their squares, or their variance." }

    /// Who is told how far a call is, before each call of the method that is wrapped, and may end it there; see
    /// [`Observer`]. Rows are those of inputs, passes are calls: to see each pass of the model, observe that method.
    pub fn observer(&self, observer: impl Observer + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self.clone() }
    }

    const OPTIONS: &'static [&'static [&'static str]] = &[&["method", "stdevs", "nt_type"], setting!(names sampling)];

    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "NoiseTunnel",
        family: Family::Primary,
        summary: "any method's attributions averaged over noisy inputs, or their variance",
        has_delta: false,
        has_target: true,
        cost: Cost::PerSample,
        requires: &[],
        paper: "Smilkov et al. 2017",
        options: Self::OPTIONS,
        needs: &[&["method"]],
        build: Self::build,
    };

    /// The tunnel for a method, with 5 samples and noise of standard deviation 1.
    pub fn new(method: impl Attribute + 'static) -> Self {
        Self {
            method: Arc::new(method),
            sampling: SamplingSettings::of(5),
            stdevs: Stdevs::All(1.),
            nt_type: NoiseTunnelType::SmoothGrad,
            observer: None,
        }
    }

    /// The tunnel for the method that the options name, which gets the options that are not the tunnel's.
    fn build(model: Arc<dyn Model>, options: &Options) -> Result<Box<dyn Attribute>> {
        let needs = || error!(Input, "NoiseTunnel needs the name of the method that it wraps: its option \"method\"");
        let name = options.method.as_deref().ok_or_else(needs)?;
        let unknown = || error!(Input, "NoiseTunnel cannot wrap \"{name}\": there is no method of that name");
        let info = super::METHODS.iter().find(|info| info.name == name).ok_or_else(unknown)?;
        let mut rest = options.beyond(&Self::INFO);
        if info.takes("internal_batch_size") {
            rest.internal_batch_size = options.internal_batch_size;
        }
        let tunnel = Self::new((info.build)(model, &rest)?).with_sampling(|sampling| options.set_sampling(sampling));
        let tunnel = setting!(apply stdevs, options, tunnel);
        let tunnel = setting!(apply nt_type, options, tunnel);
        Ok(Box::new(Self { observer: options.observer.clone(), ..tunnel }))
    }
}

impl Attribute for NoiseTunnel {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        let Self { method, sampling, stdevs, nt_type, observer } = self;
        let observer = observer.clone();
        NoisyInputs { method, nt_type: *nt_type, stdevs, sampling, observer }.attribute(Self::INFO.name, inputs, target)
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        Some(Box::new(self.seed(seed)))
    }

    fn compares_examples(&self) -> bool {
        self.method.compares_examples()
    }
}
