//! Files from anywhere: cut off at every length, changed in every byte of their headers, made to deceive. What reads them
//! answers with an error that says so, or as documented; it never panics, and never holds more than twice the file's size
//! and a mebibyte. Of a compressed file that is the size of its contents.
#![cfg(feature = "systems")]

mod checkpoints;
mod configurations;
mod data;
mod seeds;

use std::fmt::Debug;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use neuropil::datasets::storage::Bytes;
use neuropil::datasets::{Dataset, Shape, cifar, gz, idx};
use neuropil::systems::baselines::{backprop, krotov_hopfield, softmax};
use neuropil::systems::evolution::{self, dopaminergic};
use neuropil::systems::{LONGEST_CONFIG, Learner, checkpoint, hebbian, hierarchy, organism};
use neuropil::{Context, Error, Result};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory is counted for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs this and checks that it never holds more than twice `size` and a mebibyte.
#[track_caller]
fn frugal<T>(size: usize, what: impl Debug, run: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = run();
    let most = MEMORY.peak_usage().saturating_sub(before);
    assert!(most <= 2 * size + (1 << 20), "{most} bytes of memory for {size}: {what:?}");
    result
}

/// Every beginning of a file, and the file with every other value of each of its first so many bytes.
fn wrong_files(file: &[u8], header: usize) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    let cut = (0..file.len()).map(|length| (format!("{length} of {} bytes", file.len()), file[..length].to_vec()));
    let flipped = (0..header).flat_map(move |at| {
        (1..=255).map(move |change| {
            let mut wrong = file.to_vec();
            wrong[at] ^= change;
            (format!("byte {at} ^ {change}"), wrong)
        })
    });
    cut.chain(flipped)
}

#[track_caller]
fn is_format<T: Debug>(answer: Result<T>, what: &str) {
    match answer {
        Err(Error::Format { origin, expected, found, .. }) => {
            assert!(!origin.is_empty() && !expected.is_empty() && !found.is_empty(), "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
