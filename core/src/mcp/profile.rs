//! What a client can be asked: the canonical form of its capabilities, small enough to be a key.
//!
//! Invariants: what refines a feature (`roots_changed`, the parts of sampling) is only there with the feature; whether
//! two clients may share a connection is the equality of their profiles and of what else they have [`Declared`], so
//! nothing else of their capabilities may come through. Deliberately absent: tasks, which are not carried.

use super::{Declared, Revision};
use crate::fault::Fault;
use crate::json::{self, Span};

/// What a client declared, or what is declared to a server on behalf of clients. The default is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Profile(u8);

const ROOTS: u8 = 1;
const ROOTS_CHANGED: u8 = 1 << 1;
const SAMPLING: u8 = 1 << 2;
const SAMPLING_TOOLS: u8 = 1 << 3;
const SAMPLING_CONTEXT: u8 = 1 << 4;
const FORM: u8 = 1 << 5;
const URL: u8 = 1 << 6;

impl Profile {
    /// Reads the `capabilities` of a client. What is no object counts as absent; an `elicitation` that names no mode
    /// means forms.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`](crate::fault::Code::InvalidRequest) when a capability occurs twice.
    pub(crate) fn parse(text: &[u8], capabilities: Span) -> Result<Self, Fault> {
        let mut bits = 0;
        let object = |span: Option<Span>| span.filter(|span| span.of(text).first() == Some(&b'{'));
        let [roots, sampling, elicitation] =
            json::members(text, capabilities, ["roots", "sampling", "elicitation"])?;
        if let Some(roots) = object(roots) {
            let changes = json::member(text, roots, "listChanged")?;
            let changes = changes.is_some_and(|value| value.of(text) == b"true");
            bits |= ROOTS | if changes { ROOTS_CHANGED } else { 0 };
        }
        if let Some(sampling) = object(sampling) {
            let [tools, context] = json::members(text, sampling, ["tools", "context"])?;
            bits |= SAMPLING;
            bits |= if object(tools).is_some() { SAMPLING_TOOLS } else { 0 };
            bits |= if object(context).is_some() { SAMPLING_CONTEXT } else { 0 };
        }
        if let Some(elicitation) = object(elicitation) {
            let [form, url] = json::members(text, elicitation, ["form", "url"])?;
            let (form, url) = (object(form).is_some(), object(url).is_some());
            bits |= if url { URL } else { 0 };
            bits |= if form || !url { FORM } else { 0 };
        }
        Ok(Self(bits))
    }

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// `roots/list`.
    pub(crate) const fn roots(self) -> bool {
        self.has(ROOTS)
    }

    /// The client tells when its roots change.
    pub(crate) const fn roots_changed(self) -> bool {
        self.has(ROOTS_CHANGED)
    }

    /// `sampling/createMessage`.
    pub(crate) const fn sampling(self) -> bool {
        self.has(SAMPLING)
    }

    /// Sampling with `tools` and `toolChoice`.
    pub(crate) const fn sampling_tools(self) -> bool {
        self.has(SAMPLING_TOOLS)
    }

    /// Sampling with an `includeContext` other than `none`.
    pub(crate) const fn sampling_context(self) -> bool {
        self.has(SAMPLING_CONTEXT)
    }

    /// `elicitation/create` with a form.
    pub(crate) const fn form(self) -> bool {
        self.has(FORM)
    }

    /// `elicitation/create` with a URL.
    pub(crate) const fn url(self) -> bool {
        self.has(URL)
    }

