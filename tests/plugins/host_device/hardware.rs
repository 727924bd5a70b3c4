//! A device on the PCI bus: the spare one of the VM lane's guest, which leads nowhere.

use std::fs::File;

use netns_fixtures::{Feature, Lab, Namespace, lab_with_plugins};
use serde_json::{Value, json};

use super::layer2;
use crate::under_test::{only_ours, unlike_reference, with_keys};

/// Where the guest has it.
const PLACE: &str = "0000:00:1e.0";

/// What the guest's kernel calls it: there is no other.
const NIC: &str = "eth0";

/// A case in which the guest's own namespace is the host, alone there.
fn guest(case: impl FnOnce(&Lab, &Namespace)) {
    lab_with_plugins(|lab| {
        lab.needs(Feature::SpareNic);
        let turn = File::create(std::env::temp_dir().join("spare-nic")).unwrap();
        turn.lock().unwrap();
        let guest = lab.foreign("guest", "/proc/1/ns/net".as_ref());
        guest.run(&format!("ip link set dev {NIC} addrgenmode none up"));
        case(lab, &guest);
    });
}

/// The configuration with that device, told by `keys`, and a version whose results tell its place.
fn told_by(keys: &Value) -> Value {
    with_keys(layer2(), &with_keys(json!({ "device": "", "cniVersion": "1.1.0" }), keys))
}

#[test]
fn a_device_is_found_by_its_pci_address_and_comes_home_with_its_name() {
    guest(|lab, guest| {
        for keys in [
            json!({ "pciBusID": PLACE }),
            json!({ "runtimeConfig": { "deviceID": PLACE } }),
            json!({ "kernelpath": format!("/sys/devices/pci0000:00/{PLACE}/virtio0") }),
        ] {
            // What sysfs shows belongs to the namespace that mounted it.
            guest.run(&format!("ip link set dev {NIC} down"));
            guest.run(&format!("ip link set dev {NIC} netns {}", std::process::id()));
            let config = told_by(&keys);
            let mac = lab.host().link(NIC).unwrap()["address"].clone();
            let c = lab.container("c1");
            let result = lab.add("host-device", &c, &config);
            assert_eq!(c.link("eth0").unwrap()["address"], mac);
            assert!(lab.host().link(NIC).is_none());
            unlike_reference(lab, "tells no PCI address", || {
                assert_eq!(result["interfaces"][0]["pciID"], PLACE, "{result:#}");
            });
            lab.del("host-device", &c, &config);
            assert_eq!(lab.host().link(NIC).unwrap()["address"], mac);
            c.remove();
            lab.host().run(&format!("ip link set dev {NIC} netns 1"));
        }
    });
}

/// The kernel gives hardware back to the first namespace, as it was called in the container.
#[test]
fn hardware_gets_its_name_back_when_its_container_died() {
    guest(|lab, guest| {
        only_ours(lab, "renames nothing that the kernel brought home [E]");
        let config = told_by(&json!({ "device": NIC }));
        let c = lab.container("c1");
        let call = lab.plugin("host-device").on(guest).container(&c).config(&config);
        let call = call.ifname("net7");
        call.clone().verb("ADD").run().succeeded();
        assert!(guest.link(NIC).is_none());
        c.remove();
        guest.wait_until_there("net7");
        call.verb("DEL").run().is_silent();
        let home = guest.link(NIC).expect("it has its name again");
        assert!(home["ifalias"].is_null(), "{home:#}");
    });
}
