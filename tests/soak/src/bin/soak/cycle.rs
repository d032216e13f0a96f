//! One client from its first byte to its disappearance.

use mcp_proxy_soak::dice::Dice;
use mcp_proxy_soak::http::{Conn, Events, Reply, Request};
use mcp_proxy_soak::wire::{self, Outcome};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// `DELETE`, as it should be.
    Delete,
    /// The connection is closed after the answer.
    Drop,
    /// The connection is reset after the answer.
    Reset,
    /// The connection is reset while a call runs. It goes on: the protocol forbids to take that for a cancellation.
    MidCall,
    /// The session is deleted while a call runs that would never end.
    DeleteMidCall,
    /// The connection is shut for writing behind the call; the answer is still read.
    HalfClose,
    /// Reset at once behind `initialize`.
    MidInitialize,
    /// Reset in the middle of `initialize`.
    MidHead,
    /// The session's event stream is open, and all is reset after the answer.
    ListenAndReset,
    /// HTTP+SSE: the stream is closed after the answer.
    SseDrop,
    /// HTTP+SSE: the stream is reset while a call runs that would never end.
    SseMidCall,
    /// HTTP+SSE: the stream is reset before `initialize` is answered.
    SseMidInitialize,
}

/// All ways.
pub(crate) const ALL: [Way; 12] = [
    Way::Delete,
    Way::Drop,
    Way::Reset,
    Way::MidCall,
    Way::DeleteMidCall,
    Way::HalfClose,
    Way::MidInitialize,
    Way::MidHead,
    Way::ListenAndReset,
    Way::SseDrop,
    Way::SseMidCall,
    Way::SseMidInitialize,
];

/// What the clients of one life share.
pub(crate) struct Ground {
    pub(crate) port: u16,
    /// How many cycles may be begun.
    pub(crate) allowed: Cell<u64>,
    pub(crate) begun: Cell<u64>,
    pub(crate) done: Cell<u64>,
    /// The proxy is dead or about to be: whatever goes wrong now is its death.
    pub(crate) is_over: Cell<bool>,
    pub(crate) faults: RefCell<Vec<String>>,
}

impl Ground {
    /// Whether so much went wrong that it makes no sense to go on.
    pub(crate) fn is_stuck(&self) -> bool {
        self.faults.borrow().len() > 50
    }
}

/// How often each way was gone.
#[derive(Debug, Default)]
pub(crate) struct Ways(BTreeMap<Way, u64>);

impl Ways {
    pub(crate) fn count(&mut self, way: Way) {
        *self.0.entry(way).or_default() += 1;
    }
}

impl fmt::Display for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("left by")?;
        for (way, count) in &self.0 {
            write!(f, "  {way:?} {count}")?;
        }
        Ok(())
    }
}

/// Goes one way to its end.
pub(crate) async fn run(port: u16, way: Way, server: &str, dice: &mut Dice) -> io::Result<()> {
    match way {
        Way::SseDrop | Way::SseMidCall | Way::SseMidInitialize => over_sse(port, way, server, dice).await,
        Way::MidInitialize | Way::MidHead => hardly_there(port, way, server, dice).await,
        Way::Delete
        | Way::Drop
        | Way::Reset
        | Way::MidCall
        | Way::DeleteMidCall
        | Way::HalfClose
        | Way::ListenAndReset => over_mcp(port, way, server, dice).await,
    }
}

/// Streamable HTTP.
async fn over_mcp(port: u16, way: Way, server: &str, dice: &mut Dice) -> io::Result<()> {
    let path = format!("/{server}/mcp");
    let mut conn = Conn::open(port).await?;
    let reply = conn.exchange(&post(&path, None, &wire::initialize(1))).await?;
    let session = reply.session.clone().ok_or_else(|| io::Error::other(format!("no session: {reply:?}")))?;
    let session = session.as_str();
    conn.exchange(&post(&path, Some(session), &wire::initialized())).await?;
    let text = format!("{:x}", dice.roll());
    let call = wire::call(2, "echo", &text);
    let hold = wire::call(3, "hold", "");
    let gone = Request { method: "DELETE", path: &path, session: Some(session), body: None };
    match way {
        Way::MidCall => {
            conn.send(&post(&path, Some(session), &wire::call(3, "nap", ""))).await?;
            moment(dice).await;
            conn.reset();
        }
        Way::DeleteMidCall => {
            conn.send(&post(&path, Some(session), &hold)).await?;
            moment(dice).await;
            let status = Conn::open(port).await?.exchange(&gone).await?.status;
            expect(status < 300, || format!("status {status} to DELETE"))?;
            // The call ends, one way or the other.
            let _ended = conn.reply().await;
        }
        Way::HalfClose => {
            conn.send(&post(&path, Some(session), &call)).await?;
            conn.half_close().await?;
            match conn.reply().await {
                // If the answer had become an event stream before the end was noticed, the client counts as gone: it
                // is the only sign that it does not listen any more, and it may resume the stream.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                reply => own_answer(&reply?, 2, &text)?,
            }
        }
        Way::ListenAndReset => {
            let request = Request { method: "GET", ..gone };
            let events = Conn::open(port).await?.events(&request).await?;
            own_answer(&conn.exchange(&post(&path, Some(session), &call)).await?, 2, &text)?;
            events.reset();
            conn.reset();
        }
        Way::Delete => {
            own_answer(&conn.exchange(&post(&path, Some(session), &call)).await?, 2, &text)?;
            let status = conn.exchange(&gone).await?.status;
            expect(status < 300, || format!("status {status} to DELETE"))?;
        }
        Way::Reset => {
            own_answer(&conn.exchange(&post(&path, Some(session), &call)).await?, 2, &text)?;
            conn.reset();
        }
        Way::Drop => own_answer(&conn.exchange(&post(&path, Some(session), &call)).await?, 2, &text)?,
        Way::MidInitialize | Way::MidHead | Way::SseDrop | Way::SseMidCall | Way::SseMidInitialize => {}
    }
    Ok(())
}

