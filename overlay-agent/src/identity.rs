//! Who this host is: an id that lasts, and what tells the machine from a clone of it.

use std::fs;
use std::io;
use std::path::Path;

use peers::HostId;
use sha2::{Digest, Sha256};

/// Files below the state directory and the run directory.
const ID: &str = "host-id";
const INSTANCE: &str = "instance";

/// Who this host is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Made at random at the first start, and kept across reboots.
    pub id: HostId,
    /// Follows from the machine.
    pub fingerprint: String,
    /// Made at random at the first start after a boot: a restart of the daemon is the same life.
    pub instance: String,
    /// The kernel's boot id.
    pub boot: String,
}

impl Identity {
    /// That of this host, made now where it had none.
    ///
    /// # Errors
    /// Of the file system, with the file; [`io::ErrorKind::InvalidData`] for an id that is none.
    pub(crate) fn of(state_dir: &Path, run_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(ID);
        let id = kept(&path)?.parse().map_err(|why| {
            let text = format!("{}: {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let life = run_dir.join(INSTANCE);
        let instance = match kept(&life) {
            // Damaged, it is a new life on the same machine, as after a boot.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                fs::remove_file(&life)?;
                kept(&life)?
            }
            kept => kept?,
        };
        Ok(Self { id, fingerprint: fingerprint(), instance, boot: kernel::boot::id()? })
    }
}

/// What the file says; made at random and written where there is none.
fn kept(path: &Path) -> io::Result<String> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("keep {}: {error}", path.display()))
    };
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(error)),
        _ => {}
    }
    let made = random_uuid()?;
    write(path, made.as_bytes()).map_err(named)?;
    Ok(made)
}

/// Version 4 of RFC 9562.
fn random_uuid() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// The mainboard's id and the permanent addresses of the machine's own links. What cannot be read
/// is left out: a clone differs by something.
fn fingerprint() -> String {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let mut parts = vec![read(Path::new("/sys/class/dmi/id/product_uuid"))];
    let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut macs: Vec<String> = links
        .map(|link| link.path())
        // Only links with hardware below them stay the same across reboots.
        .filter(|link| link.join("device").exists())
        // `NET_ADDR_PERM` of `linux/netdevice.h`.
        .filter(|link| read(&link.join("addr_assign_type")) == "0")
        .map(|link| read(&link.join("address")))
        .collect();
    macs.sort();
    parts.extend(macs);
    let digest = Sha256::digest(parts.join("|"));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Writes a file that must survive a crash of the machine: whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = dir.join(format!(".{name}.{}.new", std::process::id()));
    cni::keyed::replace_lasting(path, &new, bytes, 0o755)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_lasts_and_an_instance_lasts_until_the_next_boot() {
        let dir = std::env::temp_dir().join(format!("cais-identity-{}", std::process::id()));
        let (state, run) = (dir.join("lib"), dir.join("run"));
        let first = Identity::of(&state, &run).unwrap();
        let again = Identity::of(&state, &run).unwrap();
        assert_eq!((&first.id, &first.instance), (&again.id, &again.instance));
        fs::remove_dir_all(&run).unwrap();
        let rebooted = Identity::of(&state, &run).unwrap();
        assert_eq!(first.id, rebooted.id);
        assert_ne!(first.instance, rebooted.instance);
        fs::write(run.join(INSTANCE), b"\xff").unwrap();
        assert_ne!(rebooted.instance, Identity::of(&state, &run).unwrap().instance);
        fs::write(state.join(ID), "no id\0").unwrap();
        let error = Identity::of(&state, &run).unwrap_err();
        assert!(error.to_string().contains("host-id"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }
}
