//! What files are, and subsets of them.

use super::*;

fn info(path: &Path) -> (i32, String) {
    let output = neuropil().args(["data", "info"]).arg(path).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn info_says_what_files_are() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let images = idx::encode(&[2, 3, 4], &noise(24, 1)).unwrap();
    let (code, text) = info(&write("images", &images));
    assert_eq!(code, 0);
    assert!(text.contains("images: IDX, 2 x 3 x 4 unsigned bytes\n  bytes    40\n  SHA-256  "), "{text}");
    let (_, text) = info(&write("labels", &idx::encode(&[5], &[3, 0, 3, 9, 0]).unwrap()));
    assert!(text.contains("IDX, 5 unsigned bytes (labels)") && text.contains("classes  0: 2, 3: 2, 9: 1\n"), "{text}");
    let output = neuropil().args(["data", "info", "--json"]).arg(folder.path().join("labels")).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json[0]["classes"], serde_json::json!({"0": 2, "3": 2, "9": 1}));
    assert!(json[0]["bytes"] == 13 && json[0]["sha256"].as_str().unwrap().len() == 64, "{json}");
    let compressed = gzip(&images);
    let (_, text) = info(&write("images.gz", &compressed));
    assert!(text.contains(&format!("bytes    40, gzip-compressed in {} bytes", compressed.len())), "{text}");
    let records = [vec![7; cifar::RECORD], vec![1; cifar::RECORD]].concat();
    let (_, text) = info(&write("records", &records));
    assert!(text.contains("CIFAR-10 binary, 2 records") && text.contains("classes  1: 1, 7: 1\n"), "{text}");
    for (name, bytes, expected) in [
        ("short", &images[..39], "byte 39: expected 40 bytes for 2 x 3 x 4 unsigned bytes, found a file of 39 bytes"),
        (
            "text",
            b"hello",
            "expected an IDX file, or CIFAR-10 records of 3073 bytes, found 5 bytes that begin with [68",
        ),
        ("empty", b"", "found 0 bytes"),
        (
            "longer.gz",
            &[&compressed[..], b"junk"].concat(),
            "expected more gzip data or the end, found 4 bytes that begin with [6a 75 6e 6b]",
        ),
        ("broken.gz", &compressed[..30], "expected gzip data, found the end of the compressed data"),
        ("labels", &[10; cifar::RECORD][..], "byte 0: expected a label below 10, found 10"),
    ] {
        let (code, text) = info(&write(name, bytes));
        assert!(code == 1 && text.contains(expected), "{name}: {text}");
    }
    let (code, text) = info(&folder.path().join("absent"));
    assert!(code == 1 && text.contains("absent: cannot open"), "{text}");
}

#[test]
fn the_embedded_set_is_its_own_subset_and_its_digests_are_those_of_its_readme() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let small = tempfile::tempdir().unwrap();
    let subset = |train: &str, test: &str| {
        let mut command = neuropil();
        command.args(["data", "subset", "--train", train, "--test", test]);
        command.arg("--from").arg(&data).arg("--into").arg(small.path());
        outcome(command)
    };
    assert_eq!(subset("200", "100").0, 0);
    let mut readme = String::new();
    File::open(data.join("README.md")).unwrap().read_to_string(&mut readme).unwrap();
    for name in datasets::MNIST_FILES {
        let bytes = fs::read(small.path().join(name)).unwrap();
        assert!(bytes == fs::read(data.join(name)).unwrap(), "{name}");
        let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert!(readme.contains(&format!("| `{name}` |")) && readme.contains(&digest), "{name} {digest}");
    }
    // What is there stays.
    let (code, text) = subset("3", "1");
    assert!(code == 1 && text.contains("train-images-idx3-ubyte is there already"), "{text}");
    datasets::MNIST_FILES.iter().for_each(|name| fs::remove_file(small.path().join(name)).unwrap());
    assert_eq!(subset("3", "1").0, 0);
    let split = datasets::open(Set::Mnist, Some(small.path())).unwrap();
    assert_eq!((split.train.class_counts(), split.test.class_counts()), (vec![3; 10], vec![1; 10]));
    datasets::MNIST_FILES.iter().for_each(|name| fs::remove_file(small.path().join(name)).unwrap());
    let (code, text) = subset("201", "1");
    assert!(code == 1 && text.contains("expected at most the 200 of class 0, found 201"), "{text}");
}
