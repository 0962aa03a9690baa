//! `protocol-print`; see `sporekit::cli::protocol_print`.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::protocol_print::Args>()
}
