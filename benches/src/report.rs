//! What was measured: rows for people, raw series for later.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::call::Sample;
use crate::statistics::{Ratio, difference, median, quantile, ratio};

/// What is wanted of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Ours divided by the peer's is at most this; met when the interval allows it.
    Ratio(f64),
    /// Ours divided by the peer's is at least this, of what is better when it is more; met when the
    /// interval allows it.
    RatioAtLeast(f64),
    /// Ours is at most so much more than the peer's; met when the interval allows it.
    Beyond(f64),
    /// Our own figure is at most this.
    AtMost(f64),
    /// Our own figure is at least this.
    AtLeast(f64),
    /// For information.
    None,
}

/// One line of the table.
struct Row {
    what: String,
    unit: &'static str,
    ours: f64,
    /// The peer's figure and our ratio to it, or with [`Goal::Beyond`] what ours is more.
    peer: Option<(f64, Ratio)>,
    goal: Goal,
}

/// Rows and raw series of one run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    series: Vec<Value>,
}

impl Report {
    /// Adds two series that were measured in turns: wall time is judged, CPU time is shown.
    pub(crate) fn pair(&mut self, what: &str, ours: &[Sample], peer: &[Sample], goal: Goal) {
        let wall = |samples: &[Sample]| -> Vec<f64> { samples.iter().map(wall_ms).collect() };
        let cpu = |samples: &[Sample]| -> Vec<f64> { samples.iter().map(cpu_ms).collect() };
        self.sampled((format!("{what}, wall"), "ms"), &wall(ours), &wall(peer), goal);
        self.sampled((format!("{what}, CPU"), "ms"), &cpu(ours), &cpu(peer), Goal::None);
        self.keep(what, "ours", ours);
        self.keep(what, "peer", peer);
    }

