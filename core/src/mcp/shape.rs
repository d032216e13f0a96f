//! The shape that revisions up to 2025-11-25 give to the items of lists, and where an item departs from it.
//!
//! Clients that check a list against the schema refuse the whole list for one item. On a list of several servers the
//! items of all of them would be lost, so an item that cannot be mended is left out there, and an optional member
//! that is `null` or of another type is left out of its item. What stands deeper inside a JSON Schema or in `_meta` is
//! nobody's business here.
//!
//! Source: schema 2025-11-25, `Tool`, `Prompt`, `Resource`, `ResourceTemplate`, `Annotations`, `ToolAnnotations`,
//! `Icon`, `PromptArgument`. Time and depth are bounded by the tables below, not by the item.

use super::ListKind;
use crate::json::{self, Span, scan};

/// Where an item departs from its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaws {
    /// Why it cannot be shown to clients that check. `None` if leaving out members is enough.
    pub(crate) refused: Option<String>,
    /// Members to leave out, each with one comma, in order and apart from each other.
    cuts: Vec<Span>,
}

impl Flaws {
    /// Looks an item over. `None` if there is nothing to object to.
    pub(crate) fn of(kind: ListKind, item: &[u8]) -> Option<Box<Self>> {
        let mut cuts = Vec::new();
        let refused = fields(item, whole(item), shape_of(kind), &mut cuts).err();
        (refused.is_some() || !cuts.is_empty()).then(|| Box::new(Self { refused, cuts }))
    }

    /// The item without the members that clients would refuse.
    pub(crate) fn mend(&self, item: &[u8]) -> Vec<u8> {
        let mut mended = Vec::with_capacity(item.len());
        let mut from = 0;
        for cut in &self.cuts {
            mended.extend_from_slice(item.get(from..cut.start).unwrap_or_default());
            from = cut.end;
        }
        mended.extend_from_slice(item.get(from..).unwrap_or_default());
        mended
    }
}

/// What a value has to be.
enum Shape {
    Text,
    Flag,
    Number,
    /// Any object.
    Object,
    /// An object with these members, and any others.
    Fields(&'static [Field]),
    /// An array of such values.
    List(&'static Self),
    /// This text.
    Exactly(&'static str),
}

/// One member of an object.
struct Field {
    name: &'static str,
    need: Need,
    shape: Shape,
}

/// What follows when a member is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The item is of no use without it.
    Required,
    /// `null` is as good as absent. Anything else that is wrong spoils the item, whose results would be misread.
    Sound,
    /// The item is as good without it.
    Optional,
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, need: Need::Required, shape }
}

const fn sound(name: &'static str, shape: Shape) -> Field {
    Field { name, need: Need::Sound, shape }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, need: Need::Optional, shape }
}

const SCHEMA: &[Field] = &[
    required("type", Shape::Exactly("object")),
    optional("properties", Shape::Object),
    optional("required", Shape::List(&Shape::Text)),
];

const TOOL_ANNOTATIONS: &[Field] = &[
    optional("title", Shape::Text),
    optional("readOnlyHint", Shape::Flag),
    optional("destructiveHint", Shape::Flag),
    optional("idempotentHint", Shape::Flag),
    optional("openWorldHint", Shape::Flag),
];

const ANNOTATIONS: &[Field] = &[
    optional("audience", Shape::List(&Shape::Text)),
    optional("priority", Shape::Number),
    optional("lastModified", Shape::Text),
];

const ICON: &[Field] = &[
    required("src", Shape::Text),
    optional("mimeType", Shape::Text),
    optional("sizes", Shape::List(&Shape::Text)),
    optional("theme", Shape::Text),
];

const ARGUMENT: &[Field] = &[
    required("name", Shape::Text),
    optional("title", Shape::Text),
    optional("description", Shape::Text),
    optional("required", Shape::Flag),
];

const ICONS: Field = optional("icons", Shape::List(&Shape::Fields(ICON)));

const TOOL: &[Field] = &[
    required("name", Shape::Text),
    optional("title", Shape::Text),
    optional("description", Shape::Text),
    required("inputSchema", Shape::Fields(SCHEMA)),
    sound("outputSchema", Shape::Fields(SCHEMA)),
    optional("annotations", Shape::Fields(TOOL_ANNOTATIONS)),
    ICONS,
    optional("_meta", Shape::Object),
];

const PROMPT: &[Field] = &[
    required("name", Shape::Text),
    optional("title", Shape::Text),
    optional("description", Shape::Text),
    optional("arguments", Shape::List(&Shape::Fields(ARGUMENT))),
    ICONS,
    optional("_meta", Shape::Object),
];

const RESOURCE: &[Field] = &[
    required("uri", Shape::Text),
    required("name", Shape::Text),
    optional("title", Shape::Text),
    optional("description", Shape::Text),
    optional("mimeType", Shape::Text),
    optional("annotations", Shape::Fields(ANNOTATIONS)),
    optional("size", Shape::Number),
    ICONS,
    optional("_meta", Shape::Object),
];

