//! How well every genotype does on a task.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use super::difference::{self, Differences};
use super::graph::Graph;
use super::images;
use super::lanes;
use super::population::{GROUP, Population};
use super::samples::Samples;
use super::weights::WeightGeneration;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::activation::relu;
use crate::kernels::dense::{Write, matmul};
use crate::kernels::masked::{SparseMatrix, sparse_matmul_nt};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each_with;
use crate::simd::{LANES, Simd, dispatch, math};

/// What each genotype reached on the samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// `delta = mean over samples of max(0, a^2 - L^2)` of each genotype, a = ln(classes).
    pub rewards: Vec<f64>,
    /// The mean cross-entropy L of each genotype, in nats.
    pub losses: Vec<f64>,
    /// How many samples each genotype classifies as their labels say; of equal largest logits the first counts.
    pub correct: Vec<u32>,
}

/// Sums over the samples of a chunk, for each of `G` genotypes.
#[derive(Clone)]
pub(super) struct Sums<const G: usize> {
    pub(super) rewards: [f64; G],
    pub(super) losses: [f64; G],
    pub(super) correct: [u32; G],
}

/// Where a group's weights come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Made from the genes: the matrix, and the words of the group.
    Genes(&'a WeightGeneration, &'a [u64]),
    /// A row of links for each genotype; and whether all that was seen of them is finite.
    Given(MatRef<'a>, &'a AtomicBool),
}

/// Scratch memory of a thread; what each strategy keeps in it, its own `lengths` say.
pub(super) struct Work<'a> {
    /// Weights of the edges of a block of units.
    pub(super) edges: &'a mut [f32],
    /// Their output weights.
    pub(super) output: &'a mut [f32],
    /// Their activities.
    pub(super) hidden: &'a mut [f32],
    /// Logits of all samples of an item.
    pub(super) logits: &'a mut [f32],
}

impl<'a> Work<'a> {
    fn split(scratch: &'a mut [f32], lengths: [usize; 4]) -> Self {
        let (edges, rest) = scratch.split_at_mut(lengths[0]);
        let (output, rest) = rest.split_at_mut(lengths[1]);
        let (hidden, logits) = rest.split_at_mut(lengths[2]);
        Work { edges, output, hidden, logits }
    }
}

/// Tiles of 16 samples whose sums are added up before they are added to the others'.
pub(super) const CHUNK: usize = 4;

