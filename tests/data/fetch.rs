//! Downloads from servers that are slow, break off, lie and err.

use super::*;

mod archives;

/// A small set in MNIST's form, its archives, and a folder for it.
struct Fixture {
    folder: tempfile::TempDir,
    plain: Vec<(String, Vec<u8>)>,
    archives: Vec<(String, Vec<u8>)>,
}

const IMAGES: &str = "train-images-idx3-ubyte.gz";
const PART: &str = ".train-images-idx3-ubyte.gz.part";

impl Fixture {
    fn mnist() -> Self {
        let contents = [
            idx::encode(&[100, 20, 20], &noise(40_000, 1)).unwrap(),
            idx::encode(&[100], &[3; 100]).unwrap(),
            idx::encode(&[10, 20, 20], &noise(4_000, 2)).unwrap(),
            idx::encode(&[10], &[9; 10]).unwrap(),
        ];
        let plain: Vec<_> = datasets::MNIST_FILES.map(str::to_owned).into_iter().zip(contents).collect();
        let archives = plain.iter().map(|(name, bytes)| (format!("{name}.gz"), gzip(bytes))).collect();
        Fixture::new(plain, archives)
    }

    fn cifar10() -> Self {
        let record = |file: usize| [vec![file as u8], noise(cifar::PIXELS, file as u64)].concat();
        let plain: Vec<_> =
            Set::Cifar10.files().into_iter().enumerate().map(|(file, name)| (name.to_owned(), record(file))).collect();
        let archive = tar_gz(&plain);
        Fixture::new(plain, vec![("cifar-10-binary.tar.gz".to_owned(), archive)])
    }

    fn new(plain: Vec<(String, Vec<u8>)>, archives: Vec<(String, Vec<u8>)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let digest = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let digests: String = plain.iter().map(|(name, bytes)| format!("{}  {name}\n", digest(bytes))).collect();
        fs::write(folder.path().join("digests"), digests).unwrap();
        Fixture { folder, plain, archives }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("mnist").join(name)
    }

    fn archive(&self, name: &str) -> Vec<u8> {
        self.archives.iter().find(|(archive, _)| archive == name).unwrap().1.clone()
    }

    /// The outcome of a fetch: its exit code and what it wrote to standard error.
    fn fetch(&self, set: &str, mirrors: &[&Server]) -> (i32, String) {
        let mut command = neuropil();
        command.args(["data", "fetch", set, "--timeout", "2", "--into"]).arg(self.folder.path());
        command.arg("--digests").arg(self.folder.path().join("digests"));
        mirrors.iter().for_each(|server| {
            command.args(["--mirror", &server.url]);
        });
        outcome(command)
    }

    /// Fetches, expects success, and checks that the files are right and nothing else is left.
    fn fetched(&self, set: Set, mirrors: &[&Server]) -> String {
        let (code, text) = self.fetch(set.name(), mirrors);
        assert_eq!(code, 0, "{text}");
        let folder = self.folder.path().join(set.folder());
        for (name, bytes) in &self.plain {
            assert!(fs::read(folder.join(name)).unwrap() == *bytes, "{name}");
        }
        assert_eq!(names(&folder).len(), self.plain.len(), "{:?}", names(&folder));
        text
    }
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn tar_gz(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &bytes[..]).unwrap();
    }
    gzip(&archive.into_inner().unwrap())
}

#[test]
fn a_set_is_fetched_once() {
    let fixture = Fixture::mnist();
    let server = Server::of(&fixture.archives);
    fixture.fetched(Set::Mnist, &[&server]);
    assert_eq!(server.requests().len(), 4);
    let text = fixture.fetched(Set::Mnist, &[&server]);
    assert_eq!(text.matches("already there, verified").count(), 4, "{text}");
    assert_eq!(server.requests().len(), 4, "what is there and right is not asked for");
    // What a download left that was killed once all was in place.
    let left = fixture.path(".train-images-idx3-ubyte.gz.part");
    fs::write(&left, "a part").unwrap();
    fixture.fetched(Set::Mnist, &[&server]);
    assert!(!left.exists() && server.requests().len() == 4);
    let split = datasets::open(Set::Mnist, Some(fixture.folder.path())).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (100, 10));
}

