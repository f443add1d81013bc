//! Converged populations, by what differs from the modal genotype. Legal for any population; wins where few genes vary.
//!
//! ```text
//! m(i) = the allele that more genotypes have, 0 of equals;  d(k) = 1 where a genotype's varying gene k is not modal
//! a_u  = base_u + sum_k d(k) D_uk      pre-activation:  base_u = sum over edges of (W m) x,  D_uk = sum of +-W x      (1)
//! v_uc = (W m)_uc + sum_l d(l) C_ucl   weight of the unit to class c,  C_ucl = +-W
//! logit_c = sum_u v_uc ReLU(a_u)
//! ```
//! For an image most units have the same sign of `a_u` in all genotypes, or one gene at most that moves them. There ReLU(a_u) is a sum over
//! genes, `start_u + sum_k d(k) D'_uk`, and so, once for all genotypes:
//!
//! ```text
//! logit_c = constant_c + sum_k d(k) slope_kc                                                       of all such units
//!         + sum over the other units, the doubtful ones, of (W m)_uc ReLU(a_u)
//!         + sum over C_ucl of d(l) C_ucl t_u,   t_u = ReLU(a_u) if doubtful, sum_k d(k) D'_uk if not
//! constant_c = sum_u (W m)_uc start_u;  slope_kc = sum_u (W m)_uc D'_uk + C_uck start_u
//! ```
//! At 99 % of 4000 genes fixed an image of a digit has 46 doubtful units of 1000 and 260 whose `t_u` counts; a genotype costs it some 3000
//! multiply-adds of the 27,000 that it takes from nothing.
//!
//! 1. By tiles of 16 images. `base_u` plus all negative D_uk above 0 says that a unit is active in all genotypes, plus all positive ones not
//!    above 0 that it is silent.

mod group;
mod tile;

use std::sync::atomic::{AtomicBool, Ordering};

use super::evaluate::{CHUNK, Sums};
use super::graph::Graph;
use super::lanes::score;
use super::population::{GROUP, Population};
use super::samples::Samples;
use super::weights::WeightGeneration;
use crate::matrix::Matrix;
use crate::simd::{Kernel, LANES, Simd};
use group::Group;
use tile::Tile;

/// Whether this is cheaper than evaluating from nothing, given how many genes of a link vary in the mean. As measured, in parts of what a
/// group costs from nothing: a share of `0.4 + 2 each` for all groups, `0.95 each` for each.
fn is_worth_it(each: f64, groups: usize) -> bool {
    each * (2.0 + 0.95 * groups as f64) < groups as f64 - 0.4
}

/// The network of the modal genotype, and what each varying gene changes in it.
pub(super) struct Differences {
    /// Modal weights of the edges, link by link.
    edges: Vec<f32>,
    /// Modal weights \[unit, class\], zero behind the last class of whole vectors.
    output: Matrix,
    /// How many genes vary.
    genes: usize,
    /// \[group\]\[varying gene\]: a bit for each genotype whose allele is not the modal one.
    flips: Vec<u64>,
    /// The varying genes of each unit's edges, in order.
    movers: Vec<Movers>,
    /// Sixteen of them a block, zero behind the last.
    mover_genes: Vec<[u32; LANES]>,
    /// The edges of each of them, and what it changes of their weights; behind the last as well.
    first_change: Vec<u32>,
    changes: Vec<(u16, f32)>,
    /// Changes of output weights, unit by unit, and where each unit's end.
    outputs: Vec<OutputChange>,
    output_ends: Vec<u32>,
    /// The same, class by class, and where each class's end.
    by_class: Vec<OutputChange>,
    class_ends: Vec<u32>,
}

/// The genes that move a unit: so many, from this block of sixteen on.
#[derive(Clone, Copy)]
struct Movers {
    count: u32,
    first_block: u32,
}

/// What a gene changes of a weight to a class.
#[derive(Clone, Copy)]
struct OutputChange {
    unit: u32,
    class: u32,
    gene: u32,
    change: f32,
}

impl Differences {
    /// The differences, if they are few enough.
    pub(super) fn of(w: &WeightGeneration, graph: &Graph, population: &Population) -> Option<Self> {
        let (genes, groups) = (population.genes(), population.groups());
        let mut carriers = vec![0u32; genes];
        for group in 0..groups {
            for (count, word) in carriers.iter_mut().zip(population.group(group)) {
                *count += word.count_ones();
            }
        }
        let modal = |&count: &u32| 2 * count as usize > population.genotypes();
        let mode: Vec<bool> = carriers.iter().map(modal).collect();
        let varies = |&gene: &usize| carriers[gene] != 0 && carriers[gene] as usize != population.genotypes();
        let varying: Vec<usize> = (0..genes).filter(varies).collect();
        let each = varying.len() as f64 / genes as f64 * w.entries() as f64 / w.links().max(1) as f64;
        // Very sparse matrices may have more genes that vary than there is memory for slopes, or use.
        if !is_worth_it(each, groups) || varying.len().saturating_mul(graph.classes()) > w.links() {
            return None;
        }
        let mut flips = Vec::with_capacity(groups * varying.len());
        for group in 0..groups {
            let words = population.group(group);
            flips.extend(varying.iter().map(|&gene| if mode[gene] { !words[gene] } else { words[gene] }));
        }
        let mut differences = Differences {
            edges: Vec::with_capacity(graph.edges()),
            output: Matrix::zeros(graph.hidden(), graph.classes().next_multiple_of(LANES)),
            genes: varying.len(),
            flips,
            movers: Vec::with_capacity(graph.hidden()),
            mover_genes: Vec::new(),
            first_change: vec![0],
            changes: Vec::new(),
            outputs: Vec::new(),
            output_ends: Vec::with_capacity(graph.hidden()),
            by_class: Vec::new(),
            class_ends: Vec::with_capacity(graph.classes()),
        };
        let mut number = vec![u32::MAX; genes];
        for (at, &gene) in varying.iter().enumerate() {
            number[gene] = at as u32;
        }
        differences.add_links(w, graph, &mode, &number);
        Some(differences)
    }

