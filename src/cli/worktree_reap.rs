//! `worktree-reap`: saves everything in a tree, then removes what is finished.

use std::io::Write;

use super::args::RootArgs;
use super::error::{complain, say};
use super::output::shown;
use super::worktree_show::bytes;
use super::worktree_spawn::request;
use super::{Example, Manual, Out, Result, Status, Tool, input};
use crate::swarm::{Config, Journal, Root, root};
use crate::workspace::cache::{self, Cache};
use crate::workspace::life::Processes;
use crate::workspace::list::{self, Facts};
use crate::workspace::reap::{self, Objection, Which};
use crate::workspace::{Tree, restore, settle, spawn};

const MANUAL: Manual = Manual {
    description: "\
`worktree-reap` removes the worktrees of agents that are finished, and loses nothing. First everything
in the tree becomes a commit under `refs/spore/salvage/AGENT/N`: committed, staged, changed and
untracked files, the ignored ones that cannot be built again, and commits that only a reflog remembers;
the same of each submodule, repository and worktree that stands in the tree, with its stashes.
Then the directory goes, git's entry for it, the branch where it is landed, window, temporary files and
claims; a mailbox in which nothing waits goes out of sight, and its agent out of the roster.

It refuses, with status 5 and the flag that allows it, what is alive (a process stands or writes in it,
or its agent holds a task), locked, in the middle of a merge or rebase, not landed, or not committed.
So on anything that is not landed a run without `--force` only shows what would happen.

*Landed* means that the base has the content of the branch: by a merge, or after a squash or rebase,
also when the base went on since. No network is asked.

Killed at any instant, every byte is in the tree or under the ref, and the next command that changes a
worktree completes the removal or leaves the tree where it was.",
    input: "\
The agents are named, chosen by `--done`, `--dead`, `--landed`, or named on standard input, a line each:
a name, or a JSON record with `agent` or `instance_id` as `worktree-spawn` prints them.",
    output: "\
A line for each tree, with tabs between the columns: agent, what became of it (`reaped`, `kept`,
`would-reap` with `--dry-run`), the ref that holds its content or `-`, how many files were not committed.
Why a tree was kept goes to standard error.

With `--json` a record for each: `agent`, `state`, `why` and `flags` (what stands against it, and what
allows it), `saved`, `commit`, `files`, `branch`, `branch_gone`, `landed`, `unread` (messages that wait
in its mailbox), `path`.

