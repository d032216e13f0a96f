//! Documents by which clients find their way: RFC 8414, its OpenID twin, RFC 9728.
//!
//! Invariants: `issuer` is the text of [`Issuer`]; what does not apply is left out, never `null`; a resource is named
//! exactly as it was asked for, since clients compare it with what their user typed.

use super::Server;
use super::issuer::Issuer;
use super::scope;
use crate::http::Reply;
use crate::route::Place;
use serde_json::{Map, Value, json};

impl Server {
    /// Authorization server metadata (RFC 8414 §2).
    pub(super) fn metadata(&self, issuer: &Issuer) -> Reply {
        Reply::document(Value::Object(self.metadata_members(issuer)).to_string())
    }

    /// The same for clients that look for an OpenID provider: with what their schemas insist on.
    pub(super) fn openid(&self, issuer: &Issuer) -> Reply {
        let mut members = self.metadata_members(issuer);
        members.insert("jwks_uri".into(), json!(issuer.endpoint("/oauth/jwks")));
        members.insert("subject_types_supported".into(), json!(["public"]));
        members.insert("id_token_signing_alg_values_supported".into(), json!([]));
        Reply::document(Value::Object(members).to_string())
    }

    fn metadata_members(&self, issuer: &Issuer) -> Map<String, Value> {
        let options = &self.settings.options;
        let methods = json!(["none", "client_secret_post", "client_secret_basic"]);
        let mut members = Map::new();
        let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
        set("issuer", json!(issuer.text()));
        set("authorization_endpoint", json!(issuer.endpoint("/oauth/authorize")));
        set("token_endpoint", json!(issuer.endpoint("/oauth/token")));
        set("revocation_endpoint", json!(issuer.endpoint("/oauth/revoke")));
        if options.registration {
            set("registration_endpoint", json!(issuer.endpoint("/oauth/register")));
        }
        set("scopes_supported", json!([scope::MCP, scope::OFFLINE]));
        set("response_types_supported", json!(["code"]));
        set("response_modes_supported", json!(["query"]));
        set("grant_types_supported", json!(["authorization_code", "refresh_token"]));
        set("token_endpoint_auth_methods_supported", methods.clone());
        set("revocation_endpoint_auth_methods_supported", methods);
        set("code_challenge_methods_supported", json!(["S256"]));
        set("authorization_response_iss_parameter_supported", json!(true));
        if self.offers_documents() {
            set("client_id_metadata_document_supported", json!(true));
        }
        members
    }

    /// Protected resource metadata (RFC 9728 §2) of what is at `path`. Nothing is told apart that is not protected.
    pub(super) fn resource_metadata(&self, issuer: &Issuer, path: &str) -> Reply {
        let Some((resource, name)) = self.described(issuer, path) else { return Reply::not_found().open() };
        let document = json!({
            "resource": resource,
            "authorization_servers": [issuer.text()],
            "scopes_supported": [scope::MCP],
            "bearer_methods_supported": ["header"],
            "resource_name": name,
        });
        Reply::document(document.to_string())
    }

    /// The resource at a path, and what it is called.
    fn described(&self, issuer: &Issuer, path: &str) -> Option<(String, String)> {
        let proxy = &self.settings.name;
        let bare = path.strip_suffix('/').unwrap_or(path);
        if bare.is_empty() || bare == issuer.path() {
            // A client that cannot tell paths apart: the only server there is, or all of them.
            let mut protected = self.settings.resources.iter().filter(|resource| resource.protected);
            return match (protected.next(), protected.next()) {
                (None, _) => None,
                (Some(only), None) if bare.is_empty() => {
                    let resource = issuer.endpoint(&format!("/{}/mcp", only.key));
                    Some((resource, format!("{} ({proxy})", only.label)))
                }
                (Some(_), _) if bare.is_empty() => Some((issuer.text(), proxy.clone())),
                (Some(_), _) => Some((format!("{}{path}", issuer.origin()), proxy.clone())),
            };
        }
        let resource = format!("{}{path}", issuer.origin());
        match self.settings.routes.find(path)?.place {
            Place::Merged => self.protects(Place::Merged).then(|| (resource, proxy.clone())),
            Place::Server(id) => {
                let server = self.settings.resource(id).filter(|server| server.protected)?;
                Some((resource, format!("{} ({proxy})", server.label)))
            }
        }
    }
}
