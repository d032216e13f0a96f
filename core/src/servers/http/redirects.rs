//! A server that answers a request from another address: the request is sent there, and so are those that follow.
//!
//! What is learned holds as long as the connection to the server: one that is lost begins again at `url`.

use super::exchange::{Exchange, Job};
use super::exchanges::http_link;
use super::lapses::Verdict;
use super::recovery::answer_lost;
use super::redirect::{Redirect, shown};
use crate::fault::{Code, Fault};
use crate::http::Method;
use crate::id::UpstreamId;
use crate::json::Pieces;
use crate::log::Level;
use crate::servers::ServersMut;
use crate::url::Url;

impl ServersMut<'_> {
    /// A response that points elsewhere is complete.
    pub(in crate::servers) fn on_redirected(&mut self, id: UpstreamId, exchange: Box<Exchange>, status: u16) {
        let hops = exchange.hops;
        let is_get = exchange.method == Method::Get;
        let target = match &exchange.place {
            Some(place) => Redirect {
                status,
                location: exchange.client.head().header("location"),
                from: &place.url,
                is_get,
            }
            .target(),
            None => Err(Fault::local(Code::Internal, "a response to no request")),
        };
        let target = match target {
            Ok(_) if hops >= self.fx.limits.redirects_max => Err(Fault::peer(
                Code::UpstreamBroken,
                format!("the server redirects in a circle (HTTP {status})"),
            )),
            target => target,
        };
        match target {
            Ok(target) => self.follow(id, exchange, &target),
            Err(fault) => self.on_redirect_refused(id, exchange, &fault, status),
        }
        self.check_gone(id);
    }

    fn follow(&mut self, id: UpstreamId, exchange: Box<Exchange>, target: &Url) {
        let (job, method, hops) = (exchange.job, exchange.method, exchange.hops.saturating_add(1));
        let session = exchange.named_session;
        let body = exchange.request_body(self.fx);
        self.recycle(id, exchange);
        if job == Job::Delete {
            // The session ends by itself; whatever goes on has learned the place from its own requests.
            return;
        }
        let Some(server) = self.conns.get_mut(id) else { return };
        let Some(link) = server.link.http() else { return };
        if link.redirect(self.fx, method, target) {
            let line = format!("the server redirects to {}: write that into `url`", shown(target));
            self.fx.log(Level::Info, Some(&server.label), line);
        }
        let Some(link) = http_link(self.conns, id) else { return };
        let present = session.is_none() || link.is_present(session);
        match job {
            Job::Call(key) if method == Method::Get => {
                let Some(call) = self.calls.get(key) else { return };
                let event_id = call.event_id.clone();
                link.ask_again(self.fx, job, method, event_id.as_deref(), hops);
            }
            Job::Call(key) if self.calls.get(key).is_none() => {}
            // It was not executed: the next session takes it.
            Job::Call(key) if !present => self.park(id, key, body),
            Job::Call(key) => {
                if let Err(refused) = link.post_again(self.fx, job, &Pieces::of(&[&body]), hops) {
                    self.fail(key, &refused);
                }
            }
            Job::Note | Job::Answer(_) | Job::Initialized if present => {
                let _lost = link.post_again(self.fx, job, &Pieces::of(&[&body]), hops);
            }
            Job::Listen if present => {
                let event_id = link.listen_id.clone();
                link.ask_again(self.fx, job, method, event_id.as_deref(), hops);
            }
            Job::Stream => link.ask_again(self.fx, job, method, None, hops),
            Job::Note
            | Job::Answer(_)
            | Job::Initialized
            | Job::Listen
            | Job::Delete
            | Job::Drain
            | Job::Idle => {}
        }
    }

    fn on_redirect_refused(&mut self, id: UpstreamId, exchange: Box<Exchange>, fault: &Fault, status: u16) {
        let (job, summary) = (exchange.job, exchange.summary(status));
        self.recycle(id, exchange);
        match job {
            Job::Call(key) => self.fail(key, fault),
            Job::Initialized | Job::Stream => self.lose(id, fault),
            Job::Answer(call) => self.fail(call, &answer_lost(fault)),
            Job::Note | Job::Listen => {
                if let Some(server) = self.conns.get(id) {
                    self.fx.log(Level::Warn, Some(&server.label), fault.to_string());
                }
                if job == Job::Listen {
                    self.on_listen_ended(id, &summary, Verdict::Silent);
                }
            }
            Job::Delete | Job::Drain | Job::Idle => {}
        }
    }
}
