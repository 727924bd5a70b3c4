//! GC: removing what a network still holds for containers that are gone.

use std::path::PathBuf;

use types::Attachment;

use super::cache::CachedAttachment;
use super::chain::{Container, Runtime, step_name};
use super::list::NetworkList;
use super::probe::known_keys;
use super::request::Added;
use crate::config::GcAttachment;
use crate::error::Error;
use crate::exec::find;
use crate::version::Version;

/// Which attachments GC must leave alone.
#[derive(Clone, Debug)]
pub enum Valid {
    /// Those whose namespace is there. Nothing of a runtime that we do not know is touched:
    /// plugins that take "no list" for "an empty list", as the reference library invites them to,
    /// are not asked.
    Living,
    /// Exactly these; everything else of the network goes, in every plugin.
    Only(Vec<GcAttachment>),
}

/// What GC did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// Recorded attachments that are not valid: DEL for each.
    pub removed: Vec<Attachment>,
    /// Recorded attachments that stay.
    pub kept: Vec<Attachment>,
    /// Plugins that are asked for GC.
    pub asked: Vec<String>,
    /// Plugins that are not asked, since without a list they might remove the living.
    pub unasked: Vec<String>,
}

impl Runtime {
    /// Says what [`gc`](Self::gc) would do; changes nothing.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn plan_gc(&self, list: &NetworkList, valid: &Valid) -> Result<Collection, Error> {
        let mut plan = Collection::default();
        if list.disables_gc() {
            return Ok(plan);
        }
        for cached in self.cache().attachments()? {
            if cached.attachment.network != *list.name() {
            } else if is_valid(&cached, valid) {
                plan.kept.push(cached.attachment);
            } else {
                plan.removed.push(cached.attachment);
            }
        }
        if list.is_at_least(Version::V1_1_0) {
            for kind in list.plugins().iter().map(|plugin| plugin.kind.clone()) {
                // A plugin that describes its keys is of this suite: it releases nothing
                // without a list but what it can prove dead. One that is missing is asked, since
                // that says so.
                let is_stranger = |file: PathBuf| known_keys(&file).is_none();
                let mistakes = matches!(valid, Valid::Living)
                    && find(&kind, self.path()).is_ok_and(is_stranger);
                if mistakes { plan.unasked.push(kind) } else { plan.asked.push(kind) }
            }
        }
        Ok(plan)
    }

    /// Removes what the network holds for attachments that are not valid: DEL of each that is
    /// recorded, then GC of the plugins. `disableGC` makes it do nothing. Failures keep nothing
    /// else from being tried.
    ///
    /// No ADD or DEL of the network may run at the same time.
    ///
    /// # Errors
    /// All failures, joined.
    pub fn gc(&self, list: &NetworkList, valid: &Valid) -> Result<Collection, Error> {
        let plan = self.plan_gc(list, valid)?;
        let mut failed = Vec::new();
        for attachment in &plan.removed {
            if let Some(cached) = self.cache().read(attachment) {
                failed.extend(self.del(list, &Container::from(&cached)).err());
            }
        }
        let given = match valid {
            Valid::Living => None,
            Valid::Only(attachments) => Some(attachments.as_slice()),
        };
        for plugin in list.plugins().iter().filter(|p| plan.asked.contains(&p.kind)) {
            let added = Added { valid: given, ..Added::default() };
            let done = self
                .program(list, plugin)
                .and_then(|program| self.call_with(&program, "GC", None, &added));
            failed.extend(done.err().map(|e| e.in_step(step_name(list, plugin, "gc"))));
        }
        Error::joined(failed).map_or(Ok(plan), Err)
    }
}

fn is_valid(cached: &CachedAttachment, valid: &Valid) -> bool {
    match valid {
        Valid::Living => !cached.is_dead(),
        Valid::Only(attachments) => attachments.iter().any(|a| {
            a.container == cached.attachment.container
                && a.ifname.as_ref().is_none_or(|ifname| *ifname == cached.attachment.ifname)
        }),
    }
}
