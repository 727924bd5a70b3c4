//! What `iptables-save` prints, as far as it tells rules of the reference from others.

/// All tables that were printed.
#[derive(Debug, Default)]
pub(super) struct Saved<'a> {
    pub(super) tables: Vec<Table<'a>>,
}

/// One table.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    chains: Vec<&'a str>,
    rules: Vec<Rule<'a>>,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    pub(super) chain: &'a str,
    /// As it was printed, after `-A `: what deletes it when put after `-D `.
    pub(super) text: &'a str,
    /// After the chain, without quotes.
    words: Vec<String>,
}

impl<'a> Saved<'a> {
    /// Reads what was printed. What has another form is passed over: rules that are not
    /// understood are other people's.
    pub(super) fn parse(printed: &'a str) -> Self {
        let mut saved = Self::default();
        for line in printed.lines() {
            if let Some(name) = line.strip_prefix('*') {
                saved.tables.push(Table { name: name.trim(), ..Table::default() });
                continue;
            }
            let Some(table) = saved.tables.last_mut() else { continue };
            if let Some(chain) = line.strip_prefix(':') {
                table.chains.extend(chain.split(' ').next());
            } else if let Some(text) = line.strip_prefix("-A ") {
                let (chain, rest) = text.split_once(' ').unwrap_or((text, ""));
                table.rules.push(Rule { chain, text, words: words(rest) });
            }
        }
        saved
    }

    /// The table `name`, an empty one where it was not printed.
    pub(super) fn table(self, name: &'a str) -> Table<'a> {
        let found = self.tables.into_iter().find(|table| table.name == name);
        found.unwrap_or(Table { name, ..Table::default() })
    }
}

impl Table<'_> {
    pub(super) fn has_chain(&self, name: &str) -> bool {
        self.chains.contains(&name)
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule<'_>> {
        self.rules.iter()
    }

    /// The rules of a chain.
    pub(super) fn rules_of(&self, chain: &str) -> impl Iterator<Item = &Rule<'_>> {
        self.rules.iter().filter(move |rule| rule.chain == chain)
    }

    /// Whether a rule of `chain` leads to `target`.
    pub(super) fn leads(&self, chain: &str, target: &str) -> bool {
        self.rules_of(chain).any(|rule| rule.target() == Some(target))
    }
}

impl Rule<'_> {
    /// Where it leads: the word after `-j` or `-g`.
    pub(super) fn target(&self) -> Option<&str> {
        self.option(&["-j", "-g"])
    }

    /// The network that its packets come from: the word after `-s`, unless that is negated.
    pub(super) fn source(&self) -> Option<&str> {
        self.option(&["-s"])
    }

    /// Its comment.
    pub(super) fn comment(&self) -> Option<&str> {
        let place = self.words.iter().position(|word| word == COMMENT)?;
        self.words.get(place + 1).map(String::as_str)
    }

    /// Whether it says just this.
    pub(super) fn says(&self, words: &[&str]) -> bool {
        self.words == words
    }

    /// Whether `word` is among its words.
    pub(super) fn has_word(&self, word: &str) -> bool {
        self.words.iter().any(|found| found == word)
    }

    /// The word after one of `names`. A comment may look like an option, and what comes after the
    /// target belongs to it.
    fn option(&self, names: &[&str]) -> Option<&str> {
        let mut words = self.words.iter().map(String::as_str);
        let mut before = "";
        while let Some(word) = words.next() {
            if names.contains(&word) {
                return words.next().filter(|_| before != "!");
            }
            if matches!(word, COMMENT | "-j" | "-g") {
                words.next();
            }
            before = word;
        }
        None
    }
}

const COMMENT: &str = "--comment";

/// Splits a line at blanks as `iptables-restore` does: `"` begins and ends a word that may have
/// blanks, `\` takes the next character as it is.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' if is_quoted => word.get_or_insert_default().extend(characters.next()),
            ' ' | '\t' if !is_quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(text: &str) -> Rule<'_> {
        Rule { chain: "X", text, words: words(text) }
    }

    #[test]
    fn words_in_quotes_hold_blanks_and_quotes() {
        let rule =
            rule(r#"-s 10.1.0.2/32 -m comment --comment "name: \"net\" id: \"c\"" -j CNI-1"#);
        assert_eq!(rule.comment(), Some(r#"name: "net" id: "c""#));
        assert_eq!(rule.source(), Some("10.1.0.2/32"));
        assert_eq!(rule.target(), Some("CNI-1"));
    }

    #[test]
    fn a_comment_is_no_option_and_no_target_is_looked_for_behind_it() {
        assert_eq!(rule("-m comment --comment -j -j ACCEPT").target(), Some("ACCEPT"));
        assert_eq!(rule(r#"-m comment --comment "-j CNI-1" -j DROP"#).target(), Some("DROP"));
        assert_eq!(rule("-j LOG --log-prefix -s").source(), None);
        assert_eq!(rule("! -s 10.0.0.0/8 -j DROP").source(), None);
        assert_eq!(rule("-p tcp").target(), None);
    }

    #[test]
    fn what_is_torn_is_passed_over() {
        for text in
            ["-A X", "*", ":", "-A ", "*nat\n-A", "*nat\n:\n-A X -m comment --comment \"a\\"]
        {
            let saved = Saved::parse(text);
            assert!(saved.table("nat").rules().all(|rule| rule.target().is_none()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"(\*nat\n)?([-:*AjsgCNI "\\!\n]|--comment|CNI-|-j |-s ){0,60}"#) {
            let nat = Saved::parse(&text).table("nat");
            for rule in nat.rules() {
                let _ = (rule.target(), rule.source(), rule.comment());
            }
        }
    }
}
