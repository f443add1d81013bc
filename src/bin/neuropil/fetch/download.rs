//! One answer of one mirror, added to a partial file: nothing that it says is believed.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use neuropil::Error;
use neuropil::datasets::gz;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};

use super::{Archive, Trouble, length, say};
use crate::data::beginning;

/// What a download brought.
pub(super) enum Arrived {
    Some,
    /// The server has no more than is here.
    NothingMore,
}

/// Adds to the partial file what it lacks.
pub(super) fn download(
    agent: &ureq::Agent,
    url: &str,
    archive: &Archive<'_>,
    part: &mut File,
    path: &Path,
) -> Result<Arrived, Trouble> {
    let have = length(part, path)?;
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let response = request.call().map_err(|e| Trouble::Mirror(e.to_string()))?;
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let whole = response.status() == StatusCode::OK;
    match response.status() {
        // The whole, asked for or not.
        StatusCode::OK => {}
        StatusCode::PARTIAL_CONTENT if have > 0 => {
            let range = header(CONTENT_RANGE).unwrap_or("nothing");
            let start = range.strip_prefix("bytes ").and_then(|range| range.split_once('-')).map(|(start, _)| start);
            if start != Some(have.to_string().as_str()) {
                return Err(Trouble::Mirror(format!("asked for bytes from {have} on, was sent {range}")));
            }
        }
        // No bytes there: the partial file may be all of it, which unpacking finds out.
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(Arrived::NothingMore),
        status => return Err(Trouble::Mirror(format!("the server answered {status}"))),
    }
    let promised = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let limit = archive.limit();
    let too_much = |bytes: u64| format!("{bytes} bytes or more, where {limit} are the most it can have");
    let kind = header(CONTENT_TYPE).map_or(String::new(), |kind| format!(" of type {kind}"));
    // What the archive has in all, if the server says it.
    let total = promised.map(|promised| if whole { promised } else { promised.saturating_add(have) });
    if let Some(total) = total.filter(|&total| total > limit) {
        // Nothing of it has arrived: what was there before is not to blame.
        return Err(Trouble::Mirror(too_much(total)));
    }
    // One byte above the limit is read, and shows that there are more.
    let most = if whole { limit + 1 } else { (limit + 1).saturating_sub(have) };
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader().take(most);
    let mut first = Vec::new();
    if whole {
        let read = body.by_ref().take(2).read_to_end(&mut first);
        read.map_err(|error| Trouble::Mirror(format!("broke off at once: {error}")))?;
        if !gz::is_gzip(&first) {
            // A page that asks for a password, say. What breaks off now has shown enough.
            let _ = body.by_ref().take(6).read_to_end(&mut first);
            let count = promised.map_or(String::new(), |promised| format!("{promised} "));
            let sent = format!("{count}bytes{kind} that begin with {}", beginning(&first));
            return Err(Trouble::Mirror(format!("sent something other than the archive: {sent}")));
        }
    }
    let mut body = first.as_slice().chain(body);
    if whole {
        // What is here stays, as nobody knows yet how much there will be instead. Whether it fits together is seen in the end.
        let passed = io::copy(&mut body.by_ref().take(have), &mut io::sink());
        let passed = passed.map_err(|error| Trouble::Mirror(format!("broke off before byte {have}: {error}")))?;
        match promised {
            Some(promised) if passed < have.min(promised) => {
                return Err(Trouble::Mirror(format!("broke off after {passed} of {promised} bytes")));
            }
            Some(_) if passed < have => return Ok(Arrived::NothingMore),
            _ => {}
        }
    }
    part.seek(SeekFrom::Start(have)).map_err(|e| Error::io("write", path, e))?;
    let bar = progress(&archive.name, url, have, total);
    let mut buffer = vec![0; 1 << 16];
    let mut received = 0u64;
    let outcome = loop {
        match body.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(count) => {
                part.write_all(&buffer[..count]).map_err(|e| Error::io("write", path, e))?;
                received += count as u64;
                bar.inc(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(Trouble::Mirror(format!("broke off after {received} bytes: {error}"))),
        }
    };
    bar.finish_and_clear();
    if have + received > limit {
        return Err(Trouble::Contents(too_much(have + received)));
    }
    outcome?;
    match total.map(|total| total.saturating_sub(have)) {
        Some(rest) if received < rest => Err(Trouble::Mirror(format!("broke off after {received} of {rest} bytes"))),
        Some(0) if whole && have > 0 => Ok(Arrived::NothingMore),
        _ => Ok(Arrived::Some),
    }
}

/// A bar on a terminal, a line elsewhere.
fn progress(name: &str, url: &str, have: u64, total: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        let from = if have > 0 { format!(", from byte {have}") } else { String::new() };
        let size = total.map_or(String::new(), |total| format!(", {total} bytes"));
        say(&format!("{url}{size}{from}"));
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
        None => (ProgressBar::no_length(), "{msg} {spinner} {bytes} {bytes_per_sec}"),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(name.to_owned()).with_position(have)
}