/// Rewards, losses and hits of every genotype of a population on the samples; see [the module](super) for the formulas.
///
/// Weights are made for 64 genotypes and some hidden units at a time, used on all samples, and dropped. Nothing of the size genotypes x links
/// is stored.
///
/// **Error.** Weights are those of [`decode`](super::decode); every pre-activation is a chain of fused operations over the edges in order, every
/// logit one over the hidden units in order. With M the largest sum |v| |w| |x| over the paths to a class (every gene of a link counted), a
/// logit is within `1.01 (2 g + d + h + 1) 2^-24 M` for up to g genes a link, d edges a unit, h hidden units; a sample's L within twice that and
/// `1.01 (2 |l_label - max l| + 4 ln c + c + 6) 2^-24` for c classes, whose exponentials are one chain of sums. Means are summed in `f64`.
/// Where few genes vary (in the mean less than 0.4 to 1 of a link's, as genotypes are 65 or many), what genotypes have in common is evaluated
/// once, and for each only how it differs from the modal genotype: within `1.01 (4 g + 2 d + 3 h + 2 k + q + 2) 2^-24 4 M` for k varying genes
/// with up to q entries in the output weights of a class. Memory: a varying gene takes each thread 2 KB, and 200 bytes for each of its entries in
/// output weights, for up to 16 classes; sums take 20 bytes for each genotype and 64 samples.
/// **Extremes.** [`Samples`] and W hold finite values. A genotype whose sums overflow upwards all the same has NaN for loss and reward. A sum of
/// minus infinity silences its unit, or makes its class impossible: L is infinite, and the reward 0, where that is the label's; both are NaN where
/// all classes are.
/// **Determinism.** Neither threads nor instruction set show in the bits; the strategy is chosen by W, genotypes and samples alone. So a population
/// that is a part of another may differ from the whole within the error where few genes vary: [`evaluate_part`] gives the bits of the whole.
/// **Cost.** At most images x links multiply-adds for 16 genotypes; pixels that are zero and hidden units that are silent in all of a group's
/// genotypes are skipped. For 1000 genotypes two fifths of the time are left at 95 % of genes fixed, a twelfth at 99 %.
///
/// ```
/// use neuropil::kernels::genotype::{Graph, Population, Samples, WeightGeneration, evaluate};
/// use neuropil::{Context, Matrix};
/// let mut context = Context::new()?;
/// let graph = Graph::from_edges(2, 1, 2, &[(0, 0), (1, 0)])?;
/// let images = Matrix::from_slice(&[1.0, 0.0, 0.0, 1.0], 2, 2)?;
/// let samples = Samples::new(&mut context, &graph, images.view(), &[0, 1])?;
/// // Two edges and two output links. With its gene the unit fires at the first pixel, for class 0; without it no link has a weight.
/// let w = WeightGeneration::from_triples(4, 1, &[(0, 0, 1.0), (2, 0, 2.0), (3, 0, -2.0)])?;
/// let population = Population::from_fn(2, 1, |genotype, _| genotype == 0)?;
/// let outcome = evaluate(&mut context, &w, &samples, &population);
/// assert!(outcome.rewards[0] > 0.2 && outcome.rewards[1] < 1e-6);
/// assert!((outcome.losses[1] - 2f64.ln()).abs() < 1e-6); // no better than by chance
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If W has not as many links as the samples' graph, or not as many genes as the population.
#[track_caller]
pub fn evaluate(context: &mut Context, w: &WeightGeneration, samples: &Samples, population: &Population) -> Outcome {
    evaluate_part(context, w, samples, population, 0..population.genotypes())
}

/// The same for some genotypes of a population, with the bits that [`evaluate`] gives them: for machines that share a generation. Each draws all
/// genotypes, which takes little time beside their evaluation, and evaluates its own.
///
/// Cost: that of the groups of 64 genotypes that the part touches; so let parts begin at multiples of [`GROUP`].
///
/// ```
/// use neuropil::kernels::genotype::{AlleleFrequencies, Graph, Population, Samples, WeightGeneration, evaluate, evaluate_part};
/// use neuropil::{Context, Matrix, random::Stream};
/// let mut context = Context::new()?;
/// let graph = Graph::random(4, 20, 2, 0.5, Stream::new(0, "graph"))?;
/// let w = WeightGeneration::random(graph.links(), 50, 0.1, Stream::new(0, "weights"))?;
/// let images = Matrix::from_slice(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], 2, 4)?;
/// let samples = Samples::new(&mut context, &graph, images.view(), &[0, 1])?;
/// let p = AlleleFrequencies::uniform(50, Stream::new(0, "frequencies"))?;
/// let population = Population::sample(&mut context, &p, Stream::new(0, "population"), 0..200)?;
/// let mut rewards = evaluate_part(&mut context, &w, &samples, &population, 0..128).rewards;
/// rewards.extend(evaluate_part(&mut context, &w, &samples, &population, 128..200).rewards);
/// assert_eq!(rewards, evaluate(&mut context, &w, &samples, &population).rewards);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// As [`evaluate`], and if there are no such genotypes.
#[track_caller]
pub fn evaluate_part(
    context: &mut Context,
    w: &WeightGeneration,
    samples: &Samples,
    population: &Population,
    part: Range<usize>,
) -> Outcome {
    let (links, genotypes) = (samples.graph().links(), population.genotypes());
    assert!(
        w.links() == links && w.genes() == population.genes(),
        "evaluate: w is {} x {}, the graph has {links} links, the genotypes {} genes",
        w.links(),
        w.genes(),
        population.genes()
    );
    assert!(part.start <= part.end && part.end <= genotypes, "evaluate_part: genotypes {part:?} of {genotypes}");
    if part.is_empty() {
        return Outcome { rewards: Vec::new(), losses: Vec::new(), correct: Vec::new() };
    }
    let groups = part.start / GROUP..part.end.div_ceil(GROUP);
    // Whole groups, as their alleles lie together.
    let (before, all) = (part.start % GROUP, part.end - groups.start * GROUP);
    let differences = if genotypes > GROUP { Differences::of(w, samples.graph(), population) } else { None };
    let mut outcome = differences
        .and_then(|differences| by_differences(context, &differences, samples, groups.start, all))
        .unwrap_or_else(|| {
            run(context, samples, all, |first| Source::Genes(w, population.group(groups.start + first / GROUP)))
        });
    outcome.rewards.drain(..before);
    outcome.losses.drain(..before);
    outcome.correct.drain(..before);
    outcome
}