const TEMPLATE: &[Field] = &[
    required("uriTemplate", Shape::Text),
    required("name", Shape::Text),
    optional("title", Shape::Text),
    optional("description", Shape::Text),
    optional("mimeType", Shape::Text),
    optional("annotations", Shape::Fields(ANNOTATIONS)),
    ICONS,
    optional("_meta", Shape::Object),
];

/// Of an extension (SEP-2640), whose clients look at nothing else.
const SKILL: &[Field] = &[required("uri", Shape::Text)];

const fn shape_of(kind: ListKind) -> &'static [Field] {
    match kind {
        ListKind::Tools => TOOL,
        ListKind::Prompts => PROMPT,
        ListKind::Resources => RESOURCE,
        ListKind::Templates => TEMPLATE,
        ListKind::Skills => SKILL,
    }
}

/// Looks the members of an object over. What is to be left out goes to `cuts`.
///
/// # Errors
/// A sentence about the first required member that is missing or wrong.
fn fields(text: &[u8], object: Span, fields: &[Field], cuts: &mut Vec<Span>) -> Result<(), String> {
    if text.get(object.start) != Some(&b'{') {
        return Err("it is no object".to_owned());
    }
    let mut found = vec![false; fields.len()];
    let mut members = scan::each_member(text, object).peekable();
    // The end of the last member that stays, and that of the last one that goes.
    let (mut kept, mut gone) = (None, 0);
    while let Some(member) = members.next() {
        let start = member.key.start.saturating_sub(1);
        let key = member.key.of(text);
        let place = fields.iter().position(|field| scan::place_of(key, &[field.name]).is_some());
        let known = place.and_then(|place| Some((fields.get(place)?, found.get_mut(place)?)));
        let stays = match known {
            None => true,
            Some((field, found)) => {
                let before = cuts.len();
                let checked = value(text, member.value, &field.shape, cuts);
                *found |= checked.is_ok();
                if checked.is_err() {
                    cuts.truncate(before);
                }
                let spoils = match field.need {
                    Need::Required => true,
                    Need::Sound => member.value.of(text) != b"null",
                    Need::Optional => false,
                };
                match checked {
                    Err(reason) if spoils => return Err(format!("`{}`: {reason}", field.name)),
                    checked => checked.is_ok(),
                }
            }
        };
        if stays {
            kept = Some(member.value.end);
            continue;
        }
        let next = members.peek().map(|next| next.key.start.saturating_sub(1));
        let cut = match (kept, next) {
            (Some(kept), _) => Span { start: kept.max(gone), end: member.value.end },
            (None, Some(next)) => Span { start, end: next },
            (None, None) => Span { start, end: member.value.end },
        };
        gone = cut.end;
        cuts.push(cut);
    }
    let missing = fields.iter().zip(&found).find(|(field, found)| field.need == Need::Required && !**found);
    missing.map_or(Ok(()), |(field, _)| Err(format!("`{}` is missing", field.name)))
}

/// Looks one value over.
///
/// # Errors
/// What it should have been.
fn value(text: &[u8], span: Span, shape: &Shape, cuts: &mut Vec<Span>) -> Result<(), String> {
    let first = span.of(text).first().copied().unwrap_or_default();
    let (fits, expected) = match shape {
        Shape::Text => (first == b'"', "expected a string"),
        Shape::Flag => (matches!(first, b't' | b'f'), "expected true or false"),
        Shape::Number => (first == b'-' || first.is_ascii_digit(), "expected a number"),
        Shape::Object => (first == b'{', "expected an object"),
        Shape::Fields(members) if first == b'{' => return fields(text, span, members, cuts),
        Shape::Fields(_) => (false, "expected an object"),
        Shape::List(element) if first == b'[' => {
            return json::elements(text, span).try_for_each(|item| value(text, item, element, cuts));
        }
        Shape::List(_) => (false, "expected an array"),
        Shape::Exactly(word) => {
            let same = json::unquote(span.of(text)).as_deref() == Some(*word);
            return if same { Ok(()) } else { Err(format!("expected \"{word}\"")) };
        }
    };
    if fits { Ok(()) } else { Err(expected.to_owned()) }
}

