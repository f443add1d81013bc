//! Files of data sets: described, cut, fetched.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use neuropil::datasets::{MNIST_FILES, Set, cifar, idx};

use super::{expect, fails, neuropil, run, text};

#[test]
fn a_colour_set_is_cut_with_its_channels_and_never_over_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let (full, small) = (folder.path().join("full"), folder.path().join("small"));
    fs::create_dir(&full).unwrap();
    let labels: Vec<u8> = (0..20).map(|image| image % 10).collect();
    let pixels: Vec<u8> = (0..20 * 3 * 2 * 4).map(|pixel| (pixel % 251) as u8).collect();
    let [images, digits, test_images, test_digits] = MNIST_FILES.map(|name| full.join(name));
    for (path, dimensions, values) in [
        (&images, &[20, 3, 2, 4][..], &pixels),
        (&digits, &[20], &labels),
        (&test_images, &[20, 3, 2, 4], &pixels),
        (&test_digits, &[20], &labels),
    ] {
        fs::write(path, idx::encode(dimensions, values).unwrap()).unwrap();
    }
    let subset = |into: &Path| {
        neuropil(&["data", "subset", "--train", "1", "--test", "2", "--from", text(&full), "--into", text(into)])
            .output()
            .unwrap()
    };
    expect(subset(&small), 0);
    let split = neuropil::datasets::mnist(&small).unwrap();
    assert_eq!((split.train.len(), split.test.len(), split.train.channels()), (10, 20, 3));
    assert_eq!(split.train.image(9), &pixels[9 * 24..10 * 24]);
    let before = fs::read(&images).unwrap();
    // More than there are: by its option, and the folder.
    for (train, test, option) in [("3", "1", "--train"), ("2", "3", "--test")] {
        let words =
            format!("{option}, images of each class in {}: expected at most the 2 of class 0, found 3", text(&full));
        let into = folder.path().join("more");
        let more = ["data", "subset", "--train", train, "--test", test, "--from", text(&full), "--into", text(&into)];
        fails(&more, 1, &[&words]);
        assert!(!into.exists());
    }
    let (_, err) = expect(subset(&folder.path().join("small/../full")), 1);
    assert!(err.contains("--into is the folder of the full set"), "{err}");
    let (_, err) = expect(subset(&small), 1);
    assert!(err.contains("is there already"), "{err}");
    assert_eq!(fs::read(&images).unwrap(), before);
    // A file where a folder belongs, or above it.
    for into in [images.clone(), images.join("deep/down")] {
        let (_, err) = expect(subset(&into), 1);
        let obstacle = format!("{}: cannot create: expected a folder, found a file\n", images.display());
        assert!(err.ends_with(&obstacle), "{err}");
    }
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let (_, err) = expect(subset(&link), 1);
        assert!(err.contains("link: cannot create: expected a folder, found a symbolic link to nothing"), "{err}");
    }
}

#[test]
fn files_are_described_one_by_one_and_by_their_headers_first() {
    let folder = tempfile::tempdir().unwrap();
    let (labels, cut, absent) = (folder.path().join("labels"), folder.path().join("cut"), folder.path().join("absent"));
    fs::write(&labels, idx::encode(&[5], &[3, 0, 3, 9, 0]).unwrap()).unwrap();
    // Cut off to a length that records of CIFAR-10 could have, with labels that could be theirs.
    let images = idx::encode(&[100, 28, 28], &[0; 78_400]).unwrap();
    fs::write(&cut, &images[..2 * cifar::RECORD]).unwrap();
    let (out, err) = run(&["data", "info", text(&absent), text(&cut), text(&labels)], 1);
    assert!(out.starts_with(text(&labels)) && out.contains("classes  0: 2, 3: 2, 9: 1"), "{out}");
    assert!(err.contains("absent: cannot open") && err.contains("2 of 3 files"), "{err}");
    assert!(err.contains("expected 78416 bytes for 100 x 28 x 28 unsigned bytes, found a file of 6146 bytes"), "{err}");
    let (out, err) = run(&["data", "info", "--json", text(&absent), text(&cut), text(&labels)], 1);
    let described: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((described.as_array().unwrap().len(), &described[0]["file"]), (1, &text(&labels).into()), "{out}");
    assert!(err.contains("absent: cannot open") && err.contains("2 of 3 files"), "{err}");
    fails(&["data", "info", text(&cut)], 1, &["found a file of 6146 bytes"]);
    let (out, err) = run(&["data", "info", "--json", text(&cut)], 1);
    assert!(out == "[]\n" && err.contains("found a file of 6146 bytes"), "{out}{err}");
    // Labels in more pieces than one.
    fs::write(&labels, idx::encode(&[200_000], &vec![7; 200_000]).unwrap()).unwrap();
    assert!(run(&["data", "info", text(&labels)], 0).0.contains("classes  7: 200000\n"));
    let records: Vec<u8> = (0..50 * cifar::RECORD).map(|at| if at % cifar::RECORD == 0 { 4 } else { 200 }).collect();
    fs::write(&cut, &records).unwrap();
    assert!(run(&["data", "info", text(&cut)], 0).0.contains("50 records"));
    assert!(run(&["data", "info", text(&cut)], 0).0.contains("classes  4: 50\n"));
    let mut wrong = records;
    wrong[40 * cifar::RECORD] = 11;
    fs::write(&cut, &wrong).unwrap();
    fails(&["data", "info", text(&cut)], 1, &["byte 122920: expected a label below 10, found 11"]);
}

