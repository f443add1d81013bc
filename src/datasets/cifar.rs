//! CIFAR-10 in its binary version: records of one label byte and 3072 pixel bytes, nothing else.
//!
//! A record's pixels are the red, the green and the blue plane, each 32 rows of 32. The set is five training files of
//! 10,000 records and a test file of as many (<https://www.cs.toronto.edu/~kriz/cifar.html>). There is no header, so a
//! file's length and its labels are all that can be checked, and both are.

use crate::error::{Error, Result};

/// Height and width of an image.
pub const SIDE: usize = 32;

/// Red, green, blue.
pub const CHANNELS: usize = 3;

/// Classes, in order of their labels.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Bytes of an image.
pub const PIXELS: usize = CHANNELS * SIDE * SIDE;

/// Bytes of a record: a label and an image.
pub const RECORD: usize = 1 + PIXELS;

/// Records of each of the set's files.
pub const RECORDS_PER_FILE: usize = 10_000;

/// The files of the training set, in order.
pub const TRAIN_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// The file of the test set.
pub const TEST_FILE: &str = "test_batch.bin";

/// Checks a file of records and says how many it holds. `origin` names it in errors.
///
/// # Errors
/// [`Error::Format`] if it is empty, if its length is not a multiple of [`RECORD`] or if a label is not below 10.
pub fn records(file: &[u8], origin: &str) -> Result<usize> {
    let count = file.len() / RECORD;
    if file.is_empty() || !file.len().is_multiple_of(RECORD) {
        let expected = format!("CIFAR-10 records of {RECORD} bytes");
        let found = format!("{count} records and {} bytes", file.len() % RECORD);
        return Err(Error::format(origin, (count * RECORD) as u64, expected, found));
    }
    super::check_labels(file, CLASSES.len(), origin, 0, RECORD)?;
    Ok(count)
}

/// Checks one file of the set: [`RECORDS_PER_FILE`] records.
///
/// # Errors
/// As [`records`], and [`Error::Format`] for any other number of records.
pub fn batch(file: &[u8], origin: &str) -> Result<()> {
    match records(file, origin)? {
        RECORDS_PER_FILE => Ok(()),
        count => {
            let expected = format!("{RECORDS_PER_FILE} CIFAR-10 records");
            Err(Error::format(origin, file.len() as u64, expected, count.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(count: usize) -> Vec<u8> {
        (0..count * RECORD).map(|at| if at % RECORD == 0 { (at / RECORD % 10) as u8 } else { 200 }).collect()
    }

    #[test]
    fn records_are_counted() {
        assert_eq!(records(&file(1), "file").unwrap(), 1);
        assert_eq!(records(&file(12), "file").unwrap(), 12);
        batch(&file(RECORDS_PER_FILE), "file").unwrap();
    }

    #[test]
    fn a_file_of_any_other_length_is_refused() {
        let two = file(2);
        for len in (0..two.len()).filter(|&len| len != RECORD) {
            let error = records(&two[..len], "file").unwrap_err().to_string();
            let whole = len / RECORD;
            let expected = format!("file, byte {}: expected CIFAR-10 records of 3073 bytes", whole * RECORD);
            assert!(error.starts_with(&expected), "{error}");
        }
        let mut long = file(2);
        long.push(0);
        let error = records(&long, "file").unwrap_err().to_string();
        assert!(error.ends_with("found 2 records and 1 bytes"), "{error}");
    }

    #[test]
    fn every_label_out_of_range_is_refused_with_its_place() {
        for label in 10..=255u8 {
            let mut wrong = file(3);
            wrong[2 * RECORD] = label;
            let error = records(&wrong, "file").unwrap_err().to_string();
            assert_eq!(error, format!("file, byte 6146: expected a label below 10, found {label}"));
        }
    }

    #[test]
    fn a_file_of_the_set_cut_off_between_records_is_refused() {
        for count in [1, RECORDS_PER_FILE - 1, RECORDS_PER_FILE + 1] {
            let error = batch(&file(count), "file").unwrap_err().to_string();
            assert!(error.ends_with(&format!("expected 10000 CIFAR-10 records, found {count}")), "{error}");
        }
    }
}
