//! The host's own list of servers, and how it changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netns_fixtures::lab;
use resolver::upstream::{HostFiles, Watch};
use tokio::time::timeout;

use super::stage::run;

/// Twice as long as a change may take to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files below the lab's own `/run`.
fn files() -> HostFiles {
    let root = Path::new("/run/host");
    fs::create_dir_all(root.join("etc")).unwrap();
    HostFiles {
        resolv_conf: root.join("etc/resolv.conf"),
        resolved: root.join("resolved.conf"),
        network_manager: root.join("manager.conf"),
    }
}

fn servers(files: &HostFiles) -> Vec<(String, bool)> {
    let read = files.read().unwrap();
    let name =
        |server: &resolver::upstream::Server| (server.address.ip().to_string(), server.last_resort);
    read.servers.iter().map(name).collect()
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn case_64_a_file_that_is_replaced_by_rename_twice_is_seen_both_times() {
    lab(|_| {
        run(async {
            let files = files();
            replace(&files.resolv_conf, "nameserver 192.0.2.1\n");
            let mut watch = Watch::new(files.paths());
            assert_eq!(servers(&files), [("192.0.2.1".to_owned(), false)]);
            for number in 2..4 {
                let wanted = [(format!("192.0.2.{number}"), false)];
                replace(&files.resolv_conf, &format!("nameserver 192.0.2.{number}\n"));
                while servers(&files) != wanted {
                    timeout(PATIENCE, watch.changed()).await.expect("the change is seen");
                }
                // What the rename left in the queue must not count for the next one.
                while timeout(Duration::from_millis(100), watch.changed()).await.is_ok() {}
            }
        });
    });
}

/// Makes `change` once everything before it was seen, and waits until that is seen.
async fn sees(watch: &mut Watch, change: impl FnOnce()) {
    while timeout(Duration::from_millis(100), watch.changed()).await.is_ok() {}
    change();
    timeout(PATIENCE, watch.changed()).await.expect("the change is seen");
}

#[test]
fn case_64_changes_behind_a_symlink_are_seen_and_so_is_another_target() {
    lab(|_| {
        run(async {
            let files = files();
            let target = |name: &str| -> PathBuf {
                let path = Path::new("/run/host").join(name).join("stub.conf");
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                path
            };
            let (one, two) = (target("one"), target("two"));
            fs::write(&one, "nameserver 192.0.2.1\n").unwrap();
            fs::write(&two, "nameserver 192.0.2.2\n").unwrap();
            symlink("../one/stub.conf", &files.resolv_conf).unwrap();
            let mut watch = Watch::new([&*files.resolv_conf]);
            sees(&mut watch, || replace(&one, "nameserver 192.0.2.3\n")).await;
            sees(&mut watch, || fs::write(&one, "nameserver 192.0.2.4\n").unwrap()).await;
            sees(&mut watch, || {
                let new = files.resolv_conf.with_extension("new");
                symlink("../two/stub.conf", &new).unwrap();
                fs::rename(new, &files.resolv_conf).unwrap();
            })
            .await;
            assert_eq!(servers(&files), [("192.0.2.2".to_owned(), false)]);
            sees(&mut watch, || replace(&two, "nameserver 192.0.2.5\n")).await;
            assert_eq!(servers(&files), [("192.0.2.5".to_owned(), false)]);
        });
    });
}

#[test]
fn case_64_a_file_whose_directory_comes_later_is_seen() {
    lab(|_| {
        run(async {
            let path = Path::new("/run/host/later/resolv.conf");
            let mut watch = Watch::new([path]);
            sees(&mut watch, || {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "nameserver 192.0.2.1\n").unwrap();
            })
            .await;
        });
    });
}

#[test]
fn case_64_without_a_change_nothing_is_seen() {
    lab(|_| {
        run(async {
            let files = files();
            fs::write(&files.resolv_conf, "nameserver 192.0.2.1\n").unwrap();
            let mut watch = Watch::new(files.paths());
            // Longer than from one look to the next.
            assert!(timeout(Duration::from_secs(6), watch.changed()).await.is_err());
        });
    });
}

#[test]
fn case_65_a_resolver_on_loopback_is_asked_itself_and_who_it_asks_only_behind_it() {
    lab(|_| {
        let files = files();
        fs::write(&files.resolv_conf, "nameserver 127.0.0.53\noptions edns0 trust-ad\n").unwrap();
        let local = ("127.0.0.53".to_owned(), false);
        assert_eq!(servers(&files), std::slice::from_ref(&local));
        fs::write(&files.resolved, "nameserver 192.0.2.1\nnameserver 127.0.0.1\n").unwrap();
        fs::write(&files.network_manager, "nameserver 192.0.2.2\n").unwrap();
        assert_eq!(servers(&files), [local, ("192.0.2.1".to_owned(), true)]);

        fs::write(&files.resolv_conf, "nameserver 127.0.0.1\n").unwrap();
        let expected = [("127.0.0.1".to_owned(), false), ("192.0.2.2".to_owned(), true)];
        assert_eq!(servers(&files), expected);

        fs::write(&files.resolv_conf, "nameserver 192.0.2.9\nnameserver 127.0.0.53\n").unwrap();
        let expected = [("192.0.2.9".to_owned(), false), ("127.0.0.53".to_owned(), false)];
        assert_eq!(servers(&files), expected);
    });
}

#[test]
fn a_missing_list_is_an_error_that_names_it() {
    lab(|_| {
        let error = files().read().unwrap_err();
        assert!(error.to_string().contains("/run/host/etc/resolv.conf"), "{error}");
    });
}
