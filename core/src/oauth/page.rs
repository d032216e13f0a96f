//! The pages of the authorization server: login, success and error, built in or of the operator.
//!
//! All are written in one language, a subset of Go's `html/template`, because there are pages in it already:
//!
//! ```text
//! {{.ClientName}}   {{if .A}} … {{else if not .B}} … {{else}} … {{end}}   {{with .A}} {{.}} {{$.B}} {{end}}
//! and · or · not · eq · ne     {{- trims -}}     {{/* a comment */}}
//! ```
//!
//! A template is read once, when it is loaded: `action` cuts it, `markup` finds out where each value stands, `escape`
//! has what makes a value harmless there, and `translate` writes a template of the engine [`upon`] in which each value
//! has its filter. A page is then filled in without a look at the language.
//!
//! Invariants: nothing goes out raw, neither by a filter nor by the engine's default; a place nobody can judge is an
//! error of the template, not a guess; a template that cannot be loaded, or that lacks what its page needs (`whole`),
//! changes nothing, and one that cannot be filled in gives the built-in page. Scripts and styles have the nonce of the answer, and the login form has its
//! token, also in templates that know of neither.
//! Deliberately absent: files (templates come as bytes), headers of the answer, and code in templates.

mod action;
mod attribute;
mod escape;
mod markup;
mod script;
#[cfg(test)]
mod tests;
mod translate;
mod variable;
mod whole;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use upon::Value;
use variable::Variable;

pub use crate::event::PageKind;

impl PageKind {
    /// The built-in template, as it is ejected for an operator to change.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Authorize => include_str!("../../../templates/oauth/authorize.html"),
            Self::Success => include_str!("../../../templates/oauth/success.html"),
            Self::Error => include_str!("../../../templates/oauth/error.html"),
        }
    }
}

/// The templates in force.
#[derive(Debug)]
pub struct Pages {
    engine: upon::Engine<'static>,
    authorize: Page,
    success: Page,
    error: Page,
}

/// The templates of one page.
#[derive(Debug, Default)]
struct Page {
    /// There is always one, as a test shows.
    builtin: Option<upon::Template<'static>>,
    external: Option<upon::Template<'static>>,
}

impl Pages {
    /// The built-in pages.
    pub fn new() -> Self {
        let mut pages = Self {
            engine: engine(),
            authorize: Page::default(),
            success: Page::default(),
            error: Page::default(),
        };
        for kind in PageKind::ALL {
            let template = compile(&pages.engine, kind, kind.source().as_bytes());
            debug_assert!(template.is_ok(), "{}: {template:?}", kind.file_name());
            pages.page_mut(kind).builtin = template.ok();
        }
        pages
    }

    /// Puts the template of the operator in force; without one the built-in page returns.
    ///
    /// # Errors
    /// A template that is too long, not UTF-8, not of the language, or that lacks what its page needs. Then the former
    /// template stays.
    pub fn replace(&mut self, kind: PageKind, source: Option<&[u8]>) -> Result<(), TemplateError> {
        let former = std::mem::take(&mut self.page_mut(kind).external);
        let text = source.map(|source| std::str::from_utf8(source).unwrap_or_default());
        let text = text.map(|text| text.strip_prefix('\u{feff}').unwrap_or(text));
        let replaced = self.put(kind, source).and_then(|()| {
            let checked = text.map_or(Ok(()), |text| whole::check(kind, text));
            checked.map_err(|fail| TemplateError::new(text.unwrap_or_default(), fail))
        });
        if replaced.is_err() {
            self.page_mut(kind).external = former;
        }
        replaced
    }

    /// The same for a template that need not be a whole page.
    fn put(&mut self, kind: PageKind, source: Option<&[u8]>) -> Result<(), TemplateError> {
        let template = source.map(|source| compile(&self.engine, kind, source)).transpose()?;
        self.page_mut(kind).external = template;
        Ok(())
    }

    /// Whether a page is the built-in one.
    pub const fn is_builtin(&self, kind: PageKind) -> bool {
        self.page(kind).external.is_none()
    }

    /// Fills in a page. A value that was not given is empty.
    pub fn render(&self, kind: PageKind, values: &Values<'_>) -> String {
        let values = values.to_value();
        let page = self.page(kind);
        let mut templates = page.external.iter().chain(&page.builtin);
        let filled =
            templates.find_map(|template| template.render_from(&self.engine, &values).to_string().ok());
        filled.unwrap_or_else(|| {
            "<!DOCTYPE html><title>Error</title><p>This page cannot be shown.</p>".to_owned()
        })
    }

    const fn page(&self, kind: PageKind) -> &Page {
        match kind {
            PageKind::Authorize => &self.authorize,
            PageKind::Success => &self.success,
            PageKind::Error => &self.error,
        }
    }

    const fn page_mut(&mut self, kind: PageKind) -> &mut Page {
        match kind {
            PageKind::Authorize => &mut self.authorize,
            PageKind::Success => &mut self.success,
            PageKind::Error => &mut self.error,
        }
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self::new()
    }
}

/// What is filled into a page.
///
/// ```
/// use mcp_proxy_core::oauth::page::{PageKind, Pages, Values};
///
/// let values = Values::new().set("Title", "Not found").set("Message", "There is nothing <here>.");
/// let page = Pages::new().render(PageKind::Error, &values);
/// assert!(page.contains("There is nothing &lt;here&gt;."));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Values<'a>(Vec<(Variable, Filling<'a>)>);

#[derive(Debug, Clone)]
enum Filling<'a> {
    Text(Cow<'a, str>),
    Flag(bool),
}

