//! Rules about what stands in Rust source: `unsafe`, TODOs, names of tests.

use super::File;

/// The only file with unsafe blocks.
const UNSAFE: &str = "kernel/src/sys.rs";

pub(super) fn check(file: &File) -> Vec<String> {
    let path = file.path.display();
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(split(&file.text)) {
        if words(&line.code).any(|word| word == "unsafe") && file.path.as_os_str() != UNSAFE {
            complaints.push(format!("{path}:{number}: unsafe belongs in {UNSAFE}"));
        }
        if words(&line.code).any(|word| word == "unsafe_code") && !lints_of_kernel(file) {
            complaints.push(format!("{path}:{number}: only kernel may lift the lint unsafe_code"));
        }
        if line.code.contains("fn test_") {
            complaints.push(format!("{path}:{number}: a test's name is a sentence without prefix"));
        }
        if has_loose_end(&line.comment) {
            complaints.push(format!("{path}:{number}: a loose end carries its issue: TODO(#12)"));
        }
    }
    complaints
}

fn lints_of_kernel(file: &File) -> bool {
    file.path.starts_with("kernel/src")
}

/// Whether a comment marks something as unfinished without an issue number.
fn has_loose_end(comment: &str) -> bool {
    ["TODO", "FIXME", "XXX", "HACK"].iter().any(|mark| {
        comment.match_indices(mark).any(|(at, _)| {
            let before = comment[..at].chars().next_back();
            let after = &comment[at + mark.len()..];
            let inside_word =
                before.is_some_and(is_word) || after.chars().next().is_some_and(is_word);
            let issue = after.trim_start_matches(['(', ' ']).strip_prefix('#');
            !inside_word
                && !issue.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    })
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// One line of a source file, told apart; the text of literals is in neither part.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    code: String,
    comment: String,
}

/// What the reader is inside of.
#[derive(Clone, Copy)]
enum Inside {
    Code,
    LineComment,
    /// Block comments nest.
    BlockComment(u32),
    Text,
    /// A raw literal ends with a quote and this many hashes.
    RawText(usize),
}

/// Tells code and comments apart, line by line.
fn split(source: &str) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut inside = Inside::Code;
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let (taken, next) = step(rest, c, inside);
        let line = lines.last_mut().expect("it starts with one line and only grows");
        match (inside, next) {
            (Inside::Code, Inside::Code) => line.code.push(c),
            (Inside::LineComment | Inside::BlockComment(_), _) => line.comment.push(c),
            _ => {}
        }
        for _ in rest[..taken].matches('\n') {
            lines.push(Line::default());
        }
        inside = next;
        rest = &rest[taken..];
    }
    lines
}

/// How many bytes to pass over at the start of `rest`, and what comes after them.
fn step(rest: &str, c: char, inside: Inside) -> (usize, Inside) {
    match inside {
        Inside::Code => step_in_code(rest, c),
        Inside::LineComment if c == '\n' => (1, Inside::Code),
        Inside::BlockComment(depth) if rest.starts_with("/*") => {
            (2, Inside::BlockComment(depth + 1))
        }
        Inside::BlockComment(1) if rest.starts_with("*/") => (2, Inside::Code),
        Inside::BlockComment(depth) if rest.starts_with("*/") => {
            (2, Inside::BlockComment(depth - 1))
        }
        Inside::Text if c == '"' => (1, Inside::Code),
        Inside::Text if c == '\\' => {
            (1 + rest[1..].chars().next().map_or(0, char::len_utf8), Inside::Text)
        }
        Inside::RawText(hashes) if closes_raw(rest, hashes) => (1 + hashes, Inside::Code),
        other => (c.len_utf8(), other),
    }
}

fn step_in_code(rest: &str, c: char) -> (usize, Inside) {
    if rest.starts_with("//") {
        return (2, Inside::LineComment);
    }
    if rest.starts_with("/*") {
        return (2, Inside::BlockComment(1));
    }
    if c == '"' {
        return (1, Inside::Text);
    }
    if let Some(after) = rest.strip_prefix('r') {
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            return (2 + hashes, Inside::RawText(hashes));
        }
    }
    (character_literal(rest).unwrap_or(c.len_utf8()), Inside::Code)
}

/// Length of a character literal at the start; a lifetime is none.
fn character_literal(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let first = body.chars().next()?;
    let length = match first {
        '\\' => 1 + body[1..].find('\'')? + usize::from(body[1..].starts_with('\'')),
        _ => first.len_utf8(),
    };
    body[length..].starts_with('\'').then_some(length + 2)
}

fn closes_raw(rest: &str, hashes: usize) -> bool {
    rest.strip_prefix('"')
        .is_some_and(|after| after.len() - after.trim_start_matches('#').len() >= hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        check(&File { path: path.into(), text: text.into() })
    }

    #[test]
    fn unsafe_is_found_in_code_alone_and_allowed_in_one_file() {
        let block = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(
            complaints("cni/src/a.rs", block),
            ["cni/src/a.rs:2: unsafe belongs in kernel/src/sys.rs"]
        );
        assert!(complaints("kernel/src/sys.rs", block).is_empty());
        for fine in [
            "// unsafe\n",
            "/* /* */ unsafe */\n",
            "let a = \"unsafe \\\" unsafe\";\n",
            "let a = r#\"unsafe \" unsafe\"#;\n",
            "let a = ['\"', '\\'', '\\\\']; // unsafe\n",
            "fn f<'a>(a: &'a str) {} // unsafe\n",
            "let not_unsafe = 1;\n",
        ] {
            assert!(complaints("cni/src/a.rs", fine).is_empty(), "{fine}");
        }
        assert_eq!(complaints("cni/src/a.rs", "let a = '\"'; unsafe { b() }").len(), 1);
    }

    #[test]
    fn only_kernel_lifts_the_lint_against_unsafe() {
        let lifted = "#![allow(unsafe_code)]\n";
        assert_eq!(complaints("cni/src/lib.rs", lifted).len(), 1);
        assert!(complaints("kernel/src/lib.rs", lifted).is_empty());
    }

    #[test]
    fn a_loose_end_needs_its_issue() {
        for bad in ["// TODO: later\n", "// FIXME\n", "/// TODO(someone) fix\n", "/* XXX */\n"] {
            assert_eq!(complaints("cni/src/a.rs", bad).len(), 1, "{bad}");
        }
        for fine in
            ["// TODO(#12): later\n", "// TODO #12\n", "// XXXL\n", "let todo = \"TODO\";\n"]
        {
            assert!(complaints("cni/src/a.rs", fine).is_empty(), "{fine}");
        }
    }

    #[test]
    fn names_of_tests_have_no_prefix() {
        assert_eq!(complaints("cni/src/a.rs", "fn test_that_it_works() {}\n").len(), 1);
        assert!(complaints("cni/src/a.rs", "fn it_works() {}\n").is_empty());
    }
}
