//! Standard input and operands, taken the same way by every command: operands, else standard
//! input, one a line; every input has a limit.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use anyhow::Context;

use super::error::{self, Failure};
use super::{Result, Tool};

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
