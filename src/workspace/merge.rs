//! Merging in memory: two commits to a tree, or to what stands in the way; and making commits.
//!
//! git itself does the merging (`git merge-tree --write-tree`, git 2.38 or later), so renames, merge
//! drivers and attributes count as they do in `git merge`. No working tree, no index and no ref is
//! touched; objects go to the repository, or aside ([`Git::with_new_objects`]).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Error, Git};

/// What merging two commits gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// A tree.
    Clean(String),
    /// A tree with conflict markers, and the files that they are about.
    Conflict(Conflict),
    /// Nothing: they have no common ancestor.
    Unrelated,
}

/// What stands in the way of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The tree with conflict markers.
    pub tree: String,
    /// The files, by path.
    pub files: Vec<Clash>,
}

/// One file that two sides changed in ways that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Its path; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// What kind of conflict it is, in git's words: `contents`, `binary`, `modify/delete`, …
    pub kind: String,
    /// git's sentence about it.
    pub said: String,
    /// Its content on the first and the second side, where it has one.
    pub sides: [Option<String>; 2],
}

/// Merges `ours` and `theirs` in memory.
///
/// # Errors
/// [`Error::Git`] when git could not even try.
pub fn merge(git: &Git, ours: &str, theirs: &str) -> Result<Merge, Error> {
    let args = [
        "merge-tree",
        "--write-tree",
        "-z",
        "--messages",
        ours,
        theirs,
    ];
    let output = git.output(&args)?;
    match output.status.code() {
        Some(0) => Ok(Merge::Clean(first_field(&output.stdout))),
        Some(1) => Ok(Merge::Conflict(read_conflict(&output.stdout))),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if said.contains("unrelated histories") {
                return Ok(Merge::Unrelated);
            }
            Err(Error::Git {
                command: args.join(" "),
                said,
            })
        }
    }
}

fn first_field(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| matches!(byte, 0 | b'\n'));
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// Reads the `-z` form of `git merge-tree`: the tree, the entries in conflict, an empty field, the
/// messages (number of paths, the paths, the kind, the sentence).
fn read_conflict(bytes: &[u8]) -> Conflict {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = bytes.split(|byte| *byte == 0);
    let tree = text(fields.next().unwrap_or_default());
    let mut files: BTreeMap<String, Clash> = BTreeMap::new();
    for field in fields.by_ref().take_while(|field| !field.is_empty()) {
        // `MODE OID STAGE\tPATH`
        let Some(tab) = field.iter().position(|byte| *byte == b'\t') else {
            continue;
        };
        let path = text(&field[tab + 1..]);
        let words = text(&field[..tab]);
        let mut words = words.split(' ').skip(1);
        let (oid, stage) = (words.next().unwrap_or_default(), words.next());
        let clash = files.entry(path.clone()).or_insert_with(|| Clash {
            path,
            kind: String::new(),
            said: String::new(),
            sides: [None, None],
        });
        match stage {
            Some("2") => clash.sides[0] = Some(oid.to_owned()),
            Some("3") => clash.sides[1] = Some(oid.to_owned()),
            _ => {}
        }
    }
    while let Some(count) = fields.next().and_then(|field| text(field).parse().ok()) {
        let count: usize = count;
        let paths: Vec<String> = fields.by_ref().take(count).map(text).collect();
        let kind = text(fields.next().unwrap_or_default());
        let said = text(fields.next().unwrap_or_default()).trim().to_owned();
        let Some(kind) = kind
            .strip_prefix("CONFLICT (")
            .and_then(|kind| kind.strip_suffix(')'))
        else {
            continue;
        };
        for path in &paths {
            if let Some(clash) = files.get_mut(path).filter(|clash| clash.kind.is_empty()) {
                clash.kind = kind.to_owned();
                clash.said.clone_from(&said);
            }
        }
    }
    let mut files: Vec<Clash> = files.into_values().collect();
    for clash in files.iter_mut().filter(|clash| clash.kind.is_empty()) {
        clash.kind = "rename".to_owned();
    }
    Conflict { tree, files }
}

