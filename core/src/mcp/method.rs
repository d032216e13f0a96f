//! The methods the proxy knows, and what it does with each: this table is the whole policy of forwarding. What it does
//! not know at all belongs to an extension, and passes between a server and the clients of its own endpoint.

use super::Ask;

/// A request or notification method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Opens a session. Answered by the proxy.
    Initialize,
    /// Answered by the proxy, on each hop for itself.
    Ping,
    /// One of the four lists of the protocol. Answered from the catalog.
    List(ListKind),
    /// Forwarded; `params.name` is looked at.
    ToolsCall,
    /// Forwarded; `params.name` is looked at.
    PromptsGet,
    /// Forwarded; `params.uri` is looked at.
    ResourcesRead,
    /// `skills/get` on a view of several servers: forwarded; `params.uri` is looked at.
    SkillsGet,
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
    /// Known and not carried, in either direction: tasks (DL-14), the first methods of the modern revision, and other
    /// spellings of the methods above, which a peer could take for these although filters have not seen them.
    NotCarried,
    /// Anything else: a method of an extension.
    Other,
}

/// The lists of a server: the four of the protocol, and that of the skills extension.
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
    /// `skills/list` (SEP-2640). On a server's own endpoint it passes like any method of an extension.
    Skills,
}

impl ListKind {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// All of them.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Tools, Self::Prompts, Self::Resources, Self::Templates, Self::Skills];

    /// What one item is called.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Tools => "tool",
            Self::Prompts => "prompt",
            Self::Resources => "resource",
            Self::Templates => "resource template",
            Self::Skills => "skill",
        }
    }

    /// The method that asks for it.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Skills => "skills/list",
        }
    }

    /// The member of the result that holds the items.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Skills => "skills",
        }
    }

    /// The member of an item that names it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources | Self::Skills => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// The capability a server declares for it, in words for an extension.
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
            Self::Skills => "skills extension",
        }
    }

    /// The notification that tells it changed (one for both kinds of resources, none for skills).
    pub const fn changed(self) -> Option<&'static str> {
        match self {
            Self::Tools => Some("notifications/tools/list_changed"),
            Self::Prompts => Some("notifications/prompts/list_changed"),
            Self::Resources | Self::Templates => Some("notifications/resources/list_changed"),
            Self::Skills => None,
        }
    }

    /// The other of the two lists that name pages of apps: what one shows may depend on both.
    pub(crate) const fn shares_pages(self) -> Option<Self> {
        match self {
            Self::Tools => Some(Self::Resources),
            Self::Resources => Some(Self::Tools),
            Self::Prompts | Self::Templates | Self::Skills => None,
        }
    }

    /// Its place in arrays.
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
            _ => match Ask::from_method(name) {
                Some(ask) => Self::Ask(ask),
                None if is_not_carried(name) => Self::NotCarried,
                None => Self::Other,
            },
        }
    }

    /// Whether the server may ask its client something before it answers (2026-07-28 server/mrtr names the first three;
    /// of an extension nobody knows).
    pub const fn may_ask(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead | Self::Other)
    }

    /// Whether asking twice does no harm, so that a request that may have been lost can be sent again.
    pub const fn is_repeatable(self) -> bool {
        match self {
            Self::Ping
            | Self::List(_)
            | Self::PromptsGet
            | Self::ResourcesRead
            | Self::SkillsGet
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
            | Self::NotCarried
            | Self::Other => false,
        }
    }
}

fn is_not_carried(name: &str) -> bool {
    const MODERN: [&str; 3] =
        ["server/discover", "subscriptions/listen", "notifications/subscriptions/acknowledged"];
    let plain = name.trim().to_ascii_lowercase();
    let is = |known: &&'static str| known.eq_ignore_ascii_case(&plain);
    plain.starts_with("tasks/")
        || plain.starts_with("notifications/tasks")
        || MODERN.iter().any(is)
        || KNOWN.iter().any(is)
}

/// All names that [`Method::from_name`] knows.
const KNOWN: [&str; 26] = [
    "initialize",
    "ping",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "tools/call",
    "prompts/get",
    "resources/read",
    "completion/complete",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/message",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/roots/list_changed",
    "notifications/elicitation/complete",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_known_method_is_not_carried() {
        // FT-302
        for name in KNOWN {
            let known = Method::from_name(name);
            assert!(!matches!(known, Method::Other | Method::NotCarried), "{name}");
            for odd in [name.to_uppercase(), format!(" {name}"), format!("{name}\t")] {
                assert_eq!(Method::from_name(&odd), Method::NotCarried, "{odd}");
            }
        }
        for name in ["tasks/get", "Tasks/list", "notifications/tasks/status", "server/discover"] {
            assert_eq!(Method::from_name(name), Method::NotCarried, "{name}");
        }
        for name in ["com.example/x", "skills/list", "resources/directory/read", "", "notifications/x"] {
            assert_eq!(Method::from_name(name), Method::Other, "{name}");
        }
    }

    #[test]
    fn lists_are_consistent_with_their_names() {
        for kind in ListKind::ALL {
            let Some(changed) = kind.changed() else {
                assert_eq!(Method::from_name(kind.method()), Method::Other);
                continue;
            };
            assert_eq!(Method::from_name(kind.method()), Method::List(kind));
            let changed = Method::from_name(changed);
            assert!(matches!(changed, Method::ListChanged(of) if of.capability() == kind.capability()));
        }
        assert_eq!(Method::from_name("Tools/Call"), Method::NotCarried);
    }

    #[test]
    fn tool_calls_are_never_repeated() {
        // UP-23
        assert!(!Method::ToolsCall.is_repeatable());
        assert!(Method::ResourcesRead.is_repeatable());
    }
}
