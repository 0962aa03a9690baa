//! `spore-relay`; see `sporekit::cli::spore_relay`.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::spore_relay::Args>()
}
