//! SIGKILL of the plugin at each system call that changes something, and of the daemon while it
//! remembers a lease: DEL or GC leaves nothing, neither here nor with the server.

use std::fs;

use netns_fixtures::{Call, Container, Feature, Lab, lab_with_plugins};
use serde_json::json;

use super::lan::until;
use super::{Daemon, Lan, config, plugged};
use crate::crash::points::points_of;
use crate::under_test::only_ours;

fn call<'lab>(lab: &'lab Lab, verb: &str, container: &Container) -> Call<'lab> {
    let mut config = config(&json!({}));
    config["cniVersion"] = json!("1.1.0");
    if verb == "GC" {
        config["cni.dev/valid-attachments"] = json!([]);
        return lab.plugin("dhcp").config(&config).verb(verb);
    }
    lab.plugin("dhcp").container(container).config(&config).verb(verb)
}

/// All files of leases, finished or not.
fn remembered() -> usize {
    fs::read_dir("/var/lib/cni/cais/dhcp/net").into_iter().flatten().count()
}

#[track_caller]
fn assert_nothing_is_left() {
    assert_eq!(remembered(), 0);
    until("the server has all leases back", || {
        fs::read_to_string("/run/leases").is_ok_and(|leases| leases.is_empty())
    });
}

/// Kills `verb` wherever it can be killed, and calls `rescue`.
fn battery(lab: &Lab, (verb, rescue): (&str, &str)) {
    only_ours(lab, "remembers nothing that could be looked at");
    lab.needs(Feature::Strace);
    let lan = Lan::new(lab, &[]);
    let daemon = Daemon::start(lab);
    let c1 = plugged(lab, &lan, "c1");
    let add = call(lab, "ADD", &c1);
    if verb != "ADD" {
        add.run().succeeded();
    }
    // Without the daemon DEL and GC do the work themselves.
    let daemon = Some(daemon).filter(|_| verb == "ADD");
    let points = points_of(&call(lab, verb, &c1));
    call(lab, "DEL", &c1).run().succeeded();
    for point in &points {
        if verb != "ADD" {
            let _daemon = Daemon::start(lab);
            add.run().succeeded();
        }
        let _ = point.kill(&call(lab, verb, &c1));
        call(lab, rescue, &c1).run().succeeded();
        assert_nothing_is_left();
    }
    drop(daemon);
}

mod a_killed_call_of_dhcp {
    use super::*;

    stamp!(lab_with_plugins, battery,
        add_is_undone_by_del: ("ADD", "DEL"),
        add_is_undone_by_gc: ("ADD", "GC"),
        del_is_completed_by_del: ("DEL", "DEL"),
        del_is_completed_by_gc: ("DEL", "GC"),
        gc_is_completed_by_del: ("GC", "DEL"),
    );
}

/// Before and after the lease is on disk.
mod a_daemon_that_is_killed_while_it_remembers_a_lease_is_no_loss {
    use super::*;

    fn case(lab: &Lab, what: &str) {
        only_ours(lab, "remembers nothing");
        lab.needs(Feature::Strace);
        let lan = Lan::new(lab, &[]);
        let c1 = plugged(lab, &lan, "c1");
        // So that its directories are there.
        drop(Daemon::start(lab));
        let daemon = Daemon::under(
            lab,
            &format!(
                "strace -f -qq -o /dev/null -P /var/lib/cni/cais/dhcp/net/.c1@eth0.new \
             -P /var/lib/cni/cais/dhcp/net/c1@eth0 -e inject={what}:signal=KILL:when=1"
            ),
        );
        call(lab, "ADD", &c1).run().refused(11).says(&["ended before it answered"]);
        drop(daemon);
        let daemon = Daemon::start(lab);
        // A runtime calls DEL after an ADD that failed.
        call(lab, "DEL", &c1).run().succeeded();
        assert_eq!(remembered(), 0);
        call(lab, "ADD", &c1).run().succeeded();
        call(lab, "DEL", &c1).run().succeeded();
        assert_nothing_is_left();
        drop(daemon);
    }

    stamp!(lab_with_plugins, case, at_openat: "openat", at_write: "write", at_rename: "rename");
}
