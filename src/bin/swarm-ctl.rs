//! See [`sporekit::cli::swarm_ctl`].
fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::swarm_ctl::Args>()
}
