use std::process::ExitCode;

use cni::Error;

use crate::output;

/// Exit status: the command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// Exit status: `cais` failed where the command's own status would have been.
pub(crate) const OURS: u8 = 125;
/// Exit status: the command cannot be run.
pub(crate) const NOT_RUNNABLE: u8 = 126;
/// Exit status: there is no such command.
pub(crate) const NO_COMMAND: u8 = 127;

/// What a command ends with.
pub(crate) type Done = Result<ExitCode, Fault>;

/// Why a command failed, and the exit status that says so.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: Error,
    pub(crate) exit: u8,
}

impl From<netfilter::Error> for Fault {
    fn from(error: netfilter::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, exit: 1 }
    }
}

impl Fault {
    /// A fault of a command that stands in for another one.
    pub(crate) fn ours(error: Error) -> Self {
        Self { error, exit: OURS }
    }

    /// Says why on standard error, in JSON also on standard output.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        complain(&self.error);
        if json {
            let text = self.error.to_json(cni::Version::LATEST.as_str());
            // Nothing is left to say it with.
            let _ = output::print(&format!("{}\n", String::from_utf8_lossy(&text)));
        }
        ExitCode::from(self.exit)
    }
}

/// Prints an error in the house's form: what failed on one line, then details and hint.
pub(crate) fn complain(error: &Error) {
    output::note(&format!("cais: {}", error.msg.trim_end()));
    for line in error.details.lines() {
        output::note(line);
    }
}