/// The same for weights that are given, \[genotypes, links\]: of one network, expected weights say, or of many.
///
/// [`decode`](super::decode) writes \[links, genotypes\]: give its result as `weights.transposed().view()`, as its example does.
///
/// **Error.** That of [`evaluate`] where many genes vary, with no genes to a link: a logit is within `1.01 (d + h + 1) 2^-24 M`, M the largest sum
/// |v| |w| |x| over the paths to a class. Sums that overflow are its extremes too. **Determinism.** The bits of a row depend on nothing but the row
/// and the samples. **Cost.** At most images x links multiply-adds in lanes, 16 rows or, of few, 16 images at a time; weights are read once for
/// every part of the samples that is an item of work, and once more to find one that is not finite.
///
/// ```
/// use neuropil::kernels::genotype::{Graph, Samples, evaluate_weights};
/// use neuropil::{Context, Matrix};
/// let mut context = Context::new()?;
/// let graph = Graph::from_edges(2, 1, 2, &[(0, 0), (1, 0)])?;
/// let images = Matrix::from_slice(&[1.0, 0.0, 0.0, 1.0], 2, 2)?;
/// let samples = Samples::new(&mut context, &graph, images.view(), &[0, 1])?;
/// // Two edges and two output links: the unit fires at the first pixel, for class 0; or never, which leaves both classes alike.
/// let weights = Matrix::from_slice(&[1.0, 0.0, 2.0, -2.0, 0.0, 0.0, 0.0, 0.0], 2, 4)?;
/// let outcome = evaluate_weights(&mut context, &samples, weights.view())?;
/// assert_eq!(outcome.correct, [1, 1]); // of equal logits the first counts
/// assert!(outcome.losses[0] < outcome.losses[1]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Errors
/// [`Error::Setting`], naming row and link, for a weight that is NaN or infinite.
///
/// # Panics
/// If a row is not as long as the graph has links.
#[track_caller]
pub fn evaluate_weights(context: &mut Context, samples: &Samples, weights: MatRef<'_>) -> Result<Outcome> {
    let links = samples.graph().links();
    assert!(
        weights.cols() == links,
        "evaluate_weights: the weights are {} x {}, the graph has {links} links",
        weights.rows(),
        weights.cols()
    );
    // To look at them as they are used costs no second reading.
    let finite = AtomicBool::new(true);
    let outcome = run(context, samples, weights.rows(), |first| {
        let first = first / GROUP * GROUP;
        Source::Given(weights.rows_range(first..weights.rows().min(first + lanes::GENOTYPES)), &finite)
    });
    if !finite.into_inner() {
        for (row, values) in weights.iter_rows().enumerate() {
            if let Some(link) = values.iter().position(|weight| !weight.is_finite()) {
                let what = format!("weight of link {link}, row {row}");
                return Err(Error::setting(what, "a finite value", values[link]));
            }
        }
    }
    Ok(outcome)
}

/// The most genotypes that share images across lanes.
const FEW: usize = 48;