const fn whole(item: &[u8]) -> Span {
    Span { start: 0, end: item.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What is left of an item, or why nothing is.
    fn mended(kind: ListKind, item: &str) -> Result<String, String> {
        let Some(flaws) = Flaws::of(kind, item.as_bytes()) else { return Ok("as it is".to_owned()) };
        match flaws.refused {
            Some(reason) => Err(reason),
            None => Ok(String::from_utf8_lossy(&flaws.mend(item.as_bytes())).into_owned()),
        }
    }

    #[test]
    fn a_good_item_is_left_alone() {
        let table = [
            (ListKind::Tools, r#"{"name":"a","inputSchema":{"type":"object"}}"#),
            (
                ListKind::Tools,
                r#"{"name":"a","x":null,"inputSchema":{"type":"object","properties":{"p":{"default":null}}}}"#,
            ),
            (
                ListKind::Tools,
                r#"{"name":"a","inputSchema":{"type":"object","additionalProperties":null},"_meta":{"k":null}}"#,
            ),
            (
                ListKind::Prompts,
                r#"{"name":"a","arguments":[{"name":"x","required":true}],"icons":[{"src":"data:,"}]}"#,
            ),
            (
                ListKind::Resources,
                r#"{"uri":"a:b","name":"a","size":1.5,"annotations":{"audience":["user"],"priority":0}}"#,
            ),
            (ListKind::Templates, r#"{"uriTemplate":"a:{b}","name":"a"}"#),
        ];
        for (kind, item) in table {
            assert_eq!(mended(kind, item).as_deref(), Ok("as it is"), "{item}"); // FT-206
        }
    }

    #[test]
    fn an_item_that_clients_refuse_is_named_with_its_reason() {
        let table = [
            (ListKind::Tools, "7", "it is no object"),
            (ListKind::Tools, r#"{"inputSchema":{"type":"object"}}"#, "`name` is missing"),
            (ListKind::Tools, r#"{"name":1,"inputSchema":{"type":"object"}}"#, "`name`: expected a string"),
            (ListKind::Tools, r#"{"name":"a"}"#, "`inputSchema` is missing"),
            (ListKind::Tools, r#"{"name":"a","inputSchema":null}"#, "`inputSchema`: expected an object"),
            (ListKind::Tools, r#"{"name":"a","inputSchema":{}}"#, "`inputSchema`: `type` is missing"),
            (ListKind::Tools, r#"{"name":"a","inputSchema":true}"#, "`inputSchema`: expected an object"),
            (
                ListKind::Tools,
                r#"{"name":"a","inputSchema":{"type":["object"]}}"#,
                "`inputSchema`: `type`: expected \"object\"",
            ),
            (
                ListKind::Tools,
                r#"{"name":"a","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}"#,
                "`outputSchema`: `type`: expected \"object\"",
            ),
            (ListKind::Prompts, r#"{"title":"a"}"#, "`name` is missing"),
            (ListKind::Resources, r#"{"uri":"a:b"}"#, "`name` is missing"),
            (ListKind::Resources, r#"{"name":"a"}"#, "`uri` is missing"),
            (ListKind::Templates, r#"{"uriTemplate":null,"name":"a"}"#, "`uriTemplate`: expected a string"),
        ];
        for (kind, item, reason) in table {
            assert_eq!(mended(kind, item).unwrap_err(), reason, "{item}"); // FT-206
        }
    }

    #[test]
    fn optional_members_that_clients_refuse_go_with_one_comma() {
        let table = [
            (ListKind::Prompts, r#"{"name":"a","title":null}"#, r#"{"name":"a"}"#),
            (ListKind::Prompts, r#"{"title":null,"name":"a"}"#, r#"{"name":"a"}"#),
            (ListKind::Prompts, r#"{ "title" : null , "icons":null, "name":"a" }"#, r#"{ "name":"a" }"#),
            (ListKind::Prompts, r#"{"name":"a" , "title":null , "_meta" : null }"#, r#"{"name":"a" }"#),
            (
                ListKind::Prompts,
                r#"{"title":null,"name":"a","icons":null,"x":1,"_meta":7}"#,
                r#"{"name":"a","x":1}"#,
            ),
            (ListKind::Prompts, r#"{"name":"a","t\u0069tle":null}"#, r#"{"name":"a"}"#),
            (
                ListKind::Prompts,
                r#"{"name":"a","arguments":[{"name":"x","description":null,"required":null},{"title":null,"name":"y"}]}"#,
                r#"{"name":"a","arguments":[{"name":"x"},{"name":"y"}]}"#,
            ),
            (ListKind::Prompts, r#"{"name":"a","arguments":[{"description":"no name"}]}"#, r#"{"name":"a"}"#),
            (
                ListKind::Tools,
                r#"{"name":"a","annotations":{"title":null},"inputSchema":{"type":"object","properties":null,"required":null}}"#,
                r#"{"name":"a","annotations":{},"inputSchema":{"type":"object"}}"#,
            ),
            (
                ListKind::Tools,
                r#"{"name":"a","outputSchema":null,"inputSchema":{"type":"object"}}"#,
                r#"{"name":"a","inputSchema":{"type":"object"}}"#,
            ),
            (
                ListKind::Resources,
                r#"{"uri":"a:b","name":"a","mimeType":null,"size":"7","icons":[{"src":"x","sizes":null}]}"#,
                r#"{"uri":"a:b","name":"a","icons":[{"src":"x"}]}"#,
            ),
        ];
        for (kind, item, rest) in table {
            assert_eq!(mended(kind, item).as_deref(), Ok(rest), "{item}"); // FT-206
            serde_json::from_str::<Value>(rest).unwrap();
            assert_eq!(mended(kind, rest).as_deref(), Ok("as it is"), "once is enough");
        }
    }
}
