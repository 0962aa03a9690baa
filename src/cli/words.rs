//! The words of the swarm that one stands in: the built-in grammar, `[grammar]` of `swarm.toml`, and
//! the file of `--grammar`.

use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context;

use super::error::Failure;
use super::{Result, input};
use crate::grammar::{Addition, Grammar, LIMIT};
use crate::swarm::{Config, Repository};

/// The repository that a command of text is used in; none is needed.
pub(super) fn repository(start: Option<&Path>) -> Result<Option<Repository>> {
    let start = start.unwrap_or(Path::new("."));
    Repository::find(start).with_context(|| format!("{:?}", start.display().to_string()))
}

/// A grammar of one's own, or the built-in one.
pub(super) enum Words {
    Builtin,
    Own(Box<Grammar>),
}

impl Deref for Words {
    type Target = Grammar;

    fn deref(&self) -> &Grammar {
        match self {
            Words::Builtin => Grammar::builtin(),
            Words::Own(grammar) => grammar,
        }
    }
}

impl Words {
    /// What is understood in `repository`, and the words of `file` besides.
    pub(super) fn here(repository: Option<&Repository>, file: Option<&Path>) -> Result<Words> {
        let mut added = Vec::new();
        let top = repository.and_then(|repository| repository.top.as_deref());
        if let Some(top) = top {
            added.extend(of_swarm(top)?);
        }
        if let Some(file) = file {
            added.push(read(file)?);
        }
        if added.is_empty() {
            return Ok(Words::Builtin);
        }
        let what = match (file, top) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(top)) => format!("{}: [grammar]", top.join("swarm.toml").display()),
            (None, None) => String::new(),
        };
        Ok(Words::Own(Box::new(
            Grammar::extended(added).context(what)?,
        )))
    }
}

/// What is understood in the repository of `start`, looked up once: a command stands in one place.
pub(super) fn grammar(start: Option<&Path>) -> Result<&'static Grammar> {
    static HERE: OnceLock<Words> = OnceLock::new();
    if let Some(words) = HERE.get() {
        return Ok(words);
    }
    let words = Words::here(repository(start)?.as_ref(), None)?;
    Ok(HERE.get_or_init(|| words))
}

/// What `[grammar]` of the `swarm.toml` in `top` adds: a file, then its own tables.
fn of_swarm(top: &Path) -> Result<Vec<Addition>> {
    let path = top.join("swarm.toml");
    let mut table = Config::read_file(&path)?.grammar;
    let what = || format!("{}: [grammar]", path.display());
    let mut added = Vec::new();
    match table.remove("file") {
        None => {}
        Some(toml::Value::String(file)) => added.push(read(&top.join(file)).with_context(what)?),
        Some(_) => {
            let why = format!("{}: file: the name of a file belongs here", what());
            return Err(Failure::usage(why).hint("file = \"grammar.toml\"").into());
        }
    }
    if !table.is_empty() {
        added.push(Addition::from_table(table).with_context(what)?);
    }
    Ok(added)
}

/// Reads a grammar file.
fn read(file: &Path) -> Result<Addition> {
    let name = file.display().to_string();
    let opened = std::fs::File::open(file).with_context(|| format!("{name:?}"))?;
    let bytes = input::whole(opened, &name, LIMIT)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{name}: not UTF-8"))?;
    Addition::parse(&text).with_context(|| name)
}
