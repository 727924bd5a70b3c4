//! The forwarder and servers that say what a case wants, on the loopback of a lab.

mod packet;
mod stage;

mod answers;
mod cached;
mod crowds;
mod host;
mod order;
mod relayed;
mod sizes;
mod strangers;
