//! See [`sporekit::cli::worktree_spawn`].
fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::worktree_spawn::Args>()
}
