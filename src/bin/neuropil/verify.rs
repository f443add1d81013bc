//! `neuropil verify`: every kernel, every instruction set of this CPU, against its reference.

use std::path::Path;

use clap::Args;
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use neuropil::Isa;
use neuropil::kernels::verify::{self, Report};
use serde_json::json;

use crate::failure::Failure;
use crate::output;
use crate::source::{integer, quoted};

/// Arguments of `neuropil verify`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Shapes per kernel, 1 to 100000; of the checks that take large ones alone, one in a hundred, and none below 50
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shapes: u32,
    /// As many shapes as make a hundred thousand cases in all
    #[arg(long, conflicts_with = "shapes")]
    full: bool,
    /// Only this kernel, as the table has it, on the shapes and values that it has among all; may be given several times
    #[arg(long, value_name = "KERNEL")]
    only: Vec<String>,
    /// Seed of the shapes and values, 0 to 2^64 - 1
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = |text: &str| integer(text, u64::MAX))]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Checks all kernels and prints a line for each.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // An instruction set forced by the environment is the only one verified.
    let forced = std::env::var_os("NEUROPIL_SIMD").is_some_and(|name| !name.is_empty());
    let sets: Vec<Isa> = if forced { vec![Isa::from_environment()?] } else { Isa::available().collect() };
    let shapes = if arguments.full { verify::full(sets.len()) } else { arguments.shapes as usize };
    let all: Vec<&str> = verify::kernels().chain(verify::large_kernels()).collect();
    if let Some(unknown) = arguments.only.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(Failure::Usage(format!("--only: expected one of '{}', found '{unknown}'", all.join("', '"))));
    }
    let only: Vec<&str> = arguments.only.iter().map(String::as_str).collect();
    let wanted = if only.is_empty() { all } else { only };
    let mut reports = Vec::new();
    // On a terminal alone.
    let bar = ProgressBar::new(wanted.len() as u64);
    bar.set_style(ProgressStyle::with_template("{pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
    for kernel in &wanted {
        bar.set_message(kernel.to_string());
        reports.extend(verify::of(kernel, &sets, shapes, arguments.seed)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let failed = reports.iter().filter(|report| !report.passed()).count();
    if arguments.json {
        output::json(&json!({ "passed": failed == 0, "kernels": reports.iter().map(as_json).collect::<Vec<_>>() }))?;
    } else {
        output::print(&as_table(&reports))?;
    }
    if failed > 0 {
        let mut which: Vec<&str> =
            reports.iter().filter(|report| !report.passed()).map(|report| report.kernel).collect();
        which.dedup();
        // Some names have spaces.
        let only: String = which.iter().map(|kernel| format!(" --only {}", quoted(Path::new(kernel)))).collect();
        let again = format!("neuropil verify{only} --shapes {shapes} --seed {}", arguments.seed);
        return Err(Failure::Message(format!(
            "{failed} of {} checks failed; `{again}` runs them again",
            reports.len()
        )));
    }
    if !arguments.json {
        let names: Vec<&str> = sets.iter().map(|isa| isa.name()).collect();
        let cases: usize = reports.iter().map(|report| report.shapes).sum();
        let (checks, names) = (reports.len(), names.join(", "));
        let mut text = format!("all {checks} checks passed on {names}: {cases} cases");
        let fewest = verify::FEWEST_WITH_LARGE;
        let left_out = sets.len() * verify::large_kernels().filter(|large| wanted.contains(large)).count();
        if shapes < fewest && left_out > 0 {
            text += &format!("; {left_out} checks of large shapes were left out: they need --shapes {fewest}");
        }
        output::line(&text)?;
    }
    Ok(())
}

fn as_json(report: &Report) -> serde_json::Value {
    json!({
        "kernel": report.kernel,
        "instruction_set": report.isa.name(),
        "shapes": report.shapes,
        "worst_error": report.worst,
        "worst_shape": report.worst_shape,
        "equals_scalar": report.equals_scalar,
        "passed": report.passed(),
    })
}

/// One line for each kernel: all sets together, as they give the same bits where nothing is wrong.
fn as_table(reports: &[Report]) -> String {
    let mut table = Table::new();
    table.set_header(["kernel", "shapes", "worst error / bound", "bits = scalar", ""]);
    for kernel in reports.chunk_by(|a, b| a.kernel == b.kernel) {
        // A NaN stays.
        let worst = kernel.iter().map(|report| report.worst).max_by(f64::total_cmp).unwrap_or(0.0);
        let differ: Vec<&str> = kernel.iter().filter(|report| !report.equals_scalar).map(|r| r.isa.name()).collect();
        let failed: Vec<String> = kernel
            .iter()
            .filter(|report| !report.passed())
            .map(|report| format!("FAILED on {} at {}", report.isa, report.worst_shape))
            .collect();
        table.add_row([
            kernel[0].kernel.to_owned(),
            kernel[0].shapes.to_string(),
            format!("{worst:.3}"),
            if differ.is_empty() { "yes".to_owned() } else { format!("NOT on {}", differ.join(", ")) },
            if failed.is_empty() { "ok".to_owned() } else { failed.join("\n") },
        ]);
    }
    output::table(table, [1, 2])
}