/// Lines of a file with conflict markers: where the two sides differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// The line of the first marker, from 1.
    pub line: usize,
    /// What the first side has.
    pub ours: Vec<String>,
    /// What the second side has.
    pub theirs: Vec<String>,
}

/// The hunks of a file with conflict markers of the usual length.
pub fn hunks(text: &str) -> Vec<Hunk> {
    enum In {
        Text,
        Ours,
        Base,
        Theirs,
    }
    let mut found: Vec<Hunk> = Vec::new();
    let mut place = In::Text;
    for (number, line) in (1..).zip(text.lines()) {
        place = match place {
            In::Text if line.starts_with("<<<<<<< ") => {
                found.push(Hunk {
                    line: number,
                    ours: Vec::new(),
                    theirs: Vec::new(),
                });
                In::Ours
            }
            In::Ours | In::Base if line == "=======" => In::Theirs,
            In::Ours if line.starts_with("||||||| ") => In::Base,
            In::Theirs if line.starts_with(">>>>>>> ") => In::Text,
            other => other,
        };
        let hunk = found.last_mut();
        match (&place, hunk) {
            (In::Ours, Some(hunk)) if hunk.line != number => hunk.ours.push(line.to_owned()),
            (In::Theirs, Some(hunk)) if line != "=======" || !hunk.theirs.is_empty() => {
                hunk.theirs.push(line.to_owned());
            }
            _ => {}
        }
    }
    if !matches!(place, In::Text) {
        // A line that only looks like a marker.
        found.pop();
    }
    found
}

/// Makes a commit. With neither name nor address configured it bears ours.
pub fn commit(
    git: &Git,
    tree: &str,
    parents: &[&str],
    message: &str,
    author: Option<&Author>,
) -> Result<String, Error> {
    let mut args = vec!["commit-tree", tree, "-F", "-"];
    let signs = git.ask(&["config", "--type=bool", "commit.gpgSign"])?;
    if signs.as_deref() == Some("true") {
        args.push("-S");
    }
    for parent in parents {
        args.extend(["-p", parent]);
    }
    let mut git = git.clone();
    if git.ask(&["var", "GIT_COMMITTER_IDENT"])?.is_none() {
        git = git
            .with("GIT_AUTHOR_NAME", "sporekit")
            .with("GIT_AUTHOR_EMAIL", "sporekit@localhost")
            .with("GIT_COMMITTER_NAME", "sporekit")
            .with("GIT_COMMITTER_EMAIL", "sporekit@localhost");
    }
    if let Some(author) = author {
        git = git
            .with("GIT_AUTHOR_NAME", &author.name)
            .with("GIT_AUTHOR_EMAIL", &author.email)
            .with("GIT_AUTHOR_DATE", &author.date);
    }
    let made = git.feed(&args, message.as_bytes())?;
    Ok(String::from_utf8_lossy(&made).trim().to_owned())
}

/// Who wrote a commit, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
    /// When, as git reads it.
    pub date: String,
}

impl Author {
    /// The author of a commit.
    pub fn of(git: &Git, commit: &str) -> Result<Author, Error> {
        let text = git.text(&["show", "-s", "--format=%an%n%ae%n%ad", "--date=raw", commit])?;
        let mut lines = text.lines().map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        Ok(Author {
            name: next(),
            email: next(),
            date: next(),
        })
    }
}

/// The tree of a commit.
pub fn tree_of(git: &Git, commit: &str) -> Result<String, Error> {
    git.text(&["rev-parse", "--verify", &format!("{commit}^{{tree}}")])
}

/// The commit that a revision names; none if it names none.
pub fn commit_of(git: &Git, revision: &str) -> Result<Option<String>, Error> {
    let peeled = format!("{revision}^{{commit}}");
    git.ask(&["rev-parse", "-q", "--verify", "--end-of-options", &peeled])
}

