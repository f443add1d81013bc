//! Gzip-compressed files, as MNIST is published.
//!
//! A few hundred bytes can promise gigabytes, and a megabyte can keep such a promise. Decompression here never produces more
//! than one byte beyond a limit, and for IDX that limit is what the file's own header says it holds. It is done twice: first
//! nothing is kept, and only what is whole gets memory, as much as it needs.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

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
/// but gzip, or if they hold more than `limit` bytes; [`Error::Io`] if there is no memory for them.
///
/// ```
/// use neuropil::datasets::gz;
/// let error = gz::decompress(b"not compressed", 100, "example").unwrap_err();
/// assert!(error.to_string().starts_with("example, byte 0: expected gzip data"));
/// ```
pub fn decompress(compressed: &[u8], limit: usize, origin: &str) -> Result<Vec<u8>> {
    let length = for_each_piece(compressed, compressed.len() as u64, limit as u64, origin, |_| ())?;
    again(compressed, length, origin)
}

/// Decompresses an IDX file, and no more than its header says it holds.
///
/// # Errors
/// [`Error::Format`] as [`decompress`], and if what is inside is not a whole IDX file; [`Error::Io`] if there is no memory for it.
pub fn decompress_idx(compressed: &[u8], origin: &str) -> Result<Vec<u8>> {
    let mut decoder = Members::new(compressed, compressed.len() as u64, origin);
    let (header, prefix) = begin_idx(&mut decoder)?;
    let length = header.file_length() as u64;
    let rest = (length + 1).saturating_sub(prefix.len() as u64);
    let rest = io::copy(&mut decoder.take(rest), &mut io::sink());
    let rest = rest.map_err(|error| damaged(error, compressed.len() as u64, origin))?;
    idx::Header::of_length(&prefix, prefix.len() as u64 + rest, origin)?;
    again(compressed, length, origin)
}

/// What an IDX file says of itself at its beginning: nothing else of it is decompressed, nor seen to be there.
///
/// # Errors
/// [`Error::Format`] if that is no gzip, damaged or cut off, or if it holds no header.
///
/// ```
/// # use std::io::Write;
/// # let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
/// # encoder.write_all(&neuropil::datasets::idx::encode(&[2, 3], &[0; 6])?).unwrap();
/// # let compressed = encoder.finish().unwrap();
/// use neuropil::datasets::gz;
/// assert_eq!(gz::idx_header(&compressed, "example")?.dimensions(), [2, 3]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn idx_header(compressed: &[u8], origin: &str) -> Result<idx::Header> {
    Ok(begin_idx(&mut Members::new(compressed, compressed.len() as u64, origin))?.0)
}

/// The header that an IDX file begins with, and the bytes it was in.
fn begin_idx(decoder: &mut Members<'_, &[u8]>) -> Result<(idx::Header, Vec<u8>)> {
    let (length, origin) = (decoder.length, decoder.origin);
    let mut prefix = Vec::with_capacity(idx::LONGEST_HEADER);
    let read = decoder.take(idx::LONGEST_HEADER as u64).read_to_end(&mut prefix);
    read.map_err(|error| damaged(error, length, origin))?;
    Ok((idx::Header::parse(&prefix, origin)?, prefix))
}

/// Decompresses at most `limit` bytes from a file of `length` bytes, hands them over in pieces, and says how many there are. Nothing is kept.
///
/// # Errors
/// [`Error::Format`] as [`decompress`].
pub fn for_each_piece(
    compressed: impl BufRead,
    length: u64,
    limit: u64,
    origin: &str,
    mut each: impl FnMut(&[u8]),
) -> Result<u64> {
    // One byte above the limit is read, and shows that there are more. The end is where lengths and checksums are verified.
    let mut decoder = Members::new(compressed, length, origin).take(limit.saturating_add(1));
    let (mut piece, mut found) = (vec![0; PIECE], 0);
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return Ok(found),
            Ok(count) => {
                found += count as u64;
                if found > limit {
                    let expected = format!("at most {limit} bytes of decompressed data");
                    return Err(Error::format(origin, limit, expected, "more"));
                }
                each(&piece[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(damaged(error, length, origin)),
        }
    }
}

/// Bytes that are decompressed at once.
const PIECE: usize = 1 << 16;

/// Decompresses what was seen to be whole and of this length, into memory of that size: contents are held once, and nothing is held of what
/// turns out wrong.
fn again(compressed: &[u8], length: u64, origin: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if !usize::try_from(length).is_ok_and(|length| out.try_reserve_exact(length).is_ok()) {
        let short = io::Error::new(io::ErrorKind::OutOfMemory, format!("no memory for its {length} bytes"));
        return Err(Error::io("decompress", origin, short));
    }
    // To the end and not only as far as the bytes go: behind them stands their checksum, which a file that changes between the two passes
    // has another one of.
    let mut decoder = Members::new(compressed, compressed.len() as u64, origin).take(length + 1);
    let found = decoder.read_to_end(&mut out).map_err(|error| damaged(error, compressed.len() as u64, origin))? as u64;
    if found != length {
        let expected = format!("{length} bytes of decompressed data, as at first");
        let found = if found > length { "more".to_owned() } else { found.to_string() };
        return Err(Error::format(origin, length, expected, found));
    }
    Ok(out)
}

/// What the members of a file hold, one after the other. Unlike flate2's own decoder of several it says what follows them that is none.
struct Members<'a, R> {
    decoder: Option<GzDecoder<R>>,
    length: u64,
    origin: &'a str,
}

