use std::time::Duration;

use cni::runtime::{Runtime, directory};

use crate::args::Options;
use crate::trace;

/// What the options of all commands amount to.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) json: bool,
    trace: bool,
    timeout: Duration,
}

impl Session {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            json: options.json,
            trace: options.trace,
            timeout: Duration::from_secs(options.timeout),
        }
    }

    /// A runtime that shows its steps as asked.
    pub(crate) fn runtime(&self) -> Runtime {
        let (tracing, json) = (self.trace, self.json);
        Runtime::new(directory::plugin_dirs()).with_timeout(self.timeout).with_observer(
            move |step| {
                if tracing { trace::show(step, json) } else { trace::pass_on_stderr(step) }
            },
        )
    }
}
