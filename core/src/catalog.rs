//! What one upstream offers: its lists, each item as the upstream wrote it.
//!
//! Invariants: items keep their order and their bytes, except that `execution` is taken off tools (tasks are not
//! carried, so no client may think they are: DL-14) and raw newlines are blanked; at most
//! `list_items_max` items and `list_pages_max` pages are kept, and a cursor that comes again ends the reading.
//! Deliberately absent: filters and names shown to clients, which belong to a [`View`](crate::view::View).

use crate::fault::{Code, Fault};
use crate::json::{self, Pieces, Span};
use crate::limits::Limits;
use crate::mcp::ListKind;
use crate::mcp::pages;
use crate::mcp::shape::Flaws;
use crate::time::Mono;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// A digest of the items of a list.
pub(crate) type Digest = [u8; 32];

/// The lists of one upstream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    lists: [List; ListKind::COUNT],
}

/// One list.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    /// In the upstream's order.
    pub(crate) items: Arc<[Item]>,
    /// Tells lists with different items apart.
    pub(crate) digest: Digest,
    /// Names of the tools that their server only runs as tasks.
    pub(crate) tasks: Arc<BTreeSet<String>>,
    /// Pages of apps that it names.
    pub(crate) pages: NamedPages,
    /// When it was read, if it ever was.
    pub(crate) read_at: Option<Mono>,
    /// It was never read, and the last try ended so.
    failure: Option<Fault>,
    /// Such tries.
    failures: u32,
}

impl List {
    /// Whether it is known what the server has.
    pub(crate) fn is_read(&self) -> bool {
        self.read_at.is_some()
    }

    /// Why it could never be read, once that was tried.
    pub(crate) fn failure(&self) -> Option<&Fault> {
        self.failure.as_ref().filter(|_| !self.is_read())
    }
}

/// One tool, prompt, resource or template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its name or URI.
    pub(crate) name: String,
    /// Its definition.
    pub(crate) raw: Box<[u8]>,
    /// Its server only runs it as a task.
    pub(crate) needs_task: bool,
    /// Where it departs from what clients accept.
    pub(crate) flaws: Option<Box<Flaws>>,
}

impl Item {
    /// Whether clients that check lists would refuse one with this item.
    pub(crate) fn is_refused(&self) -> bool {
        self.flaws.as_ref().is_some_and(|flaws| flaws.refused.is_some())
    }

    /// Its definition for a list that must not be refused for its sake.
    pub(crate) fn mended(&self) -> Cow<'_, [u8]> {
        match &self.flaws {
            Some(flaws) => Cow::Owned(flaws.mend(&self.raw)),
            None => Cow::Borrowed(&self.raw),
        }
    }
}

impl Catalog {
    /// Number of items that clients would object to.
    pub(crate) fn flawed_len(&self) -> usize {
        self.lists.iter().flat_map(|list| list.items.iter()).filter(|item| item.flaws.is_some()).count()
    }

    pub(crate) fn list(&self, kind: ListKind) -> &List {
        let [tools, prompts, resources, templates, skills] = &self.lists;
        match kind {
            ListKind::Tools => tools,
            ListKind::Prompts => prompts,
            ListKind::Resources => resources,
            ListKind::Templates => templates,
            ListKind::Skills => skills,
        }
    }

    fn list_mut(&mut self, kind: ListKind) -> &mut List {
        let [tools, prompts, resources, templates, skills] = &mut self.lists;
        match kind {
            ListKind::Tools => tools,
            ListKind::Prompts => prompts,
            ListKind::Resources => resources,
            ListKind::Templates => templates,
            ListKind::Skills => skills,
        }
    }

    /// Replaces a list. Returns whether its items differ from those before.
    pub(crate) fn replace(&mut self, kind: ListKind, items: Vec<Item>, now: Mono) -> bool {
        let list = self.list_mut(kind);
        let digest = digest(&items);
        let changed = list.digest != digest || !list.is_read();
        list.read_at = Some(now);
        list.failure = None;
        if list.digest != digest {
            list.digest = digest;
            let tasks = items.iter().filter(|item| item.needs_task);
            list.tasks = Arc::new(tasks.map(|item| item.name.clone()).collect());
            list.pages = named_pages(kind, &items);
            list.items = items.into();
        }
        changed
    }

