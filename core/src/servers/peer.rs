//! What a server said of itself in the handshake.

use super::spoken::unsupported;
use crate::fault::{Code, Fault};
use crate::json::scan::each_member;
use crate::json::{self, Pieces, Span};
use crate::limits::Limits;
use crate::mcp::{Declared, ListKind, Revision};

/// The useful parts of an `initialize` result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) revision: Revision,
    tools: Offer,
    prompts: Offer,
    resources: Offer,
    /// It says that it completes arguments.
    pub(crate) completions: bool,
    pub(crate) logging: bool,
    /// Resources can be subscribed to.
    pub(crate) subscribe: bool,
    /// Tools can be called as tasks.
    pub(crate) tasks: bool,
    /// Its name and version, as it says.
    pub(crate) name: Option<Box<str>>,
    pub(crate) version: Option<Box<str>>,
    /// Raw JSON string.
    pub(crate) instructions: Option<Box<[u8]>>,
    /// What it declares beyond the protocol.
    pub(crate) declared: Declared,
    /// What it says of itself beside its name, to be shown: members of `serverInfo`, each with a comma before it.
    pub(crate) identity: Box<str>,
    /// `_meta` of its greeting: a raw JSON object.
    pub(crate) meta: Option<Box<str>>,
    /// Something of it was too long to be kept.
    pub(super) cut: bool,
}

/// The extension of servers that have skills.
const SKILLS: &str = "io.modelcontextprotocol/skills";

/// One capability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Offer {
    there: bool,
    announces: bool,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            revision: Revision::NEWEST,
            tools: Offer::default(),
            prompts: Offer::default(),
            resources: Offer::default(),
            completions: false,
            logging: false,
            subscribe: false,
            tasks: false,
            name: None,
            version: None,
            instructions: None,
            declared: Declared::default(),
            identity: Box::default(),
            meta: None,
            cut: false,
        }
    }
}

impl Peer {
    /// Reads the `result` of `initialize`.
    ///
    /// # Errors
    /// [`Code::UpstreamBroken`] when this is no such result or names a revision that is not spoken here.
    pub(crate) fn parse(text: &[u8], result: Span, limits: &Limits) -> Result<Self, Fault> {
        let names = ["protocolVersion", "capabilities", "instructions", "serverInfo", "_meta"];
        let [version, capabilities, instructions, info, meta] = json::members(text, result, names)?;
        let version = version.and_then(|span| json::unquote(span.of(text))).unwrap_or_default();
        let Some(revision) = Revision::from_name(&version) else {
            if version.is_empty() {
                return Err(Fault::peer(Code::UpstreamBroken, "the server names no protocol revision"));
            }
            return Err(unsupported(&Fault::quoted(version.as_bytes())));
        };
        let capabilities = capabilities.unwrap_or_default();
        let names = ["tools", "prompts", "resources", "completions", "logging", "tasks"];
        let [tools, prompts, resources, completions, logging, tasks] =
            json::members(text, capabilities, names)?;
        let info = info.unwrap_or_default();
        let [name, number] = json::members(text, info, ["name", "version"])?;
        let declared = Declared::parse(text, capabilities, limits.declared_bytes_max)?;
        let (identity, whole) = identity(text, info, limits.identity_bytes_max);
        let meta = meta.filter(|span| span.of(text).first() == Some(&b'{')).map(|span| span.of(text));
        let short_meta = meta.filter(|raw| raw.len() <= limits.identity_bytes_max);
        let cut = declared.is_none() || !whole || short_meta.is_none() != meta.is_none();
        Ok(Self {
            revision,
            name: short(text, name),
            version: short(text, number),
            logging: logging.is_some_and(|span| span.of(text) != b"null"),
            subscribe: is_true(text, resources, "subscribe")?,
            tasks: runs_tools_as_tasks(text, tasks)?,
            tools: offer(text, tools)?,
            prompts: offer(text, prompts)?,
            resources: offer(text, resources)?,
            completions: completions.is_some_and(|span| span.of(text) != b"null"),
            declared: declared.unwrap_or_default(),
            identity,
            meta: short_meta.map(one_line),
            cut,
            instructions: instructions
                .map(|span| span.of(text))
                .filter(|raw| raw.first() == Some(&b'"'))
                .map(Into::into),
        })
    }

    /// Whether it may be asked to complete an argument. The first revision has the method but no capability for it.
    pub(crate) fn may_complete(&self) -> bool {
        self.completions || !self.revision.declares_completions()
    }

    fn offer(&self, kind: ListKind) -> Offer {
        match kind {
            ListKind::Tools => self.tools,
            ListKind::Prompts => self.prompts,
            ListKind::Resources | ListKind::Templates => self.resources,
            ListKind::Skills => Offer { there: self.declared.has_extension(SKILLS), announces: false },
        }
    }

    /// Whether the server has this kind of list.
    pub(crate) fn has(&self, kind: ListKind) -> bool {
        self.offer(kind).there
    }

    /// Whether it says when the list changes.
    pub(crate) fn announces(&self, kind: ListKind) -> bool {
        self.offer(kind).announces
    }
}

/// A string of the server's that is shown, not used; a very long one is cut.
fn short(text: &[u8], span: Option<Span>) -> Option<Box<str>> {
    const CHARS_MAX: usize = 100;
    let whole = json::unquote(span?.of(text))?;
    Some(whole.chars().take(CHARS_MAX).collect())
}

