//! What one endpoint shows: an ordered set of upstreams, a filter for each, and a naming policy.
//!
//! Nothing outside this module knows which endpoint a client uses. `/{server}/…` is a view of one upstream with
//! its names unchanged; that is the only naming policy so far, so a name or URI always belongs to the view's one
//! member. Lists are kept encoded and are answered by splicing the id.

use crate::catalog::Catalog;
use crate::config::ToolFilter;
use crate::fault::{Code, Fault};
use crate::id::UpstreamId;
use crate::mcp::ListKind;
use std::sync::Arc;

/// One view.
#[derive(Debug)]
pub(crate) struct View {
    member: Member,
    encoded: [Option<Arc<[u8]>>; 4],
}

/// One upstream of a view.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) upstream: UpstreamId,
    pub(crate) filter: ToolFilter,
}

impl View {
    /// A view of one upstream, names unchanged.
    pub(crate) fn single(upstream: UpstreamId, filter: ToolFilter) -> Self {
        Self { member: Member { upstream, filter }, encoded: [const { None }; 4] }
    }

    /// The upstream whose state decides whether this view can be used at all.
    pub(crate) fn upstream(&self) -> UpstreamId {
        self.member.upstream
    }

    /// The upstream that has this tool.
    ///
    /// # Errors
    /// [`Code::InvalidParams`] for a tool that is filtered, in the words for one that does not exist.
    pub(crate) fn tool(&self, name: &str) -> Result<UpstreamId, Fault> {
        if self.member.filter.admits(name) {
            return Ok(self.member.upstream);
        }
        Err(Fault::peer(Code::InvalidParams, format!("unknown tool `{}`", Fault::quoted(name.as_bytes()))))
    }

    /// Whether names of tools have to be looked at.
    pub(crate) fn filters_tools(&self) -> bool {
        !matches!(self.member.filter, ToolFilter::None)
    }

    /// The `result` of a list request.
    pub(crate) fn list(&mut self, kind: ListKind, catalog: &Catalog) -> Arc<[u8]> {
        let filter = &self.member.filter;
        let Some(slot) = self.encoded.get_mut(kind.index()) else { return Arc::default() };
        slot.get_or_insert_with(|| encode(kind, catalog, filter)).clone()
    }

    /// Notes that a list of a member changed. Returns whether this view shows something else now.
    pub(crate) fn refresh(&mut self, kind: ListKind, catalog: &Catalog) -> bool {
        let Some(slot) = self.encoded.get_mut(kind.index()) else { return false };
        let Some(old) = slot.take() else { return true };
        let new = encode(kind, catalog, &self.member.filter);
        let changed = old != new;
        *slot = Some(new);
        changed
    }
}

fn encode(kind: ListKind, catalog: &Catalog, filter: &ToolFilter) -> Arc<[u8]> {
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(kind.member().as_bytes());
    out.extend_from_slice(b"\":[");
    let mut separator: &[u8] = b"";
    for item in &catalog.list(kind).items {
        if kind == ListKind::Tools && !filter.admits(&item.name) {
            continue;
        }
        out.extend_from_slice(separator);
        out.extend_from_slice(&item.raw);
        separator = b",";
    }
    out.extend_from_slice(b"]}");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Item;
    use crate::time::Mono;

    fn catalog(names: &[&str]) -> Catalog {
        let mut catalog = Catalog::default();
        let item = |name: &&str| Item {
            name: (*name).to_owned(),
            raw: format!("{{\"name\":\"{name}\"}}").into_bytes().into(),
        };
        catalog.replace(ListKind::Tools, names.iter().map(item).collect(), Mono(0));
        catalog
    }

    #[test]
    fn a_filtered_tool_is_neither_listed_nor_callable() {
        let filter = ToolFilter::Block(["b".to_owned()].into());
        let mut view = View::single(UpstreamId(0), filter);
        let list = view.list(ListKind::Tools, &catalog(&["a", "b", "c"]));
        assert_eq!(&*list, br#"{"tools":[{"name":"a"},{"name":"c"}]}"#);
        assert_eq!(view.tool("b").unwrap_err().code, Code::InvalidParams);
        assert_eq!(view.tool("a"), Ok(UpstreamId(0)));
    }

    #[test]
    fn a_change_counts_only_if_this_view_shows_it() {
        let mut view = View::single(UpstreamId(0), ToolFilter::Allow(["a".to_owned()].into()));
        view.list(ListKind::Tools, &catalog(&["a"]));
        assert!(!view.refresh(ListKind::Tools, &catalog(&["a", "hidden"])));
        assert!(view.refresh(ListKind::Tools, &catalog(&["hidden"])));
        assert_eq!(&*view.list(ListKind::Tools, &catalog(&["hidden"])), br#"{"tools":[]}"#);
    }
}
