//! `neuropil info`: what this build is and what it finds on this machine.

use std::path::PathBuf;

use clap::Args;
use neuropil::datasets::{self, Set};
use neuropil::{Isa, Threads};
use serde_json::json;

use crate::failure::Failure;
use crate::output;

/// Arguments of `neuropil info`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints version, CPU, instruction sets, threads and data sets.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let chosen = Isa::from_environment()?;
    let cpu = cpu_model().unwrap_or_else(|| "unknown".to_owned());
    let threads = Threads::available().get();
    let sets: Vec<&str> = Isa::available().map(Isa::name).collect();
    let data: Vec<(Set, Option<PathBuf>)> =
        Set::ALL.iter().copied().map(|set| (set, datasets::locate(set, None).ok())).collect();
    let data_folder = datasets::data_folder();
    let named = std::env::var_os("NEUROPIL_DATA").is_some_and(|name| !name.is_empty());
    if arguments.json {
        // JSON is Unicode, which the name of a folder need not be.
        let folder = |folder: &Option<PathBuf>| folder.as_ref().map(|folder| folder.display().to_string());
        return output::json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "target": target(),
            "cpu": cpu,
            "instruction_sets": sets,
            "instruction_set": chosen.name(),
            "threads": threads,
            "data_folder": folder(&data_folder),
            "data_folder_named_by": named.then_some("NEUROPIL_DATA"),
            "data": data.iter().map(|(set, at)| (set.name().to_owned(), json!(folder(at)))).collect::<serde_json::Map<_, _>>(),
        }));
    }
    let how = if std::env::var_os("NEUROPIL_SIMD").is_some_and(|name| !name.is_empty()) {
        "forced by NEUROPIL_SIMD"
    } else {
        "the best of them"
    };
    let mut text = format!(
        "neuropil {} for {}\nCPU: {cpu}\ninstruction sets: {}\nused: {chosen} ({how})\nthreads: {threads}\n",
        env!("CARGO_PKG_VERSION"),
        target(),
        sets.join(", "),
    );
    text += &match &data_folder {
        Some(folder) if named => format!("data folder: {} (named by NEUROPIL_DATA)\n", folder.display()),
        Some(folder) => format!("data folder: {} (in the user's cache)\n", folder.display()),
        None => "data folder: none\n".to_owned(),
    };
    // Without a data folder it has to be said where to put it, and where it is.
    let (into, found) = match data_folder {
        Some(_) => ("", ""),
        None => (" --into DIR", ", NEUROPIL_DATA=DIR has it found"),
    };
    for (set, folder) in data {
        text += &match folder {
            Some(folder) => format!("{set}: {}\n", folder.display()),
            None => format!("{set}: not found; `neuropil data fetch {set}{into}` downloads it{found}\n"),
        };
    }
    output::print(&text)
}

fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// The CPU's name where the system tells it in a file.
pub(crate) fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
