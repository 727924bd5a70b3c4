//! Every command with its options. Help, shell completions and man pages are made of this.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

const EXIT_STATUS: &str = "\
Exit status:
  0        success; also when the reader of the output went away
  1        it failed; the reason and a hint are on standard error
  2        wrong usage
  run, exec and lab pass on the exit status of their command, 128 + N when signal N ended it.
  Of their own they have 125 (cais failed), 126 (the command cannot be run), 127 (no such command).

Environment:
  NETCONFPATH  where networks are found; default /etc/cni/net.d, then /etc/cais/net.d
  CNI_PATH     where plugins are found, separated by `:`; default the directory of cais itself,
               /opt/cni/bin, /usr/libexec/cni, /usr/lib/cni
  CNI_IFNAME   default of --ifname
  CNI_ARGS     default of --args
  CAP_ARGS     capability values as one JSON object; --capability goes before it
  CAIS_ROOT    put before every path of state and configuration";

/// Where most runtimes look for plugins.
const PLUGIN_DIR: &str = "/opt/cni/bin";

/// Networks for containers, by hand
///
/// Attaches network namespaces to CNI networks as a container runtime does, shows every step, and
/// runs commands in namespaces that it makes. Networks, ids and records are those of cnitool and
/// libcni: both can be mixed.
#[derive(Debug, Parser)]
#[command(name = "cais", version, after_help = EXIT_STATUS, propagate_version = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cais {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of all commands.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Print JSON: results on standard output, an error object there when it fails
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show every call of a plugin: environment, input, output, time
    #[arg(long, global = true)]
    pub(crate) trace: bool,
    /// Stop a plugin that takes longer
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 240)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Attach a namespace to a network, and print the result
    ///
    /// When a plugin fails, what it and the plugins before it made is removed again.
    Add(Attach),
    /// Compare an attachment with what was made for it
    Check(Attach),
    /// Detach a namespace from a network
    ///
    /// A plugin that fails keeps no other from cleaning up. What was never attached is success.
    Del(Detach),
    /// Remove what a network holds for namespaces that are gone
    ///
    /// Without --keep everything stays whose namespace is there, and plugins that might take the
    /// missing list for an empty one are not asked.
    Gc(Gc),
    /// Ask the plugins of a network whether they can serve it
    Status(OfNetwork),
    /// Write the packet filter's rules of all living attachments again
    ///
    /// For hosts whose ruleset was flushed, by `nft flush ruleset` or a restart of nftables or
    /// firewalld. The tables of cais come back in one transaction, rules of others are left alone.
    Reload,
    /// Give all living attachments back to the reference plugins
    ///
    /// Writes masquerade and published ports in their layouts and removes the tables of cais. Leases
    /// are in their files already. What they do not have, such as networks kept apart, ends.
    Handback,
    /// Put the plugins into a runtime's directory, and a network last
    ///
    /// Each file comes by rename, so that a runtime meets the old or the new one. Files of others that
    /// are replaced are kept, and come back by `cais uninstall`.
    Install(Install),
    /// Take away what `cais install` put, after living attachments were handed back
    Uninstall(Uninstall),
    /// Show the versions that the plugins of a network speak
    Version(Version),
    /// List what is attached
    Attachments(Attachments),
    /// Say what is wrong in a configuration, where, and what was probably meant
    Validate(OfNetwork),
    /// Ask the daemon of container names, and tell it what to do
    Dns(Dns),
    /// Networks over several hosts: make them, look at hosts and blocks, join
    ///
    /// Asks the daemon of this host, cais-overlayd, which is started where none runs.
    Overlay(Overlay),
    /// Print the resolv.conf of a container
    ///
    /// For runtimes that do not look at the name servers which its networks give.
    Resolvconf(Resolvconf),
    /// Run a command in a new namespace on networks
    ///
    /// Makes a namespace, attaches it as eth0, eth1, ..., runs the command in it, passes on signals
    /// and the exit status, and removes everything afterwards. /sys, /etc/resolv.conf and /etc/hosts
    /// fit.
    Run(Run),
    /// Run a command in a namespace that exists
    Exec(Exec),
    /// Run a command, or a shell, in a private place to try networks, without root
    ///
    /// A user, a network and a mount namespace with an empty /run and /var/lib/cni, in which all
    /// other commands work. Everything made in there goes with its last process.
    Lab(Lab),
    /// Make, remove and list named namespaces, as `ip netns` does
    Netns(Netns),
    /// Print the completions of a shell
    Completions(Completions),
    /// Write the man pages
    Man(Man),
}

#[derive(Args, Debug)]
pub(crate) struct Attach {
    /// Network: its name, or the path of its configuration
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) network: String,
    /// Namespace: a name below /run/netns, a process id, a path, or the name of a `cais run`
    #[arg(value_name = "NAMESPACE", value_hint = ValueHint::AnyPath)]
    pub(crate) netns: String,
    #[command(flatten)]
    pub(crate) attachment: Attachment,
}