    /// A list could not be read. Returns how often that has happened, if it never could.
    pub(crate) fn fail(&mut self, kind: ListKind, fault: Fault) -> Option<u32> {
        let list = self.list_mut(kind);
        if list.is_read() {
            return None;
        }
        list.failure = Some(fault);
        list.failures = list.failures.saturating_add(1);
        Some(list.failures)
    }

    /// Takes a list over from another connection to the same server.
    pub(crate) fn adopt(&mut self, kind: ListKind, other: &Self) {
        *self.list_mut(kind) = other.list(kind).clone();
    }

    /// Keeps a list once if another connection to the same server has the same one.
    pub(crate) fn share(&mut self, kind: ListKind, other: &Self) {
        let list = self.list_mut(kind);
        let other = other.list(kind);
        if list.digest == other.digest {
            list.items = other.items.clone();
            list.tasks = other.tasks.clone();
            list.pages = other.pages.clone();
        }
    }
}

fn digest(items: &[Item]) -> Digest {
    let mut hash = Sha256::new();
    for item in items {
        hash.update((item.name.len() as u64).to_le_bytes());
        hash.update(&item.name);
        hash.update((item.raw.len() as u64).to_le_bytes());
        hash.update(&item.raw);
        hash.update([u8::from(item.needs_task)]);
    }
    hash.finalize().into()
}

/// Reads one list page by page.
#[derive(Debug)]
pub(crate) struct Reading {
    kind: ListKind,
    items: Vec<Item>,
    bytes: usize,
    cursors: Vec<Box<[u8]>>,
    names: HashSet<String>,
    repeated: usize,
}

/// What to do after a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// Ask again with this cursor (raw JSON string).
    More(Box<[u8]>),
    /// That was all.
    Done(Vec<Item>),
    /// All that will be taken; the reason belongs into the log.
    Cut(Vec<Item>, &'static str),
}

impl Reading {
    pub(crate) fn new(kind: ListKind) -> Self {
        Self { kind, items: Vec::new(), bytes: 0, cursors: Vec::new(), names: HashSet::new(), repeated: 0 }
    }

    /// Items so far that were left out because their name had come already.
    pub(crate) fn repeated(&self) -> usize {
        self.repeated
    }

    pub(crate) fn kind(&self) -> ListKind {
        self.kind
    }

    /// Takes one page: the `result` of an answer, inside `text`.
    ///
    /// # Errors
    /// [`Code::UpstreamBroken`] when this is no such list.
    pub(crate) fn page(&mut self, text: &[u8], result: Span, limits: &Limits) -> Result<Page, Fault> {
        let [list, cursor] = json::members(text, result, [self.kind.member(), "nextCursor"])?;
        let Some(list) = list.filter(|span| span.of(text).first() == Some(&b'[')) else {
            let detail = format!("the answer to {} has no list `{}`", self.kind.method(), self.kind.member());
            return Err(Fault::peer(Code::UpstreamBroken, detail));
        };
        for span in json::elements(text, list) {
            if self.items.len() >= limits.list_items_max {
                return Ok(Page::Cut(std::mem::take(&mut self.items), "too many items"));
            }
            self.bytes = self.bytes.saturating_add(span.end.saturating_sub(span.start));
            if self.bytes > limits.list_bytes_max {
                return Ok(Page::Cut(std::mem::take(&mut self.items), "too many bytes"));
            }
            let item = item(self.kind, text, span);
            if item.name.is_empty() || self.names.insert(item.name.clone()) {
                self.items.push(item);
            } else {
                self.repeated = self.repeated.saturating_add(1);
            }
        }
        let Some(cursor) = cursor.map(|span| span.of(text)).filter(|raw| raw.first() == Some(&b'"')) else {
            return Ok(Page::Done(std::mem::take(&mut self.items)));
        };
        if self.cursors.iter().any(|seen| **seen == *cursor) {
            return Ok(Page::Cut(std::mem::take(&mut self.items), "a cursor came twice"));
        }
        if self.cursors.len().saturating_add(1) >= limits.list_pages_max {
            return Ok(Page::Cut(std::mem::take(&mut self.items), "too many pages"));
        }
        self.cursors.push(cursor.into());
        Ok(Page::More(cursor.into()))
    }
}

