//! Every kernel against its reference, on this CPU: what `neuropil verify` runs, and any test suite may.
//!
//! A check draws a shape and values, computes the result in `f64` together with the error bound that the kernel's documentation
//! derives, then runs the kernel on each instruction set. It passes where no value is further from the reference than the bound,
//! and the bits are those of the scalar token. Half of the shapes stand on the edges of what blocking could get wrong: nothing,
//! one, a vector of 16 lanes, a tile, and one more or less than these; outputs hold NaN before they are replaced. The matrices of the
//! dense, masked and Hebbian kernels lie, in half of the cases, inside larger ones, of which nothing else may be read or written. In every fourth
//! case half of the values are zeros of either sign, denormal, or have denormal products; in every fourth one in sixty is NaN or
//! infinite: there a value must be finite where the reference is and not where it is not, as far as the kernel's documentation says.
//!
//! ```
//! use neuropil::{Isa, kernels::verify};
//! let reports = verify::run(&[Isa::best()], 3, 0)?;
//! assert!(reports.iter().all(|report| report.passed()));
//! # Ok::<(), neuropil::Error>(())
//! ```

mod dense;
mod elementwise;
mod entropy;
mod genotype;
mod hebbian;
mod masked;
mod particle;
mod perturb;
mod plasticity;

use std::fmt::Write;
use std::ops::Range;

use rand_core::Rng;

use crate::error::Error;
use crate::random::{Stream, below};
use crate::{Context, Isa, MatMut, MatRef, Matrix, Result, Threads};

/// What a check found for one kernel on one instruction set.
#[derive(Clone, Debug)]
pub struct Report {
    /// The kernel, `family::function`.
    pub kernel: &'static str,
    /// The instruction set.
    pub isa: Isa,
    /// How many shapes were tried.
    pub shapes: usize,
    /// The largest error found, as a multiple of the derived bound: above 1 the kernel is wrong.
    pub worst: f64,
    /// The shape that gave it, as `name=size` pairs.
    pub worst_shape: String,
    /// Whether every output had the bits that the scalar token gives.
    pub equals_scalar: bool,
}

impl Report {
    /// Within the bound, and equal to the scalar token bit by bit.
    pub fn passed(&self) -> bool {
        self.worst <= 1.0 && self.equals_scalar
    }
}

/// A dimension of a check's shapes, and the range it is drawn from.
struct Dim {
    name: &'static str,
    min: usize,
    max: usize,
}

/// One kernel's check.
struct Check {
    kernel: &'static str,
    dims: &'static [Dim],
    run: fn(&mut Case),
}

impl Check {
    /// The report before the first shape.
    fn untried(&self, isa: Isa, shapes: usize) -> Report {
        let (worst, worst_shape, equals_scalar) = (0.0, String::new(), true);
        Report { kernel: self.kernel, isa, shapes, worst, worst_shape, equals_scalar }
    }
}

/// One for each set; before them the scalar token's, on one thread, whose bits are the measure of the others.
fn contexts(sets: &[Isa]) -> Result<Vec<Context>> {
    std::iter::once(&Isa::Scalar).chain(sets).map(|&isa| Context::on(isa)).collect()
}

/// All checks, family by family.
const FAMILIES: &[&[Check]] = &[
    dense::CHECKS,
    hebbian::CHECKS,
    masked::CHECKS,
    genotype::CHECKS,
    particle::CHECKS,
    perturb::CHECKS,
    elementwise::CHECKS,
    entropy::CHECKS,
    plasticity::CHECKS,
];

/// What only large shapes do, which take about a second each.
const LARGE: &[Check] = &[masked::PAST_CACHES, elementwise::PAST_CACHES];

/// The first number of a large shape; another follows after twice as many.
const RARE: usize = 49;

/// The fewest shapes of [`run`] with which [`large_kernels`] are checked.
pub const FEWEST_WITH_LARGE: usize = RARE + 1;

