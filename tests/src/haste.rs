//! How often the proxy contacts each server of its own accord, which must never become a loop.
//!
//! Counted are dials that fail, starts of children, and what the proxy asks itself: handshakes, lists, pings,
//! standalone streams, the state of tasks. Not counted: what a client asked for, and further pages of a list. A dial
//! that succeeds counts by the request it is for. Checked: in no second of virtual time are there more than
//! [`PER_SECOND`] for every connection that the server may have, which is one, one for each client, and one for each
//! request of the last second, since a cancelled call may cost its connection.

use crate::http::Head;
use crate::net::MS;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Contacts of one connection in a second. A start takes seven (two of the handshake, four lists, a stream); the retry
/// after half a second and a look at lists that changed fit in.
pub const PER_SECOND: usize = 24;

/// The contacts of the last second.
#[derive(Debug, Default)]
pub struct Haste {
    servers: BTreeMap<String, VecDeque<u64>>,
    /// How many requests clients had sent at each contact of the last second, and at the one before.
    requests: VecDeque<(u64, usize)>,
    /// The most contacts of a server in a second so far, for each connection.
    pub most: usize,
}

impl Haste {
    /// The proxy dialled, started or asked a server of its own accord. `crowd`: how many clients there are, and how
    /// many requests they have sent.
    ///
    /// # Panics
    /// When it does so in haste.
    pub fn contact(&mut self, server: &str, what: &str, now: u64, crowd: (usize, usize)) {
        let (clients, requests) = crowd;
        self.requests.push_back((now, requests));
        while self.requests.get(1).is_some_and(|(at, _)| at + 1_000 * MS <= now) {
            self.requests.pop_front();
        }
        // A story may forget what its clients have sent.
        let before = self.requests.front().map_or(requests, |(_, before)| *before);
        let lately = requests.saturating_sub(before);
        let seen = self.servers.entry(server.to_owned()).or_default();
        seen.push_back(now);
        while seen.front().is_some_and(|at| at + 1_000 * MS <= now) {
            seen.pop_front();
        }
        let each = seen.len().div_ceil(1 + clients + lately);
        self.most = self.most.max(each);
        assert!(
            each <= PER_SECOND,
            "{server} is contacted {} times in a second, lately by {what}",
            seen.len()
        );
    }
}

/// What a request to an HTTP server is, if it is the proxy's own.
pub fn own_request(head: &Head, body: &str) -> Option<String> {
    match head.method() {
        "POST" => own_message(body),
        method => Some(method.to_owned()),
    }
}

/// What a message is, if it is the proxy's own.
pub fn own_message(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let method = value["method"].as_str()?;
    let first_page = value["params"]["cursor"].is_null();
    let own = match method {
        "initialize" | "notifications/initialized" | "ping" | "tasks/get" | "tasks/result" => true,
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" | "skills/list" => {
            first_page
        }
        _ => false,
    };
    own.then(|| method.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_pace_is_fine() {
        let mut haste = Haste::default();
        for n in 0..1_000 {
            haste.contact("a", "ping", n * 50 * MS, (0, 0));
        }
        assert_eq!(haste.most, 20);
    }

    #[test]
    #[should_panic(expected = "a is contacted 25 times in a second, lately by initialize")]
    fn a_loop_is_noticed() {
        let mut haste = Haste::default();
        for n in 0..25 {
            haste.contact("b", "ping", n * 100 * MS, (0, 0));
            haste.contact("a", "initialize", n * 30 * MS, (0, 0));
        }
    }

    #[test]
    fn what_clients_ask_for_is_not_the_proxys_own() {
        for (text, own) in [
            (r#"{"method":"tools/call","params":{}}"#, None),
            (r#"{"method":"tools/list","params":{"cursor":"2"}}"#, None),
            (r#"{"method":"tools/list"}"#, Some("tools/list")),
            (r#"{"id":1,"result":{}}"#, None),
        ] {
            assert_eq!(own_message(text).as_deref(), own, "{text}");
        }
    }
}
