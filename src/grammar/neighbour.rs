//! Actions and results in the forms of neighbours: JSON-RPC 2.0, MCP, CloudEvents 1.0, A2A 1.0.
//! Adapters, not a second format: nothing is added to an action.
//!
//! ```text
//! {"jsonrpc":"2.0","id":"m-1","method":"run.task","params":{"modifiers":["beast-mode"],"task_id":"2.1","_source":"kiro-1"}}
//! {"jsonrpc":"2.0","id":"m-1","method":"tools/call","params":{"name":"run.task","arguments":{"modifiers":["beast-mode"],"task_id":"2.1"},"_meta":{"source_instance":"kiro-1","timestamp":"…"}}}
//! {"specversion":"1.0","id":"<uuid>","source":"/swarm/kiro-1","type":"sporekit.action.run.task","time":"…Z","correlationid":"m-1","datacontenttype":"application/json","data":{"modifiers":[…],"parameters":{…}}}
//! {"message":{"messageId":"m-1","role":"ROLE_USER","parts":[{"text":"run task …"},{"data":{"verb":"run",…}}],"metadata":{"source_instance":"kiro-1","timestamp":"…"}}}
//! ```
//!
//! What is no command is answered in the same forms ([`Neighbour::refusal`]), with our own error
//! object as the data of theirs.

use super::table::Grammar;
use super::{Code, ParseError};
use crate::action::json::{Object, ReadError, Value};
use crate::action::time::Zone;
use crate::action::{ActionResult, Fill, Record, StructuredAction};

/// A form that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// JSON-RPC 2.0: a request, or its response. It has no place for the time of an action.
    JsonRpc,
    /// The Model Context Protocol: a call of a tool, or its result.
    Mcp,
    /// CloudEvents 1.0 in JSON.
    CloudEvents,
    /// A2A 1.0: a message, or the task that answers it.
    A2a,
}

const ACTION: &str = "sporekit.action.";
const RESULT: &str = "sporekit.result";
const SOURCE: &str = "/swarm/";

impl Neighbour {
    /// Writes a record in this form.
    ///
    /// # Errors
    /// When the form has no place for something: a parameter of a reserved name, a time without a
    /// zone.
    pub fn write(
        self,
        grammar: &Grammar,
        record: &Record,
        fill: &mut dyn Fill,
    ) -> Result<Value, ReadError> {
        match (self, record) {
            (Neighbour::JsonRpc, Record::Action(action)) => rpc_request(action),
            (Neighbour::JsonRpc, Record::Result(result)) => Ok(rpc_response(result)),
            (Neighbour::Mcp, Record::Action(action)) => mcp_call(action),
            (Neighbour::Mcp, Record::Result(result)) => Ok(mcp_result(result)),
            (Neighbour::CloudEvents, Record::Action(action)) => {
                let kind = format!("{ACTION}{}.{}", action.verb, action.noun);
                let source = format!("{SOURCE}{}", action.source_instance);
                let data = object([
                    ("modifiers", texts(&action.modifiers)),
                    ("parameters", Value::Object(action.parameters.clone())),
                ]);
                let time = zoned(action.timestamp)?;
                Ok(event(
                    fill,
                    source,
                    kind,
                    time,
                    &action.correlation_id,
                    data,
                ))
            }
            (Neighbour::CloudEvents, Record::Result(result)) => {
                let mut data = outcome(result);
                data.insert("success", Value::from(result.success));
                data.insert("message", Value::from(result.message.as_str()));
                data.insert("data", Value::Object(result.data.clone()));
                let time = zoned(result.timestamp)?;
                let source = SOURCE.trim_end_matches('/').to_owned();
                Ok(event(
                    fill,
                    source,
                    RESULT.to_owned(),
                    time,
                    &result.correlation_id,
                    data,
                ))
            }
            (Neighbour::A2a, Record::Action(action)) => Ok(a2a_message(grammar, action)),
            (Neighbour::A2a, Record::Result(result)) => Ok(a2a_task(result)),
        }
    }

