//! ADD as steps, which are taken back when a later one fails.

use cni::Error;
use kernel::undo::Undo;

/// Runs `work`, and takes back what it did when it fails.
///
/// # Errors
/// That of `work`; what could not be taken back is in its details.
pub fn run<'a, T>(work: impl FnOnce(&mut Undo<'a>) -> Result<T, Error>) -> Result<T, Error> {
    Undo::run(work).map_err(|failure| {
        let told = |error: Error, left| error.with_details(format!("while undoing: {left}"));
        failure.leftovers.iter().fold(failure.error, told)
    })
}

/// Where tests make ADD panic (`CAIS_PANIC_AT`, debug builds only), to see it undone.
pub fn step(_name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os("CAIS_PANIC_AT").is_some_and(|at| at == _name) {
        panic!("told to panic at step {_name}");
    }
}
