//! One layer of masked weights, computed the way that is fastest for its shape and density.

use std::fmt;

use super::field::{FieldLayer, field_matmul, field_matmul_nt, field_weight_gradient};
use super::pattern::{Pattern, SparseMatrix};
use super::sampled::sampled_product;
use super::sparse::{sparse_matmul, sparse_matmul_nt};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::dense::{PackedMatrix, Write, matmul, matmul_nt, matmul_packed, matmul_tn};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::for_each;
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};

/// How a masked layer is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// As a dense product with zeros where the mask is.
    Dense,
    /// By the runs of the units' receptive fields.
    Field,
    /// By lists of entries.
    Sparse,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::Dense => "dense",
            Strategy::Field => "field",
            Strategy::Sparse => "sparse",
        })
    }
}

/// Up to which density a strategy wins over the dense product, by the least batch it holds from.
type Crossovers = [(usize, f64)];

/// All were measured on AVX-512 and one thread by benches/peers/crossovers.py, and hold for every set: strategies sum in different orders,
/// so the choice must not depend on the CPU. Lists, 784 x 2000:
const SPARSE: &Crossovers = &[(0, 0.20), (9, 0.25), (17, 0.35), (49, 0.44), (1500, 0.55)];
/// Receptive fields, 100 units on a map of 30 x 30; denser ones than 0.72 were not measured.
const FIELD: &Crossovers = &[(0, 0.17), (9, 0.32), (17, 0.48), (33, 0.72)];
/// Gradients by the weights, 784 x 2000; AVX2 showed the same.
const SAMPLED: &Crossovers = &[(0, 0.04), (9, 0.06), (33, 0.18), (97, 0.30)];

/// Rows whose entries are picked from a whole gradient as one item of parallel work.
const PICKED_ROWS: usize = 32;

/// The crossover that holds for a batch.
fn crossover(table: &Crossovers, batch: usize) -> f64 {
    table.iter().rfind(|(least, _)| *least <= batch).expect("the first holds from 0").1
}

/// What was chosen for a batch and a density, and why.
///
/// The choice asks for the batch and the density alone: inputs and units are kept to be shown, and change nothing. Lists or runs are chosen
/// up to the density at which they were seen to win over the dense product with such a batch, on AVX-512 and one thread:
///
/// | batch from | 0 | 9 | 17 | 33 | 49 | 1500 | measured |
/// |---|---|---|---|---|---|---|---|
/// | a pattern up to | 0.20 | 0.25 | 0.35 | 0.35 | 0.44 | 0.55 | 784 inputs, 2000 units |
/// | receptive fields up to | 0.17 | 0.32 | 0.48 | 0.72 | 0.72 | 0.72 | 100 units on a map of 30 x 30, none denser than 0.72 |
///
/// Layers of other shapes may cross elsewhere: where it matters, measure [`sparse_matmul`](super::sparse_matmul) or
/// [`field_matmul`](super::field_matmul) and [`matmul`](crate::kernels::dense::matmul) on yours.
///
/// ```
/// use neuropil::kernels::masked::{Plan, Strategy};
/// let plan = Plan::for_pattern(256, 784, 2000, 0.01);
/// assert_eq!(plan.strategy(), Strategy::Sparse);
/// println!("{plan}"); // sparse: 784 x 2000 at density 0.010, batch 256: at most the crossover to dense, 0.44
/// assert_eq!(Plan::for_pattern(256, 784, 2000, 0.9).strategy(), Strategy::Dense);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    strategy: Strategy,
    batch: usize,
    inputs: usize,
    units: usize,
    density: f64,
    crossover: f64,
}

impl Plan {
    /// The plan for a pattern of this density. Inputs and units do not enter the choice.
    pub fn for_pattern(batch: usize, inputs: usize, units: usize, density: f64) -> Self {
        Self::new(Strategy::Sparse, SPARSE, [batch, inputs, units], density)
    }

    /// The plan for receptive fields with this share of all connections. Inputs and units do not enter the choice.
    pub fn for_fields(batch: usize, inputs: usize, units: usize, density: f64) -> Self {
        Self::new(Strategy::Field, FIELD, [batch, inputs, units], density)
    }

    fn new(sparse: Strategy, table: &Crossovers, [batch, inputs, units]: [usize; 3], density: f64) -> Self {
        let crossover = crossover(table, batch);
        let strategy = if density <= crossover { sparse } else { Strategy::Dense };
        Plan { strategy, batch, inputs, units, density, crossover }
    }

