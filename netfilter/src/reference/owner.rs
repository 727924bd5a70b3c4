//! Whose a rule is: the comment that the reference plugins give it.

use crate::claim::Handle;
use kernel::nft::xt::COMMENT_MAX_BYTES;

/// `name: "<network>" id: "<container>"`, with something before it.
pub(super) fn comment(prefix: &str, network: &str, container: &str) -> String {
    let mut text = format!("{prefix}name: \"{network}\" id: \"{container}\"");
    text.truncate(text.floor_char_boundary(COMMENT_MAX_BYTES));
    text
}

/// Network and container of a comment; `None` where it is no such comment, or cut.
pub(super) fn parse<'a>(prefix: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let rest = text.strip_prefix(prefix)?.strip_prefix("name: \"")?;
    rest.strip_suffix('"')?.split_once("\" id: \"")
}

/// Those of `stored` that are rules of one chain.
pub(super) fn handles_in(
    stored: &[Handle],
    family: types::Family,
    table: &str,
    chain: &str,
) -> Vec<u64> {
    let number = super::matching::nfproto(family);
    let of_chain = |one: &&Handle| one.family == number && one.table == table && one.chain == chain;
    stored.iter().filter(of_chain).map(|one| one.number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_back_unless_the_comment_was_cut() {
        let text = comment("dnat ", "mynet", "cid1");
        assert_eq!(text, "dnat name: \"mynet\" id: \"cid1\"");
        assert_eq!(parse("dnat ", &text), Some(("mynet", "cid1")));
        assert_eq!(parse("", &text), None);
        let long = comment("", "mynet", &"x".repeat(300));
        assert_eq!(long.len(), 255);
        assert_eq!(parse("", &long), None);
    }
}
