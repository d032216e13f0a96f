//! Follows HTML to know in which place a value stands.
//!
//! ```text
//!        <a            blank          =           " or ' or other
//! Text ──────> Name ──────────> Tag ──────> Value ───────────────> Quoted
//!  ↑                             ↑└── > ──> Text, or Raw for the content of script, style, title, …
//!  └── > ────────────────────────┘
//! ```
//!
//! It is the tokenizer of the HTML standard for what its parse errors do not touch, and it refuses where a browser
//! would have to guess. What goes out is the template with three changes: attributes without quotes get some, `script`
//! and `style` get a nonce, and blanks are put where an action would otherwise continue a name.
//!
//! Invariants: an action never stands within a token, such as `<`, `-->` or `</script`; a template ends in text.
//! Deliberately absent: the tree. Elements inside `svg` and `math` that would switch the tokenizer are refused.

use super::attribute::Attribute;
use super::script::{Before, Script};
use super::variable::Variable;
use super::{Fail, Filter};

mod tag;

/// The state of the tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Text,
    /// The name of a tag.
    Name,
    /// Between attributes.
    Tag,
    AttributeName(String),
    /// Behind a name, where an `=` may follow.
    Named(String),
    /// Behind `=`.
    BeforeValue(String),
    /// In a value, up to this quote, or up to a blank or `>`.
    Quoted(Attribute, Option<char>),
    Comment,
    /// `<!DOCTYPE …>` and whatever else browsers skip up to `>`.
    Skipped,
    /// Title, textarea: text up to the end tag.
    Words,
    /// What is not shown, or not as text.
    Raw,
    Script(Script),
}

/// Where we are in the markup.
#[derive(Debug, Clone)]
pub(super) struct Markup {
    state: State,
    /// The element whose tag is read, or whose content is `Words`, `Raw` or `Script`; in lower case.
    element: String,
    closing: bool,
    /// What the attributes of the tag have told.
    facts: Facts,
    /// How many `svg` and `math` are open.
    foreign: usize,
    in_noscript: bool,
}

#[derive(Debug, Clone, Default)]
struct Facts {
    nonce: bool,
    post: bool,
    /// A `type` which is not of a script.
    other_type: bool,
    http_equiv: bool,
    /// A value that would be an instruction if there is `http-equiv`.
    content_value: bool,
    slash: bool,
}

/// Something the translator wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// The start tag of a form that posts ends here.
    PostForm,
}

impl Markup {
    pub(super) fn new() -> Self {
        Self {
            state: State::Text,
            element: String::new(),
            closing: false,
            facts: Facts::default(),
            foreign: 0,
            in_noscript: false,
        }
    }

