//! Which form a file has, and reading it.

use super::markdown::note;
use super::taskmaster::empty;
use super::{
    Format, Level, List, beads, bmad, ccsdd, claude, github, json, kiro, merge, openspec, ours,
    ralph, speckit, taskmaster,
};

/// The form of a file, from its name and what stands in it. What fits nothing is a plain list.
pub fn detect(file: &str, bytes: &[u8]) -> Format {
    let path = file.replace('\\', "/");
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let begin = text.trim_start();
    if begin.starts_with(['{', '[']) && !begin.starts_with("[ ]") {
        return detect_json(&path, begin);
    }
    if path.ends_with(".yaml") || path.ends_with(".yml") {
        return Format::Bmad;
    }
    let marks = |needle: &str| text.contains(needle);
    if path.contains("openspec/") {
        return Format::OpenSpec;
    }
    let boxes = || {
        text.lines()
            .map(str::trim_start)
            .filter_map(|line| line.strip_prefix("- [").and_then(|rest| rest.get(3..)))
    };
    if boxes().any(|rest| {
        let rest = rest.trim_start_matches(['*', '[', ' ']);
        rest.strip_prefix('T')
            .is_some_and(|rest| rest.bytes().take_while(u8::is_ascii_digit).count() >= 2)
    }) {
        return Format::SpecKit;
    }
    if marks("## Tasks / Subtasks")
        || (marks("## Story") && boxes().any(|rest| rest.trim_start().starts_with("Task ")))
    {
        return Format::Bmad;
    }
    let parallel = |rest: &str| {
        let rest = rest.trim_start();
        rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.chars().take(24).collect::<String>().contains("(P)")
    };
    if marks("_Boundary:") || marks("_Depends:") || marks("_Blocked:") || boxes().any(parallel) {
        return Format::CcSdd;
    }
    let numbered = || {
        boxes().any(|rest| {
            rest.trim_start_matches(['*', '\\', ' '])
                .starts_with(|c: char| c.is_ascii_digit())
        })
    };
    if path.contains(".kiro/") || marks("_Requirements:") || marks("# Implementation Plan") {
        return Format::Kiro;
    }
    if numbered() {
        // `## 1. Group` over `- [ ] 1.1` without a box for the group is OpenSpec's way.
        let group = text.lines().any(|line| {
            let title = line
                .strip_prefix("##")
                .map(|rest| rest.trim_start_matches(['#', ' ']));
            title.is_some_and(|title| title.starts_with(|c: char| c.is_ascii_digit()))
        });
        let indented = text.lines().any(|line| line.starts_with("  - ["));
        return if group && !indented {
            Format::OpenSpec
        } else {
            Format::Kiro
        };
    }
    Format::Github
}

fn detect_json(path: &str, text: &str) -> Format {
    let first_line = text.lines().next().unwrap_or_default();
    let first = json::read(first_line, 1).or_else(|_| json::read(text, 1));
    let Ok(root) = first else {
        return match path.rsplit('/').next().unwrap_or_default() {
            "prd.json" => Format::Ralph,
            name if name.ends_with(".jsonl") && path.contains(".beads") => Format::Beads,
            name if name.ends_with(".jsonl") => Format::Ours,
            _ => Format::Taskmaster,
        };
    };
    let one = root.items().first().unwrap_or(&root);
    let has = |name: &str| one.get(name).is_some();
    if root.get("userStories").is_some() {
        Format::Ralph
    } else if has("issue_type") || path.contains(".beads/") || has("issue_id") {
        Format::Beads
    } else if has("subject") || has("blockedBy") {
        Format::Claude
    } else if root.get("tasks").is_some()
        || root
            .fields()
            .iter()
            .any(|(_, tag)| tag.get("tasks").is_some())
    {
        Format::Taskmaster
    } else if has("description") && !has("title") {
        Format::Ours
    } else if has("title") && has("status") && path.ends_with(".jsonl") {
        Format::Beads
    } else if has("title") {
        Format::Taskmaster
    } else {
        Format::Ours
    }
}

