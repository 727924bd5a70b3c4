//! Taking back what was done, newest first, when a later step fails or panics.
//!
//! ```
//! use kernel::undo::{Failure, Undo};
//!
//! let log = std::cell::RefCell::new(Vec::new());
//! let outcome = Undo::run(|undo| {
//!     undo.push("remove a", || { log.borrow_mut().push("a"); Ok(()) });
//!     undo.push("remove b", || Err("still in use".into()));
//!     Err::<(), _>("step c failed")
//! });
//! let failure: Failure<&str> = outcome.unwrap_err();
//! assert_eq!(*log.borrow(), ["a"]);
//! assert_eq!(failure.to_string(), "step c failed; while undoing: remove b: still in use");
//! ```

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why an inverse step failed.
pub type StepError = Box<dyn Error>;

/// A stack of inverse steps. Unless [committed](Self::commit) it runs them when it is dropped,
/// also by a panic.
#[derive(Default)]
pub struct Undo<'a> {
    steps: Vec<Step<'a>>,
}

struct Step<'a> {
    name: String,
    inverse: Box<dyn FnOnce() -> Result<(), StepError> + 'a>,
}

/// An inverse step that failed: something is left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The step's name: `delete veth veth3f2a`.
    pub step: String,
    /// Why it failed.
    pub why: String,
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.why)
    }
}

impl<'a> Undo<'a> {
    /// An empty stack.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work`, keeps what it did when it succeeds, and takes it back when it fails or panics.
    ///
    /// # Errors
    /// [`Failure`]: the error of `work`, with what could not be taken back.
    pub fn run<T, E>(work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, Failure<E>> {
        let mut undo = Self::new();
        match work(&mut undo) {
            Ok(value) => {
                undo.commit();
                Ok(value)
            }
            Err(error) => Err(undo.unwind(error)),
        }
    }

    /// Remembers how to take back a step that has just been done. `name` reads like an order.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        inverse: impl FnOnce() -> Result<(), StepError> + 'a,
    ) {
        self.steps.push(Step { name: name.into(), inverse: Box::new(inverse) });
    }

    /// Keeps everything that was done.
    pub fn commit(mut self) {
        self.steps.clear();
    }

    /// Takes everything back because of `error`.
    pub fn unwind<E>(mut self, error: E) -> Failure<E> {
        Failure { error, leftovers: self.run_inverses() }
    }

    /// Every step runs, whatever the ones before it did.
    fn run_inverses(&mut self) -> Vec<Leftover> {
        let mut leftovers = Vec::new();
        while let Some(Step { name, inverse }) = self.steps.pop() {
            let why = match catch_unwind(AssertUnwindSafe(inverse)) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            leftovers.push(Leftover { step: name, why });
        }
        leftovers
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for leftover in self.run_inverses() {
            // Nobody is left to return it to, and stdout carries results only.
            eprintln!("undo: {leftover}");
        }
    }
}

impl fmt::Debug for Undo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps.iter().map(|step| &step.name)).finish()
    }
}

/// An error after which everything was taken back, but for the leftovers.
#[derive(Debug)]
pub struct Failure<E> {
    /// The first error: why we turned back.
    pub error: E,
    /// What could not be taken back, newest first.
    pub leftovers: Vec<Leftover>,
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        for (position, leftover) in self.leftovers.iter().enumerate() {
            let lead = if position == 0 { "; while undoing: " } else { "; " };
            write!(f, "{lead}{leftover}")?;
        }
        Ok(())
    }
}

impl<E: Error + 'static> Error for Failure<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_panic_takes_everything_back_newest_first() {
        let log = &RefCell::new(Vec::new());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            Undo::run(|undo| -> Result<(), String> {
                for step in ["one", "two"] {
                    undo.push(step, move || {
                        log.borrow_mut().push(step);
                        Ok(())
                    });
                }
                panic!("on purpose");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(*log.borrow(), ["two", "one"]);
    }

    #[test]
    fn success_keeps_everything() {
        let outcome = Undo::run(|undo| {
            undo.push("never", || panic!("must not run"));
            Ok::<_, String>(7)
        });
        assert_eq!(outcome.unwrap(), 7);
    }

    #[test]
    fn a_panicking_inverse_does_not_stop_the_others() {
        let log = RefCell::new(Vec::new());
        let failure = Undo::run(|undo| {
            undo.push("first", || {
                log.borrow_mut().push("first");
                Ok(())
            });
            undo.push("second", || panic!("on purpose"));
            Err::<(), _>("why")
        })
        .unwrap_err();
        assert_eq!(*log.borrow(), ["first"]);
        assert_eq!(failure.to_string(), "why; while undoing: second: it panicked");
    }
}
