//! What an output layer is trained on: pixels, or the activities of frozen hidden layers.
//!
//! Frozen layers answer an image the same way every time, so their activities on the whole training set are computed
//! once and kept, if they fit the memory the configuration allows (60000 images x 2000 units are 480 MB). A batch then
//! costs a copy of its rows. If they do not fit, each batch is computed anew from its images; layers that take statistics
//! over a batch would then answer otherwise, and must fit.

use crate::context::Context;
pub(crate) use crate::datasets::batches::Batches;
use crate::datasets::{Dataset, Scaling};
use crate::error::{Error, Result};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel;
use crate::systems::journal::Phase;
use crate::systems::{EVALUATION_BATCH, evaluate};

/// An affine map of every feature: (h - shift) * gain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conditioning {
    pub(crate) shift: Vec<f32>,
    pub(crate) gain: Vec<f32>,
}

impl Conditioning {
    pub(crate) fn apply(&self, context: &Context, features: MatMut<'_>) {
        let threads = context.threads().for_work([features.rows(), features.cols(), 4]);
        parallel::for_each(threads, features.row_blocks(16), |mut rows| {
            for row in 0..rows.rows() {
                let values = rows.row_mut(row).iter_mut().zip(self.shift.iter().zip(&self.gain));
                values.for_each(|(value, (shift, gain))| *value = (*value - shift) * gain);
            }
        });
    }
}

/// Activities of a batch from its images.
pub(crate) type Forward<'a> = dyn Fn(&mut Context, MatRef<'_>, MatMut<'_>) + 'a;

/// Whether activities on the whole training set are kept, by the bytes there are for them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// If they fit.
    AtMost(u64),
    /// In any case: it is an error if they do not fit.
    All(u64),
}

/// The inputs of the layer in training.
pub(crate) struct Frozen<'a> {
    data: &'a Dataset,
    width: usize,
    /// `None`: the images themselves.
    forward: Option<Box<Forward<'a>>>,
    conditioning: Option<Conditioning>,
    /// The order windows are cut from, and cached rows stand in.
    order: Option<Vec<u32>>,
    cached: Option<Matrix>,
    images: Matrix,
    batch: Matrix,
    labels: Vec<u8>,
}

/// A matrix of this shape, reused if it has it.
pub(crate) fn shaped(matrix: &mut Matrix, rows: usize, cols: usize) {
    if (matrix.rows(), matrix.cols()) != (rows, cols) {
        *matrix = Matrix::zeros(rows, cols);
    }
}

impl<'a> Frozen<'a> {
    /// The images themselves.
    pub(crate) fn pixels(data: &'a Dataset) -> Self {
        let empty = || Matrix::zeros(0, 0);
        Frozen {
            data,
            width: data.pixels(),
            forward: None,
            conditioning: None,
            order: None,
            cached: None,
            images: empty(),
            batch: empty(),
            labels: Vec::new(),
        }
    }

    /// The activities `forward` gives, `width` an image. With an `order`, which begins with all images and may go on, batches are
    /// windows of it.
    ///
    /// # Errors
    /// [`Error::Setting`] if they must be kept and do not fit.
    pub(crate) fn new(
        context: &mut Context,
        data: &'a Dataset,
        width: usize,
        order: Option<Vec<u32>>,
        keep: Keep,
        forward: Box<Forward<'a>>,
    ) -> Result<Self> {
        let mut frozen = Frozen { width, forward: Some(forward), order, ..Frozen::pixels(data) };
        let indices = frozen.order();
        let bytes = indices.len() as u64 * width as u64 * size_of::<f32>() as u64;
        let (Keep::AtMost(limit) | Keep::All(limit)) = keep;
        if bytes > limit
            && let Keep::All(_) = keep
        {
            let expected = format!("at least {} MiB, as statistics are taken over a batch", bytes.div_ceil(1 << 20));
            return Err(Error::setting("feature_memory", expected, limit >> 20));
        }
        if bytes <= limit {
            let mut features = Matrix::zeros(indices.len(), width);
            let blocks = indices.chunks(EVALUATION_BATCH).zip(features.view_mut().row_blocks(EVALUATION_BATCH));
            for (indices, out) in blocks {
                frozen.compute(context, indices, out)?;
            }
            frozen.cached = Some(features);
        }
        Ok(frozen)
    }

    fn order(&self) -> Vec<u32> {
        self.order.clone().unwrap_or_else(|| (0..self.data.len() as u32).collect())
    }

    fn compute(&mut self, context: &mut Context, indices: &[u32], mut out: MatMut<'_>) -> Result<()> {
        match &self.forward {
            None => self.data.gather(context, indices, Scaling::UNIT, out.reborrow())?,
            Some(forward) => {
                shaped(&mut self.images, indices.len(), self.data.pixels());
                self.data.gather(context, indices, Scaling::UNIT, self.images.view_mut())?;
                forward(context, self.images.view(), out.reborrow());
            }
        }
        if let Some(conditioning) = &self.conditioning {
            conditioning.apply(context, out);
        }
        Ok(())
    }

