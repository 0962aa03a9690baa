//! Readers of what agent commands print: one for each form, all into [`Told`].
//!
//! They believe records about the command (results, errors, refusals, limits), count figures, and
//! keep the last words; they never look for meanings in an answer. A line that is no record, or of a
//! kind that is not known, is passed over; one longer than 16 MiB too.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::agents::Stream;
use super::phrases;
use super::told::{Ending, Limit, Told};

/// The longest line that is read, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// Reads one run's output as it comes.
#[derive(Debug)]
pub struct Reader {
    stream: Stream,
    zone: TimeZone,
    told: Told,
    out: Lines,
    err: Lines,
    /// What each tool call is about, by its id.
    calls: HashMap<String, String>,
    /// The last message of the model: its id, or what else the reader of the form remembers of it.
    message: String,
    /// Whether the last message was made by the command itself, not by the model.
    synthetic: bool,
}

/// Bytes that become lines.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Whole lines out of `bytes` and what was left before.
    fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            if !self.too_long {
                each(&String::from_utf8_lossy(&self.partial));
            }
            self.partial.clear();
            self.too_long = false;
        }
        if self.partial.len() + rest.len() > LONGEST {
            self.partial.clear();
            self.too_long = true;
        }
        if !self.too_long {
            self.partial.extend_from_slice(rest);
        }
    }
}

impl Reader {
    /// For a form; `zone` is that of times without one.
    pub fn new(stream: Stream, zone: TimeZone) -> Reader {
        Reader {
            stream,
            zone,
            told: Told::default(),
            out: Lines::default(),
            err: Lines::default(),
            calls: HashMap::new(),
            message: String::new(),
            synthetic: false,
        }
    }

    /// What was told so far.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Takes bytes of standard output.
    pub fn take(&mut self, bytes: &[u8]) {
        if self.stream == Stream::Plain {
            return;
        }
        let mut lines = std::mem::take(&mut self.out);
        lines.take(bytes, |line| self.line(line));
        self.out = lines;
    }

    /// Takes bytes of standard error.
    pub fn take_error(&mut self, bytes: &[u8]) {
        if self.stream == Stream::Plain {
            return;
        }
        let mut lines = std::mem::take(&mut self.err);
        lines.take(bytes, |line| self.error_line(line));
        self.err = lines;
    }

    /// Takes a last line without its end.
    pub fn finish(&mut self) {
        self.take(b"\n");
        self.take_error(b"\n");
    }

    fn line(&mut self, line: &str) {
        if !self.stream.is_records() {
            let line = without_colour(line);
            return match self.stream {
                Stream::Aider => self.aider(&line),
                _ => self.kiro(&line),
            };
        }
        let line = line.trim();
        if let Ok(record @ Value::Object(_)) = serde_json::from_str::<Value>(line) {
            return self.record(&record);
        }
        // Claude Code 2.1 may write this record into the middle of another one.
        if let Some(place) = line.find(r#"{"type":"rate_limit_event""#) {
            let mut records = serde_json::Deserializer::from_str(&line[place..]).into_iter();
            if let Some(Ok(record)) = records.next() {
                self.record(&record);
            }
        }
    }

    fn record(&mut self, record: &Value) {
        let kind = text(record, "type");
        let known = match self.stream {
            Stream::Claude => self.claude(kind, record),
            Stream::Codex => self.codex(kind, record),
            Stream::Gemini => self.gemini(kind, record),
            Stream::Opencode => self.opencode(kind, record),
            Stream::Plain | Stream::Kiro | Stream::Aider => false,
        };
        self.told.events += u64::from(known);
    }

    /// The limit that a text about the command tells.
    fn limit_in(&self, said: &str) -> Option<Limit> {
        phrases::limit(said, Timestamp::now(), &self.zone)
    }

    /// Takes in an error that a command told about itself.
    fn fail(&mut self, message: &str) {
        if let Some(limit) = self.limit_in(message) {
            self.told.limit = Some(limit);
        } else if let Some(why) = phrases::locked_out(message) {
            self.told.locked_out = Some(why);
        }
        self.told.error = Some(super::short(message, 500));
    }