    /// Reads a record from this form. An action that does not say who it is from is from `source`.
    ///
    /// # Errors
    /// Names the member that is missing or wrong.
    pub fn read(
        self,
        grammar: &Grammar,
        text: &str,
        core: bool,
        source: &str,
        fill: &mut dyn Fill,
    ) -> Result<Record, ReadError> {
        let Value::Object(whole) = Value::parse(text)? else {
            return Err(ReadError::new("not an object"));
        };
        let mut record = match self {
            Neighbour::JsonRpc if whole.contains_key("method") => from_rpc_request(&whole)?,
            Neighbour::JsonRpc => from_rpc_response(&whole)?,
            Neighbour::Mcp if whole.contains_key("method") => from_mcp_call(&whole)?,
            Neighbour::Mcp => from_mcp_result(&whole)?,
            Neighbour::CloudEvents => from_event(&whole)?,
            Neighbour::A2a if whole.contains_key("task") => from_a2a_task(&whole)?,
            Neighbour::A2a => from_a2a_message(&whole)?,
        };
        if record.contains_key("verb") && !record.contains_key("source_instance") {
            record.insert("source_instance", Value::from(source));
        }
        Record::read(&record.to_string(), fill, &grammar.words(core))
    }

    /// What the sender of `request` is answered when it is no command: none where the form knows no
    /// such answer. `line` is its number, for our error object.
    pub fn refusal(
        self,
        request: &str,
        error: &ParseError,
        line: u64,
        fill: &mut dyn Fill,
    ) -> Option<Value> {
        let whole = match Value::parse(request) {
            Ok(Value::Object(whole)) => Some(whole),
            _ => None,
        };
        let said = error.to_value(line);
        let message = Value::from(error.message.as_str());
        let id = match self {
            Neighbour::A2a => whole.as_ref().and_then(a2a_id).cloned(),
            _ => whole.as_ref().and_then(|whole| whole.get("id")).cloned(),
        };
        let answer = match self {
            Neighbour::CloudEvents => return None,
            Neighbour::JsonRpc => {
                let error = object([
                    ("code", Value::from(rpc_code(error, request))),
                    ("message", message),
                    ("data", said),
                ]);
                ("error", Value::Object(error))
            }
            // An agent reads it, and can correct itself.
            Neighbour::Mcp => {
                let mut text = error.to_string();
                if let Some(suggestion) = &error.suggestion {
                    text.push_str(&format!("; try: {suggestion}"));
                }
                let result = object([
                    ("content", content(&text)),
                    ("structuredContent", said),
                    ("isError", Value::Bool(true)),
                ]);
                ("result", Value::Object(result))
            }
            Neighbour::A2a => {
                let id = id.or_else(|| fill.uuid().map(Value::String))?;
                let data = match said {
                    Value::Object(said) => said,
                    _ => Object::new(),
                };
                let message = object([
                    ("messageId", id.clone()),
                    ("role", Value::from("ROLE_AGENT")),
                    ("parts", parts(&error.message, data)),
                ]);
                let status = object([
                    ("state", Value::from("TASK_STATE_REJECTED")),
                    ("message", Value::Object(message)),
                ]);
                let task = object([("id", id), ("status", Value::Object(status))]);
                return Some(Value::Object(object([("task", Value::Object(task))])));
            }
        };
        Some(Value::Object(object([
            ("jsonrpc", Value::from("2.0")),
            ("id", id.unwrap_or(Value::Null)),
            answer,
        ])))
    }
}

