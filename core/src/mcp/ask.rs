//! Requests of servers to clients: what of a question reaches a client, and what of its answer the server.
//!
//! A question passes byte for byte unless something must change: ids of this hop, tasks, and what the client's
//! revision or its capabilities do not know. What cannot be asked is a [`Refusal`], which goes back to the server.
//!
//! | module | purpose |
//! |---|---|
//! | [`elicitation`] | modes; fields as a client of 2025-06-18 knows them |
//! | [`sampling`] | tools; content arrays, which came with 2025-11-25 |
//!
//! Invariants: nothing the client did not declare is asked (DL-09 to DL-12); what is returned is valid JSON in one
//! line; the output is at most a small multiple of the input. Deliberately absent: whom to ask, ids, deadlines, and
//! any check that only serves the client, which makes its own.

use super::patch::Patch;
use super::{Profile, Revision};
use crate::fault::{Code, Fault};
use crate::json::scan::each_member;
use crate::json::{self, Span};
use std::borrow::Cow;

mod elicitation;
mod sampling;

/// What a server can ask of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A message of the client's model.
    Sampling,
    /// An input of the user.
    Elicitation,
    /// The folders that may be worked in.
    Roots,
    /// Something that only the two know: a request of a method of an extension.
    Other,
}

impl Ask {
    /// Its method, as far as it has one of its own.
    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Sampling => "sampling/createMessage",
            Self::Elicitation => "elicitation/create",
            Self::Roots => "roots/list",
            Self::Other => "a request of an extension",
        }
    }

    /// What is asked by a request of this method.
    pub(crate) fn from_method(name: &str) -> Option<Self> {
        [Self::Sampling, Self::Elicitation, Self::Roots].into_iter().find(|ask| ask.method() == name)
    }
}

/// What a server gets in place of a client's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A JSON-RPC error.
    Error {
        /// Its code.
        code: i32,
        /// One sentence for the server's author.
        message: Cow<'static, str>,
    },
    /// This `result`, as a client could have given it.
    Answer(&'static str),
}

impl Refusal {
    /// What the server asked with cannot be asked, or not of this client.
    fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::error(Code::InvalidParams, message)
    }

    /// What the server asks nobody can read.
    pub(crate) fn unreadable(fault: &Fault) -> Self {
        Self::error(Code::InvalidRequest, fault.detail.clone())
    }

    fn error(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Error { code: code.json_rpc(), message: message.into() }
    }

    /// The `error` or `result` member of a response, name and all.
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Error { code, message } => {
                format!("\"error\":{{\"code\":{code},\"message\":{}}}", json::quote(message))
            }
            Self::Answer(result) => format!("\"result\":{result}"),
        }
    }
}

/// What a user answers who closes the window.
const CANCEL: Refusal = Refusal::Answer("{\"action\":\"cancel\"}");

/// Longest elicitation id that is kept to recognise a later notice.
const ELICITATION_ID_BYTES_MAX: usize = 1024;

/// Whether this can be asked at all of clients with this profile.
///
/// # Errors
/// -32601 if not.
pub(crate) fn check(ask: Ask, profile: Profile) -> Result<(), Refusal> {
    let can = match ask {
        Ask::Sampling => profile.sampling(),
        Ask::Elicitation => profile.form() || profile.url(),
        Ask::Roots => profile.roots(),
        // It is the client's to know.
        Ask::Other => true,
    };
    if can {
        return Ok(());
    }
    let message = format!("the client does not support {}", ask.method());
    Err(Refusal::error(Code::MethodNotFound, message))
}

/// What a server is told of a method that its client is not asked.
pub(crate) fn unknown() -> Refusal {
    Refusal::error(Code::MethodNotFound, "method not found")
}

/// What a server is told that has too many questions open.
pub(crate) fn too_many() -> Refusal {
    Refusal::error(Code::Overloaded, "too many questions are open")
}