    /// What was chosen.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The batch it was chosen for.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The density it was chosen for.
    pub fn density(&self) -> f64 {
        self.density
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { strategy, batch, inputs, units, density, crossover } = self;
        let side = if *strategy == Strategy::Dense { "above" } else { "at most" };
        write!(
            f,
            "{strategy}: {inputs} x {units} at density {density:.3}, batch {batch}: {side} the crossover to dense, {crossover:.2}"
        )
    }
}

/// Masked weights of a layer, with the [`Plan`] by which they are used.
///
/// Whatever the plan, what the mask leaves out never matters: a NaN or infinite input reaches only the units that see it. (The dense
/// strategy computes samples that hold one by lists; and all samples, by runs, while finite weights of a column that a field lists twice
/// have a sum beyond `f32`.) A plan, and so every bit, is the same on every instruction set; two strategies may differ within the bounds of
/// [the module](super), because they sum in different orders.
///
/// ```
/// use neuropil::kernels::dense::Write;
/// use neuropil::kernels::masked::{MaskedWeights, Pattern, SparseMatrix};
/// use neuropil::random::Stream;
/// use neuropil::{Context, Matrix};
/// let mut context = Context::new()?;
/// let pattern = Pattern::random(20, 30, 0.1, Stream::new(0, "mask"))?;
/// let values = vec![1.0; pattern.entries()];
/// let weights = MaskedWeights::sparse(&context, SparseMatrix::new(pattern, values)?, 64);
/// let (x, mut y) = (Matrix::zeros(64, 20), Matrix::zeros(64, 30));
/// weights.forward(&mut context, x.view(), y.view_mut(), Write::Replace);
/// println!("{}", weights.plan());
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// A step down a gradient, of which masked weights know nothing:
///
/// ```
/// use neuropil::kernels::dense::Write;
/// use neuropil::kernels::masked::{MaskedWeights, Pattern, SparseMatrix};
/// use neuropil::{Context, Matrix};
/// let mut context = Context::new()?;
/// // w is (1, 0, 2) and (0, 3, 0).
/// let pattern = Pattern::new(2, 3, vec![0, 2, 3], vec![0, 2, 1])?;
/// let mut weights = MaskedWeights::sparse(&context, SparseMatrix::new(pattern, vec![1.0, 2.0, 3.0])?, 1);
///
/// let (x, mut y) = (Matrix::from_slice(&[1.0, 10.0], 1, 2)?, Matrix::zeros(1, 3));
/// weights.forward(&mut context, x.view(), y.view_mut(), Write::Replace);
/// assert_eq!(y.as_slice(), &[1.0, 30.0, 2.0]);
///
/// let (delta, mut below) = (Matrix::from_slice(&[1.0, 0.5, -1.0], 1, 3)?, Matrix::zeros(1, 2));
/// weights.backward(&mut context, delta.view(), below.view_mut(), Write::Replace);
/// assert_eq!(below.as_slice(), &[-1.0, 1.5]);
///
/// let mut gradient = vec![0.0; weights.entries()];
/// weights.gradient(&mut context, x.view(), delta.view(), &mut gradient);
/// assert_eq!(gradient, [1.0, -1.0, 5.0]);
/// weights.update_values(|values| values.iter_mut().zip(&gradient).for_each(|(w, g)| *w -= 0.5 * g));
/// assert_eq!(weights.values(), [0.5, 2.5, 0.5]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// To save weights, keep the batch of the plan, the values, and what the mask stands on; the same of these make the same bits again:
///
/// ```
/// use neuropil::kernels::masked::{FieldLayer, Map, MaskedWeights, Pattern, ReceptiveField, Rectangle, SparseMatrix};
/// use neuropil::{Context, Error};
/// let context = Context::new()?;
///
/// let pattern = Pattern::new(3, 4, vec![0, 2, 2, 3], vec![1, 3, 0])?;
/// let weights = MaskedWeights::sparse(&context, SparseMatrix::new(pattern, vec![0.5, -1.0, 2.0])?, 64);
/// let saved = weights.pattern().expect("weights of a pattern");
/// let (offsets, indices) = (saved.offsets().to_vec(), saved.indices().to_vec());
/// let (inputs, units, batch, values) = (weights.inputs(), weights.units(), weights.plan().batch(), weights.values().to_vec());
/// let pattern = Pattern::new(inputs, units, offsets, indices)?;
/// let again = MaskedWeights::sparse(&context, SparseMatrix::new(pattern, values)?, batch);
/// assert_eq!((again.pattern(), again.values()), (weights.pattern(), weights.values()));
///
/// let field = ReceptiveField::new(Map { rows: 2, cols: 3 }, &[Rectangle::new(0..2, 1..3)])?;
/// let weights = MaskedWeights::fields(&context, FieldLayer::new(vec![field])?, vec![1.0, 2.0, 3.0, 4.0], 64)?;
/// let saved = weights.field_layer().expect("weights of receptive fields");
/// let (map, rectangles) = (saved.map(), saved.fields().iter().map(|field| field.rectangles().to_vec()).collect::<Vec<_>>());
/// let fields = rectangles.iter().map(|rectangles| ReceptiveField::new(map, rectangles)).collect::<Result<_, Error>>()?;
/// let again = MaskedWeights::fields(&context, FieldLayer::new(fields)?, weights.values().to_vec(), weights.plan().batch())?;
/// assert_eq!((again.field_layer(), again.values()), (weights.field_layer(), weights.values()));
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MaskedWeights {
    plan: Plan,
    isa: Isa,
    mask: Mask,
    /// The weights with zeros, if the plan is dense and they can be written so.
    dense: Option<Dense>,
}

