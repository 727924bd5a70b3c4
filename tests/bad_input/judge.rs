//! Whether a plugin took bad input well.

use std::cell::RefCell;
use std::env::set_current_dir;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use netns_fixtures::{Call, Container, Lab, Outcome, Snapshot};
use serde_json::Value;

use crate::under_test::{BOOKKEEPING, furnish, lacks_driver, least_config};

/// Hangs after this long: calls take milliseconds, and nothing that a plugin waits for on its own
/// takes seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where plugins run, so that relative paths lead to what snapshots see; and where bad paths lead.
pub(crate) const DIRECTORY: &str = "/run/bad";

/// A pipe that nobody writes to, for what is taken for a path.
pub(crate) const PIPE: &str = "/run/bad/pipe";

/// An error is read by people, and logged as a line: this many bytes have to do.
const LONGEST: usize = 6000;

/// Codes for what nobody has thought of; bad input was.
const UNTHOUGHT: &[i64] = &[0, 999];

/// What a directory that was once a pool's keeps.
const EMPTY_POOLS: &[&str] =
    &["dir /var/lib/cni", "/last_reserved_ip.", "/lock ", "/cais/index/", "/cais/networks/"];

/// How a call ended that ended well: with success, or with an error that says what is wrong.
pub(crate) enum Answer {
    Taken,
    Refused {
        code: i64,
        /// Message and details.
        text: String,
    },
}

/// A plugin, a container, and what was found wrong with the plugin so far.
pub(crate) struct Bench<'lab> {
    pub(crate) lab: &'lab Lab,
    pub(crate) plugin: &'static str,
    container: Container,
    before: Snapshot,
    links: Vec<String>,
    calls: RefCell<usize>,
    complaints: RefCell<Vec<String>>,
}

impl<'lab> Bench<'lab> {
    pub(crate) fn new(lab: &'lab Lab, plugin: &'static str, version: &str) -> Self {
        fs::create_dir_all(DIRECTORY).unwrap_or_else(|error| panic!("{DIRECTORY}: {error}"));
        set_current_dir(DIRECTORY).unwrap_or_else(|error| panic!("{DIRECTORY}: {error}"));
        let file = format!("{DIRECTORY}/file");
        fs::write(&file, "").unwrap_or_else(|error| panic!("{file}: {error}"));
        lab.host().run(&format!("mkfifo {PIPE}"));
        let container = lab.container("c1");
        furnish(&container, plugin);
        // Once, so that what stays after any call is there.
        let call = of(lab, plugin, &container).config(&least_config(plugin, version));
        let added = call.clone().verb("ADD").run();
        if !lacks_driver(plugin, &added.stdout) {
            added.succeeded();
        }
        call.verb("DEL").run().succeeded();
        Self {
            before: lab.snapshot(),
            links: lab.host().link_names(),
            lab,
            plugin,
            container,
            calls: RefCell::default(),
            complaints: RefCell::default(),
        }
    }

