//! Dependencies between our crates point one way, downwards.

use crate::workspace::{Dependency, Package};

/// Each crate's height. A crate may use only lower ones, so two of the same height (two plugins,
/// or `ipam` and `cni`) never know each other.
const HEIGHTS: &[(&str, u8)] = &[
    ("types", 0),
    ("deadline", 0),
    ("cni", 1),
    ("kernel", 1),
    ("firewalld", 1),
    ("ipam", 1),
    ("peers", 1),
    ("netfilter", 2),
    ("control", 2),
    ("overlays", 3),
    ("tunnels", 3),
    ("names", 3),
    ("proxy", 3),
    ("ipam-cni", 2),
    ("attach", 2),
    ("pairs", 3),
    ("naming", 4),
    ("resolver", 4),
    ("bridges", 4),
    ("sublinks", 4),
    ("published", 4),
    ("forwarded", 4),
    ("overlay-agent", 4),
    ("cli", 5),
    ("bundle", 6),
    ("netns-fixtures", 2),
    ("tests", 7),
    ("corpora", 7),
    ("benches", 7),
    ("xtask", 7),
];

/// Height of every crate below `plugins/`.
const PLUGIN: u8 = 5;

/// Arrows that point downwards and are wrong all the same, and why.
const NEVER: &[(&str, &str, &str)] = &[
    ("tests", "cni", "conformance cases speak JSON, so that a bug cannot hide in both sides"),
    ("tests", "attach", "a test that uses the product's own code proves nothing"),
    ("netns-fixtures", "cni", "the lab must be able to judge other plugins"),
    ("cli", "attach", "the command talks to plugins, it is none"),
];

/// A lab may be used by every crate's tests, though it builds upon some of them.
const TEST_SUPPORT: &str = "netns-fixtures";

/// Complaints about the arrows between `packages`.
pub(super) fn check(packages: &[Package]) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in packages {
        let Some(own) = height(package) else {
            complaints.push(format!(
                "crate `{}` has no height: give it one in xtask/src/tidy/arrows.rs",
                package.name
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
            complaints.extend(wrong_arrow(packages, package, own, dependency));
        }
    }
    complaints
}

fn wrong_arrow(
    packages: &[Package],
    from: &Package,
    own: u8,
    dependency: &Dependency,
) -> Option<String> {
    let to = packages.iter().find(|package| package.name == dependency.name)?;
    if dependency.name == TEST_SUPPORT && !dependency.dev && own < 7 {
        return Some(format!("`{}` may use `{TEST_SUPPORT}` only in its tests", from.name));
    }
    if dependency.name == TEST_SUPPORT {
        return None;
    }
    if let Some((.., why)) =
        NEVER.iter().find(|(a, b, _)| *a == from.name && *b == to.name && !dependency.dev)
    {
        return Some(format!("`{}` must not depend on `{}`: {why}", from.name, to.name));
    }
    let upwards = height(to).is_some_and(|other| other >= own);
    upwards.then(|| {
        format!("`{}` must not depend on `{}`: arrows point downwards only", from.name, to.name)
    })
}

fn height(package: &Package) -> Option<u8> {
    if package.is_plugin() {
        return Some(PLUGIN);
    }
    HEIGHTS.iter().find(|(name, _)| *name == package.name).map(|(_, height)| *height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, uses: &[(&str, bool)]) -> Package {
        let dependency =
            |&(name, dev): &(&str, bool)| Dependency { name: name.into(), ours: true, dev };
        Package {
            name: name.into(),
            folder: folder.into(),
            binaries: Vec::new(),
            dependencies: uses.iter().map(dependency).collect(),
        }
    }

    fn complaints(from: Package) -> Vec<String> {
        let mut packages = vec![
            package("types", "types", &[]),
            package("cni", "cni", &[("types", false)]),
            package("attach", "attach", &[("cni", false), ("netns-fixtures", true)]),
            package("plugin-ptp", "plugins/ptp", &[("attach", false)]),
            package("netns-fixtures", "netns-fixtures", &[("types", false)]),
        ];
        packages.retain(|package| package.name != from.name);
        packages.push(from);
        check(&packages)
    }

    #[test]
    fn arrows_downwards_are_fine() {
        let bridge = package("plugin-bridge", "plugins/bridge", &[("attach", false)]);
        assert!(complaints(bridge).is_empty());
    }

    #[test]
    fn ipam_may_not_know_the_protocol() {
        let ipam = package("ipam", "ipam", &[("cni", false)]);
        assert_eq!(
            complaints(ipam),
            ["`ipam` must not depend on `cni`: arrows point downwards only"]
        );
    }

    #[test]
    fn plugins_do_not_know_each_other_even_in_tests() {
        let bridge = package("plugin-bridge", "plugins/bridge", &[("plugin-ptp", true)]);
        assert_eq!(complaints(bridge).len(), 1);
    }

    #[test]
    fn the_lab_is_for_tests_only() {
        let product = package("plugin-bridge", "plugins/bridge", &[("netns-fixtures", false)]);
        assert_eq!(
            complaints(product),
            ["`plugin-bridge` may use `netns-fixtures` only in its tests"]
        );
        let tests = package("tests", "tests", &[("netns-fixtures", false), ("cni", false)]);
        assert_eq!(complaints(tests).len(), 1, "only `cni` is wrong");
    }

    #[test]
    fn a_crate_without_a_height_is_named() {
        assert!(complaints(package("new", "new", &[]))[0].contains("`new` has no height"));
    }
}
