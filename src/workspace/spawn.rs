//! Making worktrees: all of them or none.
//!
//! First everything is decided ([`super::plan`]), then written down ([`super::journal`]), then done;
//! [`settle`] takes back, or completes, what a killed spawn left.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fill::{self, Source, in_parallel};
use super::index::{Index, Stat};
use super::journal::{self, Item, Phase, Record};
use super::plan::{self, Facts, Place, Wanted};
use super::tree::Notes;
use super::{Error, Git, Tree, adopt, clone, environment, guard, reap, seal};
use crate::event::{Event, What};
use crate::id::AgentName;
use crate::spool::Spool;
use crate::swarm::config::{Guard, Include, Isolation, Ports};
use crate::swarm::{Holder, Identity, Journal, Repository, Root, files};
use crate::theme::{Scheme, Worn};

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

/// Where work is done: the repository, its root, git in it.
pub(super) struct Ground<'a> {
    pub(super) root: &'a Root,
    pub(super) repository: &'a Repository,
    pub(super) git: Git,
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
    let ground = Ground::of(root)?;
    let base = Base::resolve(&ground, request)?;
    let lock = journal::admin_lock(&ground.repository.common_dir)?;
    let settled = if request.dry_run {
        Vec::new()
    } else {
        settle_locked(root, ground.repository)?
    };
    let places = plan::decide(
        &request.wanted,
        &request.branch,
        &root.worktrees(),
        &ground.facts()?,
    )?;
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
    let (mut record, life) = ground.record(ground.items(&places)?, &base)?;
    let made = ground
        .prepare(&mut record, request)
        .and_then(|()| ground.admin(&mut record, &places, &base, request, &life))
        .and_then(|trees| {
            drop(lock);
            ground.make(&record, trees, &base, request, progress, &life)
        });
    match made {
        Ok(trees) => {
            finish(root, ground.repository, &record)?;
            Ok(Spawned {
                base: base.oid,
                trees,
                settled,
            })
        }
        Err(error) => {
            progress("taking everything back");
            let _lock = journal::admin_lock(&ground.repository.common_dir)?;
            take_back(ground.repository, &record)?;
            Err(error)
        }
    }
}

/// Takes back, or completes, what killed spawns left; says what it did, a line each.
pub fn settle(root: &Root) -> Result<Vec<String>, Error> {
    let ground = Ground::of(root)?;
    if !ground.repository.common_dir.join("spore").exists() {
        return Ok(Vec::new());
    }
    let _lock = journal::admin_lock(&ground.repository.common_dir)?;
    settle_locked(root, ground.repository)
}

/// The same under [`journal::admin_lock`].
pub(super) fn settle_locked(root: &Root, repository: &Repository) -> Result<Vec<String>, Error> {
    let mut said = reap::settle_locked(root, repository)?;
    let records = journal::records(&repository.common_dir)?;
    if records.iter().all(|(_, dead)| *dead) {
        // Nobody alive writes there but under the lock that we hold.
        let place = journal::place(&repository.common_dir);
        files::sweep(&place, Duration::ZERO).map_err(Error::at(place))?;
        let trees = root.worktrees();
        if trees.is_dir() {
            files::sweep(&trees, Duration::ZERO).map_err(Error::at(trees))?;
        }
    }
    for (record, dead) in records {
        if !dead {
            continue;
        }
        let names: Vec<&str> = record
            .items
            .iter()
            .map(|item| item.agent.as_str())
            .collect();
        let names = names.join(", ");
        match record.phase {
            Phase::Ready => {
                finish(root, repository, &record)?;
                said.push(format!("completed a spawn that was killed: {names}"));
            }
            Phase::Making => {
                take_back(repository, &record)?;
                said.push(format!("took back a spawn that was killed: {names}"));
            }
        }
    }
    Ok(said)
}

/// The commit to begin at.
pub(super) struct Base {
    pub(super) name: String,
    pub(super) oid: String,
}

