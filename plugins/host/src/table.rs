//! The table of claims, as text: a first line that says layout and boot, then one claim a line with
//! its namespace and its holder last. `cat` shows it, and a torn file loses its torn line alone.
//!
//! ```text
//! cais host-ports 1 6f1c9a52-0a0e-4d52-9a64-0f3b7a7f1d11
//! tcp *:80 4026531840 host/web/eth0
//! ```

use std::fmt::Write as _;

use cni::{Error, code};
use types::Attachment;

use crate::claim::Claim;
use crate::place::HostNetns;

/// Layout number. A line of any layout ends with its holder, so that DEL and GC work on newer ones.
const LAYOUT: u32 = 1;

const MARK: &str = "cais host-ports";

/// All claims of this boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    layout: u32,
    /// The first line as it is to be written.
    header: String,
    lines: Vec<String>,
}

/// One line of layout 1.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    claim: Claim,
    netns: HostNetns,
    holder: Attachment,
}

impl Table {
    /// Reads a table; `boot` is the id of this boot. No text, or a table of an earlier boot, is an
    /// empty one: its containers are gone. Torn lines are left out.
    pub(crate) fn parse(text: &str, boot: &str) -> Self {
        let header = format!("{MARK} {LAYOUT} {boot}");
        // What no newline ends was not written to its end.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = || whole.lines().map(str::to_owned);
        let first = whole.lines().next().unwrap_or_default();
        match header_of(first) {
            Some((layout, _)) if layout > LAYOUT => {
                Self { layout, header: first.to_owned(), lines: lines().skip(1).collect() }
            }
            Some((_, of_boot)) if of_boot != boot => {
                Self { layout: LAYOUT, header, lines: Vec::new() }
            }
            // With its first line torn it is taken for one of this boot.
            _ => {
                let lines = lines().filter(|line| Row::parse(line).is_some()).collect();
                Self { layout: LAYOUT, header, lines }
            }
        }
    }

    /// The whole table as it is written; `None` when there is nothing to keep.
    pub(crate) fn text(&self) -> Option<String> {
        (!self.lines.is_empty()).then(|| format!("{}\n{}\n", self.header, self.lines.join("\n")))
    }

    /// Whether we know the layout well enough to add to it.
    ///
    /// # Errors
    /// Code 50 with both layouts.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        if self.layout <= LAYOUT {
            return Ok(());
        }
        let text = format!(
            "claim host ports: the table has layout {}, this program knows up to {LAYOUT}",
            self.layout
        );
        Err(Error::new(code::NOT_AVAILABLE, text)
            .with_hint("a newer cais wrote it; install that version's `host`"))
    }

    /// Makes `claims` those of `holder`, in place of any that an earlier ADD of it made.
    ///
    /// # Errors
    /// Code 100 with the other holder of a port, and nothing is changed; code 50.
    pub(crate) fn claim(
        &mut self,
        holder: &Attachment,
        netns: &HostNetns,
        claims: &[Claim],
    ) -> Result<(), Error> {
        self.writable()?;
        for row in self.rows().filter(|row| row.holder != *holder && row.netns == *netns) {
            if let Some(claim) = claims.iter().find(|claim| claim.overlaps(&row.claim)) {
                return Err(taken(claim, holder, &row));
            }
        }
        self.free(|other| other == holder);
        let row = |claim: &Claim| Row { claim: *claim, netns: *netns, holder: holder.clone() };
        self.lines.extend(claims.iter().map(|claim| row(claim).text()));
        Ok(())
    }

    /// Removes all claims of the holders that `is_dead` says so of.
    pub(crate) fn free(&mut self, is_dead: impl Fn(&Attachment) -> bool) {
        self.lines.retain(|line| !holder_of(line).is_some_and(|holder| is_dead(&holder)));
    }

    /// Whether `holder` has that very claim.
    pub(crate) fn has(&self, claim: &Claim, holder: &Attachment, netns: &HostNetns) -> bool {
        let wanted = Row { claim: *claim, netns: *netns, holder: holder.clone() }.text();
        self.lines.contains(&wanted)
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        self.lines.iter().filter_map(|line| Row::parse(line))
    }
}

impl Row {
    fn text(&self) -> String {
        format!("{} {} {}", self.claim, self.netns.inode, self.holder)
    }

    fn parse(line: &str) -> Option<Self> {
        let (rest, _) = line.rsplit_once(' ')?;
        let (claim, inode) = rest.rsplit_once(' ')?;
        let netns = HostNetns { inode: inode.parse().ok()? };
        Some(Self { claim: claim.parse().ok()?, netns, holder: holder_of(line)? })
    }
}

/// Layout and boot.
fn header_of(line: &str) -> Option<(u32, &str)> {
    let (layout, rest) = line.strip_prefix(MARK)?.trim_start().split_once(' ')?;
    Some((layout.parse().ok()?, rest.split(' ').next()?))
}

