//! One layer of masked weights, computed as its [`Plan`] says.

use super::field::{FieldLayer, field_matmul, field_matmul_nt, field_weight_gradient};
use super::finite::by_finiteness;
use super::pattern::{Pattern, SparseMatrix};
use super::plan::{Plan, Strategy};
use super::sampled::sampled_product;
use super::sparse::{sparse_matmul, sparse_matmul_nt};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::dense::{BY_PANEL, PackedMatrix, Write, matmul, matmul_nt, matmul_packed, matmul_tn};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::{TOUCHED, for_each};
use crate::simd::Isa;

/// Rows whose entries are picked from a whole gradient as one item of parallel work.
const PICKED_ROWS: usize = 32;

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
    /// None for so few units that no product would ask for it.
    packed: Option<PackedMatrix>,
}

impl Dense {
    /// The mask's weights, in the memory of those before: they are of the same mask, so that what it leaves out is zero there.
    fn of(isa: Isa, mask: &Mask, before: Option<Self>) -> Option<Self> {
        let (inputs, units) = mask.shape();
        let (mut matrix, packed) =
            before.map_or_else(|| (Matrix::zeros(inputs, units), None), |dense| (dense.matrix, dense.packed));
        if !mask.write_to(&mut matrix) {
            return None;
        }
        let packed = match packed {
            Some(mut packed) => {
                packed.replace(isa, matrix.view());
                Some(packed)
            }
            None => (units >= BY_PANEL).then(|| PackedMatrix::new(isa, matrix.view())),
        };
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

    /// The same weights, computed as you say instead of as the [`Plan`] chose: where you have measured, or know more than batch and density.
    ///
    /// The gradient by the weights goes on as it did: its choice is by itself. Cost: of a dense one, a pass over \[inputs, units\].
    ///
    /// ```
    /// use neuropil::Context;
    /// use neuropil::kernels::masked::{MaskedWeights, Pattern, SparseMatrix, Strategy};
    /// let context = Context::new()?;
    /// let sparse = SparseMatrix::new(Pattern::new(2, 3, vec![0, 1, 2], vec![0, 2])?, vec![1.0, 2.0])?;
    /// let weights = MaskedWeights::sparse(&context, sparse, 256).with_strategy(Strategy::Sparse)?;
    /// assert_eq!(weights.plan().to_string(), "sparse: 2 x 3 at density 0.333, batch 256: as it was told");
    /// assert!(weights.clone().with_strategy(Strategy::Field).is_err()); // they have no receptive fields
    /// // Batches of another size are coming: the choice is made again.
    /// let weights = weights.planned_for(&context, 1);
    /// assert_eq!(weights.plan().strategy(), Strategy::Dense);
    /// let (pattern, values) = weights.into_sparse().expect("weights of a pattern").into_parts();
    /// assert_eq!((pattern.entries(), values), (2, vec![1.0, 2.0]));
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`] if the weights lack what it goes by: a pattern has no [runs](Strategy::Field), receptive fields have no
    /// [lists](Strategy::Sparse).
    pub fn with_strategy(mut self, strategy: Strategy) -> Result<Self> {
        let own = match self.mask {
            Mask::Sparse(_) => Strategy::Sparse,
            Mask::Fields { .. } => Strategy::Field,
        };
        if strategy != own && strategy != Strategy::Dense {
            return Err(Error::setting("strategy of masked weights", format!("dense or {own}"), strategy));
        }
        self.plan = self.plan.told(strategy);
        self.lay_out();
        Ok(self)
    }

    /// The same weights with the [`Plan`] for batches of about this size, laid out for this context's instruction set; what
    /// [`with_strategy`](Self::with_strategy) said is forgotten.
    ///
    /// Cost: of a dense plan, a pass over \[inputs, units\].
    pub fn planned_for(mut self, context: &Context, batch: usize) -> Self {
        let (inputs, units, density) = (self.inputs(), self.units(), self.density());
        self.plan = match self.mask {
            Mask::Sparse(_) => Plan::for_pattern(batch, inputs, units, density),
            Mask::Fields { .. } => Plan::for_fields(batch, inputs, units, density),
        };
        self.isa = context.isa();
        self.lay_out();
        self
    }

    /// The sparse matrix that they were made of, values as they are now; `None` for receptive fields.
    pub fn into_sparse(self) -> Option<SparseMatrix> {
        match self.mask {
            Mask::Sparse(matrix) => Some(*matrix),
            Mask::Fields { .. } => None,
        }
    }

    /// The receptive fields that they were made of, and the weights as they are now; `None` for a mask of any pattern.
    pub fn into_fields(self) -> Option<(FieldLayer, Vec<f32>)> {
        match self.mask {
            Mask::Sparse(_) => None,
            Mask::Fields { layer, weights } => Some((layer, weights)),
        }
    }

    /// What was chosen, and why.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Number of inputs: of the map's values, for receptive fields.
    pub fn inputs(&self) -> usize {
        self.plan.inputs()
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.plan.units()
    }

    /// Number of weights; in receptive fields a column that is listed twice has two.
    pub fn entries(&self) -> usize {
        self.values().len()
    }

    /// Weights as a share of a dense layer's.
    pub fn density(&self) -> f64 {
        self.plan.density()
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
    /// Cost: that of the function, and where the plan is dense the entries written once more, and from 384 units on a pass over
    /// \[inputs, units\] that packs them: all in memory that is kept.
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
        let before = self.dense.take();
        if self.plan.strategy() == Strategy::Dense {
            self.dense = Dense::of(self.isa, &self.mask, before);
        }
    }

    /// `p = x (w o m)`, for x \[batch, inputs\], y \[batch, units\], of any batch: the plan's is what it is fastest for.
    ///
    /// Cost: batch x entries multiply-adds by lists or by runs. If the plan is dense, batch x inputs x units and another reading of x, on the
    /// calling thread, that looks for what is not finite; of up to 383 units also what copies [`matmul`] makes.
    /// Samples that hold what is not finite go by lists or runs. Where these and others make up to four ranges of the batch, each is a product by itself,
    /// of more of them x and y are copied twice, so that all others are one product and all of these another.
    ///
    /// # Panics
    /// If the shapes disagree.
    #[track_caller]
    pub fn forward(&self, context: &mut Context, x: MatRef<'_>, y: MatMut<'_>, write: Write) {
        self.shapes_agree("MaskedWeights::forward", (x.rows(), x.cols()), (y.rows(), y.cols()));
        let Some(dense) = &self.dense else {
            return self.mask.forward(context, x, y, write);
        };
        by_finiteness(context, x, y, write, |context, finite, x, y| match &dense.packed {
            _ if !finite => self.mask.forward(context, x, y, write),
            Some(packed) if packed.fits(context.isa(), x.rows()) => matmul_packed(context, x, packed, y, write),
            _ => matmul(context, x, dense.matrix.view(), y, write),
        });
    }

    /// `p = y (w o m)^T`, for y \[batch, units\], x \[batch, inputs\]: the gradient by the inputs.
    ///
    /// Cost: batch x entries multiply-adds by lists or by runs. If the plan is dense, batch x inputs x units, what copies [`matmul_nt`] makes,
    /// and another reading of y, on the calling thread, that looks for what is not finite; what that makes of samples, [`forward`](Self::forward)
    /// says.
    ///
    /// # Panics
    /// If the shapes disagree.
    #[track_caller]
    pub fn backward(&self, context: &mut Context, y: MatRef<'_>, x: MatMut<'_>, write: Write) {
        self.shapes_agree("MaskedWeights::backward", (x.rows(), x.cols()), (y.rows(), y.cols()));
        let Some(dense) = &self.dense else {
            return self.mask.backward(context, y, x, write);
        };
        by_finiteness(context, y, x, write, |context, finite, y, x| match finite {
            true => matmul_nt(context, y, dense.matrix.view(), x, write),
            false => self.mask.backward(context, y, x, write),
        });
    }

    /// `g = (x^T y) o m`, in the order of the [`values`](Self::values): the gradient by the weights. What g held is not read.
    ///
    /// Cost: of receptive fields, and of patterns up to the density that [`Plan`] has for gradients, that of [`field_weight_gradient`] and
    /// [`sampled_product`]. Of denser patterns, whether the plan is dense or not, the whole product is computed and the entries are picked
    /// from it: batch x inputs x units multiply-adds, and 4 x inputs x units bytes that the context keeps. Which it is, the plan's batch decides,
    /// not that of x.
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
            Mask::Sparse(matrix) if self.plan.samples_gradients() => {
                sampled_product(context, x, y, matrix.pattern(), gradient);
            }
            Mask::Sparse(matrix) => {
                let (pattern, threads) = (matrix.pattern(), context.threads());
                context.with_product(x.cols(), y.cols(), |context, all| {
                    matmul_tn(context, x, y, all.view_mut(), Write::Replace);
                    let all = &*all;
                    for_each(
                        threads.for_work([weights, TOUCHED]),
                        pattern.blocks(gradient, PICKED_ROWS),
                        |(rows, values)| {
                            let mut values = values.iter_mut();
                            for row in rows {
                                let product = all.row(row);
                                for (&col, to) in pattern.row(row).iter().zip(&mut values) {
                                    *to = product[col as usize];
                                }
                            }
                        },
                    );
                });
            }
        }
    }

    #[track_caller]
    fn shapes_agree(&self, name: &str, x: (usize, usize), y: (usize, usize)) {
        let (inputs, units) = (self.inputs(), self.units());
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
    /// Inputs and units.
    fn shape(&self) -> (usize, usize) {
        match self {
            Mask::Sparse(matrix) => (matrix.rows(), matrix.cols()),
            Mask::Fields { layer, .. } => (layer.map().len(), layer.units()),
        }
    }

    /// Writes the weights where the mask lets them be, those of a column that a field lists twice added. False if a sum of finite ones
    /// overflows: by it an input of zero would give NaN, and a small one infinity.
    fn write_to(&self, dense: &mut Matrix) -> bool {
        match self {
            Mask::Sparse(matrix) => matrix.write_to(dense),
            Mask::Fields { layer, weights } => {
                for (unit, field) in layer.fields().iter().enumerate() {
                    field.columns().for_each(|column| dense[(column, unit)] = 0.0);
                    for (column, &weight) in field.columns().zip(&weights[layer.range(unit)]) {
                        let sum = &mut dense[(column, unit)];
                        let finite = sum.is_finite() && weight.is_finite();
                        *sum += weight;
                        if finite && !sum.is_finite() {
                            return false;
                        }
                    }
                }
            }
        }
        true
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::masked::{Map, ReceptiveField, Rectangle};

    #[test]
    fn dense_weights_are_changed_in_their_memory_and_packed_only_for_many_units() {
        let context = Context::new().unwrap();
        let map = Map { rows: 1, cols: 3 };
        // A column listed twice: its sum begins anew each time.
        let field = ReceptiveField::new(map, &[Rectangle::new(0..1, 0..3), Rectangle::new(0..1, 1..2)]).unwrap();
        for units in [3, BY_PANEL - 1, BY_PANEL] {
            let layer = FieldLayer::new(vec![field.clone(); units]).unwrap();
            let matrix = SparseMatrix::new(Pattern::full(3, units).unwrap(), vec![1.0; 3 * units]).unwrap();
            for mut weights in [
                MaskedWeights::sparse(&context, matrix, 1),
                MaskedWeights::fields(&context, layer, vec![1.0; 4 * units], 1).unwrap(),
            ] {
                let places = |weights: &MaskedWeights| {
                    let dense = weights.dense.as_ref().expect("a dense plan");
                    (dense.matrix.as_slice().as_ptr(), dense.packed.is_some())
                };
                let before = places(&weights);
                assert_eq!(before.1, units >= BY_PANEL);
                for value in [2.0, -3.0] {
                    weights.update_values(|values| values.fill(value));
                    assert_eq!(places(&weights), before, "{units} units");
                    let twice = if weights.field_layer().is_some() { 2.0 } else { 1.0 };
                    let dense = &weights.dense.as_ref().expect("a dense plan").matrix;
                    assert!((0..units).all(|unit| dense[(0, unit)] == value && dense[(1, unit)] == twice * value));
                }
            }
        }
    }
}
