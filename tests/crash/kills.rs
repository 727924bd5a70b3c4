//! SIGKILL at each system call that changes something, then one call of the runtime: everything is
//! as before, and the addresses are free.

use std::fs;
use std::io::ErrorKind;

use netns_fixtures::{Call, Container, Feature, Lab, lab_with_plugins};

use super::points::{Point, points_of};
use super::scene::{DELETER, HINTS, Scene};
use crate::under_test::only_ours;

/// What was killed, and what the runtime does then.
#[derive(Clone, Copy)]
enum Killed {
    Add(Rescue),
    Del(Rescue),
    Gc(Rescue),
}

#[derive(Clone, Copy)]
enum Rescue {
    /// DEL, as after any failed call.
    Del,
    /// DEL after the namespace has gone.
    DelWithoutNamespace,
    /// GC after the namespace has gone, because the runtime has forgotten the container.
    Gc,
    /// GC while the namespace is kept by somebody else.
    GcWhileNamespaceLives,
}

impl Rescue {
    fn leaves_namespace(self) -> bool {
        matches!(self, Self::Del | Self::GcWhileNamespaceLives)
    }
}

/// Stamps ways out of killed calls over plugins.
macro_rules! killed {
    ($($($module:ident: $scene:expr),+ => $ways:tt;)*) => {$($(
        mod $module {
            use super::*;
            fn case(lab: &Lab, killed: Killed) {
                battery(lab, &$scene, killed);
            }
            ways!($ways);
        }
    )+)*};
}

/// Makes a test for each way; used by the other.
macro_rules! ways {
    ([$($name:ident: $killed:expr),* $(,)?]) => {
        stamp!(lab_with_plugins, case, $($name: $killed),*);
    };
}