#[derive(Args, Debug)]
pub(crate) struct Install {
    /// Directory of the programs; that of cais itself when left out
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) from: Option<PathBuf>,
    /// Directory in which runtimes look for plugins
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(default_value = PLUGIN_DIR)]
    pub(crate) to: PathBuf,
    /// Network to give to the runtime, when all plugins are there; several are possible
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) network: Vec<PathBuf>,
    /// Directory in which runtimes look for networks
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(default_value = "/etc/cni/net.d")]
    pub(crate) net_dir: PathBuf,
    /// Wait for SIGTERM afterwards, as a container of a DaemonSet has to
    #[arg(long)]
    pub(crate) stay: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Uninstall {
    /// Directory that the plugins were put into
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(default_value = PLUGIN_DIR)]
    pub(crate) to: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Detach {
    /// Network: its name, or the path of its configuration
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) network: String,
    /// Namespace; may be gone, and may be left out when --id is given
    #[arg(value_name = "NAMESPACE", value_hint = ValueHint::AnyPath)]
    #[arg(required_unless_present = "id")]
    pub(crate) netns: Option<String>,
    #[command(flatten)]
    pub(crate) attachment: Attachment,
}

#[derive(Args, Debug)]
pub(crate) struct Attachment {
    /// Container id; default is cnitool's, made of the namespace's path
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Interface inside the namespace; default $CNI_IFNAME, else eth0
    #[arg(long, short)]
    pub(crate) ifname: Option<String>,
    #[command(flatten)]
    pub(crate) values: Values,
}

#[derive(Args, Debug)]
pub(crate) struct Values {
    /// CNI_ARGS for the plugins: `KEY=VALUE;KEY=VALUE`, or several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) args: Vec<String>,
    /// Value of a capability as JSON, such as 'ips=["10.1.0.7/24"]'; several times
    #[arg(long, value_name = "NAME=JSON")]
    pub(crate) capability: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct OfNetwork {
    /// Network: its name, or the path of its configuration
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) network: String,
}

#[derive(Args, Debug)]
pub(crate) struct Gc {
    /// Network: its name, or the path of its configuration
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) network: String,
    /// Keep exactly these attachments, several times; everything else of the network goes
    #[arg(long, value_name = "ID[/IFNAME]")]
    pub(crate) keep: Vec<String>,
    /// Keep nothing
    #[arg(long, conflicts_with = "keep")]
    pub(crate) keep_none: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Version {
    /// Network: its name, or the path of its configuration; without it, cais itself
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) network: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Attachments {
    /// Of this network only
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Networks, separated by commas: names, or paths of configurations
    #[arg(value_name = "NETWORK[,NETWORK...]", value_hint = ValueHint::FilePath)]
    #[arg(required_unless_present = "network")]
    pub(crate) networks: Option<String>,
    /// A network; several times, after those given without an option
    #[arg(long, value_name = "NETWORK", value_hint = ValueHint::FilePath)]
    pub(crate) network: Vec<String>,
    /// Container id, by which exec and the other commands find it; default is a new one
    #[arg(long, value_name = "ID")]
    pub(crate) name: Option<String>,
    /// Another name by which it is found on its networks, where these have names; several times
    #[arg(long, value_name = "NAME")]
    pub(crate) alias: Vec<String>,
    /// A name server to ask what is no container's name; several times
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dns: Vec<String>,
    /// A line of its /etc/hosts; several times
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(crate) add_host: Vec<String>,
    #[command(flatten)]
    pub(crate) values: Values,
    /// Command and its arguments; default is a shell
    #[arg(last = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct Dns {
    #[command(subcommand)]
    pub(crate) command: DnsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// What it is, which networks it knows, where it listens, whom it asks
    Status,
    /// All names with their addresses, one JSON object per line
    Dump,
    /// Counters in Prometheus' text format
    Metrics,
    /// Forget the answers of others
    Flush,
    /// Read all records and the configuration again
    Reload,
    /// Let the program that is installed now take over
    Upgrade,
    /// Answer a question as a container would be answered
    Resolve(Resolve),
}

#[derive(Args, Debug)]
pub(crate) struct Resolve {
    /// Container id of who asks
    pub(crate) container: String,
    /// Name asked for
    pub(crate) name: String,
    /// Type of the records
    #[arg(default_value = "A")]
    pub(crate) kind: String,
}

