//! Elicitation: by form, since 2025-06-18, and by URL, since 2025-11-25.

use super::{CANCEL, Patch, Profile, Refusal, Revision, unclear};
use crate::fault::Fault;
use crate::json::scan::each_member;
use crate::json::{self, Span};
use crate::mcp::patch::is_named;

/// Checks the mode and makes the form one that the client knows.
pub(super) fn question(
    patch: &mut Patch<'_>,
    gone: &mut Vec<&str>,
    text: &[u8],
    params: Span,
    to: Revision,
    profile: Profile,
) -> Result<(), Refusal> {
    let usable = profile.usable(to);
    let [mode, schema] = json::members(text, params, ["mode", "requestedSchema"]).map_err(unclear)?;
    let name = mode.map(|span| json::unquote(span.of(text)).unwrap_or_default());
    match name.as_deref() {
        None | Some("form") if !usable.form() => {
            return Err(Refusal::invalid("the client does not support elicitation by form"));
        }
        Some("url") if !usable.url() => {
            return Err(Refusal::invalid("the client does not support elicitation by URL"));
        }
        None | Some("form" | "url") => {}
        Some(_) => {
            let shown = Fault::quoted(mode.unwrap_or_default().of(text));
            return Err(Refusal::invalid(format!("there is no elicitation mode {shown}")));
        }
    }
    if to >= Revision::V2025_11_25 {
        return Ok(());
    }
    gone.push("mode");
    let Some(schema) = schema else { return Ok(()) };
    let fields = json::member(text, schema, "properties").map_err(unclear)?.unwrap_or_default();
    for field in each_member(text, fields) {
        simplify(patch, text, field.value)?;
    }
    Ok(())
}

/// One field: several choices at once cannot be asked for, and titles of choices stand in a list of their own.
fn simplify(patch: &mut Patch<'_>, text: &[u8], field: Span) -> Result<(), Refusal> {
    let names = ["type", "oneOf", "enum", "enumNames"];
    let [kind, choices, plain, titles] = json::members(text, field, names).map_err(unclear)?;
    if kind.is_some_and(|span| json::unquote(span.of(text)).as_deref() == Some("array")) {
        return Err(CANCEL);
    }
    let Some(choices) = choices else { return Ok(()) };
    if plain.is_some() {
        patch.remove(field, &["oneOf"]);
        return Ok(());
    }
    let (values, names) = split(text, choices)?;
    if titles.is_some() {
        return Err(malformed());
    }
    let Some(old) = each_member(text, field).find(|member| is_named(text, *member, "oneOf")) else {
        return Ok(());
    };
    let whole = Span { start: old.key.start.saturating_sub(1), end: old.value.end };
    let new = [b"\"enum\":[", &*values, b"],\"enumNames\":[", &*names, b"]"].concat();
    patch.replace(whole, new);
    Ok(())
}

/// The values and the titles of titled choices, each joined by commas. The value stands in for a missing title.
fn split(text: &[u8], choices: Span) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
    if choices.of(text).first() != Some(&b'[') {
        return Err(malformed());
    }
    let is_string = |span: &Span| span.of(text).first() == Some(&b'"');
    let (mut values, mut names) = (Vec::new(), Vec::new());
    for choice in json::elements(text, choices) {
        let [value, title] = json::members(text, choice, ["const", "title"]).map_err(unclear)?;
        let value = value.filter(is_string).ok_or_else(malformed)?;
        for (list, item) in [(&mut values, value), (&mut names, title.filter(is_string).unwrap_or(value))] {
            if !list.is_empty() {
                list.push(b',');
            }
            list.extend_from_slice(item.of(text));
        }
    }
    Ok((values, names))
}

fn malformed() -> Refusal {
    Refusal::invalid("a field of `requestedSchema` has a form that is not allowed")
}