/// The codes of JSON-RPC: no JSON (or no text that can be taken apart), an unknown method, and all
/// else.
fn rpc_code(error: &ParseError, request: &str) -> i64 {
    let is_json = || error.at != request.trim() || Value::parse(request).is_ok();
    match error.code {
        Code::UnknownVerb | Code::UnknownNoun => -32601,
        Code::TooLong | Code::BadCharacter | Code::BadQuote => -32700,
        Code::BadJson if !is_json() => -32700,
        _ => -32602,
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn texts(list: &[String]) -> Value {
    Value::Array(list.iter().map(|text| Value::from(text.as_str())).collect())
}

fn time(time: impl ToString) -> Value {
    Value::from(time.to_string())
}

fn zoned(at: crate::action::time::Timestamp) -> Result<Value, ReadError> {
    match at.zone() {
        Zone::Naive => {
            Err(ReadError::new("has no zone, and an event needs one").within("timestamp"))
        }
        Zone::Utc(_) => Ok(time(at)),
    }
}

/// What a result says beside its verdict, message and data.
fn outcome(result: &ActionResult) -> Object {
    object([
        ("execution_time", time(result.execution_time)),
        ("side_effects", texts(&result.side_effects)),
    ])
}

fn wrong(member: &str, why: &str) -> ReadError {
    ReadError::new(why).within(member)
}

fn part<'a>(object: &'a Object, name: &str) -> Result<&'a Object, ReadError> {
    match object.get(name) {
        Some(Value::Object(part)) => Ok(part),
        Some(_) => Err(wrong(name, "an object belongs here")),
        None => Err(wrong(name, "is missing")),
    }
}

fn text_of<'a>(object: &'a Object, name: &str) -> Result<&'a str, ReadError> {
    let value = object.get(name).ok_or_else(|| wrong(name, "is missing"))?;
    value
        .as_str()
        .ok_or_else(|| wrong(name, "a text belongs here"))
}

/// `run.task` taken apart.
fn verb_noun(method: &str) -> Result<[(&'static str, Value); 2], ReadError> {
    let (verb, noun) = method
        .split_once('.')
        .ok_or_else(|| wrong("method", &format!("{method:?} is no verb.noun")))?;
    Ok([("verb", Value::from(verb)), ("noun", Value::from(noun))])
}

fn take(into: &mut Object, from: &Object, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(name) {
            into.insert(*name, value.clone());
        }
    }
}

// ---------------------------------------------------------------- JSON-RPC

fn rpc_request(action: &StructuredAction) -> Result<Value, ReadError> {
    let mut params = object([("modifiers", texts(&action.modifiers))]);
    for (name, value) in action.parameters.iter() {
        if name == "modifiers" || name == "_source" {
            return Err(
                wrong("parameters", "JSON-RPC has that name for something else").within(name),
            );
        }
        params.insert(name, value.clone());
    }
    params.insert("_source", Value::from(action.source_instance.as_str()));
    Ok(Value::Object(object([
        ("jsonrpc", Value::from("2.0")),
        ("id", Value::from(action.correlation_id.as_str())),
        (
            "method",
            Value::from(format!("{}.{}", action.verb, action.noun)),
        ),
        ("params", Value::Object(params)),
    ])))
}

fn rpc_response(result: &ActionResult) -> Value {
    let mut body = outcome(result);
    body.insert("timestamp", time(result.timestamp));
    body.insert("data", Value::Object(result.data.clone()));
    let message = Value::from(result.message.as_str());
    let answer = match result.success {
        true => {
            body.insert("message", message);
            ("result", Value::Object(body))
        }
        false => {
            let code = Value::from(-32000_i64);
            let error = object([
                ("code", code),
                ("message", message),
                ("data", Value::Object(body)),
            ]);
            ("error", Value::Object(error))
        }
    };
    let id = Value::from(result.correlation_id.as_str());
    Value::Object(object([
        ("jsonrpc", Value::from("2.0")),
        ("id", id),
        answer,
    ]))
}

fn rpc_id(whole: &Object) -> Result<Value, ReadError> {
    match whole.get("id") {
        Some(Value::String(id)) => Ok(Value::from(id.as_str())),
        Some(Value::Number(id)) => Ok(Value::from(id.as_str())),
        _ => Err(wrong("id", "a text or a number belongs here")),
    }
}

fn from_rpc_request(whole: &Object) -> Result<Object, ReadError> {
    let mut record = object(verb_noun(text_of(whole, "method")?)?);
    let mut params = match whole.get("params") {
        None => Object::new(),
        Some(_) => part(whole, "params")?.clone(),
    };
    if let Some(modifiers) = params.remove("modifiers") {
        record.insert("modifiers", modifiers);
    }
    if let Some(source) = params.remove("_source") {
        record.insert("source_instance", source);
    }
    record.insert("parameters", Value::Object(params));
    if whole.contains_key("id") {
        record.insert("correlation_id", rpc_id(whole)?);
    }
    Ok(record)
}

