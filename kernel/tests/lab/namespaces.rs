use std::fs;

use kernel::netns::{self, Netns, NetnsError};

use crate::isolation::{here, ip, isolated, link_names, name};

#[test]
fn a_namespace_that_we_pin_is_known_to_iproute2() {
    isolated(|| {
        let made = netns::create("/run/netns/blue").unwrap();
        assert_eq!(ip("netns list")[0]["name"], "blue");
        assert!(!made.same_as(&Netns::current().unwrap()).unwrap());
        assert!(made.same_as(&Netns::open("/run/netns/blue").unwrap()).unwrap());
        let taken = netns::create("/run/netns/blue").unwrap_err();
        assert_eq!(
            taken.to_string(),
            "create network namespace /run/netns/blue: create its file: File exists (os error 17)"
        );
        netns::delete("/run/netns/blue").unwrap();
        assert_eq!(fs::read_dir("/run/netns").unwrap().count(), 0);
        assert!(matches!(netns::delete("/run/netns/blue"), Err(NetnsError::Missing { .. })));
    });
}

#[test]
fn a_namespace_that_iproute2_pins_is_opened_and_deleted_by_us() {
    isolated(|| {
        ip("netns add red");
        let red = Netns::open("/run/netns/red").unwrap();
        red.run(|| {
            let pair = kernel::link::Veth::new(name("a"), name("b"));
            here().run(&pair.create()).unwrap();
        })
        .unwrap();
        assert_eq!(ip("-n red link show dev a")[0]["ifname"], "a");
        assert_eq!(link_names(), [""; 0]);
        netns::delete("/run/netns/red").unwrap();
        // Still ours while it is open.
        red.run(|| assert_eq!(link_names(), ["b", "a"])).unwrap();
    });
}

#[test]
fn a_missing_path_and_a_plain_file_are_told_apart() {
    isolated(|| {
        let missing = Netns::open("/run/netns/none").unwrap_err();
        assert!(matches!(missing, NetnsError::Missing { .. }) && missing.is_gone());
        assert_eq!(
            missing.to_string(),
            "open network namespace /run/netns/none: it does not exist"
        );
        assert!(matches!(Netns::open(""), Err(NetnsError::Missing { .. })));
        fs::create_dir("/run/netns").unwrap();
        fs::write("/run/netns/stale", "").unwrap();
        let stale = Netns::open("/run/netns/stale").unwrap_err();
        assert!(matches!(stale, NetnsError::NotANamespace { .. }) && stale.is_gone());
        assert_eq!(
            stale.to_string(),
            "open network namespace /run/netns/stale: it is not a network namespace"
        );
        netns::delete("/run/netns/stale").unwrap();
        for other in ["/proc/self/ns/mnt", "/proc/version", "/dev/null", "/run"] {
            let error = Netns::open(other).unwrap_err();
            assert!(matches!(error, NetnsError::NotANamespace { .. }), "{error}");
        }
        let inside_a_file = Netns::open("/etc/passwd/x").unwrap_err();
        assert!(!inside_a_file.is_gone(), "{inside_a_file}");
    });
}

#[test]
fn a_pipe_without_a_writer_is_no_namespace_and_nothing_waits_for_it() {
    isolated(|| {
        let owner = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo("/run/pipe", owner).unwrap();
        let pipe = Netns::open("/run/pipe").unwrap_err();
        assert!(matches!(pipe, NetnsError::NotANamespace { .. }), "{pipe}");
    });
}

#[test]
fn the_callers_thread_stays_where_it_is() {
    isolated(|| {
        let before = Netns::current().unwrap();
        let other = netns::create_unnamed().unwrap();
        let inside = other.run(|| Netns::current().unwrap().inode().unwrap()).unwrap();
        assert_eq!(inside, other.inode().unwrap());
        assert!(before.same_as(&Netns::current().unwrap()).unwrap());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            other.run(|| panic!("on purpose"))
        }));
        assert!(panicked.is_err());
        assert!(before.same_as(&Netns::current().unwrap()).unwrap());
    });
}

#[test]
fn a_thread_enters_for_good_and_its_old_socket_stays_behind() {
    isolated(|| {
        let (host, other) = (here().netns_cookie(), netns::create_unnamed().unwrap());
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let left_behind = here();
                    other.enter_for_good().unwrap();
                    assert_eq!(left_behind.netns_cookie(), host);
                    assert_ne!(here().netns_cookie(), host);
                })
                .join()
                .unwrap();
        });
    });
}

#[test]
fn a_cookie_tells_namespaces_apart() {
    isolated(|| {
        let (one, two) = (netns::create_unnamed().unwrap(), netns::create_unnamed().unwrap());
        let (first, second) = (one.cookie().unwrap(), two.cookie().unwrap());
        assert_ne!(first, second);
        assert_eq!(Netns::open(one.path()).unwrap().cookie(), Some(first));
        assert_eq!(one.socket().unwrap().netns_cookie(), Some(first));
    });
}

#[test]
fn the_boot_has_an_id() {
    let id = kernel::boot::id().unwrap();
    assert_eq!(id.len(), 36, "{id}");
}

#[test]
fn a_lab_starts_empty_and_shows_its_own_links() {
    isolated(|| {
        here().run(&kernel::link::Veth::new(name("a"), name("b")).create()).unwrap();
        fs::write("/run/outside", "").unwrap();
        // A thread of its own, since there is no way back.
        std::thread::spawn(|| {
            kernel::lab::enter_as_root().unwrap();
            assert_eq!(link_names(), [""; 0]);
            let links = fs::read_dir("/proc/thread-self/root/sys/class/net").unwrap();
            assert_eq!(links.flatten().map(|link| link.file_name()).collect::<Vec<_>>(), ["lo"]);
            assert_eq!(fs::read_dir("/run").unwrap().count(), 0);
            netns::create("/run/netns/c1").unwrap();
            assert_eq!(ip("netns list")[0]["name"], "c1");
        })
        .join()
        .unwrap();
        assert_eq!(link_names(), ["b", "a"]);
        assert!(fs::exists("/run/outside").unwrap());
    });
}
