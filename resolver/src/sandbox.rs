//! Confining the process that answers, once it has all that it needs: another user, no capability,
//! no file but the lists of servers, no system call but those for answering.
//!
//! What the kernel or a user namespace does not offer is left out, and said by `cais dns status`.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use types::stable_hash;

use crate::options::Options;

/// The user of packages.
const USER: &str = "cais-dns";

/// Where systemd takes users from that nobody else is (systemd.exec(5), DynamicUser=).
const DYNAMIC: std::ops::Range<u64> = 61_184..65_520;

/// Confines the calling process, which has one thread. What was done, in words.
///
/// # Errors
/// When it could keep a capability: nothing is to be answered then.
pub fn confine(options: &Options) -> io::Result<Vec<String>> {
    let mut done = Vec::new();
    let mut note = |what: &str, outcome: Result<String, String>| {
        done.push(match outcome {
            Ok(how) => format!("{what}: {how}"),
            Err(why) => format!("{what}: no ({why})"),
        });
    };
    raise_limits();
    note("user", change_user());
    kernel::privileges::drop_all()?;
    note("capabilities", Ok("none".to_owned()));
    note("dumps", text(prctl::set_dumpable(false), "none"));
    note("files", restrict_files(options));
    note("system calls", restrict_calls());
    Ok(done)
}

fn text(outcome: Result<(), impl Display>, how: &str) -> Result<String, String> {
    outcome.map(|()| how.to_owned()).map_err(|error| error.to_string())
}

/// Each container may have two sockets, each question to others one.
fn raise_limits() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // It goes on with fewer.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

fn change_user() -> Result<String, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("not started by root".to_owned());
    }
    let (uid, gid) = packaged_user().unwrap_or_else(|| {
        let number = DYNAMIC.start + stable_hash(USER) % (DYNAMIC.end - DYNAMIC.start);
        (number as u32, number as u32)
    });
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // A user namespace need not know anybody else.
    setgroups(&[])
        .and_then(|()| setresgid(gid, gid, gid))
        .and_then(|()| setresuid(uid, uid, uid))
        .map(|()| uid.to_string())
        .map_err(|error| format!("become {uid}: {error}"))
}

/// User and group that a package made.
fn packaged_user() -> Option<(u32, u32)> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(USER))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Lets it read the lists of servers, and no other file.
fn restrict_files(options: &Options) -> Result<String, String> {
    let known = ["/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf"];
    let listed = options.resolv_conf.parent().map(Path::to_owned);
    let real = fs::canonicalize(&options.resolv_conf).ok();
    let real = real.as_deref().and_then(Path::parent).map(Path::to_owned);
    let readable = known.iter().map(PathBuf::from).chain(listed).chain(real);
    let abi = ABI::V3;
    let enforced = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(readable, AccessFs::from_read(abi))))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|error| error.to_string())?;
    match enforced.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel has no Landlock".to_owned()),
        _ => Ok("lists of servers".to_owned()),
    }
}

/// All that answering takes. Others fail with EPERM.
fn restrict_calls() -> Result<String, String> {
    let rules = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into();
    let arch = arch.map_err(|error: seccompiler::BackendError| error.to_string())?;
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch);
    let program: BpfProgram = filter
        .and_then(TryInto::try_into)
        .map_err(|error: seccompiler::BackendError| error.to_string())?;
    text(seccompiler::apply_filter(&program), "those for answering")
}

const CALLS: &[i64] = &[
    // Sockets.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    // Descriptors.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    // The lists of servers.
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_readlinkat,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    // Memory, time, signals, itself.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_geteuid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