#[test]
fn a_file_that_is_there_and_wrong_is_replaced() {
    let fixture = Fixture::mnist();
    let server = Server::of(&fixture.archives);
    fixture.fetched(Set::Mnist, &[&server]);
    fs::write(fixture.path("t10k-labels-idx1-ubyte"), "wrong").unwrap();
    let text = fixture.fetched(Set::Mnist, &[&server]);
    assert!(text.contains("t10k-labels-idx1-ubyte: there, but its SHA-256 is wrong; it will be replaced"), "{text}");
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn a_slow_server_is_waited_for_while_it_sends() {
    let fixture = Fixture::mnist();
    let archives = fixture.archives.clone();
    // Three and a half seconds for the first archive, where two of silence are too long.
    let server = Server::new(move |request, stream| {
        let bytes = request.among(&archives).unwrap();
        let (header, body) = right(request, bytes);
        stream.write_all(header.as_bytes())?;
        for piece in body.chunks(3000) {
            stream.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(if bytes.len() > 8000 { 250 } else { 0 }));
        }
        Ok(())
    });
    fixture.fetched(Set::Mnist, &[&server]);
    assert_eq!(server.requests().len(), 4, "{:?}", server.requests());
}

#[test]
fn a_server_that_falls_silent_is_left_and_the_next_goes_on_where_it_stopped() {
    let fixture = Fixture::mnist();
    let archive = fixture.archive(IMAGES);
    let silent = Server::new(move |request, stream| {
        let (header, body) = right(request, &archive);
        stream.write_all(header.as_bytes())?;
        // All of it in two goes would be progress: the second finds nothing.
        stream.write_all(if request.from.is_none() { &body[..9_000] } else { &[] })?;
        std::thread::sleep(Duration::from_secs(30));
        Ok(())
    });
    let server = Server::of(&fixture.archives);
    // The silent one has this archive alone; the others are there already.
    for (name, bytes) in &fixture.plain[1..] {
        fs::create_dir_all(fixture.path("")).unwrap();
        fs::write(fixture.path(name), bytes).unwrap();
    }
    fixture.fetched(Set::Mnist, &[&silent, &server]);
    assert_eq!(silent.asked(IMAGES), [None, Some(9_000)]);
    assert_eq!(server.asked(IMAGES), [Some(9_000)]);
}

#[test]
fn a_server_that_breaks_off_again_and_again_is_resumed() {
    let fixture = Fixture::mnist();
    let archives = fixture.archives.clone();
    let server = Server::new(move |request, stream| {
        let (header, body) = right(request, request.among(&archives).unwrap());
        stream.write_all(header.as_bytes())?;
        stream.write_all(&body[..body.len().min(10_000)])
    });
    let text = fixture.fetched(Set::Mnist, &[&server]);
    assert_eq!(server.asked(IMAGES), [None, Some(10_000), Some(20_000), Some(30_000), Some(40_000)]);
    assert!(text.contains("resuming at byte 10000"), "{text}");
}

#[test]
fn a_run_that_failed_is_resumed_by_the_next() {
    let fixture = Fixture::mnist();
    let archive = fixture.archive(IMAGES);
    let broken = Server::new(move |request, stream| {
        let (header, body) = right(request, &archive);
        match request.from {
            None => stream.write_all(header.as_bytes()).and_then(|()| stream.write_all(&body[..12_345])),
            Some(_) => stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        }
    });
    let (code, text) = fixture.fetch("mnist", &[&broken]);
    assert_eq!(code, 1);
    assert!(text.contains("12345 bytes of it are kept, and the same command resumes there"), "{text}");
    assert!(text.contains("the server answered 503"), "{text}");
    assert_eq!(names(&fixture.path("")), [PART]);
    let server = Server::of(&fixture.archives);
    fixture.fetched(Set::Mnist, &[&server]);
    assert_eq!(server.asked(IMAGES), [Some(12_345)]);
}

#[test]
fn a_server_that_ignores_ranges_is_taken_from_where_others_stopped() {
    let fixture = Fixture::mnist();
    let archives = fixture.archives.clone();
    let (first, server) = (
        Server::new({
            let archive = fixture.archive(IMAGES);
            move |request, stream| {
                let (header, body) = right(&Request { from: None, ..request.clone() }, &archive);
                stream.write_all(header.as_bytes())?;
                stream.write_all(&body[..20_000])
            }
        }),
        Server::new(move |request, stream| {
            let bytes = request.among(&archives).unwrap();
            send(stream, &Request { from: None, ..request.clone() }, bytes)
        }),
    );
    for (name, bytes) in &fixture.plain[1..] {
        fs::create_dir_all(fixture.path("")).unwrap();
        fs::write(fixture.path(name), bytes).unwrap();
    }
    fixture.fetched(Set::Mnist, &[&first, &server]);
    assert_eq!(first.asked(IMAGES), [None, Some(20_000)], "breaking off at the same place is no progress");
    assert_eq!(server.asked(IMAGES), [Some(20_000)]);
}