    /// Whether nothing can be asked.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 & !ROOTS_CHANGED == 0
    }

    /// For a connection that several clients share: nobody's roots change there.
    pub(crate) const fn without_roots_changed(self) -> Self {
        Self(self.0 & !ROOTS_CHANGED)
    }

    /// What remains of it on a connection of this revision. What is declared in the handshake cannot depend on the
    /// revision, which is known only afterwards.
    pub(crate) const fn usable(self, revision: Revision) -> Self {
        let lost = match revision {
            Revision::V2024_11_05 | Revision::V2025_03_26 => SAMPLING_TOOLS | SAMPLING_CONTEXT | FORM | URL,
            Revision::V2025_06_18 => SAMPLING_TOOLS | SAMPLING_CONTEXT | URL,
            Revision::V2025_11_25 => 0,
        };
        Self(self.0 & !lost)
    }

    /// The `capabilities` object for an `initialize` of ours, in the form of the newest revision, with what else is
    /// declared. Older servers ignore what they do not know, except that one of 2025-06-18 takes any `elicitation` for
    /// forms.
    pub(crate) fn encode(self, declared: &Declared) -> String {
        let object = |parts: &[(u8, &str)]| {
            let there = parts.iter().filter(|(bit, _)| self.has(*bit));
            let there: Vec<String> = there.map(|(_, part)| (*part).to_owned()).collect();
            format!("{{{}}}", there.join(","))
        };
        let roots = object(&[(ROOTS_CHANGED, "\"listChanged\":true")]);
        let sampling = object(&[(SAMPLING_TOOLS, "\"tools\":{}"), (SAMPLING_CONTEXT, "\"context\":{}")]);
        let elicitation = object(&[(FORM, "\"form\":{}"), (URL, "\"url\":{}")]);
        let features = [
            (ROOTS, format!("\"roots\":{roots}")),
            (SAMPLING, format!("\"sampling\":{sampling}")),
            (FORM | URL, format!("\"elicitation\":{elicitation}")),
        ];
        let there = features.into_iter().filter(|(bit, _)| self.has(*bit)).map(|(_, feature)| feature);
        let all: Vec<String> = there.chain(declared.encode()).collect();
        format!("{{{}}}", all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Code;

    fn parse(text: &str) -> Profile {
        Profile::parse(text.as_bytes(), Span { start: 0, end: text.len() }).unwrap()
    }

    fn all() -> impl Iterator<Item = Profile> {
        (0..=u8::MAX >> 1).map(Profile).filter(|profile| {
            (profile.roots() || !profile.roots_changed())
                && (profile.sampling() || !(profile.sampling_tools() || profile.sampling_context()))
        })
    }

    #[test]
    fn an_elicitation_that_names_no_mode_means_forms() {
        // DL-11
        for (text, form, url) in [
            (r#"{"elicitation":{}}"#, true, false),
            (r#"{"elicitation":{"applyDefaults":true}}"#, true, false),
            (r#"{"elicitation":{"form":{}}}"#, true, false),
            (r#"{"elicitation":{"url":{}}}"#, false, true),
            (r#"{"elicitation":{"\u0075rl":{}}}"#, false, true),
            (r#"{"elicitation":{"url":{},"form":null}}"#, false, true),
            (r#"{"elicitation":{"url":null}}"#, true, false),
            (r#"{"elicitation":{"url":true}}"#, true, false),
            (r#"{"elicitation":{"form":{},"url":{}}}"#, true, true),
            (r#"{"elicitation":null}"#, false, false),
            (r#"{"elicitation":true}"#, false, false),
            ("{}", false, false),
        ] {
            assert_eq!((parse(text).form(), parse(text).url()), (form, url), "{text}");
        }
    }

    #[test]
    fn capabilities_of_every_age_are_read() {
        // DL-09
        let old = parse(r#"{ "experimental": {"x":{}}, "roots": { "listChanged": true }, "sampling": {} }"#);
        assert!(old.roots() && old.roots_changed() && old.sampling() && !old.sampling_tools());
        let new =
            parse(r#"{"sampling":{"tools":{},"context":{}},"roots":{"listChanged":"true"},"tasks":{}}"#);
        assert!(new.sampling() && new.sampling_tools() && new.sampling_context());
        assert!(new.roots() && !new.roots_changed() && !new.form());
        let part = parse(r#"{"sampling":{"tools":null,"context":{}}}"#);
        assert!(part.sampling() && !part.sampling_tools() && part.sampling_context());
        for nothing in ["{}", "null", "[]", r#"{"roots":null,"sampling":[],"elicitation":1}"#] {
            assert_eq!(parse(nothing), Profile::default(), "{nothing}");
        }
        assert_eq!(Profile::parse(b"{\"roots\":{}}", Span::default()), Ok(Profile::default()));
    }

    #[test]
    fn a_capability_given_twice_is_refused() {
        for text in [
            r#"{"roots":{},"roots":null}"#,
            r#"{"elicitation":{"url":{},"url":{}}}"#,
            r#"{"sampling":{},"\u0073ampling":{}}"#,
        ] {
            let fault = Profile::parse(text.as_bytes(), Span { start: 0, end: text.len() }).unwrap_err();
            assert_eq!(fault.code, Code::InvalidRequest, "{text}");
        }
    }

    #[test]
    fn what_is_encoded_reads_back() {
        assert_eq!(all().count(), 3 * 5 * 4);
        for profile in all() {
            let text = profile.encode(&Declared::default());
            assert_eq!(parse(&text), profile, "{text}");
            assert_eq!(profile.is_empty(), text == "{}", "{text}");
        }
        assert_eq!(
            parse(r#"{"roots":{"listChanged":false}}"#).encode(&Declared::default()),
            r#"{"roots":{}}"#
        );
        let full = all().max().unwrap().encode(&Declared::default());
        let expected = concat!(
            r#"{"roots":{"listChanged":true},"sampling":{"tools":{},"context":{}},"#,
            r#""elicitation":{"form":{},"url":{}}}"#
        );
        assert_eq!(full, expected);
    }

    #[test]
    fn changing_roots_alone_are_nothing() {
        assert!(Profile(ROOTS_CHANGED).is_empty());
        let profile = parse(r#"{"roots":{"listChanged":true}}"#);
        assert!(!profile.is_empty() && !profile.without_roots_changed().is_empty());
        assert_eq!(profile.without_roots_changed(), parse(r#"{"roots":{}}"#));
    }

    #[test]
    fn an_old_connection_uses_less() {
        // DL-09
        for profile in all() {
            let of = |revision| profile.usable(revision);
            assert_eq!(of(Revision::V2025_11_25), profile);
            let middle = of(Revision::V2025_06_18);
            assert_eq!((middle.form(), middle.url()), (profile.form(), false));
            let first = of(Revision::V2024_11_05);
            assert_eq!(first, of(Revision::V2025_03_26));
            assert!(!first.form() && !first.url());
            for old in [first, middle] {
                assert!(!old.sampling_tools() && !old.sampling_context());
                assert_eq!((old.roots(), old.roots_changed()), (profile.roots(), profile.roots_changed()));
                assert_eq!(old.sampling(), profile.sampling());
            }
        }
    }
}
