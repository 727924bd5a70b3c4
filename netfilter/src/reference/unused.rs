//! Tables that the reference leaves behind when the last attachment is gone.

use kernel::RequestError;
use kernel::netlink::Socket;
use kernel::nft::{self, Batch, Table};

/// Deletes `table` where each of `chains` is empty, with the chains of the `frame`, which only lead
/// to them. Whoever adds a rule or a chain meanwhile keeps it: the kernel refuses the whole batch.
pub(super) fn remove(
    socket: &Socket,
    table: &Table,
    frame: &[&str],
    chains: &[&str],
) -> Result<(), RequestError> {
    let there = nft::chains(socket, table)?;
    let is_there = |name: &&&str| there.iter().any(|chain| chain.name == **name);
    let mut batch = Batch::new();
    for name in frame.iter().filter(is_there) {
        batch.flush_chain(table, name);
    }
    for name in frame.iter().chain(chains).filter(is_there) {
        batch.del_empty_chain(table, name);
    }
    batch.del_empty_table(table);
    match batch.commit(socket) {
        Err(error) if error.is_busy() || error.is_missing() => Ok(()),
        other => other,
    }
}
