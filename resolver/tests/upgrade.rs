//! Another program in place of the one that runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use names::Topic;
use netns_fixtures::lab;
use nix::sys::signal::{Signal, kill};

use crate::lifecycle::at;
use crate::stage::{DEADLINE, Stage, ask, is_alive, kill_dead, try_to_ask};

const DIRECTORY: &str = "/run/programs";
const PROGRAM: &str = "/run/programs/cais-dnsd";

/// Puts a program in the place of what is there, as packages do.
fn install(write: impl FnOnce(&Path)) {
    fs::create_dir_all(DIRECTORY).unwrap();
    let new = Path::new("/run/programs/new");
    write(new);
    fs::rename(new, PROGRAM).unwrap();
}

fn install_ours() {
    install(|path| {
        fs::copy(env!("CARGO_BIN_EXE_cais-dnsd"), path).unwrap();
    });
}

#[test]
fn case_62_both_processes_become_the_installed_program_and_no_query_is_lost() {
    lab(|lab| {
        install_ours();
        let stage = Stage::with_program_in(lab, Path::new(DIRECTORY));
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        let (worker, keeper) = (stage.worker(), stage.keeper());
        let runs = |pid| fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        install_ours();
        assert_ne!(runs(keeper), Path::new(PROGRAM), "it is not the file that is there now");
        stage.client().about(Topic::Upgrade).unwrap();
        let begun = Instant::now();
        let mut asked = 0;
        while stage.worker() == worker || runs(keeper) != Path::new(PROGRAM) {
            assert_eq!(try_to_ask(&web, server, "web"), Some(at(2)), "after {asked} queries");
            asked += 1;
            assert!(begun.elapsed() < DEADLINE, "the former program goes on");
        }
        assert_eq!(stage.keeper(), keeper);
        assert!(!is_alive(worker));
        // The keeper has the sockets still, and is a keeper in everything.
        kill_dead(stage.worker());
        assert_eq!(ask(&web, server, "web"), at(2));
        let db = stage.container("db", 3);
        assert_eq!(stage.register(&db, &stage.record(&db, 3)), server);
        assert_eq!(ask(&web, server, "db"), at(3));
        let worker = stage.worker();
        kill(keeper, Signal::SIGTERM).unwrap();
        while is_alive(keeper) || is_alive(worker) {
            assert!(begun.elapsed() < DEADLINE, "a signal is not heard any more");
        }
    });
}

#[test]
fn a_program_that_does_not_answer_does_not_take_the_place_of_one_that_does() {
    lab(|lab| {
        install_ours();
        let stage = Stage::with_program_in(lab, Path::new(DIRECTORY));
        let web = stage.container("web", 2);
        let server = stage.register(&web, &stage.record(&web, 2));
        let (worker, keeper) = (stage.worker(), stage.keeper());
        install(|path| {
            fs::write(path, "#!/bin/sh\n: >/run/programs/ran\nexit 1\n").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        });
        stage.client().about(Topic::Upgrade).unwrap();
        let begun = Instant::now();
        while !Path::new("/run/programs/ran").exists() {
            assert!(begun.elapsed() < DEADLINE, "the broken program is not tried");
        }
        while !stage.status().contains("the program that is installed now does not answer") {
            assert!(begun.elapsed() < DEADLINE, "nobody says so");
        }
        assert_eq!((stage.worker(), stage.keeper()), (worker, keeper));
        assert_eq!(ask(&web, server, "web"), at(2));
        install_ours();
        stage.client().about(Topic::Upgrade).unwrap();
        while stage.worker() == worker {
            assert!(begun.elapsed() < DEADLINE, "a sound program is not taken");
        }
        assert_eq!(ask(&web, server, "web"), at(2));
    });
}
