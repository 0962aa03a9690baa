//! Run an agent's command on a task and judge what came of it.

fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::agent_run::Args>()
}
