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
    /// Shapes per kernel, 1 to 100000; of the checks that take large ones alone, one in a hundred, and none below 50
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shapes: u32,
    /// As many shapes as make a hundred thousand cases in all
    #[arg(long, conflicts_with = "shapes")]
    full: bool,
    /// Seed of the shapes and values
    #[arg(long, default_value_t = 0)]
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
    let reports = verify::run(&sets, shapes, arguments.seed)?;
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
        let cases: usize = reports.iter().map(|report| report.shapes).sum();
        let (checks, names) = (reports.len(), names.join(", "));
        let mut text = format!("all {checks} checks passed on {names}: {cases} cases");
        let fewest = verify::FEWEST_WITH_LARGE;
        if shapes < fewest {
            let left_out = sets.len() * verify::large_kernels().count();
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
    table.load_style(presets::NOTHING);
    table.set_header(["kernel", "shapes", "worst error / bound", "bits = scalar", ""]);
    for kernel in reports.chunk_by(|a, b| a.kernel == b.kernel) {
        let worst = kernel.iter().map(|report| report.worst).fold(0.0, f64::max);
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
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
