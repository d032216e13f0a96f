//! Web sites that publish one document each, well or badly: descriptions of OAuth clients.
//!
//! A site answers every request with the same bytes, whatever they are, and keeps what it was asked. TLS is left out:
//! a connection to port 443 is plain here, or fails if the certificate is meant to be bad.

use crate::http::{Head, Part, Reader, message};
use crate::net::{Event, MS, Net};
use mcp_proxy_core::id::ConnId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A web site.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// Its place in the world.
    pub index: usize,
    /// Host name.
    pub host: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// What its name leads to: the n-th look-up gets the n-th, all later ones the last.
    pub names: Vec<Vec<IpAddr>>,
    /// What it answers.
    pub reply: Vec<u8>,
    /// How long it thinks, milliseconds.
    pub after_ms: u64,
    /// Writes one byte every so many milliseconds.
    pub drip_ms: Option<u64>,
    /// Closes the connection behind its answer.
    pub closes: bool,
    /// Nobody can connect.
    pub down: bool,
    /// Its certificate is not for its name.
    pub bad_certificate: bool,
    /// How often its name was looked up.
    pub looked_up: usize,
    /// What it was asked.
    pub visits: Vec<Head>,
    readers: BTreeMap<ConnId, Pages>,
}

/// Reads requests; a copy of a site has no connections.
#[derive(Debug)]
struct Pages(Reader);

impl Clone for Pages {
    fn clone(&self) -> Self {
        Self(Reader::requests())
    }
}

impl Publisher {
    /// A site at this address of the simulated world that answers with this JSON.
    pub fn new(host: &str, addr: [u8; 4], body: &str) -> Self {
        let mut site = Self {
            index: 0,
            host: host.to_owned(),
            addr: SocketAddr::from((addr, 443)),
            names: vec![vec![IpAddr::from(addr)]],
            reply: Vec::new(),
            after_ms: 0,
            drip_ms: None,
            closes: false,
            down: false,
            bad_certificate: false,
            looked_up: 0,
            visits: Vec::new(),
            readers: BTreeMap::new(),
        };
        site.publish("200 OK", &[("content-type", "application/json")], body);
        site
    }

    /// Answers like this from now on.
    pub fn publish(&mut self, status: &str, fields: &[(&str, &str)], body: &str) {
        self.reply = message(&format!("HTTP/1.1 {status}"), fields, body).into_bytes();
    }

    pub(crate) fn look_up(&mut self, port: u16) -> Vec<SocketAddr> {
        let answer = self.looked_up.min(self.names.len().saturating_sub(1));
        self.looked_up += 1;
        self.names.get(answer).into_iter().flatten().map(|ip| SocketAddr::new(*ip, port)).collect()
    }

    pub(crate) fn on_bytes(&mut self, conn: ConnId, bytes: &[u8], net: &mut Net) {
        let reader = &mut self.readers.entry(conn).or_insert_with(|| Pages(Reader::requests())).0;
        reader.push(bytes);
        while let Some(part) = reader.part() {
            if let Part::Head(head) = part {
                self.visits.push(head);
                match self.drip_ms {
                    None => {
                        let reply = Event::Publish(self.index, conn, self.reply.clone(), self.closes);
                        net.plan(self.after_ms * MS, reply);
                    }
                    Some(pause_ms) => {
                        for (at, byte) in (0..).zip(&self.reply) {
                            let after = (self.after_ms + at * pause_ms) * MS;
                            net.plan(after, Event::Publish(self.index, conn, vec![*byte], false));
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn write(&mut self, conn: ConnId, bytes: &[u8], last: bool, net: &mut Net) {
        net.send(conn, bytes);
        if last {
            net.close(conn);
        }
    }
}
