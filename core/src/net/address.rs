//! Which address a client has when reverse proxies stand between (for `allowedIPs`, throttling and logs).
//!
//! A peer that is not trusted is the client. A trusted one may say for whom it speaks, in one of many header
//! fields, and which of them it sets itself and which it only passes on cannot be known. So every field that
//! is there is a **claim**: the first one is shown, but an address is allowed only if all claims are. Adding a
//! field can make the check stricter, never wider (SEED-130, RFC 9700 §4.13). Limits count a request whose claims differ
//! under each of them and under its peer. A field that one service alone sets is a claim only if that service is the
//! peer or the operator named the field, since every other reverse proxy passes it on.
//!
//! Invariants: lists are read from the right, skipping trusted proxies, because what stands on the left came
//! from the client; a claim that cannot be read is allowed nowhere; addresses are in their canonical form.
//! Deliberately absent: throttling, the lists of who is allowed.

mod claims;

use std::net::IpAddr;

use super::{IpRange, Network};
use crate::http::RequestHead;

/// Whose word about the address of a client counts (`trustedProxies`, `clientIPHeader`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Peers that are believed.
    pub proxies: Vec<IpRange>,
    /// The one field that is read; `None` is all known ones.
    pub header: Option<String>,
}

/// What is known about the address of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// For logs and throttling: the first claim that can be read, else the peer.
    pub shown: IpAddr,
    /// Whether claims contradict each other; `clientIPHeader` would settle that.
    pub disagree: bool,
    /// At least one; `None` cannot be read.
    claims: Vec<Option<IpAddr>>,
    peer: IpAddr,
}

impl Trust {
    /// Finds the address of the client behind a request that came from `peer`.
    pub fn client(&self, peer: IpAddr, head: &RequestHead) -> ClientAddress {
        let peer = peer.to_canonical();
        let mut claims = if self.trusts(peer) { claims::read(self, peer, head) } else { Vec::new() };
        if claims.is_empty() {
            claims.push(Some(peer));
        }
        let mut known = claims.iter().flatten();
        let shown = known.next().copied().unwrap_or(peer);
        ClientAddress { shown, disagree: known.any(|other| *other != shown), claims, peer }
    }

    /// Whether a proxy whose word counts says nothing about the client.
    pub fn is_silent(&self, peer: IpAddr, head: &RequestHead) -> bool {
        self.trusts(peer.to_canonical()) && claims::read(self, peer.to_canonical(), head).is_empty()
    }

    /// Whether this is a proxy whose word counts.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.proxies.iter().any(|range| range.contains(ip))
    }
}

impl Default for Trust {
    /// A proxy on this machine, on this network or in this cluster.
    fn default() -> Self {
        let presets = ["loopback", "private"].into_iter().filter_map(IpRange::preset);
        Self { proxies: presets.flatten().copied().collect(), header: None }
    }
}

impl ClientAddress {
    /// Whether the client is surely in one of these ranges. An empty list is everywhere.
    pub fn is_in(&self, allowed: &[IpRange]) -> bool {
        let inside =
            |claim: &Option<IpAddr>| claim.is_some_and(|ip| allowed.iter().any(|range| range.contains(ip)));
        allowed.is_empty() || self.claims.iter().all(inside)
    }

    /// Whether it cannot be told which claim is the client's: they differ, or some cannot be read.
    pub fn is_doubtful(&self) -> bool {
        self.disagree || self.claims.contains(&None)
    }

    /// What limits count a request under: the address, or every claim and the peer where there is doubt.
    pub fn networks(&self) -> Vec<Network> {
        if !self.is_doubtful() {
            return vec![Network::of(self.shown)];
        }
        let all = self.claims.iter().flatten().chain([&self.peer]);
        let mut networks: Vec<Network> = all.map(|address| Network::contested(*address)).collect();
        networks.sort_unstable();
        networks.dedup();
        networks
    }

    /// What each source says; `None` for one that cannot be read.
    pub fn claims(&self) -> &[Option<IpAddr>] {
        &self.claims
    }
}

#[cfg(test)]
mod tests;
