use std::fmt::Write as _;
use std::process::ExitCode;

use cni::json::Object;
use cni::runtime::directory;
use cni::{Error, code, state};
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use names::{Client, Question, Request, Topic};

use crate::args::{Dns, DnsCommand, Resolve};
use crate::container;
use crate::fault::Done;
use crate::output;
use crate::session::Session;

/// `cais dns`.
pub(crate) fn run(session: &Session, args: &Dns) -> Done {
    let (run_dir, path) = (state::run_dir(), directory::plugin_dirs());
    let client = Client::new(&run_dir, &path);
    let about = |topic| client.about(topic)?.ok_or_else(nobody);
    let text = match &args.command {
        DnsCommand::Status if session.json => about(Topic::Status)?,
        DnsCommand::Status => readable(&about(Topic::Status)?)?,
        DnsCommand::Dump => about(Topic::Dump)?,
        DnsCommand::Metrics => about(Topic::Metrics)?,
        DnsCommand::Flush => about(Topic::Flush)?,
        DnsCommand::Reload => about(Topic::Reload)?,
        DnsCommand::Upgrade => about(Topic::Upgrade)?,
        DnsCommand::Resolve(args) => {
            let (question, of_type) = question(args)?;
            let reply = client.tell(&Request::Resolve(question))?.ok_or_else(nobody)?;
            shown(session, &reply, of_type)?
        }
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The error where no daemon runs.
fn nobody() -> Error {
    Error::new(code::NOT_AVAILABLE, "ask cais-dnsd: it does not run")
        .with_hint("it is started by the first container that has a name")
}

fn question(args: &Resolve) -> Result<(Question, RecordType), Error> {
    let of_type: RecordType = args.kind.to_ascii_uppercase().parse().map_err(|error| {
        Error::new(code::INVALID_ENVIRONMENT, format!("type `{}`: {error}", args.kind))
            .with_hint("types are A, AAAA, PTR, TXT, MX, SRV and so on")
    })?;
    let container = container::parse_id(&args.container)?;
    let question = Question { container, name: args.name.clone(), kind: of_type.into() };
    Ok((question, of_type))
}

/// A reply in hexadecimal digits as text: its code, then one line for each record.
fn shown(session: &Session, reply: &str, of_type: RecordType) -> Result<String, Error> {
    let odd = || Error::new(code::DECODE, "cais-dnsd answered something else");
    let digits = reply.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Vec<u8> = digits.map(byte).collect::<Option<_>>().ok_or_else(odd)?;
    let message = Message::from_vec(&bytes)
        .map_err(|error| Error::new(code::DECODE, format!("read the reply: {error}")))?;
    let records = message.answers.iter().chain(&message.authorities);
    let records: Vec<String> = records.map(ToString::to_string).collect();
    let rcode = message.metadata.response_code.to_string();
    if session.json {
        let reply = serde_json::json!({
            "code": rcode, "type": of_type.to_string(), "records": records,
        });
        return Ok(format!("{}\n", cni::json::indented(&reply.to_string())));
    }
    let mut text = format!("{rcode}\n");
    for record in records {
        let _ = writeln!(text, "{record}");
    }
    Ok(text)
}

/// The status for people.
fn readable(status: &str) -> Result<String, Error> {
    let status = Object::parse(status.as_bytes())?;
    let word = |key: &str| status.string(key).ok().flatten().unwrap_or_default();
    let number = |key: &str| status.number(key).ok().flatten().unwrap_or_default();
    let mut text = format!(
        "cais-dnsd {}, process {}, for {} seconds\n",
        word("version"),
        number("pid"),
        number("seconds")
    );
    let list = |key: &str| status.list(key).unwrap_or_default();
    for network in list("networks") {
        let network = network.object()?;
        let internal = if network.flag("internal")? { ", internal" } else { "" };
        let name = network.string("network")?.unwrap_or_default();
        let attachments = network.number("attachments")?.unwrap_or_default();
        let _ = writeln!(text, "network {name}: {attachments} attachments{internal}");
    }
    for place in list("listening") {
        let place = place.object()?;
        let of = place.string("network")?.or(place.string("attachment")?).unwrap_or_default();
        let address = place.string("address")?.unwrap_or_default();
        let port = place.number("port")?.unwrap_or_default();
        let _ = writeln!(text, "listens for {of} at {address} port {port}");
    }
    for (key, title) in [("servers", "asks"), ("sandbox", "confined"), ("broken", "unreadable")] {
        for line in status.strings(key)? {
            let _ = writeln!(text, "{title} {line}");
        }
    }
    Ok(text)
}
