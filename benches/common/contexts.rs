//! Instruction sets and threads.

use neuropil::{Context, Isa, Threads};

/// Every instruction set of this CPU on one thread, and the best also on two; each with its label.
pub(crate) fn contexts() -> Vec<(String, Context)> {
    let mut contexts: Vec<(String, Context)> =
        Isa::available().map(|isa| (isa.to_string(), Context::on(isa).expect("an available set"))).collect();
    let best = Isa::best();
    let two = Context::on(best).expect("an available set").with_threads(Threads::new(2).expect("two threads"));
    contexts.push((format!("{best}, 2 threads"), two));
    contexts
}