/// A server that answers whatever is asked for with the beginning of a whole file, saying how long it is or not.
fn whole_files(archive: Vec<u8>, sent: usize, promised: bool) -> Server {
    Server::new(move |_, stream| {
        let length = if promised { format!("Content-Length: {}\r\n", archive.len()) } else { String::new() };
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n").as_bytes())?;
        stream.write_all(&archive[..sent.min(archive.len())])
    })
}

#[test]
fn a_server_of_whole_files_that_delivers_less_than_is_here_takes_nothing_away() {
    let fixture = Fixture::mnist();
    let archive = fixture.archive(IMAGES);
    fs::create_dir_all(fixture.path("")).unwrap();
    for (name, bytes) in &fixture.plain[1..] {
        fs::write(fixture.path(name), bytes).unwrap();
    }
    for promised in [true, false] {
        for (sent, of) in [(5000, archive.len()), (12_000, archive.len()), (12_000, 12_000)] {
            fs::write(fixture.path(PART), &archive[..20_000]).unwrap();
            if promised && of < 20_000 {
                // A whole file that is shorter than what is here says that this is wrong.
                continue;
            }
            let less = whole_files(archive[..of].to_vec(), sent, promised);
            let (code, text) = fixture.fetch("mnist", &[&less]);
            assert_eq!(code, 1);
            assert!(text.contains("20000 bytes of it are kept"), "{sent}, {promised}: {text}");
            assert!(fs::read(fixture.path(PART)).unwrap() == archive[..20_000], "{sent}, {promised}");
        }
    }
    // Another goes on from there, and from what a server of whole files adds.
    let more = whole_files(archive.clone(), 30_000, true);
    let server = Server::of(&fixture.archives);
    fixture.fetched(Set::Mnist, &[&more, &server]);
    assert_eq!(server.asked(IMAGES), [Some(30_000)]);
}

#[test]
fn what_does_not_fit_a_server_of_whole_files_gives_way_to_them() {
    let archive = Fixture::mnist().archive(IMAGES);
    let another = gzip(&noise(60_000, 3))[..50_000].to_vec();
    for wrong in [vec![7; 100], vec![7; 60_000], another] {
        let fixture = Fixture::mnist();
        fs::create_dir_all(fixture.path("")).unwrap();
        for (name, bytes) in &fixture.plain[1..] {
            fs::write(fixture.path(name), bytes).unwrap();
        }
        fs::write(fixture.path(PART), &wrong).unwrap();
        let server = whole_files(archive.clone(), archive.len(), true);
        let text = fixture.fetched(Set::Mnist, &[&server]);
        assert!(text.contains("starting again"), "{text}");
        assert_eq!(server.asked(IMAGES), [Some(wrong.len()), None]);
    }
}

#[test]
fn a_partial_file_that_somebody_removed_is_no_failure() {
    let fixture = Fixture::mnist();
    let (archives, part) = (fixture.archives.clone(), fixture.path(PART));
    let server = Server::new(move |request, stream| {
        // Nothing keeps anybody from it where there are no locks, and none keeps a file's name.
        let _ = fs::remove_file(&part);
        send(stream, request, request.among(&archives).unwrap())
    });
    fixture.fetched(Set::Mnist, &[&server]);
}

#[test]
fn a_server_that_sends_another_range_is_left() {
    let fixture = Fixture::mnist();
    fs::create_dir_all(fixture.path("")).unwrap();
    fs::write(fixture.path(PART), &fixture.archive(IMAGES)[..5000]).unwrap();
    let archive = fixture.archive(IMAGES);
    let liar = Server::new(move |_, stream| send(stream, &Request { name: String::new(), from: Some(4000) }, &archive));
    let server = Server::of(&fixture.archives);
    let (code, text) = fixture.fetch("mnist", &[&liar]);
    assert_eq!(code, 1);
    assert!(text.contains("asked for bytes from 5000 on, was sent bytes 4000-"), "{text}");
    fixture.fetched(Set::Mnist, &[&server]);
    assert_eq!(server.asked(IMAGES), [Some(5000)], "what was there is not to blame");
}