    /// Adds two series of figures that were measured in turns.
    pub(crate) fn measured(
        &mut self,
        (what, unit): (&str, &'static str),
        ours: &[f64],
        peer: &[f64],
        goal: Goal,
    ) {
        self.sampled((what.to_owned(), unit), ours, peer, goal);
        self.series.push(json!({ "what": what, "unit": unit, "ours": ours, "peer": peer }));
    }

    /// Adds one pair of counted figures; 0 of the peer means that it has none.
    pub(crate) fn counted(
        &mut self,
        what: &str,
        unit: &'static str,
        (ours, peer): (f64, Option<f64>),
        goal: Goal,
    ) {
        let peer = peer.map(|peer| (peer, Ratio::exact(ours / peer)));
        self.rows.push(Row { what: what.to_owned(), unit, ours, peer, goal });
        self.series.push(json!({ "what": what, "unit": unit, "ours": ours,
            "peer": peer.map(|(figure, _)| figure) }));
    }

    /// The rows as a Markdown table.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| what | unit | ours | peer | ours / peer (95 %) | goal | met |\n\
             |---|---|---:|---:|---|---|---|\n",
        );
        for row in &self.rows {
            let (peer, ratio) = match &row.peer {
                None => ("–".to_owned(), "–".to_owned()),
                Some((figure, ratio)) => (round(*figure), shown(ratio)),
            };
            let goal = match row.goal {
                Goal::Ratio(goal) => format!("≤ {goal} ×"),
                Goal::RatioAtLeast(goal) => format!("≥ {goal} ×"),
                Goal::Beyond(goal) => format!("≤ + {goal}"),
                Goal::AtMost(goal) => format!("≤ {goal}"),
                Goal::AtLeast(goal) => format!("≥ {goal}"),
                Goal::None => String::new(),
            };
            let met = match row.met() {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            let cells = [&row.what, row.unit, &round(row.ours), &peer, &ratio, &goal, met];
            table.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        table
    }

    /// Whether no goal was missed.
    pub(crate) fn goals_met(&self) -> bool {
        self.rows.iter().all(|row| row.met() != Some(false))
    }

    /// Writes raw series, table and what is known of the machine to `<folder>/<date>.json`,
    /// with the name of what was measured after the date where it was not everything.
    pub(crate) fn save(&self, folder: &Path, whole: &str) -> Result<PathBuf> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let machine = json!({
            "kernel": read("/proc/sys/kernel/osrelease").trim(),
            "processor": read("/proc/cpuinfo").lines().find_map(|line| {
                line.strip_prefix("model name").map(|name| name.trim_start_matches([':', '\t', ' ']).to_owned())
            }),
            "processors": std::thread::available_parallelism().map_or(0, usize::from),
        });
        let all = json!({ "seconds_since_1970": now, "machine": machine,
            "table": self.table().lines().collect::<Vec<_>>(), "series": self.series });
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let path = folder.join(match whole {
            "" => format!("{}.json", date(now)),
            family => format!("{}-{family}.json", date(now)),
        });
        fs::write(&path, format!("{}\n", serde_json::to_string(&all)?))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    fn sampled(
        &mut self,
        (what, unit): (String, &'static str),
        ours: &[f64],
        peer: &[f64],
        goal: Goal,
    ) {
        let against = if matches!(goal, Goal::Beyond(_)) { difference } else { ratio };
        let peer = (!peer.is_empty()).then(|| (median(peer), against(ours, peer)));
        self.rows.push(Row { what, unit, ours: median(ours), peer, goal });
    }

    fn keep(&mut self, what: &str, subject: &str, samples: &[Sample]) {
        let wall: Vec<f64> = samples.iter().map(wall_ms).collect();
        self.series.push(json!({
            "what": what,
            "subject": subject,
            "wall_ms": wall,
            "wall_ms_p10": quantile(&wall, 0.1),
            "cpu_ms": samples.iter().map(cpu_ms).collect::<Vec<_>>(),
            "minor_faults": samples.iter().map(|sample| sample.minor_faults).collect::<Vec<_>>(),
        }));
    }
}

impl Row {
    /// Whether the goal was met, `None` without one.
    fn met(&self) -> Option<bool> {
        match (self.goal, &self.peer) {
            (Goal::Ratio(goal), Some((_, ratio))) => Some(ratio.low <= goal),
            (Goal::RatioAtLeast(goal), Some((_, ratio))) => Some(ratio.high >= goal),
            (Goal::Beyond(goal), Some((_, more))) => Some(more.low <= goal),
            (Goal::AtMost(goal), _) => Some(self.ours <= goal),
            (Goal::AtLeast(goal), _) => Some(self.ours >= goal),
            (Goal::Ratio(_) | Goal::RatioAtLeast(_) | Goal::Beyond(_), None) | (Goal::None, _) => {
                None
            }
        }
    }
}

fn wall_ms(sample: &Sample) -> f64 {
    sample.wall.as_secs_f64() * 1e3
}

fn cpu_ms(sample: &Sample) -> f64 {
    sample.cpu.as_secs_f64() * 1e3
}

fn shown(ratio: &Ratio) -> String {
    match ratio.low == ratio.high {
        true => round(ratio.value),
        false => format!("{} ({} … {})", round(ratio.value), round(ratio.low), round(ratio.high)),
    }
}

/// Three digits are more than such measurements carry.
fn round(figure: f64) -> String {
    let digits = match figure.abs() {
        x if x >= 100.0 => 0,
        x if x >= 10.0 => 1,
        x if x >= 1.0 => 2,
        x if x >= 0.1 => 3,
        _ => 5,
    };
    format!("{figure:.digits$}")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The day in UTC as `2026-11-23`: civil from days, in the proleptic Gregorian calendar.
fn date(seconds_since_1970: u64) -> String {
    // Years are counted from March, so that the day of a leap year comes last; an era is 400 years.
    let days = seconds_since_1970 / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn samples(milliseconds: u64) -> Vec<Sample> {
        let wall = Duration::from_millis(milliseconds);
        vec![Sample { wall, cpu: wall / 2, minor_faults: 7 }; 10]
    }

    #[test]
    fn a_goal_is_judged_by_the_ratio_of_wall_times() {
        let mut report = Report::default();
        report.pair("ADD", &samples(2), &samples(10), Goal::Ratio(0.3));
        assert!(report.goals_met(), "{}", report.table());
        report.pair("DEL", &samples(5), &samples(10), Goal::Ratio(0.3));
        assert!(!report.goals_met());
        let table = report.table();
        assert!(
            table.contains("| ADD, wall | ms | 2.00 | 10.0 | 0.200 | ≤ 0.3 × | yes |"),
            "{table}"
        );
        assert!(
            table.contains("| DEL, wall | ms | 5.00 | 10.0 | 0.500 | ≤ 0.3 × | **no** |"),
            "{table}"
        );
    }

    #[test]
    fn counted_figures_have_goals_of_their_own() {
        let mut report = Report::default();
        report.counted("memory", "kB", (1_900.0, Some(7_000.0)), Goal::AtMost(2_500.0));
        report.counted("leases", "1/s", (1_200.0, None), Goal::AtLeast(1_000.0));
        assert!(report.goals_met());
        report.counted("leases", "1/s", (900.0, None), Goal::AtLeast(1_000.0));
        assert!(!report.goals_met());
    }

    #[test]
    fn days_are_named_as_calendars_name_them() {
        for (seconds, name) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_795_392_000, "2026-11-23"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(seconds), name);
        }
    }
}
