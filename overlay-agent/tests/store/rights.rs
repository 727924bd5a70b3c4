//! TLS, and what each host may do.

use std::fs;

use netns_fixtures::{Etcd, Lab, lab};
use overlay_agent::store::{EtcdConfig, Login, Number, State, StoreError, Tls};
use peers::HostId;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use types::Family;

use crate::stage::{Running, block_on, config as plain, me, name, network, soon};

/// An authority, and what it signs.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `common_name`, and its key; good for 127.0.0.1 as well.
    fn sign(&self, common_name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn tls(&self, common_name: &str) -> Tls {
        let (certificate, key) = self.sign(common_name);
        Tls { ca: self.pem().into(), identity: Some((certificate.into(), key.into())) }
    }
}

/// etcd with TLS, its users known by their certificates: `root`, and the hosts, which may use the
/// network blue.
fn guarded(lab: &Lab, authority: &Authority, hosts: &[&str]) -> Etcd {
    let file = |name: &str, text: &str| {
        let path = format!("/run/{name}.pem");
        fs::write(&path, text).unwrap();
        path
    };
    let ca = file("ca", &authority.pem());
    let (certificate, key) = authority.sign("");
    let (certificate, key) = (file("etcd", &certificate), file("etcd-key", &key));
    let options = format!(
        "--cert-file {certificate} --key-file {key} --client-cert-auth --trusted-ca-file {ca}"
    );
    let (certificate, key) = authority.sign("root");
    let (certificate, key) = (file("root", &certificate), file("root-key", &key));
    let access = format!("--cacert {ca} --cert {certificate} --key {key}");
    let mut etcd = Etcd::with_options(lab, "https", &options);
    etcd.ask_as(&access);
    grant(&etcd, hosts);
    etcd
}

/// Roles as the reference has them.
fn grant(etcd: &Etcd, hosts: &[&str]) {
    etcd.ctl("user add root:secret");
    etcd.ctl("user grant-role root root");
    for host in hosts {
        etcd.ctl(&format!("user add {host}:secret"));
        etcd.ctl(&format!("role add {host}"));
        etcd.ctl(&format!("user grant-role {host} {host}"));
        let permit = |rest: &str| etcd.ctl(&format!("role grant-permission {host} {rest}"));
        permit("read --prefix /overlay/v1/");
        permit(&format!("readwrite /overlay/v1/hosts/{host}"));
        permit(&format!("readwrite /overlay/v1/alive/{host}"));
        permit("readwrite --prefix /overlay/v1/vtep/");
        permit("readwrite --prefix /overlay/v1/blocks/blue/");
        permit(&format!("readwrite --prefix /overlay/v1/names/blue/{host}/"));
    }
    etcd.ctl("auth enable");
}

#[test]
fn a_host_does_with_its_certificate_what_it_may_and_nothing_else() {
    lab(|lab| {
        let authority = Authority::new();
        let etcd = guarded(lab, &authority, &["host-1", "host-2"]);
        block_on(async {
            let config = |user: &str| EtcdConfig { tls: Some(authority.tls(user)), ..plain(&etcd) };
            let mut admin = me(9);
            admin.host.id = "admin".parse::<HostId>().unwrap();
            let admin = Running::with(config("root"), admin, None);
            admin.ready().await;
            let blue = network("blue", &["10.77.0.0/16"]);
            let blue = admin.store.create_network(&blue, Number::Any).await.unwrap();
            let green = network("green", &["10.78.0.0/16"]);
            let green = admin.store.create_network(&green, Number::Any).await.unwrap();

            let a = Running::with(config("host-1"), me(1), None);
            a.ready().await;
            a.follow(&blue);
            let block = a.store.claim(&blue, Family::V4).await.unwrap().block;
            a.sees("its block", |view| view.blocks.contains_key(&blue.name)).await;
            let published = overlay_agent::store::Named {
                names: vec!["web".to_owned()],
                ips: vec!["10.77.4.5".parse().unwrap()],
            };
            let mut names = a.store.names();
            a.store.publish([((name("blue"), "c1-eth0".to_owned()), published)].into());
            let named = names.wait_for(|names| names.contains_key(&name("blue")));
            soon("its name", named).await.unwrap();

            let is_denied =
                |error: &StoreError| matches!(error, StoreError::Etcd(error) if error.is_denied());
            let error = a.store.claim(&green, Family::V4).await.unwrap_err();
            assert!(is_denied(&error), "{error}");
            assert_eq!(
                error.to_string(),
                "claim a block at etcd https://127.0.0.1:2379: permission denied"
            );
            let red = network("red", &["10.79.0.0/16"]);
            let error = a.store.create_network(&red, Number::Any).await.unwrap_err();
            assert!(is_denied(&error), "{error}");
            // Of what it has it gives back all; its own network stays usable.
            a.store.release(&blue, block.cidr).await.unwrap();

            // With another's certificate it cannot even say that it is there.
            let false_name = Running::with(config("host-2"), me(3), None);
            let mut state = false_name.store.state();
            let refused = state.wait_for(|state| matches!(state, State::Refused(_)));
            let State::Refused(error) = soon("it is refused", refused).await.unwrap().clone()
            else {
                unreachable!("it was waited for")
            };
            assert!(is_denied(&error), "{error}");
        });
    });
}

