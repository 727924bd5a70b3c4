use std::path::PathBuf;

use types::Attachment;

use crate::args::Args;
use crate::config::Config;
use crate::error::Error;
use crate::result::{AddResult, ResultShape};
use crate::schema::Key;

/// One CNI plugin: the verbs of the specification.
///
/// The runner has parsed and checked what the protocol says before it calls a verb, so none of
/// them sees a bad name, an unsupported version or the caller's own network namespace.
pub trait Plugin: Sync {
    /// File name under which the plugin is installed.
    fn name(&self) -> &'static str;

    /// The keys that the plugin reads beside [`crate::schema::COMMON`].
    fn keys(&self) -> &'static [Key] {
        &[]
    }

    /// Checks a configuration as ADD would, without a container and without touching anything.
    ///
    /// # Errors
    /// As ADD's for the same configuration.
    fn validate(&self, _config: &Config) -> Result<(), Error> {
        Ok(())
    }

    /// What to do when `CNI_NETNS` is the namespace that the plugin itself runs in.
    fn own_netns(&self) -> OwnNetns {
        OwnNetns::Refuse
    }

    /// In which shape the result of ADD is printed.
    fn result_shape(&self, _call: &Call) -> ResultShape {
        ResultShape::OfVersion
    }

    /// Makes the attachment, or adds to what the plugins before it made. When it fails it has
    /// undone all that it did.
    ///
    /// # Errors
    /// What was tried and why it failed, with the code of whoever can act on it.
    fn add(&self, call: &Call) -> Result<AddResult, Error>;

    /// Removes what is there of the attachment; nothing there is success.
    ///
    /// # Errors
    /// Only what a retry could mend.
    fn del(&self, call: &Call) -> Result<(), Error>;

    /// Compares what ADD made with what is there now.
    ///
    /// # Errors
    /// The first difference that keeps the attachment from working.
    fn check(&self, call: &Call) -> Result<(), Error>;

    /// Removes whatever the network holds for attachments that are no longer valid.
    ///
    /// # Errors
    /// Everything that could not be removed.
    fn gc(&self, call: &NetworkCall) -> Result<(), Error>;

    /// Says whether ADD can be served on this node, within milliseconds.
    ///
    /// # Errors
    /// Code 50 or 51 and what has to be repaired.
    fn status(&self, call: &NetworkCall) -> Result<(), Error>;
}

/// What a plugin wants when `CNI_NETNS` is its own namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnNetns {
    /// ADD and CHECK fail with code 8 before anything is done; DEL takes the namespace as gone.
    Refuse,
    /// The plugin looks for itself.
    Allow,
}

/// ADD, CHECK or DEL of one attachment.
#[derive(Clone, Debug)]
pub struct Call {
    /// Network, container and interface: the key of everything kept.
    pub attachment: Attachment,
    /// The container's network namespace as the runtime named it; `None` on DEL when it is gone.
    pub netns: Option<PathBuf>,
    /// `CNI_ARGS` as it was given.
    pub args_text: String,
    /// `CNI_PATH`: where delegates are looked for.
    pub path: Vec<PathBuf>,
    /// The network configuration.
    pub config: Config,
}

impl Call {
    /// `CNI_ARGS` for ADD and CHECK, where unknown keys are errors.
    ///
    /// # Errors
    /// As [`Args::strict`].
    pub fn args(&self, known: &[&str]) -> Result<Args, Error> {
        Args::strict(&self.args_text, known)
    }

    /// `CNI_NETNS`, which the runner has demanded for ADD and CHECK, as text for results.
    #[must_use]
    pub fn sandbox(&self) -> String {
        self.netns.as_ref().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// GC or STATUS of one network.
#[derive(Clone, Debug)]
pub struct NetworkCall {
    /// `CNI_PATH`: where delegates are looked for.
    pub path: Vec<PathBuf>,
    /// The network configuration.
    pub config: Config,
}
