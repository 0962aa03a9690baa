//! What an agent is asked: built from the task, or from a template.

use serde::Deserialize;

/// A task as `swarm-assign next` prints it, or a plain line of text.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Given {
    /// Its key; empty for a plain text.
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    /// What is to be done; the first line is its title.
    #[serde(deserialize_with = "or_default")]
    pub description: String,
    /// Requirements that it serves.
    #[serde(deserialize_with = "or_default")]
    pub requirements: Vec<String>,
    /// When it is done.
    #[serde(deserialize_with = "or_default")]
    pub acceptance_criteria: Vec<String>,
    /// The files it is about.
    #[serde(deserialize_with = "or_default")]
    pub touches: Vec<String>,
    /// The file and line that it comes from.
    #[serde(deserialize_with = "or_default")]
    pub source: String,
    /// Who is to do it.
    pub assigned_instance: Option<String>,
    /// Which claim of it.
    pub epoch: Option<u64>,
    /// What joins its records.
    #[serde(deserialize_with = "or_default")]
    pub correlation_id: String,
}

/// Null is as good as absent.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Given {
    /// Reads a task: one JSON object, or else plain words.
    ///
    /// # Errors
    /// What is wrong with the JSON.
    pub fn read(text: &str) -> Result<Given, String> {
        let text = text.trim();
        if text.starts_with('{') {
            let given: Given = serde_json::from_str(text).map_err(|error| error.to_string())?;
            if given.id.is_empty() && given.description.is_empty() {
                return Err("it has neither an id nor a description".to_owned());
            }
            return Ok(given);
        }
        Ok(Given {
            description: text.to_owned(),
            ..Given::default()
        })
    }

    /// Its one line.
    pub fn title(&self) -> &str {
        self.description.lines().next().unwrap_or_default()
    }
}

/// What else goes into a prompt.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// The agent.
    pub agent: &'a str,
    /// Its branch.
    pub branch: &'a str,
    /// What the one who tried the task before left for the next.
    pub handover: &'a str,
    /// Whether the tree must change; otherwise an answer is enough.
    pub wants_change: bool,
}

/// The prompt that is asked if nobody says otherwise.
pub fn build(task: &Given, around: &Around<'_>) -> String {
    let mut text = String::new();
    let mut part = |title: &str, body: &str| {
        if !body.trim().is_empty() {
            text.push_str(&format!("# {title}\n\n{}\n\n", body.trim_end()));
        }
    };
    let title = match task.id.as_str() {
        "" => "Task".to_owned(),
        id => format!("Task {id}"),
    };
    part(&title, &task.description);
    let mut context = String::new();
    if !task.source.is_empty() {
        context.push_str(&format!("It stands in {}; read it there.\n", task.source));
    }
    if !task.requirements.is_empty() {
        context.push_str(&format!(
            "It serves the requirements {}.\n",
            task.requirements.join(", ")
        ));
    }
    part("Specification", &context);
    part("It is done when", &list(&task.acceptance_criteria));
    part("Files it is about", &list(&task.touches));
    part("What the try before left", around.handover);
    part("How to work", &manners(around));
    text
}

fn manners(around: &Around<'_>) -> String {
    let branch = match around.branch {
        "" => String::new(),
        branch => format!(", branch {branch}"),
    };
    let end = match around.wants_change {
        true => {
            "When you are done, commit everything on this branch; what is not committed does not \
             count."
        }
        false => "An answer is enough; nothing has to be changed.",
    };
    format!(
        "You are {}, alone in this worktree{branch}. Others work in worktrees of their own: leave \
         files outside of this directory, other branches and the stash alone.\n\
         Nobody is there to answer. If you cannot go on without a decision of a person, commit what \
         is good and end with your question.\n{end}\n",
        around.agent
    )
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("- {item}\n")).collect()
}

/// The prompt by a template: `{task}`, `{title}`, `{description}`, `{source}`, `{requirements}`,
/// `{acceptance}`, `{files}`, `{handover}`, `{agent}`, `{branch}` and `{prompt}` (the one that would
/// be asked without it) are filled in, once; other braces stay.
pub fn fill(template: &str, task: &Given, around: &Around<'_>) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let value = after.find('}').and_then(|close| {
            let value = match &after[..close] {
                "task" => task.id.clone(),
                "title" => task.title().to_owned(),
                "description" => task.description.clone(),
                "source" => task.source.clone(),
                "requirements" => task.requirements.join(", "),
                "acceptance" => list(&task.acceptance_criteria),
                "files" => list(&task.touches),
                "handover" => around.handover.to_owned(),
                "agent" => around.agent.to_owned(),
                "branch" => around.branch.to_owned(),
                "prompt" => build(task, around),
                _ => return None,
            };
            Some((value, close))
        });
        match value {
            Some((value, close)) => {
                text.push_str(&value);
                rest = &after[close + 1..];
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Given {
        Given::read(
            r#"{"id":"2.1","description":"Parse\nthe header","acceptance_criteria":["tests pass"],"touches":["src/parse.rs"],"source":"tasks.md:7","epoch":2,"requirements":null}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_prompt_tells_task_criteria_files_and_the_former_try() {
        let around = Around {
            agent: "kiro-1",
            branch: "swarm/kiro-1",
            handover: "the tests were red",
            wants_change: true,
        };
        let prompt = build(&task(), &around);
        for part in [
            "# Task 2.1\n\nParse\nthe header",
            "tasks.md:7",
            "- tests pass",
            "- src/parse.rs",
            "the tests were red",
            "branch swarm/kiro-1",
            "commit everything",
        ] {
            assert!(prompt.contains(part), "{part}: {prompt}");
        }
        let bare = build(&Given::read("say hello").unwrap(), &Around::default());
        assert!(bare.starts_with("# Task\n\nsay hello\n"), "{bare}");
        assert!(!bare.contains("try before"));
    }

    #[test]
    fn a_template_is_filled_once_and_other_braces_stay() {
        let mut task = task();
        task.description = "see {agent}".to_owned();
        let around = Around {
            agent: "a",
            ..Around::default()
        };
        assert_eq!(
            fill("{title} {nobody} {{agent} fn f() {}{", &task, &around),
            "see {agent} {nobody} {a fn f() {}{"
        );
    }

    #[test]
    fn what_is_no_task_is_refused() {
        assert!(Given::read("{").is_err());
        assert!(Given::read("{}").is_err());
        assert_eq!(task().title(), "Parse");
    }
}
