//! The files of new trees: one checkout by git at most, the others filled from what is there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::base::Base;
use super::fill::{self, Source, in_parallel};
use super::git::Running;
use super::index::{Entry, Index, Stat};
use super::journal::Record;
use super::spawn::{Ground, there};
use super::{Error, Git, Tree};

/// A checkout that has files which new trees need.
struct Donor {
    top: PathBuf,
    index: Index,
    /// The second in which the index was written.
    written: u32,
}

impl Donor {
    /// The stat data of each entry that the donor has in the same form and surely unchanged; none
    /// if it has few of them, or attributes may change what git would write.
    fn known(&self, wanted: &[Entry]) -> Option<Vec<Option<Stat>>> {
        let attributes = |entry: &Entry| entry.path.ends_with(b".gitattributes");
        if wanted.iter().any(attributes) {
            return None;
        }
        let mut others = self.index.entries.iter().peekable();
        let known: Vec<Option<Stat>> = wanted
            .iter()
            .map(|entry| {
                while others.next_if(|other| other.path < entry.path).is_some() {}
                let same = others.next_if(|other| other.path == entry.path)?;
                let same = (same.oid == entry.oid && same.kind == entry.kind).then_some(same.stat);
                // Racy: the file may have changed in the second in which the index was written.
                same.filter(|stat| stat.mtime.0 < self.written)
            })
            .collect();
        let usable = known.iter().flatten().count();
        (usable * 2 > known.len()).then_some(known)
    }
}

