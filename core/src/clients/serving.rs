//! How the answer to a message goes back: as the response to its POST, with others of its array, or on the stream of its
//! session.

use super::Clients;
use super::conn::ClientConn;
use super::event::{Message, Role, Served, Way};
use super::stream::Stream;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::id::Requester;
use crate::json::{Pieces, Raw};
use crate::jsonrpc;
use crate::ledger::NO_MEMORY_FOR_ANSWER;

impl Clients {
    /// A message was served; its request goes on or ends with that.
    pub(crate) fn serve(&mut self, fx: &mut Effects, message: Message, served: Served) {
        let id = Raw::new(message.id());
        let Message { exchange, requester, way, .. } = message;
        let mut client = exchange.0;
        match (way, served) {
            (Way::Post { .. } | Way::Opening { .. }, Served::Noted) => {
                client.respond(fx, 202, &[], &Pieces::of(&[]));
            }
            (Way::Post { json, events }, Served::Later) => {
                self.await_answer(fx, &mut client, requester, json, events);
            }
            (Way::Post { json, .. }, served) => {
                let waits = fx.queued(client.conn);
                answer(fx, &mut client, id.as_bytes(), &fit(fx, served, waits), json);
            }
            (Way::Opening { json, events }, Served::Later) => {
                client.opens = self.token(requester.session);
                self.await_answer(fx, &mut client, requester, json, events);
            }
            (Way::Opening { json, .. }, Served::Refused(fault)) => {
                self.end_session(fx, requester.session);
                client.answer_text(fx, jsonrpc::error(id.as_bytes(), &fault).as_bytes(), json);
            }
            (Way::Opening { json, .. }, served @ Served::Now(_)) => {
                client.opens = self.token(requester.session);
                client.answer_text(fx, &served.text(id.as_bytes()).unwrap_or_default(), json);
            }
            (Way::Batch, served) => {
                self.answers.extend(served.text(id.as_bytes()).map(|text| (requester, text)));
            }
            (Way::EventSession, served) => {
                let served = fit(fx, served, self.waits(fx, requester));
                if let Some(text) = served.text(id.as_bytes()) {
                    self.deliver(fx, requester, &Pieces::of(&[&text]), Role::Answer);
                }
                client.respond(fx, 202, &[], &Pieces::of(&[]));
            }
        }
        self.give_back(client);
    }

    /// The answer to the one message of a POST comes later.
    fn await_answer(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        requester: Requester,
        json: bool,
        events: bool,
    ) {
        let stream = Stream::for_request(fx, events, 1, false);
        let number = self.attach(fx, client, requester.session, stream, !json);
        debug_assert_eq!(number, Some(requester.stream), "an answer comes on the stream of its request");
    }
}

fn answer(fx: &mut Effects, client: &mut ClientConn, id: &[u8], served: &Served, json: bool) {
    match served {
        Served::Now(body) if json => client.answer_json(fx, &jsonrpc::result(id, body.bytes())),
        Served::Now(_) | Served::Refused(_) | Served::Later | Served::Noted => {
            client.answer_text(fx, &served.text(id).unwrap_or_default(), json);
        }
    }
}

/// What we answer, if there is memory for it beside the bytes that wait for the same client.
fn fit(fx: &Effects, served: Served, waits: usize) -> Served {
    match served {
        Served::Now(body) if !fx.ledger.has_room(waits, body.bytes().len()) => {
            Served::Refused(Fault::local(Code::Overloaded, NO_MEMORY_FOR_ANSWER))
        }
        Served::Now(_) | Served::Refused(_) | Served::Later | Served::Noted => served,
    }
}
