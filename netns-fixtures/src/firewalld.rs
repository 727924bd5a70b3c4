//! A real firewalld in a lab, with a system bus of its own.
//!
//! firewalld 1.3 runs in a lab as it is installed: it programs the firewall of its network
//! namespace, and of the machine it reads nothing but its own programs and the zones that come with
//! it. Its backend is nftables, as everywhere by default; the kernel needs nothing beyond what the
//! other cases need. Backend and zone are written down all the same, so that a machine whose
//! operator chose others shows the same.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use crate::watch::DEADLINE;
use crate::{Feature, Lab, Namespace, Process};

/// Where a bus listens that nobody configured: all programs in the lab find it there.
const SOCKET_DIRECTORY: &str = "/run/dbus";
/// Private, and in no snapshot.
const OWN: &str = "/run/lab/firewalld";

/// Lets everybody do everything: who may do what is the real bus's concern, and polkit's.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"#;

/// `CleanupOnExit` is the default as well: a firewalld that is stopped in good order takes its rules
/// away.
const CONFIG: &str = "DefaultZone=public\nFirewallBackend=nftables\nCleanupOnExit=yes\n";

const NAME: &str = "org.fedoraproject.FirewallD1";

/// A system bus at its usual place, `/run/dbus/system_bus_socket`; killed when dropped.
#[derive(Debug)]
pub struct SystemBus {
    host: Namespace,
    _daemon: Process,
}

impl SystemBus {
    /// Starts it on [`Lab::host`]; it answers when this returns. Ends the case where there is no
    /// `dbus-daemon`.
    ///
    /// # Panics
    /// When it does not listen within 20 s.
    #[must_use]
    #[track_caller]
    pub fn start(lab: &Lab) -> Self {
        lab.needs(Feature::Firewalld);
        create(SOCKET_DIRECTORY);
        let config = format!("{OWN}/bus.conf");
        write(&config, BUS);
        let mut daemon = lab.host().spawn(&format!(
            "dbus-daemon --config-file={config} --nofork --nopidfile --nosyslog --print-address=1"
        ));
        // It prints where it listens once it does.
        let (sender, receiver) = mpsc::channel();
        let mut lines = BufReader::new(daemon.stdout()).lines();
        let reader = thread::spawn(move || sender.send(lines.next()));
        let Ok(Some(Ok(_))) = receiver.recv_timeout(DEADLINE) else {
            panic!("dbus-daemon does not listen");
        };
        let _ = reader.join();
        Self { host: lab.host().clone(), _daemon: daemon }
    }

    /// Whether somebody owns firewalld's name, in the words of `dbus-send`.
    fn knows_firewalld(&self) -> bool {
        self.host
            .run(&format!(
                "dbus-send --system --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus \
                 org.freedesktop.DBus.NameHasOwner string:{NAME}"
            ))
            .contains("boolean true")
    }
}

/// A firewalld with zone `public` for everything, on a [`SystemBus`] of its own; killed when dropped.
#[derive(Debug)]
pub struct Firewalld {
    // Dropped first: without its bus firewalld would complain.
    daemon: Process,
    bus: SystemBus,
}

impl Firewalld {
    /// Starts it on [`Lab::host`]; it answers, and its rules are in force, when this returns. Ends
    /// the case where it is not installed.
    ///
    /// # Panics
    /// When it is not ready within 20 s, with its log.
    #[must_use]
    #[track_caller]
    pub fn start(lab: &Lab) -> Self {
        let bus = SystemBus::start(lab);
        write(&format!("{OWN}/etc/firewalld.conf"), CONFIG);
        let daemon = lab.host().spawn(&format!(
            "firewalld --nofork --nopid --system-config {OWN}/etc \
             --log-target file --log-file {OWN}/log"
        ));
        let this = Self { daemon, bus };
        let changes =
            format!("dbus-monitor --system type='signal',member='NameOwnerChanged',arg0='{NAME}'");
        let is_there = this.bus.host.wait_for_event(&changes, || this.bus.knows_firewalld());
        // It takes its name before it has set up its rules, and answers after.
        let answer = this.bus.host.try_run(&format!(
            "dbus-send --system --print-reply --reply-timeout={} --dest={NAME} \
             /org/fedoraproject/FirewallD1 org.freedesktop.DBus.Properties.Get string:{NAME} string:state",
            DEADLINE.as_millis()
        ));
        let state = crate::namespace::text(&answer.stdout);
        if !is_there || !state.contains("\"RUNNING\"") {
            let log = fs::read_to_string(format!("{OWN}/log")).unwrap_or_default();
            panic!(
                "firewalld is not ready: {state}{}\n{log}",
                crate::namespace::text(&answer.stderr)
            );
        }
        this
    }

    /// Runs `firewall-cmd` with `words`, split at blanks; gives back what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn cmd(&self, words: &str) -> String {
        self.bus.host.run(&format!("firewall-cmd {words}")).trim_end().to_owned()
    }

    /// The sources of a zone, as `firewall-cmd` lists them.
    ///
    /// # Panics
    /// When there is no such zone.
    #[must_use]
    #[track_caller]
    pub fn sources(&self, zone: &str) -> Vec<String> {
        let listed = self.cmd(&format!("--zone={zone} --list-sources"));
        listed.split_whitespace().map(str::to_owned).collect()
    }

    /// What an operator does after a change of the permanent configuration.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn reload(&self) {
        assert_eq!(self.cmd("--reload"), "success");
    }

    /// Ends it without a chance to clean up, and leaves its bus.
    #[must_use]
    pub fn kill(self) -> SystemBus {
        drop(self.daemon);
        self.bus
    }
}

#[track_caller]
fn create(directory: &str) {
    fs::create_dir_all(directory).unwrap_or_else(|error| panic!("create {directory}: {error}"));
}

#[track_caller]
fn write(path: &str, text: &str) {
    if let Some(directory) = Path::new(path).parent().and_then(Path::to_str) {
        create(directory);
    }
    fs::write(path, text).unwrap_or_else(|error| panic!("write {path}: {error}"));
}
