//! Letting a container's packets through, and taking that back.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::path::Path;

use attach::error::no_netns;
use attach::host::{deleter, sandbox_identity};
use attach::steps::step;
use cni::{AddResult, Call, Error, code};
use firewalld::{Firewalld, Member, Zone};
use kernel::netlink::Socket;
use kernel::netns::Netns;
use kernel::undo::Undo;
use netfilter::claim::{ADMIN_CHAIN, Forward, Forwarder, Ingress};
use netfilter::{Claim, Claimant, Filter, Passing, Store, kind, reference};
use types::IfName;

/// Whose packets are let through, by whom, and which.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who lets packets through.
    pub backend: Backend,
    /// The administrator's chain among the reference's.
    pub admin_chain: String,
    /// firewalld's zone for the containers' addresses.
    pub zone: Zone,
    /// Traffic between bridges.
    pub ingress: Ingress,
    /// The bridge that `ingress` is about.
    pub bridge: Option<IfName>,
}

impl Default for Wanted {
    /// As `firewall` has it without any key: firewalld where it runs, else the reference's chains.
    fn default() -> Self {
        Self {
            backend: Backend::Chosen,
            admin_chain: ADMIN_CHAIN.into(),
            zone: ZONE.parse().expect("a word is the name of a zone"),
            ingress: Ingress::Open,
            bridge: None,
        }
    }
}

impl Wanted {
    fn by_firewalld() -> Self {
        Self { backend: Backend::Firewalld, ..Self::default() }
    }
}

/// The reference's zone of firewalld.
pub const ZONE: &str = "trusted";

/// Who lets packets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// firewalld where it runs, else the reference's chains: any value but those below.
    Chosen,
    /// The reference's chains.
    Chains,
    /// firewalld.
    Firewalld,
    /// Nobody: the host lets packets through by itself.
    Nobody,
}

/// Lets packets of a container through in the steps of an ADD. Made on the host.
#[derive(Debug)]
pub struct Forwarding<'a> {
    call: &'a Call,
    run_dir: &'a Path,
    host: Netns,
    filter: Filter,
}

impl<'a> Forwarding<'a> {
    /// Opens the packet filter of the host with what is remembered below `run_dir`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(call: &'a Call, run_dir: &'a Path) -> Result<Self, Error> {
        let filter = Filter::open(run_dir, &kind::Firewall)?;
        let host = Netns::current().map_err(|e| no_netns(&e))?;
        Ok(Self { call, run_dir, host, filter })
    }

    /// Lets packets from and to the addresses of `result` through; each step pushes its inverse.
    ///
    /// # Errors
    /// What went wrong.
    pub fn add(
        &'a self,
        wanted: &Wanted,
        result: &AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<(), Error> {
        let forward = forward(wanted, result)?;
        let (key, netns_id) = (self.call.attachment.clone(), sandbox_identity(self.call)?);
        let mut claim = Claim::new(key, Claimant::Firewall, self.call.sandbox(), netns_id);
        claim.forward = Some(forward);
        step("filter");
        self.filter.add(&claim)?;
        let key = claim.key;
        undo.push(format!("take back the forwarding of {key}"), move || {
            // By then the thread may be in the container, whose tables are others.
            let remove = || Filter::open(self.run_dir, &kind::Firewall)?.remove(&key, &[]);
            Ok(self.host.run(remove)?.map(drop)?)
        });
        match &claim.forward {
            Some(forward) => bind(forward, undo),
            None => Ok(()),
        }
    }
}

/// Lets packets of attachments to a bridge of ours through where the host drops what it forwards: by
/// firewalld where that runs, else by the claim of the attachment.
#[derive(Debug)]
pub struct OnBridge<'a> {
    call: &'a Call,
    run_dir: &'a Path,
    /// Opened where it is needed.
    forwarding: OnceCell<Forwarding<'a>>,
}

impl<'a> OnBridge<'a> {
    /// Of one attachment.
    #[must_use]
    pub fn new(call: &'a Call, run_dir: &'a Path) -> Self {
        Self { call, run_dir, forwarding: OnceCell::new() }
    }

    /// Lets packets from and to the addresses of `result` through, or gives what the claim is to say
    /// for that; each step pushes its inverse.
    ///
    /// # Errors
    /// What went wrong.
    pub fn pass(
        &'a self,
        bridge: &IfName,
        result: &AddResult,
        undo: &mut Undo<'a>,
    ) -> Result<Option<Passing>, Error> {
        if is_by_firewalld()? {
            let opened = Forwarding::open(self.call, self.run_dir)?;
            self.forwarding.get_or_init(|| opened).add(&Wanted::by_firewalld(), result, undo)?;
            return Ok(None);
        }
        let addresses = result.ips.iter().map(|ip| ip.address.ip()).collect();
        Ok(Some(Passing { bridge: bridge.clone(), addresses }))
    }

    /// Compares what firewalld was to let through with what it does; the claim of the attachment is
    /// compared elsewhere.
    ///
    /// # Errors
    /// Code 101 with the first difference, and what cannot be asked.
    pub fn check(call: &Call, result: &AddResult, run_dir: &Path) -> Result<(), Error> {
        match Store::under(run_dir).read(&call.attachment, Claimant::Firewall) {
            Some(_) => check(call, &Wanted::by_firewalld(), result, run_dir),
            None => Ok(()),
        }
    }
}

/// Puts the addresses into firewalld's zone, if it is firewalld that forwards.
fn bind(forward: &Forward, undo: &mut Undo<'_>) -> Result<(), Error> {
    let Forwarder::Firewalld(zone) = &forward.by else { return Ok(()) };
    step("firewalld");
    let mut firewalld = connected()?;
    let zone = parsed(zone)?;
    for address in &forward.addresses {
        let member = Member::Source(*address);
        if firewalld.add(&zone, &member).map_err(|e| refused(&e))? {
            let zone = zone.clone();
            undo.push(format!("remove source {address} from zone {zone}"), move || {
                match Firewalld::connect()? {
                    Some(mut firewalld) => Ok(firewalld.remove(&zone, &member).map(drop)?),
                    None => Ok(()),
                }
            });
        }
    }
    Ok(())
}

