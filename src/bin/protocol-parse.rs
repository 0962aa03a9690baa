//! `protocol-parse`; see `sporekit::cli::protocol_parse`.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::protocol_parse::Args>()
}
