//! Giving names, and taking them back.

use std::path::Path;

use attach::error::no_netns;
use attach::host::{Host, deleter};
use attach::steps::{self, step};
use cni::{AddResult, Call, Error};
use kernel::netns::Netns;
use kernel::undo::Undo;
use names::{Client, Place, Record};
use naming::{Required, Settings, doors};
use netfilter::{Filter, kind};

use crate::NAME;

/// Gives the container its names, or takes back whatever was done. The calling thread is in its
/// namespace afterwards.
pub(crate) fn add(
    call: &Call,
    settings: &Settings,
    mut result: AddResult,
    run_dir: &Path,
) -> Result<AddResult, Error> {
    match give(call, settings, &result, run_dir) {
        Ok(places) => {
            doors::complete(&mut result.dns, settings, &places);
            Ok(result)
        }
        Err(error) if settings.required == Required::No => {
            cni::warn(NAME, &format!("{} has no names: {}", call.attachment, error.msg));
            Ok(result)
        }
        Err(error) => Err(error),
    }
}

fn give(
    call: &Call,
    settings: &Settings,
    result: &AddResult,
    run_dir: &Path,
) -> Result<Vec<Place>, Error> {
    let giving = Giving {
        host: Host::open(run_dir.to_owned())?,
        netns: naming::sandbox(call)?,
        client: Client::new(run_dir, &call.path),
    };
    let record = naming::record(call, settings, result, &giving.netns, &giving.host)?;
    steps::run(|undo| giving.steps(&record, undo))
}

struct Giving<'a> {
    host: Host,
    netns: Netns,
    client: Client<'a>,
}

impl Giving<'_> {
    fn steps<'s>(&'s self, record: &Record, undo: &mut Undo<'s>) -> Result<Vec<Place>, Error> {
        step("register");
        let places = naming::register(&self.client, record, &self.netns, undo)?;
        step("filter");
        naming::redirect(&self.host, record, &places, undo)?;
        step("container");
        self.netns.enter_for_good().map_err(|e| no_netns(&e))?;
        let place = self.netns.path().display().to_string();
        naming::lead(&record.key, &places, &place, undo)?;
        step("done");
        Ok(places)
    }
}

/// Takes back what `call` has, remembered or not.
pub(crate) fn remove(call: &Call, run_dir: &Path) -> Result<(), Error> {
    let key = &call.attachment;
    let (mut errors, mut sockets) = (Vec::new(), Vec::new());
    match Filter::open(run_dir, &kind::Names) {
        Ok(filter) => {
            errors.extend(filter.remove(key, &[]).map_err(Error::from).err());
            sockets.push(filter.into_socket());
        }
        Err(error) => errors.push(error.into()),
    }
    // The record goes last: by it GC finds what a killed DEL left in the container.
    let (inside, unled) = naming::take_back(call);
    sockets.extend(inside);
    errors.extend(unled.err());
    errors.extend(naming::forget(&Client::new(run_dir, &call.path), key, NAME).err());
    deleter(run_dir).close_later(sockets);
    Error::joined(errors).map_or(Ok(()), Err)
}
