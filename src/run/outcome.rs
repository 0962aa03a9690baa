//! What came of a run: one word, one exit status, the reason, and the figures.
//!
//! One line of JSON, fields only added within a `v`; what does not apply is absent:
//!
//! ```json
//! {"v":1,"type":"outcome","run":"kiro-1-3","outcome":"ok","exit":0,"reason":"2 commits, 3 files changed","agent":"kiro-1","task":"2.1","epoch":1,"command":"claude","correlation_id":"…","child_exit":0,"base":"9f3c…","head":"1d0e…","commits":2,"files":3,"insertions":41,"deletions":5,"uncommitted":0,"left_behind":0,"turns":7,"tokens":51200,"cost_usd":0.21,"began_at":"2026-11-24T09:00:00.000Z","ended_at":"2026-11-24T09:04:12.000Z","wall_ms":252000,"cpu_ms":8100,"peak_mem_kib":201000,"output_bytes":90112,"said":"Done: …"}
//! ```

use serde::{Deserialize, Serialize};

use crate::action::ActionResult;
use crate::action::json::{Object, Value};
use crate::action::time::{TimeDelta, Timestamp};

/// The version of the line.
pub const VERSION: u32 = 1;

/// What came of a run, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// It ended well, and what the task wants is committed.
    Ok,
    /// It said that it is done, and the tree is as before.
    Hollow,
    /// It ended well and left work that is not committed.
    Dirty,
    /// It asks something, or cannot go on without a person.
    NeedsHuman,
    /// It was not allowed to do what it had to.
    Denied,
    /// It met a usage limit; `retry_at` says when that ends, where it is known.
    Limited,
    /// It failed, was killed from outside, or could not be started.
    Crashed,
    /// It showed no sign of life for too long and was ended.
    Stalled,
    /// It used more memory, turns or money than allowed and was ended.
    OverBudget,
    /// It took longer than allowed and was ended.
    Timeout,
    /// Somebody stopped it, or its claim of the task was over.
    Stopped,
}

impl Word {
    /// All of them.
    pub const ALL: [Word; 11] = [
        Word::Ok,
        Word::Hollow,
        Word::Dirty,
        Word::NeedsHuman,
        Word::Denied,
        Word::Limited,
        Word::Crashed,
        Word::Stalled,
        Word::OverBudget,
        Word::Timeout,
        Word::Stopped,
    ];

