//! SIMD kernels for learning without backpropagation, and the learning systems built on them.
//!
//! - [`kernels`]: [Hebbian rules](kernels::hebbian), [weight perturbation](kernels::perturb), [populations of genotypes](kernels::genotype), [masked
//!   products](kernels::masked), [histograms and entropy](kernels::entropy), [self-replicating particles](kernels::particle), [local rules of output
//!   layers](kernels::plasticity), what stands around them, and [a reference with a bound for each](kernels::verify). No feature needed.
//! - [`analysis`]: the statistics the papers judge their results by.
//! - `datasets` (feature `datasets`): IDX and CIFAR-10 files, transforms, batches, and 3000 MNIST digits inside the crate.
//! - `systems` (feature `systems`): networks that learn by these rules, their baselines, configuration and checkpoints.
//! - The `neuropil` command (feature `cli`), which README.md and its own help tell of.
//!
//! ```
//! use neuropil::kernels::hebbian::{Reduction, Update, oja_subspace};
//! use neuropil::{Context, Matrix};
//!
//! let mut context = Context::new()?; // the best instruction set of this CPU, one thread
//! let x = Matrix::from_slice(&[0.5, 1.0, 0.0, 1.0], 2, 2)?; // two samples of two inputs
//! let z = Matrix::from_slice(&[0.5, 0.25], 2, 1)?; // the activity of one unit for each
//! let mut w = Matrix::zeros(2, 1);
//! let update = Update { rate: 0.5, reduction: Reduction::Mean, non_negative: false };
//! oja_subspace(&mut context, x.view(), z.view(), w.view_mut(), &update);
//! assert_eq!(w.as_slice(), [0.0625, 0.1875]); // rate * mean of x z, as w was zero
//! # Ok::<(), neuropil::Error>(())
//! ```
//!
//! # Conventions
//!
//! **Shapes.** Samples are rows: inputs x are `[batch, inputs]`, weights w `[inputs, units]`, activities z `[batch, units]`. Matrices are
//! row-major `f32` with contiguous rows; [`MatRef`] and [`MatMut`] view slices, `faer` matrices (feature `faer`) and `ndarray` arrays
//! (feature `ndarray`) without a copy. Sums that decide something (losses, rewards) are `f64`. A kernel is a function of a [`Context`]
//! (instruction set, threads, scratch memory), inputs and outputs.
//!
//! Where functions differ from this, and from each other:
//!
//! | what | as a rule | but |
//! |---|---|---|
//! | weights | `[inputs, units]` | `[units, inputs]` in [`krotov_hopfield`](kernels::hebbian::krotov_hopfield) and all of [`plasticity`](kernels::plasticity), which change whole units: [`Matrix::transposed`] |
//! | weights of genotypes | `[genotypes, links]` in [`evaluate_weights`](kernels::genotype::evaluate_weights) | [`decode`](kernels::genotype::decode) writes `[links, genotypes]` |
//! | x | `[batch, inputs]` | `[5 batch, particles]` in [`forward_each`](kernels::particle::forward_each) |
//! | z | a unit's activities, `[batch, units]` | in [`perturb`](kernels::perturb) and [`matmul_skinny`](kernels::dense::matmul_skinny) what enters the layer, `[batch, inputs]`; inputs of [`plasticity`](kernels::plasticity) are h |
//! | the clamp at zero | a field `non_negative` of the rule: [`Update`](kernels::hebbian::Update), [`KrotovHopfield`](kernels::hebbian::KrotovHopfield), [`WeightPerturbation`](kernels::perturb::WeightPerturbation), [`Step`](kernels::adam::Step) | an argument of [`reward_update`](kernels::perturb::reward_update) and [`reward_update_per_sample`](kernels::perturb::reward_update_per_sample); [`Write::AddNonNegative`](kernels::dense::Write) of products |
//! | the rate | in the rule | an argument of `krotov_hopfield`, [`sign_descent`](kernels::plasticity::sign_descent), [`reward_modulated`](kernels::plasticity::reward_modulated) and [`effective_weight_step`](kernels::particle::effective_weight_step) |
//! | mean or sum over the batch | a [`Reduction`](kernels::hebbian::Reduction) | neither in `krotov_hopfield`, whose step is scaled by its largest change; a sum in `plasticity` |
//! | order of arguments | context, inputs, what changes, the rule, workspace | a stream follows the inputs and comes before what is drawn from it ([`gaussian`](kernels::perturb::gaussian), `perturbed_per_sample`, [`Population::sample`](kernels::genotype::Population::sample)); it comes before the inputs in [`reward_update_per_sample`](kernels::perturb::reward_update_per_sample) and [`noise_of_sample`](kernels::perturb::noise_of_sample), last in [`relu_dropout`](kernels::activation::relu_dropout) and in what is made at random (`Pattern`, `Graph` and `WeightGeneration::random`, [`AlleleFrequencies::uniform`](kernels::genotype::AlleleFrequencies::uniform), [`Particles::xavier`](kernels::particle::Particles::xavier)), and before the workspace in [`weight_perturbation`](kernels::perturb::weight_perturbation); [`reward_signal`](kernels::plasticity::reward_signal) has the rule first; it, [`accuracy`](kernels::loss::accuracy) and what looks at one row or one population have no context; the rule comes before the output in [`gates`](kernels::hebbian::gates) (after it in [`winner_take_all`](kernels::hebbian::winner_take_all)) and before the gradient in [`Adam::update`](kernels::adam::Adam::update); what changes comes before the input in [`add_bias`](kernels::dense::add_bias) and [`effective_weight_step`](kernels::particle::effective_weight_step); scale and offset come before what they make in [`to_f32`](kernels::pixels::to_f32) |
//! | labels | `&[u8]`, below the number of classes | so at most 256 classes everywhere; [`softmax`](kernels::loss::softmax) takes any width |
//!
//! **Errors.** Whatever comes from outside the program (files, settings, environment) is checked once and reported as an [`Error`] that
//! says what was expected, what was found, and where; so do constructors of what has rules of its own (patterns, fields, views, graphs,
//! samples). Shapes that disagree between values already built are the caller's mistake: kernels panic, with both shapes in the message and
//! at the caller's line. So do settings without meaning that a caller writes down: a rate or a momentum that is NaN or infinite, a width of
//! noise, a temperature. Two functions answer with an error all the same, and leave all as it was, as what they are handed may have come from
//! other machines or from files: [`AlleleFrequencies::update`](kernels::genotype::AlleleFrequencies::update), for epsilon and rewards, and
//! [`evaluate_weights`](kernels::genotype::evaluate_weights), for a weight that is not finite. Numbers that are computed (matrices, gains, the factor of a [`Write`](kernels::dense::Write)) are data: NaN and infinity
//! spread as each kernel says.
//!
//! **Determinism.** A kernel returns the same bits on every instruction set and for any number of threads: vectors have 16 logical
//! lanes everywhere, multiply-adds are always fused, reductions follow one tree, work is cut into constant pieces, and elementary
//! functions are [our own](simd::math). (Which NaN a NaN is may differ: its sign and payload are not promised.) Random numbers are named by
//! (seed, purpose, item), see [`random`]. So a training run can be stopped, saved, and continued on another machine, bit for bit: between
//! systems of one mathematical library, as a few numbers of `f64` (powers in Adam's corrections, entropies that are compared) are that
//! library's.
//!
//! **Threads.** A kernel uses as many as its [`Context`] has, from a pool of the crate's own ([`Threads`]): it never waits for what else runs
//! in `rayon`'s global pool.
//!
//! **Speed.** A plain `cargo build` reaches the best instruction set of the CPU it runs on, chosen at run time by [`simd`];
//! the variable `NEUROPIL_SIMD` (`scalar`, `portable`, `avx2`, `avx512`, `neon`) or [`Context::on`] forces one.
//! A debug build has unoptimised kernels, a hundred times slower and more, as Cargo asks the crate that is built, not its dependencies, how to
//! compile them. Two lines in its Cargo.toml are enough:
//!
//! ```toml
//! [profile.dev.package.neuropil]
//! opt-level = 3
//! ```
//!
//! Release builds need none; nor did one codegen unit for this crate, as its own have, make five kernels faster that were timed so.
//!
//! **Versions** follow [Semantic Versioning](https://semver.org/), but for what there is to check and to repeat by: the `reference` modules,
//! [`kernels::verify`] and the `experiment` modules of `systems` may change in any version.
//!
//! **Proof.** Every kernel has a public `f64` reference beside it, and [`kernels::verify`] compares the two on the CPU at hand.
//!
//! # Features
//!
//! | feature | adds | brings |
//! |---|---|---|
//! | none | the kernels | rayon, wide, rand_core, rand_pcg, thiserror; libc on Linux |
//! | `faer` (default) | views of `faer` matrices | faer, most of what is left to compile |
//! | `datasets` | readers, transforms, batches | flate2, memmap2 |
//! | `systems` | networks, training, checkpoints; implies `datasets` and `faer` | safetensors, serde, toml |
//! | `ndarray` | views of `ndarray` arrays | ndarray |
//! | `cli` | the command; implies `systems` | the command line's crates |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod analysis;
pub mod context;
#[cfg(feature = "datasets")]
pub mod datasets;
pub mod error;
pub mod kernels;
pub mod matrix;
pub mod parallel;
pub mod random;
mod shown;
pub mod simd;
#[cfg(feature = "systems")]
pub mod systems;

pub use context::Context;
pub use error::{Error, Result};
pub use matrix::{MatMut, MatRef, Matrix};
pub use parallel::Threads;
pub use simd::Isa;

// Types of theirs stand in the interface: whoever uses those needs the same version.
#[cfg(feature = "faer")]
pub use faer;
#[cfg(feature = "ndarray")]
pub use ndarray;
pub use rand_core;
pub use rand_pcg;

/// The examples of README.md.
#[cfg(all(doctest, feature = "systems"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