killed! {
    a_killed_call_of_bridge: Scene::bridge() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_del_without_namespace: Killed::Add(Rescue::DelWithoutNamespace),
        add_is_undone_by_gc: Killed::Add(Rescue::Gc),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        del_is_completed_by_del_without_namespace: Killed::Del(Rescue::DelWithoutNamespace),
        del_is_completed_by_gc: Killed::Del(Rescue::Gc),
        del_is_completed_by_gc_in_a_living_namespace: Killed::Del(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_gc_in_a_living_namespace: Killed::Gc(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_del: Killed::Gc(Rescue::Del),
    ];
    a_killed_call_of_bridge_with_the_packet_filter: Scene::filtered_bridge(),
    a_killed_call_of_portmap: Scene::portmap(),
    a_killed_call_of_dnsname: Scene::dnsname(),
    a_killed_call_of_firewall: Scene::firewall(),
    a_killed_call_of_user_bridge: Scene::user_bridge(),
    a_killed_call_of_overlay: Scene::overlay() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_del_without_namespace: Killed::Add(Rescue::DelWithoutNamespace),
        add_is_undone_by_gc: Killed::Add(Rescue::Gc),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        del_is_completed_by_gc: Killed::Del(Rescue::Gc),
        gc_is_completed_by_gc_in_a_living_namespace: Killed::Gc(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_del: Killed::Gc(Rescue::Del),
    ];
    a_killed_call_of_macvlan: Scene::macvlan(),
    a_killed_call_of_macvlan_on_a_vlan: Scene::macvlan_on_a_vlan(),
    a_killed_call_of_ipvlan: Scene::ipvlan(),
    a_killed_call_of_vlan: Scene::vlan(),
    a_killed_call_of_tap: Scene::tap(),
    a_killed_call_of_dummy: Scene::dummy(),
    a_killed_call_of_ptp: Scene::ptp() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_del_without_namespace: Killed::Add(Rescue::DelWithoutNamespace),
        add_is_undone_by_gc: Killed::Add(Rescue::Gc),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        del_is_completed_by_gc: Killed::Del(Rescue::Gc),
        del_is_completed_by_gc_in_a_living_namespace: Killed::Del(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_gc_in_a_living_namespace: Killed::Gc(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_del: Killed::Gc(Rescue::Del),
    ];
    // Kernels before 6.15 make it under another name at first.
    a_killed_call_of_macvlan_over_eth0: Scene::macvlan_over_eth0() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
    ];
    // The end of a pair that it is given dies with its namespace, so that lives on.
    a_killed_call_of_host_device: Scene::host_device() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        del_is_completed_by_gc_in_a_living_namespace: Killed::Del(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_gc_in_a_living_namespace: Killed::Gc(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_del: Killed::Gc(Rescue::Del),
    ];
    // Where the container is does not matter to these two.
    a_killed_call_of_host_local: Scene::host_local(),
    a_killed_call_of_host: Scene::host() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_gc: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        del_is_completed_by_gc: Killed::Del(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_gc: Killed::Gc(Rescue::GcWhileNamespaceLives),
    ];
    a_killed_call_of_tuning: Scene::tuning() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_del_without_namespace: Killed::Add(Rescue::DelWithoutNamespace),
        add_is_undone_by_gc: Killed::Add(Rescue::Gc),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        del_is_completed_by_del_without_namespace: Killed::Del(Rescue::DelWithoutNamespace),
        del_is_completed_by_gc_in_a_living_namespace: Killed::Del(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_gc_in_a_living_namespace: Killed::Gc(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_del: Killed::Gc(Rescue::Del),
    ];
    a_killed_call_of_bandwidth: Scene::bandwidth() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_del_without_namespace: Killed::Add(Rescue::DelWithoutNamespace),
        add_is_undone_by_gc: Killed::Add(Rescue::Gc),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        del_is_completed_by_gc_in_a_living_namespace: Killed::Del(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_gc_in_a_living_namespace: Killed::Gc(Rescue::GcWhileNamespaceLives),
        gc_is_completed_by_del: Killed::Gc(Rescue::Del),
    ];
    a_killed_call_of_sbr: Scene::sbr() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_del_without_namespace: Killed::Add(Rescue::DelWithoutNamespace),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        gc_is_completed_by_del: Killed::Gc(Rescue::Del),
    ];
    a_killed_call_of_vrf: Scene::vrf() => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        add_is_undone_by_del_without_namespace: Killed::Add(Rescue::DelWithoutNamespace),
        add_is_undone_by_gc_in_a_living_namespace: Killed::Add(Rescue::GcWhileNamespaceLives),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
        gc_is_completed_by_del: Killed::Gc(Rescue::Del),
    ];
    // These leave nothing outside of the namespace.
    a_killed_call_of_loopback: Scene::inside("loopback"),
    a_killed_call_of_none: Scene::inside("none") => [
        add_is_undone_by_del: Killed::Add(Rescue::Del),
        del_is_completed_by_del: Killed::Del(Rescue::Del),
    ];
}

fn battery(lab: &Lab, scene: &Scene, killed: Killed) {
    only_ours(lab, "leaks whatever it was about to undo");
    lab.needs(Feature::Strace);
    scene.prepare(lab);
    let points = warmed_up(lab, scene, killed);
    let (Killed::Add(rescue) | Killed::Del(rescue) | Killed::Gc(rescue)) = killed;
    // A container that lives is part of what must be as before; the others go with all they have.
    let living = rescue.leaves_namespace().then(|| scene.container(lab, "living"));
    if let Some(living) = &living {
        // An `lo` that was up once keeps its address.
        scene.call(lab, "ADD", living).run().succeeded();
        scene.call(lab, "DEL", living).run().is_silent();
    }
    let before = lab.snapshot();
    let links = lab.host().link_names();
    for (number, point) in points.iter().enumerate() {
        let dying;
        let container = match &living {
            Some(living) => living,
            None => {
                dying = scene.container(lab, &format!("dying{number}"));
                &dying
            }
        };
        kill(lab, scene, killed, point, container);
        if living.is_none() {
            container.remove();
        }
        match rescue {
            Rescue::Del | Rescue::DelWithoutNamespace => {
                scene.call(lab, "DEL", container).run().is_silent();
            }
            Rescue::Gc | Rescue::GcWhileNamespaceLives => {
                scene.gc_of_all(lab).run().is_silent();
            }
        }
        if living.is_none() {
            await_the_kernel(lab, &links);
        }
        lab.assert_unchanged_but(&before, HINTS);
        scene.assert_nothing_is_held(lab);
    }
    println!("{} points", points.len());
}

/// A link that nobody could know yet goes with the namespace of its other end, a moment later.
fn await_the_kernel(lab: &Lab, links: &[String]) {
    for link in lab.host().link_names().iter().filter(|link| !links.contains(link)) {
        lab.host().wait_until_gone(link);
    }
}

/// Calls the verbs once, so that directories and the bridge, which stay, are there; gives back where
/// the one to be killed can be.
fn warmed_up(lab: &Lab, scene: &Scene, killed: Killed) -> Vec<Point> {
    let container = scene.container(lab, "warm");
    let add = scene.call(lab, "ADD", &container);
    let del = scene.call(lab, "DEL", &container);
    add.run().succeeded();
    del.run().is_silent();
    if let Killed::Gc(_) = killed {
        scene.gc_of_all(lab).run().is_silent();
    }
    let points = points_of(&prepared(lab, scene, killed, &container));
    del.run().is_silent();
    scene.assert_nothing_is_held(lab);
    scene.remove(lab, &container);
    points
}

fn kill(lab: &Lab, scene: &Scene, killed: Killed, point: &Point, container: &Container) {
    let _ = point.kill(&prepared(lab, scene, killed, container));
}

/// The call to be killed, for which all is as it has to be.
fn prepared<'lab>(
    lab: &'lab Lab,
    scene: &Scene,
    killed: Killed,
    container: &Container,
) -> Call<'lab> {
    if let Killed::Add(_) = killed {
        return scene.call(lab, "ADD", container);
    }
    scene.call(lab, "ADD", container).run().succeeded();
    forget_the_last_deleter();
    match killed {
        Killed::Gc(_) => scene.gc_of_all(lab),
        _ => scene.call(lab, "DEL", container),
    }
}

/// Where nobody knows whether this machine's PID 1 reaps, links are deleted by a child: the way with
/// more points at which to be killed.
fn forget_the_last_deleter() {
    match fs::remove_file(DELETER) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{DELETER}: {error}"),
        _ => {}
    }
}