/// Runs every check on these instruction sets, over this many shapes each; what only shapes of millions of values do, over one in a hundred,
/// and over none if there are fewer than [`FEWEST_WITH_LARGE`].
///
/// Every second shape is computed on three threads, so that the thread count is seen to leave the bits alone.
///
/// # Errors
/// [`Error::InstructionSet`] if this CPU lacks one of the sets.
pub fn run(sets: &[Isa], shapes: usize, seed: u64) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for kernel in kernels().chain(large_kernels()) {
        reports.extend(of(kernel, sets, shapes, seed)?);
    }
    Ok(reports)
}

/// What [`run`] finds of this kernel: on the same shapes and values, whichever others are checked.
///
/// # Errors
/// As [`run`]; [`Error::Setting`] if there is no check of this name.
pub fn of(kernel: &str, sets: &[Isa], shapes: usize, seed: u64) -> Result<Vec<Report>> {
    let check = named(kernel)?;
    let large = LARGE.iter().any(|large| large.kernel == check.kernel);
    let (smallest, step) = if large { (RARE, 2 * RARE) } else { (0, 1) };
    let numbers = (smallest..shapes).step_by(step);
    let mut contexts = contexts(sets)?;
    if numbers.len() == 0 {
        return Ok(Vec::new());
    }
    let mut reports: Vec<Report> = sets.iter().map(|&isa| check.untried(isa, numbers.len())).collect();
    let stream = Stream::new(seed, check.kernel);
    for number in numbers {
        let threads = if number % 2 == 0 { Threads::ONE } else { Threads::always(3)? };
        for context in &mut contexts[1..] {
            *context = std::mem::replace(context, Context::on(Isa::Scalar)?).with_threads(threads);
        }
        let stream = stream.item(number as u64);
        let sizes = shape(check.dims, number, stream.item(0));
        let mut case = Case {
            sizes: &sizes,
            values: Values::of(number),
            strided: strided(stream),
            stream: stream.item(1),
            drawn: 0,
            contexts: &mut contexts,
            reports: &mut reports,
            dims: check.dims,
            spoil: &mut |_| (),
        };
        (check.run)(&mut case);
    }
    Ok(reports)
}

fn named(kernel: &str) -> Result<&'static Check> {
    let check = FAMILIES.iter().copied().flatten().chain(LARGE).find(|check| check.kernel == kernel);
    check.ok_or_else(|| Error::setting("kernel", "the name of a check", kernel))
}

/// The names of all checks, in the order in which [`run`] makes them, but of those that only take large shapes.
pub fn kernels() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().copied().flatten().map(|check| check.kernel)
}

/// The names of those that only take large shapes.
pub fn large_kernels() -> impl Iterator<Item = &'static str> {
    LARGE.iter().map(|check| check.kernel)
}

/// Runs the checks of this name on one case: what a fuzzer drives, and how a case that it found is looked at again.
///
/// The sizes are folded into the range of each dimension, those that are missing are its smallest; the values follow from the seed.
///
/// ```
/// use neuropil::{Isa, kernels::verify};
/// let reports = verify::case("dense::matmul", &[Isa::best()], &[5, 17, 300], 7)?;
/// assert!(reports.iter().all(|report| report.passed()));
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Errors
/// [`Error::InstructionSet`] if this CPU lacks one of the sets, [`Error::Setting`] if there is no check of this name.
pub fn case(kernel: &str, sets: &[Isa], sizes: &[usize], seed: u64) -> Result<Vec<Report>> {
    spoiled_case(kernel, sets, sizes, seed, &mut |_| ())
}