/// The members of `serverInfo` beside the name, as far as clients can read them and there is room, and whether there
/// was. SDKs refuse the whole handshake for a `title` that is no string, so such a one is left out.
fn identity(text: &[u8], info: Span, bytes_max: usize) -> (Box<str>, bool) {
    let mut out = String::new();
    let mut seen = vec!["name".to_owned()];
    let mut whole = true;
    for member in each_member(text, info) {
        let key = Span { start: member.key.start.saturating_sub(1), end: member.key.end.saturating_add(1) };
        let Some(name) = json::unquote(key.of(text)).filter(|name| !seen.contains(name)) else { continue };
        let first = member.value.of(text).first();
        let fits = match name.as_str() {
            "version" | "title" | "description" | "websiteUrl" => first == Some(&b'"'),
            "icons" => first == Some(&b'['),
            _ => first != Some(&b'n'),
        };
        if !fits {
            continue;
        }
        let value = one_line(member.value.of(text));
        if out.len().saturating_add(value.len()).saturating_add(name.len()) > bytes_max {
            whole = false;
            continue;
        }
        out.push_str(&format!(",{}:{value}", json::quote(&name)));
        seen.push(name);
    }
    (out.into(), whole)
}

/// A raw value in one line.
fn one_line(raw: &[u8]) -> Box<str> {
    let mut line = Vec::with_capacity(raw.len());
    Pieces::splice(raw, true, &[]).write(&mut line);
    String::from_utf8(line).unwrap_or_default().into()
}

fn offer(text: &[u8], span: Option<Span>) -> Result<Offer, Fault> {
    let there = span.is_some_and(|span| span.of(text) != b"null");
    Ok(Offer { there, announces: is_true(text, span, "listChanged")? })
}

fn is_true(text: &[u8], capability: Option<Span>, name: &str) -> Result<bool, Fault> {
    let Some(capability) = capability.filter(|span| span.of(text).first() == Some(&b'{')) else {
        return Ok(false);
    };
    Ok(json::member(text, capability, name)?.is_some_and(|value| value.of(text) == b"true"))
}

/// `tasks.requests.tools.call` (2025-11-25 basic/utilities/tasks § Capabilities).
fn runs_tools_as_tasks(text: &[u8], tasks: Option<Span>) -> Result<bool, Fault> {
    let mut at = tasks;
    for name in ["requests", "tools", "call"] {
        let Some(object) = at.filter(|span| span.of(text).first() == Some(&b'{')) else { return Ok(false) };
        at = json::member(text, object, name)?;
    }
    Ok(at.is_some_and(|span| span.of(text).first() == Some(&b'{')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Peer, Code> {
        let limits = Limits { identity_bytes_max: 100, ..Limits::default() };
        Peer::parse(text.as_bytes(), Span { start: 0, end: text.len() }, &limits).map_err(|fault| fault.code)
    }

    #[test]
    fn capabilities_are_what_the_server_declared() {
        let peer = parse(
            r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"prompts":{}},
                "instructions":"use \"it\""}"#,
        )
        .unwrap();
        assert_eq!(peer.revision, Revision::V2025_06_18);
        assert!(peer.has(ListKind::Tools) && peer.announces(ListKind::Tools));
        assert!(peer.has(ListKind::Prompts) && !peer.announces(ListKind::Prompts));
        assert!(!peer.has(ListKind::Resources) && !peer.has(ListKind::Templates));
        assert!(!peer.completions);
        assert_eq!(peer.instructions.as_deref(), Some(br#""use \"it\"""#.as_slice()));
    }

    #[test]
    fn an_unknown_revision_is_refused() {
        let unknown = r#"{"protocolVersion":"2099-01-01","capabilities":{}}"#;
        assert_eq!(parse(unknown), Err(Code::UpstreamRevision));
        for text in [r#"{"capabilities":{}}"#, "{}"] {
            assert_eq!(parse(text), Err(Code::UpstreamBroken), "{text}");
        }
    }

    #[test]
    fn the_first_revision_may_complete_without_saying_so() {
        let peer = parse(r#"{"protocolVersion":"2024-11-05","capabilities":{}}"#).unwrap(); // UP-59
        assert!(peer.may_complete() && !peer.completions);
        let later = parse(r#"{"protocolVersion":"2025-03-26","capabilities":{"completions":null}}"#).unwrap();
        assert!(!later.may_complete() && !later.completions);
    }

    #[test]
    fn identity_is_what_clients_can_read_of_it_and_bounded() {
        // FT-304
        // limit: identity_bytes_max
        let of = |info: &str| {
            let text = format!(
                r#"{{"protocolVersion":"2025-11-25","capabilities":{{}},"serverInfo":{info},"_meta":{info}}}"#
            );
            let peer = parse(&text).unwrap();
            (peer.identity.to_string(), peer.meta.map(|meta| meta.to_string()), peer.cut)
        };
        let info = "{\"name\":\"n\", \"title\" : \"T\",\n\"icons\":[\n1.0],\"x\":{\"y\":1}}";
        let whole = info.replace('\n', " ");
        let identity = r#","title":"T","icons":[ 1.0],"x":{"y":1}"#.to_owned();
        assert_eq!(of(info), (identity, Some(whole), false));
        let odd = r#"{"title":null,"description":7,"icons":{},"websiteUrl":[],"version":1,"x":null}"#;
        assert_eq!(of(odd).0, "");
        assert_eq!(of(r#"{"title":"a","t\u0069tle":"b"}"#).0, r#","title":"a""#);
        let (long, short) = ("x".repeat(95), "x".repeat(86));
        assert_eq!(
            of(&format!(r#"{{"title":"{long}","version":"1"}}"#)),
            (r#","version":"1""#.into(), None, true)
        );
        assert!(!of(&format!(r#"{{"title":"{short}"}}"#)).2);
    }
}
