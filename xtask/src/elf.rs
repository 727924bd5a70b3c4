//! A look at an ELF file: is it what we promise to ship?
//!
//! Only what is asked is read: type, program headers, section types. See elf(5).

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

const ET_DYN: u16 = 3;
const PT_INTERP: u32 = 3;
const SHT_SYMTAB: u32 = 2;

/// What the headers of a 64-bit little-endian ELF file say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// Loadable anywhere (`ET_DYN`): with no interpreter, a static PIE.
    pub(crate) position_independent: bool,
    /// Asks for a dynamic loader (`PT_INTERP`).
    pub(crate) interpreter: bool,
    /// Still carries its symbol table (`SHT_SYMTAB`).
    pub(crate) symbols: bool,
}

impl Elf {
    /// Reads the headers of the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Elf> {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        parse(&bytes).with_context(|| format!("read the ELF headers of {}", path.display()))
    }

    /// Fails with the first way in which the file is not a stripped static PIE.
    pub(crate) fn must_be_static_and_stripped(&self) -> Result<()> {
        if self.interpreter {
            bail!("it asks for a dynamic loader");
        }
        if self.symbols {
            bail!("it is not stripped");
        }
        if !self.position_independent {
            bail!("it is not position independent");
        }
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Result<Elf> {
    ensure!(bytes.starts_with(b"\x7fELF"), "no ELF magic");
    ensure!(bytes.get(4..6) == Some(&[2, 1]), "not a 64-bit little-endian file");
    let kind = u16::from_le_bytes(field(bytes, 16)?);
    let programs = table(bytes, 32, 54, 56)?.map(|at| field(bytes, at).map(u32::from_le_bytes));
    let interpreter = programs.collect::<Result<Vec<_>>>()?.contains(&PT_INTERP);
    let sections = table(bytes, 40, 58, 60)?.map(|at| field(bytes, at + 4).map(u32::from_le_bytes));
    let symbols = sections.collect::<Result<Vec<_>>>()?.contains(&SHT_SYMTAB);
    Ok(Elf { position_independent: kind == ET_DYN, interpreter, symbols })
}

/// Offsets of a header table's entries; the arguments are where its offset, entry size and count
/// are kept in the file header.
fn table(
    bytes: &[u8],
    offset: usize,
    entry_size: usize,
    count: usize,
) -> Result<impl Iterator<Item = usize>> {
    let start = usize::try_from(u64::from_le_bytes(field(bytes, offset)?))?;
    let size = usize::from(u16::from_le_bytes(field(bytes, entry_size)?));
    let count = usize::from(u16::from_le_bytes(field(bytes, count)?));
    ensure!(start <= bytes.len(), "a header table lies outside the file");
    Ok((0..count).map(move |entry| start + entry * size))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let field = bytes.get(at..at + N).context("a header lies outside the file")?;
    Ok(field.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file header with one program header and one section header of the given types.
    fn file(kind: u16, program: u32, section: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56 + 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16..18].copy_from_slice(&kind.to_le_bytes());
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[40..48].copy_from_slice(&120u64.to_le_bytes());
        for (at, value) in [(54, 56u16), (56, 1), (58, 64), (60, 1)] {
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        bytes[64..68].copy_from_slice(&program.to_le_bytes());
        bytes[124..128].copy_from_slice(&section.to_le_bytes());
        bytes
    }

    fn verdict(bytes: &[u8]) -> String {
        match parse(bytes).unwrap().must_be_static_and_stripped() {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_stripped_static_pie_is_fine_and_each_deviation_is_named() {
        assert_eq!(verdict(&file(3, 1, 1)), "fine");
        assert_eq!(verdict(&file(3, 3, 1)), "it asks for a dynamic loader");
        assert_eq!(verdict(&file(3, 1, 2)), "it is not stripped");
        assert_eq!(verdict(&file(2, 1, 1)), "it is not position independent");
    }

    #[test]
    fn a_cut_or_foreign_file_is_an_error_and_never_a_panic() {
        let whole = file(3, 1, 1);
        for length in 0..whole.len() - 60 {
            assert!(parse(&whole[..length]).is_err(), "the first {length} bytes were accepted");
        }
        assert!(parse(b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn this_test_binary_has_an_interpreter_or_is_a_static_build() {
        let own = Elf::read(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(own.interpreter, cfg!(not(target_feature = "crt-static")), "{own:?}");
        assert!(own.symbols, "{own:?}");
    }
}
