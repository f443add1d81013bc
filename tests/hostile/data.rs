//! Files of data: IDX, CIFAR-10, compressed ones.

use super::*;

#[test]
fn idx_files_cut_off_or_changed_are_refused() {
    let _alone = alone();
    let images = idx::encode(&[5, 3, 2], &(0..30).collect::<Vec<u8>>()).unwrap();
    let labels = idx::encode(&[5], &[0, 9, 3, 4, 9]).unwrap();
    let open = |images: &[u8], labels: &[u8], what: &str| {
        frugal(images.len() + labels.len(), what, || {
            Dataset::from_idx_bytes(images.to_vec(), "images", labels.to_vec(), "labels", 10)
        })
    };
    assert_eq!(open(&images, &labels, "whole").unwrap().len(), 5);
    wrong_files(&images, 16).for_each(|(what, wrong)| is_format(open(&wrong, &labels, &what), &what));
    wrong_files(&labels, 8).for_each(|(what, wrong)| is_format(open(&images, &wrong, &what), &what));
    // The same from files, plain and compressed; what was compressed says so itself.
    let folder = tempfile::tempdir().unwrap();
    let (image_path, label_path) = (folder.path().join("images"), folder.path().join("labels"));
    std::fs::write(&label_path, &labels).unwrap();
    for (what, wrong) in wrong_files(&images, 16).step_by(7) {
        for bytes in [&wrong, &compress(&wrong)] {
            std::fs::write(&image_path, bytes).unwrap();
            let size = bytes.len() + wrong.len() + labels.len();
            is_format(frugal(size, &what, || Dataset::from_idx(&image_path, &label_path, 10)), &what);
        }
    }
}

#[test]
fn cifar10_records_cut_off_or_mislabelled_are_refused() {
    let _alone = alone();
    let file: Vec<u8> = (0..2 * cifar::RECORD)
        .map(|at| if at % cifar::RECORD == 0 { (at / cifar::RECORD) as u8 } else { 200 })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("batch.bin");
    let open = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        frugal(bytes.len(), what, || Dataset::from_cifar10(&[&path]))
    };
    assert_eq!(open(&file, "whole").unwrap().len(), 2);
    for length in (0..file.len()).filter(|length| *length != cifar::RECORD) {
        let answer = frugal(length, length, || cifar::records(&file[..length], "file"));
        is_format(answer, &format!("{length} bytes"));
    }
    assert_eq!(open(&file[..cifar::RECORD], "one record").unwrap().len(), 1);
    is_format(open(&file[..cifar::RECORD - 1], "a byte less"), "a byte less");
    // There is no header but the labels: ten values of each are right, and pixels may be anything.
    for record in 0..2 {
        for label in 0..=255 {
            let mut wrong = file.clone();
            wrong[record * cifar::RECORD] = label;
            let (what, answer) = (format!("label {label}"), open(&wrong, "label"));
            if label < 10 { assert_eq!(answer.unwrap().labels()[record], label) } else { is_format(answer, &what) }
        }
    }
}

#[test]
fn compressed_files_cut_off_or_changed_never_give_other_contents() {
    let _alone = alone();
    let plain = idx::encode(&[40, 3, 5], &(0..600).map(|at| (at * 7 % 251) as u8).collect::<Vec<u8>>()).unwrap();
    let file = compress(&plain);
    for (what, wrong) in wrong_files(&file, file.len()) {
        match frugal(plain.len().max(wrong.len()), &what, || gz::decompress_idx(&wrong, "file")) {
            // A few bits mean nothing: the time and system of the header.
            Ok(out) => assert!(out == plain, "{what}"),
            other => is_format(other, &what),
        }
    }
}

#[test]
fn compressed_files_take_no_more_memory_than_their_contents() {
    let _alone = alone();
    // Sizes at which vectors that double hold three times what they need.
    for images in [1, 1000, (1 << 22) / 784 + 1, (1 << 23) / 784 + 1] {
        let plain = idx::encode(&[images, 28, 28], &vec![3; images * 784]).unwrap();
        let file = compress(&plain);
        let out = frugal(plain.len(), images, || gz::decompress_idx(&file, "file")).unwrap();
        assert_eq!(out.len(), plain.len());
        frugal(plain.len(), images, || gz::decompress(&file, usize::MAX, "file")).unwrap();
        // Contents are held once, and those that are wrong not at all.
        frugal(plain.len() / 2, images, || gz::decompress_idx(&file, "file")).unwrap();
        let cut = compress(&plain[..plain.len() - 1]);
        is_format(frugal(0, images, || gz::decompress_idx(&cut, "file")), "a byte less");
        // Nine tenths of what was promised: what is there counts.
        let short = compress(&plain[..plain.len() / 10 * 9]);
        is_format(frugal(plain.len() / 10 * 9, images, || gz::decompress_idx(&short, "file")), "short");
    }
    let bomb = compress(&idx::encode(&[1 << 24], &vec![0; 1 << 24]).unwrap());
    let error = frugal(bomb.len(), "bomb", || gz::decompress(&bomb, 1 << 18, "file"));
    is_format(error, "a bomb");
}

#[test]
fn compressed_files_that_their_headers_rule_out_are_not_taken_into_memory() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, plain: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, compress(plain)).unwrap();
        path
    };
    let values = vec![0; 1 << 24];
    let images = write("images", &idx::encode(&[1 << 12, 64, 64], &values).unwrap());
    let labels = write("labels", &idx::encode(&[1 << 24], &values).unwrap());
    let few = write("few", &idx::encode(&[1 << 12], &values[..1 << 12]).unwrap());
    let wide = write("wide", &idx::encode(&[1 << 11, 8192, 1], &values).unwrap());
    let mut numbers = idx::encode(&[1 << 9, 64, 64, 8], &values).unwrap();
    // The last dimension becomes the size of the type.
    numbers.drain(16..20);
    numbers[2..4].copy_from_slice(&[0x0e, 3]);
    let numbers = write("numbers", &numbers);
    for (images, labels, said) in [
        (&images, &labels, "labels, byte 4: expected 4096 labels"),
        (&labels, &labels, "labels, byte 3: expected images"),
        (&images, &images, "images, byte 3: expected labels"),
        (&wide, &few, "wide, byte 8: expected images of 1 or 3 channels with sides of 1 to 4096"),
        (&numbers, &few, "numbers, byte 2: expected unsigned bytes"),
    ] {
        let size = [images, labels].map(|path| std::fs::metadata(path).unwrap().len() as usize).iter().sum();
        let error = frugal(size, said, || Dataset::from_idx(images, labels, 10)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let set = frugal(values.len(), "whole", || Dataset::from_idx(&images, &few, 10)).unwrap();
    assert_eq!(set.len(), 1 << 12);
}

#[test]
fn files_are_read_into_memory_of_their_own_size() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for size in [0, 1, (1 << 20) - 1, (1 << 22) + 1, (1 << 24) + 1] {
        std::fs::File::create(&path).unwrap().set_len(size).unwrap();
        let bytes = frugal(size as usize / 2, size, || Bytes::read(&path)).unwrap();
        assert_eq!(bytes.len() as u64, size);
        frugal(size as usize / 2, size, || Bytes::open(&path)).unwrap();
    }
}
