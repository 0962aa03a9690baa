//! An agent that does what a script says, and talks like a real one; never on a network.
//!
//! A script is steps, separated by `;` or newlines, done in order. After the last one it ends well.
//!
//! | step | what it does |
//! |---|---|
//! | `work [N]` | changes N files (1) below `work/` |
//! | `write PATH [TEXT]` | writes a file |
//! | `commit [MESSAGE]` | commits everything |
//! | `say TEXT` | says something |
//! | `turn [N]`, `spend USD` | counts turns (1), spends money |
//! | `done [TEXT]` | says that it is done, and ends |
//! | `lie` | the same, having done nothing |
//! | `half` | writes half a file, leaves it uncommitted, says that it is done |
//! | `mention` | answers with words about 429 and rate limits, which is no limit |
//! | `limit [DURATION]` | is at its usage limit for that long (1h), and ends |
//! | `deny [COMMAND]` | is not allowed a command (`cargo test`), gives up, and ends well |
//! | `ask [TEXT]` | asks a person, and ends well |
//! | `fail [TEXT]` | tells an error, and ends with 1 |
//! | `exit N`, `die [SIGNAL]` | ends with N; kills itself (9) |
//! | `hang`, `think DURATION`, `spin DURATION` | waits for ever; waits; uses a core |
//! | `eat SIZE`, `flood SIZE` | takes memory; prints that many bytes |
//! | `leave [N]` | leaves N processes behind (1), in sessions of their own |
//! | `deaf` | ignores SIGTERM, SIGINT, SIGHUP from here on, and so do those it leaves |
//! | `garble` | prints bytes that are no text and records that are torn |
//! | `lock` | leaves git's `index.lock`, as a git that was killed does |

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::json;

use super::agents::Stream;
use crate::id;
use crate::swarm::duration;
use crate::workspace::Git;

/// One step.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // Told in the table above.
pub enum Step {
    Work(u32),
    Write(PathBuf, String),
    Commit(String),
    Say(String),
    Turn(u64),
    Spend(f64),
    Done(String),
    Half,
    Mention,
    Limit(Duration),
    Deny(String),
    Ask(String),
    Fail(String),
    Exit(i32),
    Die(i32),
    Hang,
    Think(Duration),
    Spin(Duration),
    Eat(usize),
    Flood(u64),
    Leave(u32),
    Deaf,
    Garble,
    Lock,
}

const WORDS: &[&str] = &[
    "work", "write", "commit", "say", "turn", "spend", "done", "lie", "half", "mention", "limit",
    "deny", "ask", "fail", "exit", "die", "hang", "think", "spin", "eat", "flood", "leave", "deaf",
    "garble", "lock",
];

/// Reads a script.
///
/// # Errors
/// The step that is none, and the nearest word.
pub fn read(script: &str) -> Result<Vec<Step>, String> {
    script
        .split([';', '\n'])
        .map(str::trim)
        .filter(|step| !step.is_empty())
        .map(read_step)
        .collect()
}

