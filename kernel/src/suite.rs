//! Telling whether another binary came out of the same build of the suite as this one.
//!
//! Each binary that asks carries an ELF note (elf(5), `PT_NOTE`) with the owner `cais` and a
//! 16-byte build id. A plugin that finds its own id in the file it was told to execute may call
//! the library instead: the code is the same.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Identity of a build: equal for all binaries made together from the same sources.
pub type BuildId = [u8; 16];

/// The note as it lies in the file: its header, the owner padded to four bytes, the id.
#[repr(C, align(4))]
pub(crate) struct Note {
    owner_bytes: u32,
    id_bytes: u32,
    kind: u32,
    owner: [u8; 8],
    id: BuildId,
}

impl Note {
    /// This build's.
    pub(crate) const OURS: Self = Self {
        owner_bytes: OWNER.len() as u32,
        id_bytes: size_of::<BuildId>() as u32,
        kind: KIND,
        owner: *b"cais\0\0\0\0",
        id: include!(concat!(env!("OUT_DIR"), "/build_id.rs")),
    };
}

const OWNER: [u8; 5] = *b"cais\0";
const KIND: u32 = 1;

/// The id of the running binary.
#[must_use]
pub fn build_id() -> BuildId {
    crate::sys::NOTE.id
}

/// The id of the binary at `path`; `None` when it carries none.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn build_id_of_path(path: &Path) -> io::Result<Option<BuildId>> {
    build_id_of(&File::open(path)?)
}

/// The id of the binary in `file`; `None` when it carries none: not one of ours, or no 64-bit
/// ELF file of this machine's byte order at all. Takes three reads, whatever the file's size.
///
/// # Errors
/// When the file cannot be read.
pub fn build_id_of(file: &File) -> io::Result<Option<BuildId>> {
    let Some(table) = program_headers(file)? else { return Ok(None) };
    for entry in table.chunks_exact(ENTRY_BYTES) {
        if u32_at(entry, 0) != Some(PT_NOTE) {
            continue;
        }
        let (Some(offset), Some(length)) = (u64_at(entry, 8), u64_at(entry, 32)) else { continue };
        let Some(notes) = read(file, offset, length)? else { continue };
        if let Some(id) = find(&notes) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

const PT_NOTE: u32 = 4;
const ENTRY_BYTES: usize = 56;
/// Larger tables and notes than this are no plugin's, and nothing should make us read them.
const MOST_BYTES: u64 = 64 * 1024;

/// The program header table of a 64-bit ELF file in this machine's byte order.
fn program_headers(file: &File) -> io::Result<Option<Vec<u8>>> {
    const CLASS_64: u8 = 2;
    const ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
    let Some(header) = read(file, 0, 64)? else { return Ok(None) };
    if header[..6] != [0x7f, b'E', b'L', b'F', CLASS_64, ORDER] {
        return Ok(None);
    }
    let entry_bytes = u16_at(&header, 54);
    let (Some(offset), Some(count)) = (u64_at(&header, 32), u16_at(&header, 56)) else {
        return Ok(None);
    };
    if entry_bytes != Some(ENTRY_BYTES as u16) {
        return Ok(None);
    }
    read(file, offset, u64::from(count) * ENTRY_BYTES as u64)
}

/// Our id among `notes`.
fn find(mut notes: &[u8]) -> Option<BuildId> {
    const HEADER_BYTES: usize = 12;
    loop {
        let owner_bytes = u32_at(notes, 0)? as usize;
        let id_bytes = u32_at(notes, 4)? as usize;
        let kind = u32_at(notes, 8)?;
        let body = notes.get(HEADER_BYTES..)?;
        let owner = body.get(..owner_bytes)?;
        let rest = body.get(owner_bytes.checked_next_multiple_of(4)?..)?;
        let id = rest.get(..id_bytes)?;
        if owner == OWNER && kind == KIND {
            return id.try_into().ok();
        }
        notes = rest.get(id_bytes.checked_next_multiple_of(4)?..)?;
    }
}

/// `length` bytes at `offset`; `None` when the file ends before, or they are absurdly many.
fn read(file: &File, offset: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
    if length > MOST_BYTES {
        return Ok(None);
    }
    let mut bytes = vec![0; length as usize];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        // An offset beyond what a file can have.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_binary_carries_its_own_id() {
        let found = build_id_of_path(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(found, Some(build_id()));
        assert_ne!(build_id(), [0; 16]);
    }

    #[test]
    fn other_files_carry_none() {
        for path in ["/bin/sh", "/etc/passwd", "/dev/null"] {
            assert_eq!(build_id_of_path(Path::new(path)).unwrap(), None, "{path}");
        }
        assert!(build_id_of_path(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn torn_notes_carry_none() {
        let mut whole = Vec::new();
        whole.extend(5_u32.to_ne_bytes());
        whole.extend(16_u32.to_ne_bytes());
        whole.extend(KIND.to_ne_bytes());
        whole.extend(*b"cais\0\0\0\0");
        whole.extend([7; 16]);
        assert_eq!(find(&whole), Some([7; 16]));
        for end in 0..whole.len() {
            assert_eq!(find(&whole[..end]), None, "first {end} bytes");
        }
        assert_eq!(find(&[0xff; 64]), None);
    }
}
