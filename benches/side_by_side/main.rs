//! Our half of a side-by-side measurement: a process that times one call whenever it is asked to.
//!
//! `benches/peers/compare.py` runs it, alternating with the peers in one run. It reads commands from standard input:
//! `prepare OP key=value ... [from=DIR]` sets up the inputs, random or those of a directory, calls once, and answers with the
//! instruction set; `answer FILE` writes what that call returned; `round` times calls for some 20 ms and answers with the mean
//! milliseconds per call. Without input it checks that every operation can be prepared and run once.

#![allow(unreachable_pub, reason = "a program, not a library")]

mod inputs;
mod operations;

use std::io::{BufRead, Write as _};
use std::time::{Duration, Instant};

use inputs::Inputs;
use neuropil::{Context, Threads};
use operations::Prepared;

fn milliseconds(operation: &mut Prepared) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    while calls == 0 || start.elapsed() < Duration::from_millis(20) {
        operation.run();
        calls += 1;
    }
    start.elapsed().as_secs_f64() * 1e3 / f64::from(calls)
}

/// `prepare`, without its first word.
fn prepare(mut words: std::str::SplitWhitespace<'_>) -> Result<(Prepared, String), String> {
    let operation = words.next().unwrap_or_default();
    let inputs = Inputs::parse(words)?;
    let threads = Threads::new(inputs.get("threads", 1)).map_err(|error| error.to_string())?;
    let context = Context::new().map_err(|error| error.to_string())?.with_threads(threads);
    let ready = format!("ready {}", context.isa());
    let mut prepared =
        operations::prepare(operation, &inputs, context).ok_or_else(|| format!("no operation '{operation}'"))?;
    prepared.run();
    Ok((prepared, ready))
}

fn serve(line: &str, current: &mut Option<Prepared>) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let command = words.next().unwrap_or_default();
    if command == "prepare" {
        // What is there goes first: two sets of inputs may not fit.
        *current = None;
        let (prepared, ready) = prepare(words)?;
        *current = Some(prepared);
        return Ok(ready);
    }
    let Some(prepared) = current else { return Err("nothing is prepared".into()) };
    match (command, words.next()) {
        ("round", None) => Ok(milliseconds(prepared).to_string()),
        ("answer", Some(path)) => {
            let bytes: Vec<u8> = prepared.answer().iter().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(path, bytes).map_err(|error| format!("{path}: {error}"))?;
            Ok("written".into())
        }
        _ => Err(format!("expected 'prepare OP key=number ...', 'answer FILE' or 'round', found '{line}'")),
    }
}

fn main() {
    let mut current = None;
    if !std::env::args().any(|argument| argument == "--serve") {
        for (operation, shape) in operations::QUICK {
            let answer = serve(&format!("prepare {operation} {shape}"), &mut current).expect(operation);
            println!("{operation}: {answer}");
            assert!(milliseconds(current.as_mut().expect("a prepared operation")) > 0.0);
        }
        return;
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        println!("{}", serve(&line, &mut current).unwrap_or_else(|error| format!("error: {error}")));
        if std::io::stdout().flush().is_err() {
            break;
        }
    }
}