    /// A call that lacks nothing but a verb and a configuration.
    pub(crate) fn call(&self) -> Call<'lab> {
        of(self.lab, self.plugin, &self.container)
    }

    /// Runs `call` and lets `judge` say what is wrong with the answer. `what` is the bad input.
    ///
    /// Gives back whether it was taken.
    pub(crate) fn try_one(
        &self,
        what: &str,
        call: &Call<'_>,
        judge: impl FnOnce(&Answer) -> Result<(), String>,
    ) -> bool {
        *self.calls.borrow_mut() += 1;
        let patient = call.clone().patience(PATIENCE);
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| patient.run())) else {
            self.complain(format!("{what}: hangs"));
            return false;
        };
        let answer = answer(&outcome).and_then(|answer| match answer {
            // The plugin found nothing wrong with it.
            Answer::Refused { text, .. } if lacks_driver(self.plugin, &text) => {
                judge(&Answer::Taken)
            }
            other => judge(&other),
        });
        match answer {
            Ok(()) => outcome.status.success(),
            Err(complaint) => {
                let outcome: String = outcome.to_string().chars().take(1000).collect();
                self.complain(format!("{what}: {complaint}\n  {outcome}"));
                outcome.contains("exit status: 0")
            }
        }
    }

    /// Claims that everything is as it was before all calls.
    pub(crate) fn assert_clean(&self, what: &str) {
        self.assert_clean_but(what, &[]);
    }

    /// The same, but for lines with one of `words`.
    pub(crate) fn assert_clean_but(&self, what: &str, words: &[&str]) {
        println!("after all calls with {what}");
        self.lab.assert_unchanged_but(&self.before, &[BOOKKEEPING, EMPTY_POOLS, words].concat());
    }

    /// Removes links that came to the host since the beginning.
    pub(crate) fn remove_new_links(&self) {
        let host = self.lab.host();
        for link in host.link_names().iter().filter(|link| !self.links.contains(link)) {
            host.run(&format!("ip link del dev {link}"));
        }
    }

    /// Ends the case with all complaints.
    #[track_caller]
    pub(crate) fn finish(self) {
        let (calls, complaints) = (self.calls.take(), self.complaints.take());
        let count = complaints.len();
        assert!(count == 0, "{count} of {calls} calls:\n{}", complaints.join("\n"));
        println!("{calls} calls");
    }

    pub(crate) fn complain(&self, complaint: String) {
        self.complaints.borrow_mut().push(complaint);
    }
}

fn of<'lab>(lab: &'lab Lab, plugin: &str, container: &Container) -> Call<'lab> {
    let call = lab.plugin(plugin).container(container);
    match plugin {
        // Its containers live in the host's namespace.
        "host" => call.env("CNI_NETNS", lab.host().path()),
        _ => call,
    }
}

/// What every call owes: an end of its own, and an error object where it failed.
fn answer(outcome: &Outcome) -> Result<Answer, String> {
    if let Some(signal) = outcome.status.signal() {
        return Err(format!("is killed by signal {signal}"));
    }
    for stream in [&outcome.stdout, &outcome.stderr] {
        if stream.contains("failed inside") || stream.contains("panicked at") {
            return Err("panics".to_owned());
        }
    }
    if outcome.status.success() {
        return Ok(Answer::Taken);
    }
    let object: Value = serde_json::from_str(&outcome.stdout)
        .map_err(|error| format!("prints no error object: {error}"))?;
    let (Some(code), Some(msg)) = (object["code"].as_i64(), object["msg"].as_str()) else {
        return Err("prints an error object without code or msg".to_owned());
    };
    let text = format!("{msg}; {}", object["details"].as_str().unwrap_or_default());
    if UNTHOUGHT.contains(&code) {
        return Err(format!("answers with code {code}, which says nothing"));
    }
    if text.len() > LONGEST {
        return Err(format!("answers with {} bytes of text", text.len()));
    }
    if text.chars().any(|c| c != '\n' && c.is_control()) {
        return Err("answers with control characters, which terminals obey".to_owned());
    }
    Ok(Answer::Refused { code, text })
}

impl Answer {
    /// Claims that it was refused, in words that have one of `names`, in any case.
    pub(crate) fn refused_naming(&self, names: &[&str]) -> Result<(), String> {
        match self {
            Self::Taken => Err("is taken".to_owned()),
            Self::Refused { .. } => self.named(names),
        }
    }

    /// Claims that it was taken, or refused in words that have one of `names`.
    pub(crate) fn named(&self, names: &[&str]) -> Result<(), String> {
        let Self::Refused { text, .. } = self else { return Ok(()) };
        let text = text.to_lowercase();
        match names.iter().any(|name| text.contains(&name.to_lowercase())) {
            true => Ok(()),
            false => Err(format!("is refused without naming {}", names.join(" or "))),
        }
    }

    /// Claims that, if refused, it was with one of `codes`.
    pub(crate) fn with_code(&self, codes: &[i64]) -> Result<(), String> {
        match self {
            Self::Refused { code, .. } if !codes.contains(code) => {
                Err(format!("is refused with code {code}, not {codes:?}"))
            }
            _ => Ok(()),
        }
    }
}