    /// The model answers: whatever limit or error there was has been got over.
    fn goes_on(&mut self) {
        self.told.limit = None;
        self.told.locked_out = None;
        self.told.error = None;
    }

    fn say(&mut self, words: &str) {
        if !words.trim().is_empty() {
            self.told.said = Some(super::short(words.trim(), 4000));
        }
    }

    // Claude Code: `claude -p --output-format stream-json --verbose`.

    fn claude(&mut self, kind: &str, record: &Value) -> bool {
        match kind {
            "system" => match text(record, "subtype") {
                "init" => self.told.session = owned(record, "session_id"),
                "api_retry" if number(record, "error_status") == Some(429.0) => {
                    self.told.limit = Some(Limit {
                        message: "rate limited (status 429)".to_owned(),
                        until: None,
                    });
                }
                _ => {}
            },
            "assistant" => self.claude_message(record),
            "user" => self.claude_results(record),
            "rate_limit_event" => self.claude_limit(&record["rate_limit_info"]),
            "result" => self.claude_result(record),
            _ => return false,
        }
        true
    }

    fn claude_message(&mut self, record: &Value) {
        let message = &record["message"];
        let mut words = String::new();
        for part in array(&message["content"]) {
            match text(part, "type") {
                "text" => words.push_str(text(part, "text")),
                "tool_use" => {
                    let call = about_call(text(part, "name"), &part["input"]);
                    if text(part, "name") == "AskUserQuestion" {
                        self.told.asked = question_of(&part["input"]);
                    }
                    self.calls.insert(text(part, "id").to_owned(), call);
                }
                _ => {}
            }
        }
        self.synthetic = text(message, "model") == "<synthetic>";
        if let Some(error) = record["error"].as_str() {
            return self.claude_error(error, &words);
        }
        if self.synthetic {
            return self.fail(&words);
        }
        self.goes_on();
        let id = text(message, "id");
        if id != self.message || id.is_empty() {
            self.message = id.to_owned();
            self.told.add_turn();
            self.told.add_tokens(claude_tokens(&message["usage"]));
        }
        if record["parent_tool_use_id"].is_null() {
            self.say(&words);
        }
    }

    fn claude_error(&mut self, error: &str, words: &str) {
        match error {
            "rate_limit" => {
                // The event before tells the very time.
                let told = self.told.limit.take().and_then(|limit| limit.until);
                let read = || phrases::until(words, Timestamp::now(), &self.zone);
                self.told.limit = Some(Limit {
                    message: super::short(words.trim(), 300),
                    until: told.or_else(read),
                });
            }
            "authentication_failed" | "billing_error" | "oauth_org_not_allowed" => {
                self.told.locked_out = Some(super::short(words.trim(), 300));
            }
            _ => self.fail(words),
        }
        self.told.error = Some(super::short(words.trim(), 500));
    }

    fn claude_results(&mut self, record: &Value) {
        for part in array(&record["message"]["content"]) {
            if part["is_error"].as_bool() != Some(true) {
                continue;
            }
            let said = flat(&part["content"]);
            let refused = said.contains("haven't granted it yet")
                || said.contains("denied by your permission settings")
                || said.starts_with("Permission to use ") && said.contains("denied");
            if refused {
                let call = self.calls.get(text(part, "tool_use_id"));
                let what = call.cloned().unwrap_or_else(|| said.clone());
                self.refuse(&what);
            }
        }
    }

    fn refuse(&mut self, what: &str) {
        // A question that nobody answers is refused too; it is kept as a question.
        if !what.starts_with("use AskUserQuestion") {
            self.told.deny(what);
        }
    }

    fn claude_limit(&mut self, info: &Value) {
        if text(info, "status") != "rejected" || info["isUsingOverage"].as_bool() == Some(true) {
            return;
        }
        let until = number(info, "resetsAt");
        let kind = text(info, "rateLimitType").replace('_', " ");
        self.told.limit = Some(Limit {
            message: format!("its {kind} usage limit is reached"),
            until: until.and_then(|seconds| Timestamp::from_second(seconds as i64).ok()),
        });
    }

