//! `spore-send`; see `sporekit::cli::spore_send`.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::spore_send::Args>()
}
