//! Man pages and completions are derived from the definitions, and every example in a document is
//! run. `SNAPSHOTS=overwrite cargo test` writes the derived files anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap_complete::{Shell, generate};
use clap_mangen::Man;
use sporekit::cli::error::SHARED;
use sporekit::cli::{Manual, commands};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The date in the footers of the man pages: the day on which their text was last read as a whole.
const DATE: &str = "2026-11-26";

/// Holds `path` equal to `text`, or writes it.
pub(crate) fn fresh(path: &str, text: &[u8]) {
    let path = repository().join(path);
    if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        return;
    }
    let there = fs::read(&path).unwrap_or_default();
    assert!(
        there == text,
        "{} is not fresh: run `SNAPSHOTS=overwrite cargo test`",
        path.display()
    );
}

#[test]
fn man_pages_are_fresh() {
    for (command, manual) in commands() {
        let name = command.get_name().to_owned();
        fresh(&format!("man/{name}.1"), &page(command, &manual));
    }
}

/// `swarm.toml(5)` is the page of the room that reads the file.
#[test]
fn the_page_of_the_configuration_is_fresh_and_its_example_is_read() {
    let source = fs::read_to_string(repository().join("src/swarm/config.rs")).unwrap();
    let told: Vec<&str> = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let told = told.join("\n");
    let (before, example) = told.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    sporekit::swarm::Config::parse(example, Path::new("swarm.toml")).unwrap();
    let mut out = Vec::new();
    let title = format!(".TH SWARM.TOML 5 {DATE} \"sporekit\" \"sporekit manual\"\n");
    out.extend_from_slice(title.as_bytes());
    out.extend_from_slice(b".SH NAME\nswarm.toml \\- the configuration of a swarm\n");
    let (_, description) = before.split_once(": ").unwrap();
    let description = description.replacen("the one", "The one", 1);
    section(&mut out, "DESCRIPTION", &description);
    out.extend_from_slice(b".SH \"EVERY TABLE AND KEY\"\n");
    verbatim(&mut out, example.trim_end());
    out.extend_from_slice(
        b".SH \"SEE ALSO\"\n\\fBsporekit\\fR(7),\n\\fBworktree\\-spawn\\fR(1),\n\\fBagent\\-run\\fR(1)\n",
    );
    fresh("man/swarm.toml.5", &tidy(&out));
}

#[test]
fn completions_are_fresh() {
    for (mut command, _) in commands() {
        let name = command.get_name().to_owned();
        for (shell, file) in [
            (Shell::Bash, name.clone()),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
        ] {
            let mut text = Vec::new();
            generate(shell, &mut command, name.clone(), &mut text);
            if name == "protocol-parse" {
                text = with_text(shell, &String::from_utf8(text).unwrap()).into_bytes();
            }
            fresh(&format!("completions/{shell}/{file}"), &text);
        }
    }
}

/// The completion of protocol-parse, which also knows the words of the command itself.
fn with_text(shell: Shell, options: &str) -> String {
    match shell {
        Shell::Bash => options.to_owned() + include_str!("../src/cli/complete/protocol-parse.bash"),
        Shell::Fish => options.to_owned() + include_str!("../src/cli/complete/protocol-parse.fish"),
        _ => {
            let function = include_str!("../src/cli/complete/protocol-parse.zsh");
            let end = "if [ \"$funcstack[1]\" = ";
            let (first, last) = options.split_once(end).unwrap();
            let operands = "'*::lines -- Lines to read instead of standard input:";
            let by_default = format!("{operands}_default'");
            assert!(first.contains(&by_default), "{first}");
            let first = first.replace(&by_default, &format!("{operands}_protocol-parse_text'"));
            format!("{first}{function}{end}{last}")
        }
    }
}

/// What bash offers after these words, the last of which is being typed.
fn offered(words: &[&str]) -> Vec<String> {
    let file = repository().join("completions/bash/protocol-parse");
    let bin = Path::new(env!("CARGO_BIN_EXE_protocol-parse")).parent();
    let script = r#"
        PATH="$1:$PATH"; source "$2"; shift 2
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _protocol__parse_text protocol-parse "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash"])
        .arg(bin.unwrap())
        .arg(file)
        .args(words)
        .env_remove("SPORE_ROOT")
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_shell_completes_the_words_of_a_command_and_the_options() {
    let has = |words: &[&str], word: &str| {
        let offered = offered(words);
        assert!(
            offered.iter().any(|one| one == word),
            "{words:?}: {offered:?}"
        );
        offered.len()
    };
    has(&["protocol-parse", "re"], "restart");
    has(
        &["protocol-parse", "--as", "kiro-1", "stop", "inst"],
        "instance",
    );
    let few = has(
        &["protocol-parse", "stop", "instance", "kiro-3", "gr"],
        "graceful",
    );
    assert_eq!(few, 1);
    // A whole line in quotes.
    has(&["protocol-parse", "'stop inst"], "stop instance");
    has(&["protocol-parse", "--rep"], "--report");
    has(&["protocol-parse", "--from", "json"], "jsonrpc");
    let directory = tempfile::tempdir().unwrap();
    let mine = directory.path().join("mine.toml");
    fs::write(&mine, "[verbs.brew]\nnouns = [\"service\"]\n").unwrap();
    has(
        &["protocol-parse", "--grammar", mine.to_str().unwrap(), "br"],
        "brew",
    );
}

