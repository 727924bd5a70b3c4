//! Computes the build id that tells whether two binaries came out of one build of the suite.
//!
//! Release builds hash every source that goes into a plugin, so that a change anywhere changes
//! the id. Development builds hash only what rarely changes: with sources in, each edit of a
//! plugin would rebuild this crate and all that stand on it. `CAIS_BUILD_ID_EXACT=1` hashes all.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Crates whose code can be in a plugin binary.
const SUITE: [&str; 8] =
    ["types", "cni", "kernel", "ipam", "ipam-cni", "attach", "netfilter", "plugins"];

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let root = Path::new(&manifest).parent().expect("the crate lies in the workspace");
    println!("cargo::rerun-if-env-changed=CAIS_BUILD_ID_EXACT");
    println!("cargo::rerun-if-changed=build.rs");

    let mut hash = Sha256::new();
    for variable in ["PROFILE", "OPT_LEVEL", "TARGET", "CARGO_PKG_VERSION", "DEBUG"] {
        hash.update(env::var(variable).expect("cargo sets it"));
        hash.update([0]);
    }
    let mut files = vec![root.join("Cargo.lock"), root.join("Cargo.toml")];
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if release || env::var_os("CAIS_BUILD_ID_EXACT").is_some() {
        for member in SUITE.map(|member| root.join(member)) {
            // Cargo would rerun for ever on a directory that is not there.
            if member.exists() {
                println!("cargo::rerun-if-changed={}", member.display());
                sources(&member, &mut files);
            }
        }
    }
    files.sort();
    for file in files.iter().filter(|file| file.exists()) {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.strip_prefix(root).expect("every file was found below the root");
        hash.update(name.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(fs::read(file).expect("a file that was just listed is readable"));
        hash.update([0]);
    }
    let bytes: Vec<String> = hash.finalize()[..16].iter().map(u8::to_string).collect();
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("build_id.rs"), format!("[{}]", bytes.join(", "))).expect("OUT_DIR is ours");
}

/// Rust sources and manifests below `directory`; tests do not end up in a binary.
fn sources(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["tests", "target", "benches"].contains(&name.as_str()) {
                sources(&path, files);
            }
        } else if name == "Cargo.toml" || name.ends_with(".rs") {
            files.push(path);
        }
    }
}