/// The last word of a line. None of its parts can hold a blank or a slash.
fn holder_of(line: &str) -> Option<Attachment> {
    let mut parts = line.rsplit_once(' ')?.1.splitn(3, '/');
    Some(Attachment {
        network: parts.next()?.parse().ok()?,
        container: parts.next()?.parse().ok()?,
        ifname: parts.next()?.parse().ok()?,
    })
}

fn taken(claim: &Claim, holder: &Attachment, row: &Row) -> Error {
    let mut text = format!("claim {claim} for {holder}: {} holds it", row.holder);
    if row.claim != *claim {
        // Writing to a String cannot fail.
        let _ = write!(text, " as {}", row.claim);
    }
    Error::new(code::EXHAUSTED, text).with_hint(format!(
        "choose another port, or stop container {0}; if it is gone, run DEL or GC for it",
        row.holder.container
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "b1";
    const HERE: HostNetns = HostNetns { inode: 7 };

    fn key(container: &str) -> Attachment {
        Attachment {
            network: "host".parse().unwrap(),
            container: container.parse().unwrap(),
            ifname: "eth0".parse().unwrap(),
        }
    }

    fn claim(text: &str) -> Claim {
        text.parse().unwrap_or_else(|_| panic!("{text} is no claim"))
    }

    fn table(rows: &[(&str, &str)]) -> Table {
        let mut table = Table::parse("", BOOT);
        for (container, text) in rows {
            table.claim(&key(container), &HERE, &[claim(text)]).unwrap();
        }
        table
    }

    #[test]
    fn a_table_comes_back_from_its_text_and_an_empty_one_has_none() {
        let table = table(&[("a", "tcp *:80"), ("b", "udp [fd00::1]:53")]);
        let text = table.text().unwrap();
        assert_eq!(
            text,
            "cais host-ports 1 b1\ntcp *:80 7 host/a/eth0\nudp [fd00::1]:53 7 host/b/eth0\n"
        );
        assert_eq!(Table::parse(&text, BOOT), table);
        assert_eq!(Table::parse("", BOOT).text(), None);
    }

    #[test]
    fn a_second_claim_names_the_holder_and_changes_nothing() {
        let mut table = table(&[("a", "tcp 127.0.0.1:80")]);
        let before = table.clone();
        let wanted = [claim("tcp *:79"), claim("tcp *:80")];
        let error = table.claim(&key("b"), &HERE, &wanted).unwrap_err();
        assert_eq!(error.code, 100);
        assert_eq!(
            error.msg,
            "claim tcp *:80 for host/b/eth0: host/a/eth0 holds it as tcp 127.0.0.1:80"
        );
        assert_eq!(
            error.hint(),
            Some("choose another port, or stop container a; if it is gone, run DEL or GC for it")
        );
        assert_eq!(table, before);
    }

    #[test]
    fn an_attachment_never_stands_in_its_own_way_and_keeps_its_last_claims() {
        let mut table = table(&[("a", "tcp *:80")]);
        table.claim(&key("a"), &HERE, &[claim("tcp 0.0.0.0:80"), claim("tcp [::]:80")]).unwrap();
        assert!(!table.has(&claim("tcp *:80"), &key("a"), &HERE));
        assert!(table.has(&claim("tcp [::]:80"), &key("a"), &HERE));
        table.claim(&key("a"), &HERE, &[]).unwrap();
        assert_eq!(table.text(), None);
    }

    #[test]
    fn ports_of_another_namespace_are_others() {
        let mut table = table(&[("a", "tcp *:80")]);
        table.claim(&key("b"), &HostNetns { inode: 8 }, &[claim("tcp *:80")]).unwrap();
    }

    #[test]
    fn a_torn_table_loses_only_its_torn_lines() {
        let whole = table(&[("a", "tcp *:80"), ("b", "tcp *:81")]);
        let text = whole.text().unwrap();
        let torn_end = Table::parse(&text[..text.len() - 2], BOOT);
        assert_eq!(torn_end, table(&[("a", "tcp *:80")]));
        let torn_start = Table::parse(&text[9..], BOOT);
        assert_eq!(torn_start, whole);
        let zeros = format!("{text}\0\0\0\0\n\u{fffd}\n");
        assert_eq!(Table::parse(&zeros, BOOT), whole);
    }

    #[test]
    fn claims_of_an_earlier_boot_are_gone() {
        let text = table(&[("a", "tcp *:80")]).text().unwrap();
        assert_eq!(Table::parse(&text, "b2"), Table::parse("", "b2"));
    }

    #[test]
    fn a_newer_layout_is_not_added_to_but_holders_are_still_removed() {
        let text = "cais host-ports 9 b0 x\ntcp 80 ? host/a/eth0\nnew words\nudp ? host/b/eth0\n";
        let mut table = Table::parse(text, BOOT);
        let error = table.claim(&key("c"), &HERE, &[]).unwrap_err();
        assert_eq!(error.code, 50);
        assert!(error.msg.contains("layout 9") && error.msg.contains("up to 1"), "{error}");
        table.free(|holder| *holder == key("a"));
        assert_eq!(table.text().unwrap(), "cais host-ports 9 b0 x\nnew words\nudp ? host/b/eth0\n");
    }
}
