use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;

/// In memory where there is such a place: fuzzers write thousands of files a second.
const MEMORY: &str = "/dev/shm";

/// Calls `act` with a directory that is empty, and only this call's.
pub(crate) fn with_empty_directory(name: &str, act: impl FnOnce(&Path)) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A panic elsewhere has been told already, and leaves nothing that we rely on.
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let memory = PathBuf::from(MEMORY);
    let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let directory = root.join(format!("cais-{name}-{}", process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory)
        .unwrap_or_else(|error| panic!("make {}: {error}", directory.display()));
    act(&directory);
    // What is left there is swept by the next call, or hurts nobody.
    let _ = fs::remove_dir_all(&directory);
}