With `--cache` a line for each cache: agent, directory, bytes. With `--restore` the branch, its commit,
and the tree or `-`. With `--saved` the refs, their time, and what was on the branch.",
    exit_status: &[
        (1, "`--cache --free`: that much could not be made free."),
        (3, "No agent, or no saved work, of that name; nothing was done."),
        (5, "A tree was kept to protect work or somebody at work; the message names the flag."),
    ],
    environment: &[("SPORE_ROOT", "The swarm's directory, as `--root`.")],
    files: &[
        ("refs/spore/salvage/AGENT/N", "What was saved, one commit each; its message says what its parents are."),
        (".git/spore/reap/", "Removals under way; empty when there are none."),
        ("<repository>.swarm/mail/.left-AGENT", "The mailbox of an agent that left; it comes back with the name."),
    ],
    examples: &[
        Example {
            says: "Work that is not landed is kept, unless told",
            session: r#"
$ git init -q -b main app && cd app && echo /target > .gitignore && git add .gitignore && git commit -qm first
$ worktree-spawn -q kiro-1 kiro-2 kiro-3 > /dev/null
$ cd ../app.swarm/wt/kiro-1 && echo one > work && git add work && git commit -qm work && echo two > notes && cd ../../../app
$ worktree-reap kiro-1 || echo "status $?"
worktree-reap: "kiro-1" is kept: not landed in main; 1 file is not committed
hint: --force
kiro-1	kept	-	1
status 5
$ worktree-reap --force --dry-run kiro-1
kiro-1	would-reap	-	1
$ worktree-reap --force kiro-1
kiro-1	reaped	refs/spore/salvage/kiro-1/1	1
$ git ls-tree --name-only refs/spore/salvage/kiro-1/1
.gitignore
notes
work
$ git branch --list 'swarm/kiro-1'
  swarm/kiro-1
"#,
        },
        Example {
            says: "Saved work comes back as it was",
            session: r#"
$ worktree-reap --saved | cut -f 1,3
refs/spore/salvage/kiro-1/1	swarm/kiro-1
$ worktree-reap --restore kiro-1/1 | cut -f 1
restored/kiro-1/1
$ git -C ../app.swarm/wt/kiro-1 status --short
?? notes
"#,
        },
        Example {
            says: "What is landed goes, also after a squash; the branch goes with it",
            session: r#"
$ (cd ../app.swarm/wt/kiro-2 && echo x > x && git add x && git commit -qm x && echo y > y && git add y && git commit -qm y)
$ git merge --squash swarm/kiro-2 > /dev/null 2>&1 && git commit -qm 'both of kiro-2'
$ worktree-reap --landed --done --dead --json | cut -c1-56
{"v":1,"type":"reap","agent":"kiro-2","state":"reaped","
$ git branch --list 'swarm/kiro-2'
"#,
        },
        Example {
            says: "Somebody is alive there",
            session: r#"
$ (cd ../app.swarm/wt/kiro-3 && exec sleep 100) & sleep 0.3
$ worktree-reap kiro-3 || echo "status $?"
worktree-reap: "kiro-3" is kept: alive: process [..] is in it
hint: --alive
kiro-3	kept	-	0
status 5
$ worktree-reap --alive kiro-3; wait
kiro-3	reaped	refs/spore/salvage/kiro-3/1	0
"#,
        },
        Example {
            says: "Only what can be built again, the longest unused first, until that much is free",
            session: r#"
$ mkdir -p ../app.swarm/wt/kiro-1/target && echo object > ../app.swarm/wt/kiro-1/target/a.o
$ cd .. && worktree-reap --repo app --root ../app.swarm --cache --free 1M
$ worktree-reap -C app --cache | cut -f 1,2
kiro-1	[..]app.swarm/wt/kiro-1/target
"#,
        },
    ],
    see_also: &["worktree-spawn(1)", "swarm-merge(1)", "git-worktree(1)"],
};

/// Save everything in an agent's worktree, then remove it
#[derive(Debug, clap::Parser)]
#[command(name = "worktree-reap", version)]
#[command(
    override_usage = "worktree-reap [OPTIONS] [NAME...]\n       worktree-reap [OPTIONS] --done|--dead|--landed\n       worktree-reap --cache [--free SIZE] [NAME...]\n       worktree-reap --restore REF\n       worktree-reap --saved [NAME...]"
)]
pub struct Args {
    /// The agents
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Those whose tasks are all done
    #[arg(long)]
    done: bool,

    /// Those that lived and are gone: a claim ended without a word, or an hour's silence
    #[arg(long)]
    dead: bool,

    /// Those whose work has landed in its base
    #[arg(long)]
    landed: bool,

    /// Also what is not landed, not committed, locked, or in the middle of a merge
    #[arg(long)]
    force: bool,

    /// Also where somebody is alive: processes get TERM, then KILL after five seconds
    #[arg(long)]
    alive: bool,

    /// Remove only what can be built again: caches such as target, node_modules, .venv
    #[arg(long, conflicts_with_all = ["done", "dead", "landed", "force", "alive"])]
    cache: bool,

    /// With --cache: only until SIZE is free on the disk, such as 50G
    #[arg(long, value_name = "SIZE", requires = "cache", value_parser = size)]
    free: Option<u64>,

    /// Bring saved work back
    #[arg(long, value_name = "REF", conflicts_with_all = ["names", "done", "dead", "landed", "force", "alive", "cache", "saved"])]
    restore: Option<String>,

    /// Show what was saved
    #[arg(long, conflicts_with_all = ["done", "dead", "landed", "force", "alive", "cache"])]
    saved: bool,

    /// Show what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON records
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    root: RootArgs,
}

impl Tool for Args {
    const MANUAL: Manual = MANUAL;

