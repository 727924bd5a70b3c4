use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use cni::Error;

use crate::config::{self, Config, Selector};
use crate::sysfs::{AuxiliaryName, KernelPath, PciAddress, Sysfs};

fn network(text: &str) -> Result<cni::Config, Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"host-device"{text}}}"#);
    cni::Config::parse(text.as_bytes())
}

fn parse(text: &str) -> Result<Config, Error> {
    config::parse(&network(text)?)
}

fn pci(text: &str) -> PciAddress {
    text.parse().unwrap()
}

#[test]
fn of_the_ways_to_name_a_device_the_first_in_order_counts() {
    let all = r#","device":"dev0","hwaddr":"02:00:00:00:00:01","kernelpath":"/sys/devices/a",
        "pciBusID":"0000:00:1f.6","runtimeConfig":{"deviceID":"0000:04:00.5"}"#;
    let selector = |text: &str| parse(text).unwrap().selector.unwrap();
    assert!(matches!(selector(all), Selector::Name(_)));
    assert!(matches!(selector(&all.replace("dev0", "")), Selector::Mac(_)));
    let without_mac = all.replace("dev0", "").replace("02:00:00:00:00:01", "");
    assert!(matches!(selector(&without_mac), Selector::Kernel(_)));
    let on_bus = without_mac.replace("/sys/devices/a", "");
    assert_eq!(selector(&on_bus), Selector::Pci(pci("0000:04:00.5")));
    let auxiliary = on_bus.replace("0000:04:00.5", "mlx5_core.sf.4");
    assert!(matches!(selector(&auxiliary), Selector::Auxiliary(_)));
    assert_eq!(parse(&auxiliary).unwrap().pci, None);
    assert_eq!(parse(&on_bus.replace("0000:04:00.5", "")).unwrap().pci, Some(pci("0000:00:1f.6")));
}

#[test]
fn a_device_is_said_by_a_key_or_left_to_the_runtime() {
    let error = config::validate(&network("").unwrap()).unwrap_err();
    assert_eq!((error.code, error.msg.as_str()), (7, "no key says which device is meant"));
    let left = network(r#","capabilities":{"deviceID":true}"#).unwrap();
    assert_eq!(config::validate(&left).unwrap().selector, None);
}

#[test]
fn what_cannot_be_is_refused_with_its_path() {
    let cases = [
        (r#""pciBusID":"00:1f.6""#, "key \"pciBusID\": a PCI address looks like 0000:00:1f.6"),
        (r#""pciBusID":"0000:00:1f.8""#, "key \"pciBusID\": a PCI address"),
        (r#""pciBusID":"../../x""#, "key \"pciBusID\": a PCI address"),
        (r#""kernelpath":"/sys/class/net""#, "key \"kernelpath\": the path has to begin with"),
        (r#""kernelpath":"/sys/devices/../class""#, "key \"kernelpath\": the path leads out"),
        (r#""kernelpath":"/sys/devices//etc""#, "key \"kernelpath\": the path leads out"),
        (
            r#""runtimeConfig":{"deviceID":"a/b"}"#,
            "key \"runtimeConfig.deviceID\": that is neither",
        ),
        (r#""runtimeConfig":{"deviceID":".."}"#, "key \"runtimeConfig.deviceID\": that is neither"),
    ];
    for (text, msg) in cases {
        let error = parse(&format!(",{text}")).expect_err(text);
        assert!(error.code == 7 && error.msg.starts_with(msg), "{text}: {error}");
    }
}

/// A sysfs with devices that this machine has not.
struct Fake(PathBuf);

impl Fake {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("cais-sysfs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        Self(root)
    }

    fn with(self, directory: &str) -> Self {
        fs::create_dir_all(self.0.join(directory)).unwrap();
        self
    }

    fn linked(self, from: &str, to: &str) -> Self {
        symlink(to, self.0.join(from)).unwrap();
        self
    }

    fn sysfs(&self) -> Sysfs {
        Sysfs::at(&self.0)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(found: std::io::Result<Vec<types::IfName>>) -> Vec<String> {
    found.unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn links_are_found_by_every_path() {
    let fake = Fake::new("paths")
        .with("devices/pci0000:00/0000:00:1f.6/net/enp0s31f6")
        .with("devices/pci0000:00/0000:00:02.0/virtio3/net/eth7")
        .with("bus/pci/devices")
        .with("bus/auxiliary/devices/mlx5_core.sf.4/net/sf4")
        .with("class/net/eth7")
        .linked("bus/pci/devices/0000:00:1f.6", "../../../devices/pci0000:00/0000:00:1f.6")
        .linked("bus/pci/devices/0000:00:02.0", "../../../devices/pci0000:00/0000:00:02.0")
        .linked("class/net/eth7/device", "../../../devices/pci0000:00/0000:00:02.0/virtio3");
    let sysfs = fake.sysfs();
    let at = |path: &str| names(sysfs.links_at(&path.parse::<KernelPath>().unwrap()));
    assert_eq!(at("/sys/devices/pci0000:00/0000:00:1f.6"), ["enp0s31f6"]);
    assert_eq!(at("/sys/devices/pci0000:00/0000:00:1f.6/net/enp0s31f6"), ["enp0s31f6"]);
    assert_eq!(names(sysfs.links_of_pci(&pci("0000:00:1f.6"))), ["enp0s31f6"]);
    assert_eq!(names(sysfs.links_of_pci(&pci("0000:00:02.0"))), ["eth7"]);
    let auxiliary: AuxiliaryName = "mlx5_core.sf.4".parse().unwrap();
    assert_eq!(names(sysfs.links_of_auxiliary(&auxiliary)), ["sf4"]);
    assert_eq!(sysfs.pci_of("eth7"), Some(pci("0000:00:02.0")));
    assert_eq!(sysfs.pci_of("lo"), None);
    assert!(sysfs.links_of_pci(&pci("0000:00:03.0")).is_err());
}

#[test]
fn a_driver_tells_whether_a_program_has_the_device() {
    let fake = Fake::new("drivers")
        .with("bus/pci/devices/0000:00:01.0")
        .with("bus/pci/devices/0000:00:02.0")
        .with("bus/pci/devices/0000:00:03.0")
        .linked("bus/pci/devices/0000:00:01.0/driver", "../../../bus/pci/drivers/vfio-pci")
        .linked("bus/pci/devices/0000:00:02.0/driver", "../../../bus/pci/drivers/e1000e");
    let is_for_dpdk = |address| fake.sysfs().is_for_dpdk(&pci(address)).ok();
    assert_eq!(is_for_dpdk("0000:00:01.0"), Some(true));
    assert_eq!(is_for_dpdk("0000:00:02.0"), Some(false));
    assert_eq!(is_for_dpdk("0000:00:03.0"), Some(false));
    assert_eq!(is_for_dpdk("0000:00:04.0"), None);
}