impl<'a, R: BufRead> Members<'a, R> {
    fn new(compressed: R, length: u64, origin: &'a str) -> Self {
        Members { decoder: Some(GzDecoder::new(compressed)), length, origin }
    }
}

impl<R: BufRead> Read for Members<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let behind = decoder.get_mut().fill_buf()?;
            if behind.is_empty() {
                break;
            }
            // A reader may have no more than the first byte yet.
            if !is_gzip(behind) && behind != [0x1f] {
                let beginning: Vec<_> = behind.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                let more = io::copy(decoder.get_mut(), &mut io::sink())?;
                let found = format!("{more} bytes that begin with [{}]", beginning.join(" "));
                let at = self.length.saturating_sub(more);
                return Err(io::Error::other(Error::format(self.origin, at, "more gzip data or the end", found)));
            }
            self.decoder = self.decoder.take().map(|decoder| GzDecoder::new(decoder.into_inner()));
        }
        Ok(0)
    }
}

fn damaged(error: io::Error, length: u64, origin: &str) -> Error {
    let error = match error.downcast() {
        Ok(said) => return said,
        Err(error) => error,
    };
    let (offset, found) = match error.kind() {
        io::ErrorKind::UnexpectedEof => (length, "the end of the compressed data".to_owned()),
        _ => (0, error.to_string()),
    };
    Error::format(origin, offset, "gzip data", found)
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
    fn the_second_pass_sees_a_file_that_changed_after_the_first() {
        let file = image_file();
        let whole = compress(&file);
        assert_eq!(again(&whole, 76, "file").unwrap(), file);
        // The checksum is the first half of the last eight bytes, the length the other.
        for at in whole.len() - 8..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            let error = again(&wrong, 76, "file").unwrap_err().to_string();
            assert!(error.contains("expected gzip data, found"), "byte {at}: {error}");
        }
        for (length, found) in [(75, "more"), (77, "76")] {
            let error = again(&whole, length, "file").unwrap_err().to_string();
            let expected = format!("expected {length} bytes of decompressed data, as at first, found {found}");
            assert!(error.ends_with(&expected), "{error}");
        }
    }

    #[test]
    fn headers_are_seen_whatever_follows_them() {
        let mut file = image_file();
        let header = idx::Header::of_file(&file, "file").unwrap();
        assert_eq!(idx_header(&compress(&file), "file").unwrap(), header);
        file.resize(500_000, 7);
        let cut = &compress(&file)[..300];
        assert_eq!(idx_header(cut, "file").unwrap(), header);
        idx_header(&compress(&file[..15]), "file").expect_err("a byte short of it");
        idx_header(&cut[..12], "file").expect_err("no data");
    }

    #[test]
    fn rubbish_behind_the_data_is_refused() {
        let mut file = compress(&image_file());
        let whole = file.len();
        for (rubbish, found) in [
            (&b"rub"[..], "3 bytes that begin with [72 75 62]"),
            (b"much more rubbish", "17 bytes that begin with [6d 75 63 68 20 6d 6f 72]"),
        ] {
            file.truncate(whole);
            file.extend(rubbish);
            let said = format!("file, byte {whole}: expected more gzip data or the end, found {found}");
            assert_eq!(decompress_idx(&file, "file").unwrap_err().to_string(), said);
            assert_eq!(decompress(&file, 76, "file").unwrap_err().to_string(), said);
        }
    }

    #[test]
    fn members_are_one_file() {
        let file = image_file();
        let (first, second) = file.split_at(30);
        let members = [compress(first), compress(&[]), compress(second)].concat();
        assert_eq!(decompress_idx(&members, "file").unwrap(), file);
        // However little of them a reader has at a time.
        let slow = io::BufReader::with_capacity(1, &members[..]);
        let mut out = Vec::new();
        for_each_piece(slow, members.len() as u64, 76, "file", |piece| out.extend_from_slice(piece)).unwrap();
        assert_eq!(out, file);
    }
}
