//! A panic at each step of ADD: an error object, a bad exit code, and nothing that was not there
//! before.

use netns_fixtures::{Lab, lab_with_plugins, skip};

use super::scene::{HINTS, Scene};
use crate::under_test::only_ours;

/// Told to our debug builds: the step at which ADD panics.
const PANIC_AT: &str = "CAIS_PANIC_AT";

/// Directories stay, as the locks in them do; so does forwarding, which others may rely on by now.
const STAYS: &[&str] = &[
    "dir /run/cais",
    "/run/cais/dns.sock",
    "dir /var/lib/cni",
    // What a network was given it keeps.
    "/cais/networks/",
    "/lock ",
    "ip_forward = ",
    // The kernel's, of the first VRF of a namespace.
    "\"l3mdev\":",
    "conf/all/forwarding = ",
    "conf/default/forwarding = ",
    "conf/lo/forwarding = ",
];

/// Cases of one plugin after another: a panic at each step of its ADD, in the scene of its kills.
macro_rules! undone {
    ($($module:ident: $scene:expr => [$($case:ident: $step:literal),+ $(,)?];)+) => {$(
        mod $module {
            use super::*;

            fn case(lab: &Lab, step: &str) {
                is_undone(lab, &$scene, step);
            }

            stamp!(lab_with_plugins, case, $($case: $step),+);
        }
    )+};
}

undone! {
    an_add_of_bridge_that_panics_is_undone: Scene::filtered_bridge() => [
        at_step_record: "record",
        at_step_bridge: "bridge",
        at_step_port: "port",
        at_step_ipam: "ipam",
        at_step_gateway: "gateway",
        at_step_filter: "filter",
        at_step_container: "container",
        at_step_forwarding: "forwarding",
        at_step_done: "done",
    ];
    an_add_of_macvlan_that_panics_is_undone: Scene::macvlan() => [
        at_step_record: "record",
        at_step_link: "link",
        at_step_ipam: "ipam",
        at_step_container: "container",
        at_step_done: "done",
    ];
    an_add_of_ipvlan_that_panics_is_undone: Scene::ipvlan() => [
        at_step_record: "record",
        at_step_link: "link",
        at_step_ipam: "ipam",
        at_step_container: "container",
        at_step_done: "done",
    ];
    an_add_of_host_device_that_panics_is_undone: Scene::host_device() => [
        at_step_record: "record",
        at_step_link: "link",
        at_step_ipam: "ipam",
        at_step_container: "container",
        at_step_done: "done",
    ];
    an_add_of_vlan_that_panics_is_undone: Scene::vlan() => [
        at_step_record: "record",
        at_step_link: "link",
        at_step_ipam: "ipam",
        at_step_container: "container",
        at_step_done: "done",
    ];
    an_add_of_tap_that_panics_is_undone: Scene::tap() => [
        at_step_record: "record",
        at_step_link: "link",
        at_step_ipam: "ipam",
        at_step_container: "container",
        at_step_done: "done",
    ];
    an_add_of_dummy_that_panics_is_undone: Scene::dummy() => [
        at_step_record: "record",
        at_step_link: "link",
        at_step_ipam: "ipam",
        at_step_container: "container",
        at_step_done: "done",
    ];
    an_add_of_ptp_that_panics_is_undone: Scene::ptp() => [
        at_step_record: "record",
        at_step_pair: "pair",
        at_step_ipam: "ipam",
        at_step_host: "host",
        at_step_filter: "filter",
        at_step_container: "container",
        at_step_forwarding: "forwarding",
        at_step_done: "done",
    ];
    an_add_of_portmap_that_panics_is_undone: Scene::portmap() => [
        at_step_filter: "filter",
        at_step_localhost: "localhost",
        at_step_done: "done",
    ];
    an_add_of_dnsname_that_panics_is_undone: Scene::dnsname() => [
        at_step_register: "register",
        at_step_filter: "filter",
        at_step_container: "container",
        at_step_done: "done",
    ];
    an_add_of_firewall_that_panics_is_undone: Scene::firewall() => [
        at_step_filter: "filter",
        at_step_done: "done",
    ];
    an_add_of_user_bridge_that_panics_is_undone: Scene::user_bridge() => [
        at_step_record: "record",
        at_step_bridge: "bridge",
        at_step_port: "port",
        at_step_ipam: "ipam",
        at_step_gateway: "gateway",
        at_step_filter: "filter",
        at_step_localhost: "localhost",
        at_step_connections: "connections",
        at_step_container: "container",
        at_step_forwarding: "forwarding",
        at_step_done: "done",
    ];
    an_add_of_overlay_that_panics_is_undone: Scene::overlay() => [
        at_step_tunnels: "tunnels",
        at_step_attachment: "attachment",
        at_step_record: "record",
        at_step_bridge: "bridge",
        at_step_port: "port",
        at_step_ipam: "ipam",
        at_step_gateway: "gateway",
        at_step_filter: "filter",
        at_step_localhost: "localhost",
        at_step_container: "container",
        at_step_forwarding: "forwarding",
        at_step_done: "done",
    ];
    an_add_of_bandwidth_that_panics_is_undone: Scene::bandwidth() => [
        at_step_record: "record",
        at_step_clear: "clear",
        at_step_ifb: "ifb",
        at_step_limits: "limits",
        at_step_done: "done",
    ];
    an_add_of_sbr_that_panics_is_undone: Scene::sbr() => [
        at_step_record: "record",
        at_step_routes: "routes",
        at_step_rules: "rules",
        at_step_main_table: "main table",
        at_step_earlier_tables: "earlier tables",
        at_step_done: "done",
    ];
    an_add_of_vrf_that_panics_is_undone: Scene::vrf() => [
        at_step_record: "record",
        at_step_vrf: "vrf",
        at_step_member: "member",
        at_step_done: "done",
    ];
}

