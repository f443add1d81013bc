//! Ctrl-C: the first asks the work to stop where its state is whole, the second stops the process.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// What shells report for a process that Ctrl-C ended: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From here on Ctrl-C (and a termination signal) sets a flag instead of ending the process.
pub(crate) fn listen() -> Result<(), crate::Failure> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(EXIT_CODE.into());
        }
        // The terminal may be gone; that must not keep the work from being saved.
        let _ = writeln!(std::io::stderr(), "stopping after this step; press Ctrl-C again to stop at once");
    })
    .map_err(|error| crate::Failure::Message(format!("cannot listen for Ctrl-C: {error}")))
}

/// Whether the work should stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