#[test]
fn partial_files_that_are_rubbish_or_too_long_are_thrown_away() {
    let archive = Fixture::mnist().archive(IMAGES);
    let rubbish = vec![7; 50_000];
    let longer = [&archive[..], &[0; 100]].concat();
    let beginning_of_another = gzip(&noise(60_000, 3))[..50_000].to_vec();
    let short_rubbish = vec![7; 100];
    for wrong in [rubbish, longer, beginning_of_another, short_rubbish] {
        let fixture = Fixture::mnist();
        fs::create_dir_all(fixture.path("")).unwrap();
        fs::write(fixture.path(PART), &wrong).unwrap();
        let server = Server::of(&fixture.archives);
        let text = fixture.fetched(Set::Mnist, &[&server]);
        assert!(text.contains("starting again"), "{text}");
        assert_eq!(server.asked(IMAGES), [Some(wrong.len()), None]);
    }
}

#[test]
fn a_partial_file_that_is_complete_is_used() {
    let fixture = Fixture::mnist();
    fs::create_dir_all(fixture.path("")).unwrap();
    fs::write(fixture.path(PART), fixture.archive(IMAGES)).unwrap();
    let server = Server::of(&fixture.archives);
    fixture.fetched(Set::Mnist, &[&server]);
    assert_eq!(server.asked(IMAGES), [Some(fixture.archive(IMAGES).len())]);
}

/// The fixture's files from a server that promises another length than it sends.
fn promising(fixture: &Fixture, length: impl Fn(usize) -> String + Send + Sync + 'static) -> Server {
    let archives = fixture.archives.clone();
    Server::new(move |request, stream| {
        let bytes = request.among(&archives).unwrap();
        let (header, body) = right(request, bytes);
        let (right, wrong) = (format!("Length: {}\r", body.len()), format!("Length: {}\r", length(body.len())));
        stream.write_all(header.replace(&right, &wrong).as_bytes())?;
        stream.write_all(body)
    })
}

#[test]
fn a_length_that_promises_too_much_is_not_believed() {
    let fixture = Fixture::mnist();
    let (code, text) = fixture.fetch("mnist", &[&promising(&fixture, |_| "1000000000000".to_owned())]);
    assert_eq!(code, 1);
    assert!(text.contains("1000000000000 bytes or more, where 48088592 are the most it can have"), "{text}");
    assert_eq!(names(&fixture.path("")), [] as [String; 0]);
}

#[test]
fn a_length_beyond_the_end_leaves_the_file_complete() {
    let fixture = Fixture::mnist();
    let server = promising(&fixture, |length| (length + 1000).to_string());
    // It looks as if the connection broke; asked for the rest, the server has none.
    fixture.fetched(Set::Mnist, &[&server]);
    let all = fixture.archive(IMAGES).len();
    assert_eq!(server.asked(IMAGES), [None, Some(all)]);
}

#[test]
fn a_length_short_of_the_end_is_made_up_for() {
    let fixture = Fixture::mnist();
    let server = promising(&fixture, |length| (length - length / 3).to_string());
    fixture.fetched(Set::Mnist, &[&server]);
    assert!(server.asked(IMAGES).len() > 2, "{:?}", server.asked(IMAGES));
}

#[test]
fn a_length_that_is_no_number_is_an_error_or_ignored() {
    for length in ["-1", "many", ""] {
        let fixture = Fixture::mnist();
        let liar = promising(&fixture, move |_| length.to_owned());
        fixture.fetched(Set::Mnist, &[&liar, &Server::of(&fixture.archives)]);
    }
}

#[test]
fn a_body_without_end_is_bounded() {
    let fixture = Fixture::mnist();
    for (name, bytes) in &fixture.plain {
        fs::create_dir_all(fixture.path("")).unwrap();
        fs::write(fixture.path(name), bytes).unwrap();
    }
    fs::remove_file(fixture.path("train-labels-idx1-ubyte")).unwrap();
    let endless = Server::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\x1f\x8b")?;
        loop {
            stream.write_all(&[0x1f; 10_000])?;
        }
    });
    let (code, text) = fixture.fetch("mnist", &[&endless]);
    assert_eq!(code, 1);
    // The labels' 60008 bytes and a mebibyte.
    assert!(text.contains("1108585 bytes or more, where 1108584 are the most it can have"), "{text}");
    assert!(!names(&fixture.path("")).iter().any(|name| name.ends_with(".part")));
}

