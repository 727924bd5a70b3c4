//! What goes to standard output and standard error.

use std::io::{ErrorKind, Write};

use cni::{Error, code};
use serde::Serialize;

/// Prints to standard output. A reader that went away has seen what it wanted.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(code::IO, format!("write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Prints a document.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(value)
        .map_err(|e| Error::new(code::INTERNAL, format!("write the answer as JSON: {e}")))?;
    print(&format!("{}\n", cni::json::indented(&text)))
}

/// Prints a line to standard error. Where nobody reads that, nothing is left to do.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Rows under a heading, each column as wide as its widest cell.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = heading.iter().map(|cell| (*cell).to_owned()).collect();
    let all = || std::iter::once(&heading).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    for row in all() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["éé1".to_owned(), "c".to_owned()]];
        assert_eq!(table(&["X", "Y"], &rows), "X    Y\na    b\néé1  c\n");
    }
}