impl Base {
    pub(super) fn resolve(ground: &Ground<'_>, request: &Request) -> Result<Base, Error> {
        let git = &ground.git;
        let name = match &request.base {
            Some(base) => base.clone(),
            // The branch of the main checkout, whichever worktree we are started from.
            None => git
                .ask(&[
                    "--git-dir",
                    &ground.common(),
                    "symbolic-ref",
                    "-q",
                    "--short",
                    "HEAD",
                ])?
                .unwrap_or_else(|| "HEAD".to_owned()),
        };
        let commit = format!("{name}^{{commit}}");
        let args = ["rev-parse", "-q", "--verify", "--end-of-options", &commit];
        let Some(oid) = git.ask(&args)? else {
            let why = match git.ask(&["rev-list", "-n", "1", "--all"])? {
                Some(any) if !any.is_empty() => "no such revision here",
                _ => "the repository has no commit yet",
            };
            return Err(Error::Plan(vec![format!("base {name:?}: {why}")]));
        };
        let base = Base { name, oid };
        if let Some(limit) = request.max_behind {
            base.is_fresh(git, limit)?;
        }
        Ok(base)
    }

    /// Refuses a base that is far behind its upstream, as far as that is known here.
    fn is_fresh(&self, git: &Git, limit: u32) -> Result<(), Error> {
        let upstream = format!("{}@{{upstream}}", self.name);
        let range = format!("{}..{upstream}", self.oid);
        let Some(behind) = git.ask(&["rev-list", "--count", &range])? else {
            return Ok(());
        };
        if behind.parse::<u32>().is_ok_and(|behind| behind > limit) {
            return Err(Error::Refused {
                what: format!(
                    "base {:?} is {behind} commits behind its upstream",
                    self.name
                ),
                hint: format!("--base '{upstream}', or --max-behind {behind}"),
            });
        }
        Ok(())
    }
}

