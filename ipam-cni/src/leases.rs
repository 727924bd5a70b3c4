//! What all who keep leases of attachments do: who holds one, who lives, what a store's refusal is to
//! the caller.

use cni::record::{Records, boot_id};
use cni::{Call, Error, GcAttachment, code, state};
use ipam::{AllocateError, Lease, Life, Owner, StoreError};
use types::{Attachment, NetworkName};

/// Whether `lease` belongs to an attachment that GC was told is valid. An entry without interface
/// stands for all of its container's, and so does a record from before 0.8, which has none.
#[must_use]
pub fn is_of(lease: &Lease, valid: &GcAttachment) -> bool {
    let holder = lease.owner.ifname.as_deref();
    let ifname = valid.ifname.as_ref().map(types::IfName::as_str);
    lease.owner.container == valid.container.as_str()
        && (holder.is_none() || ifname.is_none() || holder == ifname)
}

/// Who holds the addresses of the attachment of `call`.
#[must_use]
pub fn owner_of(call: &Call) -> Owner {
    Owner::new(&call.attachment.container, &call.attachment.ifname)
}

/// What the records of interface plugins say about who lives.
#[derive(Debug)]
pub struct Known {
    records: Records,
    network: NetworkName,
    boot: Option<String>,
}

impl Known {
    /// Those of `network`.
    #[must_use]
    pub fn of(network: &NetworkName) -> Self {
        Self {
            records: Records::under(&state::run_dir()),
            network: network.clone(),
            boot: boot_id().ok(),
        }
    }

    /// What is known of the attachment that holds `lease`.
    #[must_use]
    pub fn life(&self, lease: &Lease) -> Life {
        let key = || {
            Some(Attachment {
                network: self.network.clone(),
                container: lease.owner.container.parse().ok()?,
                ifname: lease.owner.ifname.as_ref()?.parse().ok()?,
            })
        };
        match (key().and_then(|key| self.records.read(&key)), &self.boot) {
            (Some(record), Some(boot)) if record.is_dead(boot) => Life::Dead,
            (Some(_), _) => Life::Alive,
            (None, _) => Life::Unknown,
        }
    }

    /// As [`Known::life`] for others; for the attachment that asks, what was true before it began:
    /// its record is its own by now.
    #[must_use]
    pub fn life_before(&self, lease: &Lease, asking: &Attachment) -> Life {
        let owner = Owner::new(&asking.container, &asking.ifname);
        if lease.owner != owner {
            return self.life(lease);
        }
        match self.records.read(asking) {
            Some(record) if record.succeeds_dead => Life::Dead,
            _ => Life::Unknown,
        }
    }
}

/// Addresses that were not given, in the protocol's terms.
#[must_use]
pub fn refused(error: &AllocateError) -> Error {
    let code = match error {
        AllocateError::Store(error) => return broken(error),
        AllocateError::Exhausted { .. } => code::TRY_AGAIN,
        AllocateError::Duplicate { .. } | AllocateError::RequestedTaken { .. } => code::EXHAUSTED,
        AllocateError::RequestedGateway { .. } | AllocateError::RequestedLeftOver(_) => {
            code::INVALID_CONFIG
        }
    };
    Error::from_chain(code, error).with_hint_if_any(error.hint())
}

/// A store that cannot be used, in the protocol's terms.
#[must_use]
pub fn broken(error: &StoreError) -> Error {
    let code = match error {
        _ if error.is_passing() => code::TRY_AGAIN,
        StoreError::NewerLayout { .. } => code::NOT_AVAILABLE,
        StoreError::OwnerTooLong { .. } => code::INVALID_ENVIRONMENT,
        _ => code::IO,
    };
    Error::from_chain(code, error).with_hint_if_any(error.hint())
}
