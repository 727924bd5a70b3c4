//! `link_del RECORD LINK`: deletes a link without waiting for RCU, as a plugin's DEL does.
//!
//! Run it where it can do no harm: `unshare -rn cargo run -p kernel --example link_del`.

use std::process::ExitCode;

use kernel::link::Deleter;
use kernel::netlink::Socket;
use types::IfName;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [record, link] = &words[..] else {
        eprintln!("usage: link_del RECORD LINK");
        return ExitCode::FAILURE;
    };
    match delete(record, link) {
        Ok(deleted) => {
            println!("{deleted:?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn delete(record: &str, link: &str) -> Result<kernel::link::Deleted, Box<dyn std::error::Error>> {
    let link: IfName = link.parse()?;
    let socket = Socket::open("this namespace")?;
    Ok(Deleter::detached(record).delete(&socket, &link, &[])?)
}
