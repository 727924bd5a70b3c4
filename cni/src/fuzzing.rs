//! The one door for fuzzers: what is private and reads what comes from outside.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::plugin::{Call, NetworkCall};
use crate::request::{Environment, Request, read};

/// Reads a call: verb, container, namespace, interface, arguments and path, then standard input.
/// Must not panic, whatever they hold.
pub fn request(variables: [&[u8]; 6], mut input: &[u8]) {
    let [command, container, netns, ifname, args, path] =
        variables.map(|value| OsString::from_vec(value.to_owned()));
    let netns_override = OsString::new();
    let env = Environment { command, container, netns, ifname, args, path, netns_override };
    match read(&env, &mut input) {
        Ok(Request::Add(call) | Request::Check(call) | Request::Del(call)) => attachment(&call),
        Ok(Request::Gc(call) | Request::Status(call)) => network(&call),
        Ok(Request::Version) => {}
        Err(refused) => drop(refused.error.to_json(&refused.version)),
    }
}

fn attachment(call: &Call) {
    let _ = (call.args(&["IP", "MAC"]), call.sandbox(), call.attachment.to_string());
    let _ = call.config.prev_result();
}

fn network(call: &NetworkCall) {
    let _ = call.config.valid_attachments();
}