/// As they lie, and laid out for products with many samples.
#[derive(Clone, Debug)]
struct Dense {
    matrix: Matrix,
    packed: PackedMatrix,
}

impl Dense {
    fn new(isa: Isa, mask: &Mask) -> Option<Self> {
        let matrix = mask.to_dense()?;
        let packed = PackedMatrix::new(isa, matrix.view());
        Some(Dense { matrix, packed })
    }
}

#[derive(Clone, Debug)]
enum Mask {
    Sparse(Box<SparseMatrix>),
    Fields { layer: FieldLayer, weights: Vec<f32> },
}

impl MaskedWeights {
    /// Weights of any pattern, \[inputs, units\], to be used with batches of about this size.
    pub fn sparse(context: &Context, matrix: SparseMatrix, batch: usize) -> Self {
        let (inputs, units) = (matrix.rows(), matrix.cols());
        let plan = Plan::for_pattern(batch, inputs, units, matrix.pattern().density());
        Self::new(context.isa(), plan, Mask::Sparse(Box::new(matrix)))
    }

    /// Weights of units with receptive fields, in the order of [`FieldLayer`], to be used with batches of about this size.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not as many weights as the fields have values.
    pub fn fields(context: &Context, layer: FieldLayer, weights: Vec<f32>, batch: usize) -> Result<Self> {
        if weights.len() != layer.weights() {
            let (expected, found) = (layer.weights(), weights.len());
            return Err(Error::Length { what: "weights of receptive fields", expected, found });
        }
        let plan = Plan::for_fields(batch, layer.map().len(), layer.units(), layer.density());
        Ok(Self::new(context.isa(), plan, Mask::Fields { layer, weights }))
    }

    fn new(isa: Isa, plan: Plan, mask: Mask) -> Self {
        let mut weights = MaskedWeights { plan, isa, mask, dense: None };
        weights.lay_out();
        weights
    }

    /// What was chosen, and why.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Number of inputs: of the map's values, for receptive fields.
    pub fn inputs(&self) -> usize {
        self.plan.inputs
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.plan.units
    }

    /// Number of weights; in receptive fields a column that is listed twice has two.
    pub fn entries(&self) -> usize {
        self.values().len()
    }

    /// Weights as a share of a dense layer's.
    pub fn density(&self) -> f64 {
        self.plan.density
    }

    /// The pattern of the mask; `None` for receptive fields.
    pub fn pattern(&self) -> Option<&Pattern> {
        match &self.mask {
            Mask::Sparse(matrix) => Some(matrix.pattern()),
            Mask::Fields { .. } => None,
        }
    }

    /// The receptive fields of the units; `None` for a mask of any pattern.
    pub fn field_layer(&self) -> Option<&FieldLayer> {
        match &self.mask {
            Mask::Sparse(_) => None,
            Mask::Fields { layer, .. } => Some(layer),
        }
    }

