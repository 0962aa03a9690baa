//! Files that a text names.

/// Endings that make a word a file's name.
const ENDINGS: &[&str] = &[
    "adoc",
    "astro",
    "bash",
    "bat",
    "bicep",
    "bzl",
    "c",
    "cc",
    "cfg",
    "cjs",
    "clj",
    "cljs",
    "cmake",
    "conf",
    "cpp",
    "cs",
    "csproj",
    "css",
    "csv",
    "cts",
    "cxx",
    "dart",
    "dockerfile",
    "el",
    "env",
    "erl",
    "ex",
    "exs",
    "feature",
    "fish",
    "fs",
    "fsproj",
    "gd",
    "go",
    "gql",
    "gradle",
    "graphql",
    "groovy",
    "h",
    "hbs",
    "hcl",
    "hh",
    "hpp",
    "hrl",
    "hs",
    "htm",
    "html",
    "hxx",
    "ini",
    "ipynb",
    "java",
    "jl",
    "js",
    "json",
    "json5",
    "jsonc",
    "jsonl",
    "jsx",
    "kt",
    "kts",
    "less",
    "lock",
    "lua",
    "m",
    "md",
    "mdc",
    "mdx",
    "mjs",
    "mk",
    "ml",
    "mli",
    "mm",
    "mod",
    "mts",
    "nim",
    "nix",
    "php",
    "pl",
    "plist",
    "pm",
    "prisma",
    "properties",
    "proto",
    "ps1",
    "pug",
    "py",
    "pyi",
    "r",
    "rake",
    "rb",
    "rego",
    "rkt",
    "rs",
    "rst",
    "sass",
    "sbt",
    "scala",
    "scss",
    "sh",
    "sln",
    "sol",
    "sql",
    "storyboard",
    "sum",
    "sv",
    "svelte",
    "svg",
    "swift",
    "tex",
    "tf",
    "tfvars",
    "toml",
    "ts",
    "tsv",
    "tsx",
    "txt",
    "v",
    "vb",
    "vhd",
    "vim",
    "vue",
    "wasm",
    "wgsl",
    "xcconfig",
    "xib",
    "xml",
    "yaml",
    "yml",
    "zig",
    "zsh",
];

/// Names that are files without an ending.
const WHOLE: &[&str] = &[
    "Makefile",
    "Dockerfile",
    "Gemfile",
    "Rakefile",
    "Procfile",
    "Jenkinsfile",
    "Vagrantfile",
    "Justfile",
    "Cartfile",
    "Podfile",
    "CODEOWNERS",
    "LICENSE",
    ".gitignore",
    ".env",
    ".npmrc",
    ".dockerignore",
    ".editorconfig",
    ".nvmrc",
];

/// The last words of sentences that look like a file's ending: `e.g`, `Node.js`.
const PRODUCTS: &[&str] = &[
    "node.js",
    "next.js",
    "vue.js",
    "express.js",
    "react.js",
    "three.js",
    "d3.js",
    "chart.js",
    "nuxt.js",
    "socket.io",
    "asp.net",
    "matter.js",
    "p5.js",
    "alpine.js",
    "ember.js",
    "backbone.js",
    "moment.js",
    "day.js",
    "discord.js",
    "cannon.js",
    "phaser.js",
    "web3.js",
    "ethers.js",
    "i.e",
    "e.g",
    "leaflet.js",
    "deck.gl",
    "solid.js",
    "nest.js",
    "tensorflow.js",
    "babylon.js",
];

