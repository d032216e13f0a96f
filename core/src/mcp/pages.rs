//! Pages of MCP Apps (`ui://…`): where definitions and results name them (MCP Apps, `_meta.ui.resourceUri`).

use crate::json::{self, Span};

/// The members of a tool's `_meta` that name its page: of the specification, of its first draft, and of an older one.
const FLAT: [&str; 2] = ["ui/resourceUri", "openai/outputTemplate"];

/// What every URI of a page begins with.
pub(crate) const SCHEME: &str = "ui://";

/// The pages that the `_meta` of an object names: of a tool, or of its result.
pub(crate) fn pages_of(text: &[u8], object: Span) -> impl Iterator<Item = String> {
    let uris = named_by(text, object).map(|span| json::unquote(span?.of(text)));
    uris.into_iter().flatten().filter(|uri| is_page(uri))
}

/// Whether a URI is that of a page.
pub(crate) fn is_page(uri: &str) -> bool {
    uri.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// Where the `_meta` of an object names pages.
pub(crate) fn named_by(text: &[u8], object: Span) -> [Option<Span>; 3] {
    let member = |object, name| json::member(text, object, name).ok().flatten();
    let Some(meta) = member(object, "_meta") else { return [None; 3] };
    let [flat, older] = FLAT.map(|name| member(meta, name));
    [member(meta, "ui").and_then(|ui| member(ui, "resourceUri")), flat, older]
}