    fn run(self, out: &mut Out) -> Result {
        let root = Root::find(&root::Options {
            start: self.root.repo.clone().unwrap_or_default(),
            root: self.root.root.clone(),
        })?;
        let config = Config::read(&root)?;
        if self.saved {
            return self.show_saved(&root, out);
        }
        if !self.dry_run {
            for settled in settle::settle(&root)? {
                say(&format!("worktree-reap: {settled}\n"));
            }
        }
        if let Some(reference) = &self.restore {
            return self.restore(&root, &config, reference, out);
        }
        let chosen = self.done || self.dead || self.landed;
        if self.cache {
            let trees = input::trees(&root, &self.names)?;
            return self.drop_caches(&root, &config, trees, out);
        }
        let names = match self.names.is_empty() && !chosen {
            true => input::agents("worktree-reap NAME..., --done, --dead or --landed")?,
            false => self.names.clone(),
        };
        let all = Tree::all(&root)?;
        let mut trees = Tree::named(&all, &names)?;
        let named = trees.len();
        if chosen {
            let others = all.into_iter().filter(|tree| !trees.contains(tree));
            trees.extend(others.collect::<Vec<_>>());
        }
        let facts = list::facts(&root, &trees);
        let journal = Journal::read(&root)?;
        let which = Which {
            done: self.done,
            dead: self.dead,
            landed: self.landed,
        };
        let mut status = Status::Done;
        for (place, (tree, facts)) in trees.iter().zip(facts).enumerate() {
            let facts = match facts {
                Ok(facts) => facts,
                Err(error) => {
                    let agent = tree.identity.agent.as_str();
                    let error = anyhow::Error::new(error).context(format!("{agent:?} is kept"));
                    status = status.and(complain("worktree-reap", &error));
                    continue;
                }
            };
            if place >= named && !which.means(tree, &facts, journal.state()) {
                continue;
            }
            let objections = reap::objections(tree, &facts, journal.state());
            match self.one(&root, &config, tree, &facts, objections, out) {
                Ok(one) => status = status.and(one),
                Err(error) => status = status.and(complain("worktree-reap", &error)),
            }
            out.hand_on()?;
        }
        Ok(status)
    }
}

impl Args {
    fn one(
        &self,
        root: &Root,
        config: &Config,
        tree: &Tree,
        facts: &Facts,
        objections: Vec<Objection>,
        out: &mut Out,
    ) -> Result {
        let allowed = |objection: &Objection| match objection.flag() {
            "--alive" => self.alive,
            _ => self.force,
        };
        let standing: Vec<Objection> = objections.into_iter().filter(|o| !allowed(o)).collect();
        let agent = tree.identity.agent.as_str();
        let mut flags: Vec<&str> = standing.iter().map(Objection::flag).collect();
        flags.sort_unstable();
        flags.dedup();
        let why: Vec<String> = standing.iter().map(ToString::to_string).collect();
        let mut reaped = None;
        let mut files = facts.dirty;
        let state = match (standing.is_empty(), self.dry_run) {
            (false, _) => {
                say(&format!(
                    "worktree-reap: {agent:?} is kept: {}\nhint: {}\n",
                    why.join("; "),
                    flags.join(" ")
                ));
                "kept"
            }
            (true, true) => "would-reap",
            (true, false) => {
                let done = reap::reap(root, tree, &config.worktree.keep_ignored, self.alive)?;
                if done.unread > 0 {
                    say(&format!(
                        "worktree-reap: {} messages wait in the mailbox of {agent:?}, which stays\n",
                        done.unread
                    ));
                }
                files = done.saved.files;
                reaped = Some(done);
                "reaped"
            }
        };
        if self.json {
            let record = serde_json::json!({
                "v": 1, "type": "reap", "agent": agent, "state": state, "why": why, "flags": flags,
                "saved": reaped.as_ref().map(|done| &done.saved.reference),
                "commit": reaped.as_ref().map(|done| &done.saved.commit), "files": files,
                "branch": tree.identity.branch, "branch_gone": reaped.as_ref().is_some_and(|done| done.branch_gone),
                "landed": facts.landed, "unread": reaped.as_ref().map(|done| done.unread),
                "path": tree.path.to_string_lossy(),
            });
            writeln!(out, "{record}")?;
        } else {
            let saved = reaped.as_ref().map_or("-", |done| &done.saved.reference);
            writeln!(out, "{agent}\t{state}\t{saved}\t{files}")?;
        }
        Ok(if standing.is_empty() {
            Status::Done
        } else {
            Status::Refused
        })
    }

