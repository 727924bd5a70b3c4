use kernel::link::Veth;
use kernel::netns;
use kernel::sysctl::{Key, SysctlError};
use types::Family;

use crate::isolation::{here, isolated, name};

#[test]
fn a_switch_is_read_written_and_changed_only_when_it_differs() {
    isolated(|| {
        let key = Key::ip_forward();
        assert_eq!(key.read().unwrap(), "0");
        assert_eq!(key.ensure("1").unwrap().as_deref(), Some("0"));
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), "1\n");
        assert_eq!(key.ensure("1").unwrap(), None);
        assert_eq!(Key::forwarding(Family::V6).ensure("1").unwrap().as_deref(), Some("0"));
    });
}

#[test]
fn a_link_with_dots_in_its_name_has_its_own_switches() {
    isolated(|| {
        let dotted = name("eth0.100.7");
        here().run(&Veth::new(dotted.clone(), name("peer")).create()).unwrap();
        Key::conf_v4(&dotted, "arp_notify").write_checked("1").unwrap();
        Key::conf_v6(&dotted, "accept_dad").write_checked("0").unwrap();
        assert_eq!(Key::conf_v4(&name("peer"), "arp_notify").read().unwrap(), "0");
        assert_eq!(
            Key::conf_v4(&dotted, "arp_notify").to_string(),
            "net/ipv4/conf/eth0.100.7/arp_notify"
        );
    });
}

#[test]
fn switches_are_those_of_the_threads_namespace() {
    isolated(|| {
        let other = netns::create_unnamed().unwrap();
        other.run(|| Key::ip_forward().write_checked("1").unwrap()).unwrap();
        assert_eq!(Key::ip_forward().read().unwrap(), "0");
    });
}

#[test]
fn errors_name_the_switch_and_the_value() {
    isolated(|| {
        let missing = Key::conf_v4(&name("nosuch0"), "arp_notify").ensure("1").unwrap_err();
        assert!(missing.is_missing());
        assert_eq!(
            missing.to_string(),
            "read sysctl net/ipv4/conf/nosuch0/arp_notify: No such file or directory (os error 2)"
        );
        let refused = Key::ip_forward().write("two").unwrap_err();
        assert!(matches!(refused, SysctlError::Write { .. }), "{refused}");
        assert!(refused.to_string().starts_with("set sysctl net/ipv4/ip_forward to two: "));
        // The kernel takes 2 and makes it a switch.
        let changed = Key::net("ipv4/tcp_syncookies").unwrap();
        changed.write_checked("2").unwrap();
    });
}
