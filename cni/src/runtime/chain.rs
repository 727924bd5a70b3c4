//! Running a list: ADD, CHECK, DEL and STATUS.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use types::{Attachment, ContainerId, IfName};

use super::cache::{Cache, CachedAttachment};
use super::capabilities::Capabilities;
use super::list::{NetworkList, PluginConfig};
use super::request::{Added, derive};
use super::result::in_version_of;
use super::step::{Call, Observer, Step, vars};
use crate::error::{Error, code};
use crate::exec::find;
use crate::state;
use crate::version::Version;

/// One container's interface and what the caller has for it.
#[derive(Clone, Debug)]
pub struct Container {
    /// The container's id.
    pub id: ContainerId,
    /// The interface inside it.
    pub ifname: IfName,
    /// Its network namespace; `None` on DEL when it is gone.
    pub netns: Option<PathBuf>,
    /// Pairs of `CNI_ARGS`.
    pub args: Vec<(String, String)>,
    /// Values for capabilities.
    pub capabilities: Capabilities,
}

/// Runs the plugins of lists.
pub struct Runtime {
    path: Vec<PathBuf>,
    cache: Cache,
    timeout: Duration,
    observer: Observer,
}

/// What came of CHECK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Every plugin found what it had made.
    Intact,
    /// The list has `disableCheck`.
    Disabled,
}

/// What came of STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Every plugin can serve ADD.
    Ready,
    /// The list is older than 1.1.0, which has no STATUS; no plugin was asked.
    Unasked,
}

impl Container {
    /// A container without namespace, arguments and capabilities.
    #[must_use]
    pub fn new(id: ContainerId, ifname: IfName) -> Self {
        Self { id, ifname, netns: None, args: Vec::new(), capabilities: Capabilities::default() }
    }

    /// The same with its namespace.
    #[must_use]
    pub fn in_netns(mut self, netns: impl Into<PathBuf>) -> Self {
        self.netns = Some(netns.into());
        self
    }

    /// Its key on the network of `list`.
    #[must_use]
    pub fn attachment(&self, list: &NetworkList) -> Attachment {
        Attachment {
            network: list.name().clone(),
            container: self.id.clone(),
            ifname: self.ifname.clone(),
        }
    }
}

impl From<&CachedAttachment> for Container {
    fn from(cached: &CachedAttachment) -> Self {
        Self {
            id: cached.attachment.container.clone(),
            ifname: cached.attachment.ifname.clone(),
            netns: cached.netns.clone(),
            args: cached.args.clone(),
            capabilities: cached.capabilities.clone(),
        }
    }
}

impl Runtime {
    /// How long one call of a plugin may take unless said otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(240);

    /// A runtime that finds plugins in `path` and keeps results where libcni does.
    #[must_use]
    pub fn new(path: Vec<PathBuf>) -> Self {
        let cache = Cache::in_directory(&state::root().join("var/lib/cni"));
        Self { path, cache, timeout: Self::TIMEOUT, observer: Box::new(|_| ()) }
    }

    /// The same with another cache.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// The same with another limit for each call of a plugin.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same with each step shown to `observer` once it is over.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(&Step<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Where plugins are found.
    #[must_use]
    pub fn path(&self) -> &[PathBuf] {
        &self.path
    }

    /// Where results are kept.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Attaches a container: ADD of each plugin, each with the result of the one before. Gives the
    /// last result as JSON in the list's version.
    ///
    /// When a plugin fails, DEL of it and of those before it undoes what they made. What is left
    /// of an attachment whose namespace is gone is removed first.
    ///
    /// # Errors
    /// The failed plugin's code and text, what could not be undone in the details. Code 4 when the
    /// container is attached already, code 50 when a plugin is missing; nothing was called then.
    pub fn add(&self, list: &NetworkList, container: &Container) -> Result<Vec<u8>, Error> {
        let programs = self.programs(list)?;
        let attachment = container.attachment(list);
        let _held = self.cache.lock(&attachment)?;
        self.clear_remains(list, &attachment)?;
        // Written before anything is made, so that whatever becomes of us, GC knows of it.
        self.cache.write(list, container, None)?;
        let mut result: Option<String> = None;
        for (i, program) in programs.iter().enumerate() {
            let added = self
                .call(program, "ADD", Some(container), result.as_deref())
                .and_then(|stdout| in_version_of(list, &stdout));
            match added {
                Ok(next) => result = Some(next),
                Err(error) => {
                    let error = with_version_hint(error.in_step(program.step("add")));
                    let undo = (result.as_deref(), error);
                    return Err(self.roll_back(&programs[..=i], list, container, undo));
                }
            }
        }
        let result = result.unwrap_or_else(|| "{}".to_owned());
        if let Err(error) = self.cache.write(list, container, Some(&result)) {
            return Err(self.roll_back(&programs, list, container, (Some(&result), error)));
        }
        Ok(result.into_bytes())
    }

