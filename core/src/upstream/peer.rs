//! What a server said of itself in the handshake.

use crate::fault::{Code, Fault};
use crate::json::{self, Span};
use crate::mcp::{ListKind, Revision};

/// The useful parts of an `initialize` result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) revision: Revision,
    tools: Offer,
    prompts: Offer,
    resources: Offer,
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
}

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
        }
    }
}

impl Peer {
    /// Reads the `result` of `initialize`.
    ///
    /// # Errors
    /// [`Code::UpstreamBroken`] when this is no such result or names a revision that is not spoken here.
    pub(crate) fn parse(text: &[u8], result: Span) -> Result<Self, Fault> {
        let [version, capabilities, instructions, info] =
            json::members(text, result, ["protocolVersion", "capabilities", "instructions", "serverInfo"])?;
        let version = version.and_then(|span| json::unquote(span.of(text))).unwrap_or_default();
        let Some(revision) = Revision::from_name(&version) else {
            let detail =
                format!("the server speaks protocol revision `{}`", Fault::quoted(version.as_bytes()));
            return Err(Fault::peer(Code::UpstreamBroken, detail + ", which is not supported"));
        };
        let capabilities = capabilities.unwrap_or_default();
        let names = ["tools", "prompts", "resources", "completions", "logging", "tasks"];
        let [tools, prompts, resources, completions, logging, tasks] =
            json::members(text, capabilities, names)?;
        let [name, number] = json::members(text, info.unwrap_or_default(), ["name", "version"])?;
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
            // The first revision has the method but no capability for it.
            completions: completions.is_some() || revision == Revision::V2024_11_05,
            instructions: instructions
                .map(|span| span.of(text))
                .filter(|raw| raw.first() == Some(&b'"'))
                .map(Into::into),
        })
    }

    fn offer(&self, kind: ListKind) -> Offer {
        match kind {
            ListKind::Tools => self.tools,
            ListKind::Prompts => self.prompts,
            ListKind::Resources | ListKind::Templates => self.resources,
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
        Peer::parse(text.as_bytes(), Span { start: 0, end: text.len() }).map_err(|fault| fault.code)
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
        for text in [r#"{"protocolVersion":"2099-01-01","capabilities":{}}"#, r#"{"capabilities":{}}"#, "{}"]
        {
            assert_eq!(parse(text), Err(Code::UpstreamBroken), "{text}");
        }
    }

    #[test]
    fn the_first_revision_may_complete_without_saying_so() {
        assert!(parse(r#"{"protocolVersion":"2024-11-05","capabilities":{}}"#).unwrap().completions); // UP-59
    }
}