    fn claude_result(&mut self, record: &Value) {
        self.told.usd = number(record, "total_cost_usd").or(self.told.usd);
        self.told.turns = record["num_turns"].as_u64().or(self.told.turns);
        let tokens = claude_tokens(&record["usage"]);
        if tokens > 0 {
            self.told.tokens = Some(tokens);
        }
        for denial in array(&record["permission_denials"]) {
            let name = text(denial, "tool_name");
            if name == "AskUserQuestion" {
                self.told.asked = question_of(&denial["tool_input"]).or(self.told.asked.take());
            }
            self.refuse(&about_call(name, &denial["tool_input"]));
        }
        let words = text(record, "result").to_owned();
        let bad = record["is_error"].as_bool() == Some(true) || self.synthetic;
        self.told.result = Some(match text(record, "subtype") {
            "error_max_turns" => Ending::OutOfTurns,
            "error_max_budget_usd" => Ending::OutOfMoney,
            "success" if !bad => {
                self.goes_on();
                self.say(&words);
                Ending::Good
            }
            subtype => {
                let errors: Vec<&str> = array(&record["errors"])
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                let why = match (words.is_empty(), errors.is_empty()) {
                    (false, _) => words.clone(),
                    (true, false) => errors.join("; "),
                    (true, true) => subtype.replace('_', " "),
                };
                match record["api_error_status"].as_u64() {
                    Some(429) if self.told.limit.is_none() => {
                        self.told.limit = Some(Limit {
                            message: super::short(&why, 300),
                            until: phrases::until(&why, Timestamp::now(), &self.zone),
                        });
                    }
                    Some(401 | 403) => self.told.locked_out = Some(super::short(&why, 300)),
                    _ => {}
                }
                Ending::Bad(super::short(&why, 500))
            }
        });
    }

    // Codex: `codex exec --json`.

    fn codex(&mut self, kind: &str, record: &Value) -> bool {
        match kind {
            "thread.started" => self.told.session = owned(record, "thread_id"),
            "turn.started" => self.told.result = None,
            "item.started" | "item.updated" => {}
            "item.completed" => self.codex_item(&record["item"]),
            "turn.completed" => {
                // The figures are those of the whole thread so far.
                let usage = &record["usage"];
                let count = |name| usage[name].as_u64().unwrap_or(0);
                self.told.tokens = Some(count("input_tokens") + count("output_tokens"));
                self.goes_on();
                self.told.result = Some(Ending::Good);
            }
            "turn.failed" => {
                let why = text(&record["error"], "message");
                self.fail(why);
                self.told.result = Some(Ending::Bad(super::short(why, 500)));
            }
            "error" => {
                let why = text(record, "message");
                // It goes on trying by itself.
                if !why.starts_with("Reconnecting") {
                    self.fail(why);
                }
            }
            _ => return false,
        }
        true
    }

    fn codex_item(&mut self, item: &Value) {
        let kind = match text(item, "type") {
            "" => text(item, "item_type"),
            kind => kind,
        };
        match kind {
            "agent_message" | "assistant_message" => {
                self.goes_on();
                self.say(text(item, "text"));
            }
            "command_execution" => {
                self.told.add_turn();
                let output = text(item, "aggregated_output");
                if text(item, "status") == "declined"
                    || output.contains("rejected by user approval settings")
                {
                    self.told
                        .deny(format!("run {}", text(item, "command").trim()));
                }
            }
            "file_change" | "mcp_tool_call" | "web_search" | "collab_tool_call" => {
                self.told.add_turn();
                if text(item, "status") == "declined" {
                    self.told.deny(format!("use {}", kind.replace('_', " ")));
                }
            }
            _ => {}
        }
    }

    // Gemini CLI: `gemini --output-format stream-json`.