/// What is wanted for a result.
fn forward(wanted: &Wanted, result: &AddResult) -> Result<Forward, Error> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in result.ips.iter().map(|ip| ip.address.ip()) {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    let by_firewalld = match wanted.backend {
        Backend::Chosen => is_by_firewalld()?,
        Backend::Firewalld => true,
        Backend::Chains | Backend::Nobody => false,
    };
    let by = match (by_firewalld, wanted.backend) {
        (true, _) => Forwarder::Firewalld(wanted.zone.to_string()),
        (false, Backend::Nobody) => Forwarder::Nobody,
        (false, _) => Forwarder::Chains(wanted.admin_chain.clone()),
    };
    Ok(Forward { addresses, by, ingress: wanted.ingress, bridge: wanted.bridge.clone() })
}

/// Whether firewalld runs, and so decides what is forwarded.
///
/// # Errors
/// When it cannot be asked.
pub fn is_by_firewalld() -> Result<bool, Error> {
    firewalld::is_running().map_err(|e| refused(&e))
}

fn connected() -> Result<Firewalld, Error> {
    Firewalld::connect().map_err(|e| refused(&e))?.ok_or_else(|| {
        Error::new(code::IO, "bind the container's addresses in firewalld: it does not run")
            .with_hint("start firewalld, or set \"backend\" to iptables")
    })
}

fn parsed(zone: &str) -> Result<Zone, Error> {
    zone.parse().map_err(|why| Error::new(code::INVALID_CONFIG, format!("zone \"{zone}\": {why}")))
}

/// firewalld's refusals in the protocol's terms.
pub(crate) fn refused(error: &firewalld::Error) -> Error {
    let code = if error.is_temporary() { code::TRY_AGAIN } else { code::IO };
    Error::from_chain(code, error).with_hint_if_any(error.hint())
}

/// Takes back what `call` was let through.
///
/// # Errors
/// What went wrong.
pub fn remove(call: &Call, run_dir: &Path) -> Result<(), Error> {
    let (socket, outcome) = take_back(call, run_dir);
    if let Some(socket) = socket {
        deleter(run_dir).close_later(vec![socket]);
    }
    outcome
}

/// As [`remove`], with what went wrong beside the socket of the packet filter. It is to be kept open
/// while the kernel frees what was deleted.
pub fn take_back(call: &Call, run_dir: &Path) -> (Option<Socket>, Result<(), Error>) {
    let result = call.config.prev_result().ok().flatten().unwrap_or_default();
    let promised: Vec<IpAddr> = result.ips.iter().map(|ip| ip.address.ip()).collect();
    let removed = Filter::open(run_dir, &kind::Firewall)
        .and_then(|filter| Ok((filter.remove(&call.attachment, &promised)?, filter)));
    match removed {
        Ok((removed, filter)) => {
            let unbound = unbind(&removed);
            (Some(filter.into_socket()), unbound)
        }
        Err(error) => (None, Err(error.into())),
    }
}

/// Removes the addresses of a claim that firewalld had from its zone.
pub(crate) fn unbind(removed: &netfilter::Removed) -> Result<(), Error> {
    let forward = removed.claim.as_ref().and_then(|claim| claim.forward.as_ref());
    let Some(Forward { by: Forwarder::Firewalld(zone), .. }) = forward else { return Ok(()) };
    // Where it does not run it has forgotten them.
    let Some(mut firewalld) = Firewalld::connect().map_err(|e| refused(&e))? else { return Ok(()) };
    let zone = parsed(zone)?;
    for address in &removed.addresses {
        firewalld.remove(&zone, &Member::Source(*address)).map_err(|e| refused(&e))?;
    }
    Ok(())
}

/// Compares what was let through with what is.
///
/// # Errors
/// Code 101 with the first difference, and what cannot be asked.
pub fn check(
    call: &Call,
    wanted: &Wanted,
    result: &AddResult,
    run_dir: &Path,
) -> Result<(), Error> {
    let filter = Filter::open(run_dir, &kind::Firewall)?;
    let wanted = forward(wanted, result)?;
    let claim = filter.store().read(&call.attachment, Claimant::Firewall);
    let Some(claim) = claim else { return of_reference(&filter, &wanted) };
    filter.check(&claim)?;
    match claim.forward.as_ref() {
        Some(forward) => bound(forward),
        None => Ok(()),
    }
}

/// Compares what the reference made, in whatever layout.
fn of_reference(filter: &Filter, wanted: &Forward) -> Result<(), Error> {
    // What only a table of ours does, the reference left undone.
    if wanted.by == Forwarder::Nobody || kind::Firewall::is_forwarded(filter, wanted)? {
        return bound(wanted);
    }
    Ok(reference::firewall::check(filter.socket(), wanted, &[])?)
}

/// Claims that firewalld has the addresses of `forward`, if it is firewalld that forwards.
fn bound(forward: &Forward) -> Result<(), Error> {
    let Forwarder::Firewalld(zone) = &forward.by else { return Ok(()) };
    let zone = parsed(zone)?;
    let mut firewalld = connected()?;
    for address in &forward.addresses {
        let there =
            firewalld.contains(&zone, &Member::Source(*address)).map_err(|e| refused(&e))?;
        if !there {
            return Err(attach::verify::differs(format!(
                "zone {zone} of firewalld has no source {address} any more"
            )));
        }
    }
    Ok(())
}
