//! A link that lives in the container alone: what ADD does around making it, comparing it, removing
//! it by its name or by its record, and sweeping what is left of others.

use std::path::Path;

use cni::record::{Record, Records, boot_id};
use cni::{AddResult, Call, Dns, Error, Interface, NetworkCall, code};
use kernel::addr::Dad;
use kernel::link::{self, Deleted, Deleter, Link};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::undo::Undo;
use kernel::{RequestError, announce};
use types::{Attachment, IfName};

use crate::error::{no_netns, refused};
use crate::host::{Host, deleter};
use crate::ipam::{self, Addresses};
use crate::steps::{self, step};
use crate::validity::Validity;
use crate::verify::{self, promised_interface};
use crate::{layer3, names, record};

/// Place of the link among the result's interfaces: it is the only one.
pub const LINK: usize = 0;

/// Everything that ADD works with.
pub struct Adding<'a> {
    /// The call.
    pub call: &'a Call,
    /// The host that the call came to.
    pub host: &'a Host,
    /// The container's namespace.
    pub netns: &'a Netns,
    /// Where addresses come from; `None`: layer 2 only.
    pub addresses: Option<&'a dyn Addresses>,
    /// Name service that replaces the one of IPAM.
    pub dns: Option<&'a Dns>,
    /// Whether others may have an address of the link's, and are to learn of those that it has.
    pub dad: Dad,
}

impl<'a> Adding<'a> {
    /// Makes the attachment, or takes back whatever it did. `make` makes the link in the container,
    /// called `CNI_IFNAME`, from the host; `dress` changes what it could not be made with, from
    /// within the container, before it is up.
    ///
    /// # Errors
    /// What was tried and why it failed; what could not be taken back is in the details.
    pub fn run(
        &self,
        make: impl FnOnce(&mut Undo<'a>) -> Result<(), Error>,
        dress: impl FnOnce(&Socket, &mut Link) -> Result<(), Error>,
    ) -> Result<AddResult, Error> {
        let make = |undo: &mut Undo<'a>| {
            make(undo)?;
            self.made(undo);
            Ok(())
        };
        let read = |inside: &Socket| {
            let mut link = self.named(inside)?;
            dress(inside, &mut link)?;
            Ok(link)
        };
        self.run_around(record::of(self.call, self.netns)?, make, read)
    }

    /// The same for a link that is known by other means than its alias: `place` puts it into the
    /// container, called `CNI_IFNAME`, and pushes the inverse of that; `read` reads it there.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_around(
        &self,
        record: Record,
        place: impl FnOnce(&mut Undo<'a>) -> Result<(), Error>,
        read: impl FnOnce(&Socket) -> Result<Link, Error>,
    ) -> Result<AddResult, Error> {
        steps::run(|undo| {
            step("record");
            record::write(record, &self.host.run_dir, undo)?;
            step("link");
            place(undo)?;
            let layer3 = match self.addresses {
                None => None,
                Some(addresses) => {
                    step("ipam");
                    let answer = ipam::lease(addresses, self.call, self.host, undo)?;
                    Some(result(self.dns, answer)?)
                }
            };
            step("container");
            self.netns.enter_for_good().map_err(|e| no_netns(&e))?;
            let place = self.netns.path().display().to_string();
            let inside = Socket::open(place).map_err(|e| refused(&e))?;
            let link = read(&inside)?;
            let result = self.configured(&inside, &link, layer3)?;
            step("done");
            Ok(result)
        })
    }

    /// Has the link deleted when a later step fails, wherever the thread is by then.
    fn made(&self, undo: &mut Undo<'a>) {
        let (name, netns) = (&self.call.attachment.ifname, self.netns);
        undo.push(format!("delete link {name} in {}", netns.path().display()), move || {
            let delete = || -> Result<(), RequestError> {
                let socket = Socket::open(netns.path().display().to_string())?;
                Deleter::waiting().delete(&socket, name, &[]).map(drop)
            };
            Ok(netns.run(delete)??)
        });
    }

    /// Says by its alias whose the link is, and reads it.
    fn named(&self, socket: &Socket) -> Result<Link, Error> {
        let ifname = &self.call.attachment.ifname;
        let alias = link::set(ifname).alias(&names::alias(&self.call.attachment)).request();
        let mut answers = socket.batch(&[alias, link::query(ifname)]).into_iter();
        let mut answer = || answers.next().transpose().map_err(|e| refused(&e));
        answer()?;
        let reply = answer()?.flatten();
        reply.as_ref().and_then(Link::from_reply).ok_or_else(|| {
            Error::new(code::IO, format!("look up link {ifname}: the kernel gave no answer"))
        })
    }