/// A man page in the order of man-pages(7).
fn page(command: clap::Command, manual: &Manual) -> Vec<u8> {
    let version = format!("sporekit {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone().after_long_help(""))
        .source(version)
        .manual("sporekit manual")
        .date(DATE);
    let mut out = Vec::new();
    man.render_title(&mut out).unwrap();
    man.render_name_section(&mut out).unwrap();
    man.render_synopsis_section(&mut out).unwrap();
    section(&mut out, "DESCRIPTION", manual.description);
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out).unwrap();
    }
    man.render_options_section(&mut out).unwrap();
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        out.extend_from_slice(
            format!(".SH \"THE VERB {}\"\n", sub.get_name().to_uppercase()).as_bytes(),
        );
        if let Some(about) = sub.get_long_about().or(sub.get_about()) {
            paragraphs(&mut out, &about.to_string());
        }
        let mut options = Vec::new();
        let full = sub
            .clone()
            .bin_name(format!("{} {}", command.get_name(), sub.get_name()));
        Man::new(full).render_options_section(&mut options).unwrap();
        let options = String::from_utf8(options).unwrap();
        out.extend_from_slice(options.replacen(".SH OPTIONS\n", "", 1).as_bytes());
    }
    section(&mut out, "INPUT", manual.input);
    section(&mut out, "OUTPUT", manual.output);
    out.extend_from_slice(b".SH \"EXIT STATUS\"\n");
    let own = |code: &u8| manual.exit_status.iter().any(|(c, _)| c == code);
    let mut rows: Vec<_> = SHARED
        .iter()
        .filter(|(code, _)| !own(code))
        .chain(manual.exit_status)
        .collect();
    rows.sort();
    for (code, meaning) in rows {
        term(&mut out, &code.to_string(), meaning);
    }
    if !manual.environment.is_empty() {
        out.extend_from_slice(b".SH ENVIRONMENT\n");
        manual
            .environment
            .iter()
            .for_each(|(name, meaning)| term(&mut out, name, meaning));
    }
    if !manual.files.is_empty() {
        out.extend_from_slice(b".SH FILES\n");
        manual
            .files
            .iter()
            .for_each(|(name, meaning)| term(&mut out, name, meaning));
    }
    if !manual.examples.is_empty() {
        out.extend_from_slice(b".SH EXAMPLES\n");
        let says = "In what comes back, \"[..]\" stands for text that differs from run to run.";
        paragraphs(&mut out, says);
        for example in manual.examples {
            paragraphs(&mut out, &format!("{}:", example.says));
            verbatim(&mut out, example.session.trim_matches('\n'));
        }
    }
    if !manual.see_also.is_empty() {
        let list: Vec<String> = manual
            .see_also
            .iter()
            .map(|name| format!("\\fB{}", name.replacen('(', "\\fR(", 1)))
            .collect();
        out.extend_from_slice(
            format!(
                ".SH \"SEE ALSO\"\n{}\n",
                list.join(",\n").replace('-', "\\-")
            )
            .as_bytes(),
        );
    }
    tidy(&out)
}

/// Without the breaks and paragraphs that change nothing where they stand.
fn tidy(page: &[u8]) -> Vec<u8> {
    let page = std::str::from_utf8(page).unwrap();
    let mut lines: Vec<&str> = Vec::new();
    for line in page.lines() {
        match (line, lines.last()) {
            (".PP", Some(last)) if last.starts_with(".SH") => continue,
            (".br", Some(&"")) => continue,
            ("", Some(&".br")) => drop(lines.pop()),
            _ => {}
        }
        lines.push(line);
    }
    (lines.join("\n") + "\n").into_bytes()
}

fn section(out: &mut Vec<u8>, title: &str, text: &str) {
    if !text.is_empty() {
        out.extend_from_slice(format!(".SH {title}\n").as_bytes());
        paragraphs(out, text);
    }
}

fn term(out: &mut Vec<u8>, name: &str, meaning: &str) {
    out.extend_from_slice(
        format!(".TP\n\\fB{}\\fR\n{}\n", escaped(name), inline(meaning)).as_bytes(),
    );
}

fn paragraphs(out: &mut Vec<u8>, text: &str) {
    for paragraph in text.trim_matches('\n').split("\n\n") {
        if paragraph.lines().all(|line| line.starts_with("    ")) {
            let lines: Vec<&str> = paragraph.lines().map(|line| &line[4..]).collect();
            verbatim(out, &lines.join("\n"));
        } else {
            out.extend_from_slice(b".PP\n");
            for line in paragraph.lines() {
                out.extend_from_slice(format!("{}\n", inline(line.trim())).as_bytes());
            }
        }
    }
}

