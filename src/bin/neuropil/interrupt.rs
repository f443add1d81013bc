//! Ctrl-C: the first asks the work to stop where its state is whole, the second stops the process.
//!
//! A termination signal and a terminal that hangs up count as Ctrl-C. What was ignored when the process began stays so: `nohup`, and shells that
//! run something in the background, mean it. Linux tells what that is; elsewhere nothing does, and all three are listened to.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What shells report for a process that Ctrl-C ended: 128 + SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

/// Signals so soon after the first are the same request: `timeout` signals a process and its group, a terminal that closes hangs up and ends.
const SAME: Duration = Duration::from_secs(1);

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// What a signal means.
#[derive(Debug, PartialEq)]
enum Meaning {
    Stop,
    Same,
    StopAtOnce,
}

/// What a signal at this moment means; `first` is that of the first.
fn meaning(first: &mut Option<Instant>, now: Instant) -> Meaning {
    match *first {
        None => {
            *first = Some(now);
            Meaning::Stop
        }
        Some(first) if now.saturating_duration_since(first) <= SAME => Meaning::Same,
        Some(_) => Meaning::StopAtOnce,
    }
}

/// From here on Ctrl-C (and a termination signal) sets a flag instead of ending the process.
pub(crate) fn listen() -> Result<(), crate::Failure> {
    let mut first = None;
    on_signal(move || match meaning(&mut first, Instant::now()) {
        Meaning::Stop => {
            REQUESTED.store(true, Ordering::Relaxed);
            // The terminal may be gone; that must not keep the work from being saved.
            crate::progress::note("stopping after this step; press Ctrl-C again to stop at once");
        }
        Meaning::Same => {}
        Meaning::StopAtOnce => std::process::exit(EXIT_CODE.into()),
    })
    .map_err(|error| crate::Failure::Message(format!("cannot listen for Ctrl-C: {error}")))
}

/// Calls `answer`, on a thread of its own, for every signal that was not ignored so far.
#[cfg(unix)]
fn on_signal(mut answer: impl FnMut() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let ignored = ignored();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || signals.forever().for_each(|_| answer()))?;
    Ok(())
}

#[cfg(not(unix))]
fn on_signal(answer: impl FnMut() + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(answer)
}

/// The signals that this process ignores, the lowest bit for signal 1; none where the system does not tell.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Whether the work should stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_within_a_second_of_the_first_are_one() {
        let (mut first, start) = (None, Instant::now());
        assert_eq!(meaning(&mut first, start), Meaning::Stop);
        for milliseconds in [0, 3, 999, 1000] {
            assert_eq!(meaning(&mut first, start + Duration::from_millis(milliseconds)), Meaning::Same);
        }
        assert_eq!(meaning(&mut first, start + Duration::from_millis(1001)), Meaning::StopAtOnce);
    }
}
