//! Options that change while queries are answered.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use names::{Client, Topic};
use netns_fixtures::lab;

use crate::lifecycle::at;
use crate::stage::{DEADLINE, Stage, ask};

const FILE: &str = "/run/other/etc/cais/dnsd.json";

/// What the daemon says of itself.
#[track_caller]
fn status(client: &Client<'_>) -> String {
    client.about(Topic::Status).unwrap().expect("a daemon runs")
}

fn pid(status: &str) -> &str {
    status.split_once("\"pid\":").unwrap().1.split(',').next().unwrap()
}

#[test]
fn other_options_take_effect_on_reload_and_unsound_ones_leave_all_as_it_is() {
    lab(|lab| {
        let stage = Stage::new(lab);
        // A root of its own: the lab's /etc is the machine's.
        fs::create_dir_all("/run/other/etc/cais").unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_cais-dnsd"));
        let path = vec![program.parent().unwrap().to_owned()];
        let client = Client::new(Path::new("/run/other/run/cais"), &path);
        let web = stage.container("web", 2);
        let netns = kernel::netns::Netns::open(web.path()).unwrap();
        let places = client.register(&stage.record(&web, 2), &netns).unwrap();
        let server = ([10, 90, 1, 1], places[0].port()).into();
        let first = status(&client);

        client.about(Topic::Reload).unwrap();
        assert_eq!(pid(&status(&client)), pid(&first), "nothing has changed");

        fs::write(FILE, r#"{"tll": 7}"#).unwrap();
        client.about(Topic::Reload).unwrap();
        let said = status(&client);
        assert!(said.contains("there is no such option"), "{said}");
        assert_eq!(pid(&said), pid(&first), "unsound options take effect");
        assert_eq!(ask(&web, server, "web"), at(2));

        fs::write(FILE, r#"{"ttl": 7}"#).unwrap();
        client.about(Topic::Reload).unwrap();
        let begun = Instant::now();
        while pid(&status(&client)) == pid(&first) {
            assert!(begun.elapsed() < DEADLINE, "sound options do not take effect");
        }
        let said = status(&client);
        assert!(!said.contains("no such option"), "{said}");
        assert_eq!(ask(&web, server, "web"), at(2));
        assert_eq!(crate::stage::ttl(&web, server, "web"), 7);
    });
}

/// Podman without root has it in a `/run` of the user's own.
#[test]
fn a_list_of_servers_that_only_root_may_look_up_is_read() {
    lab(|lab| {
        let stage = Stage::new(lab);
        fs::create_dir_all("/run/other/etc/cais").unwrap();
        fs::write(FILE, r#"{"resolvConf": "/run/other/private/resolv.conf"}"#).unwrap();
        fs::create_dir("/run/other/private").unwrap();
        fs::set_permissions("/run/other/private", Permissions::from_mode(0o700)).unwrap();
        fs::write("/run/other/private/resolv.conf", "nameserver 192.0.2.9\n").unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_cais-dnsd"));
        let path = vec![program.parent().unwrap().to_owned()];
        let client = Client::new(Path::new("/run/other/run/cais"), &path);
        let web = stage.container("web", 2);
        let netns = kernel::netns::Netns::open(web.path()).unwrap();
        client.register(&stage.record(&web, 2), &netns).unwrap();
        let said = status(&client);
        assert!(said.contains("192.0.2.9"), "{said}");
    });
}