impl<'a> Values<'a> {
    /// Nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a text. A name that no template can use is an error of the caller and left out.
    #[must_use]
    pub fn set(self, name: &str, text: impl Into<Cow<'a, str>>) -> Self {
        self.put(name, Filling::Text(text.into()))
    }

    /// Adds what is true or not.
    #[must_use]
    pub fn set_flag(self, name: &str, flag: bool) -> Self {
        self.put(name, Filling::Flag(flag))
    }

    fn put(mut self, name: &str, filling: Filling<'a>) -> Self {
        let variable = variable::find(name);
        debug_assert!(variable.is_some(), "pages have no variable {name}");
        self.0.extend(variable.map(|variable| (variable, filling)));
        self
    }

    fn to_value(&self) -> Value {
        let entries = self.0.iter().map(|(variable, filling)| {
            let value = match filling {
                Filling::Text(text) => Value::String(text.clone().into_owned()),
                Filling::Flag(flag) => Value::Bool(*flag),
            };
            (variable.name().to_owned(), value)
        });
        Value::Map(entries.collect::<BTreeMap<_, _>>())
    }
}

/// Why a template cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong. Names of the template in it are ASCII and short.
    pub message: String,
}

impl TemplateError {
    fn new(source: &str, fail: Fail) -> Self {
        let before = source.get(..fail.at).unwrap_or(source);
        let line = before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
        let start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let column = before.get(start..).unwrap_or_default().chars().count().saturating_add(1);
        let message = if fail.message.chars().count() > MESSAGE_MAX {
            fail.message.chars().take(MESSAGE_MAX).chain(['…']).collect()
        } else {
            fail.message
        };
        Self { line, column, message }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for TemplateError {}

/// Why a template cannot be loaded, by its place in the source.
#[derive(Debug, PartialEq, Eq)]
struct Fail {
    at: usize,
    message: String,
}

/// What a value goes through before it is written; see `escape`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    /// Text, and attributes in quotes.
    Html,
    /// The start of a URL in an attribute.
    Link,
    /// A later part of a URL in an attribute.
    Part,
    /// Within a string of a script.
    Js,
    /// A whole value of a script.
    JsValue,
}

/// The engine, which knows the filters and cannot write anything raw.
fn engine() -> upon::Engine<'static> {
    let mut engine = upon::Engine::new();
    let mut syntax = upon::Syntax::builder();
    syntax.expr(translate::EXPR_OPEN, translate::EXPR_CLOSE);
    syntax.block(translate::BLOCK_OPEN, translate::BLOCK_CLOSE);
    engine.set_syntax(syntax.build());
    engine.set_default_formatter(&escape::html);
    engine.add_formatter("html", escape::html);
    engine.add_formatter("js", escape::js);
    engine.add_formatter("js_value", escape::js_value);
    engine.add_function("link", escape::link);
    engine.add_function("checked_link", escape::checked_link);
    engine.add_function("part", escape::part);
    engine.add_function("same", escape::same);
    engine.add_function("other", |left: &Value, right: &Value| !escape::same(left, right));
    engine.add_function("opposite", |value: &Value| !escape::truth(value));
    engine.add_function(
        "both",
        |left: &Value, right: &Value| {
            if escape::truth(left) { right.clone() } else { left.clone() }
        },
    );
    engine.add_function(
        "either",
        |left: &Value, right: &Value| {
            if escape::truth(left) { left.clone() } else { right.clone() }
        },
    );
    engine
}

fn compile(
    engine: &upon::Engine<'static>,
    kind: PageKind,
    source: &[u8],
) -> Result<upon::Template<'static>, TemplateError> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the template is longer than {SOURCE_BYTES_MAX} bytes");
        return Err(TemplateError { line: 1, column: 1, message });
    }
    let source = source.strip_prefix("\u{feff}".as_bytes()).unwrap_or(source);
    let text = match std::str::from_utf8(source) {
        Ok(text) => text,
        Err(error) => {
            let valid = source.get(..error.valid_up_to()).unwrap_or_default();
            let valid = String::from_utf8_lossy(valid);
            let fail = Fail { at: valid.len(), message: "the template is not UTF-8".to_owned() };
            return Err(TemplateError::new(&valid, fail));
        }
    };
    translate_for(kind, text)
        .and_then(|translated| {
            engine.compile(translated).map_err(|error| Fail { at: 0, message: error.to_string() })
        })
        .map_err(|fail| TemplateError::new(text, fail))
}

/// Translates a template, with a token in its form if it has forgotten it.
fn translate_for(kind: PageKind, source: &str) -> Result<String, Fail> {
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    if let Some(at) = source.find(control) {
        return Err(Fail { at, message: "the template has a control character".to_owned() });
    }
    let translated = translate::translate(source)?;
    whole::check_pairs(source)?;
    if kind == PageKind::Authorize && translated.form.is_none() {
        let message = "the template has no form that posts, so nobody could sign in".to_owned();
        return Err(Fail { at: source.len(), message });
    }
    let mut text = translated.text;
    let form = translated.form.filter(|_| kind == PageKind::Authorize && !translated.has_token);
    if let Some((before, after)) = form.and_then(|at| text.split_at_checked(at)) {
        let mut whole = before.to_owned();
        whole.push_str("<input type=\"hidden\" name=\"form_token\" value=\"");
        translate::push_value(&mut whole, Variable::FORM_TOKEN, Filter::Html);
        whole.push_str("\">");
        whole.push_str(after);
        text = whole;
    }
    Ok(text)
}

/// No page of a person is longer.
const SOURCE_BYTES_MAX: usize = 256 * 1024;
/// Names in a template can be long; what is said about them should not.
const MESSAGE_MAX: usize = 200;