    /// Addresses, routes and switches of the link, and the result to print.
    fn configured(
        &self,
        socket: &Socket,
        link: &Link,
        layer3: Option<AddResult>,
    ) -> Result<AddResult, Error> {
        let ifname = &self.call.attachment.ifname;
        let has_neighbours = self.dad == Dad::Detect;
        let mut result = match layer3 {
            Some(result) => {
                if has_neighbours {
                    layer3::announce_when_up(ifname);
                }
                layer3::configure(socket, &link.dev, ifname, &result, self.dad)?;
                if let Some(mac) = link.mac.filter(|_| has_neighbours) {
                    // Once more, now that all addresses are final: a neighbour that knew an earlier
                    // owner learns of the new one.
                    let _ = socket.run(&announce::by_kernel(&link.dev, mac));
                }
                result
            }
            None => {
                socket.run(&link::set(link).up().request()).map_err(|e| refused(&e))?;
                AddResult { dns: self.dns.cloned().unwrap_or_default(), ..AddResult::default() }
            }
        };
        result.interfaces = vec![Interface {
            name: ifname.to_string(),
            mac: link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            mtu: link.mtu,
            sandbox: self.call.sandbox(),
            ..Interface::default()
        }];
        Ok(result)
    }
}

/// Completes what IPAM answered: all addresses are the link's, and `dns` of the configuration comes
/// before IPAM's.
///
/// # Errors
/// Code 7 when IPAM gave no address.
pub fn result(dns: Option<&Dns>, answer: AddResult) -> Result<AddResult, Error> {
    ipam::must_have_addresses(&answer)?;
    let mut result = AddResult { interfaces: Vec::new(), ..answer };
    for ip in &mut result.ips {
        ip.interface = Some(LINK);
    }
    if let Some(dns) = dns {
        result.dns = dns.clone();
    }
    layer3::dedup(&mut result.routes);
    Ok(result)
}

/// Why a link called `name` was not made, when `tried` was that.
#[must_use]
pub fn not_made(tried: &str, name: &IfName, error: &RequestError) -> Error {
    match error.is_exists() {
        true => taken(&format!("{tried}: interface name {name} already exists")),
        false => Error { msg: format!("{tried}: {}", error.source), ..refused(error) },
    }
}

/// A name that is taken, when `tried` was to make a link.
#[must_use]
pub fn taken(tried: &str) -> Error {
    Error::new(code::INVALID_ENVIRONMENT, tried)
        .with_hint("a previous ADD for this container was not undone; run DEL for it, or `cais gc`")
}

/// Compares the link of `call`, which is of `kind` where that is known, its addresses and routes
/// with what ADD promised in `promise`; `more` is what there is to compare beside. The calling
/// thread is where `inside` is.
///
/// # Errors
/// Code 101 with the first difference.
pub fn compare(
    call: &Call,
    inside: &Socket,
    promise: &AddResult,
    kind: impl Into<Option<&'static str>>,
    more: impl FnOnce(&Link) -> Result<(), Error>,
) -> Result<(), Error> {
    let ifname = &call.attachment.ifname;
    let (index, promised) = promised_interface(promise, ifname.as_str(), &call.sandbox())?;
    let link = verify::link(inside, ifname, (kind.into(), &promised.mac))?;
    more(&link)?;
    verify::is_up(&link, inside)?;
    verify::addresses(inside, &link.dev, promise, index)?;
    verify::routes(inside, promise)
}

/// DEL of an attachment that is a link of `kind` and what IPAM gave: each is tried whatever the
/// others did.
///
/// # Errors
/// What went wrong, joined.
pub fn remove(
    call: &Call,
    kind: &str,
    addresses: Option<&dyn Addresses>,
    run_dir: &Path,
) -> Result<(), Error> {
    let mut errors = detach(call, kind, addresses, run_dir);
    errors.extend(record::remove(call, run_dir).err());
    Error::joined(errors).map_or(Ok(()), Err)
}

/// The same without the record, which goes last.
#[must_use]
pub fn detach(
    call: &Call,
    kind: &str,
    addresses: Option<&dyn Addresses>,
    run_dir: &Path,
) -> Vec<Error> {
    release_around(call, addresses, || delete(call, kind, run_dir))
}

/// Takes the link away by `take`, and gives back what IPAM gave: each is tried whatever the other did.
#[must_use]
pub fn release_around(
    call: &Call,
    addresses: Option<&dyn Addresses>,
    take: impl FnOnce() -> Result<(), Error>,
) -> Vec<Error> {
    let in_process = addresses.is_none_or(Addresses::is_in_process);
    let release = || addresses.and_then(|addresses| addresses.del(call).err());
    // While the link is there, so that `dhcp` can tell its server.
    let before = if in_process { None } else { release() };
    let taken = take().err();
    let after = if in_process { release() } else { None };
    [before, taken, after].into_iter().flatten().collect()
}

/// Deletes the link by its name in the namespace that the caller names; the reference's links have
/// nothing else. Where the caller names none that is there, the record may know it.
fn delete(call: &Call, kind: &str, run_dir: &Path) -> Result<(), Error> {
    match call.netns.as_ref().map(Netns::open) {
        Some(Ok(netns)) => {
            netns.enter_for_good().map_err(|e| no_netns(&e))?;
            let socket = Socket::open(call.sandbox()).map_err(|e| refused(&e))?;
            let (key, deleter) = (&call.attachment, deleter(run_dir));
            let deleted = deleter.delete(&socket, &key.ifname, &[]).map_err(|e| refused(&e))?;
            match deleted {
                Deleted::Now => Ok(()),
                Deleted::Before => {
                    delete_interim(&socket, key, kind, &deleter).map_err(|e| refused(&e))
                }
            }
        }
        Some(Err(error)) if !error.is_gone() => Err(no_netns(&error)),
        _ => match Records::under(run_dir).read(&call.attachment) {
            Some(record) if !boot_id().is_ok_and(|boot| record.is_dead(&boot)) => {
                delete_recorded(&record, kind, run_dir)
            }
            _ => Ok(()),
        },
    }
}