impl<'a> Ground<'a> {
    pub(super) fn of(root: &'a Root) -> Result<Ground<'a>, Error> {
        let repository = root.repository().ok_or_else(Error::no_repository)?;
        let here = repository.top.as_ref().unwrap_or(&repository.common_dir);
        Ok(Ground {
            root,
            repository,
            git: Git::at(here),
        })
    }

    fn common(&self) -> String {
        self.repository.common_dir.display().to_string()
    }

    /// The top of the main checkout; none for a bare repository.
    pub(super) fn main(&self) -> Option<PathBuf> {
        super::salvage::main_top(&self.repository.common_dir)
    }

    /// What is there already.
    pub(super) fn facts(&self) -> Result<Facts, Error> {
        let branches =
            self.git
                .text(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"])?;
        let mut facts = Facts {
            branches: branches.lines().map(str::to_owned).collect(),
            ..Facts::default()
        };
        for tree in Tree::all(self.root)? {
            facts.agents.insert(tree.identity.agent.to_string());
            facts.slots.insert(tree.identity.slot);
        }
        for (record, _) in journal::records(&self.repository.common_dir)? {
            for item in record.items {
                facts.agents.insert(item.agent);
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
        if guard::is_on(&self.git)? {
            return Ok(());
        }
        // Written down first: a kill in between leaves a note of a switch that is still off.
        record.switched = true;
        record.write(common)?;
        guard::switch_on(&self.git, common)
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

    /// Branches in one transaction, then git's entries for the trees, still empty.
    fn admin(
        &self,
        record: &mut Record,
        places: &[Place],
        base: &Base,
        request: &Request,
        life: &File,
    ) -> Result<Vec<Tree>, Error> {
        self.root.make_dir(&self.root.worktrees())?;
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
            return Ok(trees);
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
        self.git.feed(
            &["update-ref", "--create-reflog", "-m", &mark, "--stdin"],
            lines.as_bytes(),
        )?;
        let plain = self.is_plain()?;
        let mut trees = Vec::new();
        for (place, item) in places.iter().zip(&record.items) {
            let mut tree = self.tree(place, base, request, item.epoch)?;
            if plain {
                tree.git_dir = self.entry(record, item)?;
                self.know(&tree)?;
            }
            trees.push(tree);
        }
        Ok(trees)
    }

    /// Writes who works there.
    pub(super) fn know(&self, tree: &Tree) -> Result<(), Error> {
        tree.identity.write(&tree.git_dir)?;
        tree.notes.write(&tree.git_dir)
    }

    /// Whether the repository is of the usual kind, whose files we may write ourselves; any other
    /// is left to `git worktree add`.
    fn is_plain(&self) -> Result<bool, Error> {
        let asked = ["config", "--name-only", "-z", "--get-regexp"];
        let unusual = r"^(extensions\..*|core\.(sparsecheckout|splitindex|fsmonitor|untrackedcache|worktree|symlinks|filemode|ignorecase|precomposeunicode|protectntfs|protecthfs)|index\.(sparse|version)|feature\.manyfiles|worktree\.userelativepaths|submodule\..*)$";
        let output = self.git.output(&[&asked[..], &[unusual]].concat())?;
        let mut plain = true;
        for name in output.stdout.split(|byte| *byte == 0) {
            let name = String::from_utf8_lossy(name).to_lowercase();
            plain &= match name.as_str() {
                "" => true,
                // These may stand at their usual value.
                "core.filemode" | "core.symlinks" => self.is(&name, "true")?,
                "core.ignorecase" | "core.precomposeunicode" | "core.sparsecheckout" => {
                    self.is(&name, "false")?
                }
                "extensions.objectformat" => self.is(&name, "sha1")?,
                "extensions.refstorage" => self.is(&name, "files")?,
                "extensions.worktreeconfig" => {
                    // Sparse patterns and the like may belong to one worktree.
                    !self.repository.common_dir.join("config.worktree").exists()
                }
                _ => false,
            };
        }
        Ok(plain)
    }

    fn is(&self, name: &str, value: &str) -> Result<bool, Error> {
        Ok(self.git.ask(&["config", "--get", name])?.as_deref() == Some(value))
    }

    /// git's entry for one tree (gitrepository-layout(5), "worktrees"), locked from its first
    /// byte, and the empty tree.
    fn entry(&self, record: &Record, item: &Item) -> Result<PathBuf, Error> {
        let all = self.repository.common_dir.join("worktrees");
        fs::create_dir_all(&all).map_err(Error::at(&all))?;
        let git_dir = new_dir(&all, &item.agent)?;
        let write = |name: &str, text: &[u8]| {
            let path = git_dir.join(name);
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
        mut trees: Vec<Tree>,
        base: &Base,
        request: &Request,
        progress: &(dyn Fn(&str) + Sync),
        life: &File,
    ) -> Result<Vec<Tree>, Error> {
        let plain = trees
            .iter()
            .all(|tree| !tree.git_dir.as_os_str().is_empty());
        progress(&format!("filling {} worktrees", trees.len()));
        let usual = plain && (!record.clones || self.is_plain()?);
        if plain && !(usual && self.fill(record, &trees, life)?) {
            progress("unusual index: left to git");
            in_parallel(trees.len(), |place| self.checkout(&trees[place], life))?;
        }
        if !plain {
            self.add_by_git(record, &mut trees, life)?;
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
        if let Some(main) = self.main().filter(|top| top.is_dir()) {
            let files = environment::brought(&main, &request.include)?;
            in_parallel(trees.len(), |place| {
                let tree = &trees[place];
                environment::bring(&main, &tree.path, &files, &tree.identity)
            })?;
        }
        for tree in &trees {
            self.equip(tree)?;
        }
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
        self.root
            .make_dir(&environment::temporary(self.root, agent))?;
        let window = environment::window(self.root, agent);
        let text = Scheme::of_slot(tree.identity.slot).workspace_file(
            &tree.path.to_string_lossy(),
            agent,
            &tree.notes.tasks,
        );
        fs::write(&window, text).map_err(Error::at(window))?;
        self.root.make_dir(&self.root.mail())?;
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

    /// Fills all trees, each file read once; false if the index is one for git alone.
    fn fill(&self, record: &Record, trees: &[Tree], life: &File) -> Result<bool, Error> {
        let time = seconds_now() - 2;
        let tops: Vec<PathBuf> = trees.iter().map(|tree| tree.path.clone()).collect();
        let first = &trees[0];
        self.run(first, &["read-tree", &record.base], life)?;
        let Some(index) = Index::read(&first.git_dir.join("index"))? else {
            return Ok(false);
        };
        let mut stats: Vec<Vec<Stat>> =
            vec![vec![Stat::default(); index.entries.len()]; tops.len()];
        let mut rest: BTreeSet<usize> = (0..index.entries.len()).collect();
        let donor = self.donor(&index)?;
        self.has_room(&index, &donor, trees.len())?;
        if let Some((main, known)) = donor {
            fill::directories(&index.entries, &tops)?;
            let source = Source {
                top: &main,
                known: &known,
                ours: false,
            };
            let filled = fill::copy(&index.entries, source, &tops, time)?;
            for (place, row) in filled.into_iter().enumerate() {
                if let Some(row) = row {
                    rest.remove(&place);
                    row.into_iter()
                        .enumerate()
                        .for_each(|(n, stat)| stats[n][place] = stat);
                }
            }
        }
        if !rest.is_empty() {
            let all = rest.len() == index.entries.len();
            self.checkout_first(first, &index, &rest, all, life)?;
            if all {
                fill::directories(&index.entries, &tops[1..])?;
            }
            let Some(now) = Index::read(&first.git_dir.join("index"))? else {
                return Ok(false);
            };
            let known: Vec<Option<Stat>> = (0..now.entries.len())
                .map(|place| rest.contains(&place).then(|| now.entries[place].stat))
                .collect();
            let source = Source {
                top: &tops[0],
                known: &known,
                ours: true,
            };
            let filled = fill::copy(&now.entries, source, &tops[1..], time)?;
            for place in rest {
                let Some(row) = &filled[place] else {
                    // Somebody else writes into a tree that is not ready: not ours to judge.
                    return Err(Error::Plan(vec![format!(
                        "{:?} changed while the other trees were filled from it",
                        tops[0].join(std::ffi::OsStr::from_bytes(&now.entries[place].path))
                    )]));
                };
                row.iter()
                    .enumerate()
                    .for_each(|(n, stat)| stats[n][place] = *stat);
            }
        }
        in_parallel(trees.len(), |n| {
            let path = trees[n].git_dir.join("index");
            let new = trees[n].git_dir.join("index.lock");
            fs::write(&new, index.with_stats(&stats[n]))
                .and_then(|()| fs::rename(&new, &path))
                .map_err(Error::at(path))
        })?;
        Ok(true)
    }

    /// The main checkout, if git would write the same bytes again: no attributes, no conversion;
    /// with the stat data of each file that has the wanted content and is surely unchanged.
    #[allow(clippy::type_complexity)]
    fn donor(&self, wanted: &Index) -> Result<Option<(PathBuf, Vec<Option<Stat>>)>, Error> {
        let attributes = |path: &[u8]| path.ends_with(b".gitattributes");
        if wanted.entries.iter().any(|entry| attributes(&entry.path)) {
            return Ok(None);
        }
        let converts = r"^core\.(autocrlf|eol|attributesfile|checkroundtripencoding)$";
        let converts = self
            .git
            .output(&["config", "--name-only", "--get-regexp", converts])?;
        let Some(main) = self.main() else {
            return Ok(None);
        };
        let common = &self.repository.common_dir;
        let own = common.join("info/attributes").exists();
        if own || !converts.stdout.is_empty() || !common.join("index").exists() {
            return Ok(None);
        }
        let path = common.join("index");
        let stamp = rustix::fs::stat(&path).map_err(|errno| Error::at(&path)(errno.into()))?;
        let Some(theirs) = Index::read(&path)? else {
            return Ok(None);
        };
        let stamp = Stat::of(&stamp).mtime.0;
        let mut known = Vec::with_capacity(wanted.entries.len());
        let mut others = theirs.entries.iter().peekable();
        for entry in &wanted.entries {
            while others.next_if(|other| other.path < entry.path).is_some() {}
            let same = others.next_if(|other| other.path == entry.path);
            known.push(
                same.filter(|other| other.oid == entry.oid && other.kind == entry.kind)
                    .map(|other| other.stat)
                    // Racy: the file may have changed in the second in which the index was written.
                    .filter(|stat| stat.mtime.0 < stamp),
            );
        }
        let usable = known.iter().flatten().count();
        Ok((usable * 2 > known.len()).then_some((main, known)))
    }

    /// Refuses before the disk is full half-way, where the sizes are known.
    fn has_room(
        &self,
        index: &Index,
        donor: &Option<(PathBuf, Vec<Option<Stat>>)>,
        trees: usize,
    ) -> Result<(), Error> {
        let path = self.root.worktrees();
        let Ok(room) = rustix::fs::statvfs(&path) else {
            return Ok(());
        };
        let files = (index.entries.len() * trees) as u64;
        // File systems that make inodes as needed report none at all.
        if room.f_files > 0 && files > room.f_favail {
            return Err(Error::Plan(vec![format!(
                "{trees} worktrees need {files} inodes, {} are free",
                room.f_favail
            )]));
        }
        let sizes = donor.iter().flat_map(|(_, known)| known.iter().flatten());
        let need = sizes.map(|stat| u64::from(stat.size)).sum::<u64>() * trees as u64;
        let free = room.f_bavail * room.f_frsize;
        if need > free && !can_share(&path) {
            return Err(Error::Plan(vec![format!(
                "{trees} worktrees need {} MiB, {} are free",
                need >> 20,
                free >> 20
            )]));
        }
        Ok(())
    }

    /// Lets git write the first tree, or those of its files that the donor could not give.
    fn checkout_first(
        &self,
        first: &Tree,
        index: &Index,
        rest: &BTreeSet<usize>,
        all: bool,
        life: &File,
    ) -> Result<(), Error> {
        if all {
            return self.checkout(first, life);
        }
        let mut paths = Vec::new();
        for place in rest {
            paths.extend_from_slice(&index.entries[*place].path);
            paths.push(0);
        }
        let args = ["checkout-index", "-f", "-u", "-q", "-z", "--stdin"];
        first.git().feed(&args, &paths).map(drop)
    }

    /// A whole checkout by git.
    fn checkout(&self, tree: &Tree, life: &File) -> Result<(), Error> {
        let workers = self.git.ask(&["config", "--get", "checkout.workers"])?;
        let mut args = vec![];
        if workers.is_none() {
            args.extend(["-c", "checkout.workers=0"]);
        }
        args.extend(["reset", "--hard", "-q", "--no-recurse-submodules"]);
        self.run(tree, &args, life)
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

    /// `git worktree add` for repositories of an unusual kind: the entries in turn, because git
    /// stumbles over others' half-made ones, the files several trees at a time.
    fn add_by_git(&self, record: &Record, trees: &mut [Tree], life: &File) -> Result<(), Error> {
        let mark = record.mark();
        for (tree, item) in trees.iter().zip(&record.items) {
            let path = tree.path.display().to_string();
            let add = [
                "worktree",
                "add",
                "-q",
                "--no-checkout",
                "--lock",
                "--reason",
                &mark,
            ];
            self.run_in(
                &self.git,
                &[&add[..], &["--", &path, &item.branch]].concat(),
                life,
            )?;
        }
        in_parallel(trees.len(), |place| self.checkout(&trees[place], life))?;
        for tree in trees.iter_mut() {
            let git_dir = tree.git().text(&["rev-parse", "--absolute-git-dir"])?;
            tree.git_dir = PathBuf::from(git_dir);
            self.know(tree)?;
        }
        Ok(())
    }

    /// Brings over, from the objects that are here, the submodules that the main checkout has.
    fn submodules(&self, trees: &[Tree]) -> Result<(), Error> {
        let Some(main) = self.main() else {
            return Ok(());
        };
        let here = Git::at(&main);
        if !main.join(".gitmodules").exists() {
            return Ok(());
        }
        let Some(listed) = here.ask(&[
            "config",
            "--file",
            ".gitmodules",
            "--get-regexp",
            r"^submodule\..*\.path$",
        ])?
        else {
            return Ok(());
        };
        for line in listed.lines() {
            let Some((key, path)) = line.split_once(' ') else {
                continue;
            };
            let name = key
                .trim_start_matches("submodule.")
                .trim_end_matches(".path");
            let objects = self.repository.common_dir.join("modules").join(name);
            if !objects.is_dir() {
                continue;
            }
            let url = format!("submodule.{name}.url={}", objects.display());
            for tree in trees.iter().filter(|tree| tree.path.join(path).is_dir()) {
                tree.git().bytes(&[
                    "-c",
                    &url,
                    "-c",
                    "protocol.file.allow=always",
                    "submodule",
                    "--quiet",
                    "update",
                    "--init",
                    "--",
                    path,
                ])?;
                let origin = here.ask(&["config", "--get", &format!("submodule.{name}.url")])?;
                if let Some(origin) = origin {
                    let module = Git::at(tree.path.join(path));
                    module.bytes(&["config", "remote.origin.url", &origin])?;
                }
            }
        }
        Ok(())
    }

    /// The repository's own hook, as `git worktree add` calls it.
    fn post_checkout(&self, trees: &[Tree], base: &Base, life: &File) -> Result<(), Error> {
        let hooks = self.git.text(&["rev-parse", "--git-path", "hooks"])?;
        let here = self
            .repository
            .top
            .as_ref()
            .unwrap_or(&self.repository.common_dir);
        let relative = Path::new(&hooks).is_relative();
        if !relative && !here.join(&hooks).join("post-checkout").exists() {
            return Ok(());
        }
        if relative
            && !trees
                .iter()
                .any(|t| t.path.join(&hooks).join("post-checkout").exists())
            && !here.join(&hooks).join("post-checkout").exists()
        {
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

/// A directory that was not there: the name, or with a number as git does.
fn new_dir(parent: &Path, name: &str) -> Result<PathBuf, Error> {
    for n in 0..1000 {
        let path = match n {
            0 => parent.join(name),
            n => parent.join(format!("{name}{n}")),
        };
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::at(path)(error)),
        }
    }
    let full = io::Error::from(io::ErrorKind::AlreadyExists);
    Err(Error::at(parent.join(name))(full))
}

/// Whether files on this file system can share blocks, so that a copy takes no room.
fn can_share(path: &Path) -> bool {
    const BTRFS: i64 = 0x9123_683e;
    const XFS: i64 = 0x5846_5342;
    const BCACHEFS: i64 = 0xca45_1a4e;
    #[cfg(target_os = "linux")]
    {
        rustix::fs::statfs(path).is_ok_and(|fs| [BTRFS, XFS, BCACHEFS].contains(&fs.f_type))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (path, BTRFS, XFS, BCACHEFS);
        true
    }
}

fn seconds_now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The marks of a spawn that is done go; the journal and the colour log hear of it. May be done
/// twice.
pub(super) fn finish(root: &Root, repository: &Repository, record: &Record) -> Result<(), Error> {
    for item in record.items.iter().filter(|item| item.adopted.is_none()) {
        if record.clones {
            clone::unmark(record, item)?;
        } else if let Some(git_dir) = entry_of(repository, record, item)? {
            journal::remove_file(&git_dir.join("locked"))?;
        }
    }
    let events = root.make_dir(&root.journal());
    events?;
    Journal::open(root)?.change(|state| {
        let missing = record.items.iter().filter(|item| {
            let known = state.agents.get(&item.agent);
            known.is_none_or(|known| known.epoch < item.epoch)
        });
        let events = missing.map(|item| Event {
            at: crate::swarm::journal::now(),
            correlation_id: record.tx.clone(),
            what: What::Joined {
                agent: item.agent.clone(),
                epoch: item.epoch,
            },
        });
        (events.collect(), ())
    })?;
    let mut lines = String::new();
    for tree in Tree::all(root)? {
        let agent = tree.identity.agent.as_str();
        if let Some(item) = record.items.iter().find(|item| item.agent == agent) {
            lines.push_str(&Scheme::of_slot(item.slot).log_record(&Worn {
                time: &crate::swarm::journal::now(),
                agent,
                worktree: Some(&tree.path.to_string_lossy()),
                branch: &item.branch,
                tasks: &tree.notes.tasks,
            }));
        }
    }
    environment::log_colours(root, &lines)?;
    record.remove(&repository.common_dir)
}

/// git's entry for an item, if it bears this spawn's mark.
fn entry_of(
    repository: &Repository,
    record: &Record,
    item: &Item,
) -> Result<Option<PathBuf>, Error> {
    let dirs = repository
        .git_dirs()
        .map_err(Error::at(&repository.common_dir))?;
    let mark = record.mark();
    Ok(dirs.into_iter().skip(1).find(|dir| {
        let locked = fs::read_to_string(dir.join("locked"));
        locked.is_ok_and(|reason| reason.trim() == mark)
            && super::tree::top_of(dir).as_deref() == Some(item.path.as_path())
    }))
}

/// Takes a spawn back, newest first: only what bears its mark, branches only where they still
/// stand where they were made.
pub(super) fn take_back(repository: &Repository, record: &Record) -> Result<(), Error> {
    let common = &repository.common_dir;
    let git = Git::at(common);
    let mut deletes = String::new();
    for item in record.items.iter().rev() {
        if let Some(git_dir) = &item.adopted {
            adopt::take_back(git_dir)?;
            take_back_around(&record.root, item)?;
            continue;
        }
        if record.clones {
            clone::take_back(record, item)?;
            take_back_around(&record.root, item)?;
            continue;
        }
        let entry = entry_of(repository, record, item)?;
        if let Some(git_dir) = &entry {
            // The tree first, git's mark of it last: a kill in between is taken up again.
            let link = fs::read(item.path.join(".git")).unwrap_or_default();
            let link = link
                .strip_prefix(b"gitdir: ")
                .unwrap_or_default()
                .trim_ascii();
            if link == git_dir.as_os_str().as_bytes() {
                // Its .git goes last, so that a kill in the middle finds it again.
                empty_tree(&item.path)?;
                journal::remove_tree(&item.path)?;
            }
            journal::remove_tree(git_dir)?;
        }
        // Made, but without anything in it yet.
        drop(fs::remove_dir(&item.path));
        take_back_around(&record.root, item)?;
        let reference = format!("refs/heads/{}", item.branch);
        let args = ["reflog", "show", "-n", "2", "--format=%H %gs", &reference];
        let made = format!("{} {}", record.base, record.mark());
        if git.ask(&args)?.is_some_and(|log| log == made) {
            deletes.push_str(&format!("delete {reference} {}\n", record.base));
        }
    }
    if !deletes.is_empty() {
        git.feed(&["update-ref", "--stdin"], deletes.as_bytes())?;
    }
    // git keeps the directory of the last entry too.
    drop(fs::remove_dir(common.join("worktrees")));
    if record.switched {
        guard::unprepare(&git, common)?;
    }
    record.remove(common)
}

/// Everything in a tree but its `.git`.
fn empty_tree(top: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(top).map_err(Error::at(top))? {
        let entry = entry.map_err(Error::at(top))?;
        if entry.file_name() == ".git" {
            continue;
        }
        if entry.file_type().map_err(Error::at(entry.path()))?.is_dir() {
            journal::remove_tree(&entry.path())?;
        } else {
            journal::remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Mailbox, window and temporary files of an agent that never began.
fn take_back_around(root: &Path, item: &Item) -> Result<(), Error> {
    let Ok(agent) = item.agent.parse::<AgentName>() else {
        return Ok(());
    };
    journal::remove_file(&root.join(format!("wt/{agent}.code-workspace")))?;
    journal::remove_tree(&root.join("tmp").join(agent.as_str()))?;
    // What the room `spool` was making when it was killed; no agent can have such a name.
    let half_made = format!(".making-{agent}.");
    for entry in fs::read_dir(root.join("mail"))
        .into_iter()
        .flatten()
        .flatten()
    {
        if item.mailbox && entry.file_name().to_string_lossy().starts_with(&half_made) {
            journal::remove_tree(&entry.path())?;
        }
    }
    let mailbox = root.join("mail").join(agent.as_str());
    if item.mailbox && is_unused(&mailbox) {
        journal::remove_tree(&mailbox)?;
    }
    Ok(())
}

/// Whether no message ever came: directories for them may be there.
fn is_unused(mailbox: &Path) -> bool {
    ["tmp", "new", "cur", "done", "dead"].iter().all(|part| {
        let below = walkdir::WalkDir::new(mailbox.join(part)).into_iter();
        below.flatten().all(|entry| entry.file_type().is_dir())
    })
}
