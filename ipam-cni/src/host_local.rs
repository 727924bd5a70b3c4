//! `host-local`: addresses from ranges, kept in a directory of this host that the reference plugin
//! of the same name can use at the same time.

mod config;

use std::path::PathBuf;
use std::time::Duration;

use cni::schema::Key;
use cni::{AddResult, Args, Call, Error, Ip, NetworkCall, Plugin, code, state};
use ipam::{AllocateError, Host, Lease, Request, Store, StoreError};
use types::{NetworkName, stable_hash};

use crate::leases::{self, Known, is_of, owner_of};
use config::{Config, Place};

/// STATUS does not wait for its turn behind ADDs; a store that is in use is one that works.
const STATUS_DEADLINE: Duration = Duration::from_millis(200);

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct HostLocal;

impl Plugin for HostLocal {
    fn name(&self) -> &'static str {
        "host-local"
    }

    fn keys(&self) -> &'static [Key] {
        config::KEYS
    }

    fn validate(&self, network: &cni::Config) -> Result<(), Error> {
        Config::parse(network, &Args::default()).map(drop)
    }

    fn add(&self, call: &Call) -> Result<AddResult, Error> {
        let config = Config::parse(&call.config, &call.args(&["IP"])?)?;
        let owner = owner_of(call);
        let known = Known::of(&call.attachment.network);
        let request = Request {
            requested: &config.requested,
            exclude: &config.exclude,
            quarantine: config.quarantine,
            durability: config.place.durability,
            life: &|lease| known.life_before(lease, &call.attachment),
            ..Request::new(&config.sets, &owner)
        };
        let grants = store(&config.place, &call.attachment.network)
            .allocate(&request, &Host::current())
            .map_err(|e| refused(&e))?;
        let ips = grants.iter().map(|grant| Ip {
            interface: None,
            address: grant.address,
            gateway: Some(grant.gateway),
        });
        Ok(AddResult {
            interfaces: Vec::new(),
            ips: ips.collect(),
            routes: config.routes,
            dns: config.dns,
        })
    }

    fn del(&self, call: &Call) -> Result<(), Error> {
        // Nothing else of the configuration matters, so nothing else can be wrong with it.
        let place = Place::parse(&call.config)?;
        store(&place, &call.attachment.network)
            .release(&owner_of(call), place.durability, &Host::current())
            .map(drop)
            .map_err(|e| broken(&e))
    }

    fn check(&self, call: &Call) -> Result<(), Error> {
        let config = Config::parse(&call.config, &call.args(&["IP"])?)?;
        let store = store(&config.place, &call.attachment.network);
        let held = store.leases_of(&owner_of(call), &Host::current()).map_err(|e| broken(&e))?;
        if held.is_empty() {
            let text = format!(
                "host-local: Failed to find address added by container {}",
                call.attachment.container
            );
            return Err(Error::new(code::DIFFERS, text).with_hint(
                "its lease was released while it runs; DEL and ADD the container again",
            ));
        }
        Ok(())
    }

    fn gc(&self, call: &NetworkCall) -> Result<(), Error> {
        let place = Place::parse(&call.config)?;
        let network = call.config.name();
        let valid = call.config.valid_attachments()?;
        let known = Known::of(network);
        let keep = |lease: &Lease| match &valid {
            None => !lease.is_dead(known.life(lease)),
            Some(valid) => valid.iter().any(|entry| is_of(lease, entry)),
        };
        store(&place, network)
            .gc(&keep, place.durability, &Host::current())
            .map(drop)
            .map_err(|e| broken(&e))
    }

    fn status(&self, call: &NetworkCall) -> Result<(), Error> {
        let config = Config::parse(&call.config, &Args::default())?;
        let store = store(&config.place, call.config.name()).with_deadline(STATUS_DEADLINE);
        match store.held(&Host::current()) {
            Err(error) if !error.is_passing() => {
                Err(Error { code: code::NOT_AVAILABLE, ..broken(&error) })
            }
            _ => Ok(()),
        }
    }
}

/// The network's leases: the directory that the reference shares, and the table that finds them in
/// it, which lies elsewhere.
fn store(place: &Place, network: &NetworkName) -> Store {
    let directory = place.data_dir.join(network.as_str());
    let unique = stable_hash(&directory.to_string_lossy());
    let mut readable = network.as_str();
    readable = readable.get(..100).unwrap_or(readable);
    let index = state::lib_dir().join("index").join(format!("{readable}@{unique:016x}"));
    Store::host_local(directory, index)
}

/// A store's failure, with what says where its files are.
fn broken(error: &StoreError) -> Error {
    let told = leases::broken(error);
    match (error, error.hint()) {
        (StoreError::Io { .. }, None) => {
            told.with_hint("key \"ipam.dataDir\" says where leases are kept")
        }
        _ => told,
    }
}

fn refused(error: &AllocateError) -> Error {
    match error {
        AllocateError::Store(error) => broken(error),
        _ => leases::refused(error),
    }
}

/// Where the reference keeps its leases, under the root of all state.
fn default_data_dir() -> PathBuf {
    state::root().join("var/lib/cni/networks")
}
