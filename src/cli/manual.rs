//! What a man page says beyond the options: written once beside the command, printed by `--help`,
//! put into `man/NAME.1`, and held by the tests, which run every example.

/// The hand-written part of one command's manual.
///
/// The texts are paragraphs separated by blank lines; a line that begins with four blanks is
/// verbatim. `*word*` is emphasis, `` `word` `` is literal.
#[derive(Debug, Clone, Copy)]
pub struct Manual {
    /// DESCRIPTION: what it is for, what it promises, what it does not.
    pub description: &'static str,
    /// INPUT: what it reads, and the limits.
    pub input: &'static str,
    /// OUTPUT: what it writes, field by field.
    pub output: &'static str,
    /// EXIT STATUS: rows beyond, or more exact than, the table that all commands share.
    pub exit_status: &'static [(u8, &'static str)],
    /// ENVIRONMENT: variable and meaning.
    pub environment: &'static [(&'static str, &'static str)],
    /// FILES: path and meaning.
    pub files: &'static [(&'static str, &'static str)],
    /// EXAMPLES: each is run by the tests.
    pub examples: &'static [Example],
    /// SEE ALSO: names with section, `spore-recv(1)`.
    pub see_also: &'static [&'static str],
}

/// One example: a sentence, and a shell session.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// What it shows, a sentence without full stop.
    pub says: &'static str,
    /// Lines that begin with `$ ` are typed (`> ` continues them), the others are what comes back
    /// on standard output and standard error together; `[..]` stands for any text within a line,
    /// a line `...` for any lines. All examples of one manual run in turn in one fresh directory.
    pub session: &'static str,
}

/// `command` with the examples after its long help.
pub fn with_examples(command: clap::Command, manual: &Manual) -> clap::Command {
    if manual.examples.is_empty() {
        return command;
    }
    let mut text = String::from("Examples:\n");
    for example in manual.examples {
        text.push_str(&format!("\n  # {}\n", example.says));
        for line in example.session.trim_matches('\n').lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    command.after_long_help(text)
}
