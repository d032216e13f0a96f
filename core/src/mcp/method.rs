//! The methods the proxy knows, and what it does with each: this table is the whole policy of forwarding.

use super::Ask;

/// A request or notification method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Opens a session. Answered by the proxy.
    Initialize,
    /// Answered by the proxy, on each hop for itself.
    Ping,
    /// One of the four lists. Answered from the catalog.
    List(ListKind),
    /// Forwarded; `params.name` is looked at.
    ToolsCall,
    /// Forwarded; `params.name` is looked at.
    PromptsGet,
    /// Forwarded; `params.uri` is looked at.
    ResourcesRead,
    /// Forwarded.
    Complete,
    /// Answered by the proxy; the server is told the most verbose level that anybody wants.
    SetLevel,
    /// Forwarded when the first session watches a resource.
    Subscribe,
    /// Forwarded when the last session stops watching it.
    Unsubscribe,
    /// A request of a server, forwarded to the client it concerns.
    Ask(Ask),
    /// The handshake is complete.
    Initialized,
    /// A request is no longer wanted.
    Cancelled,
    /// News of a running request.
    Progress,
    /// A list of the server changed. Resources stand for their templates too.
    ListChanged(ListKind),
    /// The roots of a client changed.
    RootsChanged,
    /// A log message of the server.
    LogMessage,
    /// A resource changed.
    ResourceUpdated,
    /// What a user was to do at a URL is done.
    Elicited,
    /// Anything else.
    Other,
}

/// The four lists of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListKind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
}

impl ListKind {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// What one item is called.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Tools => "tool",
            Self::Prompts => "prompt",
            Self::Resources => "resource",
            Self::Templates => "resource template",
        }
    }

    /// The method that asks for it.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The member of the result that holds the items.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The member of an item that names it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// The capability a server declares for it.
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
        }
    }

    /// The notification that tells it changed (one for both kinds of resources).
    pub const fn changed(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources | Self::Templates => "notifications/resources/list_changed",
        }
    }

    /// Its place in arrays of four.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Method {
    /// The method of this name. Names are case-sensitive.
    pub fn from_name(name: &str) -> Self {
        match name {
            "tools/call" => Self::ToolsCall,
            "initialize" => Self::Initialize,
            "ping" => Self::Ping,
            "tools/list" => Self::List(ListKind::Tools),
            "prompts/list" => Self::List(ListKind::Prompts),
            "resources/list" => Self::List(ListKind::Resources),
            "resources/templates/list" => Self::List(ListKind::Templates),
            "prompts/get" => Self::PromptsGet,
            "resources/read" => Self::ResourcesRead,
            "completion/complete" => Self::Complete,
            "logging/setLevel" => Self::SetLevel,
            "resources/subscribe" => Self::Subscribe,
            "resources/unsubscribe" => Self::Unsubscribe,
            "notifications/initialized" => Self::Initialized,
            "notifications/message" => Self::LogMessage,
            "notifications/resources/updated" => Self::ResourceUpdated,
            "notifications/elicitation/complete" => Self::Elicited,
            "notifications/roots/list_changed" => Self::RootsChanged,
            "notifications/cancelled" => Self::Cancelled,
            "notifications/progress" => Self::Progress,
            "notifications/tools/list_changed" => Self::ListChanged(ListKind::Tools),
            "notifications/prompts/list_changed" => Self::ListChanged(ListKind::Prompts),
            "notifications/resources/list_changed" => Self::ListChanged(ListKind::Resources),
            _ => Ask::from_method(name).map_or(Self::Other, Self::Ask),
        }
    }

    /// Whether the server may ask its client something before it answers (2026-07-28 server/mrtr names the same three).
    pub const fn may_ask(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }

    /// Whether asking twice does no harm, so that a request that may have been lost can be sent again.
    pub const fn is_repeatable(self) -> bool {
        match self {
            Self::Ping
            | Self::List(_)
            | Self::PromptsGet
            | Self::ResourcesRead
            | Self::Complete
            | Self::SetLevel
            | Self::Subscribe
            | Self::Unsubscribe => true,
            Self::Initialize
            | Self::ToolsCall
            | Self::Ask(_)
            | Self::RootsChanged
            | Self::LogMessage
            | Self::ResourceUpdated
            | Self::Elicited
            | Self::Initialized
            | Self::Cancelled
            | Self::Progress
            | Self::ListChanged(_)
            | Self::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_consistent_with_their_names() {
        for kind in ListKind::ALL {
            assert_eq!(Method::from_name(kind.method()), Method::List(kind));
            let changed = Method::from_name(kind.changed());
            assert!(matches!(changed, Method::ListChanged(of) if of.capability() == kind.capability()));
        }
        assert_eq!(Method::from_name("Tools/Call"), Method::Other);
    }

    #[test]
    fn tool_calls_are_never_repeated() {
        // UP-23
        assert!(!Method::ToolsCall.is_repeatable());
        assert!(Method::ResourcesRead.is_repeatable());
    }
}