    /// Reads text of the template and writes it out. `noted` is called when the text is written up to what is noted.
    pub(super) fn feed(
        &mut self,
        at: usize,
        text: &str,
        out: &mut String,
        noted: &mut dyn FnMut(Noted, usize),
    ) -> Result<(), Fail> {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let here = at.saturating_add(text.len().saturating_sub(rest.len()));
            let step = self
                .step(first, rest, out, noted)
                .map_err(|message| Fail { at: here, message: message.to_owned() })?;
            rest = rest.get(step..).unwrap_or_default();
        }
        Ok(())
    }

    /// Takes a value, and says how it must be filtered.
    pub(super) fn value(&mut self, out: &mut String) -> Result<Filter, String> {
        let refused = |place: &str| Err(format!("a value cannot stand {place}"));
        match &mut self.state {
            State::Text | State::Words => Ok(Filter::Html),
            State::Quoted(attribute, _) => Self::attribute_value(attribute, &mut self.facts),
            State::BeforeValue(name) => {
                let mut attribute = Attribute::of(&self.element, name);
                out.push('"');
                let filter = Self::attribute_value(&mut attribute, &mut self.facts);
                self.state = State::Quoted(attribute, None);
                filter
            }
            State::Script(Script::Text(_)) => Ok(Filter::Js),
            State::Script(script @ Script::Code(_)) => {
                *script = Script::Code(Before::Operand);
                Ok(Filter::JsValue)
            }
            State::Script(Script::Lost(why)) => refused(why),
            State::Name => refused("in the name of an element"),
            State::Tag | State::AttributeName(_) | State::Named(_) => {
                refused("where the name of an attribute is; put it in quotes behind a name and `=`")
            }
            State::Comment => refused("in a comment"),
            State::Skipped => refused("in a declaration"),
            State::Raw => Err(format!("a value cannot stand in the content of `{}`", self.element)),
        }
    }

    fn attribute_value(attribute: &mut Attribute, facts: &mut Facts) -> Result<Filter, String> {
        let is_content = matches!(attribute, Attribute::Content(_));
        let filter = attribute.value().map_err(|place| format!("a value cannot stand {place}"))?;
        facts.content_value |= is_content && filter == Filter::Html;
        Ok(filter)
    }

    /// Whether only this variable may stand here: anybody could guess a nonce that came from elsewhere.
    pub(super) fn admits(&self, variable: Option<Variable>) -> bool {
        !matches!(self.state, State::Quoted(Attribute::Nonce, _)) || variable == Some(Variable::CSP_NONCE)
    }

    /// Ends a name before a branch starts or ends, so that `<input {{if .X}}disabled{{end}}>` is the same place on
    /// both ways.
    pub(super) fn settle(&mut self, out: &mut String) {
        if matches!(self.state, State::Name | State::AttributeName(_) | State::Named(_)) {
            out.push(' ');
            self.finish_name();
            self.state = State::Tag;
        }
    }

    /// Where two branches meet.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let state = match (&self.state, &other.state) {
            (State::Script(one), State::Script(two)) => one.join(*two).map(State::Script),
            (State::Quoted(one, quote), State::Quoted(two, other)) if quote == other => {
                one.join(two).map(|attribute| State::Quoted(attribute, *quote))
            }
            (one, two) => Some(one.clone()).filter(|one| one == two),
        };
        let alike = self.foreign == other.foreign && self.in_noscript == other.in_noscript;
        let in_text = state == Some(State::Text);
        let Some(state) = state
            .filter(|_| alike && (in_text || self.element == other.element && self.closing == other.closing))
        else {
            return false;
        };
        self.state = state;
        self.facts.nonce |= other.facts.nonce;
        self.facts.post |= other.facts.post;
        self.facts.other_type |= other.facts.other_type;
        self.facts.http_equiv |= other.facts.http_equiv;
        self.facts.content_value |= other.facts.content_value;
        self.facts.slash &= other.facts.slash;
        true
    }

    /// Whether a template may end here, or else where it is.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.state {
            State::Text => Ok(()),
            State::Comment => Err("the template ends within a comment".to_owned()),
            State::Words | State::Raw | State::Script(_) => {
                Err(format!("the template ends within `{}`", self.element))
            }
            State::Name
            | State::Tag
            | State::AttributeName(_)
            | State::Named(_)
            | State::BeforeValue(_)
            | State::Quoted(..)
            | State::Skipped => Err("the template ends within a tag".to_owned()),
        }
    }

    /// Reads the next stretch and says how long it was.
    fn step(
        &mut self,
        first: char,
        rest: &str,
        out: &mut String,
        noted: &mut dyn FnMut(Noted, usize),
    ) -> Result<usize, &'static str> {
        match self.state {
            State::Text => self.text(rest, out),
            State::Comment => {
                let (len, ended) = comment(rest, out)?;
                self.check_noscript(rest, len)?;
                if ended {
                    self.state = State::Text;
                }
                Ok(len)
            }
            State::Skipped => {
                self.check_noscript(rest, usize::from(first == '<'))?;
                if first == '>' {
                    self.state = State::Text;
                }
                Ok(copy(first, out))
            }
            State::Words | State::Raw | State::Script(_) => self.content(rest, out),
            State::Name
            | State::Tag
            | State::AttributeName(_)
            | State::Named(_)
            | State::BeforeValue(_)
            | State::Quoted(..) => {
                self.check_noscript(rest, usize::from(first == '<'))?;
                self.tag(first, out, noted)
            }
        }
    }

    /// With scripts on, `noscript` ends at the first such characters, wherever they are.
    fn check_noscript(&self, rest: &str, len: usize) -> Result<(), &'static str> {
        let stretch = rest.get(..len).filter(|_| self.in_noscript).unwrap_or_default();
        let mut tags = stretch.match_indices('<').filter_map(|(at, _)| rest.get(at..));
        if tags.all(|tail| starts_with_tag(tail, "noscript") == Match::No) {
            return Ok(());
        }
        Err("`</noscript` here means different things with and without scripts")
    }

    fn text(&mut self, rest: &str, out: &mut String) -> Result<usize, &'static str> {
        let Some(tail) = rest.strip_prefix('<') else {
            let end = rest.find('<').unwrap_or(rest.len());
            out.push_str(rest.get(..end).unwrap_or_default());
            return Ok(end);
        };
        let (closing, name) = tail.strip_prefix('/').map_or((false, tail), |name| (true, name));
        let Some(next) = name.chars().next() else {
            return Err("the template or an action cuts a tag here; write `&lt;` for the character itself");
        };
        if next.is_ascii_alphabetic() {
            self.start_tag(closing);
            out.push_str(if closing { "</" } else { "<" });
            return Ok(if closing { 2 } else { 1 });
        }
        if let Some(comment) = tail.strip_prefix("!--") {
            if comment.starts_with('>') || comment.starts_with("->") || "->".starts_with(comment) {
                return Err("the first characters of the comment may end it");
            }
            self.state = State::Comment;
            out.push_str("<!--");
            return Ok(4);
        }
        if tail.starts_with("![") {
            return Err("`<![` means different things in different places");
        }
        if closing || next == '?' {
            return Err("a tag without a name; write `&lt;` for the character itself");
        }
        if next == '!' {
            let is_doctype = tail.get(1..8).is_some_and(|word| word.eq_ignore_ascii_case("doctype"));
            if !is_doctype {
                return Err("`<!` must start a comment or be `<!DOCTYPE`");
            }
            self.state = State::Skipped;
        }
        out.push('<');
        Ok(1)
    }

    /// Reads the content of an element whose content is not markup, up to its end tag or to an action.
    fn content(&mut self, rest: &str, out: &mut String) -> Result<usize, &'static str> {
        let mut end = rest.len();
        for (at, _) in rest.match_indices('<') {
            let tail = rest.get(at..).unwrap_or_default();
            match starts_with_tag(tail, &self.element) {
                Match::Yes => {
                    end = at;
                    break;
                }
                Match::Cut => return Err("an action or the end of the template cuts what may be an end tag"),
                Match::No => {}
            }
            if self.element == "script" && (tail.starts_with("<!--") || "<!--".starts_with(tail)) {
                return Err("`<!--` in a script changes where the script ends");
            }
        }
        let stretch = rest.get(..end).unwrap_or_default();
        if stretch.is_empty() {
            self.start_tag(true);
            out.push_str("</");
            return Ok(2);
        }
        self.check_noscript(rest, end)?;
        if let State::Script(script) = &mut self.state {
            script.feed(stretch);
        }
        out.push_str(stretch);
        Ok(end)
    }
}

