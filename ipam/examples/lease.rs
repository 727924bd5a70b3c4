//! Measures the lease store as plugins use it: one process per call.
//!
//! ```text
//! lease bench table|host-local FOLDER HELD CALLS   add and del of one lease, HELD others being held
//! lease storm table|host-local FOLDER HELD CALLS   CALLS adds by 64 processes at a time
//! ```
//!
//! Both fill a /16 in FOLDER first. The other verbs are the single calls that they measure.

use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};
use std::{env, error, fs};

use ipam::{Durability, Host, Owner, RangeSets, RangeSpec, Request, Store};

type Outcome = Result<(), Box<dyn error::Error>>;

/// Processes at once in a storm.
const AT_ONCE: usize = 64;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Outcome {
    match *words {
        ["none", ..] => Ok(()),
        ["add", kind, folder, id] => add(&store(kind, folder), &pool()?, id),
        ["del", kind, folder, id] => {
            let owner = Owner::new(&id.parse()?, &"eth0".parse()?);
            store(kind, folder).release(&owner, Durability::Lazy, &Host::current())?;
            Ok(())
        }
        ["bench", kind, folder, held, calls] => bench(kind, folder, held.parse()?, calls.parse()?),
        ["storm", kind, folder, held, calls] => storm(kind, folder, held.parse()?, calls.parse()?),
        _ => Err("lease bench|storm table|host-local FOLDER HELD CALLS".into()),
    }
}

fn store(kind: &str, folder: &str) -> Store {
    let folder = Path::new(folder);
    if kind == "table" {
        Store::table(folder.join("leases"))
    } else {
        Store::host_local(folder.join("networks/bench"), folder.join("index/bench"))
    }
}

fn pool() -> Result<RangeSets, Box<dyn error::Error>> {
    let subnet = "10.1.0.0/16".parse()?;
    Ok(RangeSets::new(vec![vec![RangeSpec { subnet, start: None, end: None, gateway: None }]])?)
}

fn add(store: &Store, pool: &RangeSets, id: &str) -> Outcome {
    let owner = Owner::new(&id.parse()?, &"eth0".parse()?);
    store.allocate(&Request::new(pool, &owner), &Host::current())?;
    Ok(())
}

fn fill(kind: &str, folder: &str, held: usize) -> Outcome {
    fs::create_dir_all(folder)?;
    let (store, pool) = (store(kind, folder), pool()?);
    let there = store.held(&Host::current())?;
    for number in there..held {
        add(&store, &pool, &format!("{number:064x}"))?;
    }
    Ok(())
}

fn spawn(words: &[&str]) -> Result<Child, Box<dyn error::Error>> {
    Ok(Command::new(env::current_exe()?).args(words).spawn()?)
}

fn bench(kind: &str, folder: &str, held: usize, calls: usize) -> Outcome {
    fill(kind, folder, held)?;
    let (mut none, mut adds, mut dels) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..calls {
        let id = format!("bench{number:059x}");
        for (verb, times) in [("none", &mut none), ("add", &mut adds), ("del", &mut dels)] {
            let start = Instant::now();
            if !spawn(&[verb, kind, folder, &id])?.wait()?.success() {
                return Err(format!("{verb} {id} failed").into());
            }
            times.push(start.elapsed());
        }
    }
    println!("{kind}, {held} held, {calls} calls, whole process in microseconds: p10 / median");
    for (verb, times) in [("none", &mut none), ("add", &mut adds), ("del", &mut dels)] {
        times.sort_unstable();
        let at = |percent: usize| times[times.len() * percent / 100].as_micros();
        println!("  {verb:4} {} / {}", at(10), at(50));
    }
    Ok(())
}

fn storm(kind: &str, folder: &str, held: usize, calls: usize) -> Outcome {
    fill(kind, folder, held)?;
    let start = Instant::now();
    let mut running: Vec<Child> = Vec::new();
    for number in 0..calls {
        if running.len() == AT_ONCE && !running.remove(0).wait()?.success() {
            return Err("an add failed".into());
        }
        running.push(spawn(&["add", kind, folder, &format!("storm{number:059x}")])?);
    }
    for mut child in running {
        if !child.wait()?.success() {
            return Err("an add failed".into());
        }
    }
    let elapsed: Duration = start.elapsed();
    let rate = calls as f64 / elapsed.as_secs_f64();
    println!("{kind}, {held} held, {AT_ONCE} processes at once: {rate:.0} leases per second");
    for number in 0..calls {
        run(&["del", kind, folder, &format!("storm{number:059x}")])?;
    }
    Ok(())
}
