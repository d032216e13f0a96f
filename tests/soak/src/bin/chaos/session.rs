//! A session of a client, over either transport. Whatever comes that was not asked for, or comes twice, is a fault.

use crate::Scene;
use crate::ledger::Said;
use mcp_proxy_soak::http::{Conn, Events, Reply, Request};
use mcp_proxy_soak::wire::{self, Outcome};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Which transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Mcp,
    Sse,
}

impl Transport {
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::Sse => "sse",
        }
    }
}

/// A session.
pub(crate) struct Session {
    port: u16,
    /// Where messages go.
    path: String,
    /// Its name, over Streamable HTTP.
    token: Option<String>,
    /// Connections, and since when nothing is sent on them.
    idle: RefCell<Vec<(Conn, Instant)>>,
    is_broken: Cell<bool>,
    /// HTTP+SSE: who waits for which answer on the stream; `None` once it was answered.
    awaited: Rc<RefCell<Awaited>>,
    reader: RefCell<Option<JoinHandle<()>>>,
    scene: Rc<Scene>,
}

type Awaited = BTreeMap<u64, Option<oneshot::Sender<Outcome>>>;

impl Session {
    /// Opens one. `None` when it was refused with an error.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn open(
        port: u16,
        transport: Transport,
        path: &str,
        scene: Rc<Scene>,
    ) -> io::Result<(Option<Rc<Self>>, Said)> {
        let mut session = Self {
            port,
            path: path.to_owned(),
            token: None,
            idle: RefCell::default(),
            is_broken: Cell::new(false),
            awaited: Rc::default(),
            reader: RefCell::default(),
            scene,
        };
        let initialize = wire::initialize(1);
        let outcome = match transport {
            Transport::Mcp => {
                let reply = session.post(&initialize).await?;
                session.token.clone_from(&reply.session);
                session.answer_in(&reply, 1)?
            }
            Transport::Sse => {
                let request = Request { method: "GET", path, session: None, body: None };
                // A server that never was there has no stream either.
                match Conn::open(port).await?.events(&request).await {
                    Ok(events) => session.listen(events).await?,
                    Err(error) => return Ok((None, Said::Error(0, error.to_string()))),
                }
                session.ask(1, &initialize).await?
            }
        };
        match outcome {
            Outcome::Error(code, message) => Ok((None, Said::Error(code, message))),
            Outcome::Result(_) => {
                session.post(&wire::initialized()).await?;
                Ok((Some(Rc::new(session)), Said::Result { pid: 0 }))
            }
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// There is none: the exchange or the stream broke off.
    pub(crate) async fn ask(&self, id: u64, message: &str) -> io::Result<Outcome> {
        if self.reader.borrow().is_none() {
            let reply = self.post(message).await?;
            return self.answer_in(&reply, id);
        }
        let (sender, receiver) = oneshot::channel();
        self.awaited.borrow_mut().insert(id, Some(sender));
        let reply = self.post(message).await?;
        if reply.status != 202 {
            // Refused on the spot: nothing may come on the stream any more.
            self.awaited.borrow_mut().insert(id, None);
            return self.answer_in(&reply, id);
        }
        receiver.await.map_err(|_| io::Error::other("the event stream broke off"))
    }

    /// Whether its stream is gone.
    pub(crate) const fn is_broken(&self) -> bool {
        self.is_broken.get()
    }

    /// Ends it, in order or by vanishing.
    pub(crate) async fn leave(&self, in_order: bool) {
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
        if let (Some(token), true) = (&self.token, in_order) {
            let request = Request { method: "DELETE", path: &self.path, session: Some(token), body: None };
            if let Err(error) = self.exchange(&request).await {
                self.scene.ledger.borrow_mut().fault(format!("DELETE: {error}"));
            }
        }
        self.idle.borrow_mut().clear();
    }

    async fn post(&self, message: &str) -> io::Result<Reply> {
        let session = self.token.as_deref();
        self.exchange(&Request { method: "POST", path: &self.path, session, body: Some(message) }).await
    }

    async fn exchange(&self, request: &Request<'_>) -> io::Result<Reply> {
        let idle = self.idle.borrow_mut().pop().filter(|(_, since)| since.elapsed() < IDLE_MAX);
        let mut conn = match idle {
            Some((conn, _)) => conn,
            None => Conn::open(self.port).await?,
        };
        let reply = conn.exchange(request).await?;
        self.idle.borrow_mut().push((conn, Instant::now()));
        Ok(reply)
    }

    /// The one answer in a response.
    fn answer_in(&self, reply: &Reply, id: u64) -> io::Result<Outcome> {
        let mut answers: Vec<_> = reply.messages.iter().filter_map(|message| wire::answer(message)).collect();
        if answers.len() > 1 {
            self.scene.ledger.borrow_mut().duplicate(format!("{} answers to {id}", answers.len()));
        }
        match answers.pop() {
            Some((answered, outcome)) if answered == Some(id) => Ok(outcome),
            other => Err(io::Error::other(format!("status {}, answer {other:?}", reply.status))),
        }
    }

    /// Reads the `endpoint` event and lets a task read the rest.
    async fn listen(&mut self, mut events: Events) -> io::Result<()> {
        match events.next().await? {
            Some((name, data)) if name == "endpoint" => {
                let url = String::from_utf8_lossy(&data).into_owned();
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                self.path = rest.find('/').map_or(rest, |at| &rest[at..]).to_owned();
            }
            other => return Err(io::Error::other(format!("no endpoint event: {other:?}"))),
        }
        let (awaited, scene) = (self.awaited.clone(), self.scene.clone());
        let reader = tokio::task::spawn_local(async move {
            while let Ok(Some((_, data))) = events.next().await {
                let Some((id, outcome)) = wire::answer(&data) else { continue };
                let waiting = id.and_then(|id| awaited.borrow_mut().get_mut(&id).map(Option::take));
                match waiting {
                    // Who gave up waiting has been counted.
                    Some(Some(sender)) => drop(sender.send(outcome)),
                    Some(None) => scene.ledger.borrow_mut().duplicate(format!("second answer to {id:?}")),
                    None => scene.ledger.borrow_mut().fault(format!("an answer nobody asked for: {id:?}")),
                }
            }
            // Whoever waits is told by the end of its channel.
            awaited.borrow_mut().clear();
        });
        self.reader.replace(Some(reader));
        Ok(())
    }
}

/// A connection that idled for longer is not used again: the proxy closes it after 75 s, and that may cross the
/// request.
const IDLE_MAX: Duration = Duration::from_secs(30);