fn read_step(step: &str) -> Result<Step, String> {
    let (word, rest) = step.split_once(char::is_whitespace).unwrap_or((step, ""));
    let rest = rest.trim();
    let wrong = |what: &str| format!("{step:?}: {what}");
    let count = || match rest {
        "" => Ok(1),
        rest => rest.parse::<u32>().map_err(|_| wrong("say a number")),
    };
    let time = |default: Duration| match rest {
        "" => Ok(default),
        rest => duration::read(rest).map_err(|why| wrong(&why)),
    };
    let words = |default: &str| match rest {
        "" => default.to_owned(),
        rest => rest.to_owned(),
    };
    Ok(match word {
        "work" => Step::Work(count()?),
        "write" => {
            let (path, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let path = PathBuf::from(path);
            if path.as_os_str().is_empty() || path.is_absolute() {
                return Err(wrong("say a path within the tree"));
            }
            Step::Write(path, format!("{text}\n"))
        }
        "commit" => Step::Commit(words("work")),
        "say" => Step::Say(words("…")),
        "turn" => Step::Turn(u64::from(count()?)),
        "spend" => Step::Spend(rest.parse().map_err(|_| wrong("say an amount"))?),
        "done" => Step::Done(words("Done. Everything works.")),
        "lie" => Step::Done("Done. I changed the code, and all tests pass.".to_owned()),
        "half" => Step::Half,
        "mention" => Step::Mention,
        "limit" => Step::Limit(time(Duration::from_secs(3600))?),
        "deny" => Step::Deny(words("cargo test")),
        "ask" => Step::Ask(words("Shall I keep the old format?")),
        "fail" => Step::Fail(words("Internal error: the model did not answer")),
        "exit" => Step::Exit(rest.parse().map_err(|_| wrong("say a status"))?),
        "die" => Step::Die(match rest {
            "" => 9,
            rest => rest.parse().map_err(|_| wrong("say a signal's number"))?,
        }),
        "hang" => Step::Hang,
        "think" => Step::Think(time(Duration::from_millis(100))?),
        "spin" => Step::Spin(time(Duration::from_millis(100))?),
        "eat" => Step::Eat(bytes(rest).ok_or_else(|| wrong("say a size, as 64M"))? as usize),
        "flood" => Step::Flood(bytes(rest).ok_or_else(|| wrong("say a size, as 64M"))?),
        "leave" => Step::Leave(count()?),
        "deaf" => Step::Deaf,
        "garble" => Step::Garble,
        "lock" => Step::Lock,
        word => {
            let near = id::nearest(word, WORDS.iter().copied());
            let hint = match near.first() {
                Some(near) => format!(" (did you mean {near:?}?)"),
                None => format!(" (there are {})", WORDS.join(", ")),
            };
            return Err(format!("{word:?} is no step{hint}"));
        }
    })
}

fn bytes(text: &str) -> Option<u64> {
    let (number, scale) = match text.chars().last()? {
        'K' => (&text[..text.len() - 1], 1 << 10),
        'M' => (&text[..text.len() - 1], 1 << 20),
        'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

/// The script that a seed stands for: good work half of the time, else one of the ways in which
/// agents go wrong.
pub fn by_seed(seed: u64) -> String {
    let mut dice = Dice(seed);
    let files = 1 + dice.roll(3);
    let good = format!("turn; work {files}; commit; turn; done");
    let misdeeds = [
        "lie".to_owned(),
        "half".to_owned(),
        format!("work {files}; half"),
        format!("work {files}; commit; half"),
        format!("limit {}m", 1 + dice.roll(300)),
        format!("work; limit {}h", 1 + dice.roll(5)),
        "deny".to_owned(),
        "deny git commit -m work".to_owned(),
        "ask".to_owned(),
        "fail".to_owned(),
        format!("work {files}; fail"),
        format!("exit {}", 1 + dice.roll(3)),
        "die".to_owned(),
        "work; die 15".to_owned(),
        "work; commit; work; die 11".to_owned(),
        "hang".to_owned(),
        "work; hang".to_owned(),
        "deaf; work; hang".to_owned(),
        "deaf; leave 2; work; commit; done".to_owned(),
        "leave 3; work; commit; done".to_owned(),
        "leave 2; work; die".to_owned(),
        "work; lock; die".to_owned(),
        "garble; work; commit; garble; done".to_owned(),
        "flood 300K; work; commit; done".to_owned(),
        "mention; work; commit; mention; done".to_owned(),
        "turn 3; spend 0.25; spin 20ms; work 2; commit; done".to_owned(),
    ];
    match dice.roll(2) {
        0 => good,
        _ => misdeeds[dice.roll(misdeeds.len() as u64) as usize].clone(),
    }
}

/// The seed of one try of one task.
pub fn seed_of(seed: u64, task: &str, epoch: &str) -> u64 {
    // FNV-1a, 64 bits.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = task.bytes().chain([0]).chain(epoch.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325 ^ seed, step)
}

/// Numbers that follow from a seed (SplitMix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides.max(1)
    }
}

/// Who acts, and how it talks.
pub struct Actor<W> {
    /// Whose words and records it prints.
    pub style: Stream,
    /// What its files are named after.
    pub name: String,
    /// Where it works.
    pub tree: PathBuf,
    /// Its own program, for those it leaves behind.
    pub program: PathBuf,
    /// Standard output.
    pub out: W,
    /// Standard error.
    pub err: W,
    /// Where each file that was written is noted, for those who count what was lost.
    pub ledger: Option<PathBuf>,
    made: u32,
    turns: u64,
    usd: f64,
    deaf: bool,
}

/// How a step leaves it.
enum Next {
    Go,
    End(i32),
}

impl<W: Write> Actor<W> {
    /// One who has done nothing yet.
    pub fn new(style: Stream, name: &str, tree: &Path, program: PathBuf, out: W, err: W) -> Self {
        Actor {
            style,
            name: name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-"),
            tree: tree.to_owned(),
            program,
            out,
            err,
            ledger: None,
            made: 0,
            turns: 0,
            usd: 0.0,
            deaf: false,
        }
    }

    /// Does the steps; the status to end with.
    pub fn act(&mut self, script: &[Step]) -> io::Result<i32> {
        self.begin()?;
        for step in script {
            if let Next::End(status) = self.step(step)? {
                self.out.flush()?;
                return Ok(status);
            }
        }
        self.good("Done.")?;
        self.out.flush()?;
        Ok(0)
    }

    fn step(&mut self, step: &Step) -> io::Result<Next> {
        match step {
            Step::Work(files) => self.work(*files)?,
            Step::Write(path, text) => self.write(path, text)?,
            Step::Commit(message) => self.commit(message)?,
            Step::Say(words) => self.say(words)?,
            Step::Turn(turns) => {
                for _ in 0..*turns {
                    self.say("Let me look at that.")?;
                }
            }
            Step::Spend(usd) => self.usd += usd,
            Step::Done(words) => {
                self.say(words)?;
                self.good(words)?;
                return Ok(Next::End(0));
            }
            Step::Half => {
                self.made += 1;
                let path = PathBuf::from(format!("work/{}-{}.txt", self.name, self.made));
                self.write(&path, "half of a line and then")?;
                let words = "Done, the file is complete.";
                self.say(words)?;
                self.good(words)?;
                return Ok(Next::End(0));
            }
            Step::Mention => {
                self.say(
                    "The client now waits after status 429: \"rate limit exceeded\", \
                     \"You've hit your usage limit\" and \"Permission denied\" are retried.",
                )?;
            }
            Step::Limit(time) => return self.limit(*time).map(Next::End),
            Step::Deny(command) => return self.deny(command).map(Next::End),
            Step::Ask(question) => {
                self.say(question)?;
                self.good(question)?;
                return Ok(Next::End(0));
            }
            Step::Fail(why) => {
                self.bad(why)?;
                return Ok(Next::End(1));
            }
            Step::Exit(status) => return Ok(Next::End(*status)),
            Step::Die(signal) => {
                self.out.flush()?;
                die(*signal);
            }
            Step::Hang => {
                self.out.flush()?;
                loop {
                    std::thread::sleep(Duration::from_secs(3600));
                }
            }
            Step::Think(time) => {
                self.out.flush()?;
                std::thread::sleep(*time);
            }
            Step::Spin(time) => {
                let begun = Instant::now();
                while begun.elapsed() < *time {
                    std::hint::spin_loop();
                }
            }
            Step::Eat(size) => {
                let mut eaten = vec![0_u8; *size];
                // Each page is touched, so it is really taken.
                eaten.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
                std::mem::forget(std::hint::black_box(eaten));
            }
            Step::Flood(size) => self.flood(*size)?,
            Step::Leave(count) => self.leave(*count)?,
            Step::Deaf => {
                self.deaf = true;
                for signal in [
                    signal_hook::consts::SIGTERM,
                    signal_hook::consts::SIGINT,
                    signal_hook::consts::SIGHUP,
                ] {
                    let heard = Arc::new(AtomicBool::new(false));
                    signal_hook::flag::register(signal, heard)?;
                }
            }
            Step::Garble => {
                self.out
                    .write_all(b"\xff\xfe{\"type\":\"assist\n{\"type\":7}\n\x1b[31m\n[]\nnull\n")?;
            }
            Step::Lock => {
                let git = Git::at(&self.tree);
                let path = git.text(&["rev-parse", "--path-format=absolute", "--git-dir"]);
                let path = path.map_err(io::Error::other)?;
                fs::write(Path::new(&path).join("index.lock"), "")?;
            }
        }
        Ok(Next::Go)
    }

    fn work(&mut self, files: u32) -> io::Result<()> {
        for _ in 0..files {
            self.made += 1;
            let path = PathBuf::from(format!("work/{}-{}.txt", self.name, self.made));
            let text = format!("{} {}\nof {}\n", self.name, self.made, std::process::id());
            self.write(&path, &text)?;
        }
        Ok(())
    }

    fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let path = self.tree.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        let within = path.strip_prefix(&self.tree).unwrap_or(&path);
        let line = json!({"path": within.to_string_lossy(), "text": text});
        let mut options = fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(ledger)?;
        file.write_all(format!("{line}\n").as_bytes())
    }

    fn commit(&mut self, message: &str) -> io::Result<()> {
        let git = Git::at(&self.tree);
        git.bytes(&["add", "-A"]).map_err(io::Error::other)?;
        let args = [
            "-c",
            "gc.auto=0",
            "-c",
            "commit.gpgSign=false",
            "commit",
            "-q",
            "-m",
            message,
        ];
        let output = git
            .command(args)
            .env("GIT_AUTHOR_NAME", "fake-agent")
            .env("GIT_AUTHOR_EMAIL", "fake-agent@localhost")
            .env("GIT_COMMITTER_NAME", "fake-agent")
            .env("GIT_COMMITTER_EMAIL", "fake-agent@localhost")
            .output()?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                Err(io::Error::other(format!("git commit: {}", said.trim())))
            }
        }
    }

    /// Starts processes that go on without us, each in a session of its own.
    fn leave(&mut self, count: u32) -> io::Result<()> {
        for _ in 0..count {
            let mut command = Command::new(&self.program);
            let script = if self.deaf { "deaf; hang" } else { "hang" };
            command
                .args(["--script", script])
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            // SAFETY: setsid(2) is async-signal-safe, and nothing else is done between fork and exec.
            #[allow(unsafe_code)]
            unsafe {
                command.pre_exec(|| rustix::process::setsid().map(|_| ()).map_err(Into::into));
            }
            command.spawn()?;
        }
        Ok(())
    }

    fn flood(&mut self, size: u64) -> io::Result<()> {
        let line = [b'x'; 79];
        let mut left = size;
        while left > 0 {
            let count = left.min(79) as usize;
            self.out.write_all(&line[..count])?;
            self.out.write_all(b"\n")?;
            left -= count as u64;
        }
        Ok(())
    }

    fn record(&mut self, record: &serde_json::Value) -> io::Result<()> {
        writeln!(self.out, "{record}")?;
        self.out.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.style {
            Stream::Claude => self.record(&json!({
                "type": "system", "subtype": "init", "session_id": self.name, "model": "fake",
                "tools": ["Bash", "Edit"], "permissionMode": "acceptEdits",
            })),
            Stream::Codex => {
                self.record(&json!({"type": "thread.started", "thread_id": self.name}))?;
                self.record(&json!({"type": "turn.started"}))
            }
            Stream::Gemini => self.record(&json!({
                "type": "init", "session_id": self.name, "model": "fake",
            })),
            Stream::Opencode => self.record(&json!({
                "type": "step_start", "sessionID": self.name, "part": {"type": "step-start"},
            })),
            Stream::Plain | Stream::Kiro | Stream::Aider => Ok(()),
        }
    }

    fn say(&mut self, words: &str) -> io::Result<()> {
        self.turns += 1;
        let turns = self.turns;
        match self.style {
            Stream::Claude => self.record(&json!({
                "type": "assistant", "parent_tool_use_id": null,
                "message": {
                    "id": format!("msg_{turns}"), "model": "fake", "role": "assistant",
                    "content": [{"type": "text", "text": words}],
                    "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5},
                },
            })),
            Stream::Codex => self.record(&json!({
                "type": "item.completed",
                "item": {"id": format!("item_{turns}"), "type": "agent_message", "text": words},
            })),
            Stream::Gemini => self.record(&json!({
                "type": "message", "role": "assistant", "content": words, "delta": false,
            })),
            Stream::Opencode => {
                self.record(&json!({
                    "type": "text", "sessionID": self.name, "part": {"type": "text", "text": words},
                }))?;
                self.record(&json!({
                    "type": "step_finish", "sessionID": self.name,
                    "part": {
                        "type": "step-finish", "reason": "tool-calls", "cost": 0.001,
                        "tokens": {"input": 100, "output": 5, "reasoning": 0,
                                   "cache": {"read": 0, "write": 0}},
                    },
                }))
            }
            Stream::Kiro => writeln!(self.out, "\u{1b}[38;5;141m> \u{1b}[0m{words}"),
            Stream::Aider => {
                let usd = self.usd + 0.01 * turns as f64;
                writeln!(self.out, "{words}\n")?;
                writeln!(
                    self.out,
                    "Tokens: 1.2k sent, 105 received. Cost: $0.01 message, ${usd:.2} session."
                )
            }
            Stream::Plain => writeln!(self.out, "{words}"),
        }
    }

    fn good(&mut self, words: &str) -> io::Result<()> {
        let (turns, usd) = (self.turns, self.usd);
        match self.style {
            Stream::Claude => self.record(&self.claude_result(words, "success", false, &[])),
            Stream::Codex => self.record(&json!({
                "type": "turn.completed",
                "usage": {"input_tokens": 100 * turns, "cached_input_tokens": 0,
                          "output_tokens": 5 * turns},
            })),
            Stream::Gemini => self.record(&json!({
                "type": "result", "status": "success",
                "stats": {"total_tokens": 105 * turns, "tool_calls": turns},
            })),
            Stream::Opencode => self.record(&json!({
                "type": "step_finish", "sessionID": self.name,
                "part": {
                    "type": "step-finish", "reason": "stop", "cost": usd,
                    "tokens": {"input": 100, "output": 5, "reasoning": 0,
                               "cache": {"read": 0, "write": 0}},
                },
            })),
            Stream::Kiro => writeln!(self.out, " ▸ Credits: 0.05 • Time: 1s"),
            Stream::Plain | Stream::Aider => Ok(()),
        }
    }

    fn claude_result(
        &self,
        words: &str,
        subtype: &str,
        is_error: bool,
        denials: &[serde_json::Value],
    ) -> serde_json::Value {
        json!({
            "type": "result", "subtype": subtype, "is_error": is_error, "duration_ms": 1000,
            "num_turns": self.turns, "result": words, "session_id": self.name,
            "total_cost_usd": self.usd,
            "usage": {"input_tokens": 10 * self.turns, "cache_read_input_tokens": 90 * self.turns,
                      "output_tokens": 5 * self.turns},
            "permission_denials": denials,
        })
    }

    fn bad(&mut self, why: &str) -> io::Result<()> {
        match self.style {
            Stream::Claude => {
                self.record(&self.claude_result(why, "error_during_execution", true, &[]))
            }
            Stream::Codex => self.record(&json!({
                "type": "turn.failed", "error": {"message": why},
            })),
            Stream::Gemini => self.record(&json!({
                "type": "result", "status": "error",
                "error": {"type": "Error", "message": why}, "stats": {"total_tokens": 1},
            })),
            Stream::Opencode => self.record(&json!({
                "type": "error", "sessionID": self.name,
                "error": {"name": "UnknownError", "data": {"message": why}},
            })),
            Stream::Plain | Stream::Kiro | Stream::Aider => writeln!(self.err, "error: {why}"),
        }
    }

    /// Each has its own way to tell that it is at its limit, and its own exit status then.
    fn limit(&mut self, time: Duration) -> io::Result<i32> {
        let now = jiff::Timestamp::now();
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 2);
        let until = now.as_second().saturating_add(seconds);
        let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
        match self.style {
            Stream::Claude => {
                self.record(&json!({
                    "type": "rate_limit_event",
                    "rate_limit_info": {"status": "rejected", "resetsAt": until,
                                        "rateLimitType": "five_hour", "isUsingOverage": false},
                }))?;
                let words = "You've hit your session limit";
                self.record(&json!({
                    "type": "assistant", "error": "rate_limit", "parent_tool_use_id": null,
                    "message": {"id": "msg_x", "model": "<synthetic>", "role": "assistant",
                                "content": [{"type": "text", "text": words}]},
                }))?;
                self.record(&self.claude_result(words, "success", true, &[]))?;
                Ok(1)
            }
            Stream::Codex => {
                let why = format!(
                    "You've hit your usage limit. Upgrade to Pro or try again in {hours} hours {minutes} minutes."
                );
                self.record(&json!({"type": "error", "message": why}))?;
                self.record(&json!({"type": "turn.failed", "error": {"message": why}}))?;
                Ok(1)
            }
            Stream::Gemini => {
                let why = format!(
                    "You have exhausted your capacity on this model. Your quota will reset after {hours}h{minutes}m0s."
                );
                self.bad(&why)?;
                Ok(1)
            }
            Stream::Opencode => {
                self.record(&json!({
                    "type": "error", "sessionID": self.name,
                    "error": {"name": "APIError", "data": {
                        "message": format!("Too Many Requests. Please try again in {seconds}s"),
                        "statusCode": 429, "isRetryable": false}},
                }))?;
                Ok(1)
            }
            Stream::Kiro => {
                writeln!(
                    self.err,
                    "error: The monthly usage limit has been reached (request_id: 1); retry after {seconds} seconds"
                )?;
                Ok(1)
            }
            Stream::Aider => {
                writeln!(
                    self.out,
                    "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached. Please try again in {seconds}s."
                )?;
                Ok(0)
            }
            Stream::Plain => {
                writeln!(
                    self.out,
                    "You've hit your usage limit. Try again in {hours} hours {minutes} minutes."
                )?;
                Ok(0)
            }
        }
    }

    /// Each has its own way to tell that it was not allowed something; all of them end well.
    fn deny(&mut self, command: &str) -> io::Result<i32> {
        let words = format!("I could not run {command}, so I stop here.");
        match self.style {
            Stream::Claude => {
                let denial = json!({"tool_name": "Bash", "tool_use_id": "toolu_1",
                                    "tool_input": {"command": command}});
                self.say(&words)?;
                self.record(&self.claude_result(&words, "success", false, &[denial]))?;
            }
            Stream::Codex => {
                self.record(&json!({
                    "type": "item.completed",
                    "item": {"id": "item_x", "type": "command_execution", "command": command,
                             "aggregated_output": "", "exit_code": null, "status": "declined"},
                }))?;
                self.say(&words)?;
                self.good(&words)?;
            }
            Stream::Gemini => {
                self.record(&json!({
                    "type": "tool_use", "tool_name": "run_shell_command", "tool_id": "t1",
                    "parameters": {"command": command},
                }))?;
                self.record(&json!({
                    "type": "tool_result", "tool_id": "t1", "status": "error",
                    "error": {"type": "policy_violation",
                              "message": "Tool execution denied by policy."},
                }))?;
                self.say(&words)?;
                self.good(&words)?;
            }
            Stream::Opencode => {
                self.record(&json!({
                    "type": "tool_use", "sessionID": self.name,
                    "part": {"type": "tool", "tool": "bash", "callID": "c1", "state": {
                        "status": "error", "input": {"command": command},
                        "error": "The user rejected permission to use this specific tool call."}},
                }))?;
                self.say(&words)?;
                self.good(&words)?;
            }
            Stream::Kiro => {
                writeln!(
                    self.out,
                    "Command execute_bash is rejected because it matches one or more rules on the denied list: {command}"
                )?;
                self.say(&words)?;
            }
            Stream::Plain | Stream::Aider => {
                writeln!(
                    self.out,
                    "Bash({command}) requires approval, and nobody is there to give it."
                )?;
            }
        }
        Ok(0)
    }
}

