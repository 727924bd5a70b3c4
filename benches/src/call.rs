//! One call of one plugin, and what it took.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kernel::netns::Netns;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::Value;

/// What takes its turn with others.
pub(crate) trait Subject {
    /// Does what `verb` says and measures it.
    ///
    /// # Errors
    /// When it does not succeed.
    fn call(&self, verb: &str) -> Result<Sample>;
}

/// A plugin with everything that stays the same from call to call.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub(crate) program: PathBuf,
    /// What goes to standard input.
    pub(crate) config: String,
    /// `CNI_*` variables and ours, without the verb.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The network namespace that is its host; `None` for that of this process.
    pub(crate) host: Option<PathBuf>,
}

/// What one call took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// From before the spawn until the process is reaped.
    pub(crate) wall: Duration,
    /// User and system time of the process and all it waited for.
    pub(crate) cpu: Duration,
    pub(crate) minor_faults: i64,
}

impl Plugin {
    /// A plugin of `folder`, which also is its `CNI_PATH`.
    pub(crate) fn new(folder: &Path, name: &str, config: &Value) -> Plugin {
        Plugin {
            program: folder.join(name),
            config: config.to_string(),
            environment: vec![("CNI_PATH", folder.display().to_string())],
            host: None,
        }
    }

    /// Sets a variable.
    #[must_use]
    pub(crate) fn with(mut self, variable: &'static str, value: impl Into<String>) -> Plugin {
        self.environment.retain(|(set, _)| *set != variable);
        self.environment.push((variable, value.into()));
        self
    }

    /// Gives it another configuration.
    #[must_use]
    pub(crate) fn with_config(mut self, config: &Value) -> Plugin {
        self.config = config.to_string();
        self
    }

    /// Calls the plugin and measures it.
    ///
    /// # Errors
    /// As [`Plugin::answer`].
    pub(crate) fn call(&self, verb: &str) -> Result<Sample> {
        Ok(self.answer(verb)?.0)
    }

    /// Calls the plugin and measures it; what it printed comes along.
    ///
    /// The spawn is the same for every subject: std uses posix_spawn, and the environment is given
    /// whole, so nothing of ours is searched or copied in the child.
    ///
    /// # Errors
    /// When the plugin does not answer with success; the error carries what it printed.
    pub(crate) fn answer(&self, verb: &str) -> Result<(Sample, String)> {
        match &self.host {
            None => self.answer_here(verb),
            // A child is where the thread is that spawns it, and the move is not measured.
            Some(path) => Netns::open(path)?.run(|| self.answer_here(verb))?,
        }
    }

    fn answer_here(&self, verb: &str) -> Result<(Sample, String)> {
        let mut command = self.command(Command::new(&self.program), verb);
        let before = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let started = Instant::now();
        let printed = answer(&mut command, &self.config)
            .with_context(|| format!("{verb} of {}", self.program.display()))?;
        let wall = started.elapsed();
        let after = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        Ok((Sample::between(&before, &after, wall), printed))
    }

    /// The result that the plugin prints for ADD.
    ///
    /// # Errors
    /// As [`Plugin::answer`], and when what it printed is no JSON.
    pub(crate) fn result(&self) -> Result<Value> {
        first_json(&self.answer("ADD")?.1)
    }

    /// Calls the plugin through `launcher`, which runs the program given as its last argument, and
    /// returns what both printed.
    pub(crate) fn call_through(&self, launcher: &[&str], verb: &str) -> Result<String> {
        let (program, arguments) = launcher.split_first().context("no launcher is named")?;
        let mut command = Command::new(program);
        command.args(arguments).arg(&self.program);
        answer(&mut self.command(command, verb), &self.config)
            .with_context(|| format!("{verb} of {} under {program}", self.program.display()))
    }

    fn command(&self, mut command: Command, verb: &str) -> Command {
        command
            .env_clear()
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .env("CNI_COMMAND", verb)
            // The Go plugins look for tools of the system, launchers for their own.
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }
}

impl Subject for Plugin {
    fn call(&self, verb: &str) -> Result<Sample> {
        Plugin::call(self, verb)
    }
}

impl Sample {
    /// What was used from `before` until `after`.
    pub(crate) fn between(before: &Usage, after: &Usage, wall: Duration) -> Sample {
        Sample {
            wall,
            cpu: cpu(after).saturating_sub(cpu(before)),
            minor_faults: after.minor_page_faults() - before.minor_page_faults(),
        }
    }

    /// Both, one after the other.
    #[must_use]
    pub(crate) fn and(self, next: Sample) -> Sample {
        Sample {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            minor_faults: self.minor_faults + next.minor_faults,
        }
    }
}

/// The JSON at the start of what was printed; warnings come after it.
pub(crate) fn first_json(printed: &str) -> Result<Value> {
    let first = serde_json::Deserializer::from_str(printed).into_iter().next();
    first.and_then(Result::ok).with_context(|| format!("no result in `{}`", printed.trim()))
}

/// Gives `input` to the command and waits for its answer, both streams together.
fn answer(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("spawn it")?;
    // The configuration is smaller than a pipe holds, so neither side waits for the other; and a
    // plugin that answers without reading (VERSION) may close the pipe first.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let mut printed = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut printed)?;
    }
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut printed)?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("it ended with {status}: {}", printed.trim());
    }
    Ok(printed)
}

fn cpu(usage: &Usage) -> Duration {
    let microseconds = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Plugin {
        let mut plugin = Plugin::new(Path::new("/bin"), "sh", &Value::Null);
        plugin.config = script.to_owned();
        plugin
    }

    #[test]
    fn a_call_passes_config_and_verb_and_takes_some_time() {
        let sample = shell("test \"$CNI_COMMAND\" = ADD").call("ADD").unwrap();
        assert!(sample.wall > Duration::ZERO && sample.minor_faults > 0, "{sample:?}");
    }

    #[test]
    fn a_result_is_read_from_before_the_warnings() {
        let printed = "{ \"cniVersion\": \"1.0.0\" }\nplugin: a warning";
        assert_eq!(first_json(printed).unwrap()["cniVersion"], "1.0.0");
        assert!(first_json("plugin: a warning").is_err());
    }

    #[test]
    fn samples_add_up() {
        let one = Sample { wall: Duration::from_millis(3), cpu: Duration::ZERO, minor_faults: 5 };
        let sum = one.and(one);
        assert_eq!((sum.wall, sum.minor_faults), (Duration::from_millis(6), 10));
    }

    #[test]
    fn a_plugin_that_fails_is_an_error_with_its_words() {
        let error = shell("echo no such link; exit 5").call("DEL").unwrap_err();
        assert!(format!("{error:#}").contains("no such link"), "{error:#}");
    }
}
