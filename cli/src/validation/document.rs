//! Where in a file each key stands.

use cni::json::{Object, Value};

/// Objects within objects deeper than this are not looked into.
const DEEPEST: usize = 32;

/// A line and a column, both from 1; columns count characters.
pub(crate) type Position = (usize, usize);

/// One key of a document, or one element of a list.
#[derive(Debug)]
pub(crate) struct Node {
    /// The keys that lead to it: `plugins[0].ipam.type`.
    pub(crate) path: String,
    /// Its last part as written; empty for an element of a list.
    pub(crate) key: String,
    /// Where it stands.
    pub(crate) position: Position,
}

/// Every key of `text`, in its order. Nothing where `text` is no JSON object.
pub(crate) fn nodes(text: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    if let Ok(object) = Object::parse(text.as_bytes()) {
        walk_object(text, &object, DEEPEST, &mut nodes);
    }
    nodes
}

/// Where the key at `path`, in any case, stands: the last of several, as it is the one that counts.
pub(crate) fn position_of(nodes: &[Node], path: &str) -> Option<Position> {
    nodes.iter().rev().find(|n| n.path.eq_ignore_ascii_case(path)).map(|n| n.position)
}

fn walk_object(text: &str, object: &Object<'_>, depth: usize, nodes: &mut Vec<Node>) {
    for (key, value) in object.entries() {
        let offset = offset_in(text, &value).map_or(0, |value| key_before(text, value));
        nodes.push(Node {
            path: value.path().to_owned(),
            key: key.to_owned(),
            position: position(text, offset),
        });
        walk(text, &value, depth, nodes);
    }
}

fn walk(text: &str, value: &Value<'_>, depth: usize, nodes: &mut Vec<Node>) {
    if depth == 0 {
        return;
    }
    if let Ok(object) = value.object() {
        walk_object(text, &object, depth - 1, nodes);
    } else if let Ok(list) = value.list() {
        for element in list {
            let offset = offset_in(text, &element).unwrap_or(0);
            nodes.push(Node {
                path: element.path().to_owned(),
                key: String::new(),
                position: position(text, offset),
            });
            walk(text, &element, depth - 1, nodes);
        }
    }
}

/// Values are slices of the text that they were read from.
fn offset_in(text: &str, value: &Value<'_>) -> Option<usize> {
    let offset = value.raw().get().as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    (offset < text.len()).then_some(offset)
}

/// Start of the key whose value starts at `value`.
fn key_before(text: &str, value: usize) -> usize {
    let before = text[..value].trim_end().trim_end_matches(':').trim_end();
    let Some(inside) = before.strip_suffix('"') else { return value };
    let is_escaped = |quote: usize| {
        let slashes = inside[..quote].bytes().rev().take_while(|b| *b == b'\\').count();
        slashes % 2 == 1
    };
    inside.rmatch_indices('"').map(|(at, _)| at).find(|at| !is_escaped(*at)).unwrap_or(value)
}

fn position(text: &str, offset: usize) -> Position {
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_elements_are_found_where_they_stand() {
        let text = "{\n  \"a\": {\"é\\\"\" : [1,\n    {\"b\": 2}]},\n  \"A\": 3\n}";
        let nodes = nodes(text);
        let found: Vec<_> = nodes.iter().map(|n| (n.path.as_str(), n.position)).collect();
        assert_eq!(
            found,
            [
                ("a", (2, 3)),
                ("a.é\"", (2, 9)),
                ("a.é\"[0]", (2, 18)),
                ("a.é\"[1]", (3, 5)),
                ("a.é\"[1].b", (3, 6)),
                ("A", (4, 3)),
            ]
        );
        assert_eq!(position_of(&nodes, "a"), Some((4, 3)), "the last one counts");
    }

    #[test]
    fn depth_is_bounded() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(nodes(&text).len() <= DEEPEST + 1);
    }
}
