//! Wrong values, by what a key holds.

use super::judge::PIPE;
use super::schema::{Key, Kind};

/// As many bytes as nothing in a network configuration has.
pub(crate) const TOO_MANY: usize = 70_000;

/// A piece of JSON, or of what is none.
pub(crate) struct Wrong {
    pub(crate) text: Vec<u8>,
    /// In a report; the text itself may be long.
    pub(crate) what: String,
    pub(crate) verdict: Verdict,
}

/// What has to become of it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// It is refused, and the text names the key.
    Refused,
    /// It is refused, and the text says where in the document it stands.
    NotJson,
    /// It may be taken; else the text names the key.
    Named,
    /// It may be taken, or be too much for this machine.
    Any,
}

/// All wrong values for `key`.
pub(crate) fn wrong_for(key: &Key) -> Vec<Wrong> {
    let mut list = wrong_kinds(key);
    list.extend(out_of_range(key));
    list.extend(extremes(key));
    list.extend(texts(key));
    list.extend(no_json());
    list
}

/// The wrong kinds alone, for the verbs that read less.
pub(crate) fn wrong_kinds(key: &Key) -> Vec<Wrong> {
    let verdict = if key.is_optional_to_read() { Verdict::Named } else { Verdict::Refused };
    let right = match key.kind {
        Kind::Flag | Kind::FlagOr(_) => "true",
        Kind::Integer(..) => "7",
        Kind::Text | Kind::OneOf(_) => "\"text\"",
        Kind::List | Kind::ListOrMap => "[]",
        Kind::Object => "{}",
    };
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let kinds = ["true", "7", "\"text\"", "[]", "{}", "1.5", "1e2", "[[{}]]", &deep];
    // A list of anything is of the right kind on the outside.
    // Where `"true"` is one of the words, the boolean means it.
    let is_word = |text: &str| matches!(&key.kind, Kind::OneOf(words) if text == "true" && words.iter().any(|word| word == text));
    let is_map = |text: &str| matches!(key.kind, Kind::ListOrMap) && text == "{}";
    let is_right = |text: &str| {
        text == right || is_word(text) || is_map(text) || (right == "[]" && text.starts_with("[["))
    };
    let others = kinds.into_iter().filter(|text| !is_right(text));
    others.map(|text| Wrong::new(text, verdict)).collect()
}

fn out_of_range(key: &Key) -> Vec<Wrong> {
    let refused = |text: String| Wrong::new(&text, Verdict::Refused);
    match &key.kind {
        Kind::Integer(low, high) => {
            let beyond = [low.checked_sub(1), high.checked_add(1)];
            let mut list: Vec<Wrong> =
                beyond.into_iter().flatten().map(|number| refused(number.to_string())).collect();
            for text in ["-9223372036854775809", "18446744073709551616", "1e999"] {
                list.push(refused(text.to_owned()));
            }
            list.push(refused("9".repeat(TOO_MANY)));
            let edges = [low, high].map(|number| Wrong::new(&number.to_string(), Verdict::Any));
            list.extend(edges);
            list
        }
        Kind::OneOf(texts) | Kind::FlagOr(texts) => {
            let mut list = vec![refused("\"no-such-word\"".to_owned())];
            list.extend(texts.iter().map(|t| Wrong::new(&format!("\"{t}\""), Verdict::Any)));
            list
        }
        _ => Vec::new(),
    }
}

/// Large ones of every kind.
fn extremes(key: &Key) -> Vec<Wrong> {
    let verdict = |right: bool| match right || key.is_optional_to_read() {
        true => Verdict::Named,
        false => Verdict::Refused,
    };
    let is_text = matches!(key.kind, Kind::Text);
    let is_list = matches!(key.kind, Kind::List | Kind::ListOrMap);
    let is_object = matches!(key.kind, Kind::Object | Kind::ListOrMap);
    let many = TOO_MANY / 10;
    let deep = format!("{}{}", "[".repeat(TOO_MANY), "]".repeat(TOO_MANY));
    vec![
        Wrong::new(&deep, verdict(false)),
        Wrong::new(&format!("\"{}\"", "x".repeat(TOO_MANY)), verdict(is_text)),
        Wrong::new(&format!("[{}null]", "null,".repeat(many)), verdict(is_list)),
        Wrong::new(&format!("[{}0]", "0,".repeat(many)), verdict(is_list)),
        Wrong::new(&format!("{{{}\"x\":0}}", "\"x\":{},".repeat(many)), verdict(is_object)),
    ]
}

/// Texts that mean something elsewhere.
fn texts(key: &Key) -> Vec<Wrong> {
    if !matches!(key.kind, Kind::Text | Kind::OneOf(_) | Kind::FlagOr(_)) {
        return Vec::new();
    }
    let texts = [
        "",
        " ",
        ".",
        "..",
        "../../run/bad/file",
        "/run/bad/file",
        "a/../../b",
        "-",
        "%s%n",
        "eth%d",
        "a\\u0000b",
        "a\\nb",
        "\\u001b[31m",
        "\\u202e",
        "\\ud83d\\ude00",
        "0",
        "1.2.3.4",
        "1.2.3.4/33",
        "::/129",
        "::1%lo",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        PIPE,
        "/dev/zero",
        "/dev/full",
        "/proc/self/mem",
        "/run/bad",
    ];
    texts.into_iter().map(|text| Wrong::new(&format!("\"{text}\""), Verdict::Named)).collect()
}

/// What ends the document, wherever it stands.
fn no_json() -> Vec<Wrong> {
    let deep = "[".repeat(100_000);
    let texts: [&[u8]; 11] = [
        b"",
        b"nul",
        b"True",
        b"'x'",
        b"+1",
        b"01",
        b"0x10",
        b"NaN",
        b"\"\xff\xfe\"",
        b"\"a\nb\"",
        deep.as_bytes(),
    ];
    texts.into_iter().map(|text| Wrong::of_bytes(text, Verdict::NotJson)).collect()
}

impl Wrong {
    fn new(text: &str, verdict: Verdict) -> Self {
        Self::of_bytes(text.as_bytes(), verdict)
    }

    fn of_bytes(text: &[u8], verdict: Verdict) -> Self {
        let mut what = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
        if text.len() > 60 {
            what.push_str(&format!("… ({} bytes)", text.len()));
        }
        Self { text: text.to_owned(), what, verdict }
    }
}