fn from_rpc_response(whole: &Object) -> Result<Object, ReadError> {
    let success = !whole.contains_key("error");
    // Those who answer an error need not say how long it took.
    let mut record = object([
        ("success", Value::from(success)),
        ("execution_time", Value::from("PT0S")),
    ]);
    let body = match success {
        true => Some(part(whole, "result")?),
        false => {
            let error = part(whole, "error")?;
            take(&mut record, error, &["message"]);
            part(error, "data").ok()
        }
    };
    if let Some(body) = body {
        take(
            &mut record,
            body,
            &[
                "message",
                "data",
                "execution_time",
                "side_effects",
                "timestamp",
            ],
        );
    }
    record.insert("correlation_id", rpc_id(whole)?);
    Ok(record)
}

// ---------------------------------------------------------------- MCP

const CALL: &str = "tools/call";

fn mcp_call(action: &StructuredAction) -> Result<Value, ReadError> {
    let mut arguments = object([("modifiers", texts(&action.modifiers))]);
    for (name, value) in action.parameters.iter() {
        if name == "modifiers" {
            return Err(
                wrong("parameters", "the tool has that name for something else").within(name),
            );
        }
        arguments.insert(name, value.clone());
    }
    let meta = object([
        (
            "source_instance",
            Value::from(action.source_instance.as_str()),
        ),
        ("timestamp", time(action.timestamp)),
    ]);
    let tool = format!("{}.{}", action.verb, action.noun);
    let params = object([
        ("name", Value::from(tool)),
        ("arguments", Value::Object(arguments)),
        ("_meta", Value::Object(meta)),
    ]);
    Ok(Value::Object(object([
        ("jsonrpc", Value::from("2.0")),
        ("id", Value::from(action.correlation_id.as_str())),
        ("method", Value::from(CALL)),
        ("params", Value::Object(params)),
    ])))
}

fn from_mcp_call(whole: &Object) -> Result<Object, ReadError> {
    let method = text_of(whole, "method")?;
    if method != CALL {
        return Err(wrong("method", &format!("{method:?} is not {CALL:?}")));
    }
    let params = part(whole, "params")?;
    let mut record = object(verb_noun(text_of(params, "name")?)?);
    let mut arguments = match params.get("arguments") {
        None => Object::new(),
        Some(_) => part(params, "arguments")?.clone(),
    };
    if let Some(modifiers) = arguments.remove("modifiers") {
        record.insert("modifiers", modifiers);
    }
    record.insert("parameters", Value::Object(arguments));
    if let Some(Value::Object(meta)) = params.get("_meta") {
        take(&mut record, meta, &["source_instance", "timestamp"]);
    }
    record.insert("correlation_id", rpc_id(whole)?);
    Ok(record)
}

fn mcp_result(result: &ActionResult) -> Value {
    let mut meta = outcome(result);
    meta.insert("timestamp", time(result.timestamp));
    let body = object([
        ("content", content(&result.message)),
        ("structuredContent", Value::Object(result.data.clone())),
        ("isError", Value::from(!result.success)),
        ("_meta", Value::Object(meta)),
    ]);
    Value::Object(object([
        ("jsonrpc", Value::from("2.0")),
        ("id", Value::from(result.correlation_id.as_str())),
        ("result", Value::Object(body)),
    ]))
}

fn content(text: &str) -> Value {
    let text = object([("type", Value::from("text")), ("text", Value::from(text))]);
    Value::Array(vec![Value::Object(text)])
}

fn from_mcp_result(whole: &Object) -> Result<Object, ReadError> {
    if whole.contains_key("error") {
        return from_rpc_response(whole);
    }
    let body = part(whole, "result")?;
    let failed = matches!(body.get("isError"), Some(Value::Bool(true)));
    let mut record = object([("success", Value::from(!failed))]);
    let message = first_in(body, "content", "text").ok_or_else(|| wrong("content", "no text"))?;
    record.insert("message", message.clone());
    if let Some(data) = body.get("structuredContent") {
        record.insert("data", data.clone());
    }
    // Tools of others do not say how long they took.
    record.insert("execution_time", Value::from("PT0S"));
    if let Some(Value::Object(meta)) = body.get("_meta") {
        take(
            &mut record,
            meta,
            &["execution_time", "side_effects", "timestamp"],
        );
    }
    record.insert("correlation_id", rpc_id(whole)?);
    Ok(record)
}

