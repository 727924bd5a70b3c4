//! Input of `iptables-restore`.

use std::fmt::Write as _;

use super::LegacyError;

/// Changes of several tables, one after the other.
#[derive(Debug, Default)]
pub(super) struct Script {
    text: String,
}

impl Script {
    /// Adds what `fill` writes for `table`; nothing when it writes nothing.
    pub(super) fn table(&mut self, table: &str, fill: impl FnOnce(&mut Self)) {
        let before = self.text.len();
        self.line(format_args!("*{table}"));
        let head = self.text.len();
        fill(self);
        if self.text.len() == head {
            self.text.truncate(before);
        } else {
            self.line(format_args!("COMMIT"));
        }
    }

    /// Adds a command.
    pub(super) fn line(&mut self, command: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{command}");
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// `text` as one word.
pub(super) fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    word.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            word.push('\\');
        }
        word.push(character);
    }
    word.push('"');
    word
}

/// `name` where it is a name and nothing that would change the meaning of a line.
pub(super) fn checked(name: &str) -> Result<&str, LegacyError> {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+*@".contains(&byte);
    if !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_usual) {
        Ok(name)
    } else {
        Err(LegacyError::Name { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_commands_is_left_out() {
        let mut script = Script::default();
        script.table("nat", |_| {});
        assert!(script.is_empty());
        script.table("nat", |script| script.line(format_args!("-X A")));
        script.table("filter", |_| {});
        assert_eq!(script.text(), "*nat\n-X A\nCOMMIT\n");
    }

    #[test]
    fn a_name_that_would_be_another_line_or_option_is_refused() {
        for name in ["", "-F", "a b", "a\n-F", "a\"", "ä", "!"] {
            assert!(checked(name).is_err(), "{name:?}");
        }
        assert_eq!(checked("CNI-ADMIN").unwrap(), "CNI-ADMIN");
        let error = checked("-F").unwrap_err();
        assert_eq!(error.to_string(), "write iptables rules: `-F` is no name of a chain or link");
        assert!(error.hint().unwrap().contains("letters"));
    }

    #[test]
    fn quotes_within_a_word_are_kept() {
        assert_eq!(quoted(r#"name: "net""#), r#""name: \"net\"""#);
    }
}
