use std::io::{Read, Write};

use cni::code;
use netns_fixtures::lab;
use nix::sys::resource::{Resource, setrlimit};
use proxy::Protocol;

use crate::stage::{
    Stage, assert_echoes, assert_udp_echoes, connect, key, refused, some_offer, udp_client,
};

/// So many open files leave room for twelve mappings, twelve connections and twelve UDP clients,
/// six for each mapping.
const FILES: u64 = 400;

fn with_few_files() {
    setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES).unwrap();
}

#[test]
fn a_connection_too_many_waits_until_another_ends() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.echo();
        with_few_files();
        let address = stage.publish("c1", Protocol::Tcp, port);
        let other = stage.publish("c2", Protocol::Tcp, port);
        let mut streams: Vec<_> = (0..6).map(|_| connect(address)).collect();
        for stream in &mut streams {
            assert_echoes(stream, b"taken");
        }
        let mut waiting = connect(address);
        waiting.write_all(b"patience").unwrap();
        assert_echoes(&mut connect(other), b"another mapping has room");
        assert_eq!(stage.served()[0].active, 6);
        drop(streams.pop());
        let mut back = [0; 8];
        waiting.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"patience");
        assert_eq!(stage.served()[0].active, 6);
    });
}

#[test]
fn for_a_udp_client_too_many_the_longest_silent_one_goes() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.udp_echo();
        with_few_files();
        let address = stage.publish("c1", Protocol::Udp, port);
        let clients: Vec<_> = (0..9).map(|_| udp_client(address)).collect();
        for client in &clients {
            assert_udp_echoes(client, b"x");
        }
        assert_eq!(stage.served()[0].active, 6);
        // Whoever went comes again.
        assert_udp_echoes(&clients[0], b"once more");
        assert_eq!(stage.served()[0].active, 6);
    });
}

#[test]
fn mappings_too_many_are_refused_and_the_others_stay() {
    lab(|lab| {
        let stage = Stage::new(lab);
        let port = stage.echo();
        with_few_files();
        let address = stage.publish("c1", Protocol::Tcp, port);
        let outcome = stage.client().serve(&key("c2"), (0..12).map(|_| some_offer()).collect());
        refused(outcome, code::EXHAUSTED, "12 mappings are all that open files allow");
        stage.client().serve(&key("c2"), (0..11).map(|_| some_offer()).collect()).unwrap();
        assert_eq!(stage.served().len(), 12);
        assert_echoes(&mut connect(address), b"still here");
    });
}
