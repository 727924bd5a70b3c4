//! Two lists of lines, compared.

use std::fmt::Write as _;

/// Claims that two lists are equal line by line; else shows what was expected and what is.
///
/// # Panics
/// When they differ.
#[track_caller]
pub fn assert_same_lines(what: &str, expected: &[String], got: &[String]) {
    let difference = unified(expected, got);
    assert!(difference.is_empty(), "{what}: `-` expected, `+` got\n{difference}");
}

/// What must be taken away (`-`) from `before` and added (`+`) to it to get `after`; empty when
/// they are equal. Each group of changes follows the line before it.
#[must_use]
pub fn unified(before: &[String], after: &[String]) -> String {
    let mut printed = String::new();
    let mut context = None;
    for (sign, line) in steps(before, after) {
        if sign == ' ' {
            context = Some(line);
            continue;
        }
        if let Some(line) = context.take() {
            let _ = writeln!(printed, "  {line}");
        }
        let _ = writeln!(printed, "{sign} {line}");
    }
    printed
}

/// The shortest way from one list to the other, by their longest common subsequence.
fn steps<'a>(before: &'a [String], after: &'a [String]) -> Vec<(char, &'a str)> {
    let common = common_lengths(before, after);
    let (mut at, mut to) = (0, 0);
    let mut steps = Vec::new();
    while at < before.len() || to < after.len() {
        if at < before.len() && to < after.len() && before[at] == after[to] {
            steps.push((' ', &*before[at]));
            (at, to) = (at + 1, to + 1);
        } else if to == after.len()
            || (at < before.len() && common[at + 1][to] >= common[at][to + 1])
        {
            steps.push(('-', &*before[at]));
            at += 1;
        } else {
            steps.push(('+', &*after[to]));
            to += 1;
        }
    }
    steps
}

/// `[i][j]`: how many lines the ends of both lists from there on have in common.
fn common_lengths(before: &[String], after: &[String]) -> Vec<Vec<usize>> {
    let mut lengths = vec![vec![0; after.len() + 1]; before.len() + 1];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            lengths[i][j] = if before[i] == after[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn equal_lists_have_no_difference() {
        assert_eq!(unified(&lines("a b c"), &lines("a b c")), "");
    }

    #[test]
    fn a_change_is_shown_below_the_line_before_it() {
        assert_eq!(unified(&lines("a b c d"), &lines("a b x d e")), "  b\n- c\n+ x\n  d\n+ e\n");
    }

    #[test]
    fn everything_can_come_and_go() {
        assert_eq!(unified(&[], &lines("a b")), "+ a\n+ b\n");
        assert_eq!(unified(&lines("a b"), &[]), "- a\n- b\n");
    }
}
