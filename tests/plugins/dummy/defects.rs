//! Defects of the reference.

use serde_json::json;

use super::{attached, lab_with_dummies, with_ipam, with_pool};
use crate::battery::{Family, USUAL};
use crate::fake::Fake;
use crate::under_test::{BOOKKEEPING, OF_THE_STORE, leases, unlike_reference};

#[test]
fn a_dummy_is_taken_back_when_ipam_gives_no_address() {
    lab_with_dummies(|lab| {
        let c = lab.container("c1");
        let ipam = Fake::answering("fake", &json!({ "cniVersion": USUAL, "ips": [] }));
        let before = lab.snapshot();
        let call = lab.plugin("dummy").container(&c).config(&with_ipam(json!({ "type": "fake" })));
        call.env("CNI_PATH", Fake::path(&lab.plugins())).verb("ADD").run().error();
        unlike_reference(lab, "leaves link and lease when IPAM gives no address [E]", || {
            lab.assert_unchanged_but(
                &before,
                &[OF_THE_STORE, BOOKKEEPING, &["/run/fakes"]].concat(),
            );
            assert_eq!(ipam.verbs(), ["ADD", "DEL"]);
        });
    });
}

/// A plain file is what is left at the path when a pin is undone, but not removed.
#[test]
fn del_of_dummy_takes_a_stale_file_as_a_namespace_that_is_gone() {
    lab_with_dummies(|lab| {
        let config = with_pool(Family::V4);
        let c = attached(lab, "c1", &config);
        c.remove();
        std::fs::write(c.path(), "").unwrap();
        let call = lab.plugin("dummy").container(&c).config(&config).verb("DEL");
        unlike_reference(lab, "fails for ever on a stale file [E]", || call.run().is_silent());
        assert_eq!(leases(), [""; 0]);
        std::fs::remove_file(c.path()).unwrap();
    });
}

#[test]
fn mtu_and_advmss_of_routes_of_dummy_are_made() {
    lab_with_dummies(|lab| {
        let routes =
            json!([{ "dst": "10.8.0.0/16", "gw": "10.1.0.7", "mtu": 1300, "advmss": 1200 }]);
        Fake::answering(
            "fake",
            &json!({ "cniVersion": USUAL, "routes": routes,
                "ips": [{ "address": "10.1.0.5/24" }] }),
        );
        let c = lab.container("c1");
        let call = lab.plugin("dummy").container(&c).config(&with_ipam(json!({ "type": "fake" })));
        call.env("CNI_PATH", Fake::path(&lab.plugins())).verb("ADD").run().succeeded();
        unlike_reference(lab, "makes the route without them [E]", || {
            let route = c.run("ip route show 10.8.0.0/16");
            assert!(route.contains("mtu 1300") && route.contains("advmss 1200"), "{route}");
        });
    });
}
