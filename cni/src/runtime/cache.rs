//! Results of ADD on disk, so that CHECK, DEL and GC know them: libcni's files, which its users
//! (containerd, CRI-O, Podman, `cnitool`) read and write too.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use types::{Attachment, ContainerId, IfName, NetworkName};

use super::capabilities::Capabilities;
use super::chain::{Container, is_namespace};
use super::lock::Lock;
use super::request::{JsonObject, compact};
use super::{base64, list::NetworkList};
use crate::error::{Error, code};
use crate::json::Object;
use crate::state;

/// What libcni writes into the key `kind`.
const KIND: &str = "cniCacheV1";

/// Tells temporary files of one process apart.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Longest file name of Linux file systems, in bytes.
const LONGEST_NAME: usize = 255;

/// The directory of results.
#[derive(Clone, Debug)]
pub struct Cache {
    results: PathBuf,
    pub(super) locks: PathBuf,
}

/// One attachment as the cache has it.
#[derive(Clone, Debug)]
pub struct CachedAttachment {
    /// Network, container and interface.
    pub attachment: Attachment,
    /// The namespace at ADD: as the record names it, else as the result does, since runtimes on
    /// libcni do not record it. `None` when neither says.
    pub netns: Option<PathBuf>,
    /// Pairs of `CNI_ARGS` at ADD.
    pub args: Vec<(String, String)>,
    /// Values for capabilities at ADD.
    pub capabilities: Capabilities,
    /// The network list at ADD, without its drop-ins; empty when it cannot be read.
    pub config: Vec<u8>,
    /// The result as JSON; `None` for an ADD that has not come to its end.
    pub result: Option<String>,
}

impl CachedAttachment {
    /// Whether its namespace is known and gone. What cannot be proven dead may be the attachment
    /// of a container that runs; so may a path that leads to another namespace by now.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.netns.as_deref().is_some_and(|path| !is_namespace(path))
    }
}

impl Cache {
    /// The cache in `directory`, libcni's `cacheDir`. Its locks are elsewhere, since users of
    /// libcni read every file in there.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self { results: directory.join("results"), locks: state::run_dir().join("lock") }
    }

    /// The file of an attachment.
    #[must_use]
    pub fn file(&self, attachment: &Attachment) -> PathBuf {
        self.results.join(file_name(attachment))
    }

    /// Keeps the attachment to one operation until the lock is dropped.
    pub(super) fn lock(&self, attachment: &Attachment) -> Result<Lock, Error> {
        let name = file_name(attachment);
        if name.len() > LONGEST_NAME {
            let text = format!(
                "record attachment {attachment}: its file name would have {} bytes, more than \
                 {LONGEST_NAME}",
                name.len()
            );
            return Err(Error::new(code::INVALID_ENVIRONMENT, text)
                .with_hint("use a shorter container id or network name"));
        }
        Lock::take(&self.locks, &name)
    }

    /// Writes an attachment; readers see the old file or the new one, never a part.
    pub(super) fn write(
        &self,
        list: &NetworkList,
        container: &Container,
        result: Option<&str>,
    ) -> Result<(), Error> {
        let attachment = container.attachment(list);
        let file = self.file(&attachment);
        let text = encode(list, container, result);
        self.replace(&file, &text).map_err(|e| {
            Error::new(code::IO, format!("record attachment in {}: {e}", file.display()))
                .with_hint("the directory must be writable: run as root or inside `cais lab`")
        })
    }

    fn replace(&self, file: &Path, text: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.results)?;
        // Short, since the final name may be as long as names can be.
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.results.join(format!(".cais-{}-{number}", std::process::id()));
        // A process of our number may have died here.
        let _ = fs::remove_file(&temporary);
        let mut new =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        new.write_all(text.as_bytes())?;
        fs::rename(&temporary, file)
    }

    /// The attachment's record; `None` when there is none that can be read. A file of libcni
    /// before 0.8 is a bare result.
    #[must_use]
    pub fn read(&self, attachment: &Attachment) -> Option<CachedAttachment> {
        let text = fs::read(self.file(attachment)).ok()?;
        if let Some(cached) = decode(&text) {
            return Some(cached);
        }
        let result = Object::parse(&text).ok().filter(|o| o.has("ips") || o.has("ip4"))?;
        Some(CachedAttachment {
            attachment: attachment.clone(),
            netns: sandbox(&result, &attachment.ifname),
            args: Vec::new(),
            capabilities: Capabilities::default(),
            config: Vec::new(),
            result: Some(String::from_utf8_lossy(&text).into_owned()),
        })
    }

    /// Forgets an attachment; one that is unknown is success.
    pub(super) fn remove(&self, attachment: &Attachment) -> Result<(), Error> {
        let file = self.file(attachment);
        match fs::remove_file(&file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::new(code::IO, format!("remove {}: {e}", file.display())))
            }
            _ => Ok(()),
        }
    }

    /// All attachments in the order of their file names. Files that are no record, torn ones
    /// among them, are passed over; without the directory there are none.
    ///
    /// # Errors
    /// Code 5 when the directory is there and cannot be read.
    pub fn attachments(&self) -> Result<Vec<CachedAttachment>, Error> {
        let failed =
            |e: io::Error| Error::new(code::IO, format!("read {}: {e}", self.results.display()));
        let entries = match fs::read_dir(&self.results) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut files =
            entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        files.sort();
        let read = |file: PathBuf| fs::read(file).ok().and_then(|text| decode(&text));
        Ok(files.into_iter().filter_map(read).collect())
    }
}