    fn gemini(&mut self, kind: &str, record: &Value) -> bool {
        match kind {
            "init" => self.told.session = owned(record, "session_id"),
            "message" if text(record, "role") == "assistant" => {
                self.goes_on();
                let words = text(record, "content");
                let more = record["delta"].as_bool() == Some(true) && self.message == "open";
                let said = match (&self.told.said, more) {
                    (Some(said), true) => format!("{said}{words}"),
                    _ => {
                        self.told.add_turn();
                        words.to_owned()
                    }
                };
                self.message = "open".to_owned();
                self.told.said = Some(super::short(&said, 4000));
                return true;
            }
            "message" => {}
            "tool_use" => {
                let call = about_call(text(record, "tool_name"), &record["parameters"]);
                self.calls.insert(text(record, "tool_id").to_owned(), call);
            }
            "tool_result" => self.gemini_tool_result(record),
            "error" => {
                let why = text(record, "message").to_owned();
                if text(record, "severity") != "warning" {
                    self.fail(&why);
                }
                self.out_of_turns(&why);
            }
            "result" => self.gemini_result(record),
            _ => return false,
        }
        self.message.clear();
        true
    }

    fn gemini_tool_result(&mut self, record: &Value) {
        let why = text(&record["error"], "message");
        let refused = [
            "denied by policy",
            "requires user confirmation",
            "not permitted",
        ]
        .iter()
        .any(|words| why.contains(words))
            || text(&record["error"], "type") == "policy_violation";
        if text(record, "status") == "error" && refused {
            let call = self.calls.get(text(record, "tool_id"));
            let what = call.cloned().unwrap_or_else(|| why.to_owned());
            self.told.deny(what);
        }
    }

    fn gemini_result(&mut self, record: &Value) {
        let stats = &record["stats"];
        self.told.tokens = stats["total_tokens"].as_u64().or(self.told.tokens);
        if text(record, "status") == "error" {
            let why = text(&record["error"], "message").to_owned();
            self.fail(&why);
            self.told.result = Some(Ending::Bad(super::short(&why, 500)));
            self.out_of_turns(&why);
        } else {
            self.goes_on();
            self.told.result = Some(Ending::Good);
        }
    }

    fn out_of_turns(&mut self, why: &str) {
        if why.to_lowercase().contains("max session turns") {
            self.told.result = Some(Ending::OutOfTurns);
        }
    }

    // opencode: `opencode run --format json`.

    fn opencode(&mut self, kind: &str, record: &Value) -> bool {
        let part = &record["part"];
        if self.told.session.is_none() {
            self.told.session = owned(record, "sessionID");
        }
        match kind {
            "step_start" => self.told.result = None,
            "text" => {
                self.goes_on();
                self.say(text(part, "text"));
            }
            "reasoning" => {}
            "tool_use" => {
                let state = &part["state"];
                if text(state, "error").contains("rejected permission") {
                    let what = about_call(text(part, "tool"), &state["input"]);
                    self.told.deny(what);
                }
            }
            "step_finish" => {
                self.told.add_turn();
                self.told.add_usd(part["cost"].as_f64().unwrap_or(0.0));
                let tokens = &part["tokens"];
                let count = |value: &Value| value.as_u64().unwrap_or(0);
                self.told.add_tokens(
                    count(&tokens["input"])
                        + count(&tokens["output"])
                        + count(&tokens["reasoning"])
                        + count(&tokens["cache"]["read"])
                        + count(&tokens["cache"]["write"]),
                );
                if text(part, "reason") != "tool-calls" {
                    self.goes_on();
                    self.told.result = Some(Ending::Good);
                }
            }
            "error" => {
                let error = &record["error"];
                let why = match text(&error["data"], "message") {
                    "" => text(error, "name"),
                    why => why,
                };
                let why = match error["data"]["statusCode"].as_u64() {
                    Some(429) if self.limit_in(why).is_none() => format!("error 429: {why}"),
                    _ => why.to_owned(),
                };
                self.fail(&why);
                if text(error, "name") == "ProviderAuthError" {
                    self.told.locked_out = Some(super::short(&why, 300));
                }
                self.told.result = Some(Ending::Bad(super::short(&why, 500)));
            }
            _ => return false,
        }
        true
    }

    // Kiro CLI: `kiro-cli chat --no-interactive`; words with a `> ` before an answer.

