//! Debian packages that a step needs: installed when we may, otherwise named.

use std::path::Path;
use std::process::Command;

use crate::run;

/// A tool from a Debian package, and what is left out without it.
pub(crate) struct Tool {
    /// A program looked up in `PATH`, or an absolute path.
    pub(crate) proof: &'static str,
    pub(crate) package: &'static str,
    pub(crate) without: &'static str,
}

impl Tool {
    /// Whether the tool is on this machine.
    pub(crate) fn present(&self) -> bool {
        match Path::new(self.proof).is_absolute() {
            true => Path::new(self.proof).exists(),
            false => run::find_program(self.proof).is_some(),
        }
    }
}

/// Makes `tools` present as far as we may and returns those that are still missing.
///
/// Installing needs root and apt-get. Everything else is told: the package's name and what is left
/// out because of it.
pub(crate) fn ensure(tools: &'static [Tool]) -> Vec<&'static Tool> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !tool.present()).collect();
    if missing.is_empty() {
        return missing;
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    match may_install() {
        true => install(&packages),
        false => println!("to install as root: apt-get install {}", packages.join(" ")),
    }
    let missing: Vec<&Tool> = missing.into_iter().filter(|tool| !tool.present()).collect();
    for tool in &missing {
        println!("no `{}` (package {}): {}", tool.proof, tool.package, tool.without);
    }
    missing
}

/// Whether this process may install packages.
pub(crate) fn may_install() -> bool {
    is_root() && run::find_program("apt-get").is_some()
}

/// Whether we are root, told by the owner of our own process directory.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    Path::new("/proc/self").metadata().is_ok_and(|meta| meta.uid() == 0)
}

/// Asks apt-get for `packages`; what it could not do shows in the look afterwards.
fn install(packages: &[&str]) {
    let apt = |arguments: &[&str]| {
        run::run(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
                .args(arguments),
        )
    };
    // Nothing of the machine's own goes for it, such as Docker for another containerd.
    let options = ["install", "--yes", "--no-install-recommends", "--no-remove"];
    let arguments = [&options, packages].concat();
    // Package lists may be missing or old (a fresh container image): refresh them and try again.
    if apt(&arguments).is_ok() {
        return;
    }
    if let Err(error) = apt(&["update"]).and_then(|()| apt(&arguments)) {
        println!("apt-get could not install {}: {error:#}", packages.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_system_is_present_and_an_invented_one_is_not() {
        let tool = |proof| Tool { proof, package: "none", without: "nothing" };
        assert!(tool("sh").present());
        assert!(tool("/proc/self").present());
        assert!(!tool("no-such-program-here").present());
        assert!(!tool("/no/such/file").present());
    }
}