    /// Modal weights, and the changes of all links, given the modal alleles and the numbers of the varying genes.
    fn add_links(&mut self, w: &WeightGeneration, graph: &Graph, mode: &[bool], number: &[u32]) {
        let mut of_unit = Vec::new();
        for unit in 0..graph.hidden() {
            of_unit.clear();
            for (&input, link) in graph.pattern().row(unit).iter().zip(graph.pattern().range(unit)) {
                let weight = modal_weight(w, link, mode, number, |gene, change| of_unit.push((gene, input, change)));
                self.edges.push(weight);
            }
            // By gene, and by edge as they were.
            of_unit.sort_by_key(|&(gene, ..)| gene);
            let first_block = self.mover_genes.len() as u32;
            let mut count = 0;
            for same in of_unit.chunk_by(|a, b| a.0 == b.0) {
                if count % LANES == 0 {
                    self.mover_genes.push([0; LANES]);
                }
                self.mover_genes.last_mut().expect("a block")[count % LANES] = same[0].0;
                count += 1;
                self.changes.extend(same.iter().map(|&(_, input, change)| (input as u16, change)));
                self.first_change.push(self.changes.len() as u32);
            }
            for _ in count..count.next_multiple_of(LANES) {
                self.first_change.push(self.changes.len() as u32);
            }
            self.movers.push(Movers { count: count as u32, first_block });
        }
        let classes = graph.classes();
        for unit in 0..graph.hidden() as u32 {
            for class in 0..classes as u32 {
                let link = graph.edges() + unit as usize * classes + class as usize;
                let weight = modal_weight(w, link, mode, number, |gene, change| {
                    self.outputs.push(OutputChange { unit, class, gene, change });
                });
                self.output[(unit as usize, class as usize)] = weight;
            }
            self.output_ends.push(self.outputs.len() as u32);
        }
        self.by_class.clone_from(&self.outputs);
        self.by_class.sort_by_key(|change| change.class);
        let end = |class| self.by_class.partition_point(|change| change.class <= class) as u32;
        self.class_ends.extend((0..classes as u32).map(end));
    }

    /// The changes of a unit's output weights.
    fn outputs_of(&self, unit: usize) -> &[OutputChange] {
        let start = unit.checked_sub(1).map_or(0, |before| self.output_ends[before]);
        &self.outputs[start as usize..self.output_ends[unit] as usize]
    }
}

/// The weight of a link in the modal genotype, summed as any genotype's; `change` is told what its varying genes change.
#[inline(always)]
fn modal_weight(
    w: &WeightGeneration,
    link: usize,
    mode: &[bool],
    number: &[u32],
    mut change: impl FnMut(u32, f32),
) -> f32 {
    let (genes, values) = w.link(link);
    let mut sum = 0.0;
    for (&gene, &value) in genes.iter().zip(values) {
        let gene = gene as usize;
        sum += if mode[gene] { value } else { 0.0 };
        if number[gene] != u32::MAX {
            change(number[gene], if mode[gene] { -value } else { value });
        }
    }
    sum
}

/// Scratch memory of a thread.
pub(super) struct Work {
    tile: Tile,
    group: Group,
}

impl Work {
    pub(super) fn new(differences: &Differences) -> Self {
        Work { tile: Tile::new(differences), group: Group::new(differences.class_ends.len()) }
    }
}

/// All genotypes on the samples of a chunk.
pub(super) struct Evaluate<'a> {
    pub(super) differences: &'a Differences,
    pub(super) samples: &'a Samples,
    pub(super) chunk: usize,
    pub(super) first_group: usize,
    /// Of each group from that on.
    pub(super) sums: &'a mut [Sums<GROUP>],
    pub(super) work: &'a mut Work,
    /// Made false if what all genotypes share is not: then the sums mean nothing.
    pub(super) finite: &'a AtomicBool,
}

impl Kernel for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Evaluate { differences, samples, chunk, first_group, sums, work, finite } = self;
        tile::look_at_chunk(s, differences, samples, chunk, &mut work.tile);
        for (at, number) in (chunk * CHUNK..samples.tiles().min((chunk + 1) * CHUNK)).enumerate() {
            if !tile::look_at_tile(s, differences, samples, number, at, &mut work.tile) {
                finite.store(false, Ordering::Relaxed);
                return;
            }
            let labels = &samples.labels()[number * LANES..];
            for (group, sums) in sums.iter_mut().enumerate() {
                let flips = &differences.flips[(first_group + group) * differences.genes..][..differences.genes];
                for (image, &label) in work.tile.images.iter().zip(labels) {
                    for (v, logits) in work.group.logits(s, differences, image, flips).enumerate() {
                        score(s, logits, label.into(), v, sums);
                    }
                }
            }
        }
    }
}
