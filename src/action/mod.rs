//! Actions and results, and the other models of the original system, as on the wire.
//!
//! **For**: reading and writing the JSON that every tool of the swarm speaks: [`StructuredAction`]
//! (what is to be done), [`ActionResult`] (what was done) and the orchestration models
//! ([`model`]). The form is that of the original's `model_dump_json` under pydantic 2.14.
//!
//! **Promises**: a line that the original wrote is read, and written again byte for byte; unknown
//! members are kept and written after ours; numbers are exact, naive times stay naive; a name that
//! stands twice, NaN and infinities are refused, and every refusal names the member.
//!
//! **Does not**: look at the clock or make ids: what a line leaves out and the original would fill
//! in comes from the caller's [`Fill`]. It does not say to whom an action goes; that belongs to
//! the envelope of a spore.

#[cfg(test)]
mod answers;
pub mod json;
pub mod model;
pub mod time;
mod wire;

use json::Object;
pub use json::ReadError;
use time::{TimeDelta, Timestamp};
use wire::model;
pub use wire::{Dict, Fill, NoFill, Wire, WirePath};

/// The 15 verbs of the original.
pub const VERBS: [&str; 15] = [
    "run",
    "stop",
    "sync",
    "status",
    "scale",
    "merge",
    "restart",
    "pause",
    "resume",
    "deploy",
    "rollback",
    "monitor",
    "alert",
    "configure",
    "validate",
];

/// The 15 nouns of the original.
pub const NOUNS: [&str; 15] = [
    "task",
    "instance",
    "branch",
    "swarm",
    "instances",
    "branches",
    "service",
    "deployment",
    "configuration",
    "health",
    "metrics",
    "logs",
    "alerts",
    "resources",
    "workflow",
];

/// Verbs that are ours: the original's design uses them, its code refuses them.
pub const EXTENSION_VERBS: [&str; 5] = ["reassign", "retry", "switch", "resolve", "test"];

/// Nouns that are ours.
pub const EXTENSION_NOUNS: [&str; 5] = [
    "messages",
    "protocol",
    "conflicts",
    "integration",
    "failure",
];

/// Which verbs and nouns an action may have.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// Only the original's own.
    pub core: bool,
    /// More verbs, from a user's grammar.
    pub verbs: Vec<String>,
    /// More nouns, likewise.
    pub nouns: Vec<String>,
}

impl Words {
    /// Only what the original accepts.
    pub fn core() -> Words {
        Words {
            core: true,
            ..Words::default()
        }
    }

    /// Whether an action may have this verb and this noun.
    pub fn knows(&self, verb: &str, noun: &str) -> bool {
        self.check("verb", verb).is_ok() && self.check("noun", noun).is_ok()
    }

    fn check(&self, member: &str, word: &str) -> Result<(), ReadError> {
        let (core, extension, own): (&[&str], &[&str], _) = match member {
            "verb" => (&VERBS, &EXTENSION_VERBS, &self.verbs),
            _ => (&NOUNS, &EXTENSION_NOUNS, &self.nouns),
        };
        let extension = if self.core { &[] } else { extension };
        let all = || {
            core.iter()
                .chain(extension)
                .copied()
                .chain(own.iter().map(String::as_str))
        };
        if all().any(|known| known == word) {
            return Ok(());
        }
        let mut why = format!("{word:?} is not a {member}");
        if let Some(near) = crate::id::nearest(word, all()).first() {
            why.push_str(&format!(" (did you mean {near:?}?)"));
        }
        Err(ReadError::new(why).within(member))
    }
}

model! {
    /// What is to be done: "run task 2.1 in beast mode" as data.
    StructuredAction {
        /// One of [`VERBS`], [`EXTENSION_VERBS`] or a user's own; lower case.
        verb: String = required;
        /// One of [`NOUNS`], [`EXTENSION_NOUNS`] or a user's own; lower case.
        noun: String = required;
        /// How it is to be done: `beast-mode`, `parallel`, `all`.
        modifiers: Vec<String> = (Vec::new());
        /// With what: `task_id`, `timeout`.
        parameters: Object = (Object::new());
        /// When it was said.
        timestamp: Timestamp = now;
        /// Who said it; may be empty.
        source_instance: String = required;
        /// What the result will carry again.
        correlation_id: String = uuid "";
    }
    check |action| action.fold_words(&Words::default());
}

impl StructuredAction {
    /// Reads an action whose words must be among `words`.
    pub fn read_with(
        text: &str,
        fill: &mut dyn Fill,
        words: &Words,
    ) -> Result<StructuredAction, ReadError> {
        StructuredAction::of_members(json::members(text)?, fill, words)
    }