    /// Compares what ADD made with what is there.
    ///
    /// # Errors
    /// The first plugin's that found a difference; code 3 when ADD left no result.
    pub fn check(&self, list: &NetworkList, container: &Container) -> Result<Checked, Error> {
        if !list.is_at_least(Version::V0_4_0) {
            let text = format!(
                "configuration version \"{}\" does not support the CHECK command",
                list.version_text()
            );
            return Err(Error::new(code::INCOMPATIBLE_VERSION, text)
                .with_hint("write \"cniVersion\": \"0.4.0\" or later into the list"));
        }
        if list.disables_check() {
            return Ok(Checked::Disabled);
        }
        let programs = self.programs(list)?;
        let attachment = container.attachment(list);
        let _held = self.cache.lock(&attachment)?;
        let result = self.cached_result(list, &attachment).ok_or_else(|| {
            let text = format!("check attachment {attachment}: no result of its ADD is known");
            Error::new(code::UNKNOWN_CONTAINER, text)
                .with_hint("`cais attachments` lists what is known; ids are the container's")
        })?;
        for program in &programs {
            self.call(program, "CHECK", Some(container), Some(&result))
                .map_err(|e| e.in_step(program.step("check")))?;
        }
        Ok(Checked::Intact)
    }

    /// Detaches a container: DEL of each plugin, last one first. A plugin that fails or is missing
    /// keeps no other from cleaning up; the attachment stays known until all have succeeded.
    ///
    /// # Errors
    /// All failures, joined.
    pub fn del(&self, list: &NetworkList, container: &Container) -> Result<(), Error> {
        let attachment = container.attachment(list);
        let _held = self.cache.lock(&attachment)?;
        self.del_locked(list, container)
    }

    fn del_locked(&self, list: &NetworkList, container: &Container) -> Result<(), Error> {
        let attachment = container.attachment(list);
        // Older plugins do not know the key.
        let result = list
            .is_at_least(Version::V0_4_0)
            .then(|| self.cached_result(list, &attachment))
            .flatten();
        let mut failed = Vec::new();
        for plugin in list.plugins().iter().rev() {
            let done = self
                .program(list, plugin)
                .and_then(|program| self.call(&program, "DEL", Some(container), result.as_deref()));
            if let Err(error) = done {
                failed.push(error.in_step(step_name(list, plugin, "delete")));
            }
        }
        match Error::joined(failed) {
            None => self.cache.remove(&attachment),
            Some(error) => Err(error.with_details(format!(
                "what these plugins made for {attachment} may still be there; \
                 the attachment stays listed until DEL succeeds"
            ))),
        }
    }

    /// Asks each plugin whether it can serve ADD; all are asked, whatever the others say.
    ///
    /// # Errors
    /// All that cannot, joined, with codes 50 and 51 as they came.
    pub fn status(&self, list: &NetworkList) -> Result<Readiness, Error> {
        if !list.is_at_least(Version::V1_1_0) {
            return Ok(Readiness::Unasked);
        }
        let ask = |plugin: &PluginConfig| {
            self.program(list, plugin)
                .and_then(|program| self.call(&program, "STATUS", None, None))
                .map_err(|e| e.in_step(step_name(list, plugin, "status")))
        };
        let failed = list.plugins().iter().filter_map(|plugin| ask(plugin).err()).collect();
        Error::joined(failed).map_or(Ok(Readiness::Ready), Err)
    }

