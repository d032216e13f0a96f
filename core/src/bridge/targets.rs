//! What a client's request is about: which server has it, and under which name.
//!
//! Names and URIs are looked up in what the session was shown, never taken apart. On a view of one server without
//! filters and other names nothing is looked up at all.

use super::BridgeMut;
use super::listing::{Known, known};
use crate::fault::{Code, Fault};
use crate::id::{Key, ServerId, UpstreamId};
use crate::json::{self, Envelope, Kind, Span};
use crate::mcp::pages;
use crate::mcp::{ListKind, Method};
use crate::servers::calls::Task;
use crate::view::View;

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Target {
    /// The server, by its shared connection.
    pub(super) server: ServerId,
    /// What to call the thing there: the place of the name in the request, and the server's own name as JSON.
    pub(super) rename: Option<(Span, String)>,
    /// The name or URI as the server knows it, where it was looked at.
    pub(super) own: Option<String>,
}

/// The members of `params` that say what a request is about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Subject {
    pub(super) name: Option<Span>,
    pub(super) uri: Option<Span>,
    pub(super) reference: Option<Span>,
}

impl BridgeMut<'_> {
    /// Finds the server a request is for.
    ///
    /// # Errors
    /// [`Code::InvalidParams`] for a tool or prompt that does not exist or is not served, [`Code::NoResource`] for such
    /// a resource, [`Code::NotReady`] for a name of a server that is not there, [`Code::MethodNotFound`] for what only one
    /// server could know on a view of several.
    pub(super) fn target(
        &mut self,
        session: Key,
        method: Method,
        text: &[u8],
        params: Span,
        subject: Subject,
    ) -> Result<Target, Fault> {
        let view = self.client(session)?.view;
        if method == Method::Other {
            let server = self.views.get(view).and_then(View::alone);
            let server = server.ok_or_else(|| Fault::peer(Code::MethodNotFound, "method not found"))?;
            return Ok(Target { server, rename: None, own: None });
        }
        let kinds: &[ListKind] = if method == Method::ToolsCall {
            &[ListKind::Tools]
        } else if method == Method::PromptsGet {
            &[ListKind::Prompts]
        } else if method == Method::Complete {
            &[ListKind::Prompts, ListKind::Resources]
        } else {
            &[ListKind::Resources]
        };
        if method == Method::SkillsGet {
            return self.skill(session, text, subject.uri);
        }
        let view = self.views.get(view);
        let through = kinds.iter().map(|kind| view.and_then(|view| view.passes(*kind)));
        if let Some(server) = through.reduce(|one, other| one.filter(|_| other.is_some())).flatten() {
            return Ok(Target { server, rename: None, own: None });
        }
        for member in json::scan::each_member(text, params) {
            json::refuse_look_alike(member.key.of(text), &["name", "uri", "ref"])?;
        }
        match kinds {
            [kind @ (ListKind::Tools | ListKind::Prompts)] => self.named(session, *kind, text, subject.name),
            [_] => self.located(session, text, subject.uri),
            _ => self.completed(session, text, subject.reference),
        }
    }

    /// A tool or a prompt.
    fn named(
        &mut self,
        session: Key,
        kind: ListKind,
        text: &[u8],
        name: Option<Span>,
    ) -> Result<Target, Fault> {
        let noun = if kind == ListKind::Tools { "tool" } else { "prompt" };
        let missing = || Fault::peer(Code::InvalidParams, format!("a {noun} needs a `name`"));
        let span = name.ok_or_else(missing)?;
        let name = json::unquote(span.of(text)).ok_or_else(missing)?;
        let found = self.find(session, kind, &name);
        let (server, own) = found.ok_or_else(|| self.nothing_named(session, kind, &name))?;
        let rename = (own != name).then(|| (span, json::quote(&own)));
        Ok(Target { server, rename, own: Some(own) })
    }

    /// A resource: listed, mentioned in an answer before, or made from a template. A mention counts more than a
    /// template, because those of file servers take in each other's files (`bridging` §3.4).
    fn located(&mut self, session: Key, text: &[u8], uri: Option<Span>) -> Result<Target, Fault> {
        let missing = || Fault::peer(Code::InvalidParams, "a resource needs a `uri`");
        let span = uri.ok_or_else(missing)?;
        let uri = json::unquote(span.of(text)).ok_or_else(missing)?;
        let (server, own) = self.owner_of(session, &uri).ok_or_else(|| {
            let absent = self.absent(session, ListKind::Resources);
            let shown = Fault::quoted(uri.as_bytes());
            Fault::peer(Code::NoResource, format!("resource not found: {shown}{absent}"))
        })?;
        let rename = (own != uri).then(|| (span, json::quote(&own)));
        Ok(Target { server, rename, own: Some(own) })
    }

    /// A skill (SEP-2640): listed, or of the server that has its file; one that is not even mentioned is asked of the only
    /// server with skills.
    fn skill(&mut self, session: Key, text: &[u8], uri: Option<Span>) -> Result<Target, Fault> {
        let missing = || Fault::peer(Code::InvalidParams, "a skill needs a `uri`");
        let uri = json::unquote(uri.ok_or_else(missing)?.of(text)).ok_or_else(missing)?;
        let servers = self.servers_seen(session);
        let has = |server: &ServerId| {
            self.servers.shared_of(*server).is_some_and(|server| server.peer().has(ListKind::Skills))
        };
        let having: Vec<ServerId> = servers.into_iter().filter(has).collect();
        if having.is_empty() {
            return Err(Fault::peer(Code::MethodNotFound, "no server has skills"));
        }
        let listed = self.find(session, ListKind::Skills, &uri).map(|(server, _)| server);
        let owner = |proxy: &mut Self| proxy.owner_of(session, &uri).map(|(server, _)| server);
        let only = having.first().copied().filter(|_| having.len() == 1);
        let server = listed.or_else(|| owner(self)).or(only);
        let admits = |server: &ServerId| {
            self.servers
                .shared_of(*server)
                .is_some_and(|server| server.config().filters.resources.admits(&uri))
        };
        let server = server.filter(|server| having.contains(server)).filter(admits).ok_or_else(|| {
            Fault::peer(Code::InvalidParams, format!("unknown skill `{}`", Fault::quoted(uri.as_bytes())))
        })?;
        Ok(Target { server, rename: None, own: Some(uri) })
    }

    /// No server that is there has a tool or prompt of this name. A server that is not there might.
    fn nothing_named(&mut self, session: Key, kind: ListKind, name: &str) -> Fault {
        let shown = Fault::quoted(name.as_bytes());
        let view = self.sessions.get(session).and_then(|session| self.views.get(session.view));
        let server = view.and_then(|view| self.servers.shared_of(view.by_prefix(name)?));
        match server.map(|server| (server, known(self.servers, server, kind, true))) {
            Some((_, Known::Nothing(fault))) => {
                return Fault::environment(Code::NotReady, format!("{} `{shown}`: {fault}", kind.noun()));
            }
            Some((server, Known::Coming)) => return server.not_ready(),
            Some((_, Known::All)) | None => {}
        }
        let absent =
            if view.is_some_and(View::names_servers) { String::new() } else { self.absent(session, kind) };
        Fault::peer(Code::InvalidParams, format!("unknown {} `{shown}`{absent}", kind.noun()))
    }

    /// Says which servers of the merged endpoint are not there.
    fn absent(&mut self, session: Key, kind: ListKind) -> String {
        let view = self.sessions.get(session).and_then(|session| self.views.get(session.view));
        let members = view.filter(|view| view.is_merged()).map_or(&[][..], View::members);
        let servers = members.iter().filter_map(|member| self.servers.shared_of(member.server));
        let absent = servers.filter(|server| !matches!(known(self.servers, server, kind, true), Known::All));
        let names: Vec<&str> = absent.take(ABSENT_MAX).map(|server| &**server.label()).collect();
        if names.is_empty() { String::new() } else { format!(" (not connected: {})", names.join(", ")) }
    }

    /// A file of a listed skill, which its server need not list: it lies beside or below the `SKILL.md`.
    fn skill_file(&mut self, session: Key, uri: &str) -> Option<ServerId> {
        if uri.len() > URI_MAX || !self.is_merged(session) {
            return None;
        }
        let mut root = uri;
        while let Some((above, _)) = root.rsplit_once('/').filter(|(above, _)| !above.ends_with('/')) {
            root = above;
            if let Some((server, _)) = self.find(session, ListKind::Skills, &format!("{root}/SKILL.md")) {
                return Some(server);
            }
        }
        None
    }

    /// The server that has a resource, and its own URI for it.
    fn owner_of(&mut self, session: Key, uri: &str) -> Option<(ServerId, String)> {
        let page = pages::is_page(uri).then(|| self.page(session, uri)).flatten();
        let listed = |proxy: &mut Self| proxy.find(session, ListKind::Resources, uri);
        let made = |proxy: &mut Self| {
            let templates = proxy.shown(session, ListKind::Templates)?;
            let part = templates.find_matching(uri)?.part;
            proxy.member(session, part)
        };
        let mentioned = |proxy: &mut Self| proxy.sessions.get(session)?.mentioned(uri);
        let (server, own) = match page.or_else(|| listed(self)) {
            Some(found) => found,
            None => {
                let of_skill = |proxy: &mut Self| proxy.skill_file(session, uri);
                (of_skill(self).or_else(|| mentioned(self)).or_else(|| made(self))?, uri.to_owned())
            }
        };
        let known = self.servers.server(server)?;
        known.config().filters.resources.admits(&own).then_some((server, own))
    }

    /// A page of an app that a tool names or a server lists.
    fn page(&mut self, session: Key, uri: &str) -> Option<(ServerId, String)> {
        let tools = self.shown(session, ListKind::Tools)?;
        let found = tools.find_page(uri)?;
        Some((self.member(session, found.part)?, found.own.to_owned()))
    }

    /// What is completed: an argument of a prompt or of a template. The `type` says of which, as it does to servers.
    fn completed(&mut self, session: Key, text: &[u8], reference: Option<Span>) -> Result<Target, Fault> {
        let reference =
            reference.ok_or_else(|| Fault::peer(Code::InvalidParams, "a completion needs a `ref`"))?;
        let names = ["type", "name", "uri"];
        for member in json::scan::each_member(text, reference) {
            json::refuse_look_alike(member.key.of(text), &names)?;
        }
        let [kind, name, uri] = json::members(text, reference, names)?;
        match kind.and_then(|span| json::unquote(span.of(text))).as_deref() {
            Some("ref/prompt") => return self.named(session, ListKind::Prompts, text, name),
            Some("ref/resource") => {}
            Some(_) | None => {
                return Err(Fault::peer(Code::InvalidParams, "a `ref` is of a prompt or of a resource"));
            }
        }
        let template = uri.and_then(|span| json::unquote(span.of(text)));
        if let Some(template) = template
            && let Some((server, _)) = self.find(session, ListKind::Templates, &template)
        {
            return Ok(Target { server, rename: None, own: Some(template) });
        }
        self.located(session, text, uri)
    }

    /// Looks a published name or URI up: the server and its own name for it.
    fn find(&mut self, session: Key, kind: ListKind, name: &str) -> Option<(ServerId, String)> {
        let published = self.shown(session, kind)?;
        let view = self.sessions.get_mut(session)?.view;
        let members = self.views.get(view)?.members();
        let found = published.find(name, &*members.first()?.config).or_else(|| published.find_own(name))?;
        Some((members.get(found.part)?.server, found.own.to_owned()))
    }

    /// The n-th server of a session's view.
    fn member(&mut self, session: Key, place: usize) -> Option<ServerId> {
        let view = self.sessions.get_mut(session)?.view;
        Some(self.views.get(view)?.members().get(place)?.server)
    }

    /// How a tool is to be called, if its server runs it as a task only.
    pub(super) fn task_for(
        &mut self,
        id: UpstreamId,
        target: &Target,
        text: &[u8],
        name: Option<Span>,
    ) -> Option<Task> {
        let upstream = self.servers.get(id).filter(|upstream| upstream.peer().tasks)?;
        let tasks = &upstream.catalog().list(ListKind::Tools).tasks;
        if tasks.is_empty() {
            return None;
        }
        let name = target.own.clone().or_else(|| json::unquote(name?.of(text)))?;
        tasks.contains(&name).then_some(Task::Wanted)
    }

    /// On a view of several servers: remembers which one mentioned resources that it may not list (BR-04).
    pub(super) fn note_mentions(&mut self, session: Key, id: UpstreamId, envelope: &Envelope, text: &[u8]) {
        // Of links, and of pages of apps: their scheme, whatever is escaped behind it.
        const LINKS: [&[u8]; 2] = [b"resource_link", b"ui:"];
        let Some(known) = self.sessions.get_mut(session) else { return };
        let merged = self.views.get(known.view).is_some_and(|view| view.is_merged());
        let says = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
        if !merged || envelope.kind != Kind::Result || !LINKS.into_iter().any(says) {
            return;
        }
        let Some(server) = self.servers.get(id).map(|upstream| upstream.server()) else { return };
        let result = envelope.outcome.unwrap_or_default();
        let member = |object, name| json::member(text, object, name).ok().flatten();
        let array = |span: &Span| span.of(text).first() == Some(&b'[');
        let elements = |span| json::elements(text, span);
        // The content of a tool's answer, that of each message of a prompt.
        let content = member(result, "content").filter(array).into_iter().flat_map(elements);
        let messages = member(result, "messages").filter(array).into_iter().flat_map(elements);
        let content = content.chain(messages.filter_map(|message| member(message, "content")));
        let links = content.filter_map(|block| {
            let [kind, uri, resource] = json::members(text, block, ["type", "uri", "resource"]).ok()?;
            match json::unquote(kind?.of(text))?.as_str() {
                "resource_link" => json::unquote(uri?.of(text)),
                // What is embedded need not be read, but a page may be read again by its URI.
                "resource" => {
                    json::unquote(member(resource?, "uri")?.of(text)).filter(|uri| pages::is_page(uri))
                }
                _ => None,
            }
        });
        let named = pages::pages_of(text, result);
        for uri in links.chain(named).filter(|uri| uri.len() <= URI_MAX) {
            known.note_mention(&uri, server);
        }
    }
}

/// Servers that are named because they are not there.
const ABSENT_MAX: usize = 10;

/// Longest URI that is remembered.
const URI_MAX: usize = 2_048;