/// The same, `spoil` having its way with what the kernel returns, before anybody looks at it.
fn spoiled_case(
    kernel: &str,
    sets: &[Isa],
    sizes: &[usize],
    seed: u64,
    spoil: &mut dyn FnMut(&mut [f32]),
) -> Result<Vec<Report>> {
    let check = named(kernel)?;
    let mut contexts = contexts(sets)?;
    let mut reports: Vec<Report> = sets.iter().map(|&isa| check.untried(isa, 1)).collect();
    let folded = |(at, dim): (usize, &Dim)| dim.min + sizes.get(at).map_or(0, |size| size % (dim.max - dim.min + 1));
    let sizes: Vec<usize> = check.dims.iter().enumerate().map(folded).collect();
    let stream = Stream::new(seed, check.kernel).item(1);
    let (contexts, reports_of) = (&mut contexts, &mut reports);
    (check.run)(&mut Case {
        sizes: &sizes,
        values: Values::of((seed % 4) as usize),
        strided: strided(stream),
        stream,
        drawn: 0,
        contexts,
        reports: reports_of,
        dims: check.dims,
        spoil,
    });
    Ok(reports)
}

/// Shapes for each kernel that make at least a hundred thousand cases on so many instruction sets: `neuropil verify --full`.
pub fn full(sets: usize) -> usize {
    100_000usize.div_ceil(kernels().count() * sets.max(1))
}

/// Sizes at which blocking goes wrong first: around one, around the multiples of 16 lanes and of tiles, and where blocks and panels begin.
const EDGES: [usize; 21] = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129, 256, 257, 384, 385];

/// The shape of this number: the smallest, then every dimension either on an edge or drawn so that each magnitude is as likely.
fn shape(dims: &[Dim], number: usize, stream: Stream) -> Vec<usize> {
    let mut generator = stream.generator();
    dims.iter()
        .map(|dim| {
            if number == 0 {
                return dim.min;
            }
            let edges: Vec<usize> = EDGES.into_iter().filter(|size| (dim.min..=dim.max).contains(size)).collect();
            if generator.next_u64().is_multiple_of(2) && !edges.is_empty() {
                return edges[below(&mut generator, edges.len() as u64) as usize];
            }
            let limit = (dim.max >> below(&mut generator, 1 + u64::from(dim.max.ilog2()))).max(1);
            (1 + below(&mut generator, limit as u64) as usize).clamp(dim.min, dim.max)
        })
        .collect()
}

/// What a case's matrices hold.
#[derive(Clone, Copy, PartialEq)]
enum Values {
    /// Numbers uniform in an interval.
    Ordinary,
    /// Half of the numbers so small that they or their products are denormal, or zero of either sign.
    Tiny,
    /// One in sixty a NaN or an infinity.
    Special,
}

impl Values {
    /// Every fourth case is tiny, every fourth special.
    fn of(number: usize) -> Self {
        match number % 4 {
            2 => Values::Tiny,
            3 => Values::Special,
            _ => Values::Ordinary,
        }
    }

    /// One value in so many is replaced.
    fn rarity(self) -> u64 {
        if self == Values::Special { 60 } else { 2 }
    }
}

/// Whether this case's matrices lie inside larger ones: by chance, so that cases of each kind, shape and number of threads do and do not.
fn strided(stream: Stream) -> bool {
    stream.item(u64::MAX).generator().next_u64().is_multiple_of(2)
}

const TINY: [f32; 6] = [0.0, -0.0, 1e-45, -3e-41, 1.1e-38, -2e-23];
const SPECIAL: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// One shape of one check: where its values come from and its results go.
struct Case<'a> {
    sizes: &'a [usize],
    values: Values,
    /// Whether [`lay`](Case::lay) puts matrices inside larger ones.
    strided: bool,
    stream: Stream,
    drawn: u64,
    contexts: &'a mut [Context],
    reports: &'a mut [Report],
    dims: &'static [Dim],
    /// Called with all that a kernel returns: how the tests see that a fault is seen.
    spoil: &'a mut dyn FnMut(&mut [f32]),
}