/// Gone before there is a session.
async fn hardly_there(port: u16, way: Way, server: &str, dice: &mut Dice) -> io::Result<()> {
    let path = format!("/{server}/mcp");
    let mut conn = Conn::open(port).await?;
    let text = post(&path, None, &wire::initialize(1)).encode();
    let len = match way {
        Way::MidHead => dice.below(text.len() as u64) as usize,
        _ => text.len(),
    };
    conn.write(&text.as_bytes()[..len]).await?;
    if dice.below(2) == 0 {
        moment(dice).await;
    }
    conn.reset();
    Ok(())
}

/// HTTP+SSE.
async fn over_sse(port: u16, way: Way, server: &str, dice: &mut Dice) -> io::Result<()> {
    let path = format!("/{server}/sse");
    let request = Request { method: "GET", path: &path, session: None, body: None };
    let mut events = Conn::open(port).await?.events(&request).await?;
    let endpoint = match events.next().await? {
        Some((name, data)) if name == "endpoint" => String::from_utf8_lossy(&data).into_owned(),
        other => return Err(io::Error::other(format!("no endpoint event: {other:?}"))),
    };
    let endpoint = path_of(&endpoint);
    let mut conn = Conn::open(port).await?;
    let initialize = wire::initialize(1);
    if way == Way::SseMidInitialize {
        conn.send(&post(endpoint, None, &initialize)).await?;
        if dice.below(2) == 0 {
            moment(dice).await;
        }
        events.reset();
        return Ok(());
    }
    conn.exchange(&post(endpoint, None, &initialize)).await?;
    awaited(&mut events, 1).await?;
    conn.exchange(&post(endpoint, None, &wire::initialized())).await?;
    if way == Way::SseMidCall {
        conn.send(&post(endpoint, None, &wire::call(3, "hold", ""))).await?;
        moment(dice).await;
        events.reset();
        return Ok(());
    }
    let text = format!("{:x}", dice.roll());
    conn.exchange(&post(endpoint, None, &wire::call(2, "echo", &text))).await?;
    own_result(&awaited(&mut events, 2).await?, &text)
}

/// The answer to `id` on the stream.
async fn awaited(events: &mut Events, id: u64) -> io::Result<Outcome> {
    while let Some((_, data)) = events.next().await? {
        if let Some((Some(answered), outcome)) = wire::answer(&data)
            && answered == id
        {
            return Ok(outcome);
        }
    }
    Err(io::Error::other("the stream ended before the answer"))
}

fn own_answer(reply: &Reply, id: u64, text: &str) -> io::Result<()> {
    let answers: Vec<_> = reply.messages.iter().filter_map(|message| wire::answer(message)).collect();
    match answers.as_slice() {
        [(Some(answered), outcome)] if *answered == id => own_result(outcome, text),
        other => Err(io::Error::other(format!("status {}, answers {other:?}", reply.status))),
    }
}

fn own_result(outcome: &Outcome, text: &str) -> io::Result<()> {
    match outcome {
        Outcome::Result(result) if result.split_once(' ').is_some_and(|(_, echo)| echo == text) => Ok(()),
        other => Err(io::Error::other(format!("{other:?} in place of {text}"))),
    }
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(otherwise())) }
}

const fn post<'a>(path: &'a str, session: Option<&'a str>, body: &'a str) -> Request<'a> {
    Request { method: "POST", path, session, body: Some(body) }
}

/// The path of a URL that may also be one already.
pub(crate) fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or(rest, |at| &rest[at..])
}

/// A moment in which whatever was begun goes on, or comes to its end.
async fn moment(dice: &mut Dice) {
    tokio::time::sleep(dice.millis(0, 60)).await;
}
