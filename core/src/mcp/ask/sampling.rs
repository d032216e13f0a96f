//! Sampling: tools are asked for only where they were declared; content arrays are for 2025-11-25 and later.
//!
//! Before that a message had exactly one block of content, and no block was of a tool (BR-41).

use super::{Patch, Profile, Refusal, Revision, unclear};
use crate::fault::Code;
use crate::json::{self, Span};

/// An empty content.
const NO_TEXT: &[u8] = b"{\"type\":\"text\",\"text\":\"\"}";

/// Checks what is asked for and makes the messages ones that the client knows.
pub(super) fn question<'a>(
    patch: &mut Patch<'a>,
    gone: &mut Vec<&str>,
    text: &'a [u8],
    params: Span,
    to: Revision,
    profile: Profile,
) -> Result<(), Refusal> {
    let names = ["tools", "toolChoice", "includeContext", "messages"];
    let [tools, choice, context, messages] = json::members(text, params, names).map_err(unclear)?;
    if !profile.usable(to).sampling_tools() {
        if [tools, choice].into_iter().flatten().any(|span| span.of(text) != b"null") {
            return Err(Refusal::invalid("the client does not support sampling with tools"));
        }
        gone.extend(["tools", "toolChoice"]);
    }
    let none = context.is_none_or(|span| json::unquote(span.of(text)).as_deref() == Some("none"));
    // Before that revision the member needed no capability.
    if !none && to >= Revision::V2025_11_25 && !profile.sampling_context() {
        gone.push("includeContext");
    }
    if to < Revision::V2025_11_25 {
        for message in json::elements(text, messages.unwrap_or_default()) {
            simplify(patch, text, message, to)?;
        }
    }
    Ok(())
}

/// One message. Of several blocks the first stays in it, and each other one gets a message of the same role.
fn simplify<'a>(patch: &mut Patch<'a>, text: &'a [u8], message: Span, to: Revision) -> Result<(), Refusal> {
    let [role, content] = json::members(text, message, ["role", "content"]).map_err(unclear)?;
    let Some(content) = content else { return Ok(()) };
    if content.of(text).first() != Some(&b'[') {
        return fits(text, content, to);
    }
    let mut blocks = json::elements(text, content);
    let Some(first) = blocks.next() else {
        patch.replace(content, NO_TEXT);
        return Ok(());
    };
    fits(text, first, to)?;
    patch.replace(content, first.of(text));
    let mut more = Vec::new();
    for block in blocks {
        fits(text, block, to)?;
        // Only what a message needs is repeated: anything else could be long.
        let role: &[u8] = match role.and_then(|span| json::unquote(span.of(text))).as_deref() {
            Some("user") => b"user",
            Some("assistant") => b"assistant",
            _ => return Err(Refusal::invalid("a message has no role that is known")),
        };
        for part in [b",{\"role\":\"", role, b"\",\"content\":", block.of(text), b"}"] {
            more.extend_from_slice(part);
        }
    }
    if !more.is_empty() {
        patch.replace(Span { start: message.end, end: message.end }, more);
    }
    Ok(())
}

/// Refuses a block that a client of this revision has no place for.
fn fits(text: &[u8], block: Span, to: Revision) -> Result<(), Refusal> {
    match kind(text, block) {
        None => Err(Refusal::invalid("a message has content without a type")),
        Some(kind) if !is_known(&kind, to) => {
            Err(Refusal::invalid(format!("the client does not support content of type {kind}")))
        }
        Some(_) => Ok(()),
    }
}

fn kind(text: &[u8], block: Span) -> Option<String> {
    json::unquote(json::member(text, block, "type").ok()??.of(text))
}

/// Types this does not know are left to the receiver.
fn is_known(kind: &str, revision: Revision) -> bool {
    match kind {
        "tool_use" | "tool_result" => revision >= Revision::V2025_11_25,
        "audio" => revision > Revision::V2024_11_05,
        _ => true,
    }
}

/// Makes one block of the content of a result, for a server that knows no arrays.
pub(super) fn answer<'a>(
    patch: &mut Patch<'a>,
    text: &'a [u8],
    result: Span,
    from: Revision,
) -> Result<(), Refusal> {
    if from >= Revision::V2025_11_25 {
        return Ok(());
    }
    let unusable =
        || Refusal::error(Code::Internal, "the model's answer has a form that the server cannot read");
    let Some(content) = json::member(text, result, "content").map_err(|_| unusable())? else { return Ok(()) };
    let known = |block| kind(text, block).is_none_or(|kind| is_known(&kind, from));
    if content.of(text).first() != Some(&b'[') {
        return if known(content) { Ok(()) } else { Err(unusable()) };
    }
    let mut blocks = json::elements(text, content);
    match (blocks.next(), blocks.next()) {
        (None, _) => patch.replace(content, NO_TEXT),
        (Some(only), None) if known(only) => patch.replace(content, only.of(text)),
        (Some(_), None) => return Err(unusable()),
        (Some(_), Some(_)) => patch.replace(content, join(text, content).ok_or_else(unusable)?),
    }
    Ok(())
}

/// One text of several, a line each; `None` if one is no text. The strings stay escaped as they are.
fn join(text: &[u8], content: Span) -> Option<Vec<u8>> {
    let mut out = b"{\"type\":\"text\",\"text\":\"".to_vec();
    let mut separator: &[u8] = b"";
    for block in json::elements(text, content) {
        let raw = json::member(text, block, "text").ok()??.of(text);
        let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if kind(text, block).as_deref() != Some("text") {
            return None;
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(inner);
        separator = b"\\n";
    }
    out.extend_from_slice(b"\"}");
    Some(out)
}