    /// The file of each plugin, all of them found before one is called.
    fn programs<'a>(&self, list: &'a NetworkList) -> Result<Vec<Program<'a>>, Error> {
        list.plugins().iter().map(|plugin| self.program(list, plugin)).collect()
    }

    pub(super) fn program<'a>(
        &self,
        list: &'a NetworkList,
        plugin: &'a PluginConfig,
    ) -> Result<Program<'a>, Error> {
        Ok(Program { list, plugin, file: find(&plugin.kind, &self.path)? })
    }

    /// Refuses a second ADD, which would fail and then tear the first one down. What an attachment
    /// without a namespace left behind is removed.
    fn clear_remains(&self, list: &NetworkList, attachment: &Attachment) -> Result<(), Error> {
        let Some(cached) = self.cache.read(attachment) else { return Ok(()) };
        if cached.result.is_some() && !cached.is_dead() {
            let place = match &cached.netns {
                Some(netns) => format!(", in namespace {}", netns.display()),
                None => String::new(),
            };
            let text = format!("attach {attachment}: it is attached already{place}");
            return Err(Error::new(code::INVALID_ENVIRONMENT, text)
                .with_hint("detach it with del first, or use another id or interface name"));
        }
        self.del_locked(list, &Container::from(&cached))
            .map_err(|e| e.in_step("remove what an earlier attachment left"))
    }

    /// Undoes the first plugins of a list after `error`, the last of them first.
    fn roll_back(
        &self,
        programs: &[Program<'_>],
        list: &NetworkList,
        container: &Container,
        (result, mut error): (Option<&str>, Error),
    ) -> Error {
        // The list never came to its end, so this is the most that its plugins can be told.
        let result = result.filter(|_| list.is_at_least(Version::V0_4_0));
        let mut undone = true;
        for program in programs.iter().rev() {
            if let Err(undo) = self.call(program, "DEL", Some(container), result) {
                undone = false;
                let text =
                    format!("undoing it failed too: {}", undo.in_step(program.step("delete")));
                error = error.with_details(text);
            }
        }
        let attachment = container.attachment(list);
        match undone.then(|| self.cache.remove(&attachment)) {
            Some(Ok(())) => error,
            Some(Err(e)) => error.with_details(e.msg),
            None => error.with_details(format!("{attachment} stays listed until DEL succeeds")),
        }
    }

    /// Calls one plugin; gives its standard output.
    fn call(
        &self,
        program: &Program<'_>,
        command: &str,
        container: Option<&Container>,
        prev_result: Option<&str>,
    ) -> Result<Vec<u8>, Error> {
        let capabilities = container.map(|c| &c.capabilities);
        let added = Added { prev_result, capabilities, valid: None };
        self.call_with(program, command, container, &added)
    }

    pub(super) fn call_with(
        &self,
        program: &Program<'_>,
        command: &str,
        container: Option<&Container>,
        added: &Added<'_>,
    ) -> Result<Vec<u8>, Error> {
        let stdin = derive(program.list, program.plugin, added)?;
        let call = Call {
            kind: &program.plugin.kind,
            program: &program.file,
            command,
            vars: vars(command, container, &self.path),
            stdin: &stdin,
            timeout: self.timeout,
        };
        call.run(&self.observer).map(|output| output.stdout)
    }

    /// The attachment's result in the list's version; `None` when it is unknown or unreadable.
    fn cached_result(&self, list: &NetworkList, attachment: &Attachment) -> Option<String> {
        let result = self.cache.read(attachment)?.result?;
        in_version_of(list, result.as_bytes()).ok()
    }
}

/// One plugin of a list with the file that will be run for it.
pub(super) struct Program<'a> {
    list: &'a NetworkList,
    plugin: &'a PluginConfig,
    file: PathBuf,
}

impl Program<'_> {
    fn step(&self, verb: &str) -> String {
        step_name(self.list, self.plugin, verb)
    }
}

/// Plugins say which versions they speak, each for itself; that does not say what to write.
fn with_version_hint(error: Error) -> Error {
    if error.code != code::INCOMPATIBLE_VERSION || error.hint().is_some() {
        return error;
    }
    error.with_hint("`cais validate` says which cniVersion all plugins of the network speak")
}

/// libcni's words for a step.
pub(super) fn step_name(list: &NetworkList, plugin: &PluginConfig, verb: &str) -> String {
    format!("plugin type=\"{}\" name=\"{}\" failed ({verb})", plugin.kind, list.name())
}

/// Whether `path` is a living namespace rather than nothing, or the plain file that an unmounted
/// pin leaves: all namespaces are on one file system of the kernel's own.
pub(super) fn is_namespace(path: &Path) -> bool {
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev());
    match (device(Path::new("/proc/self/ns/net")), device(path)) {
        (Ok(own), Ok(found)) => own == found,
        // Without /proc nothing more can be told.
        (Err(_), found) => found.is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_namespace_is_taken_for_one() {
        assert!(is_namespace(Path::new("/proc/self/ns/net")));
        for path in ["/dev/null", "/nowhere", "/proc/self/status", "/tmp"] {
            assert!(!is_namespace(Path::new(path)), "{path}");
        }
    }
}
