//! Answers that are packed although they were asked not to be, as some networks for delivery do.
//!
//! They are unpacked as they come; what comes out is bounded like what is not packed. What cannot be unpacked ends its
//! call alone, and is not asked for again: it would be packed again.

use super::exchange::{Exchange, Job};
use crate::fault::{Code, Fault};
use crate::http::coding::Coding;
use crate::id::UpstreamId;
use crate::servers::ServersMut;

/// Why a packed answer is of no use.
#[derive(Debug)]
pub(in crate::servers) enum Unfit {
    /// It cannot be unpacked, or becomes too much.
    Packing(Fault),
    /// What came out of it is no event stream.
    Content(Fault),
}

impl ServersMut<'_> {
    /// The head of a response is there: what has to be undone before its body can be read.
    pub(in crate::servers) fn look_for_coding(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        match Coding::of(exchange.client.head(), self.fx.limits.message_bytes_max) {
            Ok(coding) => exchange.coding = coding.map(Box::new),
            // Nobody reads it.
            Err(_) if matches!(exchange.job, Job::Drain | Job::Delete | Job::Note) => {}
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Unpacks some of a packed body. Returns whether there was something to unpack.
    pub(in crate::servers) fn unpack(
        &mut self,
        id: UpstreamId,
        exchange: &mut Exchange,
    ) -> Result<bool, Unfit> {
        let Some(coding) = &mut exchange.coding else { return Ok(false) };
        let Some(bytes) = coding.next().map_err(Unfit::Packing)? else { return Ok(false) };
        if let Some(events) = &mut exchange.events {
            events.push(&bytes);
            self.on_flow(id);
        } else if exchange.body.len().saturating_add(bytes.len()) > self.fx.limits.message_bytes_max {
            let why = "the packed answer of the server becomes too large (see limits.messageBytes)";
            return Err(Unfit::Packing(Fault::peer(Code::UpstreamBroken, why)));
        } else {
            exchange.body.extend_from_slice(&bytes);
        }
        Ok(true)
    }

    pub(in crate::servers) fn end_unfit(&mut self, id: UpstreamId, exchange: Box<Exchange>, unfit: &Unfit) {
        match unfit {
            Unfit::Packing(fault) => self.give_up_exchange(id, exchange, fault),
            Unfit::Content(fault) => self.on_broken(id, exchange, fault),
        }
    }
}

/// A response is over. An event stream may end anywhere; of any other packed body all has to be there.
pub(in crate::servers) fn complete(exchange: &mut Exchange) -> Result<(), Unfit> {
    match exchange.coding.take() {
        Some(mut coding) if exchange.events.is_none() => coding.finish().map_err(Unfit::Packing),
        Some(_) | None => Ok(()),
    }
}
