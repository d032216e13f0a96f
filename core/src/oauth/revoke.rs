//! The end of a token at the wish of its client (RFC 7009).

use super::params::Params;
use super::store::{Grant, GrantId};
use super::{Request, RequestId, Server};
use crate::digest::Hash;
use crate::http::Reply;
use crate::log::Level;

impl Server {
    /// `POST /oauth/revoke`. Whatever token it is, the answer is the same.
    pub(super) fn revoke(&mut self, id: RequestId, request: &Request<'_>, params: &Params) {
        let client = match self.authenticate(request.head, params) {
            Ok(client) => client,
            Err(reply) => return self.reply(id, reply.open()),
        };
        let Some(token) = params.get("token") else {
            return self.reply(id, Reply::error(400, "invalid_request", "token is required").open());
        };
        let hash = Hash::of(token);
        let state = self.book.staged();
        let mine = |grant: &Grant| grant.client_id == client.id;
        let family = state.refresh(&hash).filter(|(_, grant, _)| mine(grant)).map(|(id, _, _)| id.clone());
        let access = state.access(&hash).filter(|(_, grant, _)| mine(grant)).map(|(id, _, _)| id.clone());
        match (family, access) {
            (Some(grant), _) => self.revoke_grant(&grant, "asked by the client"),
            (None, Some(grant)) => self.revoke_access(&grant, &hash),
            (None, None) => {}
        }
        self.reply_after_save(id, Reply::json(200, "{}".to_owned()).open());
    }

    fn revoke_access(&mut self, id: &GrantId, hash: &Hash) {
        let Some(mut grant) = self.book.staged().grant(id).map(|grant| Grant::clone(grant)) else { return };
        self.event(Level::Info, "revoked", &[("client", &grant.client_id), ("token", &hash.to_string())]);
        grant.access.retain(|access| access.hash != *hash);
        self.book.change().put_grant(id, grant);
    }
}