/// One item. Its name is empty if it has none.
fn item(kind: ListKind, text: &[u8], span: Span) -> Item {
    let name = json::member(text, span, kind.key()).ok().flatten();
    let name = name.and_then(|span| json::unquote(span.of(text))).unwrap_or_default();
    let mut raw = Vec::new();
    let mut needs_task = false;
    if kind == ListKind::Tools && json::member(text, span, "execution") != Ok(None) {
        needs_task = is_task(text, span);
        write_without(text, span, "execution", &mut raw);
    } else {
        raw.extend_from_slice(span.of(text));
    }
    let mut line = Vec::with_capacity(raw.len());
    Pieces::splice(&raw, true, &[]).write(&mut line);
    let flaws = Flaws::of(kind, &line);
    Item { name, raw: line.into(), needs_task, flaws }
}

/// Whether a tool can only be called as a task (2025-11-25 server/tools § Tool-level negotiation).
fn is_task(text: &[u8], tool: Span) -> bool {
    let execution = json::member(text, tool, "execution").ok().flatten();
    let support = execution.and_then(|span| json::member(text, span, "taskSupport").ok().flatten());
    support.and_then(|span| json::unquote(span.of(text))).as_deref() == Some("required")
}

/// Writes an object without one of its members.
fn write_without(text: &[u8], object: Span, name: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    for member in json::scan::each_member(text, object) {
        let quoted =
            Span { start: member.key.start.saturating_sub(1), end: member.key.end.saturating_add(1) };
        if json::unquote(quoted.of(text)).as_deref() == Some(name) {
            continue;
        }
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        let with_key = Span { start: member.key.start.saturating_sub(1), end: member.value.end };
        out.extend_from_slice(with_key.of(text));
    }
    out.push(b'}');
}

/// The pages that a list names.
pub(crate) type NamedPages = Arc<BTreeSet<String>>;

