//! The rule of `INPUT` that lets clients of resolvers through, where the legacy tables are in use.

use types::Family;

use super::layout::FILTER;
use super::saved::Table;
use super::{LegacyError, change};
use crate::layout::PASS_MARK;
use crate::reference::admitting::{COMMENT, INPUT};

/// Puts it before all others of `INPUT`, unless it is there.
///
/// # Errors
/// When the table in use can be neither read nor changed.
pub fn admit(family: Family) -> Result<(), LegacyError> {
    change(family, &[FILTER], |table, script| {
        if found(table).next().is_none() {
            script.line(format_args!("-I {INPUT} 1 {}", form().join(" ")));
        }
    })
}

/// Takes it away. None there is success.
///
/// # Errors
/// When the table in use can be neither read nor changed.
pub fn admit_no_more(family: Family) -> Result<(), LegacyError> {
    change(family, &[FILTER], |table, script| {
        for rule in found(table) {
            script.line(format_args!("-D {rule}"));
        }
    })
}

/// Our rules, as they were printed.
fn found<'a>(table: &'a Table<'a>) -> impl Iterator<Item = &'a str> {
    let form = form();
    let words = move |rule: &&super::saved::Rule<'_>| {
        rule.says(&form.iter().map(String::as_str).collect::<Vec<_>>())
    };
    table.rules_of(INPUT).filter(words).map(|rule| rule.text)
}

/// The words of the rule.
fn form() -> Vec<String> {
    let mark = format!("{PASS_MARK:#x}");
    ["-m", "mark", "--mark", &mark, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"]
        .map(str::to_owned)
        .into()
}