/// GC of a network whose attachments are links of `kind`: removes what is not valid; without a list,
/// what is proven dead.
///
/// # Errors
/// What went wrong, joined; all else was still tried.
pub fn sweep(call: &NetworkCall, kind: &str, run_dir: &Path) -> Result<(), Error> {
    let validity = Validity::of(call, run_dir)?;
    let mut errors = sweep_links(&validity, kind, run_dir);
    errors.extend(validity.remove_records());
    Error::joined(errors).map_or(Ok(()), Err)
}

/// Deletes links of `kind` that are valid no more in namespaces that are still there.
#[must_use]
pub fn sweep_links(validity: &Validity, kind: &str, run_dir: &Path) -> Vec<Error> {
    let left = validity.dead().filter(|record| validity.has_namespace(record));
    left.filter_map(|record| delete_recorded(record, kind, run_dir).err()).collect()
}

/// Deletes the link that `record` tells of, in its namespace, which is still there. Another one of
/// its name is left alone.
fn delete_recorded(record: &Record, kind: &str, run_dir: &Path) -> Result<(), Error> {
    let netns = match Netns::open(&record.netns) {
        Err(error) if error.is_gone() => return Ok(()),
        other => other.map_err(|e| no_netns(&e))?,
    };
    let delete = || -> Result<(), RequestError> {
        let socket = Socket::open(record.netns.as_str())?;
        let (key, deleter) = (&record.key, deleter(run_dir));
        let is_ours = |link: &Link| match &link.alias {
            Some(alias) => *alias == names::alias(key),
            // An ADD was killed before it said whose the link is.
            None => link.is_kind(kind),
        };
        match link::find(&socket, &key.ifname)?.filter(is_ours) {
            Some(link) => deleter.delete(&socket, &link, &[]).map(drop),
            None => delete_interim(&socket, key, kind, &deleter),
        }
    };
    let deleted = netns.run(delete).map_err(|e| no_netns(&e))?;
    deleted.map_err(|e| refused(&e))
}

/// Deletes the link for `key` where an ADD was killed before it gave it its name.
fn delete_interim(
    socket: &Socket,
    key: &Attachment,
    kind: &str,
    deleter: &Deleter,
) -> Result<(), RequestError> {
    match link::find(socket, &names::interim_ifname(key))?.filter(|link| link.is_kind(kind)) {
        Some(link) => deleter.delete(socket, &link, &[]).map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use cni::{Ip, Route};
    use types::Cidr;

    use super::*;

    fn answer(addresses: &[&str], routes: &[&str]) -> AddResult {
        let cidr = |text: &str| -> Cidr { text.parse().unwrap() };
        let ip = |address: &&str| Ip { interface: Some(7), address: cidr(address), gateway: None };
        AddResult {
            ips: addresses.iter().map(ip).collect(),
            routes: routes.iter().map(|dst| Route::via(cidr(dst), None)).collect(),
            dns: Dns { domain: "of-ipam".into(), ..Dns::default() },
            ..AddResult::default()
        }
    }

    #[test]
    fn all_addresses_are_the_links_and_twice_the_same_route_is_one() {
        let routes = ["0.0.0.0/0", "10.9.0.0/16", "10.9.0.0/16"];
        let result = result(None, answer(&["10.1.0.5/16", "fd00::5/64"], &routes)).unwrap();
        assert!(result.ips.iter().all(|ip| ip.interface == Some(LINK)));
        let shown: Vec<String> = result.routes.iter().map(|route| route.dst.to_string()).collect();
        assert_eq!(shown, ["0.0.0.0/0", "10.9.0.0/16"]);
    }

    #[test]
    fn dns_is_that_of_ipam_unless_the_configuration_has_its_own() {
        let domain = |text: &str| {
            let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"t"{text}}}"#);
            let network = cni::Config::parse(text.as_bytes()).unwrap();
            let dns = crate::keys::dns(&network.object().unwrap()).unwrap();
            result(dns.as_ref(), answer(&["10.1.0.5/16"], &[])).unwrap().dns.domain
        };
        assert_eq!(domain(""), "of-ipam");
        assert_eq!(domain(r#","dns":{}"#), "of-ipam");
        assert_eq!(domain(r#","dns":{"domain":"own"}"#), "own");
        assert_eq!(domain(r#","dns":{"search":[]}"#), "");
    }

    #[test]
    fn ipam_without_an_address_is_an_error() {
        let error = result(None, answer(&[], &[])).unwrap_err();
        assert_eq!(error.msg, "IPAM plugin returned missing IP config");
    }
}
