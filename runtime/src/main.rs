//! The `quoin` binary: the processor is checked first, then the command line runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(missing) = quoin::processor::check() {
        return quoin::processor::refuse(missing);
    }
    quoin::cli::run()
}
