//! What a host asks etcd for while nothing happens.

use std::time::Duration;

use anyhow::Result;

use super::pause;
use super::town::Town;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// Hosts, and how long they are watched: a listing, every ten minutes, is rarely among it.
const HOSTS: u16 = 3;
const TIME: Duration = Duration::from_secs(2 * 60);

/// Counted over a while, and told for an hour.
pub(crate) fn hour(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let town = Town::new(options, scratch, "hour");
    let config = town.config("blue", &["10.77.0.0/16".to_owned()]);
    for number in 1..=HOSTS {
        town.host(number)?.take_part(&config)?;
    }
    pause(Duration::from_secs(2));
    let figures = || {
        let received = |method: &str| {
            let method = format!("grpc_method=\"{method}\"");
            town.etcd.figure("grpc_server_msg_received_total{", &[&method])
        };
        [received("LeaseKeepAlive"), received("Range"), received("Txn") + received("Put")]
    };
    let before = figures();
    let time = if options.smoke { Duration::from_secs(2) } else { TIME };
    pause(time);
    let after = figures();
    let hours = time.as_secs_f64() / 3600.0 * f64::from(HOSTS);
    let goals = [Goal::AtMost(185.0), Goal::None, Goal::AtMost(0.0)];
    let goals = if options.smoke { [Goal::None; 3] } else { goals };
    let whats = ["signs of life to etcd", "reads of etcd", "transactions of etcd"];
    for (place, (what, goal)) in whats.into_iter().zip(goals).enumerate() {
        let each = (after[place] - before[place]) / hours;
        report.counted(&format!("{what}, each hour of a host"), "", (each, None), goal);
    }
    Ok(())
}
