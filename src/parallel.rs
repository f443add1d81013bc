//! How many threads share a call, and how the work is cut so that their number never shows in the result.
//!
//! Work is always cut the same way, into items that write disjoint outputs. What an item computes never depends on who computes it, so one
//! thread and seven give the same bits. The items are cut into as many parts as threads share them. The calling thread always begins with the first, as
//! what it wrote the last time may still lie in its caches; which helper takes which of the others is left to the pool. Who is done with a part
//! helps the others from their end.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// How many threads a call may use: the calling one, and others from a pool of the crate's own.
///
/// The pool has as many threads as the machine offers the process, and is made when they are first needed. Calls neither use nor wait for
/// rayon's global pool, whatever else runs there, and its environment variables have no effect. Where several threads of yours call
/// kernels at the same time, let each do so with [`Threads::ONE`], as the cores are all at work already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    count: NonZeroUsize,
    /// Shared even where it does not pay: how the tests and `verify` reach every cut with small inputs.
    always: bool,
}

impl Threads {
    /// The calling thread alone.
    pub const ONE: Threads = Threads::of(NonZeroUsize::MIN);

    const fn of(count: NonZeroUsize) -> Self {
        Threads { count, always: false }
    }

    /// This many. More than the machine offers are legal: the surplus takes turns.
    ///
    /// # Errors
    /// [`Error::Setting`] for zero or more than 1024.
    pub fn new(count: usize) -> Result<Self> {
        NonZeroUsize::new(count)
            .filter(|count| count.get() <= 1024)
            .map(Threads::of)
            .ok_or_else(|| Error::setting("threads", "1 to 1024", count))
    }

