//! Messages as bytes: "Message Protocol" and "Marshaling" in the D-Bus specification.

/// A message that begins with more than this is none, or none of ours: 1 MiB.
const MOST_BYTES: usize = 1024 * 1024;
/// Byte order, type, flags, version, three numbers: length of the body, serial, length of the fields.
const FIXED_BYTES: usize = 16;

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
/// A call shall not start what it is for.
const NO_AUTO_START: u8 = 2;
const VERSION: u8 = 1;

/// Codes of header fields.
mod field {
    pub(super) const PATH: u8 = 1;
    pub(super) const INTERFACE: u8 = 2;
    pub(super) const MEMBER: u8 = 3;
    pub(super) const ERROR_NAME: u8 = 4;
    pub(super) const REPLY_SERIAL: u8 = 5;
    pub(super) const DESTINATION: u8 = 6;
    pub(super) const SIGNATURE: u8 = 8;
}

/// A call of a method whose arguments are texts. No text may hold a NUL.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
    pub(crate) arguments: &'a [&'a str],
}

impl<'a> Call<'a> {
    /// A call of the bus itself.
    pub(crate) fn to_bus(member: &'a str, arguments: &'a [&'a str]) -> Self {
        Self {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member,
            arguments,
        }
    }

    pub(crate) fn to_bytes(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        for argument in self.arguments {
            body.text(argument);
        }
        let mut fields = Writer::default();
        fields.field(field::PATH, 'o', self.path);
        fields.field(field::DESTINATION, 's', self.destination);
        fields.field(field::INTERFACE, 's', self.interface);
        fields.field(field::MEMBER, 's', self.member);
        if !self.arguments.is_empty() {
            fields.signature_field(&"s".repeat(self.arguments.len()));
        }
        let mut message = Writer(vec![b'l', METHOD_CALL, NO_AUTO_START, VERSION]);
        message.length(body.0.len());
        message.u32(serial);
        message.length(fields.0.len());
        // The fields begin at a multiple of eight, as they did when they were written.
        message.0.extend(fields.0);
        message.pad(8);
        message.0.extend(body.0);
        message.0
    }
}

/// Bytes in the making, little-endian, each value at a multiple of its size.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn pad(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn u32(&mut self, value: u32) {
        self.pad(4);
        self.0.extend(value.to_le_bytes());
    }

    fn length(&mut self, bytes: usize) {
        // What does not fit is a message that the bus refuses.
        self.u32(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// A structure of a code and a variant; the variant is a text, or the path of an object.
    fn field(&mut self, code: u8, kind: char, value: &str) {
        self.pad(8);
        self.0.extend([code, 1, kind as u8, 0]);
        self.text(value);
    }

    fn signature_field(&mut self, signature: &str) {
        self.pad(8);
        self.0.extend([field::SIGNATURE, 1, b'g', 0]);
        self.0.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }
}

/// A message that came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    kind: u8,
    order: Order,
    reply_serial: Option<u32>,
    error_name: Option<String>,
    signature: String,
    body: Vec<u8>,
}

impl Message {
    /// Whether it ends the call of that serial.
    pub(crate) fn is_answer_to(&self, serial: u32) -> bool {
        matches!(self.kind, METHOD_RETURN | ERROR) && self.reply_serial == Some(serial)
    }

    /// The name of the error that it is, if it is one.
    pub(crate) fn error_name(&self) -> Option<&str> {
        let name = self.error_name.as_deref().unwrap_or("an error without a name");
        (self.kind == ERROR).then_some(name)
    }

    /// Its first argument, a text.
    pub(crate) fn text(&self) -> Result<String, &'static str> {
        let mut body = self.arguments('s')?;
        body.text().map(str::to_owned).ok_or("a text that is cut off or no UTF-8")
    }

    /// Its first argument, a truth value.
    pub(crate) fn boolean(&self) -> Result<bool, &'static str> {
        match self.arguments('b')?.u32() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err("a truth value that is neither"),
        }
    }

    fn arguments(&self, first: char) -> Result<Reader<'_>, &'static str> {
        match self.signature.starts_with(first) {
            true => Ok(Reader { bytes: &self.body, at: 0, order: self.order }),
            false => Err("an answer of another type"),
        }
    }
}

/// Takes the first message off `received`, `None` when it is not complete.
pub(crate) fn take(received: &mut Vec<u8>) -> Result<Option<Message>, &'static str> {
    let Some(length) = length(received)? else { return Ok(None) };
    if received.len() < length {
        return Ok(None);
    }
    let message = parse(&received[..length]).ok_or("a message with a broken header");
    received.drain(..length);
    message.map(Some)
}

