use kernel::addr;
use kernel::link::{self, Bridge, Dev, Veth};
use kernel::netlink::{Errno, Error};
use kernel::undo::Undo;

use crate::isolation::{cidr, dev, here, ip_link, isolated, link_names, name};

#[test]
fn a_batch_goes_on_after_a_refused_request_and_says_which_it_was() {
    isolated(|| {
        let socket = here();
        let answers = socket.batch(&[
            Bridge::new(name("br0")).create(),
            Bridge::new(name("br0")).create(),
            link::query(&name("br0")),
            Bridge::new(name("br1")).create(),
        ]);
        assert_eq!(answers.len(), 4);
        assert!(answers[0].is_ok() && answers[3].is_ok(), "{answers:?}");
        let refused = answers[1].as_ref().unwrap_err();
        assert!(refused.is_exists() && !refused.is_missing(), "{refused}");
        assert!(matches!(&answers[2], Ok(Some(_))), "{answers:?}");
        assert_eq!(link_names(), ["br0", "br1"]);
    });
}

#[test]
fn a_long_batch_gets_every_answer() {
    isolated(|| {
        let socket = here();
        socket.run(&Bridge::new(name("br0")).create()).unwrap();
        let br0 = dev(&socket, "br0");
        let host = |n: u32| cidr(&format!("10.0.{}.{}/32", n / 250, 1 + n % 250));
        let requests: Vec<_> = (0..1000).map(|n| addr::add(&br0, host(n))).collect();
        assert!(socket.batch(&requests).iter().all(Result::is_ok));
        assert_eq!(addr::list(&socket, &br0).unwrap().len(), 1000);
    });
}

#[test]
fn an_error_names_action_namespace_and_the_kernels_own_words() {
    isolated(|| {
        let socket = here();
        let error = socket.run(&Veth::new(name("same"), name("same")).create()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "create veth same in the test's namespace: EEXIST: File exists"
        );
        assert_eq!(error.hint().unwrap(), "`ip link show same` tells what the existing link is");

        socket.run(&Bridge::new(name("br0")).create()).unwrap();
        let master = Dev::new(dev(&socket, "br0").index, "br0");
        // A bridge cannot be a port of itself; the words are the kernel's.
        let error = socket.run(&link::set(&master).master(&master).request()).unwrap_err();
        let Error::Kernel { errno, text: Some(text) } = &error.source else { panic!("{error:?}") };
        assert_eq!(*errno, Errno::ELOOP);
        assert_eq!(&**text, "Can not enslave a bridge to a bridge");
        assert_eq!(
            error.to_string(),
            "set link br0 master br0 in the test's namespace: \
             Can not enslave a bridge to a bridge (ELOOP: Too many symbolic links encountered)"
        );
    });
}

#[test]
fn what_does_not_exist_is_missing_whatever_its_kind() {
    isolated(|| {
        let socket = here();
        socket.run(&Bridge::new(name("br0")).up().create()).unwrap();
        let br0 = dev(&socket, "br0");
        let address = "10.0.0.1".parse().unwrap();
        let gone = [
            link::delete(&name("nosuch")),
            link::query(4711),
            link::set(&name("nosuch")).up().request(),
            addr::del(&br0, cidr("10.0.0.1/24")),
            kernel::route::Route::to(cidr("10.9.0.0/24")).dev(&br0).del(),
            kernel::neigh::del(&br0, address),
            kernel::rule::Rule::lookup(types::Family::V4, 99).priority(7).del(),
        ];
        for (request, answer) in gone.iter().zip(socket.batch(&gone)) {
            let error = answer.unwrap_err();
            assert!(error.is_missing(), "{}: {error}", request.action());
        }
    });
}

#[test]
fn a_panic_after_a_step_takes_the_step_back() {
    isolated(|| {
        let socket = here();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Undo::run(|undo| -> Result<(), kernel::RequestError> {
                socket.run(&Bridge::new(name("br0")).create())?;
                undo.push("delete bridge br0", || Ok(socket.run(&link::delete(&name("br0")))?));
                socket.run(&Veth::new(name("v0"), name("v1")).create())?;
                undo.push("delete veth v0", || Ok(socket.run(&link::delete(&name("v0")))?));
                assert_eq!(ip_link("v0")["ifname"], "v0");
                panic!("on purpose")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(link_names(), [""; 0]);
    });
}

#[test]
fn a_failed_step_is_reported_with_what_could_not_be_taken_back() {
    isolated(|| {
        let socket = here();
        let failure = Undo::run(|undo| {
            undo.push("delete veth v9", || Ok(socket.run(&link::delete(&name("v9")))?));
            socket.run(&Bridge::new(name("br0")).create())?;
            undo.push("delete bridge br0", || Ok(socket.run(&link::delete(&name("br0")))?));
            socket.run(&Bridge::new(name("br0")).create())
        })
        .unwrap_err();
        assert_eq!(
            failure.to_string(),
            "create bridge br0 in the test's namespace: EEXIST: File exists; while undoing: \
             delete veth v9: delete link v9 in the test's namespace: ENODEV: No such device"
        );
        assert_eq!(link_names(), [""; 0]);
    });
}
