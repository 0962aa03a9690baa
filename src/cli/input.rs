//! Standard input and operands, taken the same way by every command: operands, else standard
//! input, one a line; every input has a limit.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use anyhow::Context;

use super::error::{self, Failure};
use super::{Result, Tool};
use crate::swarm::Root;
use crate::workspace::Tree;

/// Opens `name`, or standard input for `-`.
pub fn open(name: &str) -> Result<Box<dyn BufRead>> {
    if name == "-" {
        return Ok(Box::new(BufReader::with_capacity(64 * 1024, io::stdin())));
    }
    let file = File::open(name).with_context(|| format!("{name:?}"))?;
    Ok(Box::new(BufReader::with_capacity(64 * 1024, file)))
}

/// Standard input, unless it is a terminal: then short help and status 2.
pub fn stdin<T: Tool>() -> Result<Box<dyn BufRead>> {
    if error::stdin_is_terminal() {
        return Err(error::no_input::<T>().into());
    }
    open("-")
}

/// The whole of `reader`, refused when it is longer than `limit` bytes.
pub fn whole(mut reader: impl Read, what: &str, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .by_ref()
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(|| what.to_owned())?;
    if bytes.len() as u64 > limit {
        return Err(
            Failure::usage(format!("{what}: longer than the limit of {limit} bytes")).into(),
        );
    }
    Ok(bytes)
}

/// The worktrees of the agents that are named, or all.
pub fn trees(root: &Root, names: &[String]) -> Result<Vec<Tree>> {
    let all = Tree::all(root)?;
    match names.is_empty() {
        true => Ok(all),
        false => Ok(Tree::named(&all, names)?),
    }
}

/// Names of agents on standard input, a line each: a name, or a JSON record with `agent` or
/// `instance_id`. `hint` tells whoever named nobody what to type.
pub fn agents(hint: &str) -> Result<Vec<String>> {
    let nobody = || Failure::usage("nobody is named").hint(hint);
    if error::stdin_is_terminal() {
        return Err(nobody().into());
    }
    let mut names = Vec::new();
    for (number, line) in open("-")?.lines().enumerate() {
        let line = line.context("standard input")?;
        let line = line.trim();
        let wrong =
            |why: String| Failure::usage(format!("standard input, line {}: {why}", number + 1));
        if line.starts_with('{') {
            let record: serde_json::Value =
                serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            let name = record.get("agent").or(record.get("instance_id"));
            let name = name
                .and_then(|name| name.as_str())
                .ok_or_else(|| wrong("no \"agent\" and no \"instance_id\"".to_owned()))?;
            names.push(name.to_owned());
        } else if !line.is_empty() {
            names.push(line.to_owned());
        }
    }
    match names.is_empty() {
        true => Err(nobody().into()),
        false => Ok(names),
    }
}
