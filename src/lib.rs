//! SIMD kernels for learning without backpropagation, and the learning systems built on them.
//!
//! - [`kernels`]: the [Hebbian rules](kernels::hebbian), [weight perturbation](kernels::perturb) and what stands around them. No feature needed.
//! - [`analysis`]: the statistics the papers judge their results by.
//! - `datasets` (feature `datasets`): IDX and CIFAR-10 files, transforms, batches, and 3000 MNIST digits inside the crate.
//! - `systems` (feature `systems`): networks that learn by these rules, their baselines, configuration and checkpoints.
//! - The `neuropil` command (feature `cli`): `reproduce`, `train`, `verify`, `data`, `info`.
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
//! **Errors.** Whatever comes from outside the program (files, settings, environment) is checked once and reported as an [`Error`] that
//! says what was expected, what was found, and where; so do constructors of what has rules of its own (patterns, fields, views, graphs,
//! samples). Shapes that disagree between values already built are the caller's mistake: kernels panic, with both shapes in the message and
//! at the caller's line.
//!
//! **Determinism.** A kernel returns the same bits on every instruction set and for any number of threads: vectors have 16 logical
//! lanes everywhere, multiply-adds are always fused, reductions follow one tree, work is cut into constant pieces, and elementary
//! functions are [our own](simd::math). Random numbers are named by (seed, purpose, item), see [`random`]. So a training run can be stopped,
//! saved, and continued on another machine, bit for bit.
//!
//! **Threads.** A kernel uses as many as its [`Context`] has, from a pool of the crate's own ([`Threads`]): it never waits for what else runs
//! in `rayon`'s global pool.
//!
//! **Speed.** A plain `cargo build` reaches the best instruction set of the CPU it runs on, chosen at run time by [`simd`];
//! the variable `NEUROPIL_SIMD` (`scalar`, `portable`, `avx2`, `avx512`, `neon`) or [`Context::on`] forces one.
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

/// The examples of README.md.
#[cfg(all(doctest, feature = "systems"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