/// libcni's file name. It cannot be taken apart again, since each part may hold a `-`.
fn file_name(attachment: &Attachment) -> String {
    let Attachment { network, container, ifname } = attachment;
    format!("{network}-{container}-{ifname}")
}

fn encode(list: &NetworkList, container: &Container, result: Option<&str>) -> String {
    let mut object = JsonObject::new();
    object.text("kind", KIND);
    object.text("containerId", container.id.as_str());
    object.text("config", &base64::encode(list.text()));
    object.text("ifName", container.ifname.as_str());
    object.text("networkName", list.name().as_str());
    if let Some(netns) = &container.netns {
        object.text("netns", &netns.to_string_lossy());
    }
    if !container.args.is_empty() {
        let args = serde_json::to_string(&container.args).expect("pairs of texts are JSON");
        object.raw("cniArgs", &args);
    }
    if let Some(capabilities) = container.capabilities.object_of(|_| true) {
        object.raw("capabilityArgs", &compact(&capabilities));
    }
    if let Some(result) = result {
        object.raw("result", &compact(result));
    }
    object.finish()
}

/// A record; `None` for what is none, or is of a name that no attachment has.
fn decode(text: &[u8]) -> Option<CachedAttachment> {
    let object = Object::parse(text).ok()?;
    let string = |key| object.string(key).ok().flatten().unwrap_or_default();
    if string("kind") != KIND {
        return None;
    }
    let attachment = Attachment {
        network: string("networkName").parse::<NetworkName>().ok()?,
        container: string("containerId").parse::<ContainerId>().ok()?,
        ifname: string("ifName").parse::<IfName>().ok()?,
    };
    let capabilities = object.get("capabilityArgs").map(|v| Capabilities::parse(v.raw().get()));
    let pairs = object.get("cniArgs").map(|v| serde_json::from_str(v.raw().get()));
    let netns = Some(PathBuf::from(string("netns"))).filter(|p| p != Path::new(""));
    let in_result = || sandbox(&object.object("result").ok().flatten()?, &attachment.ifname);
    Some(CachedAttachment {
        netns: netns.or_else(in_result),
        attachment,
        args: pairs.and_then(Result::ok).unwrap_or_default(),
        capabilities: capabilities.and_then(Result::ok).unwrap_or_default(),
        config: base64::decode(&string("config")).unwrap_or_default(),
        result: object.get("result").map(|v| v.raw().get().to_owned()),
    })
}

/// Where the interface `ifname` of a result is.
fn sandbox(result: &Object<'_>, ifname: &IfName) -> Option<PathBuf> {
    let interfaces = result.list("interfaces").ok()?;
    let mut interfaces = interfaces.iter().filter_map(|interface| interface.object().ok());
    interfaces.find_map(|interface| {
        let text = |key| interface.string(key).ok().flatten().filter(|text| !text.is_empty());
        let is_it = text("name").is_some_and(|name| name == ifname.as_str());
        text("sandbox").filter(|_| is_it).map(PathBuf::from)
    })
}
