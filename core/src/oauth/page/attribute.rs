//! What a value means in an attribute, by the name of the attribute.
//!
//! Most attributes are text. Some are URLs, where it matters what the template has written in front of the value; some
//! decide what the element does, and there a value has no business.
//!
//! Invariant: a value reaches the scheme or the host of a URL only as the whole start of it, filtered.

use super::Filter;

/// An attribute whose value is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attribute {
    /// Text to which nobody gives a meaning that could do harm.
    Plain,
    Url(UrlPart),
    /// `type` or `method`: what it says, in lower case.
    Recorded(String),
    /// `content` of `<meta>`: its last characters, in lower case, to see the `url=` of a refresh.
    Content(String),
    Nonce,
    /// A value is refused, and why.
    Closed(&'static str),
}

/// Where in a URL we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UrlPart {
    /// What may be a scheme, so far.
    Scheme(String),
    /// Behind a value that was the start. What follows without a separator could become part of the host.
    Value,
    /// In the path, the query or the fragment, or where everything is encoded for them.
    Tail,
    /// Behind a start which must have no value.
    Foreign,
}

impl Attribute {
    /// What an attribute of an element is. Both names are in lower case.
    pub(super) fn of(element: &str, name: &str) -> Self {
        // `xlink:href` is `href`; a `data-href` is there to be used as one.
        let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
        let (data, name) = name.strip_prefix("data-").map_or((false, name), |name| (true, name));
        if data {
            let is_url = ["src", "uri", "url", "href"].iter().any(|part| name.contains(part));
            return if is_url { Self::Url(UrlPart::START) } else { Self::Plain };
        }
        match name {
            "nonce" => Self::Nonce,
            "type" | "method" => Self::Recorded(String::new()),
            "content" if element == "meta" => Self::Content(String::new()),
            "style" => Self::Closed("in a style"),
            "srcdoc" => Self::Closed("in an attribute that is a page of its own"),
            "srcset" | "imagesrcset" | "ping" => Self::Closed("in a list of URLs"),
            _ if name.starts_with("on") => Self::Closed("in the script of an `on…` attribute"),
            _ if DECISIVE.contains(&name) => {
                Self::Closed("in an attribute that decides what the element does")
            }
            _ if !URLS.contains(&name) => Self::Plain,
            _ if LOADING.contains(&element) => Self::Closed("in a URL from which code is loaded"),
            _ => Self::Url(UrlPart::START),
        }
    }

    /// Reads a character of the template.
    pub(super) fn push(&mut self, c: char) {
        match self {
            Self::Url(part) => part.push(c),
            Self::Recorded(text) if text.len() < RECORDED_MAX => text.push(c.to_ascii_lowercase()),
            Self::Content(text) => {
                if text.chars().count() >= CONTENT_TAIL {
                    text.remove(0);
                }
                text.push(c.to_ascii_lowercase());
            }
            Self::Plain | Self::Recorded(_) | Self::Nonce | Self::Closed(_) => {}
        }
    }

    /// Where two ways through the value of an attribute meet.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        if let (Self::Url(one), Self::Url(two)) = (self, other) {
            return Some(Self::Url(one.join(two)));
        }
        Some(self.clone()).filter(|one| one == other)
    }

    /// Takes a value, and says what is to be done with it; or why there can be none.
    pub(super) fn value(&mut self) -> Result<Filter, &'static str> {
        match self {
            Self::Plain | Self::Nonce => Ok(Filter::Html),
            Self::Url(part) => part.value(),
            Self::Content(text) => {
                let front = text.trim_end_matches([' ', '\'', '"']);
                let refresh = front.ends_with("url=");
                *self = if refresh { Self::Url(UrlPart::Value) } else { Self::Plain };
                Ok(if refresh { Filter::Link } else { Filter::Html })
            }
            Self::Recorded(_) => Err("in an attribute that decides what the element does"),
            Self::Closed(why) => Err(why),
        }
    }
}

impl UrlPart {
    const START: Self = Self::Scheme(String::new());

    /// Where two ways through a URL meet: what may follow must be harmless behind both.
    fn join(&self, other: &Self) -> Self {
        match (self, other) {
            _ if self == other => self.clone(),
            (Self::Foreign, _) | (_, Self::Foreign) => Self::Foreign,
            (Self::Scheme(scheme), _) | (_, Self::Scheme(scheme)) if !scheme.is_empty() => Self::Foreign,
            (Self::Scheme(_) | Self::Value | Self::Tail, _) => Self::Value,
        }
    }

    fn push(&mut self, c: char) {
        match (&mut *self, c) {
            (Self::Foreign | Self::Tail, _) => {}
            (_, '?' | '#' | '/') => *self = Self::Tail,
            (Self::Scheme(scheme), ':') => {
                let known = ["http", "https", "mailto"].contains(&scheme.to_ascii_lowercase().as_str());
                *self = if known { Self::Tail } else { Self::Foreign };
            }
            (Self::Scheme(scheme), ' ' | '\t' | '\r' | '\n') if scheme.is_empty() => {}
            (Self::Scheme(scheme), _) if scheme.len() < RECORDED_MAX && c.is_ascii_alphanumeric() => {
                scheme.push(c);
            }
            (Self::Scheme(_), _) => *self = Self::Foreign,
            (Self::Value, ':') => *self = Self::Foreign,
            (Self::Value, _) => {}
        }
    }

    fn value(&mut self) -> Result<Filter, &'static str> {
        match self {
            Self::Scheme(scheme) if scheme.is_empty() => {
                *self = Self::Value;
                Ok(Filter::Link)
            }
            Self::Tail => Ok(Filter::Part),
            Self::Scheme(_) | Self::Value | Self::Foreign => {
                Err("where it could change the scheme or the host of a URL")
            }
        }
    }
}

/// Attributes that are a URL.
const URLS: [&str; 15] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "dynsrc",
    "formaction",
    "href",
    "longdesc",
    "lowsrc",
    "manifest",
    "poster",
    "src",
];

/// Elements which load something that can act for the page.
const LOADING: [&str; 11] =
    ["animate", "applet", "base", "embed", "frame", "iframe", "link", "object", "portal", "script", "use"];

/// Attributes that decide what an element or another attribute is.
const DECISIVE: [&str; 21] = [
    "allow",
    "as",
    "attributename",
    "charset",
    "crossorigin",
    "enctype",
    "form",
    "formenctype",
    "formmethod",
    "from",
    "http-equiv",
    "integrity",
    "is",
    "language",
    "media",
    "referrerpolicy",
    "rel",
    "sandbox",
    "target",
    "to",
    "values",
];

/// The longest name of a scheme, a method or a media type we know is shorter.
const RECORDED_MAX: usize = 40;
/// Enough for `url= '`.
const CONTENT_TAIL: usize = 8;
