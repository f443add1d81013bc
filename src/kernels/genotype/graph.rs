//! The fixed graph that all genotypes share.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::kernels::masked::Pattern;
use crate::random::Stream;

/// A network with one hidden layer: some edges from inputs to hidden units, all from hidden units to classes, no bias.
///
/// **Links are numbered** edges first, by hidden unit and then by input; behind them hidden unit h to class c is link
/// `edges + h * classes + c`. So the weights of a genotype are one row of [`links`](Self::links) values.
///
/// A hidden unit without edges is legal: its pre-activation is 0, its activity ReLU(0) = 0, and its output links never matter. An input without
/// edges enters no sum of the network's, though [`Samples`](super::Samples) look at it with all others.
///
/// A copy shares its memory.
#[derive(Clone)]
pub struct Graph(Arc<Inner>);

struct Inner {
    /// Hidden units are rows.
    edges: Pattern,
    classes: usize,
    /// The inputs of each unit's edges, in blocks of 128; zero behind the last edge.
    blocks: Vec<[u16; BLOCK]>,
    /// How many edges each block has.
    lengths: Vec<u8>,
    /// Where each unit's blocks begin, and where the last one's end.
    first_block: Vec<u32>,
}

/// Edges of a block: the bits of a word say which of them are active for a sample.
pub(super) const BLOCK: usize = 128;

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { edges, classes, .. } = &*self.0;
        f.debug_struct("Graph").field("edges", edges).field("classes", classes).finish_non_exhaustive()
    }
}

impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.edges == other.0.edges && self.0.classes == other.0.classes)
    }
}

impl Graph {
    /// Each edge from an input to a hidden unit with this probability, independently, as the stream decides.
    ///
    /// # Errors
    /// [`Error::Setting`] if the probability is not within 0 and 1, or a size is zero or too large.
    pub fn random(inputs: usize, hidden: usize, classes: usize, probability: f64, stream: Stream) -> Result<Self> {
        check(inputs, hidden, classes)?;
        // The pattern would call it a density.
        if !(0.0..=1.0).contains(&probability) {
            return Err(Error::setting("probability", "0 to 1", probability));
        }
        Graph::checked(Pattern::random(hidden, inputs, probability, stream)?, classes)
    }

    /// These edges, each (input, hidden unit), in the order of their links: by hidden unit, then by input.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the edge, if one leads from or to nowhere, stands twice, or out of order; or if a size is zero or too large.
    ///
    /// ```
    /// use neuropil::kernels::genotype::Graph;
    /// let graph = Graph::from_edges(3, 2, 10, &[(0, 0), (2, 0), (1, 1)])?;
    /// assert_eq!((graph.edges(), graph.links()), (3, 23));
    /// let error = Graph::from_edges(3, 2, 10, &[(0, 0), (0, 0)]).unwrap_err();
    /// assert_eq!(error.to_string(), "edge 1: expected one behind input 0 to unit 0, by unit and then by input, found input 0 to unit 0");
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    pub fn from_edges(inputs: usize, hidden: usize, classes: usize, edges: &[(u32, u32)]) -> Result<Self> {
        check(inputs, hidden, classes)?;
        let mut offsets = vec![0u32; hidden + 1];
        for (at, &(input, unit)) in edges.iter().enumerate() {
            let found = format!("input {input} to unit {unit}");
            if input as usize >= inputs || unit as usize >= hidden {
                let expected = format!("an input below {inputs} and a unit below {hidden}");
                return Err(Error::setting(format!("edge {at}"), expected, found));
            }
            if let Some(&(before, last)) = at.checked_sub(1).and_then(|before| edges.get(before))
                && (unit, input) <= (last, before)
            {
                let expected = format!("one behind input {before} to unit {last}, by unit and then by input");
                return Err(Error::setting(format!("edge {at}"), expected, found));
            }
            offsets[unit as usize + 1] = at as u32 + 1;
        }
        for unit in 0..hidden {
            offsets[unit + 1] = offsets[unit + 1].max(offsets[unit]);
        }
        let indices = edges.iter().map(|&(input, _)| input).collect();
        Graph::checked(Pattern::new(hidden, inputs, offsets, indices)?, classes)
    }

    fn checked(edges: Pattern, classes: usize) -> Result<Self> {
        let links = edges.rows().saturating_mul(classes).saturating_add(edges.entries());
        if links >= 1 << 31 {
            return Err(Error::setting("graph", "fewer than 2^31 links", links));
        }
        let (mut blocks, mut lengths, mut first_block) = (Vec::new(), Vec::new(), vec![0]);
        for unit in 0..edges.rows() {
            for inputs in edges.row(unit).chunks(BLOCK) {
                let mut block = [0; BLOCK];
                for (to, &input) in block.iter_mut().zip(inputs) {
                    *to = input as u16;
                }
                blocks.push(block);
                lengths.push(inputs.len() as u8);
            }
            first_block.push(blocks.len() as u32);
        }
        Ok(Graph(Arc::new(Inner { edges, classes, blocks, lengths, first_block })))
    }

    /// The inputs of a block's edges; zero behind the last.
    #[inline]
    pub(super) fn inputs_of_block(&self, block: usize) -> &[u16; BLOCK] {
        &self.0.blocks[block]
    }

    /// Which of all blocks are a unit's.
    #[inline]
    pub(super) fn block_range(&self, unit: usize) -> std::ops::Range<usize> {
        self.0.first_block[unit] as usize..self.0.first_block[unit + 1] as usize
    }

    /// The inputs of the edges of one of all blocks.
    pub(super) fn block(&self, block: usize) -> &[u16] {
        &self.0.blocks[block][..usize::from(self.0.lengths[block])]
    }

    /// The most blocks of this many units from a multiple of as many.
    pub(super) fn widest(&self, units: usize) -> usize {
        let end = |first: usize| self.block_range(self.hidden().min(first + units) - 1).end;
        let starts = (0..self.hidden()).step_by(units);
        starts.map(|first| end(first) - self.block_range(first).start).max().unwrap_or(0)
    }

    /// Number of all blocks.
    pub(super) fn all_blocks(&self) -> usize {
        self.0.blocks.len()
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.0.edges.cols()
    }

    /// Number of hidden units.
    pub fn hidden(&self) -> usize {
        self.0.edges.rows()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.0.classes
    }

    /// Number of edges from inputs to hidden units.
    pub fn edges(&self) -> usize {
        self.0.edges.entries()
    }

    /// Number of all links: edges, and `hidden * classes` behind them.
    pub fn links(&self) -> usize {
        self.edges() + self.hidden() * self.0.classes
    }

    /// Which inputs each hidden unit (a row) sees.
    pub fn pattern(&self) -> &Pattern {
        &self.0.edges
    }
}

/// Sizes that 16, 24 and 8 bits can number, and that are not zero.
fn check(inputs: usize, hidden: usize, classes: usize) -> Result<()> {
    for (name, size, most) in
        [("inputs", inputs, 1 << 16), ("hidden units", hidden, 1 << 24), ("classes", classes, 256)]
    {
        if !(1..=most).contains(&size) {
            return Err(Error::setting(name, format!("1 to {most}"), size));
        }
    }
    Ok(())
}
