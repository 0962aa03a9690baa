//! Making worktrees: all of them or none.
//!
//! First everything is decided ([`super::plan`]), then written down ([`super::journal`]), then done
//! (files in `contents`); `settle` takes back, or completes, what a killed spawn left.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::base::{self, Base};
use super::fill::in_parallel;
use super::git::Running;
use super::journal::{self, Item, Phase, Record};
use super::plan::{self, Facts, Place, Wanted};
use super::settings::Asked;
use super::tree::Notes;
use super::{Error, Git, Tree, clone, environment, guard, seal, settle};
use crate::spool::Spool;
use crate::swarm::config::{Guard, Include, Isolation, Ports};
use crate::swarm::{Holder, Identity, Journal, Repository, Root, files};
use crate::theme::Scheme;

/// How a set of worktrees is to be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who gets one.
    pub wanted: Vec<Wanted>,
    /// The revision that branches begin at; what the main checkout stands on if not said.
    pub base: Option<String>,
    /// How many commits the base may be behind its upstream.
    pub max_behind: Option<u32>,
    /// The pattern of branch names.
    pub branch: String,
    /// Which ports an agent gets.
    pub ports: Ports,
    /// Ignored files that a tree needs.
    pub include: Vec<Include>,
    /// A command line that must end with 0 in each tree.
    pub setup: Option<String>,
    /// Linked worktrees, or clones.
    pub isolation: Isolation,
    /// What becomes of an agent's git that moves refs of others.
    pub guard: Guard,
    /// Whether the main checkout is sealed.
    pub seal: bool,
    /// Decide only.
    pub dry_run: bool,
}

/// What was made, or would be.
#[derive(Debug, Clone)]
pub struct Spawned {
    /// The commit that all begin at.
    pub base: String,
    /// One for each agent, in the order asked for.
    pub trees: Vec<Tree>,
    /// What an earlier, killed spawn left and was settled first.
    pub settled: Vec<String>,
}

/// Trees that have their names.
struct Begun {
    trees: Vec<Tree>,
    /// git while it makes the branches.
    branches: Option<Running>,
}

/// Where work is done: the repository, its root, git in it.
pub(super) struct Ground<'a> {
    pub(super) root: &'a Root,
    pub(super) repository: &'a Repository,
    pub(super) git: Git,
    pub(super) settings: Asked,
}

