use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;

use super::sets::{data_folder_of, locate_in};
use super::*;
use crate::parallel::Threads;
use crate::simd::Isa;

fn context(threads: usize) -> Context {
    Context::on(Isa::Scalar).unwrap().with_threads(Threads::always(threads).unwrap())
}

fn small() -> Dataset {
    Dataset::new((0..=239).collect::<Vec<u8>>(), vec![0, 1, 2, 1, 0], Shape::new(3, 4, 4).unwrap(), 3).unwrap()
}

/// A folder with an MNIST of a few images of 2 x 3.
fn mnist_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("train", 4usize), ("t10k", 3)] {
        let images = idx::encode(&[count, 2, 3], &(0..count as u8 * 6).collect::<Vec<_>>()).unwrap();
        let labels = idx::encode(&[count], &(0..count as u8).collect::<Vec<_>>()).unwrap();
        fs::write(folder.path().join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.path().join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
    folder
}

/// A file of blank records, sparse, so that it occupies nothing.
fn blank_records(path: &Path, count: usize) {
    File::create(path).unwrap().set_len((count * cifar::RECORD) as u64).unwrap();
}

/// A thousand blank CIFAR-10 images in a mapped file that was cut off since; the folder keeps the file.
#[cfg(feature = "systems")]
pub(crate) fn cut_off() -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    blank_records(&path, 1000);
    let set = Dataset::from_cifar10(&[&path]).unwrap();
    assert!(set.parts[0].bytes.is_mapped());
    File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
    (folder, set)
}

#[test]
fn the_embedded_set_has_as_many_of_each_digit_as_it_says() {
    let Split { train, test } = embedded();
    assert_eq!((train.shape(), test.shape()), (Shape::new(1, 28, 28).unwrap(), train.shape()));
    assert_eq!(train.class_counts(), [200; 10]);
    assert_eq!(test.class_counts(), [100; 10]);
    // MNIST's mean pixel is 33.3; its first training labels are 5 0 4 1 9.
    assert_eq!(train.labels()[..5], [5, 0, 4, 1, 9]);
    let mean = train.parts[0].bytes.iter().map(|&b| f64::from(b)).sum::<f64>() / (2000.0 * 784.0);
    assert!((mean - 33.3).abs() < 1.0, "{mean}");
}

#[test]
fn scalings_take_bytes_to_the_range_they_name() {
    let range =
        [(Scaling::UNIT, 0.0, 1.0), (Scaling::SIGNED, -1.0, 1.0), (Scaling::standardised(0.25, 0.5), -0.5, 1.5)];
    for (Scaling { scale, offset }, low, high) in range {
        assert_eq!(offset, low);
        // The factor is rounded.
        assert!((scale.mul_add(255.0, offset) - high).abs() <= f32::EPSILON, "{scale} and {offset}");
    }
}

#[test]
fn gathered_rows_are_the_chosen_images_scaled() {
    let set = small();
    for scaling in [Scaling::UNIT, Scaling::SIGNED, Scaling::standardised(0.1307, 0.3081)] {
        let mut out = Matrix::from_fn(4, 48, |_, _| f32::NAN);
        set.gather(&mut context(1), &[4, 0, 4, 2], scaling, out.view_mut()).unwrap();
        for (row, index) in [4usize, 0, 4, 2].into_iter().enumerate() {
            for (col, &byte) in set.image(index).iter().enumerate() {
                assert_eq!(usize::from(byte), index * 48 + col);
                let exact = f64::from(byte) * f64::from(scaling.scale) + f64::from(scaling.offset);
                assert_eq!(out[(row, col)], exact as f32, "rounded once");
            }
        }
    }
}

#[test]
fn gathering_writes_between_the_gaps_of_strided_rows_only() {
    let set = small();
    let mut values = vec![f32::NAN; 3 * 50];
    let out = MatMut::with_stride(&mut values, 3, 48, 50).unwrap();
    set.gather(&mut context(1), &[1, 2, 3], Scaling::UNIT, out).unwrap();
    for row in values.chunks(50) {
        assert!(row[..48].iter().all(|v| !v.is_nan()) && row[48..].iter().all(|v| v.is_nan()));
    }
}

