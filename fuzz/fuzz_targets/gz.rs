//! Compressed files: as the input has them, and, since a checksum is hard to guess, the input compressed and then damaged.
#![no_main]

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use neuropil::datasets::{gz, idx};
use neuropil_fuzz::frugal;

/// What is in there until it ends or breaks off, at most this many bytes of it.
fn contents(compressed: &[u8], limit: u64) -> usize {
    let mut decoder = MultiGzDecoder::new(compressed).take(limit);
    let (mut buffer, mut count) = ([0; 1 << 12], 0);
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return count,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(_) => return count,
        }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&mode, data)) = data.split_first() else { return };
    let mut file = data.to_vec();
    let whole = mode < 32;
    if mode < 64 {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).expect("memory");
        file = encoder.finish().expect("memory");
        if !whole {
            let at = usize::from(mode) * 7 % file.len();
            file[at] ^= 1 << (mode % 8);
        }
    }
    let size = contents(&file, 1 << 24).max(file.len());
    if let Ok(out) = frugal(size, || gz::decompress(&file, 1 << 16, "fuzz")) {
        assert!(out.len() <= 1 << 16);
        assert!(!whole || out == data);
    }
    match frugal(size, || gz::decompress_idx(&file, "fuzz")) {
        Ok(out) => {
            let header = idx::Header::of_file(&out, "fuzz").expect("what was checked");
            assert!(header.file_length() == out.len() && gz::idx_header(&file, "fuzz").expect("the same") == header);
        }
        Err(error) => assert!(!whole || idx::Header::of_file(data, "fuzz").is_err(), "{error}"),
    }
});
