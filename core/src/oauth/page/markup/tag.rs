//! Follows a tag, from its name to its `>`, and notes what its attributes say about what comes behind it.
//!
//! Invariants: what is written has each value in quotes; the element that follows is the one a browser sees, or the
//! template is refused.

use super::super::attribute::Attribute;
use super::super::script::Script;
use super::super::variable::Variable;
use super::super::{Filter, translate};
use super::{Facts, Markup, Noted, State, copy};

impl Markup {
    pub(super) fn start_tag(&mut self, closing: bool) {
        self.state = State::Name;
        self.element.clear();
        self.closing = closing;
        self.facts = Facts::default();
    }

    /// Reads a character of a tag.
    pub(super) fn tag(
        &mut self,
        c: char,
        out: &mut String,
        noted: &mut dyn FnMut(Noted, usize),
    ) -> Result<usize, &'static str> {
        let blank = matches!(c, ' ' | '\t' | '\r' | '\n');
        match &mut self.state {
            State::Quoted(attribute, Some(quote)) => {
                if c == *quote {
                    self.finish_value();
                } else {
                    attribute.push(c);
                }
                return Ok(copy(c, out));
            }
            State::Quoted(attribute, None) if !blank && c != '>' => {
                attribute.push(c);
                if c != '"' {
                    return Ok(copy(c, out));
                }
                out.push_str("&#34;");
                return Ok(1);
            }
            State::Quoted(_, None) => {
                self.finish_value();
                out.push('"');
            }
            State::BeforeValue(_) if blank => return Ok(copy(c, out)),
            State::BeforeValue(_) if c == '>' => return Err("expected the value of the attribute"),
            State::BeforeValue(name) => {
                let quote = Some(c).filter(|c| matches!(c, '"' | '\''));
                let attribute = Attribute::of(&self.element, name);
                self.state = State::Quoted(attribute, quote);
                if quote.is_some() {
                    return Ok(copy(c, out));
                }
                out.push('"');
                return Ok(0);
            }
            State::Named(name) | State::AttributeName(name) if c == '=' => {
                self.facts.http_equiv |= name == "http-equiv";
                self.state = State::BeforeValue(std::mem::take(name));
                return Ok(copy(c, out));
            }
            State::Named(_) if blank => return Ok(copy(c, out)),
            State::AttributeName(name) if !blank && c != '/' && c != '>' => {
                check_name(c)?;
                name.push(c.to_ascii_lowercase());
                return Ok(copy(c, out));
            }
            State::AttributeName(name) if blank => {
                self.state = State::Named(std::mem::take(name));
                return Ok(copy(c, out));
            }
            State::Name if !blank && c != '/' && c != '>' => {
                check_name(c)?;
                self.element.push(c.to_ascii_lowercase());
                return Ok(copy(c, out));
            }
            State::Tag | State::Name | State::Named(_) | State::AttributeName(_) => self.finish_name(),
            State::Text | State::Comment | State::Skipped | State::Words | State::Raw | State::Script(_) => {}
        }
        self.between(c, blank, out, noted)
    }

    /// Reads a character between two attributes.
    fn between(
        &mut self,
        c: char,
        blank: bool,
        out: &mut String,
        noted: &mut dyn FnMut(Noted, usize),
    ) -> Result<usize, &'static str> {
        self.state = State::Tag;
        if c == '>' {
            return self.finish_tag(out, noted);
        }
        if blank || c == '/' {
            self.facts.slash = c == '/';
            return Ok(copy(c, out));
        }
        check_name(c)?;
        if c == '=' {
            return Err("expected the name of an attribute before `=`");
        }
        self.facts.slash = false;
        self.state = State::AttributeName(c.to_ascii_lowercase().to_string());
        Ok(copy(c, out))
    }

    /// An attribute without a value.
    pub(super) fn finish_name(&mut self) {
        if let State::AttributeName(name) | State::Named(name) = &self.state {
            self.facts.nonce |= name == "nonce";
        }
    }

    fn finish_value(&mut self) {
        let State::Quoted(attribute, _) = &self.state else { return };
        match attribute {
            Attribute::Nonce => self.facts.nonce = true,
            Attribute::Recorded(text) => {
                self.facts.post |= text.trim() == "post";
                self.facts.other_type |= !SCRIPTS.contains(&text.trim());
            }
            Attribute::Closed(_) | Attribute::Plain | Attribute::Url(_) | Attribute::Content(_) => {}
        }
        self.state = State::Tag;
    }

    /// Ends a tag at its `>`, which is not written yet.
    fn finish_tag(
        &mut self,
        out: &mut String,
        noted: &mut dyn FnMut(Noted, usize),
    ) -> Result<usize, &'static str> {
        self.state = State::Text;
        if self.facts.http_equiv && self.facts.content_value {
            return Err("a value cannot stand in the `content` of an instruction, except behind `url=`");
        }
        if self.closing {
            match self.element.as_str() {
                "svg" | "math" => self.foreign = self.foreign.saturating_sub(1),
                "noscript" => self.in_noscript = false,
                _ => {}
            }
            out.push('>');
            return Ok(1);
        }
        let switches = SWITCHING.contains(&self.element.as_str());
        if self.foreign > 0 && (switches || self.element == "foreignobject") && self.element != "title" {
            return Err("this element means something else inside `svg` and `math`");
        }
        if matches!(self.element.as_str(), "script" | "style") && !self.facts.nonce {
            out.push_str(" nonce=\"");
            translate::push_value(out, Variable::CSP_NONCE, Filter::Html);
            out.push('"');
        }
        out.push('>');
        match self.element.as_str() {
            "script" if self.facts.other_type => {
                self.state = State::Script(Script::Lost("in a script of this type"))
            }
            "script" => self.state = State::Script(Script::START),
            "title" | "textarea" if self.foreign == 0 => self.state = State::Words,
            "title" => {}
            "plaintext" => return Err("nothing can end `plaintext`"),
            "svg" | "math" if !self.facts.slash => self.foreign = self.foreign.saturating_add(1),
            "noscript" => self.in_noscript = true,
            "form" if self.facts.post => noted(Noted::PostForm, out.len()),
            _ if switches => self.state = State::Raw,
            _ => {}
        }
        Ok(1)
    }
}

/// Characters that are no part of a name for anybody but a lenient browser.
fn check_name(c: char) -> Result<(), &'static str> {
    match c {
        '"' | '\'' | '<' | '`' => Err("unexpected character in a tag; is a quote missing?"),
        _ => Ok(()),
    }
}

/// Elements whose content is not markup, in HTML. `noscript` is for browsers with scripts, but is kept harmless
/// as markup too.
const SWITCHING: [&str; 9] =
    ["iframe", "noembed", "noframes", "plaintext", "script", "style", "textarea", "title", "xmp"];
/// The types a script can have for its content to be read as one.
const SCRIPTS: [&str; 6] =
    ["", "application/javascript", "application/json", "application/ld+json", "module", "text/javascript"];