#[test]
fn bits_do_not_depend_on_the_instruction_set() {
    let set = small();
    let gathered = |isa| {
        let mut out = Matrix::from_fn(5, 48, |_, _| f32::NAN);
        let scaling = Scaling::standardised(0.4914, 0.2470);
        set.gather(&mut Context::on(isa).unwrap(), &[4, 1, 3, 0, 2], scaling, out.view_mut()).unwrap();
        out
    };
    for isa in Isa::available() {
        assert!(gathered(isa) == gathered(Isa::Scalar), "{isa}");
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    // 5000 images of 784 are enough work for threads to share.
    let train = embedded().train;
    let indices: Vec<u32> = (0..5000).map(|i| i * 7 % 2000).collect();
    let stream = Stream::new(1, "augmentation");
    let gathered = |threads| {
        let mut plain = Matrix::zeros(5000, 784);
        train.gather(&mut context(threads), &indices, Scaling::SIGNED, plain.view_mut()).unwrap();
        let mut changed = Matrix::zeros(5000, 784);
        let augmentation = Augmentation { pad: 3, flip: true };
        train
            .gather_augmented(&mut context(threads), &indices, &augmentation, stream, Scaling::UNIT, changed.view_mut())
            .unwrap();
        (plain, changed)
    };
    let one = gathered(1);
    for threads in [2, 3, 7] {
        assert!(gathered(threads) == one, "{threads} threads");
    }
}

#[test]
fn augmented_rows_are_those_of_their_streams() {
    // More rows than one item of work holds; a shift of one leaves most of a 4 x 4 image in view.
    let (set, augmentation) = (small(), Augmentation { pad: 1, flip: true });
    let stream = Stream::new(3, "augmentation");
    let mut out = Matrix::zeros(100, 48);
    let as_is = Scaling { scale: 1.0, offset: 0.0 };
    set.gather_augmented(&mut context(1), &[2; 100], &augmentation, stream, as_is, out.view_mut()).unwrap();
    let mut seen = std::collections::HashSet::new();
    for row in 0..100 {
        let mut expected = [0; 48];
        augmentation.apply(set.image(2), set.shape(), stream.item(row as u64), &mut expected);
        assert_eq!(out.row(row), expected.map(f32::from), "row {row}");
        seen.insert(expected);
    }
    assert!(seen.len() > 12, "{} of 18 variants", seen.len());
}

#[test]
fn images_that_do_not_exist_are_refused() {
    let set = small();
    let mut out = Matrix::zeros(2, 48);
    let error = set.gather(&mut context(1), &[4, 5], Scaling::UNIT, out.view_mut()).unwrap_err();
    assert_eq!(error.to_string(), "indices[1]: expected an image below 5, found 5");
    assert!(set.gather_labels(&[u32::MAX], &mut Vec::new()).is_err());
    assert!(set.subset(&[5]).is_err() && set.subset(&[]).is_err());
}

#[test]
#[should_panic(expected = "2 images of 48 pixels into another shape")]
fn a_batch_of_another_shape_panics() {
    small().gather(&mut context(1), &[0, 1], Scaling::UNIT, Matrix::zeros(2, 47).view_mut()).unwrap();
}

#[test]
fn digests_tell_sets_apart_and_not_how_they_are_stored() {
    let set = small();
    let pixels: Vec<u8> = (0..set.len()).flat_map(|index| set.image(index).to_vec()).collect();
    let of =
        |pixels: &[u8], labels: &[u8]| Dataset::new(pixels.to_vec(), labels.to_vec(), set.shape(), 3).unwrap().digest();
    assert_eq!(of(&pixels, set.labels()), set.digest());
    assert_eq!(set.subset(&[0, 1, 2, 3, 4]).unwrap().digest(), set.digest());
    let mut seen =
        vec![set.digest(), set.subset(&[0, 1, 2, 3]).unwrap().digest(), set.subset(&[1, 0, 2, 3, 4]).unwrap().digest()];
    for at in [0, 7, 8, 100, 239] {
        for change in [1, 0x80] {
            let mut other = pixels.clone();
            other[at] ^= change;
            seen.push(of(&other, set.labels()));
        }
    }
    seen.push(of(&pixels, &[0, 1, 2, 1, 1]));
    seen.sort_unstable();
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn debug_output_is_the_size_and_not_the_pixels() {
    assert_eq!(format!("{:?}", small()), "5 images of 3 x 4 x 4 in 3 classes");
}

#[test]
fn datasets_that_cannot_be_are_refused() {
    let shape = Shape::new(1, 2, 2).unwrap();
    let new = |pixels, labels: &[u8], classes| Dataset::new(vec![0; pixels], labels.to_vec(), shape, classes);
    assert!(new(8, &[0, 1], 2).is_ok());
    let error = |pixels, labels: &[u8], classes| new(pixels, labels, classes).unwrap_err().to_string();
    assert_eq!(error(7, &[0, 1], 2), "pixels of the images: expected 8 values, found 7");
    assert_eq!(error(8, &[0, 2], 2), "labels, byte 1: expected a label below 2, found 2");
    assert_eq!(error(0, &[], 2), "images: expected 1 to 4294967295, found 0");
    assert_eq!(error(8, &[0, 0], 0), "classes: expected 1 to 256, found 0");
    assert_eq!(error(8, &[0, 0], 257), "classes: expected 1 to 256, found 257");
    for (channels, rows, cols) in [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 1, 0), (1, 4097, 1), (usize::MAX, 1, 1)] {
        assert!(Shape::new(channels, rows, cols).is_err());
    }
}

#[test]
fn mnist_is_read_plain_and_compressed() {
    let folder = mnist_folder();
    let check = || {
        let Split { train, test } = mnist(folder.path()).unwrap();
        assert_eq!((train.len(), test.len(), train.rows(), train.cols(), train.channels()), (4, 3, 2, 3, 1));
        assert_eq!((train.image(3), test.labels()), (&[18, 19, 20, 21, 22, 23][..], &[0, 1, 2][..]));
    };
    check();
    for name in MNIST_FILES {
        let plain = folder.path().join(name);
        let gz = File::create(folder.path().join(format!("{name}.gz"))).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
        encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
        encoder.finish().unwrap();
        fs::remove_file(plain).unwrap();
    }
    check();
    // Compressed under the plain name, as some programs leave it.
    fs::rename(folder.path().join("t10k-labels-idx1-ubyte.gz"), folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    check();
}

#[test]
fn as_many_labels_as_images_or_an_error() {
    for count in [2usize, 3, 5] {
        let folder = mnist_folder();
        let labels = folder.path().join("train-labels-idx1-ubyte");
        fs::write(&labels, idx::encode(&[count], &vec![0; count]).unwrap()).unwrap();
        let error = mnist(folder.path()).unwrap_err().to_string();
        let expected = format!("{}, byte 4: expected 4 labels, one for each image of ", labels.display());
        assert!(error.starts_with(&expected) && error.ends_with(&format!(", found {count}")), "{error}");
    }
}

#[test]
fn test_images_of_another_shape_are_refused() {
    let folder = mnist_folder();
    let images = idx::encode(&[3, 3, 2], &[0; 18]).unwrap();
    fs::write(folder.path().join("t10k-images-idx3-ubyte"), images).unwrap();
    let error = mnist(folder.path()).unwrap_err().to_string();
    assert!(error.contains("expected images of 1 x 2 x 3, as in ") && error.ends_with("found 1 x 3 x 2"), "{error}");
}

#[test]
fn a_label_of_no_class_and_a_missing_file_name_the_file() {
    let folder = mnist_folder();
    let labels = folder.path().join("t10k-labels-idx1-ubyte");
    fs::write(&labels, idx::encode(&[3], &[0, 10, 0]).unwrap()).unwrap();
    let error = mnist(folder.path()).unwrap_err().to_string();
    assert_eq!(error, format!("{}, byte 9: expected a label below 10, found 10", labels.display()));
    fs::remove_file(&labels).unwrap();
    let error = mnist(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: cannot open: ", labels.display())), "{error}");
}

#[test]
fn cifar_images_are_seen_across_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (file, count) in [(0u8, 2usize), (1, 1), (2, 3)] {
        let record = |at: usize| [vec![file; 1], vec![10 * file + at as u8; cifar::PIXELS]].concat();
        let path = folder.path().join(file.to_string());
        fs::write(&path, (0..count).flat_map(record).collect::<Vec<_>>()).unwrap();
        paths.push(path);
    }
    let set = Dataset::from_cifar10(&paths).unwrap();
    assert_eq!((set.channels(), set.rows(), set.cols(), set.classes()), (3, 32, 32, 10));
    assert_eq!(set.labels(), [0, 0, 1, 2, 2, 2]);
    for (index, value) in [0, 1, 10, 20, 21, 22].into_iter().enumerate() {
        assert!(set.image(index).len() == 3072 && set.image(index).iter().all(|&b| b == value), "image {index}");
    }
    assert!(Dataset::from_cifar10(&[] as &[&Path]).is_err());
}

#[test]
fn the_cifar_set_is_mapped_and_complete_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in Set::Cifar10.files() {
        blank_records(&folder.path().join(name), 10_000);
    }
    let split = cifar10(folder.path()).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (50_000, 10_000));
    assert!(split.train.parts.iter().all(|part| part.bytes.is_mapped()));
    drop(split);
    blank_records(&folder.path().join("data_batch_3.bin"), 9_999);
    let error = cifar10(folder.path()).unwrap_err().to_string();
    assert!(error.contains("data_batch_3.bin") && error.ends_with("found 9999"), "{error}");
}

