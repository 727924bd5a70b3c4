//! The client's side of D-Bus on a local socket: greeting, calls, answers.
//!
//! Only what a call with texts as arguments needs, as in the D-Bus specification 0.43
//! (<https://dbus.freedesktop.org/doc/dbus-specification.html>). Nothing is subscribed to, so
//! little comes but answers.

mod address;
mod message;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub(crate) use address::{addresses, system_address};
pub(crate) use message::{Call, Message, take};

/// A line of the greeting is far shorter.
const MOST_GREETING_BYTES: usize = 4096;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    System {
        call: &'static str,
        source: io::Error,
    },
    Timeout,
    Address(String),
    Auth(String),
    Malformed(&'static str),
    /// The answer is an error.
    Refused {
        name: String,
        text: String,
    },
}

impl From<&'static str> for Failure {
    fn from(what: &'static str) -> Self {
        Self::Malformed(what)
    }
}

/// A connection that has been greeted.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: UnixStream,
    /// Bytes that were read and not yet understood. They outlive a deadline, so that an answer that
    /// comes too late is passed over by the next call.
    received: Vec<u8>,
    serial: u32,
}

impl Bus {
    /// Connects to the first of the addresses where somebody listens. `None` when nobody does.
    pub(crate) fn connect(address: &str, until: Instant) -> Result<Option<Self>, Failure> {
        for address in addresses(address)? {
            let stream = match address.connect(left(until)?) {
                Ok(stream) => stream,
                Err(nix::Error::ENOENT | nix::Error::ECONNREFUSED) => continue,
                // What connect(2) says when the time to send is over.
                Err(nix::Error::EAGAIN) => return Err(Failure::Timeout),
                Err(errno) => {
                    return Err(Failure::System { call: "connect", source: errno.into() });
                }
            };
            let mut bus = Self { stream, received: Vec::new(), serial: 0 };
            bus.greet(until)?;
            return Ok(Some(bus));
        }
        Ok(None)
    }

    /// Whether somebody owns the well-known `name`.
    pub(crate) fn has_owner(&mut self, name: &str, until: Instant) -> Result<bool, Failure> {
        let reply = self.call(&Call::to_bus("NameHasOwner", &[name]), until)?;
        Ok(reply.boolean()?)
    }

    /// Calls a method and waits for its answer.
    pub(crate) fn call(&mut self, call: &Call<'_>, until: Instant) -> Result<Message, Failure> {
        self.serial = self.serial.wrapping_add(1).max(1);
        self.send(&call.to_bytes(self.serial), until)?;
        loop {
            let message = self.next(until)?;
            if message.is_answer_to(self.serial) {
                return match message.error_name() {
                    None => Ok(message),
                    Some(name) => {
                        let text = message.text().unwrap_or_default();
                        Err(Failure::Refused { name: name.to_owned(), text })
                    }
                };
            }
        }
    }

    /// Authenticates and registers, as every client has to.
    fn greet(&mut self, until: Instant) -> Result<(), Failure> {
        // The identity is left empty: the bus takes it from the socket, which is right within user
        // namespaces as well.
        self.send(b"\0AUTH EXTERNAL\r\n", until)?;
        self.expect_line("DATA", until)?;
        self.send(b"DATA\r\n", until)?;
        self.expect_line("OK", until)?;
        self.send(b"BEGIN\r\n", until)?;
        self.call(&Call::to_bus("Hello", &[]), until).map(drop)
    }

    fn expect_line(&mut self, command: &str, until: Instant) -> Result<(), Failure> {
        let end = loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                break end;
            }
            if self.received.len() > MOST_GREETING_BYTES {
                return Err("a greeting without end".into());
            }
            self.receive(until)?;
        };
        let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
        let line = String::from_utf8_lossy(&line).into_owned();
        match line.split(' ').next() == Some(command) {
            true => Ok(()),
            false => Err(Failure::Auth(line)),
        }
    }

    fn next(&mut self, until: Instant) -> Result<Message, Failure> {
        loop {
            match take(&mut self.received) {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => self.receive(until)?,
                Err(what) => {
                    // Where the next message begins is unknown from here on.
                    let _ = self.stream.shutdown(Shutdown::Both);
                    return Err(what.into());
                }
            }
        }
    }

    /// Waits for more bytes.
    fn receive(&mut self, until: Instant) -> Result<(), Failure> {
        let failed = |source| of_stream("read", source);
        let mut chunk = [0; 1024];
        loop {
            self.stream.set_read_timeout(Some(left(until)?)).map_err(failed)?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(failed(io::ErrorKind::ConnectionReset.into())),
                Ok(count) => {
                    self.received.extend_from_slice(&chunk[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8], until: Instant) -> Result<(), Failure> {
        while !bytes.is_empty() {
            if let Err(failure) = self.send_some(&mut bytes, until) {
                // The bus may have half a message, and would take the next one for its rest.
                let _ = self.stream.shutdown(Shutdown::Both);
                return Err(failure);
            }
        }
        Ok(())
    }

    fn send_some(&mut self, bytes: &mut &[u8], until: Instant) -> Result<(), Failure> {
        let failed = |source| of_stream("write", source);
        self.stream.set_write_timeout(Some(left(until)?)).map_err(failed)?;
        match self.stream.write(bytes) {
            Ok(0) => Err(failed(io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                *bytes = &bytes[count..];
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// What is left of the time, never zero: to the kernel that would mean forever.
fn left(until: Instant) -> Result<Duration, Failure> {
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(Failure::Timeout),
        left => Ok(left.max(Duration::from_millis(1))),
    }
}

fn of_stream(call: &'static str, source: io::Error) -> Failure {
    match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::Timeout,
        _ => Failure::System { call, source },
    }
}

#[cfg(test)]
mod tests;