/// The `params` that put a server's question to a client of revision `to` that declared `profile`.
///
/// `token` replaces the server's progress token, if there is one; without it the server's is taken out.
///
/// # Errors
/// What to tell the server instead: -32601 for a feature the client lacks, -32602 for a part of it (a mode, tools),
/// and an answer for a form that the client's revision has no words for.
pub(crate) fn question(
    ask: Ask,
    text: &[u8],
    params: Option<Span>,
    token: Option<&[u8]>,
    to: Revision,
    profile: Profile,
) -> Result<Vec<u8>, Refusal> {
    check(ask, profile.usable(to))?;
    let Some(params) = params else {
        return match ask {
            Ask::Roots => Ok(b"{}".to_vec()),
            Ask::Sampling | Ask::Elicitation => Err(Refusal::invalid("`params` are missing")),
            Ask::Other => Ok(Vec::new()),
        };
    };
    if ask == Ask::Other {
        let (mut patch, mut gone) = (Patch::new(text, params), Vec::new());
        hide_token(&mut patch, &mut gone, text, params, token)?;
        patch.remove(params, &gone);
        return Ok(patch.finish().into_owned());
    }
    for member in each_member(text, params) {
        // To a client written in Go these would decide what the exact names decide here.
        json::refuse_look_alike(member.key.of(text), &["mode", "tools"]).map_err(unclear)?;
    }
    let mut patch = Patch::new(text, params);
    let mut gone = vec!["task"];
    hide_token(&mut patch, &mut gone, text, params, token)?;
    match ask {
        Ask::Sampling => sampling::question(&mut patch, &mut gone, text, params, to, profile)?,
        Ask::Elicitation => elicitation::question(&mut patch, &mut gone, text, params, to, profile)?,
        Ask::Roots | Ask::Other => {}
    }
    patch.remove(params, &gone);
    Ok(patch.finish().into_owned())
}

/// Tokens belong to one hop. A `_meta` that held nothing else goes too.
fn hide_token<'a>(
    patch: &mut Patch<'a>,
    gone: &mut Vec<&str>,
    text: &'a [u8],
    params: Span,
    token: Option<&[u8]>,
) -> Result<(), Refusal> {
    let Some(meta) = json::member(text, params, "_meta").map_err(unclear)? else { return Ok(()) };
    let Some(old) = json::member(text, meta, "progressToken").map_err(unclear)? else { return Ok(()) };
    match token {
        Some(new) if is_token(old.of(text)) => patch.replace(old, new.to_vec()),
        _ if each_member(text, meta).nth(1).is_none() => gone.push("_meta"),
        _ => patch.remove(meta, &["progressToken"]),
    }
    Ok(())
}

/// A question that peers may read in different ways is not passed on.
fn unclear(fault: Fault) -> Refusal {
    Refusal::invalid(fault.detail)
}

/// The progress token of a question: a raw string or number.
pub(crate) fn progress_token(text: &[u8], params: Option<Span>) -> Option<Span> {
    let meta = json::member(text, params?, "_meta").ok()??;
    let token = json::member(text, meta, "progressToken").ok()??;
    is_token(token.of(text)).then_some(token)
}

fn is_token(raw: &[u8]) -> bool {
    matches!(raw.first(), Some(b'"' | b'-' | b'0'..=b'9'))
}

/// The id of an elicitation by URL, a raw string: the server may tell later, under this id, that it is complete.
pub(crate) fn elicitation_id(text: &[u8], params: Option<Span>) -> Option<Span> {
    let mode = json::member(text, params?, "mode").ok()??;
    if json::unquote(mode.of(text)).as_deref() == Some("url") {
        elicitation_id_of(text, params?)
    } else {
        None
    }
}

/// The same, of an object that is known to be one.
pub(super) fn elicitation_id_of(text: &[u8], elicitation: Span) -> Option<Span> {
    let id = json::member(text, elicitation, "elicitationId").ok()??;
    let raw = id.of(text);
    (raw.first() == Some(&b'"') && raw.len() <= ELICITATION_ID_BYTES_MAX).then_some(id)
}

/// The `result` of a client for a server of revision `from`.
///
/// # Errors
/// -32603 when it cannot be said in the words of that revision, or is no result at all.
pub(crate) fn answer(ask: Ask, text: &[u8], result: Span, from: Revision) -> Result<Cow<'_, [u8]>, Refusal> {
    if ask != Ask::Other && result.of(text).first() != Some(&b'{') {
        return Err(Refusal::error(Code::Internal, "the client gave an answer that is no object"));
    }
    let mut patch = Patch::new(text, result);
    match ask {
        Ask::Sampling => sampling::answer(&mut patch, text, result, from)?,
        Ask::Elicitation | Ask::Roots | Ask::Other => {}
    }
    Ok(patch.finish())
}

/// What a server is told when the client that was asked is gone, or did not answer in time.
pub(crate) fn fallback(ask: Ask) -> Refusal {
    match ask {
        Ask::Elicitation => CANCEL,
        Ask::Sampling | Ask::Roots | Ask::Other => {
            Refusal::error(Code::Internal, "the client did not answer")
        }
    }
}

/// What a server is told that asks outside any call, where the connection belongs to no single client (SEP-2260).
pub(crate) fn unattributed(ask: Ask) -> Refusal {
    match ask {
        Ask::Roots => Refusal::Answer("{\"roots\":[]}"),
        Ask::Other => unknown(),
        Ask::Sampling | Ask::Elicitation => Refusal::invalid("there is no call to attach it to"),
    }
}

#[cfg(test)]
mod tests;