    /// The word as written.
    pub fn name(self) -> &'static str {
        match self {
            Word::Ok => "ok",
            Word::Hollow => "hollow",
            Word::Dirty => "dirty",
            Word::NeedsHuman => "needs-human",
            Word::Denied => "denied",
            Word::Limited => "limited",
            Word::Crashed => "crashed",
            Word::Stalled => "stalled",
            Word::OverBudget => "over-budget",
            Word::Timeout => "timeout",
            Word::Stopped => "stopped",
        }
    }

    /// The exit status that goes with it. A command that could not be started has 125 to 127
    /// instead of 14; a stop has 128 and the signal, or 4 for a claim that is over.
    pub fn status(self) -> u8 {
        match self {
            Word::Ok => 0,
            Word::Hollow => 10,
            Word::Dirty => 11,
            Word::NeedsHuman => 12,
            Word::Denied => 13,
            Word::Crashed => 14,
            Word::Stalled => 15,
            Word::OverBudget => 16,
            Word::Limited => 75,
            Word::Timeout => 124,
            Word::Stopped => 143,
        }
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The name of the run, and of its directory below `runs/`.
    pub run: String,
    /// The word.
    #[serde(rename = "outcome")]
    pub word: Word,
    /// The exit status of `agent-run`.
    pub exit: u8,
    /// Why that word, in words a person can act on.
    pub reason: String,
    /// Whose run it was.
    pub agent: String,
    /// The task; none for a run that no plan asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<String>,
    /// Which claim of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epoch: Option<u64>,
    /// The name of the command.
    pub command: String,
    /// That of the task's claim.
    #[serde(default)]
    pub correlation_id: String,
    /// When a limit ends, RFC 3339; for a limit whose end is not known, nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_at: Option<String>,
    /// The exit status of the command, if it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub child_exit: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub child_signal: Option<i32>,
    /// The commit it began at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<String>,
    /// The commit that the tree stands at now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub head: Option<String>,
    /// Commits made.
    #[serde(default)]
    pub commits: u32,
    /// Files that differ between `base` and `head`.
    #[serde(default)]
    pub files: u32,
    /// Lines added between them.
    #[serde(default)]
    pub insertions: u64,
    /// Lines taken away.
    #[serde(default)]
    pub deletions: u64,
    /// Files with work that is not committed.
    #[serde(default)]
    pub uncommitted: u32,
    /// The commit that uncommitted work was harvested into.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub harvested: Option<String>,
    /// What its processes were held together by: `cgroup`, where it has a memory limit and the machine
    /// allows that, or `session`.
    #[serde(default)]
    pub confined: String,
    /// Processes that were still alive when the command had ended, and were ended.
    #[serde(default)]
    pub left_behind: u32,
    /// Turns, as far as the command tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub turns: Option<u64>,
    /// Tokens, those from a cache included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokens: Option<u64>,
    /// Money in US dollars.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost_usd: Option<f64>,
    /// When it began, RFC 3339.
    pub began_at: String,
    /// When it ended, RFC 3339.
    pub ended_at: String,
    /// How long it took.
    pub wall_ms: u64,
    /// Processor time of all its processes, as far as seen.
    #[serde(default)]
    pub cpu_ms: u64,
    /// The most memory that its processes together were seen to use.
    #[serde(default)]
    pub peak_mem_kib: u64,
    /// Bytes in both transcripts.
    #[serde(default)]
    pub output_bytes: u64,
    /// The last thing that the agent said, shortened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub said: Option<String>,
}

/// The two fields that come first.
#[derive(Deserialize)]
struct Head {
    v: u32,
    r#type: String,
}

impl Outcome {
    /// The line for it, without the newline.
    pub fn line(&self) -> String {
        let fields = serde_json::to_string(self).expect("texts and numbers have a JSON form");
        format!(
            "{{\"v\":{VERSION},\"type\":\"outcome\",{}",
            fields.trim_start_matches('{')
        )
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(line: &str) -> Result<Outcome, String> {
        let head: Head = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if head.v != VERSION || head.r#type != "outcome" {
            return Err(format!("is {:?} of version {}", head.r#type, head.v));
        }
        serde_json::from_str(line).map_err(|error| error.to_string())
    }

    /// The same as the original's ActionResult; `data` holds the line's fields.
    pub fn to_result(&self) -> ActionResult {
        let data = Value::parse(&self.line()).ok();
        let epoch = Timestamp::from_unix(0, 0);
        ActionResult {
            success: self.word == Word::Ok,
            message: format!("{}: {}", self.word, self.reason),
            data: match data {
                Some(Value::Object(object)) => object,
                _ => Object::new(),
            },
            execution_time: TimeDelta::from_millis(self.wall_ms),
            side_effects: self.side_effects(),
            correlation_id: self.correlation_id.clone(),
            timestamp: self
                .ended_at
                .parse()
                .ok()
                .or(epoch)
                .expect("1970 is a time"),
            extra: Object::new(),
        }
    }

    fn side_effects(&self) -> Vec<String> {
        let mut effects = Vec::new();
        if self.commits > 0 {
            effects.push(format!("{} commits", self.commits));
        }
        if let Some(commit) = &self.harvested {
            effects.push(format!("uncommitted work committed as {commit}"));
        }
        if self.left_behind > 0 {
            effects.push(format!("{} processes ended", self.left_behind));
        }
        effects
    }
}