/// The pages that the items of a list name, or are.
pub(crate) fn named_pages(kind: ListKind, items: &[Item]) -> NamedPages {
    let mut found = BTreeSet::new();
    for item in items {
        match kind {
            ListKind::Tools => {
                found.extend(pages::pages_of(&item.raw, Span { start: 0, end: item.raw.len() }))
            }
            ListKind::Resources => found.extend(pages::is_page(&item.name).then(|| item.name.clone())),
            ListKind::Prompts | ListKind::Templates | ListKind::Skills => {}
        }
    }
    Arc::new(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(reading: &mut Reading, text: &str) -> Result<Page, Code> {
        let span = Span { start: 0, end: text.len() };
        reading
            .page(
                text.as_bytes(),
                span,
                &Limits { list_items_max: 3, list_pages_max: 3, list_bytes_max: 200, ..Limits::default() },
            )
            .map_err(|fault| fault.code)
    }

    fn names(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| item.name.as_str()).collect()
    }

    #[test]
    fn pages_are_gathered_in_order() {
        let mut reading = Reading::new(ListKind::Tools); // UP-57
        let more = page(&mut reading, r#"{"tools":[{"name":"a"},{"x":1,"name":"b"}],"nextCursor":""}"#);
        assert_eq!(more, Ok(Page::More(b"\"\"".as_slice().into()))); // GN-12
        let Ok(Page::Done(items)) = page(&mut reading, r#"{"tools":[{"name":"c"}]}"#) else { panic!() };
        assert_eq!(names(&items), ["a", "b", "c"]);
        assert_eq!(&*items[1].raw, br#"{"x":1,"name":"b"}"#);
    }

    #[test]
    fn a_repeated_cursor_or_too_much_ends_the_reading() {
        // limit: list_pages_max
        // limit: list_items_max
        // limit: list_bytes_max
        let mut reading = Reading::new(ListKind::Tools); // UP-58
        page(&mut reading, r#"{"tools":[{"name":"a"}],"nextCursor":"x"}"#).unwrap();
        let cut = page(&mut reading, r#"{"tools":[],"nextCursor":"x"}"#).unwrap();
        assert!(matches!(cut, Page::Cut(items, "a cursor came twice") if names(&items) == ["a"]));

        let mut reading = Reading::new(ListKind::Tools);
        let many = r#"{"tools":[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"}]}"#;
        assert!(
            matches!(page(&mut reading, many), Ok(Page::Cut(items, "too many items")) if items.len() == 3)
        );

        let mut reading = Reading::new(ListKind::Tools);
        let long = format!(r#"{{"tools":[{{"name":"a"}},{{"name":"b","x":"{}"}}]}}"#, "x".repeat(180));
        assert!(
            matches!(page(&mut reading, &long), Ok(Page::Cut(items, "too many bytes")) if items.len() == 1)
        );

        let mut reading = Reading::new(ListKind::Tools);
        page(&mut reading, r#"{"tools":[],"nextCursor":"1"}"#).unwrap();
        page(&mut reading, r#"{"tools":[],"nextCursor":"2"}"#).unwrap();
        let cut = page(&mut reading, r#"{"tools":[],"nextCursor":"3"}"#);
        assert!(matches!(cut, Ok(Page::Cut(_, "too many pages"))));
    }

    #[test]
    fn execution_is_taken_off_tools_and_nothing_else() {
        let mut reading = Reading::new(ListKind::Tools); // DL-14
        let text =
            "{\"tools\":[{\"name\":\"a\",\n \"execution\":{\"taskSupport\":\"required\"},\"z\" : [1.0]}]}";
        let Ok(Page::Done(items)) = page(&mut reading, text) else { panic!() };
        assert_eq!(std::str::from_utf8(&items[0].raw), Ok(r#"{"name":"a","z" : [1.0]}"#));
    }

    #[test]
    fn an_answer_without_the_list_is_broken() {
        let mut reading = Reading::new(ListKind::Prompts);
        assert_eq!(page(&mut reading, r#"{"tools":[]}"#), Err(Code::UpstreamBroken));
        assert_eq!(page(&mut reading, r#"{"prompts":{}}"#), Err(Code::UpstreamBroken));
    }

    #[test]
    fn items_without_a_name_are_kept_with_the_reason_why_others_refuse_them() {
        let mut reading = Reading::new(ListKind::Resources); // FT-206
        let text = r#"{"resources":[{"name":"no uri"},7,{"uri":"file:///a","name":"a","title":null}]}"#;
        let Ok(Page::Done(items)) = page(&mut reading, text) else { panic!() };
        assert_eq!(names(&items), ["", "", "file:///a"]);
        assert_eq!(&*items[1].raw, b"7");
        let refused: Vec<bool> = items.iter().map(Item::is_refused).collect();
        assert_eq!(refused, [true, true, false]);
        assert_eq!(&*items[2].mended(), br#"{"uri":"file:///a","name":"a"}"#);
    }

    #[test]
    fn an_item_whose_name_came_already_is_left_out() {
        let mut reading = Reading::new(ListKind::Tools); // FT-206
        page(&mut reading, r#"{"tools":[{"name":"a","x":1},{"name":"a","x":2}],"nextCursor":"x"}"#).unwrap();
        let Ok(Page::Cut(items, _)) =
            page(&mut reading, r#"{"tools":[{"name":"b"},{"name":"a"}],"nextCursor":"x"}"#)
        else {
            panic!()
        };
        assert_eq!((names(&items), reading.repeated()), (vec!["a", "b"], 2));
        assert_eq!(&*items[0].raw, br#"{"name":"a","x":1}"#);
    }
}
