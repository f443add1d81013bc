//! The images as a population sees them, and how many it gets right.

use super::config::Genotype;
use super::network::Network;
use crate::context::Context;
use crate::datasets::{Dataset, Scaling};
use crate::error::Result;
use crate::kernels::genotype::{Population, Samples, evaluate, forward};
use crate::kernels::loss;
use crate::matrix::{MatRef, Matrix};
use crate::random::Stream;
use crate::systems::features::shaped;
use crate::systems::{EVALUATION_BATCH, settings};

/// The test accuracies of a population, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracies {
    /// Mean over genotypes drawn from the allele frequencies.
    pub sampled: f64,
    /// Of the genotype that has the more frequent allele of every gene.
    pub rounded: f64,
    /// Of the expected weights W p.
    pub expected: f64,
    /// After lifetime learning of the output layer, if there was any.
    pub lifetime: Option<f64>,
}

/// Genotypes that stand for a population in a test.
const DRAWN: usize = 64;

impl Network {
    /// The accuracies on these images, the first from 64 genotypes.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the data have another image size, too few classes or, where the configuration has no
    /// `classes`, too many; [`Error::Format`](crate::Error::Format) if they lie in a file that was cut off since it was opened.
    pub fn accuracies(&self, context: &mut Context, data: &Dataset) -> Result<Accuracies> {
        let data = self.restricted(data)?;
        let stream = Stream::new(self.config.seed, "evolution test");
        let population = Population::sample(context, self.frequencies(), stream, 0..DRAWN as u64)?;
        let mut correct = 0u64;
        let all: Vec<u32> = (0..data.len() as u32).collect();
        for indices in all.chunks(self.block(DRAWN)) {
            let samples = self.samples(context, &data, indices, (u64::MAX, DRAWN))?;
            let outcome = evaluate(context, self.weight_generation(), &samples, &population);
            correct += outcome.correct.iter().map(|&hits| u64::from(hits)).sum::<u64>();
        }
        let of = |context: &mut Context, genotype| {
            let links = self.links(context, genotype);
            self.accuracy_of(context, &links, &data)
        };
        Ok(Accuracies {
            sampled: correct as f64 / (DRAWN * data.len()) as f64,
            rounded: of(context, Genotype::Rounded)?,
            expected: of(context, Genotype::Expected)?,
            lifetime: match &self.life {
                Some(life) => Some(life.accuracy(context, self, &data)?),
                None => None,
            },
        })
    }

    /// Images of the classes that are told apart.
    pub(super) fn restricted(&self, data: &Dataset) -> Result<Dataset> {
        // Without a choice of classes it is all that there are.
        let more = self.config.classes.is_some() && data.classes() > self.classes;
        if data.pixels() != self.inputs || !more {
            settings::fits(data, self.inputs, self.classes)?;
        }
        first_classes(data, self.classes)
    }

    /// Rows of pixels, as bright as they are in the end.
    pub(super) fn images(
        &self,
        context: &mut Context,
        data: &Dataset,
        indices: &[u32],
        out: &mut Matrix,
    ) -> Result<()> {
        shaped(out, indices.len(), data.pixels());
        let scaling = Scaling { scale: self.config.brightness as f32 / 255.0, offset: 0.0 };
        data.gather(context, indices, scaling, out.view_mut())
    }

    /// As many images as can be prepared at once for so many genotypes, of those that are evaluated together.
    pub(super) fn block(&self, genotypes: usize) -> usize {
        (1..=EVALUATION_BATCH).rev().find(|&images| self.preparable(images, genotypes).is_ok()).unwrap_or(1)
    }

    /// Whether what is prepared of so many images, to evaluate so many genotypes on them, can be held, some 3 GiB: a bit for every four images and
    /// edge, of which each unit has whole blocks of 128.
    pub(super) fn preparable(&self, images: usize, genotypes: usize) -> Result<()> {
        settings::batch("batch", images, self.inputs)?;
        // Sums of 64 genotypes on 64 images, 1280 bytes each.
        let sums = genotypes.div_ceil(64) as u64 * images.div_ceil(64) as u64;
        settings::within("population x batch, in blocks of 64 x 64", sums, 0, 1 << 20)?;
        const MOST: f64 = (1u64 << 36) as f64;
        let edges = self.config.edge_probability * self.inputs as f64;
        let of_a_unit = edges + 128.0 * edges.min(1.0);
        let all = images as f64 * of_a_unit * self.config.hidden as f64;
        settings::between("images x edges, as expected", all, 0.0, MOST)
    }

    /// Images of a generation, as bright as they are then, for so many genotypes.
    pub(super) fn samples(
        &self,
        context: &mut Context,
        data: &Dataset,
        indices: &[u32],
        (generation, genotypes): (u64, usize),
    ) -> Result<Samples> {
        self.preparable(indices.len(), genotypes)?;
        let (mut images, mut labels) = (Matrix::zeros(indices.len(), data.pixels()), Vec::new());
        let scaling = Scaling { scale: self.config.brightness_at(generation) as f32 / 255.0, offset: 0.0 };
        data.gather(context, indices, scaling, images.view_mut())?;
        data.gather_labels(indices, &mut labels)?;
        Samples::new(context, self.graph(), images.view(), &labels)
    }

    /// The accuracy of these weights on images of the classes that are told apart.
    pub(super) fn accuracy_of(&self, context: &mut Context, links: &[f32], data: &Dataset) -> Result<f64> {
        self.share(context, data, |context, images| self.forward(context, links, images).1)
    }

    /// The share of images whose logits are right.
    fn share(
        &self,
        context: &mut Context,
        data: &Dataset,
        mut logits: impl FnMut(&mut Context, MatRef<'_>) -> Matrix,
    ) -> Result<f64> {
        let all: Vec<u32> = (0..data.len() as u32).collect();
        let (mut images, mut labels, mut right) = (Matrix::zeros(0, 0), Vec::new(), 0);
        for indices in all.chunks(EVALUATION_BATCH) {
            self.images(context, data, indices, &mut images)?;
            data.gather_labels(indices, &mut labels)?;
            let logits = logits(context, images.view());
            right += loss::count_right(logits.view(), &labels);
        }
        Ok(right as f64 / data.len() as f64)
    }

    /// Activities of the hidden units and logits.
    pub(super) fn forward(&self, context: &mut Context, links: &[f32], images: MatRef<'_>) -> (Matrix, Matrix) {
        let mut hidden = Matrix::zeros(images.rows(), self.config.hidden);
        let mut logits = Matrix::zeros(images.rows(), self.classes);
        forward(context, self.graph(), links, images, hidden.view_mut(), logits.view_mut());
        (hidden, logits)
    }
}

/// The images of the first so many classes.
pub(crate) fn first_classes(data: &Dataset, classes: usize) -> Result<Dataset> {
    if classes >= data.classes() {
        return Ok(data.clone());
    }
    data.check_intact()?;
    let chosen: Vec<usize> = (0..data.len()).filter(|&i| usize::from(data.labels()[i]) < classes).collect();
    let images: Vec<u8> = chosen.iter().flat_map(|&i| data.image(i)).copied().collect();
    Dataset::new(images, chosen.iter().map(|&i| data.labels()[i]).collect(), data.shape(), classes)
}
