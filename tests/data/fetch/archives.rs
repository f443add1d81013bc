//! Archives whose contents are wrong, or more than asked for.

use super::*;

#[test]
fn wrong_bytes_never_reach_their_place() {
    let fixture = Fixture::mnist();
    let mut other = fixture.archives.clone();
    other[0].1 = gzip(&idx::encode(&[100, 20, 20], &noise(40_000, 99)).unwrap());
    let liar = Server::of(&other);
    let (code, text) = fixture.fetch("mnist", &[&liar]);
    assert_eq!(code, 1);
    assert!(
        text.contains("train-images-idx3-ubyte has SHA-256 ") && text.contains("nothing usable has arrived"),
        "{text}"
    );
    assert_eq!(names(&fixture.path("")), [] as [String; 0]);
    fixture.fetched(Set::Mnist, &[&liar, &Server::of(&fixture.archives)]);
}

#[test]
fn what_is_no_archive_from_its_first_bytes_on_is_not_kept() {
    let fixture = Fixture::mnist();
    for answer in [&b"abc"[..], b"", &[7; 50_000]] {
        let other =
            Server::new(move |request, stream| send(stream, &Request { from: None, ..request.clone() }, answer));
        let (code, text) = fixture.fetch("mnist", &[&other]);
        assert_eq!(code, 1);
        assert!(text.contains("sent something other than the archive"), "{text}");
        assert!(text.contains("nothing usable has arrived"), "{text}");
        assert_eq!(other.asked(IMAGES), [None]);
        assert_eq!(names(&fixture.path("")), [] as [String; 0]);
    }
}

#[test]
fn flipped_bits_in_the_middle_are_found() {
    let fixture = Fixture::mnist();
    let mut other = fixture.archives.clone();
    let middle = other[0].1.len() / 2;
    other[0].1[middle] ^= 1;
    let (code, text) = fixture.fetch("mnist", &[&Server::of(&other)]);
    assert_eq!(code, 1, "{text}");
    assert_eq!(names(&fixture.path("")), [] as [String; 0]);
}

#[test]
fn an_archive_that_unpacks_to_gigabytes_is_stopped_at_the_files_size() {
    let fixture = Fixture::mnist();
    let mut other = fixture.archives.clone();
    other[1].1 = gzip(&vec![0; 60_009]);
    let (code, text) = fixture.fetch("mnist", &[&Server::of(&other)]);
    assert_eq!(code, 1);
    assert!(text.contains("train-labels-idx1-ubyte has more than its 60008 bytes"), "{text}");
}

#[test]
fn cifar_is_unpacked_from_its_archive() {
    let fixture = Fixture::cifar10();
    fixture.fetched(Set::Cifar10, &[&Server::of(&fixture.archives)]);
}

#[test]
fn an_archive_decides_neither_where_files_go_nor_what_they_are() {
    let mut fixture = Fixture::cifar10();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive.append_link(&mut header, "data_batch_1.bin", "/etc/passwd").unwrap();
    for (name, bytes) in fixture.plain.iter().chain([&("evil".to_owned(), b"evil".to_vec())]) {
        let mut header = tar::Header::new_gnu();
        // A path that the library would refuse to write, straight into the header.
        let path = format!("../../{name}");
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, &bytes[..]).unwrap();
    }
    fixture.archives[0].1 = gzip(&archive.into_inner().unwrap());
    fixture.fetched(Set::Cifar10, &[&Server::of(&fixture.archives)]);
    assert_eq!(names(fixture.folder.path()).len(), 2, "the digests and the set's folder");
}

#[test]
fn an_archive_holds_no_more_beside_its_files_than_texts_need() {
    let mut fixture = Fixture::cifar10();
    let plain = fixture.plain.clone();
    let archive_with = |kind, size| {
        let mut archive = tar::Builder::new(Vec::new());
        let mut append = |kind, name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_path(name).unwrap();
            header.set_entry_type(kind);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            archive.append(&header, bytes).unwrap();
        };
        // A long name, or attributes, of a file that nobody wants.
        append(kind, "long", &vec![b'0'; size]);
        append(tar::EntryType::Regular, "readme.html", b"text");
        plain.iter().for_each(|(name, bytes)| append(tar::EntryType::Regular, name, bytes));
        gzip(&archive.into_inner().unwrap())
    };
    for kind in [tar::EntryType::GNULongName, tar::EntryType::Regular, tar::EntryType::XHeader] {
        fixture.archives[0].1 = archive_with(kind, 1 << 21);
        let (code, text) = fixture.fetch("cifar10", &[&Server::of(&fixture.archives)]);
        assert_eq!(code, 1, "{kind:?}");
        assert!(text.contains("the archive is damaged: more than 1048576 bytes beside its files"), "{kind:?}: {text}");
    }
    fixture.archives[0].1 = archive_with(tar::EntryType::Regular, 1 << 19);
    fixture.fetched(Set::Cifar10, &[&Server::of(&fixture.archives)]);
}

#[test]
fn an_archive_without_one_of_the_files_puts_none_in_place() {
    let mut fixture = Fixture::cifar10();
    fixture.archives[0].1 = tar_gz(&fixture.plain[..5]);
    let (code, text) = fixture.fetch("cifar10", &[&Server::of(&fixture.archives)]);
    assert_eq!(code, 1);
    assert!(text.contains("test_batch.bin is not in the archive"), "{text}");
    assert_eq!(names(&fixture.folder.path().join("cifar-10-batches-bin")), [] as [String; 0]);
}