#[test]
fn neither_an_unknown_authority_nor_a_missing_certificate_gets_a_connection() {
    lab(|lab| {
        let authority = Authority::new();
        let etcd = guarded(lab, &authority, &["host-1"]);
        block_on(async {
            for (tls, says) in [
                (Authority::new().tls("host-1"), "invalid peer certificate"),
                (
                    Tls { ca: authority.pem().into(), identity: None },
                    "connection error: received fatal alert",
                ),
            ] {
                let config = EtcdConfig { tls: Some(tls), ..plain(&etcd) };
                let host = Running::with(config, me(1), None);
                // A connection that is closed meanwhile may be all that one try learns.
                let mut state = host.store.state();
                let told = state.wait_for(
                    |state| matches!(state, State::Away { reason } if reason.contains(says)),
                );
                drop(soon(says, told).await.unwrap());
                let blue = network("blue", &["10.77.0.0/16"]);
                let error = host.store.create_network(&blue, Number::Any).await.unwrap_err();
                assert!(matches!(error, StoreError::Away { .. }), "{error}");
            }
            assert!(etcd.keys("hosts/").is_empty());
        });
    });
}

#[test]
fn a_host_that_is_known_by_its_password_logs_in() {
    lab(|lab| {
        let mut etcd = Etcd::with_options(lab, "http", "--auth-token-ttl 1");
        grant(&etcd, &["host-1"]);
        etcd.ask_as("--user root:secret");
        block_on(async {
            let config = |password: &str| {
                let login = Login { name: "host-1".to_owned(), password: password.to_owned() };
                EtcdConfig { login: Some(login), ..plain(&etcd) }
            };
            let wrong = Running::with(config("wrong"), me(1), None);
            let mut state = wrong.store.state();
            let told = state.wait_for(|state| !matches!(state, State::Starting));
            let told = soon("it is told", told).await.unwrap().clone();
            let State::Away { reason } = told else { panic!("{told:?}") };
            assert!(reason.contains("authentication failed"), "{reason}");
            assert!(!reason.contains("wrong"), "no password is ever told: {reason}");
            wrong.crash().await;
            let right = Running::with(config("secret"), me(1), None);
            right.ready().await;
            assert_eq!(etcd.keys("hosts/"), ["hosts/host-1"]);
            // etcd forgets who does not ask for anything, and keeping a lease is not asking.
            let mut confirmed = right.store.confirmed();
            let first = confirmed.borrow_and_update().unwrap();
            let later = confirmed
                .wait_for(|at| at.is_some_and(|at| at - first > std::time::Duration::from_secs(3)));
            soon("it is kept for long", later).await.unwrap();
            let blue = network("blue", &["10.77.0.0/16"]);
            let error = right.store.network(&blue.name).await.unwrap_err();
            assert!(matches!(error, StoreError::NoNetwork(_)), "{error}");
        });
    });
}
