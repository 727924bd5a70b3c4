//! Leases: what a key that lives only as long as its writer hangs on.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, Duplex, EtcdError};
use super::wire;

/// A lease that somebody has to keep alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) ttl: Duration,
}

impl Connection {
    /// A new lease. etcd may make it longer than asked for.
    pub(crate) async fn grant(&self, ttl: Duration) -> Result<Lease, EtcdError> {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let request = wire::LeaseGrantRequest { ttl: seconds };
        let path = "/etcdserverpb.Lease/LeaseGrant";
        let answer: wire::LeaseGrantResponse = self.call("grant a lease", path, request).await?;
        match (answer.error.is_empty(), seconds_of(answer.ttl)) {
            (true, Some(ttl)) if answer.id != 0 => Ok(Lease { id: answer.id, ttl }),
            _ => Err(self.refused("grant a lease", &tonic::Status::internal(answer.error))),
        }
    }

    /// Ends a lease, and with it all keys that hang on it.
    pub(crate) async fn revoke(&self, lease: i64) -> Result<(), EtcdError> {
        let request = wire::LeaseRevokeRequest { id: lease };
        let path = "/etcdserverpb.Lease/LeaseRevoke";
        let _: wire::LeaseRevokeResponse = self.call("revoke a lease", path, request).await?;
        Ok(())
    }

    /// Refreshes `lease` once, and begins to keep it. `None` when there is no such lease.
    pub(crate) async fn keep(&self, lease: i64) -> Result<Option<Keeper>, EtcdError> {
        let first = vec![wire::LeaseKeepAliveRequest { id: lease }];
        let path = "/etcdserverpb.Lease/LeaseKeepAlive";
        let stream = self.stream("keep a lease alive", path, first).await?;
        let mut keeper = Keeper { lease: Lease { id: lease, ttl: Duration::ZERO }, stream };
        let waiting = super::connection::CALL;
        let answer = match timeout(waiting, keeper.stream.next()).await {
            Ok(answer) => answer?,
            Err(_) => return Err(keeper.stream.silent(waiting)),
        };
        Ok(seconds_of(answer.ttl).map(|ttl| {
            keeper.lease.ttl = ttl;
            keeper
        }))
    }
}

fn seconds_of(ttl: i64) -> Option<Duration> {
    u64::try_from(ttl).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// How the keeping of a lease ended.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It is gone.
    Lease,
    /// We do not know: the way to etcd broke.
    Way(EtcdError),
}

/// Keeps a lease alive: a message every third of its time, and an answer within the next third.
pub(crate) struct Keeper {
    lease: Lease,
    stream: Duplex<wire::LeaseKeepAliveRequest, wire::LeaseKeepAliveResponse>,
}

impl Keeper {
    /// The lease that is kept.
    pub(crate) fn lease(&self) -> Lease {
        self.lease
    }

    /// Keeps it until it is lost; calls `confirmed` after each answer.
    pub(crate) async fn keep(mut self, mut confirmed: impl FnMut()) -> Lost {
        loop {
            let third = self.lease.ttl / 3;
            tokio::time::sleep(third).await;
            if let Err(error) = self.stream.send(wire::LeaseKeepAliveRequest { id: self.lease.id })
            {
                return Lost::Way(error);
            }
            match timeout_at(Instant::now() + third, self.stream.next()).await {
                Err(_) => return Lost::Way(self.stream.silent(third)),
                Ok(Err(error)) => return Lost::Way(error),
                Ok(Ok(answer)) => match seconds_of(answer.ttl) {
                    None => return Lost::Lease,
                    Some(ttl) => self.lease.ttl = ttl,
                },
            }
            confirmed();
        }
    }
}
