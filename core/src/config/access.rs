//! Who may in, in words: for `--check` and for the log at the start.
//!
//! Says what the configuration says; who comes in is decided in [`crate::policy`] and by the authorization server.

use super::{Config, Filter, Server};

/// Names of servers that a line about access holds at the most.
const NAMES_MAX: usize = 20;

/// Names of servers that the warning about an open listener holds at the most.
const EXPOSED_MAX: usize = 5;

/// What no credential guards, in words.
const OPEN: &str = "open to everybody who can reach it";

impl Config {
    /// Who may use a server.
    pub fn access(&self, server: &Server) -> String {
        let oauth2 = self.oauth2.as_ref().filter(|oauth2| oauth2.enabled && !server.options.oauth2_exempt);
        let tokens = match server.options.auth_tokens.len() {
            0 => None,
            _ if oauth2.is_some_and(|oauth2| !oauth2.static_tokens) => None,
            1 => Some("1 token".to_owned()),
            count => Some(format!("{count} tokens")),
        };
        let login = oauth2.map(|oauth2| match (&server.options.users, oauth2.users_file.is_some()) {
            (Filter::None, _) => "login of any user".to_owned(),
            (filter, false) => {
                let users = oauth2.users.iter().map(|(name, _)| name.as_str());
                format!(
                    "login of {}",
                    users.filter(|name| filter.admits(name)).collect::<Vec<_>>().join(", ")
                )
            }
            (_, true) => "login of the users that userFilter admits".to_owned(),
        });
        match (login, tokens) {
            (None, None) => OPEN.to_owned(),
            (Some(login), Some(tokens)) => format!("{login}, or {tokens}"),
            (Some(one), None) | (None, Some(one)) => one,
        }
    }

    /// The servers that are not disabled, in the order of the text.
    pub fn enabled(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| !server.disabled)
    }

    /// Who may use which servers, one line for all that are open to the same people, in the order of the text.
    pub fn access_lines(&self) -> Vec<String> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for server in self.enabled() {
            let access = self.access(server);
            match groups.iter_mut().find(|(known, _)| *known == access) {
                Some((_, names)) => names.push(server.label()),
                None => groups.push((access, vec![server.label()])),
            }
        }
        let line = |(access, names): (String, Vec<String>)| {
            let shown = names.get(..NAMES_MAX).unwrap_or(&names).join(", ");
            match names.len().saturating_sub(NAMES_MAX) {
                0 => format!("Access to {shown}: {access}"),
                more => format!("Access to {shown} and {more} more: {access}"),
            }
        };
        groups.into_iter().map(line).collect()
    }

    /// Whether a server is open without a token and without a login.
    pub fn is_open(&self) -> bool {
        self.open_servers().next().is_some()
    }

    /// A warning for the operator if other machines reach the listener and a server asks for no credential (FT-401).
    /// Firewalls and reverse proxies are not known here.
    pub fn exposure(&self) -> Option<String> {
        let open: Vec<String> = self.open_servers().map(|server| format!("`{}`", server.label())).collect();
        if self.addr.is_loopback() || open.is_empty() {
            return None;
        }
        let shown = open.get(..EXPOSED_MAX).unwrap_or(&open).join(", ");
        let more = match open.len().saturating_sub(EXPOSED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "OPEN TO THE NETWORK: EVERYBODY who can reach {} may use {shown}{more} WITHOUT A TOKEN OR LOGIN; set \
             `options.authTokens` or `oauth2`, or listen on this machine alone with \"addr\": \"127.0.0.1:{}\"",
            self.addr, self.addr.port
        ))
    }

    fn open_servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| !server.disabled && self.access(server) == OPEN)
    }
}