// ---------------------------------------------------------------- CloudEvents

fn event(
    fill: &mut dyn Fill,
    source: String,
    kind: String,
    time: Value,
    correlation: &str,
    data: Object,
) -> Value {
    Value::Object(object([
        ("specversion", Value::from("1.0")),
        (
            "id",
            Value::from(fill.uuid().unwrap_or_else(|| correlation.to_owned())),
        ),
        ("source", Value::from(source)),
        ("type", Value::from(kind)),
        ("time", time),
        ("correlationid", Value::from(correlation)),
        ("datacontenttype", Value::from("application/json")),
        ("data", Value::Object(data)),
    ]))
}

fn from_event(whole: &Object) -> Result<Object, ReadError> {
    let kind = text_of(whole, "type")?;
    let data = part(whole, "data")?;
    let mut record = match kind.split_once("action.") {
        Some((_, method)) => {
            let mut record = object(verb_noun(method)?);
            take(&mut record, data, &["modifiers", "parameters"]);
            let source = text_of(whole, "source")?;
            let source = source.strip_prefix(SOURCE).unwrap_or(source);
            record.insert("source_instance", Value::from(source));
            record
        }
        None if kind.ends_with("result") => data.clone(),
        None => return Err(wrong("type", "neither …action.VERB.NOUN nor …result")),
    };
    let correlation = whole.get("correlationid").or(whole.get("id"));
    if let Some(id) = correlation {
        record.insert("correlation_id", id.clone());
    }
    if let Some(time) = whole.get("time") {
        record.insert("timestamp", time.clone());
    }
    Ok(record)
}

// ---------------------------------------------------------------- A2A

fn a2a_message(grammar: &Grammar, action: &StructuredAction) -> Value {
    let data = object([
        ("verb", Value::from(action.verb.as_str())),
        ("noun", Value::from(action.noun.as_str())),
        ("modifiers", texts(&action.modifiers)),
        ("parameters", Value::Object(action.parameters.clone())),
    ]);
    let metadata = object([
        (
            "source_instance",
            Value::from(action.source_instance.as_str()),
        ),
        ("timestamp", time(action.timestamp)),
    ]);
    let message = object([
        ("messageId", Value::from(action.correlation_id.as_str())),
        ("role", Value::from("ROLE_USER")),
        ("parts", parts(&grammar.text(action), data)),
        ("metadata", Value::Object(metadata)),
    ]);
    Value::Object(object([("message", Value::Object(message))]))
}

fn parts(text: &str, data: Object) -> Value {
    let text = object([("text", Value::from(text))]);
    let data = object([("data", Value::Object(data))]);
    Value::Array(vec![Value::Object(text), Value::Object(data)])
}

/// The first of a message's parts that has a member of this name: that member.
fn in_parts<'a>(message: &'a Object, name: &str) -> Option<&'a Value> {
    first_in(message, "parts", name)
}

/// The member `name` of the first object in `list` that has one.
fn first_in<'a>(whole: &'a Object, list: &str, name: &str) -> Option<&'a Value> {
    let Some(Value::Array(parts)) = whole.get(list) else {
        return None;
    };
    parts.iter().find_map(|part| match part {
        Value::Object(part) => part.get(name),
        _ => None,
    })
}

fn from_a2a_message(whole: &Object) -> Result<Object, ReadError> {
    let message = match whole.get("message") {
        Some(_) => part(whole, "message")?,
        None => whole,
    };
    let Some(Value::Object(data)) = in_parts(message, "data") else {
        return Err(wrong("message", "no part holds data"));
    };
    let mut record = Object::new();
    take(
        &mut record,
        data,
        &["verb", "noun", "modifiers", "parameters"],
    );
    if let Some(Value::Object(metadata)) = message.get("metadata") {
        take(&mut record, metadata, &["source_instance", "timestamp"]);
    }
    if let Some(id) = a2a_id(whole) {
        record.insert("correlation_id", id.clone());
    }
    Ok(record)
}