    fn of_members(
        members: json::Members<'_>,
        fill: &mut dyn Fill,
        words: &Words,
    ) -> Result<StructuredAction, ReadError> {
        let mut action = StructuredAction::read_fields(members, fill)?;
        action.fold_words(words)?;
        Ok(action)
    }

    /// Brings verb and noun into lower case and refuses unknown ones.
    fn fold_words(&mut self, words: &Words) -> Result<(), ReadError> {
        for (member, word) in [("verb", &mut self.verb), ("noun", &mut self.noun)] {
            if word.bytes().any(|b| !b.is_ascii_lowercase()) {
                *word = word.to_lowercase();
            }
            words.check(member, word)?;
        }
        Ok(())
    }
}

model! {
    /// What was done.
    ActionResult {
        /// Whether it was.
        success: bool = required;
        /// What to tell a person.
        message: String = required;
        /// What to tell a program.
        data: Object = (Object::new());
        /// How long it took.
        execution_time: TimeDelta = required;
        /// What else was changed on the way.
        side_effects: Vec<String> = (Vec::new());
        /// That of the action.
        correlation_id: String = required;
        /// When it was done.
        timestamp: Timestamp = now;
    }
}

/// An action or a result: what an item of a spore is, and what commands pass through pipes.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// What is to be done.
    Action(StructuredAction),
    /// What was done.
    Result(ActionResult),
}

impl Record {
    /// Reads either, told apart by the member `success` or `verb`.
    pub fn read(text: &str, fill: &mut dyn Fill, words: &Words) -> Result<Record, ReadError> {
        let members = json::members(text)?;
        let has = |name: &str| members.iter().any(|(there, _)| there == name);
        if has("success") && !has("verb") {
            return ActionResult::read_fields(members, fill).map(Record::Result);
        }
        if !has("verb") && !has("noun") {
            let why = "neither an action (no member \"verb\") nor a result (no member \"success\")";
            return Err(ReadError::new(why));
        }
        StructuredAction::of_members(members, fill, words).map(Record::Action)
    }

