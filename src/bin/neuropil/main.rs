//! The command line of neuropil.

mod data;
mod defaults;
mod failure;
mod fetch;
mod figures;
mod info;
mod interrupt;
mod output;
mod progress;
mod report;
mod reproduce;
mod source;
mod test;
mod train;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::failure::Failure;

/// Learning without backpropagation: trains the networks, reproduces the papers, verifies the kernels.
#[derive(Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "NEUROPIL_SIMD=scalar|portable|avx2|avx512|neon forces an instruction set.\n\
                  NEUROPIL_DATA=DIR names the folder of the data sets, instead of the user's cache.\n\
                  Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train the networks of a paper and print the results beside the paper's
    Reproduce(reproduce::Arguments),
    /// Train one network from a configuration file, or continue from a saved state
    Train(train::Arguments),
    /// Classify images with a saved network: accuracy, and which classes were taken for which
    Test(test::Arguments),
    /// Check every kernel on every instruction set of this CPU against its reference
    Verify(verify::Arguments),
    /// Show the version, the CPU, its instruction sets and the data sets found
    Info(info::Arguments),
    /// Fetch data sets, say what files are, cut small sets out of full ones
    Data(data::DataArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::try_parse() {
        Ok(arguments) => run(arguments.command),
        Err(error) if error.use_stderr() => error.exit(),
        // Help or version, in colours where a terminal has them.
        Err(text) => output::printed(text.print()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If standard error is gone there is nobody to tell; the exit code still does.
            let _ = writeln!(std::io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Reproduce(arguments) => reproduce::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "neuropil", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
    }
}
