//! `neuropil verify`: every kernel, every instruction set of this CPU, against its reference.

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use neuropil::Isa;
use neuropil::kernels::verify::{self, Report};
use serde_json::json;

use crate::failure::Failure;
use crate::output;

/// Arguments of `neuropil verify`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Shapes per kernel
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shapes: u32,
    /// Seed of the shapes and values
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Checks all kernels and prints one line for each on each instruction set.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // An instruction set forced by the environment is the only one verified.
    let forced = std::env::var_os("NEUROPIL_SIMD").is_some_and(|name| !name.is_empty());
    let sets: Vec<Isa> = if forced { vec![Isa::from_environment()?] } else { Isa::available().collect() };
    let reports = verify::run(&sets, arguments.shapes as usize, arguments.seed)?;
    let failed = reports.iter().filter(|report| !report.passed()).count();
    if arguments.json {
        output::json(&json!({ "passed": failed == 0, "kernels": reports.iter().map(as_json).collect::<Vec<_>>() }))?;
    } else {
        output::print(&as_table(&reports))?;
    }
    if failed > 0 {
        return Err(Failure::Message(format!("{failed} of {} checks failed", reports.len())));
    }
    if !arguments.json {
        let names: Vec<&str> = sets.iter().map(|isa| isa.name()).collect();
        output::line(&format!("all {} checks passed on {}", reports.len(), names.join(", ")))?;
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

fn as_table(reports: &[Report]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["kernel", "set", "shapes", "worst error / bound", "bits = scalar", ""]);
    for report in reports {
        let verdict = if report.passed() { "ok".to_owned() } else { format!("FAILED at {}", report.worst_shape) };
        table.add_row([
            report.kernel.to_owned(),
            report.isa.to_string(),
            report.shapes.to_string(),
            format!("{:.3}", report.worst),
            if report.equals_scalar { "yes" } else { "NO" }.to_owned(),
            verdict,
        ]);
    }
    for column in [2, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
