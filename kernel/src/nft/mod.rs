//! The packet filter, nf_tables, spoken to as nft(8) does: tables, chains, rules, sets and their
//! elements, changed in atomic batches and read one set at a time. No program is run.
//!
//! ```no_run
//! use kernel::netlink::Socket;
//! use kernel::nft::{Batch, Element, Field, Key, Set, Table};
//!
//! const TABLE: Table = Table::inet("web");
//! const HOSTS: Set = Set::new("hosts", &[Field::Ipv4]);
//! let socket = Socket::open_netfilter("the host's namespace")?;
//! let mut batch = Batch::new();
//! batch.add_table(&TABLE, "made by this example");
//! batch.add_set(&TABLE, &HOSTS);
//! batch.add_element(&TABLE, &HOSTS, &Element::new(Key::new().v4([10, 0, 0, 1].into())));
//! batch.commit(&socket)?;
//! # Ok::<(), kernel::RequestError>(())
//! ```
//!
//! A batch is carried out whole or not at all, and its error names the object that was refused.
//! Numbers on the wire are in network order unless the kernel keeps them in a register of its own
//! (`linux/netfilter/nf_tables.h`).

mod batch;
mod commit;
mod element;
mod object;
mod read;
pub(crate) use read::fuzz;
mod rule;
mod single;
mod type_of;
pub mod xt;

pub use batch::Batch;
pub use commit::{Handles, Missing, Ticket};
pub use element::{Data, Element, Key, Verdict};
pub use object::{BaseChain, Field, Hook, Kind, Set, Table, Values};
pub use read::{
    FoundChain, FoundElement, FoundRule, chains, element, elements, find_elements, has_table,
    rules, sets,
};
pub use rule::{Ct, Meta, Op, Payload, Reg, Rule};
pub use single::{find_chains, find_rules, table_uses};
pub use type_of::TypeOf;

use crate::netlink::netfilter::{HEADER_BYTES, header};

/// Number of the nf_tables subsystem within netfilter's netlink family.
const SUBSYSTEM: u16 = libc::NFNL_SUBSYS_NFTABLES as u16;

/// The messages of `linux/netfilter/nf_tables.h` (`NFT_MSG_*`).
mod verb {
    use super::SUBSYSTEM;
    use crate::netlink::netfilter::message;

    pub(super) const NEWTABLE: u16 = message(SUBSYSTEM, 0);
    pub(super) const GETTABLE: u16 = message(SUBSYSTEM, 1);
    pub(super) const DELTABLE: u16 = message(SUBSYSTEM, 2);
    pub(super) const NEWCHAIN: u16 = message(SUBSYSTEM, 3);
    pub(super) const GETCHAIN: u16 = message(SUBSYSTEM, 4);
    pub(super) const DELCHAIN: u16 = message(SUBSYSTEM, 5);
    pub(super) const NEWRULE: u16 = message(SUBSYSTEM, 6);
    pub(super) const GETRULE: u16 = message(SUBSYSTEM, 7);
    pub(super) const DELRULE: u16 = message(SUBSYSTEM, 8);
    pub(super) const NEWSET: u16 = message(SUBSYSTEM, 9);
    pub(super) const GETSET: u16 = message(SUBSYSTEM, 10);
    pub(super) const DELSET: u16 = message(SUBSYSTEM, 11);
    pub(super) const NEWSETELEM: u16 = message(SUBSYSTEM, 12);
    pub(super) const GETSETELEM: u16 = message(SUBSYSTEM, 13);
    pub(super) const DELSETELEM: u16 = message(SUBSYSTEM, 14);
}

/// A comment as nft(8) keeps it in the user data of an object: type, length, text with its NUL.
/// What does not fit is cut.
fn comment(kind: u8, text: &str) -> Vec<u8> {
    let text = &text[..text.floor_char_boundary(COMMENT_MAX_BYTES)];
    let mut bytes = Vec::with_capacity(text.len() + 3);
    bytes.extend_from_slice(&[kind, text.len() as u8 + 1]);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The comment of type `kind` in user data; `None` where there is none.
fn parse_comment(kind: u8, mut data: &[u8]) -> Option<String> {
    while let [found, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *found == kind {
            let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
            return Some(String::from_utf8_lossy(&value[..end]).into_owned());
        }
        data = &rest[value.len()..];
    }
    None
}

/// Longest comment in bytes: nft(8) reads no longer one.
pub const COMMENT_MAX_BYTES: usize = 128;

/// User data of elements, rules, chains and tables begins with the comment.
const COMMENT: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_comes_back_and_a_long_one_is_cut_between_characters() {
        assert_eq!(parse_comment(0, &comment(0, "web/c1/eth0")).as_deref(), Some("web/c1/eth0"));
        let long = parse_comment(0, &comment(0, &"ü".repeat(100))).unwrap();
        assert_eq!(long, "ü".repeat(64));
        assert_eq!(parse_comment(7, &comment(0, "x")), None);
        assert_eq!(parse_comment(0, &[0, 9, b'x']), None, "torn");
    }
}