/// How long the message is that `start` begins, `None` when that cannot be known yet.
fn length(start: &[u8]) -> Result<Option<usize>, &'static str> {
    let Some(fixed) = start.get(..FIXED_BYTES) else { return Ok(None) };
    let order = Order::of(fixed[0]).ok_or("no message")?;
    if fixed[3] != VERSION {
        return Err("a message of another version of the protocol");
    }
    let number =
        |at| Reader { bytes: fixed, at, order }.u32().and_then(|n| usize::try_from(n).ok());
    let (Some(body), Some(fields)) = (number(4), number(12)) else {
        return Err("a length that is no number");
    };
    if body > MOST_BYTES || fields > MOST_BYTES {
        return Err("a message of more than 1 MiB");
    }
    Ok(Some((FIXED_BYTES + fields).next_multiple_of(8) + body))
}

/// Reads a whole message.
fn parse(bytes: &[u8]) -> Option<Message> {
    let order = Order::of(*bytes.first()?)?;
    let mut reader = Reader { bytes, at: FIXED_BYTES - 4, order };
    let end = FIXED_BYTES.checked_add(usize::try_from(reader.u32()?).ok()?)?;
    let mut message = Message { kind: *bytes.get(1)?, order, ..Message::default() };
    let mut fields = Reader { bytes: bytes.get(..end)?, at: FIXED_BYTES, order };
    while fields.at < end {
        fields.pad(8);
        let code = fields.byte()?;
        match (code, fields.signature()?) {
            (field::ERROR_NAME, "s") => message.error_name = Some(fields.text()?.to_owned()),
            (field::REPLY_SERIAL, "u") => message.reply_serial = Some(fields.u32()?),
            (field::SIGNATURE, "g") => message.signature = fields.signature()?.to_owned(),
            // Others are not for us, but have to be passed over.
            (_, "s" | "o") => drop(fields.text()?),
            (_, "g") => drop(fields.signature()?),
            (_, "u" | "i" | "b") => drop(fields.u32()?),
            _ => return None,
        }
    }
    bytes.get(end.next_multiple_of(8)..)?.clone_into(&mut message.body);
    Some(message)
}

/// The byte order of a message is that of its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    fn of(mark: u8) -> Option<Self> {
        match mark {
            b'l' => Some(Self::Little),
            b'B' => Some(Self::Big),
            _ => None,
        }
    }
}

/// Walks over bytes; `None` where they end too early.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    order: Order,
}

impl<'a> Reader<'a> {
    fn pad(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.pad(4);
        let taken = *self.take(4)?.first_chunk()?;
        Some(match self.order {
            Order::Little => u32::from_le_bytes(taken),
            Order::Big => u32::from_be_bytes(taken),
        })
    }

    fn text(&mut self) -> Option<&'a str> {
        let count = self.u32()?;
        self.terminated(count.try_into().ok()?)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let count = self.byte()?;
        self.terminated(count.into())
    }

    /// So many bytes of text, and a NUL.
    fn terminated(&mut self, count: usize) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take(count)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A return of `true` for serial 7 as a big-endian peer writes it.
    const TRUE: &[u8] = b"B\x02\x01\x01\0\0\0\x04\0\0\0\x09\0\0\0\x0f\
        \x05\x01u\0\0\0\0\x07\
        \x08\x01g\0\x01b\0\0\
        \0\0\0\x01";

    #[test]
    fn an_answer_of_either_byte_order_is_read() {
        let mut received = [TRUE, TRUE].concat();
        let message = take(&mut received).unwrap().unwrap();
        assert!(message.is_answer_to(7) && !message.is_answer_to(8));
        assert_eq!((message.boolean(), message.error_name()), (Ok(true), None));
        assert_eq!(message.text(), Err("an answer of another type"));
        assert_eq!(received, TRUE, "the next one is left");
    }

    #[test]
    fn an_answer_that_is_cut_off_is_waited_for_and_never_misread() {
        for end in 0..TRUE.len() {
            assert_eq!(take(&mut TRUE[..end].to_owned()), Ok(None), "{end} bytes");
        }
        for at in 0..TRUE.len() {
            for value in [0, 1, 8, 0x7f, 0xff] {
                let mut mangled = TRUE.to_owned();
                mangled[at] = value;
                let _ = take(&mut mangled).map(|found| found.map(|message| message.boolean()));
            }
        }
    }

    #[test]
    fn a_message_that_claims_to_be_huge_is_refused_before_it_is_stored() {
        let mut huge = TRUE.to_owned();
        huge[4] = 0x7f;
        assert_eq!(take(&mut huge), Err("a message of more than 1 MiB"));
        assert_eq!(take(&mut b"HTTP/1.1 400 Bad Request".to_vec()), Err("no message"));
    }

    #[test]
    fn a_call_is_written_as_the_specification_has_it() {
        let bytes = Call::to_bus("NameHasOwner", &["a.b"]).to_bytes(3);
        let expected: &[u8] = b"l\x01\x02\x01\x08\0\0\0\x03\0\0\0\x7f\0\0\0\
            \x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\
            \x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
            \x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\
            \x03\x01s\0\x0c\0\0\0NameHasOwner\0\0\0\0\
            \x08\x01g\0\x01s\0\0\
            \x03\0\0\0a.b\0";
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
    }
}