mod an_add_of_tuning_that_panics_is_undone {
    use super::*;

    fn case(lab: &Lab, step: &str) {
        only_ours(lab, "has no such steps");
        let scene = Scene::tuning();
        let container = scene.container(lab, "c1");
        let before = lab.snapshot();
        let outcome = scene.call(lab, "ADD", &container).env(PANIC_AT, step).run();
        if outcome.status.success() {
            skip("only debug builds panic when told to");
        }
        let text = format!("told to panic at step {step}");
        outcome.refused(999).says(&["tuning failed inside", &text, "this is a bug in cais"]);
        lab.assert_unchanged(&before);
    }

    stamp!(lab_with_plugins, case,
        at_step_record: "record",
        at_step_sysctl: "sysctl",
        at_step_attributes: "attributes",
        at_step_reading_back: "reading back",
        at_step_done: "done",
    );
}

#[track_caller]
fn is_undone(lab: &Lab, scene: &Scene, step: &str) {
    only_ours(lab, "has no such steps");
    scene.prepare(lab);
    let container = scene.container(lab, "c1");
    let before = lab.snapshot();
    // First on a host that never had the bridge, then on one that has it.
    panic_at(lab, scene, &container, step);
    lab.assert_unchanged_but(&before, &[HINTS, STAYS].concat());
    scene.assert_nothing_is_held(lab);
    let other = scene.container(lab, "c2");
    scene.call(lab, "ADD", &other).run().succeeded();
    scene.call(lab, "DEL", &other).run().is_silent();
    let before = lab.snapshot();
    panic_at(lab, scene, &container, step);
    lab.assert_unchanged_but(&before, HINTS);
    scene.assert_nothing_is_held(lab);
}

#[track_caller]
fn panic_at(lab: &Lab, scene: &Scene, container: &netns_fixtures::Container, step: &str) {
    let call = scene.call(lab, "ADD", container).env(PANIC_AT, step);
    let outcome = call.run();
    if outcome.status.success() {
        skip("only debug builds panic when told to");
    }
    let (text, failed) = (format!("told to panic at step {step}"), scene.plugin());
    let failed = format!("{failed} failed inside");
    outcome.refused(999).says(&[&failed, &text, "this is a bug in cais"]);
}