#[test]
fn a_server_without_the_file_is_left_for_the_next() {
    let fixture = Fixture::mnist();
    let (empty, server) = (Server::of(&[]), Server::of(&fixture.archives));
    fixture.fetched(Set::Mnist, &[&empty, &server]);
    let fixture = Fixture::mnist();
    let nobody = Server { url: "http://127.0.0.1:1/".to_owned(), requests: Arc::default() };
    let (code, text) = fixture.fetch("mnist", &[&nobody, &empty]);
    assert_eq!(code, 1);
    let expected = "error: could not fetch train-images-idx3-ubyte.gz: nothing usable has arrived\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains(&format!("\n  {}/{IMAGES}: the server answered 404 Not Found", empty.url)), "{text}");
    assert!(text.contains(&format!("\n  http://127.0.0.1:1/{IMAGES}: ")), "{text}");
}

#[test]
fn what_is_no_http_is_an_error() {
    let fixture = Fixture::mnist();
    let babble = Server::new(|_, stream| stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n"));
    let (code, text) = fixture.fetch("mnist", &[&babble]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let fixture = Fixture::mnist();
    fs::create_dir_all(fixture.path("")).unwrap();
    let part = File::create(fixture.path(PART)).unwrap();
    part.try_lock().unwrap();
    let server = Server::of(&fixture.archives);
    let (code, text) = fixture.fetch("mnist", &[&server]);
    assert_eq!(code, 1);
    assert!(text.contains("another process is fetching it"), "{text}");
    assert!(server.requests().is_empty());
    drop(part);
    fixture.fetched(Set::Mnist, &[&server]);
}

#[test]
fn a_file_is_no_folder_to_fetch_into() {
    let fixture = Fixture::mnist();
    fs::write(fixture.folder.path().join("mnist"), "").unwrap();
    let (code, text) = fixture.fetch("mnist", &[&Server::of(&fixture.archives)]);
    assert!(code == 1 && text.contains("mnist: cannot create: expected a folder, found a file"), "{text}");
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["data", "fetch", "imagenet"][..],
        &["data", "fetch"],
        &["data", "fetch", "mnist", "--mirror", "ftp://example.org/"],
        &["data", "fetch", "mnist", "--mirror", "not a url"],
        &["data", "fetch", "mnist", "--timeout", "0"],
        &["data", "fetch", "mnist", "--digests", "file"],
        &["data", "info"],
        &["data", "subset", "--train", "0", "--test", "1", "--into", "small"],
        &["data"],
    ] {
        let mut command = neuropil();
        command.args(arguments);
        let (code, text) = outcome(command);
        assert_eq!(code, 2, "{arguments:?}: {text}");
    }
}

#[test]
fn digests_that_are_none_are_refused() {
    let fixture = Fixture::mnist();
    let server = Server::of(&fixture.archives);
    fs::write(fixture.folder.path().join("digests"), "\nabc  train-images-idx3-ubyte\n").unwrap();
    let (code, text) = fixture.fetch("mnist", &[&server]);
    assert!(code == 1 && text.contains("digests, line 2: expected 64 hexadecimal digits and a file name"), "{text}");
    fs::write(fixture.folder.path().join("digests"), "\n".repeat((1 << 16) + 1)).unwrap();
    let (code, text) = fixture.fetch("mnist", &[&server]);
    let said = "digests, byte 65536: expected a list of digests of at most 65536 bytes, found 65537";
    assert!(code == 1 && text.contains(said), "{text}");
    #[cfg(target_os = "linux")]
    {
        let mut command = neuropil();
        command.args(["data", "fetch", "mnist", "--digests", "/dev/zero", "--mirror", &server.url, "--into"]);
        command.arg(fixture.folder.path());
        let (code, text) = outcome(command);
        assert!(code == 1 && text.contains("/dev/zero: cannot open: it is not a regular file"), "{text}");
    }
    fs::write(fixture.folder.path().join("digests"), "").unwrap();
    let (code, text) = fixture.fetch("mnist", &[&server]);
    assert!(code == 1 && text.contains("--digests: no digest of train-images-idx3-ubyte"), "{text}");
}
