//! See [`sporekit::cli::swarm_merge`].
fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::swarm_merge::Args>()
}
