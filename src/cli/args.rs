//! Arguments that several commands share: the same name means the same everywhere.

use std::path::PathBuf;
use std::time::Duration;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR says otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where the swarm lives.
#[derive(Debug, Clone, clap::Args)]
pub struct RootArgs {
    /// The repository, as if started there
    #[arg(short = 'C', long = "repo", value_name = "DIR")]
    pub repo: Option<PathBuf>,

    /// The swarm's directory (otherwise: `git config spore.root`, else `<repository>.swarm`)
    #[arg(long, value_name = "DIR", env = "SPORE_ROOT", hide_env_values = true)]
    pub root: Option<PathBuf>,
}

/// Who speaks.
#[derive(Debug, Clone, clap::Args)]
pub struct AsArgs {
    /// Who you are, outside an agent's worktree
    #[arg(long = "as", value_name = "NAME")]
    pub as_name: Option<String>,
}

/// A length of time as people write it: `250ms`, `30s`, `5m`, `2h`, `7d`; a bare number is seconds.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(sporekit::cli::args::duration("1.5m"), Ok(Duration::from_secs(90)));
/// ```
pub fn duration(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time: write 250ms, 30s, 5m, 2h or 7d");
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        "w" => 604800.0,
        _ => return Err(wrong()),
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(wrong());
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| wrong())
}
