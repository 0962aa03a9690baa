//! `spore-recv`; see `sporekit::cli::spore_recv`.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::spore_recv::Args>()
}