#[test]
fn a_file_cut_off_in_use_is_an_error_at_the_next_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    blank_records(&path, 1000);
    let set = Dataset::from_cifar10(&[&path]).unwrap();
    let mut out = Matrix::zeros(1, 3072);
    set.gather(&mut context(1), &[999], Scaling::UNIT, out.view_mut()).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
    let refused = |error: Error| assert!(error.to_string().contains("cut off while in use"), "{error}");
    refused(set.gather(&mut context(1), &[999], Scaling::UNIT, out.view_mut()).unwrap_err());
    refused(set.to_matrix(&mut context(1), Scaling::UNIT).unwrap_err());
    refused(set.subset(&[999]).unwrap_err());
    refused(set.grayscale().unwrap_err());
    refused(set.check_intact().unwrap_err());
}

#[test]
fn derived_sets_keep_labels_and_change_pixels() {
    let set = small();
    let few = set.subset(&[3, 1]).unwrap();
    assert_eq!((few.labels(), few.image(0), few.classes()), (&[1, 1][..], set.image(3), 3));
    let cropped = set.centre_crop(2, 2).unwrap();
    assert_eq!((cropped.pixels(), cropped.labels()), (12, set.labels()));
    assert_eq!(cropped.image(1)[..4], [48 + 5, 48 + 6, 48 + 9, 48 + 10]);
    assert_eq!(set.centre_crop(4, 4).unwrap().image(3), set.image(3));
    for (rows, cols) in [(5, 4), (4, 6)] {
        let error = set.centre_crop(rows, cols).unwrap_err().to_string();
        assert_eq!(error, format!("centre crop: expected at most the image, 4 x 4, found {rows} x {cols}"));
    }
    assert!(set.centre_crop(0, 4).is_err());
    let grey = set.grayscale().unwrap();
    // Planes are 16 apart: 0.299 R + 0.587 (R + 16) + 0.114 (R + 32) = R + 13.04.
    assert_eq!((grey.channels(), grey.image(2)[3]), (1, 96 + 3 + 13));
    assert_eq!(grey.grayscale().unwrap().image(4), grey.image(4));
    let half = grey.resized(2, 2).unwrap();
    assert_eq!((half.pixels(), half.image(0)[0]), (4, 16), "(13 + 14 + 17 + 18) / 4 = 15.5");
    assert!(grey.resized(5000, 1).is_err());
}

