//! Instead of moving the target: a branch with the tested union, and the texts that a pull request
//! needs, for `gh` or any other tool.

use super::report::counted;
use super::run::Outcome;
use super::{Error, place};
use crate::swarm::{Root, files};
use crate::workspace::Git;
use crate::workspace::merge;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The branch.
    pub branch: String,
    /// The branch that it is for.
    pub target: String,
    /// The title.
    pub title: String,
    /// The directory with `branch`, `target`, `title` and `body.md`, below the root.
    pub files: String,
}

impl Pull {
    /// The command lines that push the branch and open the pull request.
    pub fn commands(&self, root: &Root) -> Vec<String> {
        let body = root.path().join(&self.files).join("body.md");
        vec![
            format!(
                "git push --force-with-lease origin {}",
                quoted(&self.branch)
            ),
            format!(
                "gh pr create --base {} --head {} --title {} --body-file {}",
                quoted(&self.target),
                quoted(&self.branch),
                quoted(&self.title),
                quoted(&body.to_string_lossy())
            ),
        ]
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Puts the branch `merge/TARGET` at `tip` and writes the texts.
pub fn make(root: &Root, git: &Git, outcome: &Outcome, tip: &str) -> Result<Pull, Error> {
    let target = outcome.into.trim_start_matches("refs/heads/").to_owned();
    let branch = format!("merge/{target}");
    let full = format!("refs/heads/{branch}");
    let there = merge::commit_of(git, &full)?;
    let zero = "0".repeat(tip.len());
    let old = there.as_deref().unwrap_or(&zero);
    if !merge::checkouts(git, &full)?.is_empty() {
        return Err(Error::Refused {
            what: format!("{branch} is checked out somewhere"),
            hint: "git worktree list; leave that branch".to_owned(),
        });
    }
    if !merge::move_ref(
        &git.unguarded(),
        &full,
        old,
        tip,
        "swarm-merge: for a pull request",
    )? {
        return Err(Error::Busy {
            what: format!("{branch} is being moved by somebody else"),
        });
    }
    let title = match &*outcome.offered {
        [one] => format!("Merge {}", one.candidate.branch),
        many => format!("Merge {} of the swarm", counted(many.len(), "branch")),
    };
    let mut body = String::new();
    for offered in &outcome.offered {
        let candidate = &offered.candidate;
        body.push_str(&format!("- `{}`", candidate.branch));
        if let Some(agent) = &candidate.agent {
            body.push_str(&format!(" by {agent}"));
        }
        if !candidate.tasks.is_empty() {
            body.push_str(&format!(", tasks {}", candidate.tasks.join(", ")));
        }
        body.push('\n');
    }
    let tree = merge::tree_of(git, tip)?;
    let passed = outcome
        .gates
        .iter()
        .filter(|run| run.tree == tree && run.ended == "0");
    for run in passed {
        body.push_str(&format!(
            "\nPassed `{}` together, as tree {tree}.\n",
            run.gate
        ));
    }
    let name = format!("merge/pull/{}", target.replace('/', "-"));
    let dir = place(root, "pull").join(target.replace('/', "-"));
    root.make_dir(&dir)?;
    for (file, text) in [
        ("branch", &branch),
        ("target", &target),
        ("title", &title),
        ("body.md", &body),
    ] {
        let path = dir.join(file);
        let text = format!("{}\n", text.trim_end());
        files::write_whole(&path, text.as_bytes()).map_err(Error::at(&path))?;
    }
    Ok(Pull {
        branch,
        target,
        title,
        files: name,
    })
}