impl Ground<'_> {
    /// Fills all trees, each file read once; false if the index is one for git alone.
    pub(super) fn fill(
        &self,
        base: &Base,
        trees: &[Tree],
        branches: &Option<Running>,
        life: &File,
    ) -> Result<bool, Error> {
        let time = seconds_now() - 2;
        let tops: Vec<PathBuf> = trees.iter().map(|tree| tree.path.clone()).collect();
        let first = &trees[0];
        let own_index = first.git_dir.join("index");
        let donor = self.donor()?;
        let Some(index) = self.wanted(donor.as_ref(), base, first, branches, life)? else {
            return Ok(false);
        };
        let entries = &index.entries;
        let mut stats: Vec<Vec<Stat>> = vec![vec![Stat::default(); entries.len()]; tops.len()];
        let mut rest: BTreeSet<usize> = (0..entries.len()).collect();
        let known = donor.as_ref().and_then(|donor| donor.known(entries));
        if let (Some(donor), Some(known)) = (&donor, &known) {
            self.has_room(known, trees.len())?;
            fill::directories(entries, &tops)?;
            let source = Source {
                top: &donor.top,
                known,
                ours: false,
            };
            let filled = fill::copy(entries, source, &tops, time)?;
            for (place, row) in filled.into_iter().enumerate() {
                if let Some(row) = row {
                    rest.remove(&place);
                    row.into_iter()
                        .enumerate()
                        .for_each(|(n, stat)| stats[n][place] = stat);
                }
            }
            if !rest.is_empty() {
                fs::write(&own_index, index.with_stats(&stats[0]))
                    .map_err(Error::at(&own_index))?;
                self.write_by_git(first, &index, &rest)?;
            }
        } else if donor.is_some() {
            there(branches)?;
            self.checkout(first, life)?;
        }
        if !rest.is_empty() {
            let Some(now) = Index::read(&own_index)? else {
                return Ok(false);
            };
            let known: Vec<Option<Stat>> = (0..now.entries.len())
                .map(|place| rest.contains(&place).then(|| now.entries[place].stat))
                .collect();
            self.has_room(&known, tops.len() - 1)?;
            fill::directories(&now.entries, &tops[1..])?;
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

    /// The index that every tree is to have. The main checkout's own where that holds the wanted
    /// commit; otherwise git makes it, together with the first tree where there is no donor.
    fn wanted(
        &self,
        donor: Option<&Donor>,
        base: &Base,
        first: &Tree,
        branches: &Option<Running>,
        life: &File,
    ) -> Result<Option<Index>, Error> {
        match donor {
            Some(donor) if base.tree.is_some() && donor.index.root_tree() == base.tree => {
                return Ok(Some(donor.index.clone()));
            }
            Some(_) => self.run(first, &["read-tree", &base.oid], life)?,
            None => {
                there(branches)?;
                self.checkout(first, life)?;
            }
        }
        Index::read(&first.git_dir.join("index"))
    }

    /// The main checkout, if git would write the same bytes again: no conversion, and (in
    /// [`Donor::known`]) no attributes.
    fn donor(&self) -> Result<Option<Donor>, Error> {
        let Some(top) = self.main() else {
            return Ok(None);
        };
        let converts = [
            "core.autocrlf",
            "core.eol",
            "core.attributesfile",
            "core.checkroundtripencoding",
        ];
        let common = &self.repository.common_dir;
        let path = common.join("index");
        let settings = self.settings.get()?;
        let converts = converts.iter().any(|name| settings.get(name).is_some());
        if converts || common.join("info/attributes").exists() || !path.exists() {
            return Ok(None);
        }
        let stamp = rustix::fs::stat(&path).map_err(|errno| Error::at(&path)(errno.into()))?;
        Ok(Index::read(&path)?.map(|index| Donor {
            top,
            index,
            written: Stat::of(&stamp).mtime.0,
        }))
    }

    /// Refuses before the disk is full half-way, where the sizes are known.
    fn has_room(&self, known: &[Option<Stat>], trees: usize) -> Result<(), Error> {
        let path = self.root.worktrees();
        let Ok(room) = rustix::fs::statvfs(&path) else {
            return Ok(());
        };
        let files = (known.len() * trees) as u64;
        // File systems that make inodes as needed report none at all.
        if room.f_files > 0 && files > room.f_favail {
            return Err(Error::Plan(vec![format!(
                "{trees} worktrees need {files} inodes, {} are free",
                room.f_favail
            )]));
        }
        let sizes = known.iter().flatten().map(|stat| u64::from(stat.size));
        let need = sizes.sum::<u64>() * trees as u64;
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

    /// Lets git write those files of the first tree that the donor could not give.
    fn write_by_git(
        &self,
        first: &Tree,
        index: &Index,
        rest: &BTreeSet<usize>,
    ) -> Result<(), Error> {
        let mut paths = Vec::new();
        for place in rest {
            paths.extend_from_slice(&index.entries[*place].path);
            paths.push(0);
        }
        let args = ["checkout-index", "-f", "-u", "-q", "-z", "--stdin"];
        first.git().feed(&args, &paths).map(drop)
    }

    /// A whole checkout by git.
    pub(super) fn checkout(&self, tree: &Tree, life: &File) -> Result<(), Error> {
        let mut args = vec![];
        if self.settings.get()?.get("checkout.workers").is_none() {
            args.extend(["-c", "checkout.workers=0"]);
        }
        args.extend(["reset", "--hard", "-q", "--no-recurse-submodules"]);
        self.run(tree, &args, life)
    }

    /// `git worktree add` for repositories of an unusual kind: the entries in turn, because git
    /// stumbles over others' half-made ones, the files several trees at a time.
    pub(super) fn add_by_git(
        &self,
        record: &Record,
        trees: &mut [Tree],
        life: &File,
    ) -> Result<(), Error> {
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

    /// Brings over, from the objects that are here, the submodules that the main checkout has, and
    /// theirs.
    pub(super) fn submodules(&self, trees: &[Tree]) -> Result<(), Error> {
        let Some(main) = self.main() else {
            return Ok(());
        };
        let tops: Vec<PathBuf> = trees.iter().map(|tree| tree.path.clone()).collect();
        bring_submodules(&main, &self.repository.common_dir.join("modules"), &tops)
    }
}

/// Brings the submodules that are in `main`, with their git directories in `modules`, to the trees at
/// `tops`.
fn bring_submodules(main: &Path, modules: &Path, tops: &[PathBuf]) -> Result<(), Error> {
    let here = Git::at(main);
    if !main.join(".gitmodules").exists() {
        return Ok(());
    }
    let list = ["config", "-z", "--file", ".gitmodules", "--get-regexp"];
    let listed = here.ask(&[&list[..], &[r"^submodule\..*\.path$"]].concat())?;
    for (key, path) in listed
        .iter()
        .flat_map(|listed| listed.split('\0'))
        .filter_map(|entry| entry.split_once('\n'))
    {
        let name = key
            .trim_start_matches("submodule.")
            .trim_end_matches(".path");
        let objects = modules.join(name);
        let there: Vec<PathBuf> = tops
            .iter()
            .filter(|top| top.join(path).is_dir())
            .cloned()
            .collect();
        if !objects.is_dir() || there.is_empty() {
            continue;
        }
        let url = format!("submodule.{name}.url={}", objects.display());
        let origin = here.ask(&["config", "--get", &format!("submodule.{name}.url")])?;
        for top in &there {
            let update = ["submodule", "--quiet", "update", "--init", "--", path];
            let from = ["-c", &url, "-c", "protocol.file.allow=always"];
            Git::at(top).bytes(&[&from[..], &update].concat())?;
            if let Some(origin) = &origin {
                let module = Git::at(top.join(path));
                module.bytes(&["config", "remote.origin.url", origin])?;
            }
        }
        let tops: Vec<PathBuf> = there.iter().map(|top| top.join(path)).collect();
        bring_submodules(&main.join(path), &objects.join("modules"), &tops)?;
    }
    Ok(())
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