/// Kills this process.
fn die(signal: i32) -> ! {
    let me = rustix::process::getpid();
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal) {
        let _ = rustix::process::kill_process(me, signal);
    }
    std::thread::sleep(Duration::from_millis(200));
    // A signal that does not kill.
    let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_and_a_slip_is_named() {
        assert_eq!(
            read("work 2; commit it\n\n say hi ;lie").unwrap(),
            [
                Step::Work(2),
                Step::Commit("it".into()),
                Step::Say("hi".into()),
                Step::Done("Done. I changed the code, and all tests pass.".into())
            ]
        );
        assert_eq!(
            read("wrok").unwrap_err(),
            "\"wrok\" is no step (did you mean \"work\"?)"
        );
        for wrong in [
            "work two",
            "limit soon",
            "write",
            "write /x",
            "eat",
            "exit x",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_seed_stands_for_a_script_and_all_misdeeds_come_up() {
        let scripts: std::collections::BTreeSet<String> = (0..2000).map(by_seed).collect();
        assert!(scripts.len() > 30, "{}", scripts.len());
        for script in &scripts {
            assert!(read(script).is_ok(), "{script}");
        }
        for word in [
            "lie", "hang", "deaf", "leave", "limit", "deny", "ask", "die", "lock",
        ] {
            assert!(scripts.iter().any(|script| script.contains(word)), "{word}");
        }
        assert_eq!(by_seed(7), by_seed(7));
    }
}