    fn drop_caches(&self, root: &Root, config: &Config, trees: Vec<Tree>, out: &mut Out) -> Result {
        let processes = Processes::now();
        let mut status = Status::Done;
        let mut found: Vec<Cache> = Vec::new();
        for tree in trees.iter().filter(|tree| tree.path.is_dir()) {
            let pids = processes.inside(&tree.path);
            if pids.is_empty() {
                found.extend(cache::caches(tree, &config.worktree.keep_ignored)?);
            } else {
                let agent = tree.identity.agent.as_str();
                say(&format!(
                    "worktree-reap: the caches of {agent:?} are kept: {}\n",
                    Objection::Alive(pids)
                ));
                status = Status::Refused;
            }
        }
        let mut planned = 0;
        let enough = |planned: u64| {
            let free = cache::free(&root.worktrees());
            self.free
                .is_some_and(|want| free.is_some_and(|free| free.saturating_add(planned) >= want))
        };
        let gone = match self.dry_run {
            false => reap::drop_caches(found, || enough(0))?,
            true => {
                found.sort_by_key(|cache| cache.used);
                let until = found.iter().position(|cache| {
                    let done = enough(planned);
                    planned += cache.bytes;
                    done
                });
                found.truncate(until.unwrap_or(found.len()));
                found
            }
        };
        for cache in &gone {
            let owner = trees.iter().find(|tree| cache.path.starts_with(&tree.path));
            let agent = owner.map_or("", |tree| tree.identity.agent.as_str());
            let path = cache.path.to_string_lossy();
            if self.json {
                let record = serde_json::json!({
                    "v": 1, "type": "cache", "agent": agent, "path": path, "bytes": cache.bytes, "removed": !self.dry_run,
                });
                writeln!(out, "{record}")?;
            } else {
                writeln!(out, "{agent}\t{}\t{}", shown(&path), cache.bytes)?;
            }
        }
        if self.free.is_some() && !self.dry_run && !enough(0) {
            let free = cache::free(&root.worktrees()).unwrap_or_default();
            say(&format!(
                "worktree-reap: only {} are free, and no cache is left\n",
                bytes(free)
            ));
            return Ok(status.and(Status::No));
        }
        Ok(status)
    }

    fn restore(&self, root: &Root, config: &Config, reference: &str, out: &mut Out) -> Result {
        let request = request(config, Vec::new());
        let restored = restore::restore(
            root,
            reference,
            &spawn::Request {
                dry_run: self.dry_run,
                ..request
            },
        )?;
        let path = restored
            .tree
            .as_ref()
            .map(|tree| tree.path.to_string_lossy().into_owned());
        if self.json {
            let record = serde_json::json!({
                "v": 1, "type": "restore", "saved": restored.reference, "branch": restored.branch,
                "commit": restored.commit, "path": path,
            });
            writeln!(out, "{record}")?;
        } else {
            writeln!(
                out,
                "{}\t{}\t{}",
                restored.branch,
                restored.commit,
                path.as_deref().unwrap_or("-")
            )?;
        }
        Ok(Status::Done)
    }

    fn show_saved(&self, root: &Root, out: &mut Out) -> Result {
        for saved in reap::saved(root)? {
            if !self.names.is_empty() && !self.names.contains(&saved.agent) {
                continue;
            }
            if self.json {
                let record = serde_json::json!({
                    "v": 1, "type": "saved", "saved": saved.reference, "agent": saved.agent,
                    "at": saved.time, "branch": saved.branch, "commit": saved.commit,
                });
                writeln!(out, "{record}")?;
            } else {
                writeln!(
                    out,
                    "{}\t{}\t{}",
                    saved.reference,
                    saved.time,
                    shown(&saved.branch)
                )?;
            }
        }
        Ok(Status::Done)
    }
}

/// A size as people write it: `50G`, `500M`, `1.5T`, `4096`; the units are powers of 1024.
fn size(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write 500M, 50G or 1T");
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit
        .trim_end_matches(['b', 'B'])
        .trim_end_matches(['i', 'I']);
    let power = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let size = number * 1024_f64.powi(power);
    match size.is_finite() && size >= 0.0 {
        true => Ok(size as u64),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("50G"), Ok(50 << 30));
        assert_eq!(size("1.5KiB"), Ok(1536));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "G", "5X", "-1", "1G2", "inf"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }
}
