//! The tests of the crate as its users see it.

/// The network in plain Rust that the twins and laws are computed with.
mod plain;

/// Numbers that are the same everywhere.
mod wave;

/// Every method against its formula, written out with loops and finite differences.
mod twins;

/// What counts as a model, and how its layers are named, tapped and trained.
mod models;

/// How many points a tolerance takes, and what its estimates are worth.
mod refinement;

/// What every method obeys, and identities between methods.
mod laws;

/// Models of every kind that laws are held on.
mod subjects;

/// What every method obeys, on each of them.
mod laws_on_models;

/// What methods require, and do without.
mod requirements;

/// The axioms of attribution.
mod axioms;

/// Shapley values: exact, sampled along orders, and by a regression.
mod shapley;

/// Lime, its surrogates, and how certain they are.
mod lime;

/// DeepLift over blocks of every kind.
mod deep_lift;

/// DeepLift of layers and neurons, and over distributions of baselines.
mod deep_lift_layers;

/// DeepLift's deltas beside Captum's.
mod deltas;

/// How often standard errors hold the exact number.
mod coverage;

/// Confidence intervals of few samples.
mod intervals;

/// GradientShap: its draws, its errors, and what it approaches.
mod gradient_shap;

/// Attributions of layers at other sizes.
mod interpolation;

/// Guided backpropagation, deconvolution and Grad-CAM.
mod rectified;

/// NoiseTunnel: its draws, its errors, and what it wraps.
mod noise_tunnel;

/// Methods that leave features out.
mod perturbation;

/// What a feature is: masks, windows and permutations, and those that do not fit.
mod feature_masks;

/// Models that are closures from rows to numbers.
mod black_boxes;

/// Attributions of several classes in one call.
mod classes;

/// Layers that are attributed each by itself, together in one call.
mod each_layer;

/// Relevance by LRP's rules.
mod lrp;

/// LRP against Captum's numbers.
mod lrp_numbers;

/// What LRP refuses, and what it remarks on.
mod lrp_errors;

/// Progress, and calls that are cancelled.
mod observer;

/// Bars of long work, and cells that are asked to stop.
mod progress;

/// Dense products in bf16.
mod precision;

/// How many passes each method takes, and of how many rows.
mod passes;

/// Other devices than the CPU.
mod devices;

/// Sums, means and differences in any number type.
mod shown;
mod sums;

/// Graphs of any depth.
mod depth;

/// Pictures in a wide font.
mod wide_fonts;

/// Columns that a feature mask joins, in pictures and tables.
mod joined_columns;

/// Cases whose answer is known by hand.
mod known_answers;

/// Every operation's backward against finite differences.
mod gradients;

/// Every block in every type and layout against finite differences.
mod blocks;

/// Blocks as rules see them.
mod block_faces;

/// Convolution against loops and PyTorch.
mod convolution;

/// Blocks over many shapes against PyTorch.
mod pytorch;

/// Pooling and the largest value against loops, with ties and NaN.
mod pooling;

/// What training makes sure of before its first epoch.
mod training;

/// Neurons that are part of a layer.
mod neurons;

/// Gradients held against the function.
mod gradient_check;

/// Attacks: FGSM and PGD.
mod robust;

/// Bad input and the error that each gives.
mod errors;

/// Settings that do not fit, over every method that takes them.
mod unfit_settings;

/// Families of encoders against transformers, and what each refuses.
mod families;

/// Errors without candle's backtraces.
mod backtraces;

/// What errors and remarks blame.
mod messages;

/// Tokenizers against those that they must equal, and the words that pieces join into.
mod tokenizers;

/// Folders of tokenizers as `transformers` reads them, over three thousand odd texts.
mod auto_tokenizer;

/// Checkpoints as they come: names, types, files and settings that differ.
mod checkpoints;

/// From a folder to a classifier of texts: what its tokenizer, its model and their settings say of each other.
mod text_folders;

/// Words in every script.
mod scripts;

/// From a text to its coloured words.
mod text;

/// The Titanic walkthrough to the digits of the tutorial.
mod titanic;

/// How results show themselves.
mod figures;

/// Every figure as it was when someone last looked.
mod snapshots;

/// Pictures of predictions: waterfall, beeswarm, dependence, force.
mod pictures;

/// Pictures and remarks of a layer's attributions.
mod of_layers;

/// Light and dark figures: the same marks in other colours.
mod themes;

/// What the source tree promises about itself.
mod tidy;

/// What the documents show of the code.
mod drawn;