/// Whether text starts with the end tag of an element.
#[derive(Debug, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    /// It may be, but the text ends.
    Cut,
}

fn starts_with_tag(rest: &str, element: &str) -> Match {
    let mut chars = rest.chars();
    for wanted in "</".chars().chain(element.chars()) {
        match chars.next() {
            Some(c) if c.eq_ignore_ascii_case(&wanted) => {}
            Some(_) => return Match::No,
            None => return Match::Cut,
        }
    }
    match chars.next() {
        Some(' ' | '\t' | '\r' | '\n' | '/' | '>') => Match::Yes,
        Some(_) => Match::No,
        None => Match::Cut,
    }
}

/// Reads a stretch of a comment and says whether it ends there.
fn comment(rest: &str, out: &mut String) -> Result<(usize, bool), &'static str> {
    let end = match rest.find("--") {
        Some(0) => 0,
        Some(end) => end,
        None if rest.ends_with('-') => return Err("an action next to `-` in a comment"),
        None => rest.len(),
    };
    let (len, ended) = match rest.get(end..).unwrap_or_default() {
        tail if tail.starts_with("-->") => (end.saturating_add(3), true),
        tail if tail.starts_with("--!>") => (end.saturating_add(4), true),
        "--" | "--!" => return Err("an action next to `--` in a comment"),
        "" => (end, false),
        _ => (end.saturating_add(1), false),
    };
    out.push_str(rest.get(..len).unwrap_or_default());
    Ok((len, ended))
}

fn copy(c: char, out: &mut String) -> usize {
    out.push(c);
    c.len_utf8()
}
