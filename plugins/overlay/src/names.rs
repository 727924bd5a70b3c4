//! Names: whether there are any, what the daemon of overlay networks tells other hosts of them, and
//! taking both back.

use std::path::Path;

use attach::host::Host;
use cni::schema::nearest;
use cni::{AddResult, Call, Dns, Error, NetworkCall, code};
use kernel::netns::Netns;
use kernel::undo::Undo;
use names::{Client, Name, Names};
use naming::{Joining, Settings};
use peers::SpoolRecord;
use types::Attachment;

use crate::NAME;

/// Values of key `names`.
pub(crate) const MODES: &[&str] = &["watch", "off"];

/// Reads the keys of names; `None` where the network has none. `args` is the text of `CNI_ARGS`.
///
/// # Errors
/// Codes 6 and 7, the key named by its path.
pub(crate) fn settings(network: &cni::Config, args: &str) -> Result<Option<Settings>, Error> {
    let keys = network.object()?;
    let mode = keys.string("names")?.unwrap_or_default();
    match mode.as_str() {
        "off" => Ok(None),
        "" | "watch" => {
            let settings = Settings::parse(network, args, NAME)?;
            // The network's packets go out, and so do its questions.
            Ok(Some(Settings { internal: false, ..settings }))
        }
        other => {
            let text = format!("key \"names\": \"{other}\" is none of {}", MODES.join(", "));
            let told = Error::new(code::INVALID_CONFIG, text);
            let meant = nearest(other, MODES).map(|meant| format!("did you mean \"{meant}\"?"));
            Err(told.with_hint_if_any(meant))
        }
    }
}

/// The way to names for one attachment that is being made; `None` where the network has none.
///
/// # Errors
/// As [`settings`].
pub(crate) fn joining<'a>(
    call: &'a Call,
    dns: Option<&Dns>,
    host: &'a Host,
    netns: &'a Netns,
) -> Result<Option<Joining<'a>>, Error> {
    let settings = settings(&call.config, &call.args_text)?;
    let joined = |settings| {
        let said = (settings, dns.cloned().unwrap_or_default());
        Joining::new(call, said, (host, netns), NAME)
    };
    Ok(settings.map(joined))
}

/// Lets the daemon of overlay networks tell other hosts what the container is called.
pub(crate) fn tell_others<'a>(
    call: &'a Call,
    names: &Names,
    result: &AddResult,
    host: &'a Host,
    undo: &mut Undo<'a>,
) -> Result<(), Error> {
    let (key, run_dir) = (&call.attachment, &host.run_dir);
    let earlier = SpoolRecord::read(run_dir, key);
    undo.push(format!("let other hosts forget the names of {key}"), move || {
        let done = match earlier {
            Some(earlier) => earlier.write(run_dir, &key.network),
            None => SpoolRecord::remove(run_dir, key),
        };
        Ok(done.map_err(|why| failed(key, &why))?)
    });
    let record = SpoolRecord::new(
        key.container.clone(),
        key.ifname.clone(),
        names.as_slice().iter().map(Name::to_string).collect(),
        result.ips.iter().map(|ip| ip.address.ip()).collect(),
    );
    record.write(run_dir, &key.network).map_err(|why| failed(key, &why))
}

/// Lets other hosts forget what the container of `call` is called: first of all, since that takes
/// longest.
pub(crate) fn leave_others(call: &Call, run_dir: &Path) -> Result<(), Error> {
    let key = &call.attachment;
    SpoolRecord::remove(run_dir, key).map_err(|why| failed(key, &why))
}

/// Forgets what the container of `call` is called on this host.
pub(crate) fn leave(call: &Call, run_dir: &Path) -> Result<(), Error> {
    naming::forget(&Client::new(run_dir, &call.path), &call.attachment, NAME)
}

/// Forgets the names of all attachments of a network that are not valid, here and elsewhere.
pub(crate) fn sweep(call: &NetworkCall, run_dir: &Path) -> Result<(), Error> {
    let client = Client::new(run_dir, &call.path);
    let forgotten = naming::sweep(&client, call, NAME);
    // Who is not known here is not to be known elsewhere.
    let network = call.config.name();
    let swept = SpoolRecord::sweep(run_dir, network, |key| client.store().read(key).is_some());
    let swept = swept.map_err(|why| {
        Error::new(code::IO, format!("let other hosts forget names of {network}: {why}"))
    });
    Error::all([forgotten, swept])
}

fn failed(key: &Attachment, why: &peers::Error) -> Error {
    Error::new(code::IO, format!("tell other hosts what {key} is called: {why}"))
}