/// Makes one worktree, branch and identity for each that is wanted, or none. `progress` hears what
/// goes on.
///
/// # Errors
/// Nothing is left behind by any of them.
pub fn spawn(
    root: &Root,
    request: &Request,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Spawned, Error> {
    let mut ground = Ground::of(root)?;
    let base = Base::resolve(&ground, request)?;
    let lock = journal::admin_lock(&ground.repository.common_dir)?;
    let settled = match request.dry_run {
        true => Vec::new(),
        false => ground.settle()?,
    };
    let mut facts = ground.facts()?;
    facts.avoid_busy(request.ports, request.wanted.len());
    let places = plan::decide(&request.wanted, &request.branch, &root.worktrees(), &facts)?;
    if request.dry_run {
        let trees = places
            .iter()
            .map(|place| ground.tree(place, &base, request, 1));
        return Ok(Spawned {
            trees: trees.collect::<Result<_, _>>()?,
            base: base.oid,
            settled,
        });
    }
    let items = ground.items(&places)?;
    // Both wait for the disk: let them wait together.
    let (dirs, record) = std::thread::scope(|scope| {
        let dirs = scope.spawn(|| root.make_dirs(&[root.worktrees(), root.mail(), root.journal()]));
        let record = ground.record(items, &base);
        (
            dirs.join().expect("making directories does not panic"),
            record,
        )
    });
    let (mut record, life) = record?;
    let made = dirs
        .map_err(Error::from)
        .and_then(|()| ground.prepare(&mut record, request))
        .and_then(|()| ground.admin(&mut record, &places, &base, request, &life))
        .and_then(|begun| {
            drop(lock);
            ground.make(&record, begun, &base, request, progress, &life)
        });
    match made {
        Ok(trees) => {
            settle::finish(root, ground.repository, &record)?;
            Ok(Spawned {
                base: base.oid,
                trees,
                settled,
            })
        }
        Err(error) => {
            progress("taking everything back");
            let _lock = journal::admin_lock(&ground.repository.common_dir)?;
            settle::take_back(ground.repository, &record)?;
            Err(error)
        }
    }
}

/// The branches of the repository, without `refs/heads/`.
pub fn branches(root: &Root) -> Result<BTreeSet<String>, Error> {
    let repository = root.repository().ok_or_else(Error::no_repository)?;
    base::branches(&repository.common_dir)
}

impl Facts {
    /// Counts those of the next slots as taken on whose ports somebody listens already.
    fn avoid_busy(&mut self, ports: Ports, wanted: usize) {
        let mut free = 0;
        for slot in 1.. {
            if free == wanted || environment::port_base(ports, slot).is_none() {
                return;
            }
            if self.slots.contains(&slot) {
                continue;
            }
            match environment::is_in_use(ports, slot) {
                true => drop(self.slots.insert(slot)),
                false => free += 1,
            }
        }
    }
}

impl<'a> Ground<'a> {
    pub(super) fn of(root: &'a Root) -> Result<Ground<'a>, Error> {
        let repository = root.repository().ok_or_else(Error::no_repository)?;
        let here = repository.top.as_ref().unwrap_or(&repository.common_dir);
        let git = Git::at(here);
        Ok(Ground {
            root,
            repository,
            settings: Asked::of(&git)?,
            git,
        })
    }

    /// Settles what killed commands left, under the lock that the caller holds.
    pub(super) fn settle(&mut self) -> Result<Vec<String>, Error> {
        let settled = settle::settle_locked(self.root, self.repository)?;
        if !settled.is_empty() {
            // What was taken back may have been a part of what git said before.
            self.settings = Asked::of(&self.git)?;
        }
        Ok(settled)
    }

    /// The top of the main checkout; none for a bare repository.
    pub(super) fn main(&self) -> Option<PathBuf> {
        super::salvage::main_top(&self.repository.common_dir)
    }

    /// What is there already.
    pub(super) fn facts(&self) -> Result<Facts, Error> {
        let mut facts = Facts {
            branches: base::branches(&self.repository.common_dir)?,
            ..Facts::default()
        };
        for tree in Tree::all(self.root)? {
            facts.agents.insert(tree.identity.agent.to_string());
            facts.slots.insert(tree.identity.slot);
        }
        for (record, _) in journal::records(&self.repository.common_dir)? {
            for item in record.items {
                facts.agents.insert(item.agent);
                facts.branches.insert(item.branch);
                facts.slots.insert(item.slot);
            }
        }
        match fs::read_dir(self.root.worktrees()) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(Error::at(self.root.worktrees()))?.file_name();
                    facts.there.insert(name.to_string_lossy().to_lowercase());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::at(self.root.worktrees())(error)),
        }
        Ok(facts)
    }

    /// The epoch that a new worker of a name gets.
    pub(super) fn epochs(&self) -> Result<impl Fn(&str) -> u64, Error> {
        let journal = Journal::read(self.root)?;
        Ok(move |agent: &str| {
            let earlier = journal.state().agents.get(agent);
            earlier.map_or(0, |agent| agent.epoch) + 1
        })
    }

    fn items(&self, places: &[Place]) -> Result<Vec<Item>, Error> {
        let epochs = self.epochs()?;
        let item = |place: &Place| {
            let agent = place.wanted.agent.as_str();
            Item {
                agent: agent.to_owned(),
                slot: place.slot,
                epoch: epochs(agent),
                branch: place.branch.clone(),
                path: place.path.clone(),
                mailbox: !self.root.mail().join(agent).exists(),
                adopted: None,
            }
        };
        Ok(places.iter().map(item).collect())
    }

    /// Writes down what will be made, and holds the lock that tells that we live.
    pub(super) fn record(&self, items: Vec<Item>, base: &Base) -> Result<(Record, File), Error> {
        let paths = items.iter().map(|item| item.path.as_path());
        let all = [self.root.path(), &self.repository.common_dir];
        if let Some(path) = all.into_iter().chain(paths).find(|p| p.to_str().is_none()) {
            return Err(Error::Plan(vec![format!(
                "{path:?} is not UTF-8, and records on disk and on the wire are: move it to a path that is"
            )]));
        }
        let record = Record {
            v: 1,
            tx: uuid::Uuid::now_v7().to_string(),
            holder: Holder::me().to_string(),
            phase: Phase::Making,
            base: base.oid.clone(),
            root: self.root.path().to_owned(),
            clones: false,
            switched: false,
            items,
        };
        let life = journal::life_lock(&self.repository.common_dir, &record.tx)?;
        record.write(&self.repository.common_dir)?;
        Ok((record, life))
    }

    /// Makes the repository ready for the guard, if one is wanted.
    pub(super) fn prepare(&self, record: &mut Record, request: &Request) -> Result<(), Error> {
        if request.guard == Guard::Off || request.isolation == Isolation::Clone {
            return Ok(());
        }
        let common = &self.repository.common_dir;
        guard::script(common)?;
        if self.settings.get()?.is_on("extensions.worktreeconfig") {
            return Ok(());
        }
        // Written down first: a kill in between leaves a note of a switch that is still off.
        record.switched = true;
        record.write(common)?;
        guard::switch_on(&self.git, self.settings.get()?, common)
    }

    fn tree(
        &self,
        place: &Place,
        base: &Base,
        request: &Request,
        epoch: u64,
    ) -> Result<Tree, Error> {
        Ok(Tree {
            path: place.path.clone(),
            git_dir: PathBuf::new(),
            identity: Identity {
                agent: place.wanted.agent.clone(),
                slot: place.slot,
                epoch,
                branch: Some(place.branch.clone()),
                base: Some(base.oid.clone()),
                colour: Some(Scheme::of_slot(place.slot).name()),
                port_base: environment::port_base(request.ports, place.slot),
                ports: Some(request.ports.size),
                created_at: Some(crate::swarm::journal::now()),
            },
            notes: Notes {
                v: 1,
                base: base.name.clone(),
                tasks: place.wanted.tasks.clone(),
            },
        })
    }

    /// Branches in one transaction, which may still be under way, and git's entries for the trees,
    /// still empty.
    fn admin(
        &self,
        record: &mut Record,
        places: &[Place],
        base: &Base,
        request: &Request,
        life: &File,
    ) -> Result<Begun, Error> {
        if request.isolation == Isolation::Clone {
            record.clones = true;
            record.write(&self.repository.common_dir)?;
            let trees = places.iter().zip(&record.items);
            let trees = trees.map(|(place, item)| {
                let mut tree = self.tree(place, base, request, item.epoch)?;
                tree.git_dir = tree.path.join(".git");
                Ok(tree)
            });
            let trees: Vec<Tree> = trees.collect::<Result<_, Error>>()?;
            clone::make(self, record, &trees, life)?;
            let branches = None;
            return Ok(Begun { trees, branches });
        }
        let mut lines = String::from("start\n");
        for item in &record.items {
            lines.push_str(&format!(
                "create refs/heads/{} {}\n",
                item.branch, record.base
            ));
        }
        lines.push_str("prepare\ncommit\n");
        let mark = record.mark();
        let update = ["update-ref", "--create-reflog", "-m", &mark, "--stdin"];
        let branches = self.git.start(&update, lines.as_bytes(), Some(life))?;
        let plain = self.is_plain()?;
        if plain {
            let all = self.repository.common_dir.join("worktrees");
            fs::create_dir_all(&all).map_err(Error::at(all))?;
        }
        in_parallel(places.len(), |n| {
            let (place, item) = (&places[n], &record.items[n]);
            let mut tree = self.tree(place, base, request, item.epoch)?;
            if plain {
                tree.git_dir = self.entry(record, item)?;
                self.know(&tree)?;
            }
            Ok(tree)
        })
        .map(|trees| Begun {
            trees,
            branches: Some(branches),
        })
    }

    /// Writes who will work there.
    pub(super) fn know(&self, tree: &Tree) -> Result<(), Error> {
        tree.identity.write_first(&tree.git_dir)?;
        tree.notes.write(&tree.git_dir)
    }

    /// Whether the repository is of the usual kind, whose files we may write ourselves; any other
    /// is left to `git worktree add`.
    fn is_plain(&self) -> Result<bool, Error> {
        let settings = self.settings.get()?;
        Ok(settings.names().all(|name| match name {
            // These may stand at their usual value.
            "core.filemode" | "core.symlinks" => settings.is_on(name),
            "core.ignorecase" | "core.precomposeunicode" | "core.sparsecheckout" => {
                !settings.is_on(name)
            }
            "extensions.objectformat" => settings.get(name) == Some("sha1"),
            "extensions.refstorage" => settings.get(name) == Some("files"),
            // Sparse patterns and the like may belong to one worktree.
            "extensions.worktreeconfig" => {
                !self.repository.common_dir.join("config.worktree").exists()
            }
            "core.splitindex"
            | "core.fsmonitor"
            | "core.untrackedcache"
            | "core.worktree"
            | "core.protectntfs"
            | "core.protecthfs"
            | "index.sparse"
            | "index.version"
            | "feature.manyfiles"
            | "worktree.userelativepaths" => false,
            name => !name.starts_with("extensions.") && !name.starts_with("submodule."),
        }))
    }

    /// git's entry for one tree (gitrepository-layout(5), "worktrees"), locked from its first
    /// byte, and the empty tree.
    fn entry(&self, record: &Record, item: &Item) -> Result<PathBuf, Error> {
        // Made aside, so that it appears with its mark and never without.
        let aside = record.entry_aside(&self.repository.common_dir, item);
        fs::create_dir(&aside).map_err(Error::at(&aside))?;
        let write = |name: &str, text: &[u8]| {
            let path = aside.join(name);
            fs::write(&path, text).map_err(Error::at(path))
        };
        write("locked", format!("{}\n", record.mark()).as_bytes())?;
        let mut link = item.path.join(".git").into_os_string().as_bytes().to_vec();
        link.push(b'\n');
        write("gitdir", &link)?;
        write("commondir", b"../..\n")?;
        write(
            "HEAD",
            format!("ref: refs/heads/{}\n", item.branch).as_bytes(),
        )?;
        let all = self.repository.common_dir.join("worktrees");
        let git_dir = move_to_new(&aside, &all, &item.agent)?;
        fs::create_dir(&item.path).map_err(Error::at(&item.path))?;
        let mut back = b"gitdir: ".to_vec();
        back.extend(git_dir.as_os_str().as_bytes());
        back.push(b'\n');
        fs::write(item.path.join(".git"), back).map_err(Error::at(item.path.join(".git")))?;
        Ok(git_dir)
    }

    /// Everything after the names are given out.
    fn make(
        &self,
        record: &Record,
        begun: Begun,
        base: &Base,
        request: &Request,
        progress: &(dyn Fn(&str) + Sync),
        life: &File,
    ) -> Result<Vec<Tree>, Error> {
        let (mut trees, branches) = (begun.trees, &begun.branches);
        let plain = trees
            .iter()
            .all(|tree| !tree.git_dir.as_os_str().is_empty());
        progress(&format!("filling {} worktrees", trees.len()));
        let usual = plain && (!record.clones || self.is_plain()?);
        let equip = || in_parallel(trees.len(), |place| self.equip(&trees[place]));
        if plain {
            // What stands around a tree waits for the disk; files are written meanwhile.
            let (filled, around) = std::thread::scope(|scope| {
                let around = scope.spawn(equip);
                let filled = match usual {
                    true => self.fill(base, &trees, branches, life),
                    false => Ok(false),
                };
                (filled, around.join().expect("equipping does not panic"))
            });
            around?;
            there(branches)?;
            if !filled? {
                progress("unusual index: left to git");
                in_parallel(trees.len(), |place| self.checkout(&trees[place], life))?;
            }
        } else {
            there(branches)?;
            self.add_by_git(record, &mut trees, life)?;
            in_parallel(trees.len(), |place| self.equip(&trees[place]))?;
        }
        if !plain || record.clones {
            self.submodules(&trees)?;
        }
        self.post_checkout(&trees, base, life)?;
        if !record.clones {
            // Not before: each ref that git moves would ask it.
            for tree in &trees {
                guard::put(tree, &self.repository.common_dir, request.guard)?;
            }
        }
        let main = self.main().filter(|top| top.is_dir());
        let files = match &main {
            Some(main) => environment::brought(main, &request.include)?,
            None => Vec::new(),
        };
        in_parallel(trees.len(), |place| {
            let tree = &trees[place];
            if let Some(main) = &main {
                environment::bring(main, &tree.path, &files, &tree.identity)?;
            }
            Ok(())
        })?;
        if request.seal {
            seal::put(self.root)?;
        }
        if let Some(setup) = &request.setup {
            progress(&format!("running {setup:?} in each"));
            in_parallel(trees.len(), |place| self.set_up(&trees[place], setup, life))?;
        }
        let ready = Record {
            phase: Phase::Ready,
            ..record.clone()
        };
        ready.write(&self.repository.common_dir)?;
        Ok(trees)
    }

    /// Variables, directory for temporary files, window, mailbox.
    pub(super) fn equip(&self, tree: &Tree) -> Result<(), Error> {
        let agent = tree.identity.agent.as_str();
        let variables = environment::variables(self.root, &tree.identity);
        let title = Scheme::of_slot(tree.identity.slot).title(agent);
        environment::write(&tree.git_dir, &variables, &title)?;
        let temporary = environment::temporary(self.root, agent);
        let mut private = fs::DirBuilder::new();
        private.mode(files::DIRECTORY_MODE).recursive(true);
        private.create(&temporary).map_err(Error::at(temporary))?;
        let window = environment::window(self.root, agent);
        let text = Scheme::of_slot(tree.identity.slot).workspace_file(
            &tree.path.to_string_lossy(),
            agent,
            &tree.notes.tasks,
        );
        fs::write(&window, text).map_err(Error::at(window))?;
        let (left, mail) = (
            environment::left_mailbox(self.root, agent),
            self.root.mail().join(agent),
        );
        if left.exists() && !mail.exists() {
            fs::rename(&left, &mail).map_err(Error::at(mail))?;
        }
        Spool::open_or_create(&self.root.mail())?.create(&tree.identity.agent)?;
        Ok(())
    }

    /// git in a tree, holding the lock of this spawn for as long as it runs.
    pub(super) fn run(&self, tree: &Tree, args: &[&str], life: &File) -> Result<(), Error> {
        self.run_in(&tree.git(), args, life)
    }

    pub(super) fn run_in(&self, git: &Git, args: &[&str], life: &File) -> Result<(), Error> {
        let held = life
            .try_clone()
            .map_err(Error::at(&self.repository.common_dir))?;
        let failed = |said: String| Error::Git {
            command: args.join(" "),
            said,
        };
        let output = git
            .command(args)
            .stdin(Stdio::from(held))
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }

    /// The repository's own hook, as `git worktree add` calls it.
    fn post_checkout(&self, trees: &[Tree], base: &Base, life: &File) -> Result<(), Error> {
        if !self.has_post_checkout(trees)? {
            return Ok(());
        }
        let zero = "0".repeat(base.oid.len());
        let args = [
            "hook",
            "run",
            "--ignore-missing",
            "post-checkout",
            "--",
            &zero,
            &base.oid,
            "1",
        ];
        in_parallel(trees.len(), |place| {
            let tree = &trees[place];
            self.run(tree, &args, life).map_err(|error| Error::Setup {
                what: "the hook post-checkout",
                agent: tree.identity.agent.to_string(),
                status: "failure".to_owned(),
                said: match error {
                    Error::Git { said, .. } => said,
                    other => other.to_string(),
                },
            })
        })
        .map(drop)
    }

    /// Whether there is such a hook, wherever hooks are looked for.
    fn has_post_checkout(&self, trees: &[Tree]) -> Result<bool, Error> {
        if self.settings.get()?.get("core.hookspath").is_none() {
            let hooks = self.repository.common_dir.join("hooks");
            return Ok(hooks.join("post-checkout").exists());
        }
        let hooks = self.git.text(&["rev-parse", "--git-path", "hooks"])?;
        let here = &self.repository.top;
        let here = here.as_ref().unwrap_or(&self.repository.common_dir);
        // A relative path is one in each tree.
        let tops = trees.iter().map(|tree| &tree.path).chain([here]);
        let mut files = tops.map(|top| top.join(&hooks).join("post-checkout"));
        Ok(files.any(|file| file.exists()))
    }

    /// Runs the set-up command in a tree, with the agent's variables.
    fn set_up(&self, tree: &Tree, setup: &str, life: &File) -> Result<(), Error> {
        let held = life.try_clone().map_err(Error::at(&tree.path))?;
        let output = seal::command(self.root, "sh")
            .args(["-c", setup])
            .current_dir(&tree.path)
            .envs(environment::variables(self.root, &tree.identity))
            .stdin(Stdio::from(held))
            .output()
            .map_err(Error::at(&tree.path))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.trim().lines().collect();
        Err(Error::Setup {
            what: "the set-up",
            agent: tree.identity.agent.to_string(),
            status: output.status.to_string(),
            said: lines[lines.len().saturating_sub(10)..].join("\n"),
        })
    }
}

/// Waits until the branches are there.
pub(super) fn there(branches: &Option<Running>) -> Result<(), Error> {
    branches.as_ref().map_or(Ok(()), |git| git.wait().map(drop))
}

/// Moves a directory to a name that was not there: `name`, or that with a number as git does.
fn move_to_new(from: &Path, parent: &Path, name: &str) -> Result<PathBuf, Error> {
    for n in 0..1000 {
        let path = match n {
            0 => parent.join(name),
            n => parent.join(format!("{name}{n}")),
        };
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match fs::rename(from, &path) {
            Ok(()) => return Ok(path),
            // Another one was quicker.
            Err(_) if path.symlink_metadata().is_ok() => {}
            Err(error) => return Err(Error::at(path)(error)),
        }
    }
    let full = io::Error::from(io::ErrorKind::AlreadyExists);
    Err(Error::at(parent.join(name))(full))
}