/// The id of a message, alone or in its request.
fn a2a_id(whole: &Object) -> Option<&Value> {
    let message = match whole.get("message") {
        Some(Value::Object(message)) => message,
        _ => whole,
    };
    message.get("messageId").or(message.get("message_id"))
}

fn a2a_task(result: &ActionResult) -> Value {
    let state = match result.success {
        true => "TASK_STATE_COMPLETED",
        false => "TASK_STATE_FAILED",
    };
    let message = object([
        ("messageId", Value::from(result.correlation_id.as_str())),
        ("role", Value::from("ROLE_AGENT")),
        ("parts", parts(&result.message, result.data.clone())),
    ]);
    let status = object([
        ("state", Value::from(state)),
        ("message", Value::Object(message)),
        ("timestamp", time(result.timestamp)),
    ]);
    let task = object([
        ("id", Value::from(result.correlation_id.as_str())),
        ("status", Value::Object(status)),
        ("metadata", Value::Object(outcome(result))),
    ]);
    Value::Object(object([("task", Value::Object(task))]))
}

fn from_a2a_task(whole: &Object) -> Result<Object, ReadError> {
    let task = part(whole, "task")?;
    let status = part(task, "status")?;
    let success = match text_of(status, "state")? {
        "TASK_STATE_COMPLETED" => true,
        "TASK_STATE_FAILED" | "TASK_STATE_REJECTED" | "TASK_STATE_CANCELED" => false,
        _ => return Err(wrong("status", "the task is not over")),
    };
    let mut record = object([("success", Value::from(success))]);
    let message = part(status, "message")?;
    for (from, to) in [("text", "message"), ("data", "data")] {
        if let Some(value) = in_parts(message, from) {
            record.insert(to, value.clone());
        }
    }
    take(&mut record, status, &["timestamp"]);
    if let Some(Value::Object(metadata)) = task.get("metadata") {
        take(&mut record, metadata, &["execution_time", "side_effects"]);
    }
    record.insert("correlation_id", Value::from(text_of(task, "id")?));
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::NoFill;

    struct Uuid;
    impl Fill for Uuid {
        fn now(&mut self) -> Option<crate::action::time::Timestamp> {
            "2026-11-23T09:15:00Z".parse().ok()
        }
        fn uuid(&mut self) -> Option<String> {
            Some("6f1c1a52-9f0e-4d53-9d5e-3c0f6b0f6a11".to_owned())
        }
    }

    const ACTION: &str = r#"{"verb":"run","noun":"task","modifiers":["beast-mode"],"parameters":{"task_id":"abc","n":100000000000000000000},"timestamp":"2026-11-23T09:15:00Z","source_instance":"kiro-1","correlation_id":"m-1"}"#;
    const RESULTS: [&str; 2] = [
        r#"{"success":true,"message":"merged","data":{"n":1},"execution_time":"PT1.5S","side_effects":["a"],"correlation_id":"m-1","timestamp":"2026-11-23T09:15:02Z"}"#,
        r#"{"success":false,"message":"no","data":{},"execution_time":"PT0S","side_effects":[],"correlation_id":"m-2","timestamp":"2026-11-23T09:15:02Z"}"#,
    ];

    #[test]
    fn every_form_comes_back_as_the_record_it_was() {
        let grammar = Grammar::builtin();
        for line in [ACTION, RESULTS[0], RESULTS[1]] {
            let record = Record::read(line, &mut NoFill, &grammar.words(false)).unwrap();
            for form in [
                Neighbour::JsonRpc,
                Neighbour::Mcp,
                Neighbour::CloudEvents,
                Neighbour::A2a,
            ] {
                let there = form.write(grammar, &record, &mut Uuid).unwrap().to_string();
                let back = form.read(grammar, &there, false, "k", &mut Uuid).unwrap();
                assert_eq!(back.to_json(), line, "{there}");
            }
        }
    }

    #[test]
    fn what_has_no_place_there_is_refused() {
        let grammar = Grammar::builtin();
        let read = |line: &str| Record::read(line, &mut NoFill, &grammar.words(false)).unwrap();
        let naive = read(&ACTION.replace("00Z", "00"));
        let error = Neighbour::CloudEvents
            .write(grammar, &naive, &mut Uuid)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "timestamp: has no zone, and an event needs one"
        );
        let taken = read(&ACTION.replace("\"n\":", "\"_source\":"));
        assert!(
            Neighbour::JsonRpc
                .write(grammar, &taken, &mut Uuid)
                .is_err()
        );
        let method = r#"{"jsonrpc":"2.0","id":1,"method":"rum.task","params":{}}"#;
        let error = Neighbour::JsonRpc
            .read(grammar, method, false, "k", &mut Uuid)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "verb: \"rum\" is not a verb (did you mean \"run\"?)"
        );
    }

    #[test]
    fn who_sends_without_a_name_is_who_the_reader_says() {
        let grammar = Grammar::builtin();
        for (form, line) in [
            (
                Neighbour::JsonRpc,
                r#"{"jsonrpc":"2.0","id":1,"method":"run.task"}"#,
            ),
            (
                Neighbour::Mcp,
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run.task"}}"#,
            ),
            (
                Neighbour::A2a,
                r#"{"message":{"parts":[{"data":{"verb":"run","noun":"task"}}]}}"#,
            ),
        ] {
            let read = form.read(grammar, line, false, "kiro-9", &mut Uuid);
            let Ok(Record::Action(action)) = read else {
                panic!("{line}");
            };
            assert_eq!(action.source_instance, "kiro-9", "{line}");
        }
    }

    #[test]
    fn a_mistake_is_answered_in_the_form_of_the_one_who_made_it() {
        let grammar = Grammar::builtin();
        let answer = |form: Neighbour, request: &str| {
            let error = match form.read(grammar, request, false, "k", &mut Uuid) {
                Ok(record) => panic!("{}", record.to_json()),
                Err(error) => ParseError::json(request, &error),
            };
            let answer = form.refusal(request, &error, 3, &mut Uuid);
            answer.map(|answer| answer.to_string()).unwrap_or_default()
        };
        for (request, start) in [
            ("{", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"#),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"rum.task"}"#,
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"verb: \"rum\" is not a verb (did you mean \"run\"?)","data":{"ok":false,"code":"unknown-verb","#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":"a","method":"run.tusk"}"#,
                r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32601,"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":"a","method":"run"}"#,
                r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32601,"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":"a","method":"run.task","params":[1]}"#,
                r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"#,
            ),
        ] {
            let said = answer(Neighbour::JsonRpc, request);
            assert!(said.starts_with(start), "{said}");
            assert!(
                said.ends_with("}}}") && said.contains(r#""line":3,"span":["#),
                "{said}"
            );
        }
        let said = answer(
            Neighbour::Mcp,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"rum.task"}}"#,
        );
        assert!(
            said.starts_with(r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"column 1: verb: "#)
                && said.ends_with(r#""isError":true}}"#),
            "{said}"
        );
        let said = answer(
            Neighbour::A2a,
            r#"{"message":{"messageId":"m-1","parts":[]}}"#,
        );
        assert!(
            said.starts_with(r#"{"task":{"id":"m-1","status":{"state":"TASK_STATE_REJECTED","message":{"messageId":"m-1","#),
            "{said}"
        );
        assert_eq!(answer(Neighbour::CloudEvents, "{}"), "");
        // Text that was typed.
        let typed = |line: &str| {
            let error = grammar.parse(line).unwrap_err();
            let answer = Neighbour::JsonRpc.refusal(line, &error, 1, &mut Uuid);
            answer.unwrap().to_string()
        };
        assert!(
            typed("rnu task abc")
                .contains(r#""code":-32601,"message":"unknown verb 'rnu'","data""#)
        );
        assert!(typed("run task \"abc").contains("-32700"));
        assert!(typed("run task n:=[").contains("-32602"));
        assert!(
            typed("stop instance kiro-3 gracefull")
                .contains(r#""suggestion":"stop instance kiro-3 graceful""#)
        );
    }
}