#[test]
fn sets_are_found_where_they_are_and_missed_with_advice() {
    let folder = mnist_folder();
    let default = tempfile::tempdir().unwrap();
    let locate = |given: Option<&Path>| locate_in(Set::Mnist, given, Some(default.path()));
    assert_eq!(locate(Some(folder.path())).unwrap(), folder.path());
    assert_eq!(super::locate(Set::Mnist, Some(folder.path())).unwrap(), folder.path());
    let error = locate(None).unwrap_err();
    assert!(matches!(&error, Error::Missing { searched, .. } if searched == &[default.path().join("mnist")]));
    let error = error.to_string();
    assert!(error.starts_with("the files of mnist (train-images-idx3-ubyte, ...) not found in "), "{error}");
    assert!(error.contains("`neuropil data fetch mnist` downloads them"), "{error}");
    let error = locate(Some(default.path())).unwrap_err().to_string();
    assert!(error.contains(&format!("`neuropil data fetch mnist --into {}`", default.path().display())), "{error}");
    let file = folder.path().join("t10k-labels-idx1-ubyte");
    for error in [locate(Some(&file)), locate_in(Set::Mnist, None, Some(&file))] {
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with(&format!("a folder is expected, and {} is a file", file.display())), "{error}");
    }
    fs::rename(folder.path(), default.path().join("mnist")).unwrap();
    assert_eq!(locate(None).unwrap(), default.path().join("mnist"));
    assert_eq!(locate(Some(default.path())).unwrap(), default.path().join("mnist"));
    fs::remove_file(default.path().join("mnist/t10k-labels-idx1-ubyte")).unwrap();
    let error = locate(None).unwrap_err().to_string();
    let words =
        format!("t10k-labels-idx1-ubyte of mnist, beside the others in {}", default.path().join("mnist").display());
    assert!(error.starts_with(&words), "{error}");
    assert!(locate_in(Set::Cifar10, None, None).unwrap_err().to_string().contains("set NEUROPIL_DATA"));
}

