//! What an attribution method is, and the row it has in the registry.

use std::sync::Arc;

use super::classes::attribute_classes;
use super::{Attributions, Options, Target};
use crate::error::Result;
use crate::model::{Inputs, Model};
use crate::seed::Seed;

/// An attribution method: a model, its settings, and one verb.
pub trait Attribute: Send + Sync {
    /// Attributes the target of these inputs to what the method's own page says.
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions>;

    /// Attributes the target of these inputs to what the method's own page says.
    fn attribute(&self, inputs: impl Into<Inputs>, target: impl Into<Target>) -> Result<Attributions>
    where
        Self: Sized,
    {
        self.attribute_to(&inputs.into(), &target.into())
    }

    /// Attributes each of these classes, in one set of forward passes: a list of attributions, one for each class in
    /// their order, equal to what [`attribute`](Self::attribute) gives for each.
    ///
    /// What is the same for all classes is evaluated once. So methods that only evaluate take hardly more forward rows
    /// than for one class; methods by gradient too, and a backward pass for each class. LRP, whose rules keep
    /// accounts of one class, takes a pass for each. DeepLift by `captum_rules`, which looks at the whole batch, takes one
    /// class. A method that has no target ([`MethodInfo::has_target`]), such as NeuronGradient, takes no class.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
    /// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
    /// let both = ShapleyValues::new(&net).attribute_classes(&x, 0..2)?;
    /// assert_eq!(both[1].targets(), [[1]]);
    /// # Ok::<(), Error>(())
    /// ```
    fn attribute_classes(
        &self,
        inputs: impl Into<Inputs>,
        classes: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<Attributions>>
    where
        Self: Sized,
    {
        attribute_classes(self, &inputs.into(), &classes.into_iter().collect::<Vec<_>>())
    }

    /// The same method with other draws, by this seed; `None` for a method that draws nothing.
    fn reseeded(&self, _seed: Seed) -> Option<Box<dyn Attribute>> {
        None
    }

    /// Whether what an example gets depends on the others of its batch, as with a permutation; not by default.
    fn compares_examples(&self) -> bool {
        false
    }
}

impl<T: Attribute + ?Sized> Attribute for Arc<T> {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        (**self).attribute_to(inputs, target)
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        (**self).reseeded(seed)
    }

    fn compares_examples(&self) -> bool {
        (**self).compares_examples()
    }
}

impl<T: Attribute + ?Sized> Attribute for Box<T> {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        (**self).attribute_to(inputs, target)
    }

    fn reseeded(&self, seed: Seed) -> Option<Box<dyn Attribute>> {
        (**self).reseeded(seed)
    }

    fn compares_examples(&self) -> bool {
        (**self).compares_examples()
    }
}

/// A method's row in the registry.
#[derive(Clone, Copy)]
pub struct MethodInfo {
    /// The type's name, Captum's where it has the method.
    pub name: &'static str,
    /// What it attributes to.
    pub family: Family,
    /// What its numbers mean, in one line.
    pub summary: &'static str,
    /// Whether its attributions add up to a known number, so that it has a convergence delta.
    pub has_delta: bool,
    /// Whether it explains a number of the output, and so takes a target. A method that wraps another takes that one's.
    pub has_target: bool,
    /// What it costs.
    pub cost: Cost,
    /// What it requires of the model and the call. A method that wraps another requires what that one does.
    pub requires: &'static [Requirement],
    /// The paper it comes from.
    pub paper: &'static str,
    /// The names of the settings it takes, in groups.
    pub options: &'static [&'static [&'static str]],
    /// Those of them that have no default and must be given.
    pub needs: &'static [&'static [&'static str]],
    /// Makes the method with settings chosen at run time.
    pub build: Build,
}

impl MethodInfo {
    /// The names of the settings it takes.
    pub fn option_names(&self) -> impl Iterator<Item = &'static str> {
        self.options.iter().copied().flatten().copied()
    }

    /// This target, or none for a method that takes none and refuses one: for callers that ask several methods about the
    /// same class.
    pub fn target(&self, target: impl Into<Target>) -> Target {
        if self.has_target { target.into() } else { Target::None }
    }

    /// Whether it requires this of the model or the call.
    pub fn requires(&self, requirement: Requirement) -> bool {
        self.requires.contains(&requirement)
    }

    /// Whether a setting of this name must be given.
    pub fn needs(&self, option: &str) -> bool {
        self.needs.iter().copied().flatten().any(|name| *name == option)
    }

    /// Whether it takes a setting of this name.
    pub fn takes(&self, option: &str) -> bool {
        self.option_names().any(|name| name == option)
    }
}

/// Makes a method for a model with settings chosen at run time.
pub type Build = fn(Arc<dyn Model>, &Options) -> Result<Box<dyn Attribute>>;

/// What a method attributes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// The inputs.
    Primary,
    /// The activations of layers.
    Layer,
    /// The inputs, for one neuron of a layer.
    Neuron,
}

/// What a method requires. One that requires nothing takes any model, also a closure from rows to numbers, and one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// Gradients: the model is made of candle's operations.
    Gradients,
    /// What is not linear is run as blocks (`layers.apply`, `layers.run`), because the method follows rules.
    Blocks,
    /// ReLUs that are run as blocks.
    Relus,
    /// Several baselines ([`Baseline::Distribution`](crate::engine::Baseline::Distribution)).
    Distribution,
    /// Several rows: what an example gets depends on the others of its batch.
    SeveralRows,
}

/// Passes for each example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Only forward passes.
    Forward,
    /// One forward and one backward pass.
    ForwardBackward,
    /// A forward and a backward pass for each step.
    PerStep,
    /// A forward pass for each feature.
    PerFeature,
    /// A forward pass for each set of features: 2ⁿ for n features.
    PerCoalition,
    /// One pass or more for each sample.
    PerSample,
}

/// Turns one line for each method into its module, its export and its row of [`MethodInfo`].
macro_rules! define_methods {
    ($($module:ident::$method:ident,)+) => {
        $(mod $module; pub use $module::$method;)+

        /// Every method of the crate, in the order of the documentation.
        pub const METHODS: &[$crate::engine::MethodInfo] = &[$($method::INFO),+];

        /// Calls another macro with the types of all methods.
        macro_rules! each_method {
            ($callback:ident) => {
                $callback! { $($method,)+ }
            };
        }

        pub(crate) use each_method;
    };
}

pub(crate) use define_methods;
