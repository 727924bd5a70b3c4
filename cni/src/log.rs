//! One line a call, since runtimes drop what plugins write to standard error.
//!
//! `CAIS_LOG` says where: a file to append to, `stderr`, or `off`. Unset, the line goes to the
//! journal where there is one. A line that cannot be written is dropped: logging never fails a call.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::error::{Error, presentable};

/// In bytes; what callers send, and we quote, may be of any length.
const LONGEST: usize = 2048;

const JOURNAL: &str = "/run/systemd/journal/socket";

/// Tells operators of something that is no error: on standard error, and where the lines of calls
/// go. `plugin` is who tells.
pub fn warn(plugin: &str, text: &str) {
    let line = on_one_line(&format!("{plugin}: warning: {text}"));
    // Where nobody reads it, nothing is left to do.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
    if std::env::var_os("CAIS_LOG").is_none_or(|target| target != "stderr") {
        write(&line, "", 4);
    }
}

/// A call that is over.
pub(crate) struct Line<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) verb: &'a str,
    pub(crate) key: &'a str,
    pub(crate) elapsed: Duration,
    pub(crate) outcome: Result<(), &'a Error>,
}

impl Line<'_> {
    pub(crate) fn write(&self) {
        write(&self.text(), self.verb, if self.outcome.is_ok() { 6 } else { 4 });
    }

    fn text(&self) -> String {
        let Self { plugin, verb, key, elapsed, .. } = self;
        // By hand: the code that prints fractions is larger than all the rest of this file.
        let (millis, tenths) = (elapsed.as_millis(), elapsed.subsec_micros() / 100 % 10);
        let mut text = format!("{plugin} {verb} {key} {millis}.{tenths} ms ");
        match self.outcome {
            Ok(()) => text.push_str("ok"),
            Err(error) => {
                // Writing to a String cannot fail.
                let _ = write!(text, "failed code={} {}", error.code, error.msg);
                if let Some(hint) = error.hint() {
                    let _ = write!(text, " (hint: {hint})");
                }
            }
        }
        on_one_line(&text)
    }
}

/// Writes one line to where `CAIS_LOG` says; `priority` is of syslog(3).
fn write(line: &str, verb: &str, priority: u8) {
    let target = std::env::var_os("CAIS_LOG").unwrap_or_default();
    match target.to_str() {
        Some("off") => {}
        Some("stderr") => eprintln!("{line}"),
        Some("") => to_journal(line, verb, priority),
        // It might be one that nobody reads, and logging must not wait.
        _ if std::fs::metadata(&target).is_ok_and(|m| m.file_type().is_fifo()) => {}
        _ => {
            let file =
                std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&target);
            if let Ok(mut file) = file {
                let _ = file.write_all(format!("{line}\n").as_bytes());
            }
        }
    }
}

fn to_journal(line: &str, verb: &str, priority: u8) {
    let Ok(socket) = UnixDatagram::unbound() else { return };
    // The journal may be busy; a call does not wait for it.
    let _ = socket.set_nonblocking(true);
    let message = format!(
        "PRIORITY={priority}\nSYSLOG_IDENTIFIER=cais\nCNI_COMMAND={}\nMESSAGE={line}\n",
        on_one_line(verb),
    );
    let _ = socket.send_to(message.as_bytes(), JOURNAL);
}

/// What callers sent must not begin a line, nor a field of the journal, of its own.
fn on_one_line(text: &str) -> String {
    presentable(text, LONGEST).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_with_key_verb_time_outcome_and_hint() {
        let error = Error::new(7, "two\nlines").with_hint("do this");
        let line = Line {
            plugin: "bridge",
            verb: "ADD",
            key: "n/c/eth0",
            elapsed: Duration::from_micros(2500),
            outcome: Err(&error),
        };
        assert_eq!(
            line.text(),
            "bridge ADD n/c/eth0 2.5 ms failed code=7 two lines (hint: do this)"
        );
    }
}
