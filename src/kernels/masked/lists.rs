//! The entries of a sparse matrix in the order in which products read them.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::pattern::Pattern;

/// For each output of a product, the inputs it sums and their weights: what the kernels read. The inputs come in one or more blocks: first
/// every output's of the first block, then every output's of the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists<'a> {
    /// The list of output j in block b begins at `offsets[b * outputs + j]` and ends where the next begins.
    pub(super) offsets: &'a [u32],
    /// All below `inputs`; increasing within each list, and from block to block.
    pub(super) indices: &'a [u32],
    pub(super) values: &'a [f32],
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Lists<'_> {
    /// Blocks of inputs; one if there is no output.
    pub(super) fn blocks(&self) -> usize {
        (self.offsets.len() - 1).checked_div(self.outputs).unwrap_or(1)
    }
}

/// Which of a matrix's dimensions a product sums over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Summed {
    Rows,
    Columns,
}

/// Inputs of a block, at most: what 64 samples have of them is 36 KB, and stays in the L1 cache.
const BLOCK_INPUTS: usize = 144;
/// Entries of a list in a block, on average, from which it is worth a walk of its own.
const LEAST_ENTRIES: f64 = 10.0;

/// Blocks of inputs in which lists are best laid out for products with many samples.
pub(super) fn blocks(inputs: usize, density: f64) -> usize {
    let blocks = inputs.div_ceil(BLOCK_INPUTS).max(1);
    if inputs as f64 * density >= LEAST_ENTRIES * blocks as f64 { blocks } else { 1 }
}

/// A copy of the entries in another order than row by row.
#[derive(Clone, Debug, Default)]
pub(super) struct Reordered {
    offsets: Vec<u32>,
    indices: Vec<u32>,
    values: Vec<f32>,
    /// Which of the entries by row each is.
    source: Vec<u32>,
    inputs: usize,
    outputs: usize,
}

impl Reordered {
    /// Becomes lists of this matrix, in this many blocks of inputs, in the memory it has: entries counted into lists. They come in order, so
    /// each list's are sorted.
    pub(super) fn fill(&mut self, pattern: &Pattern, values: &[f32], summed: Summed, blocks: usize) {
        let (inputs, outputs) = match summed {
            Summed::Rows => (pattern.rows(), pattern.cols()),
            Summed::Columns => (pattern.cols(), pattern.rows()),
        };
        (self.inputs, self.outputs) = (inputs, outputs);
        let of_a_block = inputs.div_ceil(blocks).max(1);
        // Where the lists of a row's block begin, or those of a row in all blocks; and how far on the list of an entry is.
        let list = |row: usize, col: u32| match summed {
            Summed::Rows => row / of_a_block * outputs + col as usize,
            Summed::Columns => col as usize / of_a_block * outputs + row,
        };
        let (entries, lists, offsets) = (pattern.entries(), blocks * outputs, &mut self.offsets);
        offsets.clear();
        offsets.resize(lists + 2, 0);
        // Counts two places on: the sums are then the next free place of each list, one place on, and its first once all are placed.
        for row in 0..pattern.rows() {
            for &col in pattern.row(row) {
                offsets[list(row, col) + 2] += 1;
            }
        }
        for at in 2..offsets.len() {
            offsets[at] += offsets[at - 1];
        }
        self.indices.resize(entries, 0);
        self.source.resize(entries, 0);
        self.values.resize(entries, 0.0);
        for row in 0..pattern.rows() {
            for at in pattern.range(row) {
                let col = pattern.indices()[at];
                let slot = &mut offsets[list(row, col) + 1];
                let to = *slot as usize;
                *slot += 1;
                let input = if summed == Summed::Rows { row as u32 } else { col };
                (self.indices[to], self.source[to], self.values[to]) = (input, at as u32, values[at]);
            }
        }
        offsets.truncate(lists + 1);
    }

    /// Takes new values for the same entries.
    pub(super) fn set_values(&mut self, values: &[f32]) {
        for (value, &from) in self.values.iter_mut().zip(&self.source) {
            *value = values[from as usize];
        }
    }

    pub(super) fn lists(&self) -> Lists<'_> {
        let Reordered { offsets, indices, values, inputs, outputs, .. } = self;
        Lists { offsets, indices, values, inputs: *inputs, outputs: *outputs }
    }
}

/// An order of the entries that is built when it is first needed, and anew after it was forgotten: in the same memory.
#[derive(Debug, Default)]
pub(super) struct Kept {
    built: OnceLock<Reordered>,
    /// What was forgotten. Locked by whoever builds, once.
    memory: Mutex<Reordered>,
}

impl Kept {
    /// The lists, which `build` makes of whatever it is given if there are none.
    pub(super) fn lists(&self, build: impl FnOnce(&mut Reordered)) -> Lists<'_> {
        let reordered = self.built.get_or_init(|| {
            let mut reordered = std::mem::take(&mut *self.memory.lock().unwrap_or_else(PoisonError::into_inner));
            build(&mut reordered);
            reordered
        });
        reordered.lists()
    }

    /// Takes new values for the same entries, if there are any.
    pub(super) fn set_values(&mut self, values: &[f32]) {
        if let Some(reordered) = self.built.get_mut() {
            reordered.set_values(values);
        }
    }

    /// The entries are others now.
    pub(super) fn forget(&mut self) {
        if let Some(reordered) = self.built.take() {
            self.memory = Mutex::new(reordered);
        }
    }
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        Kept { built: self.built.clone(), memory: Mutex::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_built_again_when_needed_in_the_same_memory() {
        let [wide, narrow] = [(40, 30), (20, 10)].map(|(rows, cols)| Pattern::full(rows, cols).unwrap());
        let mut kept = Kept::default();
        let fill = |kept: &Kept, pattern: &Pattern, value: f32| {
            let values = vec![value; pattern.entries()];
            let lists = kept.lists(|reordered| reordered.fill(pattern, &values, Summed::Rows, 1));
            assert_eq!((lists.outputs, lists.inputs, lists.values), (pattern.cols(), pattern.rows(), &values[..]));
            lists.values.as_ptr()
        };
        let first = fill(&kept, &wide, 1.0);
        assert_eq!(kept.lists(|_| panic!("they are there")).values.as_ptr(), first);
        // Forgotten twice, and not needed in between.
        kept.forget();
        kept.forget();
        assert_eq!(fill(&kept, &narrow, 2.0), first);
        assert_ne!(kept.clone().lists(|_| panic!("they are copied")).values.as_ptr(), first);
        kept.forget();
        assert_eq!(fill(&kept, &wide, 3.0), first);
    }
}
