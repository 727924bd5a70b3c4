//! Reading and writing the file of a table at given places.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::StoreError;
use crate::table::index::{SECTOR, Sector, Sectors};
use crate::table::slot::{self, Head, Record};
use crate::table::{Fault, header};

/// Slots that are read at once when all are.
pub(super) const CHUNK_SLOTS: u32 = 256;

/// Where slot number `slot` lies, in every layout.
pub(super) fn slot_at(slot: u32) -> u64 {
    header::SIZE as u64 + u64::from(slot) * slot::SIZE as u64
}

/// Shows `visit` every intact lease in the first `slots` slots of `file`.
pub(super) fn scan(
    file: &File,
    path: &Path,
    slots: u64,
    mut visit: impl FnMut(u32, Record),
) -> Result<(), StoreError> {
    let slots = slots.min(u64::from(header::MOST_CAPACITY)) as u32;
    let mut buffer = vec![0; CHUNK_SLOTS as usize * slot::SIZE];
    let mut slot = 0;
    while slot < slots {
        let length = read_up_to(file, path, &mut buffer, slot_at(slot))?;
        if length < slot::SIZE {
            break;
        }
        let chunk = &buffer[..length - length % slot::SIZE];
        let mut at = 0;
        while at < chunk.len() && slot < slots {
            let mut taken = 1;
            if let Head::Lease(parts) = slot::head(&chunk[at..], slot) {
                let bytes = usize::from(parts) * slot::SIZE;
                if at + bytes > chunk.len() && at > 0 {
                    // The rest is in the next chunk, which begins here.
                    break;
                }
                let record = match chunk.get(at..at + bytes) {
                    Some(whole) => Record::decode(whole, slot),
                    None => {
                        let mut whole = vec![0; bytes];
                        let length = read_up_to(file, path, &mut whole, slot_at(slot))?;
                        Record::decode(&whole[..length], slot)
                    }
                };
                if let Some(record) = record {
                    visit(slot, record);
                    taken = u32::from(parts);
                }
            }
            slot += taken;
            at += taken as usize * slot::SIZE;
        }
    }
    Ok(())
}

/// Fills `buffer` from `at` on as far as the file goes; says how many bytes there were.
pub(super) fn read_up_to(
    file: &File,
    path: &Path,
    buffer: &mut [u8],
    at: u64,
) -> Result<usize, StoreError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(StoreError::io("read", path, source)),
        }
    }
    Ok(filled)
}

pub(super) fn write(file: &File, path: &Path, bytes: &[u8], at: u64) -> Result<(), StoreError> {
    file.write_all_at(bytes, at).map_err(|source| StoreError::io("write", path, source))
}

/// An index as it lies in the file.
pub(super) struct FileSectors<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    pub(super) at: u64,
    pub(super) count: u32,
}

impl FileSectors<'_> {
    pub(super) fn place(&self, place: u32) -> u64 {
        self.at + u64::from(place) * SECTOR as u64
    }
}

impl Sectors for FileSectors<'_> {
    fn count(&self) -> u32 {
        self.count
    }

    fn load(&self, place: u32) -> Result<Sector, Fault> {
        let mut bytes = [0; SECTOR];
        let length = read_up_to(self.file, self.path, &mut bytes, self.place(place))?;
        Sector::parse(&bytes[..length], place).ok_or(Fault::Damaged)
    }

    fn store(&mut self, place: u32, mut sector: Sector) -> Result<(), Fault> {
        sector.seal(place);
        Ok(write(self.file, self.path, &sector.0[..], self.place(place))?)
    }
}