/// Reads one list. Never fails: what is wrong stands in the notes.
///
/// Invalid UTF-8 is read as escapes (`\xff`); a NUL byte is an error, because no list has one.
pub fn read(file: &str, bytes: &[u8], format: Option<Format>) -> List {
    let format = format.unwrap_or_else(|| detect(file, bytes));
    let mut list = if let Some(nul) = bytes.iter().position(|byte| *byte == 0) {
        let line = bytes[..nul].iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
        let mut list = empty(format);
        let message = "a NUL byte: this is no text file".to_owned();
        list.notes.push(note(Level::Error, line, message));
        list
    } else {
        let text = decode(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        match format {
            Format::Kiro => kiro::read(text),
            Format::CcSdd => ccsdd::read(text),
            Format::SpecKit => speckit::read(text),
            Format::Taskmaster => taskmaster::read(text),
            Format::Beads => beads::read(text),
            Format::OpenSpec => openspec::read(text),
            Format::Bmad => bmad::read(text),
            Format::Claude => claude::read(text),
            Format::Ralph => ralph::read(text),
            Format::Github => github::read(text),
            Format::Ours => ours::read(text),
        }
    };
    let spec = merge::spec_of(file, format);
    for task in &mut list.tasks {
        task.spec.clone_from(&spec);
    }
    for source in &mut list.sources {
        source.file = file.to_owned();
        source.spec.clone_from(&spec);
    }
    merge::keys(&mut list);
    list
}

/// Text with invalid bytes as escapes.
fn decode(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => {
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                for byte in chunk.invalid() {
                    text.push_str(&format!("\\x{byte:02x}"));
                }
            }
            text.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Fact;

    fn fact(list: &List, name: &str) -> u64 {
        let found = list.sources[0].facts.iter().find(|(n, _)| *n == name);
        match found.unwrap().1 {
            Fact::Count(count) => count,
            Fact::Table(_) => panic!("{name} is a table"),
        }
    }

    const KIRO: &str = "# Implementation Plan\n\n- [x] 1. Set up\n  - [x] 1.1 Make `src/a.rs`\n    - _Requirements: 1.1_\n  - [ ]* 1.2 Test it\n    - _Depends on: 1.1, 9.9_\n- [-] 2. Build\n  - Write the code\n  - [ ] 2.1 Test\n    - **Estimate**: 30 min\n- [ ] 3. Checkpoint - all tests pass\n- [ ] loose\n";

    #[test]
    fn a_kiro_list_is_read_whole() {
        let list = read(".kiro/specs/auth/tasks.md", KIRO.as_bytes(), None);
        assert_eq!(list.sources[0].format, Format::Kiro);
        assert_eq!(list.sources[0].spec, "auth");
        let keys: Vec<&str> = list.tasks.iter().map(|t| t.key.as_str()).collect();
        assert_eq!(keys, ["1", "1.1", "1.2", "2", "2.1", "3"]);
        for (name, count) in [
            ("boxes", 7),
            ("ids", 6),
            ("containers", 2),
            ("containers_own_details", 1),
            ("leaf", 4),
            ("leaf_done", 1),
            ("leaf_optional", 1),
            ("noid_top", 1),
            ("explicit_edges", 1),
            ("unresolved_refs", 1),
        ] {
            assert_eq!(fact(&list, name), count, "{name}");
        }
        assert_eq!(list.missing[0].name, "9.9");
        assert_eq!(list.missing[0].place.line, 7);
        assert_eq!(list.tasks[4].estimate.unwrap().ms, 1_800_000);
        assert_eq!(list.tasks[1].touches[0].path, "src/a.rs");
    }

    #[test]
    fn each_form_is_told_from_the_others() {
        for (file, text, format) in [
            (
                "tasks.md",
                "- [ ] T001 [P] Make src/a.rs\n",
                Format::SpecKit,
            ),
            (
                "tasks.md",
                "- [ ] 1.1 (P) x\n  - _Boundary: A_\n",
                Format::CcSdd,
            ),
            (
                "openspec/changes/x/tasks.md",
                "## 1. A\n- [ ] 1.1 x\n",
                Format::OpenSpec,
            ),
            (
                "tasks.md",
                "## Phase 1\n### 1.1 A\n- [ ] 1.1.1 x\n",
                Format::OpenSpec,
            ),
            (
                "story.md",
                "## Tasks / Subtasks\n- [ ] Task 1 (AC: 1)\n",
                Format::Bmad,
            ),
            (
                "sprint-status.yaml",
                "development_status:\n  epic-1: done\n",
                Format::Bmad,
            ),
            ("todo.md", "- [ ] something\n", Format::Github),
            (
                "tasks.json",
                "{\"master\":{\"tasks\":[]}}",
                Format::Taskmaster,
            ),
            ("prd.json", "{\"userStories\":[]}", Format::Ralph),
            ("1.json", "{\"id\":\"1\",\"subject\":\"x\"}", Format::Claude),
            (
                "issues.jsonl",
                "{\"id\":\"a\",\"issue_type\":\"task\"}",
                Format::Beads,
            ),
            ("-", "{\"id\":\"a\",\"description\":\"x\"}", Format::Ours),
        ] {
            assert_eq!(detect(file, text.as_bytes()), format, "{file} {text}");
        }
    }

    #[test]
    fn a_file_without_boxes_says_what_looks_like_a_task() {
        let list = read("x.md", b"# Plan\n#### TASK-001\ntext\n", None);
        assert_eq!(
            list.notes[0].message,
            "no tasks found (0 checkboxes; 1 headings look like tasks: \"#### TASK-001\")"
        );
        assert!(list.has_errors());
    }

    #[test]
    fn every_shape_of_the_wave_graph_is_read() {
        for graph in [
            r#"{"waves":[{"id":0,"tasks":["1","2"]},{"id":1,"tasks":["3"]}]}"#,
            r#"{"waves":[{"wave":1,"description":"d","tasks":["1","2"]},{"wave":2,"tasks":["3"]}]}"#,
            r#"{"waves":[{"wave":1,"name":"n","parallel":true,"tasks":["1","2"],"dependsOn":[]},{"wave":2,"tasks":["3"],"dependsOn":{"3":["1"]}}]}"#,
            r#"{"waves":[{"id":0,"note":"n","tasks":["1","2"]},{"id":1,"tasks":["3"]}]}"#,
            r#"{"waves":[{"tasks":["1","2"]},{"tasks":["3"]}]}"#,
            r#"{"waves":[{"id":0,"tasks":[1,2]},{"id":1,"tasks":[3]}]}"#,
            r#"[["1","2"],["3"]]"#,
            r#"{"waves":[["1","2"],["3"]]}"#,
        ] {
            let text = format!(
                "- [ ] 1. a\n- [ ] 2. b\n- [ ] 3. c\n\n## Task Dependency Graph\n```json\n{graph}\n```\n"
            );
            let list = read(".kiro/specs/a/tasks.md", text.as_bytes(), None);
            assert_eq!(fact(&list, "waves"), 2, "{graph}");
            assert_eq!(fact(&list, "wave_refs"), 3, "{graph}");
            assert_eq!(list.notes, [], "{graph}");
            let flow = list.flow();
            let after_gate = flow.edges.iter().any(|e| (e.from, e.to) == (3, 2));
            assert!(after_gate, "{graph}");
        }
    }

    #[test]
    fn a_hostile_file_is_read_in_linear_time_and_never_panics() {
        let deep: String = (0..10_000)
            .map(|n| format!("{}- [ ] x\n", " ".repeat(n)))
            .collect();
        assert_eq!(read("deep.md", deep.as_bytes(), None).tasks.len(), 10_000);
        let wide = format!("- [ ] 1. {}\n", "(depends on [".repeat(80_000));
        assert_eq!(read("wide.md", wide.as_bytes(), None).tasks.len(), 1);
        let dots = format!("- [ ] {} x\n", "1.".repeat(500_000));
        assert_eq!(read("dots.md", dots.as_bytes(), None).tasks.len(), 1);
        let mut seed = 7u64;
        for _ in 0..1000 {
            let mut bytes = KIRO.as_bytes().to_vec();
            for _ in 0..4 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (seed >> 33) as usize % bytes.len();
                match seed >> 60 {
                    0..=5 => bytes[at] = (seed >> 20) as u8,
                    6..=10 => {
                        bytes.remove(at);
                    }
                    _ => bytes.insert(at, b"[]`<-_(){}\"*:.1\n"[(seed >> 24) as usize % 16]),
                }
            }
            for format in Format::ALL {
                read("x", &bytes, Some(format)).flow();
            }
        }
    }
}
