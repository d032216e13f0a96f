//! Which items are hidden, and by what: sentences for the log, a bounded number of them.

use super::offer::Offer;
use crate::fault::Fault;
use crate::mcp::ListKind;

/// What was hidden so far.
pub(super) struct Report {
    kind: ListKind,
    /// Whether there are several servers, so that each has to be named.
    several: bool,
    sentences: Vec<String>,
    more: usize,
}

impl Report {
    pub(super) fn new(kind: ListKind, several: bool) -> Self {
        Self { kind, several, sentences: Vec::new(), more: 0 }
    }

    /// An item is hidden because another server has something of that name.
    pub(super) fn other_server(&mut self, loser: &Offer<'_>, name: &str, winner: &str) {
        let reason = format!("`{winner}` has the name `{}`", self.shown(name));
        self.hide(loser, &reason);
    }

    /// An item is hidden because an override gives its name to another one of its server.
    pub(super) fn override_of(&mut self, loser: &Offer<'_>, winner: &str) {
        let reason = format!("the name `{}` is given to `{}`", self.shown(loser.base), self.shown(winner));
        self.hide(loser, &reason);
    }

    fn hide(&mut self, loser: &Offer<'_>, reason: &str) {
        if self.sentences.len() >= SENTENCES_MAX {
            self.more = self.more.saturating_add(1);
            return;
        }
        let server = if self.several { format!(" of `{}`", loser.part.prefix) } else { String::new() };
        let (noun, own) = (self.kind.noun(), self.shown(&loser.item.name));
        self.sentences.push(format!("the {noun} `{own}`{server} is hidden: {reason}"));
    }

    /// A name fit for the log. The query of a URI may hold what nobody should read there.
    fn shown(&self, name: &str) -> String {
        let (name, cut) = match (self.kind, name.split_once('?')) {
            (ListKind::Resources, Some((path, _))) => (path, "?…"),
            _ => (name, ""),
        };
        Fault::quoted(name.as_bytes()) + cut
    }

    /// All sentences.
    pub(super) fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.sentences.push(format!("{} more are hidden for such reasons", self.more));
        }
        self.sentences
    }
}

/// Two equal servers clash in everything they have: nobody reads more than this.
const SENTENCES_MAX: usize = 20;