/// Whether `word` is a path: it has a known ending, or is a well-known name.
fn is_path(word: &str) -> bool {
    if word.is_empty() || word.len() > 260 || word.contains("//") || word.contains("...") {
        return false;
    }
    let name = word.rsplit('/').next().unwrap_or(word);
    if WHOLE.contains(&name) {
        return true;
    }
    let Some((stem, ending)) = name.rsplit_once('.') else {
        return false;
    };
    if ending.is_empty() || ending.len() > 12 {
        return false;
    }
    let lower = ending.to_ascii_lowercase();
    let known = ENDINGS.binary_search(&lower.as_str()).is_ok();
    let method = stem.is_empty() && !word.contains('/');
    known && !method && !PRODUCTS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether a character may stand in a path that is named in running text.
fn in_path(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(
            c,
            '_' | '.' | '/' | '-' | '@' | '+' | '[' | ']' | '$' | '\\'
        )
}

/// One form for one file: `/` between the parts, no `./` in front, no `//`.
pub(super) fn canonical(path: &str) -> String {
    let path = path.trim().replace('\\', "/");
    let mut path = path.as_str();
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if !(c == '/' && out.ends_with('/')) {
            out.push(c);
        }
    }
    out
}

/// The files that a text names, in order, each once per text. `a.{ts,tsx}` and globs are no files.
pub(super) fn named(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut from = None;
    let ends = text.char_indices().map(Some).chain([None]);
    for step in ends {
        match step {
            Some((at, c)) if in_path(c) => {
                from.get_or_insert(at);
            }
            step => {
                let end = step.map_or(text.len(), |(at, _)| at);
                let Some(begin) = from.take() else {
                    continue;
                };
                let glob = step.is_some_and(|(_, c)| matches!(c, '*' | '{' | '?' | '<'));
                let before = text[..begin].chars().next_back();
                let part = before.is_some_and(|c| matches!(c, '*' | '}' | ':' | '>' | '~'))
                    && text[begin..end].starts_with(['/', '.']);
                if glob || part || end - begin < 3 {
                    continue;
                }
                let word = text[begin..end].trim_end_matches(['.', '-', '/', '[']);
                let word = word.trim_start_matches(['[', '-', '+']);
                let word = word
                    .strip_suffix(']')
                    .filter(|inner| !inner.contains('['))
                    .unwrap_or(word);
                if is_path(word) {
                    let path = canonical(word);
                    if seen.insert(path.clone()) {
                        found.push(path);
                    }
                }
            }
        }
    }
    found
}

/// The files of a field that lists them: everything between commas and blanks counts if it looks
/// like a path or stands in backticks; a trailing slash means a directory.
pub(super) fn listed(value: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (place, part) in value.split('`').enumerate() {
        let quoted = place % 2 == 1;
        for word in part.split([',', ';', ' ', '\t', '(', ')', '，', '、']) {
            let word = word.trim_matches(['*', '_', '"', '\'', '.']);
            let wildcard = word.contains(['*', '{', '<', '?']) || word.contains("://");
            if word.len() < 2 || wildcard {
                continue;
            }
            if is_path(word) || word.ends_with('/') || quoted || word.contains('/') {
                let path = canonical(word);
                if !found.contains(&path) && found.len() < 1000 {
                    found.push(path);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_sorted() {
        assert!(ENDINGS.is_sorted());
    }

    #[test]
    fn files_are_found_in_running_text() {
        assert_eq!(
            named(
                "Create `src/auth/login.rs` and URLParserTests.swift in Tests/Unit/ (see ./a.md)."
            ),
            ["src/auth/login.rs", "URLParserTests.swift", "a.md"]
        );
        assert_eq!(
            named("app/[id]/page.tsx, `Cargo.lock`; Makefile"),
            ["app/[id]/page.tsx", "Cargo.lock", "Makefile"]
        );
        let none = "Use Node.js, e.g. v1.2.3 and/or https://example.org/a.html or *.rs, src/**/*.ts, POST /api/login";
        assert_eq!(named(none), Vec::<String>::new());
    }

    #[test]
    fn a_field_may_name_directories() {
        assert_eq!(
            listed("`src/auth/`, tests/login.rs"),
            ["src/auth/", "tests/login.rs"]
        );
    }
}
