//! A server on loopback that answers as a test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a server is asked: `GET /name`, and from which byte on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) name: String,
    pub(super) from: Option<usize>,
}

impl Request {
    /// The bytes of the file it asks for.
    pub(super) fn among<'a>(&self, files: &'a [(String, Vec<u8>)]) -> Option<&'a [u8]> {
        files.iter().find(|(name, _)| *name == self.name).map(|(_, bytes)| &bytes[..])
    }
}

/// A server on loopback. It lives as long as the test's process, which is what a thread may.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// A server that answers each request, on a connection of its own, as the function does.
    pub(super) fn new(
        answer: impl Fn(&Request, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/some/where", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if let Some(request) = read_request(&stream) {
                        log.lock().unwrap().push(request.clone());
                        // A client that has enough hangs up.
                        let _ = answer(&request, &mut stream);
                    }
                });
            }
        });
        Server { url, requests }
    }

    /// A server of these files that does everything right.
    pub(super) fn of(files: &[(String, Vec<u8>)]) -> Self {
        let files = files.to_vec();
        Server::new(move |request, stream| match request.among(&files) {
            Some(bytes) => send(stream, request, bytes),
            None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        })
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// From which bytes on a file was asked for, in turn.
    pub(super) fn asked(&self, name: &str) -> Vec<Option<usize>> {
        self.requests().into_iter().filter(|request| request.name == name).map(|request| request.from).collect()
    }
}

pub(super) fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let path = first.strip_prefix("GET /some/where/")?.split(' ').next()?;
    let mut from = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = Some(range.trim_end_matches('-').parse().ok()?);
        }
    }
    Some(Request { name: path.to_owned(), from })
}

/// The header of a right answer, and the bytes to follow.
pub(super) fn right<'a>(request: &Request, bytes: &'a [u8]) -> (String, &'a [u8]) {
    let close = "Connection: close\r\n\r\n";
    match request.from {
        Some(from) if from < bytes.len() => {
            let (rest, last, all) = (bytes.len() - from, bytes.len() - 1, bytes.len());
            let range = format!("Content-Range: bytes {from}-{last}/{all}");
            (format!("HTTP/1.1 206 Partial Content\r\n{range}\r\nContent-Length: {rest}\r\n{close}"), &bytes[from..])
        }
        Some(_) => (format!("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n{close}"), &[]),
        None => (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{close}", bytes.len()), bytes),
    }
}

pub(super) fn send(stream: &mut TcpStream, request: &Request, bytes: &[u8]) -> std::io::Result<()> {
    let (header, body) = right(request, bytes);
    stream.write_all(header.as_bytes())?;
    stream.write_all(body)
}