    /// The weights: in the order of the pattern's entries, or of the fields' values.
    pub fn values(&self) -> &[f32] {
        match &self.mask {
            Mask::Sparse(matrix) => matrix.values(),
            Mask::Fields { weights, .. } => weights,
        }
    }

    /// Changes the weights in place, by a function that is given all of them; the mask stays.
    ///
    /// Cost: that of the function, and where the plan is dense a pass over \[inputs, units\] that lays the weights out anew.
    pub fn update_values<R>(&mut self, change: impl FnOnce(&mut [f32]) -> R) -> R {
        let result = match &mut self.mask {
            Mask::Sparse(matrix) => matrix.update_values(change),
            Mask::Fields { weights, .. } => change(weights),
        };
        self.lay_out();
        result
    }

    /// Lays the weights out for the plan.
    fn lay_out(&mut self) {
        if self.plan.strategy == Strategy::Dense {
            self.dense = Dense::new(self.isa, &self.mask);
        }
    }

    /// `p = x (w o m)`, for x \[batch, inputs\], y \[batch, units\], of any batch: the plan's is what it is fastest for.
    ///
    /// Cost: batch x entries multiply-adds by lists or by runs. If the plan is dense, batch x inputs x units and another reading of x, on the
    /// calling thread, that looks for what is not finite; of up to 63 samples or 383 units also a copy of the weights, into panels.
    ///
    /// # Panics
    /// If the shapes disagree.
    #[track_caller]
    pub fn forward(&self, context: &mut Context, x: MatRef<'_>, mut y: MatMut<'_>, write: Write) {
        self.shapes_agree("MaskedWeights::forward", (x.rows(), x.cols()), (y.rows(), y.cols()));
        let Some(dense) = &self.dense else {
            return self.mask.forward(context, x, y, write);
        };
        for (finite, rows) in alike(context.isa(), x) {
            let (part, rest) = y.split_rows(rows.len());
            y = rest;
            if finite && dense.packed.fits(context.isa(), rows.len()) {
                matmul_packed(context, x.rows_range(rows), &dense.packed, part, write);
            } else if finite {
                matmul(context, x.rows_range(rows), dense.matrix.view(), part, write);
            } else {
                self.mask.forward(context, x.rows_range(rows), part, write);
            }
        }
    }

    /// `p = y (w o m)^T`, for y \[batch, units\], x \[batch, inputs\]: the gradient by the inputs.
    ///
    /// Cost: batch x entries multiply-adds by lists or by runs. If the plan is dense, batch x inputs x units, a copy of the weights into panels,
    /// and another reading of y, on the calling thread, that looks for what is not finite.
    ///
    /// # Panics
    /// If the shapes disagree.
    #[track_caller]
    pub fn backward(&self, context: &mut Context, y: MatRef<'_>, mut x: MatMut<'_>, write: Write) {
        self.shapes_agree("MaskedWeights::backward", (x.rows(), x.cols()), (y.rows(), y.cols()));
        let Some(dense) = &self.dense else {
            return self.mask.backward(context, y, x, write);
        };
        for (finite, rows) in alike(context.isa(), y) {
            let (part, rest) = x.split_rows(rows.len());
            x = rest;
            if finite {
                matmul_nt(context, y.rows_range(rows), dense.matrix.view(), part, write);
            } else {
                self.mask.backward(context, y.rows_range(rows), part, write);
            }
        }
    }

    /// `g = (x^T y) o m`, in the order of the [`values`](Self::values): the gradient by the weights. What g held is not read.
    ///
    /// Cost: of receptive fields, and of patterns up to a density of 0.04 (0.06 for a plan's batch from 9, 0.18 from 33, 0.30 from 97 on),
    /// batch x entries multiply-adds and 1/8 as much for folding lanes. Of denser patterns, whether the plan is dense or not, the whole
    /// product is computed and the entries are picked from it: batch x inputs x units multiply-adds, and 4 x inputs x units bytes that
    /// the context keeps. Which it is, the plan's batch decides, not that of x.
    ///
    /// # Panics
    /// If the shapes disagree.
    #[track_caller]
    pub fn gradient(&self, context: &mut Context, x: MatRef<'_>, y: MatRef<'_>, gradient: &mut [f32]) {
        self.shapes_agree("MaskedWeights::gradient", (x.rows(), x.cols()), (y.rows(), y.cols()));
        let (values, weights) = (gradient.len(), self.entries());
        assert!(values == weights, "MaskedWeights::gradient: {values} values for {weights} weights");
        match &self.mask {
            Mask::Fields { layer, .. } => field_weight_gradient(context, x, y, layer, gradient),
            Mask::Sparse(matrix) if self.plan.density <= crossover(SAMPLED, self.plan.batch) => {
                sampled_product(context, x, y, matrix.pattern(), gradient);
            }
            Mask::Sparse(matrix) => {
                let (pattern, threads) = (matrix.pattern(), context.threads());
                context.with_product(x.cols(), y.cols(), |context, all| {
                    matmul_tn(context, x, y, all.view_mut(), Write::Replace);
                    let all = &*all;
                    for_each(threads.for_work(weights), pattern.blocks(gradient, PICKED_ROWS), |(rows, values)| {
                        let mut values = values.iter_mut();
                        for row in rows {
                            let product = all.row(row);
                            for (&col, to) in pattern.row(row).iter().zip(&mut values) {
                                *to = product[col as usize];
                            }
                        }
                    });
                });
            }
        }
    }

