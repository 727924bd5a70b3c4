//! `host-device`: a link of the host, given to a container for as long as that lives.
//!
//! ```json
//! { "cniVersion": "1.1.0", "name": "uplink", "type": "host-device", "device": "enp1s0" }
//! ```
//!
//! It makes no link and deletes none, and gives the device no address that the host's had.

pub mod config;
mod device;
mod give;
mod home;
pub mod sysfs;
mod take;
#[cfg(test)]
mod tests;

use attach::error::{no_netns, refused};
use attach::host::Host;
use attach::inside::{self, Adding};
use attach::ipam::{self, Addresses, Ipam};
use attach::verify::prev_result;
use cni::schema::Key;
use cni::{AddResult, Call, Error, NetworkCall, Plugin, code, state};
use ipam_cni::{HostLocal, Static};
use kernel::addr::Dad;
use kernel::netlink::Socket;
use kernel::netns::Netns;

use crate::config::Config;
use crate::sysfs::Sysfs;

/// IPAM plugins that this program holds.
const IN_PROCESS: &[&dyn Plugin] = &[&HostLocal, &Static];

/// Where the kernel tells of devices.
const SYS: &str = "/sys";

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct HostDevice;

impl Plugin for HostDevice {
    fn name(&self) -> &'static str {
        "host-device"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        config::validate(network).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = config::parse(&call.config)?;
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        let ipam = config.ipam.as_ref().map(|kind| Ipam::new(kind, &call.path, IN_PROCESS));
        let host = Host::open(state::run_dir())?;
        let adding = Adding {
            call,
            host: &host,
            netns: &netns,
            addresses: ipam.as_ref().map(|ipam| ipam as &dyn Addresses),
            dns: config.dns.as_ref(),
            dad: Dad::Detect,
        };
        let sysfs = Sysfs::at(SYS);
        if is_for_a_program(&config, &sysfs)? {
            return give::leave(&adding, &config);
        }
        // Before the record is written, which may be that of the container that has it.
        let link = device::find(&config, &host.socket, &sysfs)?;
        give::give(&adding, &link, &sysfs)
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        let run_dir = state::run_dir();
        ipam::del(call, IN_PROCESS, |addresses| take::remove(call, addresses, &run_dir))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = config::parse(&call.config)?;
        if let Some(kind) = &config.ipam {
            Ipam::new(kind, &call.path, IN_PROCESS).check(call)?;
        }
        let promise = prev_result(call)?;
        if is_for_a_program(&config, &Sysfs::at(SYS))? {
            return Ok(());
        }
        let netns = Netns::open(call.sandbox()).map_err(|e| no_netns(&e))?;
        netns.enter_for_good().map_err(|e| no_netns(&e))?;
        let inside = Socket::open(call.sandbox()).map_err(|e| refused(&e))?;
        inside::compare(call, &inside, &promise, None, |_| Ok(()))
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        ipam::gc(call, IN_PROCESS, || take::sweep(call, &state::run_dir()))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        // Whether the device is there is no matter: a container may have it.
        match &config::validate(&call.config)?.ipam {
            None => Ok(()),
            Some(kind) => Ipam::new(kind, &call.path, IN_PROCESS).status(call),
        }
    }
}

/// Whether a program in the container drives the device, which is not moved then: of a PCI device its
/// driver tells.
fn is_for_a_program(config: &Config, sysfs: &Sysfs) -> Result<bool, Error> {
    match &config.pci {
        None => Ok(config.dpdk),
        Some(address) => sysfs.is_for_dpdk(address).map_err(|e| {
            Error::new(code::IO, format!("find PCI device {address} on the host: {e}"))
                .with_hint("`lspci -D` lists the devices of this host")
        }),
    }
}