    /// Mean and mean square of every feature over the training set.
    pub(crate) fn moments(&mut self, context: &mut Context) -> Result<Vec<(f64, f64)>> {
        let mut sums = vec![(0.0f64, 0.0f64); self.width];
        let mut add = |rows: MatRef<'_>| {
            for row in rows.iter_rows() {
                for ((sum, squares), &value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(value);
                    *squares += f64::from(value) * f64::from(value);
                }
            }
        };
        // Each image once, even where the order goes on.
        let images = self.data.len();
        match &self.cached {
            Some(features) => add(features.view().rows_range(0..images)),
            None => {
                let mut block = Matrix::zeros(0, 0);
                for indices in self.order()[..images].chunks(EVALUATION_BATCH) {
                    shaped(&mut block, indices.len(), self.width);
                    self.compute(context, indices, block.view_mut())?;
                    add(block.view());
                }
            }
        }
        let count = self.data.len() as f64;
        Ok(sums.into_iter().map(|(sum, squares)| (sum / count, squares / count)).collect())
    }

    /// Maps every feature from now on.
    pub(crate) fn condition(&mut self, context: &Context, conditioning: Conditioning) {
        if let Some(features) = &mut self.cached {
            conditioning.apply(context, features.view_mut());
        }
        self.conditioning = Some(conditioning);
    }

    /// Inputs and labels of `length` images from place `start` of the order on.
    pub(crate) fn window(&mut self, context: &mut Context, start: usize, length: usize) -> Result<(MatRef<'_>, &[u8])> {
        // Taken out and put back: the order is long and the computation borrows the rest.
        let order = self.order.take().unwrap_or_default();
        let indices = &order[start..start + length];
        self.labels.clear();
        self.labels.extend(indices.iter().map(|&index| self.data.labels()[index as usize]));
        if self.cached.is_none() {
            let mut batch = std::mem::replace(&mut self.batch, Matrix::zeros(0, 0));
            shaped(&mut batch, length, self.width);
            self.compute(context, indices, batch.view_mut())?;
            self.batch = batch;
        }
        self.order = Some(order);
        let features = match &self.cached {
            Some(features) => features.view().rows_range(start..start + length),
            None => self.batch.view(),
        };
        Ok((features, &self.labels))
    }

    /// Inputs and labels of one batch.
    pub(crate) fn batch(
        &mut self,
        context: &mut Context,
        batches: &mut Batches,
        step: u64,
    ) -> Result<(MatRef<'_>, &[u8])> {
        let indices = batches.indices(step);
        let mut batch = std::mem::replace(&mut self.batch, Matrix::zeros(0, 0));
        shaped(&mut batch, indices.len(), self.width);
        match &self.cached {
            Some(features) => {
                let threads = context.threads().for_work([indices.len(), self.width, 8]);
                let rows = batch.view_mut().row_blocks(16).zip(indices.chunks(16));
                parallel::for_each(threads, rows, |(mut out, indices)| {
                    for (row, &index) in indices.iter().enumerate() {
                        out.row_mut(row).copy_from_slice(features.row(index as usize));
                    }
                });
            }
            None => self.compute(context, indices, batch.view_mut())?,
        }
        self.labels.clear();
        self.labels.extend(indices.iter().map(|&index| self.data.labels()[index as usize]));
        self.batch = batch;
        Ok((self.batch.view(), &self.labels))
    }

    /// The share of a set's images that `read`, logits of inputs, classifies correctly.
    pub(crate) fn accuracy(
        &self,
        context: &mut Context,
        data: &Dataset,
        classes: usize,
        read: impl Fn(&mut Context, MatRef<'_>, MatMut<'_>),
    ) -> Result<f64> {
        let mut features = Matrix::zeros(0, 0);
        evaluate(context, data, classes, |context, images, logits| match &self.forward {
            None => read(context, images, logits),
            Some(forward) => {
                shaped(&mut features, images.rows(), self.width);
                forward(context, images, features.view_mut());
                if let Some(conditioning) = &self.conditioning {
                    conditioning.apply(context, features.view_mut());
                }
                read(context, features.view(), logits);
            }
        })
    }
}

/// The batches of a training phase.
///
/// # Errors
/// [`Error::Setting`] if batches are to be balanced and a class has no image. A set of fewer images than a batch repeats them.
pub(crate) fn batches(
    data: &Dataset,
    batch: usize,
    class_balanced: bool,
    stream: crate::random::Stream,
) -> Result<Batches> {
    use crate::datasets::batches::Order;
    let order = if class_balanced { Order::ClassBalanced } else { Order::Shuffled };
    Batches::new(data.labels(), data.classes(), None, batch, order, stream)
}

/// The batches of as many hidden layers trained one after the other, by streams of their own, and their phases: `hidden 1`, ...
///
/// # Errors
/// As [`batches`].
pub(crate) fn hidden_phases(
    data: &Dataset,
    layers: usize,
    (batch, epochs): (usize, u64),
    class_balanced: bool,
    stream: crate::random::Stream,
) -> Result<(Vec<Batches>, Vec<Phase>)> {
    let (mut all, mut phases) = (Vec::with_capacity(layers), Vec::with_capacity(layers + 1));
    for index in 0..layers {
        let batches = batches(data, batch, class_balanced, stream.item(index as u64))?;
        phases.push(Phase::epochs(format!("hidden {}", index + 1), epochs, batches.per_epoch()));
        all.push(batches);
    }
    Ok((all, phases))
}

/// An order of all images in which every stretch holds the classes in proportion: each class's images are shuffled and
/// spread evenly.
pub(crate) fn stratified(data: &Dataset, stream: crate::random::Stream) -> Vec<u32> {
    let mut places: Vec<(f64, u32)> = Vec::with_capacity(data.len());
    for class in 0..data.classes() {
        let members = data.labels().iter().enumerate().filter(|&(_, &label)| usize::from(label) == class);
        let mut members: Vec<u32> = members.map(|(index, _)| index as u32).collect();
        let stream = stream.item(class as u64);
        stream.shuffle(&mut members);
        let mut phase = [0.0];
        stream.item(0).uniform(0.0, 1.0, &mut phase);
        let count = members.len() as f64;
        let spread =
            members.iter().enumerate().map(|(rank, &index)| ((rank as f64 + f64::from(phase[0])) / count, index));
        places.extend(spread);
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    places.into_iter().map(|(_, index)| index).collect()
}