/// A file of a hundred kilobytes that promises as many megabytes and has them: they go by, and are not held.
#[cfg(target_os = "linux")]
#[test]
fn a_large_compressed_file_is_described_in_little_memory() {
    use flate2::write::GzEncoder;
    use std::io::Write;

    const MEBIBYTES: usize = 96;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-images-idx3-ubyte.gz");
    let member = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut header = vec![0, 0, 8, 3];
    [MEBIBYTES as u32, 1 << 10, 1 << 10].iter().for_each(|side| header.extend(side.to_be_bytes()));
    fs::write(&path, [member(&header), member(&vec![0; 1 << 20]).repeat(MEBIBYTES)].concat()).unwrap();
    // The shell limits addresses to as many kibibytes as the contents have.
    let limited = |arguments: &str| {
        let script = format!("ulimit -v {} && exec \"$0\" data {arguments}", MEBIBYTES << 10);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(cargo_bin!("neuropil")).arg(folder.path()).output().unwrap()
    };
    let (out, _) = expect(limited("info \"$1/train-images-idx3-ubyte.gz\""), 0);
    assert!(out.contains("IDX, 96 x 1024 x 1024 unsigned bytes"), "{out}");
    // To be cut it has to be held, as there is a label for each image: an error, and no abort.
    for name in &MNIST_FILES[1..] {
        fs::write(folder.path().join(name), idx::encode(&[MEBIBYTES], &[0; MEBIBYTES]).unwrap()).unwrap();
    }
    let (_, err) = expect(limited("subset --train 1 --test 1 --from \"$1\" --into \"$1/small\""), 1);
    assert!(err.contains("cannot decompress: no memory for its 100663312 bytes"), "{err}");
}

/// Servers of one archive: what answers do to the part of it that an earlier run brought.
#[test]
fn what_has_arrived_outlives_answers_that_are_no_archive() {
    use flate2::write::GzEncoder;
    use std::io::Write;
    use std::net::TcpListener;

    let page = "<html>Please log in</html>";
    let kind = "Content-Type: text/html\r\n";
    let login = format!("HTTP/1.1 200 OK\r\n{kind}Content-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len());
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\nConnection: close\r\n\r\n\u{1f}".to_owned();
    let nothing = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
    let mut archive = GzEncoder::new(Vec::new(), flate2::Compression::default());
    archive.write_all(&idx::encode(&[100], &[3; 100]).unwrap()).unwrap();
    let part = &archive.finish().unwrap()[..20];
    for (answer, words) in [
        (login, "other than the archive: 26 bytes of type text/html that begin with [3c 68 74 6d 6c 3e 50 6c]"),
        (endless, "1000000000000 bytes or more"),
        (nothing, "sent something other than the archive: 0 bytes that begin with []"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("mnist/.train-images-idx3-ubyte.gz.part");
        fs::create_dir(folder.path().join("mnist")).unwrap();
        fs::write(&kept, part).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                while request.next().is_some_and(|line| !line.is_empty()) {}
                // A client that has enough hangs up.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let mut command = neuropil(&["data", "fetch", "mnist", "--mirror", &mirror, "--into", text(folder.path())]);
        for proxy in ["http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        let (_, err) = expect(command.output().unwrap(), 1);
        assert!(err.contains(words) && err.contains("20 bytes of it are kept"), "{err}");
        assert_eq!(err.matches(words).count(), 1, "of one mirror once: {err}");
        assert_eq!(fs::read(&kept).unwrap(), part);
    }
}

/// What would wait for a reader for ever, or lose what it leads to.
#[cfg(unix)]
#[test]
fn fetching_replaces_regular_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("mnist/train-images-idx3-ubyte");
    fs::create_dir(folder.path().join("mnist")).unwrap();
    assert!(Command::new("mkfifo").arg(&place).status().unwrap().success());
    fails(
        &["data", "fetch", "mnist", "--mirror", "http://127.0.0.1:1", "--into", text(folder.path())],
        1,
        &["train-images-idx3-ubyte", "not a regular file"],
    );
}

#[test]
fn missing_data_are_reported_with_the_remedy() {
    fails(&["reproduce"], 1, &["error: ", "neuropil data fetch mnist"]);
    let folder = tempfile::tempdir().unwrap();
    let folder = text(folder.path());
    fails(&["reproduce", "--data", folder], 1, &["error: ", folder]);
    let config = Path::new(folder).join("empty.toml");
    fs::write(&config, "").unwrap();
    fails(&["train", "softmax", "--config", text(&config), "--data", folder], 1, &["error: ", folder]);
    fails(&["train", "softmax", "--config", text(&config), "--data", text(&config)], 1, &["a folder is expected"]);
    fails(
        &["train", "softmax", "--config", text(&config), "--set", "embedded", "--data", folder],
        2,
        &["leave out --data"],
    );
    // Both sets in one folder: neither is chosen in silence.
    for name in [Set::Mnist, Set::Cifar10].iter().flat_map(|set| set.files()) {
        fs::write(Path::new(folder).join(name), "").unwrap();
    }
    let both = ["train", "softmax", "--config", text(&config), "--data", folder];
    fails(&both, 1, &[folder, "--set mnist or --set cifar10"]);
}