impl Case<'_> {
    /// The sizes, in the order of the check's dimensions.
    fn sizes<const N: usize>(&self) -> [usize; N] {
        self.sizes.try_into().expect("as many sizes as the check has dimensions")
    }

    /// A stream no other draw of this case uses.
    fn stream(&mut self) -> Stream {
        self.drawn += 1;
        self.stream.item(self.drawn)
    }

    /// A matrix uniform in `[low, high)`.
    fn finite(&mut self, rows: usize, cols: usize, low: f32, high: f32) -> Matrix {
        assert!(low < high, "values that vary");
        let mut matrix = Matrix::zeros(rows, cols);
        self.stream().uniform(low, high, matrix.as_mut_slice());
        matrix
    }

    /// A matrix uniform in `[low, high)`, with special values here and there if this is a case of them.
    fn matrix(&mut self, rows: usize, cols: usize, low: f32, high: f32) -> Matrix {
        let mut matrix = self.finite(rows, cols, low, high);
        let kinds: &[f32] = match self.values {
            Values::Ordinary => return matrix,
            Values::Tiny => &TINY,
            Values::Special => &SPECIAL,
        };
        let mut generator = self.stream().generator();
        for value in matrix.as_mut_slice() {
            let draw = below(&mut generator, self.values.rarity() * kinds.len() as u64) as usize;
            *value = kinds.get(draw).copied().unwrap_or(*value);
        }
        matrix
    }

    /// How the kernel is given this matrix: in every second case as part of a larger one.
    fn lay(&mut self, matrix: &Matrix) -> Laid {
        let mut generator = self.stream().generator();
        let (rows, cols) = (matrix.rows(), matrix.cols());
        let mut gap = |limit| below(&mut generator, limit) as usize;
        let (around, left, right) = match self.strided {
            true => (1, gap(4), 1 + gap(17)),
            false => (0, 0, 0),
        };
        let memory = Matrix::from_fn(rows + 2 * around, left + cols + right, |_, _| f32::from_bits(CANARY));
        let mut laid = Laid { memory, rows: around..around + rows, cols: left..left + cols };
        laid.view_mut().copy_from(matrix.view());
        laid
    }

    /// Labels of so many classes, or of the first 256.
    fn labels(&mut self, count: usize, classes: usize) -> Vec<u8> {
        let mut generator = self.stream().generator();
        (0..count).map(|_| below(&mut generator, classes.min(256) as u64) as u8).collect()
    }

    /// A matrix of NaN, for outputs that a kernel must replace without reading.
    fn poisoned(rows: usize, cols: usize) -> Matrix {
        Matrix::from_fn(rows, cols, |_, _| f32::NAN)
    }

    /// Runs the kernel in every context, and compares what it returns with the reference and with the scalar token.
    fn compare(&mut self, reference: &[f64], bound: &[f64], kernel: impl Fn(&mut Context) -> Vec<f32>) {
        assert_eq!(reference.len(), bound.len(), "a bound for every value of the reference");
        self.judge(kernel, |got| worst_ratio(got, reference, bound));
    }

    /// Runs the kernel in every context, has `ratio` say how far off its result is, and compares it with the scalar token's.
    fn judge(&mut self, kernel: impl Fn(&mut Context) -> Vec<f32>, ratio: impl Fn(&[f32]) -> f64) {
        let (scalar, contexts) = self.contexts.split_first_mut().expect("the scalar context");
        let mut run = |context: &mut Context| {
            let mut got = kernel(context);
            (self.spoil)(&mut got);
            got
        };
        let oracle = run(scalar);
        for (context, report) in contexts.iter_mut().zip(&mut *self.reports) {
            let got = run(context);
            // Which NaN a NaN is may differ.
            let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            let equal = got.len() == oracle.len() && got.iter().zip(&oracle).all(same);
            let worst = ratio(&got);
            if worst > report.worst || report.worst_shape.is_empty() || (report.equals_scalar && !equal) {
                report.worst_shape = describe(self.dims, self.sizes);
            }
            report.worst = report.worst.max(worst);
            report.equals_scalar &= equal;
        }
    }
}

/// A matrix where a kernel finds it: by itself, or inside a larger one whose other values are NaN, and must stay the NaN they are.
#[derive(Clone)]
struct Laid {
    memory: Matrix,
    rows: Range<usize>,
    cols: Range<usize>,
}