#[test]
fn a_compressed_cifar10_is_the_same_as_a_plain_one() {
    use std::io::Write;

    let (plain, packed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (number, name) in (0u8..).zip(Set::Cifar10.files()) {
        let mut records = vec![number; cifar::RECORD * cifar::RECORDS_PER_FILE];
        records.iter_mut().step_by(cifar::RECORD).zip((0..10).cycle()).for_each(|(label, class)| *label = class);
        fs::write(plain.path().join(name), &records).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&records).unwrap();
        fs::write(packed.path().join(format!("{name}.gz")), encoder.finish().unwrap()).unwrap();
    }
    let [plain, whole] = [&plain, &packed].map(|folder| open(Set::Cifar10, Some(folder.path())).unwrap());
    for (plain, packed) in [(plain.train, whole.train), (plain.test, whole.test)] {
        assert_eq!((plain.len(), plain.digest()), (packed.len(), packed.digest()));
    }
    // One record more than a file of the set has.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![0; cifar::RECORD * (cifar::RECORDS_PER_FILE + 1)]).unwrap();
    fs::write(packed.path().join("test_batch.bin.gz"), encoder.finish().unwrap()).unwrap();
    let error = open(Set::Cifar10, Some(packed.path())).unwrap_err().to_string();
    assert!(error.contains("test_batch.bin.gz") && error.contains("30730000"), "{error}");
}

#[test]
fn the_data_folder_follows_the_variables_in_turn() {
    let folder = |set: &[(&str, &str)]| {
        data_folder_of(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
    };
    let all = [("NEUROPIL_DATA", "/d"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
    assert_eq!(folder(&all).unwrap(), Path::new("/d"));
    assert_eq!(folder(&all[1..]).unwrap(), Path::new("/x/neuropil"));
    assert_eq!(folder(&all[2..]).unwrap(), Path::new("/h/.cache/neuropil"));
    assert_eq!(folder(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]).unwrap(), Path::new("/h/.cache/neuropil"));
    assert_eq!(
        folder(&[("NEUROPIL_DATA", ""), ("XDG_CACHE_HOME", ""), ("HOME", "/h")]).unwrap(),
        Path::new("/h/.cache/neuropil")
    );
    assert_eq!(folder(&[("HOME", "")]), None);
    assert_eq!(folder(&[]), None);
    // And these are those of the process.
    assert_eq!(data_folder(), data_folder_of(|name| std::env::var_os(name).map(PathBuf::from)));
}

#[test]
fn set_names_are_read_as_they_are_written() {
    for &set in Set::ALL {
        assert_eq!(set.to_string().parse::<Set>().unwrap(), set);
    }
    assert_eq!("MNIST".parse::<Set>().unwrap_err().to_string(), "dataset: expected mnist or cifar10, found MNIST");
}

proptest! {
    /// Nothing that comes as bytes makes a parser panic, whatever it is.
    #[test]
    fn arbitrary_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Dataset::from_idx_bytes(bytes.clone(), "images", bytes.clone(), "labels", 10);
        let _ = cifar::records(&bytes, "records");
        let _ = gz::decompress_idx(&bytes, "gz");
    }

    /// The same for bytes that begin as the formats do, so that the later checks are reached.
    #[test]
    fn nearly_right_bytes_are_parsed_or_refused(
        code in 8u8..15, dimensions in prop::collection::vec(0u32..6, 0..6), body in prop::collection::vec(0u8..12, 0..64),
    ) {
        let mut bytes = vec![0, 0, code, dimensions.len() as u8];
        dimensions.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(body);
        let file = Bytes::from(bytes.clone());
        if let Ok(images) = idx::images(&file, "images") {
            prop_assert_eq!(images.pixels().len(), images.count() * images.shape().pixels());
        }
        if let Ok(labels) = idx::labels(&file, 10, "labels") {
            prop_assert!(labels.iter().all(|&label| label < 10));
        }
    }
}
