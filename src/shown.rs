//! What is printed of long lists.

use std::fmt;

/// What is printed of a list that may be long, as of a [`Matrix`](crate::Matrix).
pub(crate) fn shown<T: fmt::Debug + Copy>(values: &[T]) -> impl fmt::Debug {
    Shown { all: values.len(), item: |at| values[at] }
}

/// A list of which the first few items are printed, and dots where there are more.
pub(crate) struct Shown<F> {
    pub(crate) all: usize,
    pub(crate) item: F,
}

impl<T: fmt::Debug, F: Fn(usize) -> T> fmt::Debug for Shown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 16;
        let mut list = f.debug_list();
        list.entries((0..self.all.min(MOST)).map(&self.item));
        if self.all > MOST { list.finish_non_exhaustive() } else { list.finish() }
    }
}
