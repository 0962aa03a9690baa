//! Who does what, in which order.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::swarm_assign::Args>()
}
