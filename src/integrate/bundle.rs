//! Work as one file, for machines that share no disk: commits, outcomes, messages.
//!
//! The file is one line of JSON ([`Header`]), then a git bundle (gitformat-bundle(5)). Who imports it
//! trusts nothing that cannot be replayed here: objects are checked one by one, a branch counts only
//! if it is the commit that the line says, an outcome only if the commits bear it out, no gate that
//! somebody else ran counts, and messages are put beside for reading, not delivered.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::candidate::Candidate;
use super::{Error, place};
use crate::event::What;
use crate::id::AgentName;
use crate::swarm::{Journal, Root, files, journal};
use crate::workspace::Git;
use crate::workspace::merge;
use crate::workspace::plan::check_branch;

/// How long the line of JSON may be, in bytes.
const LINE: usize = 64 << 20;
/// How long the whole file may be, in bytes.
const WHOLE: u64 = 8 << 30;
/// How many messages of an agent go along, the newest first.
const MESSAGES: usize = 1000;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    v: u32,
    r#type: String,
    at: String,
    /// The target that the branches are meant for.
    into: String,
    branches: Vec<Branch>,
    /// How long the git bundle after it is.
    bytes: u64,
}

/// One branch in it.
#[derive(Debug, Serialize, Deserialize)]
struct Branch {
    branch: String,
    /// Its name in the git bundle.
    reference: String,
    commit: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    agent: Option<String>,
    #[serde(default)]
    tasks: Vec<String>,
    /// What came of the runs that made it, as `agent-run` wrote it.
    #[serde(default)]
    outcomes: Vec<Box<RawValue>>,
    /// The messages in its agent's mailbox.
    #[serde(default)]
    messages: Vec<String>,
}