    #[track_caller]
    fn shapes_agree(&self, name: &str, x: (usize, usize), y: (usize, usize)) {
        let Plan { inputs, units, .. } = self.plan;
        assert!(
            x.0 == y.0 && x.1 == inputs && y.1 == units,
            "{name}: x is {} x {}, the weights are {inputs} x {units}, y is {} x {}",
            x.0,
            x.1,
            y.0,
            y.1
        );
    }
}

impl Mask {
    /// The weights with zeros where the mask is; those of a column that a field lists twice added. None if a sum of finite ones overflows:
    /// by it an input of zero would give NaN, and a small one infinity.
    fn to_dense(&self) -> Option<Matrix> {
        match self {
            Mask::Sparse(matrix) => Some(matrix.to_dense()),
            Mask::Fields { layer, weights } => {
                let mut dense = Matrix::zeros(layer.map().len(), layer.units());
                for (unit, field) in layer.fields().iter().enumerate() {
                    for (column, &weight) in field.columns().zip(&weights[layer.range(unit)]) {
                        let sum = &mut dense[(column, unit)];
                        let finite = sum.is_finite() && weight.is_finite();
                        *sum += weight;
                        if finite && !sum.is_finite() {
                            return None;
                        }
                    }
                }
                Some(dense)
            }
        }
    }

    fn forward(&self, context: &mut Context, x: MatRef<'_>, y: MatMut<'_>, write: Write) {
        match self {
            Mask::Sparse(matrix) => sparse_matmul(context, x, matrix, y, write),
            Mask::Fields { layer, weights } => field_matmul(context, x, layer, weights, y, write),
        }
    }

    fn backward(&self, context: &mut Context, y: MatRef<'_>, x: MatMut<'_>, write: Write) {
        match self {
            Mask::Sparse(matrix) => sparse_matmul_nt(context, y, matrix, x, write),
            Mask::Fields { layer, weights } => field_matmul_nt(context, y, layer, weights, x, write),
        }
    }
}

/// The rows of x in ranges that are all finite, or all not: zero times the rest would be NaN.
fn alike(isa: Isa, x: MatRef<'_>) -> Vec<(bool, std::ops::Range<usize>)> {
    let finite = dispatch(isa, FiniteRows { x });
    let mut ranges: Vec<(bool, std::ops::Range<usize>)> = Vec::new();
    for (row, finite) in finite.into_iter().enumerate() {
        match ranges.last_mut() {
            Some((alike, range)) if *alike == finite => range.end += 1,
            _ => ranges.push((finite, row..row + 1)),
        }
    }
    ranges
}

struct FiniteRows<'a> {
    x: MatRef<'a>,
}

impl Kernel for FiniteRows<'_> {
    type Output = Vec<bool>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<bool> {
        let mut finite = vec![true; self.x.rows()];
        for (finite, row) in finite.iter_mut().zip(self.x.iter_rows()) {
            // x - x is zero, or NaN.
            let (vectors, rest) = row.as_chunks::<LANES>();
            let mut sum = s.zero();
            for vector in vectors {
                let value = s.load(vector);
                sum = s.add(sum, s.sub(value, value));
            }
            let value = s.load_partial(rest);
            sum = s.add(sum, s.sub(value, value));
            *finite = s.mask_bits(s.eq(sum, s.zero())) == u16::MAX;
        }
        finite
    }
}