    fn kiro(&mut self, line: &str) {
        if let Some(words) = line.strip_prefix("> ") {
            self.told.events += 1;
            self.told.add_turn();
            self.say(words);
        }
        let lower = line.to_lowercase();
        let refused = lower.contains("is rejected because it matches")
            || lower.contains("tool approval required")
            || lower.contains("is not trusted");
        if refused {
            self.told.deny(line.trim());
        }
    }

    // aider: words, and `Tokens: 2.5k sent, 1.1k received. Cost: $0.01 message, $0.03 session.`

    fn aider(&mut self, line: &str) {
        if let Some(figures) = line.strip_prefix("Tokens: ") {
            self.told.events += 1;
            self.goes_on();
            self.told.add_turn();
            let words = std::mem::take(&mut self.message);
            self.say(&words);
            let (tokens, usd) = aider_figures(figures);
            self.told.add_tokens(tokens);
            self.told.usd = usd.or(self.told.usd);
        } else if line.starts_with("litellm.") {
            self.fail(line);
        } else if !line.trim().is_empty() {
            // The answer ends where the figures come.
            line.clone_into(&mut self.message);
        }
    }

    fn error_line(&mut self, line: &str) {
        let line = without_colour(line);
        match self.stream {
            // It tries again by itself, for as long as it likes.
            Stream::Gemini if line.contains(" failed: ") => {
                if let Some(limit) = self.limit_in(&line) {
                    self.told.limit = Some(limit);
                }
            }
            Stream::Opencode if line.contains("auto-rejecting") => {
                let what = line.split("permission requested:").nth(1).unwrap_or(&line);
                let what = what.split(';').next().unwrap_or(what);
                self.told.deny(format!("use {}", what.trim()));
            }
            Stream::Kiro => self.kiro(&line),
            Stream::Aider => self.aider(&line),
            _ => {}
        }
    }
}

/// Tokens and money of `2.5k sent, 1.1k received. Cost: $0.0042 message, $0.01 session.`
fn aider_figures(line: &str) -> (u64, Option<f64>) {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let mut tokens = 0.0;
    let mut usd = None;
    for pair in words.windows(2) {
        let count = || {
            let (number, scale) = match pair[0].strip_suffix('k') {
                Some(number) => (number, 1000.0),
                None => match pair[0].strip_suffix('M') {
                    Some(number) => (number, 1e6),
                    None => (pair[0], 1.0),
                },
            };
            number
                .replace(',', "")
                .parse::<f64>()
                .ok()
                .map(|n| n * scale)
        };
        match pair[1].trim_end_matches(['.', ',']) {
            "sent" | "received" => tokens += count().unwrap_or(0.0),
            "session" => usd = pair[0].trim_start_matches('$').parse().ok(),
            _ => {}
        }
    }
    (tokens as u64, usd)
}

/// What a tool call is for, after "it may not".
fn about_call(name: &str, input: &Value) -> String {
    let object = ["command", "file_path", "path", "filePath", "url", "pattern"]
        .iter()
        .find_map(|key| input[key].as_str());
    match object {
        Some(object) => format!("use {name}: {object}"),
        None => format!("use {name}"),
    }
}

fn question_of(input: &Value) -> Option<String> {
    let questions = array(&input["questions"]).iter();
    let mut questions = questions.filter_map(|question| question["question"].as_str());
    let first = questions.next().or(input["question"].as_str());
    first.map(|question| super::short(question, 300))
}

fn claude_tokens(usage: &Value) -> u64 {
    [
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
    ]
    .iter()
    .filter_map(|name| usage[name].as_u64())
    .sum()
}

fn text<'a>(record: &'a Value, name: &str) -> &'a str {
    record[name].as_str().unwrap_or_default()
}

fn owned(record: &Value, name: &str) -> Option<String> {
    record[name].as_str().map(str::to_owned)
}

fn number(record: &Value, name: &str) -> Option<f64> {
    record[name].as_f64()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Text, or the texts of a list of parts.
fn flat(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => array(value).iter().map(|part| text(part, "text")).collect(),
    }
}

/// A line without the sequences that colour it (ECMA-48, CSI).
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.trim_end_matches('\r').chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        if chars.next() == Some('[') {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
    }
    plain
}
