//! An agent that does what it is told to, for tests and the demo.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::fake_agent::Args>()
}
