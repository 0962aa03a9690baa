//! Signing and checking with `ssh-keygen`, which has the keys, the agent and the formats.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::Context;

use super::Result;
use super::error::{Failure, Status};
use crate::spore::signature::{self, NAMESPACE};

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// The one it says it is from has signed it.
    Verified,
    /// Nobody has signed it.
    Unsigned,
    /// It has a signature that is not that of the one it says it is from, or not of these bytes.
    Forged,
}

impl Worth {
    /// The word in records and messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Worth::Verified => "verified",
            Worth::Unsigned => "unsigned",
            Worth::Forged => "FORGED",
        }
    }
}

/// The spore with a signature by `key` (a private key, or a public one that the agent knows).
pub(super) fn sign(spore: &[u8], key: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key);
    let done = fed(&mut command, spore)?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr);
        let why = why.lines().next().unwrap_or("ssh-keygen failed").to_owned();
        return Err(Failure::new(Status::Refused, format!("not signed: {why}"))
            .hint("--sign takes a private key of ssh, or a public one whose private part the agent has")
            .into());
    }
    let armored = String::from_utf8(done.stdout).context("the signature")?;
    let mut spore = spore.to_vec();
    if !spore.ends_with(b"\n") {
        spore.push(b'\n');
    }
    signature::attach(&spore, &armored)
        .ok_or_else(|| Failure::usage("ssh-keygen gave no signature").into())
}

/// What the signature of a spore is worth; `signers` is a file as `ssh-keygen -Y verify` and git
/// know it: a name and a public key in each line.
pub(super) fn judge(spore: &[u8], from: &str, signers: &Path) -> Result<Worth> {
    let Some((signed, armored)) = signature::split(spore) else {
        return Ok(Worth::Unsigned);
    };
    // It must not be taken for a missing or forged signature that nobody could check.
    std::fs::metadata(signers).with_context(|| format!("{}", signers.display()))?;
    let mut file = tempfile("signature")?;
    file.1.write_all(armored.as_bytes())?;
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-Y", "verify", "-n", NAMESPACE, "-I", from, "-f"])
        .arg(signers)
        .arg("-s")
        .arg(&file.0);
    let done = fed(&mut command, signed);
    drop(std::fs::remove_file(&file.0));
    Ok(match done?.status.success() {
        true => Worth::Verified,
        false => Worth::Forged,
    })
}

/// A file of ours alone among the temporary ones.
fn tempfile(what: &str) -> Result<(std::path::PathBuf, std::fs::File)> {
    let name = format!("spore-{what}-{}", uuid::Uuid::new_v4().simple());
    let path = std::env::temp_dir().join(name);
    let mut options = std::fs::OpenOptions::new();
    let file = crate::swarm::files::open_private(options.write(true).create_new(true), &path)
        .with_context(|| format!("{}", path.display()))?;
    Ok((path, file))
}

/// Runs a command that reads `input`.
fn fed(command: &mut Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting ssh-keygen (Debian: openssh-client)")?;
    if let Some(mut stdin) = child.stdin.take() {
        // It says by its status why it did not read on.
        drop(stdin.write_all(input));
    }
    Ok(child.wait_with_output()?)
}