/// Writes the branches to `file`, which appears whole. Gives its length.
pub fn export(
    root: &Root,
    git: &Git,
    into: &str,
    ready: &[Candidate],
    file: &Path,
) -> Result<u64, Error> {
    let mut args = vec![
        "bundle".to_owned(),
        "create".to_owned(),
        "--quiet".to_owned(),
        "-".to_owned(),
    ];
    let mut branches = Vec::new();
    for candidate in ready {
        let own = format!("refs/heads/{}", candidate.branch);
        let clone = format!(
            "refs/spore/clones/{}",
            candidate.agent.as_deref().unwrap_or_default()
        );
        let mut reference = None;
        for name in [own, clone] {
            if merge::commit_of(git, &name)?.as_deref() == Some(&candidate.head) {
                reference.get_or_insert(name);
            }
        }
        let reference = reference.ok_or_else(|| Error::Usage {
            what: format!("{:?} is no branch", candidate.branch),
            hint: format!("git branch NAME {}, then export NAME", candidate.branch),
        })?;
        args.push(reference.clone());
        branches.push(Branch {
            branch: candidate.branch.clone(),
            reference,
            commit: candidate.head.clone(),
            agent: candidate.agent.clone(),
            tasks: candidate.tasks.clone(),
            outcomes: outcomes(root, candidate)?,
            messages: messages(root, candidate.agent.as_deref())?,
        });
    }
    args.extend(["--not".to_owned(), into.to_owned()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let bundle = git.bytes(&args)?;
    let header = Header {
        v: 1,
        r#type: "swarm-bundle".to_owned(),
        at: journal::now(),
        into: into.to_owned(),
        branches,
        bytes: bundle.len() as u64,
    };
    let mut bytes = serde_json::to_vec(&header).map_err(|error| Error::at(file)(error.into()))?;
    bytes.push(b'\n');
    bytes.extend(bundle);
    files::write_whole(file, &bytes).map_err(Error::at(file))?;
    Ok(bytes.len() as u64)
}

/// The outcomes of the runs that a branch's commits name, and of its agent's runs for its tasks.
fn outcomes(root: &Root, candidate: &Candidate) -> Result<Vec<Box<RawValue>>, Error> {
    let mut runs = candidate.runs.clone();
    Journal::read(root)?.replay(|event| {
        if let What::RunBegan {
            run,
            agent,
            task: Some(task),
            ..
        } = &event.what
            && candidate.agent.as_ref() == Some(agent)
            && candidate.tasks.contains(task)
            && !runs.contains(run)
        {
            runs.push(run.clone());
        }
    })?;
    let mut found = Vec::new();
    for run in runs.iter().filter(|run| run.parse::<AgentName>().is_ok()) {
        let path = root.runs().join(run).join("outcome.json");
        if let Some(bytes) = files::read_if_there(&path, 4 << 20).map_err(Error::at(&path))? {
            // Written anew, because it has to stand on the one line.
            let value = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
            found.extend(value.and_then(|value| serde_json::value::to_raw_value(&value).ok()));
        }
    }
    Ok(found)
}

/// The messages in an agent's mailbox, waiting and done, the newest first.
fn messages(root: &Root, agent: Option<&str>) -> Result<Vec<String>, Error> {
    let Some(agent) = agent else {
        return Ok(Vec::new());
    };
    let mail = root.mail().join(agent);
    let mut found = Vec::new();
    for place in ["new", "cur", "done"] {
        let walk = walkdir::WalkDir::new(mail.join(place))
            .into_iter()
            .flatten();
        for entry in walk.filter(|entry| entry.file_type().is_file()) {
            let modified = entry.metadata().ok().and_then(|meta| meta.modified().ok());
            found.push((modified, entry.into_path()));
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    let mut texts = Vec::new();
    for (_, path) in found.into_iter().take(MESSAGES) {
        if let Ok(Some(bytes)) = files::read_if_there(&path, 1 << 20) {
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(texts)
}

/// A branch that was brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its name here.
    pub branch: String,
    /// Its commit.
    pub commit: String,
    /// Outcomes that the commits bear out.
    pub believed: usize,
    /// Outcomes that they do not, with the reason.
    pub refused: Vec<String>,
    /// Messages that were put beside.
    pub messages: usize,
    /// Where they are, a file each, as `spore-send` takes them.
    pub messages_in: Option<PathBuf>,
}

/// Brings in what `file` holds: each branch as `import/NAME`, for `swarm-merge` to land after its
/// own test. Under the lock of the merge.
pub fn import(root: &Root, git: &Git, file: &Path) -> Result<Vec<Imported>, Error> {
    let wrong = |why: &str| Error::Usage {
        what: format!(
            "{:?} is no bundle of a swarm: {why}",
            file.display().to_string()
        ),
        hint: "swarm-merge --export FILE writes one".to_owned(),
    };
    let bytes = files::read_if_there(file, WHOLE).map_err(Error::at(file))?;
    let bytes = bytes.ok_or_else(|| wrong("it is not there"))?;
    let end = bytes.iter().take(LINE).position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| wrong("it has no first line"))?;
    let header: Header =
        serde_json::from_slice(&bytes[..end]).map_err(|error| wrong(&error.to_string()))?;
    let bundle = &bytes[end + 1..];
    if header.v != 1 || header.r#type != "swarm-bundle" {
        return Err(wrong("it is of another version"));
    }
    if bundle.len() as u64 != header.bytes {
        return Err(wrong(&format!(
            "{} bytes are to follow, and {} do",
            header.bytes,
            bundle.len()
        )));
    }
    for branch in &header.branches {
        check_branch(&branch.branch)
            .map_err(|why| wrong(&format!("{:?}: {why}", branch.branch)))?;
        let agent = branch
            .agent
            .as_deref()
            .map(str::parse::<AgentName>)
            .transpose();
        agent.map_err(|error| wrong(&error.to_string()))?;
        let reference = branch
            .reference
            .strip_prefix("refs/")
            .is_some_and(|rest| check_branch(rest).is_ok());
        if !is_commit_id(&branch.commit) || !reference {
            return Err(wrong("it names something that is no commit or no branch"));
        }
    }
    let id = uuid::Uuid::new_v4().to_string();
    let dir = place(root, "imported").join(&id);
    root.make_dir(&dir)?;
    let kept = dir.join("commits.bundle");
    files::write_whole(&kept, bundle).map_err(Error::at(&kept))?;
    let brought = bring(root, git, &header, &kept, &id, &wrong);
    // What the branches hold needs no second copy.
    drop(fs::remove_file(&kept));
    drop(fs::remove_dir(&dir));
    brought
}

fn bring(
    root: &Root,
    git: &Git,
    header: &Header,
    kept: &Path,
    id: &str,
    wrong: &dyn Fn(&str) -> Error,
) -> Result<Vec<Imported>, Error> {
    let path = kept.to_string_lossy();
    if git.ask(&["bundle", "verify", "--quiet", &path])?.is_none() {
        return Err(wrong(
            "git cannot read it, or commits that it builds on are missing here: git fetch them first",
        ));
    }
    let git = git.unguarded();
    let mut brought = Vec::new();
    for (number, branch) in header.branches.iter().enumerate() {
        let aside = format!("refs/spore/import/{id}/{number}");
        let both = format!("+{}:{aside}", branch.reference);
        let checked = ["transfer.fsckObjects=true", "fetch.fsckObjects=true"];
        merge::fetch(&git, &checked, &path, &both)?;
        let is = merge::commit_of(&git, &aside)?.unwrap_or_default();
        git.bytes(&["update-ref", "-d", &aside])?;
        if is != branch.commit {
            return Err(wrong(&format!(
                "{:?} is said to be {} and is {is}",
                branch.branch, branch.commit
            )));
        }
        let name = name_it(&git, &branch.branch, &is)?;
        let mut refused = Vec::new();
        for outcome in &branch.outcomes {
            refused.extend(bears_out(&git, branch, outcome.get())?.err());
        }
        let dir = place(root, "imported").join(id).join(number.to_string());
        if !branch.messages.is_empty() {
            root.make_dir(&dir)?;
        }
        for (place, text) in branch.messages.iter().enumerate() {
            let path = dir.join(format!("{place:04}.md"));
            files::write_whole(&path, text.as_bytes()).map_err(Error::at(&path))?;
        }
        brought.push(Imported {
            branch: name,
            commit: is,
            believed: branch.outcomes.len() - refused.len(),
            refused,
            messages: branch.messages.len(),
            messages_in: (!branch.messages.is_empty()).then_some(dir),
        });
    }
    Ok(brought)
}

/// A branch `import/NAME` at the commit; one that is there with another commit stays, and this gets
/// a number.
fn name_it(git: &Git, branch: &str, commit: &str) -> Result<String, Error> {
    for n in 1..100 {
        let name = match n {
            1 => format!("import/{branch}"),
            n => format!("import/{branch}-{n}"),
        };
        let full = format!("refs/heads/{name}");
        match merge::commit_of(git, &full)? {
            Some(there) if there == commit => return Ok(name),
            Some(_) => {}
            None => {
                let zero = "0".repeat(commit.len());
                if merge::move_ref(git, &full, &zero, commit, "swarm-merge --import")? {
                    return Ok(name);
                }
            }
        }
    }
    Err(Error::Refused {
        what: format!("branches import/{branch} to import/{branch}-99 exist"),
        hint: "git branch -D those that are no longer needed".to_owned(),
    })
}

/// Whether a text has the form of a whole commit id, of any hash.
fn is_commit_id(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the commits are what an outcome says: its last one in the branch, as many, with as many
/// files.
fn bears_out(git: &Git, branch: &Branch, outcome: &str) -> Result<Result<(), String>, Error> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        run: String,
        base: Option<String>,
        head: Option<String>,
        commits: Option<u64>,
        files: Option<u64>,
    }
    let Ok(said) = serde_json::from_str::<Said>(outcome) else {
        return Ok(Err("an outcome that cannot be read".to_owned()));
    };
    let run = said.run.as_str();
    let (Some(base), Some(head)) = (&said.base, &said.head) else {
        return Ok(Err(format!("{run}: says nothing that can be replayed")));
    };
    if !is_commit_id(base) || !is_commit_id(head) {
        return Ok(Err(format!("{run}: names no commits")));
    }
    if !merge::is_ancestor(git, head, &branch.commit)? {
        return Ok(Err(format!(
            "{run}: its commit {head} is not in the branch"
        )));
    }
    let range = format!("{base}..{head}");
    let Some(count) = git.ask(&["rev-list", "--count", &range])? else {
        return Ok(Err(format!("{run}: its base {base} is not here")));
    };
    if said
        .commits
        .is_some_and(|commits| commits.to_string() != count)
    {
        return Ok(Err(format!(
            "{run}: says {} commits, and there are {count}",
            said.commits.unwrap_or(0)
        )));
    }
    let names = git.bytes(&["diff", "--name-only", "--no-renames", "-z", base, head])?;
    let there = names.iter().filter(|byte| **byte == 0).count() as u64;
    Ok(match said.files {
        Some(files) if files != there => {
            Err(format!("{run}: says {files} files, and {there} differ"))
        }
        _ => Ok(()),
    })
}

/// Says on one line what came of a branch.
pub fn line(out: &mut impl Write, imported: &Imported) -> std::io::Result<()> {
    let short = &imported.commit[..imported.commit.len().min(12)];
    let claims = imported.believed + imported.refused.len();
    writeln!(
        out,
        "imported\t{}\t{short}\t{} of {claims} outcomes borne out, {} messages{}",
        imported.branch,
        imported.believed,
        imported.messages,
        match &imported.messages_in {
            Some(dir) => format!(" in {}", dir.display()),
            None => String::new(),
        }
    )
}