    /// As many as the machine offers this process.
    pub fn available() -> Self {
        Threads::of(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// The count.
    pub fn get(self) -> usize {
        self.count.get()
    }
}

/// Multiply-adds below which a second thread costs more (some ten microseconds to wake) than it brings.
pub(crate) const WORTH_SHARING: usize = 10_000_000;
/// What a value costs that is read, changed a little and written, in multiply-adds: it is bound by memory.
pub(crate) const TOUCHED: usize = 16;
/// Values of an item of such work, at least: rows are grouped until they have this many.
pub(crate) const ITEM_VALUES: usize = 32_768;

impl Threads {
    /// This many, however little work there is.
    pub(crate) fn always(count: usize) -> Result<Self> {
        Ok(Threads { always: true, ..Threads::new(count)? })
    }

    /// What each of several tasks gets of them: one at least.
    #[cfg(feature = "systems")]
    pub(crate) fn shared_by(self, tasks: usize) -> Self {
        let count = NonZeroUsize::new(self.get() / tasks.max(1)).unwrap_or(NonZeroUsize::MIN);
        Threads { count, ..self }
    }

    /// These threads if the work, multiply-adds in factors, is worth sharing, one otherwise.
    pub(crate) fn for_work<const N: usize>(self, factors: [usize; N]) -> Self {
        // Where addresses are short the product may be longer.
        let multiply_adds = factors.into_iter().fold(1, usize::saturating_mul);
        if multiply_adds < WORTH_SHARING && !self.always { Threads::ONE } else { self }
    }
}

/// The threads that help a calling one; none where the system has none to give. In rayon's global pool a call would wait for whatever
/// stands before it in the queue, and for ever if that waits for what the caller holds.
fn helpers() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let build = || {
        let named = ThreadPoolBuilder::new().thread_name(|index| format!("neuropil {index}"));
        named.num_threads(Threads::available().get()).build().ok()
    };
    POOL.get_or_init(build).as_ref()
}

/// Calls `f` once for every item, on up to `threads` threads, and no more than there are items. Each item must write to its own outputs only.
pub(crate) fn for_each<I>(threads: Threads, items: I, f: impl Fn(I::Item) + Sync)
where
    I: IntoIterator<IntoIter: Send, Item: Send>,
{
    for_each_with(threads, std::iter::repeat_n((), threads.get()), items, |(), item| f(item));
}

/// The same, lending each thread one of `workspaces` (at least as many as threads) for scratch; only those are made that a thread takes.
pub(crate) fn for_each_with<W, I>(
    threads: Threads,
    workspaces: impl IntoIterator<Item = W, IntoIter: Send>,
    items: I,
    f: impl Fn(&mut W, I::Item) + Sync,
) where
    W: Send,
    I: IntoIterator<IntoIter: Send, Item: Send>,
{
    let mut workspaces = workspaces.into_iter();
    let mut own = workspaces.next().expect("a workspace for every thread");
    let items = items.into_iter();
    if threads.get() == 1 {
        items.for_each(|item| f(&mut own, item));
        return;
    }
    let mut all: VecDeque<I::Item> = items.collect();
    // Nobody is woken, and then waited for, to find nothing to do.
    let sharing = threads.get().min(all.len());
    if sharing <= 1 {
        all.into_iter().for_each(|item| f(&mut own, item));
        return;
    }
    let mut parts = Vec::with_capacity(sharing);
    for left in (1..=sharing).rev() {
        let rest = all.split_off(all.len().div_ceil(left));
        parts.push(std::mem::replace(&mut all, rest));
    }
    let parts = Mutex::new(parts);
    let work = |own: usize, mut workspace: W| {
        loop {
            // A poisoned queue means that another thread panicked; the scope passes that on.
            let item = take(&mut parts.lock().unwrap_or_else(PoisonError::into_inner), own);
            let Some(item) = item else { break };
            f(&mut workspace, item);
        }
    };
    let Some(helpers) = helpers() else {
        return work(0, own);
    };
    // In place: the calling thread works too, and only the others have to be woken.
    helpers.in_place_scope(|scope| {
        for (part, workspace) in (1..sharing).zip(workspaces) {
            let work = &work;
            scope.spawn(move |_| work(part, workspace));
        }
        work(0, own);
    });
}

/// The next item of a thread's own part, or else the last of the longest part.
fn take<T>(parts: &mut [VecDeque<T>], own: usize) -> Option<T> {
    parts[own].pop_front().or_else(|| parts.iter_mut().max_by_key(|part| part.len())?.pop_back())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn every_item_is_visited_once_by_any_number_of_threads() {
        for threads in [1, 2, 3, 7] {
            let mut values = vec![0u32; if cfg!(miri) { 100 } else { 1000 }];
            for_each(Threads::new(threads).unwrap(), values.iter_mut().enumerate(), |(index, value)| {
                *value += index as u32 + 1;
            });
            assert!(values.iter().enumerate().all(|(index, &value)| value == index as u32 + 1));
        }
    }

    /// What a thread does in its items, so that there is something left for the other: waits until that has set its flag.
    fn wait_for_the_other(flag: &AtomicBool) {
        let began = Instant::now();
        while !flag.load(Ordering::SeqCst) {
            assert!(began.elapsed() < Duration::from_secs(60), "no other thread takes an item");
            std::thread::yield_now();
        }
    }

    #[test]
    fn each_thread_has_its_own_workspace() {
        let (mut seen, flags) = ([const { Vec::new() }; 2], [const { AtomicBool::new(false) }; 2]);
        let caller = std::thread::current().id();
        for_each_with(Threads::new(2).unwrap(), seen.iter_mut(), 0..100, |seen, _| {
            let thread = std::thread::current().id();
            seen.push(thread);
            let helper = usize::from(thread != caller);
            flags[helper].store(true, Ordering::SeqCst);
            wait_for_the_other(&flags[1 - helper]);
        });
        let [own, others] = seen;
        assert_eq!(own.len() + others.len(), 100);
        assert!(!own.is_empty() && own.iter().all(|thread| *thread == caller));
        assert!(!others.is_empty() && others.iter().all(|thread| *thread == others[0] && *thread != caller));
    }

    #[test]
    fn no_more_threads_are_woken_than_there_are_items() {
        for (items, workspaces) in [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3)] {
            let (taken, visited) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let each = std::iter::repeat_with(|| taken.fetch_add(1, Ordering::SeqCst)).take(3);
            let caller = std::thread::current().id();
            for_each_with(Threads::new(3).unwrap(), each, 0..items, |_, _| {
                visited.fetch_add(1, Ordering::SeqCst);
                assert!(items > 1 || std::thread::current().id() == caller);
            });
            assert_eq!((taken.into_inner(), visited.into_inner()), (workspaces, items), "{items} items");
        }
    }

    #[test]
    fn calls_do_not_wait_for_work_in_the_global_pool() {
        let (done, waiting) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut sum = 0;
        rayon::in_place_scope(|scope| {
            for _ in 0..4 * rayon::current_num_threads() {
                scope.spawn(|_| {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    let began = Instant::now();
                    while !done.load(Ordering::SeqCst) {
                        assert!(began.elapsed() < Duration::from_secs(60), "the call waits for the pool");
                        std::thread::yield_now();
                    }
                });
            }
            while waiting.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let count = AtomicUsize::new(0);
            for_each(Threads::new(3).unwrap(), 1..100, |item| {
                count.fetch_add(item, Ordering::SeqCst);
            });
            sum = count.into_inner();
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(sum, 4950);
    }

    #[test]
    fn a_panic_in_another_thread_reaches_the_caller() {
        let (caller, helped) = (std::thread::current().id(), AtomicBool::new(false));
        let caught = std::panic::catch_unwind(|| {
            for_each(Threads::new(2).unwrap(), 0..100, |_| {
                if std::thread::current().id() == caller {
                    return wait_for_the_other(&helped);
                }
                helped.store(true, Ordering::SeqCst);
                panic!("in another thread");
            });
        });
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"in another thread"));
        for_each(Threads::new(2).unwrap(), 0..100, |_| ());
    }

    #[test]
    fn no_threads_and_absurdly_many_are_refused() {
        assert!(Threads::new(0).is_err());
        assert!(Threads::new(100_000).is_err());
    }
}