/// Chooses the strategy; it does not show in the bits. `source` is given the first of some genotypes.
fn run<'a>(
    context: &mut Context,
    samples: &Samples,
    genotypes: usize,
    source: impl Fn(usize) -> Source<'a> + Sync,
) -> Outcome {
    let isa = context.isa();
    if genotypes <= FEW {
        let lengths = |chunks| images::lengths(samples.graph(), chunks);
        in_pieces(context, samples, genotypes, lengths, |work, first, first_chunk, sums| {
            let first_genotype = first % GROUP;
            dispatch(isa, images::Evaluate { source: source(first), first_genotype, samples, first_chunk, sums, work });
        })
    } else {
        let lengths = |chunks| lanes::lengths(samples.graph(), chunks);
        in_pieces(context, samples, genotypes, lengths, |work, first, first_chunk, sums| {
            dispatch(isa, lanes::Evaluate { source: source(first), samples, first_chunk, sums, work });
        })
    }
}

/// Hands `f` scratch memory, `G` genotypes from the one of this number, and chunks of samples from the one of this number.
fn in_pieces<const G: usize>(
    context: &mut Context,
    samples: &Samples,
    genotypes: usize,
    lengths: impl Fn(usize) -> [usize; 4],
    f: impl Fn(Work<'_>, usize, usize, &mut [Sums<G>]) + Sync,
) -> Outcome {
    let (groups, chunks) = (genotypes.div_ceil(G), samples.images().div_ceil(CHUNK * LANES));
    let work = samples.graph().links().saturating_mul(samples.images()) / 4;
    let threads = context.threads().for_work([work.saturating_mul(genotypes) / LANES]);
    // Samples of an item: as many as the second-level cache likes, fewer where the threads would wait for each other. The sums are those
    // of chunks in any case.
    let pieces = if threads.get() == 1 { 1 } else { (2 * threads.get()).div_ceil(groups.max(1)) };
    let item = chunks.div_ceil(pieces).clamp(1, 16);
    let mut sums = vec![Sums { rewards: [0.0; G], losses: [0.0; G], correct: [0; G] }; groups * chunks];
    let items = sums.chunks_mut(chunks).enumerate();
    let items = items
        .flat_map(|(group, sums)| sums.chunks_mut(item).enumerate().map(move |(at, sums)| (group, at * item, sums)));
    let items: Vec<_> = items.collect();
    let lengths = lengths(item);
    let [scratch] = context.scratch([lengths.iter().sum::<usize>() * threads.get()]);
    let workspaces = scratch.chunks_mut((scratch.len() / threads.get()).max(1));
    for_each_with(threads, workspaces, items, |scratch, (group, first_chunk, sums)| {
        f(Work::split(scratch, lengths), group * G, first_chunk, sums);
    });
    mean(samples, genotypes, |group| &sums[group * chunks..(group + 1) * chunks])
}

/// The same by what differs from the modal genotype, of so many genotypes from a group on; unless sums overflow that all genotypes share.
pub(super) fn by_differences(
    context: &mut Context,
    differences: &Differences,
    samples: &Samples,
    first_group: usize,
    genotypes: usize,
) -> Option<Outcome> {
    let (isa, finite) = (context.isa(), AtomicBool::new(true));
    let (groups, chunks) = (genotypes.div_ceil(GROUP), samples.images().div_ceil(CHUNK * LANES));
    let work = samples.graph().links().saturating_mul(samples.images()) / 32;
    let threads = context.threads().for_work([work.saturating_mul(genotypes) / LANES]);
    let zero = Sums { rewards: [0.0; GROUP], losses: [0.0; GROUP], correct: [0; GROUP] };
    let mut sums = vec![zero; chunks * groups];
    let workspaces: Vec<_> = (0..threads.get()).map(|_| difference::Work::new(differences)).collect();
    for_each_with(threads, workspaces, sums.chunks_mut(groups).enumerate(), |work, (chunk, sums)| {
        dispatch(isa, difference::Evaluate { differences, samples, chunk, first_group, sums, work, finite: &finite });
    });
    finite.into_inner().then(|| mean(samples, genotypes, |group| sums.iter().skip(group).step_by(groups)))
}

/// The means over all samples, given the sums of each chunk for a group of `G` genotypes.
fn mean<'a, const G: usize, I: IntoIterator<Item = &'a Sums<G>>>(
    samples: &Samples,
    genotypes: usize,
    of_group: impl Fn(usize) -> I,
) -> Outcome {
    let mut outcome =
        Outcome { rewards: vec![0.0; genotypes], losses: vec![0.0; genotypes], correct: vec![0; genotypes] };
    let images = samples.images() as f64;
    for genotype in 0..genotypes {
        let (group, lane) = (genotype / G, genotype % G);
        for sums in of_group(group) {
            outcome.rewards[genotype] += sums.rewards[lane];
            outcome.losses[genotype] += sums.losses[lane];
            outcome.correct[genotype] += sums.correct[lane];
        }
        outcome.rewards[genotype] /= images;
        outcome.losses[genotype] /= images;
    }
    outcome
}

/// L and max(0, a^2 - L^2) from the sum of exponentials less the largest logit, that, and the label's.
#[inline(always)]
pub(super) fn loss_and_reward<S: Simd>(
    s: S,
    total: S::F32,
    max: S::F32,
    own: S::F32,
    classes: usize,
) -> (S::F32, S::F32) {
    let loss = s.sub(math::ln(s, total), s.sub(own, max));
    let chance = (classes as f64).ln() as f32;
    // NaN stays: it is the second operand.
    (loss, s.max(s.zero(), s.neg_mul_add(loss, loss, s.splat(chance * chance))))
}

/// Activities of the hidden units \[images, hidden\] and logits \[images, classes\] of one network, whose weights are given link by link.
///
/// For what needs more than an [`Outcome`]: to train the output layer, or to look at it. Errors of the two products are those of
/// [`sparse_matmul_nt`] and [`matmul`]; NaN and infinities spread as the sums say. The same bits on every instruction set and for any number of
/// threads, as theirs.
///
/// **Cost.** images x links multiply-adds, and a copy of the edges and their weights at every call: 8 bytes an edge, 20 where there are many images.
/// So hand it many at once.
///
/// # Panics
/// If there are not as many weights as links, or the shapes disagree.
///
/// ```
/// use neuropil::kernels::genotype::{Graph, forward};
/// use neuropil::{Context, Matrix};
/// let graph = Graph::from_edges(2, 1, 2, &[(0, 0), (1, 0)])?;
/// let images = Matrix::from_slice(&[1.0, 2.0], 1, 2)?;
/// let (mut hidden, mut logits) = (Matrix::zeros(1, 1), Matrix::zeros(1, 2));
/// let weights = [1.0, 1.5, 2.0, -1.0];
/// forward(&mut Context::new()?, &graph, &weights, images.view(), hidden.view_mut(), logits.view_mut());
/// assert_eq!((hidden.as_slice(), logits.as_slice()), (&[4.0][..], &[8.0, -4.0][..]));
/// # Ok::<(), neuropil::Error>(())
/// ```
#[track_caller]
pub fn forward(
    context: &mut Context,
    graph: &Graph,
    weights: &[f32],
    images: MatRef<'_>,
    mut hidden: MatMut<'_>,
    logits: MatMut<'_>,
) {
    let shapes = [(hidden.rows(), hidden.cols()), (logits.rows(), logits.cols())];
    assert!(
        weights.len() == graph.links()
            && images.cols() == graph.inputs()
            && shapes == [(images.rows(), graph.hidden()), (images.rows(), graph.classes())],
        "forward: {} weights for {} links, images {} x {}, hidden and logits {shapes:?} of a graph {} - {} - {}",
        weights.len(),
        graph.links(),
        images.rows(),
        images.cols(),
        graph.inputs(),
        graph.hidden(),
        graph.classes()
    );
    let (edges, output) = weights.split_at(graph.edges());
    let edges = SparseMatrix::new(graph.pattern().clone(), edges.to_vec()).expect("a weight for every edge");
    sparse_matmul_nt(context, images, &edges, hidden.reborrow(), Write::Replace);
    relu(context, hidden.reborrow());
    let output = MatRef::new(output, graph.hidden(), graph.classes()).expect("a weight for every output link");
    matmul(context, hidden.as_ref(), output, logits, Write::Replace);
}