/// The bits of a NaN that no operation makes.
const CANARY: u32 = 0x7fc5_a5a5;

impl Laid {
    fn view(&self) -> MatRef<'_> {
        self.memory.view().rows_range(self.rows.clone()).columns(self.cols.clone())
    }

    fn view_mut(&mut self) -> MatMut<'_> {
        let (_, below) = self.memory.view_mut().split_rows(self.rows.start);
        let (rows, _) = below.split_rows(self.rows.len());
        let (_, right) = rows.split_columns(self.cols.start);
        right.split_columns(self.cols.len()).0
    }

    /// What the kernel has left: too many values if it wrote beside its own.
    fn values(&self) -> Vec<f32> {
        let mut values: Vec<f32> = self.view().iter_rows().flatten().copied().collect();
        for (row, all) in self.memory.view().iter_rows().enumerate() {
            let own = |col: usize| self.rows.contains(&row) && self.cols.contains(&col);
            values.extend(
                all.iter()
                    .enumerate()
                    .filter(|&(col, value)| !own(col) && value.to_bits() != CANARY)
                    .map(|(_, value)| value),
            );
        }
        values
    }
}

/// The factor by which n roundings can move a sum of magnitudes: `n u / (1 - n u)` with u half an epsilon (Higham's gamma).
fn gamma(operations: f64) -> f64 {
    let u = 0.5 * f64::from(f32::EPSILON) * operations;
    u / (1.0 - u)
}

/// Asks nothing where the reference is not finite: for kernels whose algebra is not the formula's, and that say how far NaN spreads.
fn waive(mut exact: Vec<f64>, mut bound: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    for (exact, bound) in exact.iter_mut().zip(&mut bound).filter(|(exact, _)| !exact.is_finite()) {
        (*exact, *bound) = (0.0, f64::INFINITY);
    }
    (exact, bound)
}

/// Asks for the very NaN or infinity of the reference: for kernels that treat each value by itself, where no order of operations is an excuse.
fn strict(exact: &[f64], bound: &mut [f64]) {
    exact.iter().zip(bound).filter(|(exact, _)| !exact.is_finite()).for_each(|(_, bound)| *bound = 0.0);
}

/// What underflow may add to a bound: half the smallest denormal for each of the up to 4096 operations behind a value.
const UNDERFLOW: f64 = 4096.0 * 0.5 * 1.4e-45;

/// The largest |got - reference| / bound. Infinite if a length, a NaN or an infinity disagrees.
fn worst_ratio(got: &[f32], reference: &[f64], bound: &[f64]) -> f64 {
    if got.len() != reference.len() {
        return f64::INFINITY;
    }
    let ratio = |((&got, &reference), &bound): ((&f32, &f64), &f64)| {
        let got = f64::from(got);
        if got == reference || (got.is_nan() && reference.is_nan()) {
            return 0.0;
        }
        let ratio = match (reference.is_finite(), bound.is_finite()) {
            // What is exact underflows nowhere.
            (true, true) => (got - reference).abs() / if bound > 0.0 { bound + UNDERFLOW } else { 0.0 },
            // Something on the way was not finite: whether that is left depends on the order of operations.
            (true, false) => 0.0,
            // Infinity less infinity may happen earlier or later, but not vanish; where nothing is rounded it happens when it does.
            (false, _) if !got.is_finite() && bound != 0.0 => 0.0,
            (false, _) => f64::INFINITY,
        };
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    };
    got.iter().zip(reference).zip(bound).map(ratio).fold(0.0, f64::max)
}

fn describe(dims: &[Dim], sizes: &[usize]) -> String {
    let mut text = String::new();
    for (dim, size) in dims.iter().zip(sizes) {
        let separator = if text.is_empty() { "" } else { " " };
        write!(text, "{separator}{}={size}", dim.name).expect("writing to a string");
    }
    text
}

#[cfg(test)]
mod tests;
