//! `neuropil data`: downloads, what files are, and subsets.

mod fetch;
mod files;
mod server;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use assert_cmd::Command;
use flate2::Compression;
use flate2::write::GzEncoder;
use neuropil::datasets::{self, Set, cifar, idx};
use neuropil::random::Stream;
use server::*;
use sha2::{Digest, Sha256};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that do not compress, so that archives have a middle to break off in.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut values = vec![0.0; len];
    Stream::new(seed, "noise").uniform(0.0, 256.0, &mut values);
    values.into_iter().map(|value| value as u8).collect()
}

fn neuropil() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neuropil"));
    // Loopback is not to be reached through a proxy, nor the user's data touched.
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("NEUROPIL_DATA").env("XDG_CACHE_HOME", "/nowhere").env("HOME", "/nowhere");
    command.timeout(Duration::from_secs(60));
    command
}

fn outcome(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().expect("an exit code"), String::from_utf8(output.stderr).unwrap())
}
