//! Writing all published ports again after somebody flushed the ruleset.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::in_turns;
use super::published::{Published, Publisher};
use crate::call::{Plugin, Sample, Subject};
use crate::host::Host;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// What writes the ruleset again; that it is flushed before is not measured.
struct Rewrite {
    flush: Plugin,
    write: Plugin,
}

/// `cais reload`, which knows what is wanted from its own files, beside nft(8) that loads a saved
/// ruleset; both are one transaction.
pub(crate) fn after_a_flush(
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let cais = options.ours.join("cais");
    let mut of_ours: Vec<(u16, Vec<Sample>)> = Vec::new();
    for held in if options.smoke { [5, 20] } else { [1_000, 10_000] } {
        let publisher = Publisher::Ours(Some("nftables"));
        let published = Published::new(options, scratch, ("reload", publisher, held))?;
        let host = &published.host;
        let saved = scratch.path("ruleset");
        shell(host, &format!("nft list ruleset > {}", quoted(&saved))).call("")?;
        let rewrite = |script: &str| Rewrite {
            flush: shell(host, "nft flush ruleset"),
            write: shell(host, script),
        };
        let reload = format!("{} reload > /dev/null", quoted(&cais));
        let back = rewrite(&format!("{reload} && nft list map inet cais dnat4_any")).ports()?;
        ensure!(back == usize::from(held) + 1, "of {held} ports and one {back} are back");
        let ours = rewrite(&reload);
        let nft = rewrite(&format!("nft -f {}", quoted(&saved)));
        let [of_this, of_nft] = in_turns(&[&ours, &nft], &["reload"], options.runs)?.swap_remove(0);
        let what = format!("reload, {held} published, beside nft(8)");
        report.pair(&what, &of_this, &of_nft, Goal::None);
        of_ours.push((held, of_this));
    }
    if let [(few, of_few), (many, of_many)] = &of_ours[..] {
        let what = format!("reload, {many} published beside {few}");
        report.pair(&what, of_many, of_few, Goal::None);
    }
    Ok(())
}

impl Rewrite {
    /// How many ports lead somewhere, as the script prints them after it has written.
    fn ports(&self) -> Result<usize> {
        self.flush.call("")?;
        Ok(self.write.answer("")?.1.matches("tcp . ").count())
    }
}

impl Subject for Rewrite {
    fn call(&self, verb: &str) -> Result<Sample> {
        self.flush.call(verb)?;
        self.write.call(verb)
    }
}

/// A script that runs on `host` with the environment of its plugins.
fn shell(host: &Host, script: &str) -> Plugin {
    let sh = host.plugin("sh", &Value::Null);
    Plugin { program: "/bin/sh".into(), config: script.to_owned(), ..sh }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
