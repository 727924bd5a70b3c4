//! One file for each command.

pub(crate) mod add;
pub(crate) mod attachments;
pub(crate) mod check;
pub(crate) mod del;
pub(crate) mod dns;
pub(crate) mod exec;
pub(crate) mod gc;
pub(crate) mod generate;
pub(crate) mod handback;
pub(crate) mod install;
pub(crate) mod lab;
pub(crate) mod netns;
pub(crate) mod overlay;
pub(crate) mod reload;
pub(crate) mod resolvconf;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod uninstall;
pub(crate) mod validate;
pub(crate) mod version;
