//! See [`sporekit::cli::worktree_reap`].
fn main() -> std::process::ExitCode {
    sporekit::cli::main::<sporekit::cli::worktree_reap::Args>()
}
