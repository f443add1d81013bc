//! Gzip-compressed files, as MNIST is published.
//!
//! A few hundred bytes can promise gigabytes. Decompression here never produces more than one byte beyond a limit, and
//! for IDX that limit is what the file's own header says it holds; memory grows with what arrives, not with a promise.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use super::idx;
use crate::error::{Error, Result};

/// Whether these bytes begin as gzip does.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Decompresses at most `limit` bytes. `origin` names the file in errors.
///
/// # Errors
/// [`Error::Format`] if the data are no gzip, truncated, damaged (length and CRC-32 are checked) or followed by anything
/// but gzip, or if they hold more than `limit` bytes.
///
/// ```
/// use neuropil::datasets::gz;
/// let error = gz::decompress(b"not compressed", 100, "example").unwrap_err();
/// assert!(error.to_string().starts_with("example, byte 0: expected gzip data"));
/// ```
pub fn decompress(compressed: &[u8], limit: usize, origin: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut decoder = MultiGzDecoder::new(compressed);
    fill(&mut decoder, &mut out, limit, compressed.len(), origin)?;
    finish(out, limit, origin)
}

/// Decompresses an IDX file, and no more than its header says it holds.
///
/// # Errors
/// [`Error::Format`] as [`decompress`], and if what is inside is not a whole IDX file.
pub fn decompress_idx(compressed: &[u8], origin: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut decoder = MultiGzDecoder::new(compressed);
    fill(&mut decoder, &mut out, idx::LONGEST_HEADER, compressed.len(), origin)?;
    let length = idx::Header::parse(&out, origin)?.file_length();
    if out.len() <= length {
        fill(&mut decoder, &mut out, length, compressed.len(), origin)?;
    }
    idx::Header::of_file(&out, origin)?;
    Ok(out)
}

/// Bytes that are decompressed at once.
const PIECE: usize = 1 << 18;

/// Reads until `out` holds `limit + 1` bytes or the data end. The end is where lengths and checksums are verified.
///
/// In pieces that are joined at the end: memory never holds more than twice what arrived, which a vector that grows does.
fn fill(decoder: &mut impl Read, out: &mut Vec<u8>, limit: usize, compressed: usize, origin: &str) -> Result<()> {
    let mut room = limit.saturating_add(1).saturating_sub(out.len());
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut piece = Vec::with_capacity(room.min(PIECE));
        let mut part = (&mut *decoder).take(room.min(PIECE) as u64);
        part.read_to_end(&mut piece).map_err(|e| {
            let (offset, found) = match e.kind() {
                io::ErrorKind::UnexpectedEof => (compressed as u64, "the end of the compressed data".to_owned()),
                _ => (0, e.to_string()),
            };
            Error::format(origin, offset, "gzip data", found)
        })?;
        if piece.is_empty() {
            break;
        }
        room -= piece.len();
        pieces.push(piece);
    }
    out.reserve_exact(pieces.iter().map(Vec::len).sum());
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    Ok(())
}

fn finish(out: Vec<u8>, limit: usize, origin: &str) -> Result<Vec<u8>> {
    if out.len() > limit {
        let expected = format!("at most {limit} bytes of decompressed data");
        return Err(Error::format(origin, limit as u64, expected, "more"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn image_file() -> Vec<u8> {
        idx::encode(&[4, 3, 5], &(0..60).collect::<Vec<u8>>()).unwrap()
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let file = image_file();
        assert!(is_gzip(&compress(&file)) && !is_gzip(&file) && !is_gzip(&[0x1f]));
        assert_eq!(decompress(&compress(&file), file.len(), "file").unwrap(), file);
        assert_eq!(decompress_idx(&compress(&file), "file").unwrap(), file);
        assert_eq!(decompress(&compress(&[]), 0, "file").unwrap(), b"");
    }

    #[test]
    fn files_shorter_than_the_longest_header_are_read() {
        for len in 1..20 {
            let labels = idx::encode(&[len], &vec![1; len]).unwrap();
            assert_eq!(decompress_idx(&compress(&labels), "file").unwrap(), labels);
        }
    }

    #[test]
    fn one_byte_above_the_limit_is_refused() {
        let error = decompress(&compress(&[7; 1000]), 999, "file").unwrap_err().to_string();
        assert_eq!(error, "file, byte 999: expected at most 999 bytes of decompressed data, found more");
        decompress(&compress(&[7; 1000]), 1000, "file").unwrap();
    }

    #[test]
    fn a_bomb_stops_at_what_its_header_says() {
        let mut file = image_file();
        file.resize(50_000_000, 0);
        let bomb = compress(&file);
        assert!(bomb.len() < 100_000);
        let error = decompress_idx(&bomb, "file").unwrap_err().to_string();
        assert!(error.contains("found a file of 77 bytes"), "one byte above the 76 promised: {error}");
    }

    #[test]
    fn a_header_that_lies_about_gigabytes_costs_what_is_there() {
        let mut file = idx::encode(&[1, 1, 1], &[0]).unwrap();
        file[4..16].copy_from_slice(&[0, 0, 0x20, 0, 0, 0, 4, 0, 0, 0, 4, 0]);
        let error = decompress_idx(&compress(&file), "file").unwrap_err().to_string();
        assert!(error.contains("8589934608 bytes") && error.contains("a file of 17 bytes"), "{error}");
    }

    #[test]
    fn truncated_at_any_length_is_refused() {
        let file = compress(&image_file());
        for len in 0..file.len() {
            let error = decompress_idx(&file[..len], "file").expect_err(&format!("{len} of {} bytes", file.len()));
            let end = format!("file, byte {len}: expected gzip data, found the end of the compressed data");
            assert_eq!(error.to_string(), end);
            if len > 0 {
                decompress(&file[..len], 76, "file").expect_err(&format!("{len} of {} bytes", file.len()));
            }
        }
    }

    #[test]
    fn a_flipped_bit_never_changes_what_comes_out() {
        let plain = image_file();
        let file = compress(&plain);
        for offset in 0..file.len() {
            for bit in 0..8 {
                let mut wrong = file.clone();
                wrong[offset] ^= 1 << bit;
                // A few bits mean nothing: the time and system of the header, the padding of a stored block.
                match decompress_idx(&wrong, "file") {
                    Ok(out) => assert!(out == plain, "byte {offset}, bit {bit}"),
                    Err(error) => assert!(matches!(error, Error::Format { .. }), "{error}"),
                }
            }
        }
    }

    #[test]
    fn rubbish_behind_the_data_is_refused() {
        let mut file = compress(&image_file());
        file.extend(b"rubbish");
        assert!(decompress_idx(&file, "file").is_err());
    }
}