/// Whether a commit is in the history of another, or is that one; false where either is not there.
pub fn is_ancestor(git: &Git, ancestor: &str, of: &str) -> Result<bool, Error> {
    let output = git.output(&["merge-base", "--is-ancestor", ancestor, of])?;
    Ok(output.status.success())
}

/// Takes what `refspec` names out of another repository or a bundle, without a trace but the ref;
/// `config` are settings for this one command, each as `NAME=VALUE`.
pub fn fetch(git: &Git, config: &[&str], from: &str, refspec: &str) -> Result<(), Error> {
    let mut args: Vec<&str> = config.iter().flat_map(|line| ["-c", line]).collect();
    args.extend(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]);
    args.extend([from, refspec]);
    git.bytes(&args).map(drop)
}

/// Moves a ref from `old` to `new`, only if it still is at `old`. Says whether it did.
///
/// # Errors
/// [`Error::Git`] when a hook or the file system refused.
pub fn move_ref(git: &Git, name: &str, old: &str, new: &str, why: &str) -> Result<bool, Error> {
    let args = ["update-ref", "-m", why, name, new, old];
    let output = git.output(&args)?;
    if output.status.success() {
        return Ok(true);
    }
    if git.ask(&["rev-parse", "-q", "--verify", name])?.as_deref() != Some(old) {
        return Ok(false);
    }
    Err(Error::Git {
        command: args.join(" "),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// The worktrees in which a branch is checked out, the main checkout included.
pub fn checkouts(git: &Git, reference: &str) -> Result<Vec<PathBuf>, Error> {
    use std::os::unix::ffi::OsStrExt;
    let listed = git.bytes(&["worktree", "list", "--porcelain", "-z"])?;
    let mut found = Vec::new();
    let mut path = None;
    for field in listed.split(|byte| *byte == 0) {
        if let Some(at) = field.strip_prefix(b"worktree ") {
            path = Some(PathBuf::from(std::ffi::OsStr::from_bytes(at)));
        } else if field.strip_prefix(b"branch ") == Some(reference.as_bytes()) {
            found.extend(path.take());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_of_merge_tree_are_read() {
        let bytes = b"aaa\x00100644 b1 1\tf\x00100644 b2 2\tf\x00100644 b3 3\tf\x00100644 c1 1\tg\x00100644 c3 3\tg\x00\x001\x00f\x00Auto-merging\x00Auto-merging f\n\x001\x00f\x00CONFLICT (contents)\x00CONFLICT (content): Merge conflict in f\n\x001\x00g\x00CONFLICT (modify/delete)\x00g deleted\n\x00";
        let conflict = read_conflict(bytes);
        assert_eq!(conflict.tree, "aaa");
        assert_eq!(conflict.files.len(), 2);
        assert_eq!(conflict.files[0].kind, "contents");
        assert_eq!(
            conflict.files[0].sides,
            [Some("b2".into()), Some("b3".into())]
        );
        assert_eq!(conflict.files[1].kind, "modify/delete");
        assert_eq!(conflict.files[1].sides, [None, Some("c3".into())]);
        assert_eq!(conflict.files[1].said, "g deleted");
    }

    #[test]
    fn hunks_are_found_in_both_styles_and_text_that_looks_like_a_marker_is_none() {
        let text = "1\n<<<<<<< a\nA\n=======\nB\nBB\n>>>>>>> b\n3\n<<<<<<< a\n||||||| base\nx\n=======\nC\n>>>>>>> b\n";
        let found = hunks(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[1].line), (2, 9));
        assert_eq!(found[0].ours, ["A"]);
        assert_eq!(found[0].theirs, ["B", "BB"]);
        assert_eq!(found[1].ours, Vec::<String>::new());
        assert_eq!(found[1].theirs, ["C"]);
        assert_eq!(hunks("a\n<<<<<<< this is a heading\ntext\n"), []);
        assert_eq!(hunks("=======\n>>>>>>> b\n"), []);
    }
}
