//! Agents that go wrong in every way, and what is lost by it.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::swarm_torture::Args>()
}
