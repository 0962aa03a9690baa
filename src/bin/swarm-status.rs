//! See [`sporekit::cli::swarm_status`].
fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::swarm_status::Args>()
}
