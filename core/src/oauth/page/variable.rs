//! The values a page may show, by name.

/// The name of a value. There are only those that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variable(&'static str);

impl Variable {
    pub(super) const CSP_NONCE: Self = Self("CSPNonce");
    pub(super) const FORM_TOKEN: Self = Self("FormToken");

    pub(super) const fn name(self) -> &'static str {
        self.0
    }

    /// Whether it is a URL the server has checked against its policy, so that it may have a scheme of its own.
    pub(super) fn is_checked_url(self) -> bool {
        matches!(self.0, "RedirectURL" | "CancelURL" | "RetryURL")
    }
}

/// Finds a variable by its name.
pub(super) fn find(name: &str) -> Option<Variable> {
    ALL.iter().find(|known| **known == name).copied().map(Variable)
}

/// The variables of all pages. A page that is given no value for one shows nothing in its place.
const ALL: [&str; 28] = [
    "AllResources",
    "CSPNonce",
    "CancelURL",
    "ClientHost",
    "ClientID",
    "ClientName",
    "CodeChallenge",
    "CodeChallengeMethod",
    "ErrorMessage",
    "FormAction",
    "FormToken",
    "Hint",
    "IsLoopback",
    "Lang",
    "Message",
    "ProxyName",
    "RedirectHost",
    "RedirectURI",
    "RedirectURL",
    "Resource",
    "ResourceName",
    "ResponseType",
    "RetryText",
    "RetryURL",
    "Scope",
    "State",
    "Title",
    "Username",
];
