//! What goes on while ports are published and taken back: connections that are known already, and
//! packets that are too long.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use netns_fixtures::{Namespace, lab_with_plugins};
use serde_json::json;

use super::{INSIDE, OUTSIDE, attached, both, portmap, web};
use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::under_test::only_ours;
use crate::uplink::{HOST, bridge, lan};

/// How long the client waits for an answer before it sends again.
const PAUSE: Duration = Duration::from_millis(100);
/// Before the kernel forgets by itself a flow that pauses (30 s without an answer), which this one
/// never does.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends from one socket, without a pause, until `name` answers.
#[track_caller]
fn until_answered(client: &UdpSocket, name: &str) {
    let end = Instant::now() + PATIENCE;
    let mut answer = [0; 256];
    loop {
        // A port that nobody has is refused, which the next call tells.
        let _ = client.send(b"who am I");
        let said = match client.recv(&mut answer) {
            Ok(length) => String::from_utf8_lossy(&answer[..length]).into_owned(),
            Err(error) => error.to_string(),
        };
        if said.starts_with(&format!("{name} ")) {
            return;
        }
        assert!(Instant::now() < end, "{name} never answers; the last was `{said}`");
    }
}

fn client(place: &Namespace, at: SocketAddr) -> UdpSocket {
    place
        .within(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_read_timeout(Some(PAUSE))?;
            socket.connect(at)?;
            Ok::<_, io::Error>(socket)
        })
        .unwrap()
}

/// Case 16.
#[test]
fn a_udp_client_that_never_pauses_is_answered_by_each_container_that_has_the_port() {
    lab_with_plugins(|lab| {
        only_ours(lab, "forgets flows only where it has the tool for it [E]");
        let lan = lan(lab);
        let at: SocketAddr = format!("{}:{OUTSIDE}", HOST[0]).parse().unwrap();
        let client = client(&lan, at);
        for _ in 0..5 {
            let _ = client.send(b"who am I");
            assert!(client.recv(&mut [0; 256]).is_err(), "nobody has the port");
        }
        let (chain, ports) = (web(lab, Family::V4), both(OUTSIDE, INSIDE));
        for name in ["first", "second", "third"] {
            let c = attached(lab, &chain, name, &ports);
            until_answered(&client, name);
            chain.del(Attach::new(&c, &ports));
            let tracked = lab.host().run("conntrack -L -p udp");
            assert!(!tracked.contains("src=10.1.0."), "{name} is gone: {tracked}");
        }
    });
}

/// Case 23.
#[test]
fn a_client_outside_learns_the_mtu_behind_a_published_port() {
    lab_with_plugins(|lab| {
        let lan = lan(lab);
        let mut narrow = bridge(Family::V4, 1);
        narrow["mtu"] = json!(1400);
        let chain = Chain::new(lab, &[narrow, portmap()]);
        let _c = attached(lab, &chain, "c1", &both(OUTSIDE, INSIDE));
        let known = || lan.run(&format!("ip route get {}", HOST[0]));
        assert!(!known().contains("mtu 1400"), "{}", known());
        let at: SocketAddr = format!("{}:{OUTSIDE}", HOST[0]).parse().unwrap();
        let client = client(&lan, at);
        // Too long for the bridge; Linux sends with DF unless told otherwise, and fragments once it
        // knows better.
        let long = [0; 1450];
        let end = Instant::now() + PATIENCE;
        while !known().contains("mtu 1400") {
            let _ = client.send(&long);
            assert!(Instant::now() < end, "the host never says what fits: {}", known());
        }
        until_answered(&client, "c1");
    });
}
