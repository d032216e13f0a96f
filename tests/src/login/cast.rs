//! Casts with logins: users and their passwords, pages, web sites.

use super::{ANN, BEN, PKCE};
use crate::cast::Cast;
use crate::publisher::Publisher;
use mcp_proxy_core::event::StoreKey;
use mcp_proxy_core::oauth::page::PageKind;
use serde_json::{Value, json};

/// Pages without decoration, so that stories in slow weather are not about style sheets.
const PAGES: [(PageKind, &str); 3] = [
    (
        PageKind::Authorize,
        r#"<form method="post" action="{{.FormAction}}">{{if .ErrorMessage}}<p role="alert">{{.ErrorMessage}}</p>{{end}}
<input type="hidden" name="client_id" value="{{.ClientID}}">
<input type="hidden" name="redirect_uri" value="{{.RedirectURI}}">
<input type="hidden" name="response_type" value="{{.ResponseType}}">
<input type="hidden" name="scope" value="{{.Scope}}">
<input type="hidden" name="state" value="{{.State}}">
<input type="hidden" name="code_challenge" value="{{.CodeChallenge}}">
<input type="hidden" name="code_challenge_method" value="{{.CodeChallengeMethod}}">
<input type="hidden" name="resource" value="{{.Resource}}">
<input type="hidden" name="form_token" value="{{.FormToken}}">
<input name="username" value="{{.Username}}"><input name="password" type="password"></form>
<p>{{.ClientName}} of {{.ClientHost}} wants {{.ResourceName}} and calls back {{.RedirectHost}}</p>
<a href="{{.CancelURL}}">Cancel</a></html>"#,
    ),
    (PageKind::Success, r#"<p>{{.Username}}</p><a href="{{.RedirectURL}}">Continue</a></html>"#),
    (
        PageKind::Error,
        r#"<h1>{{.Title}}</h1><p>{{.Message}}</p>{{if .RetryURL}}<a href="{{.RetryURL}}">Retry</a>{{end}}</html>"#,
    ),
];

impl Cast {
    /// Turns logins on, for `ann` and `ben` and for hosted and local clients. `more` adds to the section or replaces
    /// members of it.
    #[must_use]
    pub fn with_logins(mut self, more: &Value) -> Self {
        let mut section = json!({"enabled": true, "users": {"ann": ANN, "ben": BEN},
            "allowedRedirectURIs": ["claude", "loopback"]});
        let members = more.as_object().into_iter().flatten();
        members.for_each(|(name, value)| section[name] = value.clone());
        self.proxy["options"]["oauth2"] = section;
        for (kind, page) in PAGES {
            self.disk.put(StoreKey::Page(kind), page);
        }
        self.secret(ANN).secret(BEN).secret(PKCE[0].0).secret(PKCE[1].0).secret(PKCE[2].0).secret(PKCE[3].0)
    }

    /// Changes members of the section.
    #[must_use]
    pub fn oauth(mut self, more: &Value) -> Self {
        let members = more.as_object().into_iter().flatten();
        members.for_each(|(name, value)| self.proxy["options"]["oauth2"][name] = value.clone());
        self
    }

    /// Shows the pages that come with the program.
    #[must_use]
    pub fn with_own_pages(mut self) -> Self {
        PAGES.iter().for_each(|(kind, _)| self.disk.remove(StoreKey::Page(*kind)));
        self
    }

    /// Gives a user a password that is kept as a hash.
    #[must_use]
    pub fn hashed_user(mut self, name: &str, password: &str) -> Self {
        let hash = self.hash_of(password);
        self.proxy["options"]["oauth2"]["users"][name] = json!(hash);
        self.secret(password)
    }

    /// A hash of a password.
    pub fn hash_of(&mut self, password: &str) -> String {
        let letter = char::from(b'a' + self.hashes.len() as u8);
        let hash =
            format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0${}A", letter.to_string().repeat(42));
        self.hashes.insert(hash.clone(), password.to_owned());
        hash
    }

    /// Adds a web site.
    #[must_use]
    pub fn publisher(mut self, mut publisher: Publisher) -> Self {
        publisher.index = self.publishers.len();
        self.publishers.push(publisher);
        self
    }
}