fn verbatim(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b".PP\n.RS 4\n.nf\n");
    for line in text.lines() {
        out.extend_from_slice(format!("{}\n", escaped(line)).as_bytes());
    }
    out.extend_from_slice(b".fi\n.RE\n");
}

/// Text as roff shows it: no control lines, no hyphens where minus signs are meant.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// The same, with `*emphasis*` and `` `literal` ``.
fn inline(text: &str) -> String {
    let mut shown = String::new();
    for (place, part) in text.split('`').enumerate() {
        if place % 2 == 1 {
            shown.push_str(&format!("\\fB{}\\fR", escaped(part)));
            continue;
        }
        for (place, part) in part.split('*').enumerate() {
            let part = escaped(part);
            shown.push_str(&if place % 2 == 1 {
                format!("\\fI{part}\\fR")
            } else {
                part
            });
        }
    }
    shown
}

#[test]
fn every_example_of_every_manual_runs() {
    for (command, manual) in commands() {
        let name = command.get_name().to_owned();
        assert!(!manual.examples.is_empty(), "{name} has no example");
        let sessions: Vec<&str> = manual
            .examples
            .iter()
            .map(|example| example.session)
            .collect();
        hold(&format!("the manual of {name}"), &sessions.join("\n"));
    }
}

#[test]
fn every_option_stands_in_an_example_or_in_the_readme() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for (command, manual) in commands() {
        let mut told: String = manual
            .examples
            .iter()
            .map(|e| format!("{}\n", e.session))
            .collect();
        told.push_str(&readme);
        let all = std::iter::once(&command).chain(command.get_subcommands());
        let missing: Vec<String> = all
            .flat_map(|command| command.get_arguments())
            .filter_map(|arg| arg.get_long().map(|long| (arg, long)))
            .filter(|(arg, long)| {
                let short = arg
                    .get_short()
                    .is_some_and(|s| told.contains(&format!(" -{s} ")));
                !["help", "version", "quiet", "verbose"].contains(long)
                    && !told.contains(&format!("--{long}"))
                    && !short
            })
            .map(|(_, long)| format!("--{long}"))
            .collect();
        assert!(
            missing.is_empty(),
            "{}: no example shows {}",
            command.get_name(),
            missing.join(" ")
        );
    }
}

/// The documents whose console blocks are run.
const DOCUMENTS: &[&str] = &["README.md"];

#[test]
fn every_console_block_of_the_documents_runs() {
    for file in DOCUMENTS {
        let text = fs::read_to_string(repository().join(file)).unwrap();
        hold(file, &console_blocks(&text).join("\n"));
    }
}

/// The contents of the ```` ```console ```` fences.
fn console_blocks(text: &str) -> Vec<String> {
    text.split("```console\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Types a session into one `sh` in a fresh directory and holds what comes back.
pub(crate) fn hold(what: &str, session: &str) {
    let steps = steps(session);
    let Some(last) = steps.len().checked_sub(1) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("work");
    fs::create_dir(&home).unwrap();
    let bin = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    const MARK: &str = "=== step ended with";
    let script: String = steps
        .iter()
        .map(|(typed, _)| format!("{typed}\nprintf '\\n{MARK} %d\\n' $?\n"))
        .collect();
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SPORE_")
            || name.to_string_lossy().starts_with("GIT_")
        {
            command.env_remove(name);
        }
    }
    let file: PathBuf = directory.path().join("script");
    fs::write(&file, format!("exec 2>&1 </dev/null\n{script}")).unwrap();
    let output = command
        .arg(&file)
        .current_dir(&home)
        .env("PATH", path)
        .env("HOME", directory.path())
        .env("EXAMPLES", repository().join("examples"))
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut rest = output.as_str();
    for (place, (typed, expected)) in steps.iter().enumerate() {
        let Some((came, after)) = rest.split_once(&format!("\n{MARK} ")) else {
            panic!("{what}: step {place} of {last} never ended:\n$ {typed}\n{rest}");
        };
        let (status, after) = after.split_once('\n').unwrap_or((after, ""));
        rest = after;
        let came = came.trim_end_matches('\n');
        assert!(
            status == "0",
            "{what}: ended with {status}:\n$ {typed}\n{came}"
        );
        let same =
            snapbox::Assert::new().try_eq(Some(&typed), came.to_owned().into(), expected.into());
        if let Err(differs) = same {
            panic!("{what}:\n$ {typed}\n{differs}");
        }
    }
}

/// Splits a session into what is typed and what comes back.
fn steps(session: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut came_back = true;
    for line in session.trim_matches('\n').lines() {
        if let Some(typed) = line.strip_prefix("$ ") {
            steps.push((typed.to_owned(), String::new()));
            came_back = false;
        } else if let (false, Some(more)) = (came_back, line.strip_prefix("> ")) {
            let typed = &mut steps.last_mut().expect("a session begins with `$ `").0;
            typed.push('\n');
            typed.push_str(more);
        } else if let Some((_, expected)) = steps.last_mut() {
            came_back = true;
            expected.push_str(line);
            expected.push('\n');
        }
    }
    for (_, expected) in &mut steps {
        expected.truncate(expected.trim_end_matches('\n').len());
    }
    steps
}