#[derive(Args, Debug)]
pub(crate) struct Overlay {
    #[command(subcommand)]
    pub(crate) command: OverlayCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OverlayCommand {
    /// What this host follows, which networks it takes part in, and with which blocks
    Status,
    /// What is in the way; exit status 1 when something is
    Doctor,
    /// Write this host's configuration, and follow the store
    ///
    /// Example: cais overlay join --endpoint https://192.0.2.5:2379 --ca /etc/cais/ca.pem
    Join(JoinOverlay),
    /// Take this host out of the store, with all its blocks
    ///
    /// For a host that is given away: its containers keep addresses that others may get.
    Leave,
    /// Compare and mend all networks of this host now
    Reload,
    /// Networks of the store
    Network(OverlayNetworks),
    /// Hosts of the store
    Host(OverlayHosts),
    /// Blocks of addresses
    Block(OverlayBlocks),
}

#[derive(Args, Debug)]
pub(crate) struct JoinOverlay {
    /// A member of etcd, as https://192.0.2.5:2379; may be repeated
    #[arg(long, required = true, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) endpoint: Vec<String>,
    /// File with the certificate that signed the members'
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Option<String>,
    /// File with this host's certificate
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub(crate) cert: Option<String>,
    /// File with its key
    #[arg(long, value_name = "FILE", requires = "cert", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<String>,
    /// Whom etcd knows this host as, where certificates do not say
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(crate) user: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "user", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<String>,
    /// Below which keys are; default /overlay/v1
    #[arg(long, value_name = "PATH")]
    pub(crate) prefix: Option<String>,
    /// An address by which the others reach this host; default: of the link with the default route
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) underlay: Vec<std::net::IpAddr>,
    /// What people call this host; default: its host name
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct OverlayNetworks {
    #[command(subcommand)]
    pub(crate) command: OfOverlay,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OfOverlay {
    /// All networks
    Ls,
    /// One network, with who has which blocks, as JSON
    Inspect(NamedOverlay),
    /// Make a network
    ///
    /// Example: cais overlay network create blue --pool 10.77.0.0/16 --pool fd77::/48
    Create(CreateOverlay),
    /// Remove a network that no host has blocks of
    Rm(NamedOverlay),
}

#[derive(Args, Debug)]
pub(crate) struct NamedOverlay {
    /// Name of the network
    pub(crate) network: String,
}

#[derive(Args, Debug)]
pub(crate) struct CreateOverlay {
    /// Name of the network
    pub(crate) network: String,
    /// All its addresses, as 10.77.0.0/16; one of each family
    #[arg(long, required = true, value_name = "CIDR")]
    pub(crate) pool: Vec<String>,
    /// Its number on the wire; default: any that is free
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16_777_215))]
    pub(crate) vni: Option<u32>,
    /// Prefix length of a host's block of IPv4 addresses; default 24
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(1..=30))]
    pub(crate) block_len4: Option<u8>,
    /// The same for IPv6; default 64
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(1..=126))]
    pub(crate) block_len6: Option<u8>,
    /// UDP port between hosts; default 4789
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// MTU of containers on all hosts; default: what each host's underlay leaves
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<u32>,
    /// Leave addresses of containers as they are where packets leave the network
    #[arg(long)]
    pub(crate) no_masq: bool,
    /// A part of the pools that no host gets a block of; may be repeated
    #[arg(long, value_name = "CIDR")]
    pub(crate) reserve: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct OverlayHosts {
    #[command(subcommand)]
    pub(crate) command: OfHost,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OfHost {
    /// All hosts
    Ls,
    /// One host with its blocks, as JSON
    Inspect(NamedHost),
    /// Hand out no more addresses of its blocks
    Drain(NamedHost),
    /// Take a host out of the store that will not come back, with all its blocks
    Rm(NamedHost),
}

#[derive(Args, Debug)]
pub(crate) struct NamedHost {
    /// Its name, its id, or the beginning of one
    pub(crate) host: String,
}

#[derive(Args, Debug)]
pub(crate) struct OverlayBlocks {
    #[command(subcommand)]
    pub(crate) command: OfBlocks,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OfBlocks {
    /// All blocks, or those of one network
    Ls(OfOneNetwork),
}

#[derive(Args, Debug)]
pub(crate) struct OfOneNetwork {
    /// Name of the network
    pub(crate) network: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Resolvconf {
    /// Container id
    pub(crate) container: String,
    /// Of this network only
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Of this interface only
    #[arg(long, short)]
    pub(crate) ifname: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Exec {
    /// Namespace: a name below /run/netns, a process id, a path, or the name of a `cais run`
    #[arg(value_name = "NAMESPACE", value_hint = ValueHint::AnyPath)]
    pub(crate) netns: String,
    /// Command and its arguments; default is a shell
    #[arg(last = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct Lab {
    /// Command and its arguments; default is a shell
    #[arg(last = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct Netns {
    #[command(subcommand)]
    pub(crate) command: NetnsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NetnsCommand {
    /// Make a namespace, with lo up
    Add {
        /// Its name
        name: String,
    },
    /// Remove a namespace's name; it ends with its last process
    Del {
        /// Its name
        name: String,
    },
    /// List names
    List,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Directory to write to; it is made when missing
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}