    /// The wire form.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(256);
        self.write_json(&mut out);
        out
    }

    /// Appends the wire form.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Record::Action(action) => action.write_json(out),
            Record::Result(result) => result.write_json(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::model::*;
    use super::*;

    const ACTION: &str = r#"{"verb":"run","noun":"task","modifiers":["beast-mode"],"parameters":{"task_id":"abc","timeout":300},"timestamp":"2026-11-23T09:15:00.123456Z","source_instance":"kiro-1","correlation_id":"6f1c1a52-9f0e-4d53-9d5e-3c0f6b0f6a11"}"#;

    fn same<T: Wire>(line: &str) {
        assert_eq!(
            T::from_json(line)
                .unwrap_or_else(|e| panic!("{e}: {line}"))
                .to_json(),
            line
        );
    }

    #[test]
    fn lines_of_the_original_come_back_byte_for_byte() {
        same::<StructuredAction>(ACTION);
        same::<ActionResult>(
            r#"{"success":true,"message":"Task completed","data":{"exit":0},"execution_time":"PT1.5S","side_effects":["pushed feature/x"],"correlation_id":"6f1c1a52-9f0e-4d53-9d5e-3c0f6b0f6a11","timestamp":"2026-11-23T09:15:02Z"}"#,
        );
        same::<Task>(
            r#"{"id":"task-1","description":"Setup","requirements":[],"dependencies":[],"estimated_duration":"PT30M","complexity_score":1.0,"required_capabilities":[],"acceptance_criteria":[],"parameters":{},"status":"pending","assigned_instance":null,"start_time":null,"completion_time":null,"result":null,"error_message":null}"#,
        );
        same::<DistributionPlan>(
            r#"{"plan_id":"p","total_tasks":0,"instance_assignments":{},"dependency_groups":[],"estimated_completion_time":"PT1H30M","resource_requirements":{},"parallel_execution_groups":[],"critical_path":[],"created_at":"2025-09-06T10:30:00","strategy_used":"round_robin"}"#,
        );
        same::<RecoveryPlan>(
            r#"{"plan_id":"p","failed_instance":"kiro-1","recovery_strategy":"restart","task_reassignments":{},"estimated_recovery_time":"PT5M","required_actions":[],"rollback_plan":null,"created_at":"2025-09-06T10:30:00"}"#,
        );
    }

    #[test]
    fn unknown_members_and_large_numbers_survive() {
        let line = ACTION.replace(
            r#""timeout":300}"#,
            r#""n":1000000000000000000000000000001}"#,
        );
        let line = line
            .replace("}]}", "}]")
            .replace(r#"0f6a11"}"#, r#"0f6a11","later":{"x":[1.0,null]}}"#);
        same::<StructuredAction>(&line);
    }

    #[test]
    fn verb_and_noun_come_in_any_case_and_unknown_ones_are_refused_by_name() {
        let loud = ACTION
            .replace("\"run\"", "\"RUN\"")
            .replace("\"task\"", "\"Task\"");
        assert_eq!(
            StructuredAction::from_json(&loud).unwrap().to_json(),
            ACTION
        );
        let error = StructuredAction::from_json(&ACTION.replace("\"run\"", "\"rum\"")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "verb: \"rum\" is not a verb (did you mean \"run\"?)"
        );
        let ours = ACTION.replace("\"run\"", "\"reassign\"");
        assert!(StructuredAction::from_json(&ours).is_ok());
        assert!(StructuredAction::read_with(&ours, &mut NoFill, &Words::core()).is_err());
        assert!(StructuredAction::from_json(&ACTION.replace("\"run\"", "\" run\"")).is_err());
    }

    #[test]
    fn every_refusal_names_the_member() {
        for (from, to, says) in [
            (
                "\"kiro-1\"",
                "null",
                "source_instance: a text belongs here, not null",
            ),
            (
                "[\"beast-mode\"]",
                "[1]",
                "modifiers.0: a text belongs here, not a number",
            ),
            (
                "[\"beast-mode\"]",
                "\"x\"",
                "modifiers: a list belongs here, not a text",
            ),
            (
                "300",
                "1e400",
                "parameters.timeout: 1e400 is no finite number of at most 4300 digits",
            ),
            (
                "300",
                "300,\"timeout\":1",
                "parameters: the name \"timeout\" stands there twice",
            ),
            ("\"verb\":\"run\",", "", "verb: is missing"),
            (
                "2026-11-23T",
                "2026-13-23T",
                "timestamp: \"2026-13-23T09:15:00.123456Z\" is not a time: there is no such day",
            ),
        ] {
            let error = StructuredAction::from_json(&ACTION.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.to_string(), says);
        }
        assert!(StructuredAction::from_json(&ACTION.replace("300", "NaN")).is_err());
        assert!(StructuredAction::from_json(&format!("{ACTION} {ACTION}")).is_err());
        assert!(StructuredAction::from_json(&format!(" {ACTION}\n")).is_ok());
    }

    #[test]
    fn success_is_read_as_the_original_reads_it() {
        let line = |success: &str| {
            format!(
                r#"{{"success":{success},"message":"m","data":{{}},"execution_time":1.5,"side_effects":[],"correlation_id":"c","timestamp":0}}"#
            )
        };
        for yes in [
            "1", "1.0", "\"true\"", "\"True\"", "\"yes\"", "\"on\"", "\"t\"", "\"1\"",
        ] {
            assert!(
                ActionResult::from_json(&line(yes)).unwrap().success,
                "{yes}"
            );
        }
        for no in ["0", "\"no\"", "\"off\"", "\"f\"", "false"] {
            assert!(!ActionResult::from_json(&line(no)).unwrap().success, "{no}");
        }
        for bad in ["2", "null", "\"maybe\"", "[]"] {
            assert!(ActionResult::from_json(&line(bad)).is_err(), "{bad}");
        }
        assert_eq!(
            ActionResult::from_json(&line("1"))
                .unwrap()
                .execution_time
                .to_string(),
            "PT1.5S"
        );
    }

    #[test]
    fn defaults_are_filled_in_and_bounds_are_held() {
        let limits = ResourceLimits::default();
        assert_eq!(
            limits.to_json(),
            r#"{"max_cpu_percent":80.0,"max_memory_mb":4096,"max_disk_mb":10240,"max_network_mbps":100.0}"#
        );
        assert_eq!(
            ResourceLimits::from_json(r#"{"max_memory_mb":"3","max_disk_mb":3.0}"#)
                .unwrap()
                .max_memory_mb,
            3
        );
        assert!(ResourceLimits::from_json(r#"{"max_memory_mb":3.5}"#).is_err());
        assert!(SwarmConfig::from_json(r#"{"instance_count":51}"#).is_err());
        assert!(SwarmConfig::from_json(r#"{"min_instances":11}"#).is_err());
        let target = DeploymentTarget::from_json(r#"{"name":"a","type":"docker"}"#).unwrap();
        assert!(
            target
                .to_json()
                .starts_with(r#"{"name":"a","type":"docker","endpoint":null"#)
        );
        let tree = r#"{"workspace_path":"./a//b/","branch_name":"x","worktree_id":"1","creation_timestamp":0,"shared_git_dir":"/r/../.git/"}"#;
        let tree = WorktreeInfo::from_json(tree).unwrap();
        assert_eq!(
            (tree.workspace_path.as_str(), tree.shared_git_dir.as_str()),
            ("a/b", "/r/../.git")
        );
    }
}
