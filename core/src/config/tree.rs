//! JSON with comments and trailing commas, read into a tree in which every key and value knows its place.
//!
//! Comments (`//` and `/* */`) count as blanks, so offsets are simply those of the text. Everything else is
//! RFC 8259, strings and numbers being decoded by serde_json, but for variables (see [`env`](super::env)).
//!
//! Invariants: no recursion (an explicit stack, at most [`DEPTH_MAX`] deep, so that dropping the tree is safe
//! as well); an error never repeats text, which may be a secret.
//! Deliberately absent: going on after a syntax error (whatever followed would be guesswork), and any opinion
//! about duplicate keys, which the typed readers report.

use std::borrow::Cow;
use std::ops::Range;

use super::env::{Env, TooLarge};

/// A value and where it stands.
pub(super) struct Node {
    /// Offsets of its first byte and of the one after its last.
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

pub(super) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// One entry of an object, in the order of the text, duplicates included.
pub(super) struct Member {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) node: Node,
}

/// Why and where a text is not JSON.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: usize,
    pub(super) message: Cow<'static, str>,
}

impl Value {
    /// With its article, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Reads a whole document, with the values of variables.
pub(super) fn read(text: &str, env: &mut Env<'_>) -> Result<Node, SyntaxError> {
    let mut reader = Reader { text, at: 0, env };
    reader.eat("\u{feff}");
    let root = reader.read_value()?;
    reader.skip_blanks()?;
    match reader.peek() {
        None => Ok(root),
        Some(_) => Err(reader.unexpected("the end of the text")),
    }
}

struct Reader<'a, 'e, 'l> {
    text: &'a str,
    at: usize,
    env: &'e mut Env<'l>,
}

/// A list or object that is still open.
struct Frame {
    at: usize,
    key: Option<(usize, String)>,
    content: Value,
}

impl Frame {
    const fn closer(&self) -> &'static str {
        if matches!(self.content, Value::Object(_)) { "}" } else { "]" }
    }

    fn push(&mut self, node: Node) {
        match &mut self.content {
            Value::Array(items) => items.push(node),
            Value::Object(members) => {
                if let Some((at, key)) = self.key.take() {
                    members.push(Member { at, key, node });
                }
            }
            // Frames are opened for lists and objects only.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn close(self, end: usize) -> Node {
        Node { span: self.at..end, value: self.content }
    }
}

impl<'a> Reader<'a, '_, '_> {
    fn read_value(&mut self) -> Result<Node, SyntaxError> {
        let mut open: Vec<Frame> = Vec::new();
        loop {
            let Some(mut node) = self.read_item(&mut open)? else { continue };
            // Hand the finished value to its container, which may be finished by that as well.
            loop {
                let Some(mut frame) = open.pop() else { return Ok(node) };
                frame.push(node);
                self.skip_blanks()?;
                if self.eat(",") {
                    open.push(frame);
                    break;
                }
                if !self.eat(frame.closer()) {
                    let object = frame.closer() == "}";
                    return Err(self.unexpected(if object { "`,` or `}`" } else { "`,` or `]`" }));
                }
                node = frame.close(self.at);
            }
        }
    }

    /// Reads a scalar, or the end of the innermost container (after a trailing comma, or empty); `None` after
    /// opening a further container.
    fn read_item(&mut self, open: &mut Vec<Frame>) -> Result<Option<Node>, SyntaxError> {
        self.skip_blanks()?;
        if let Some(frame) =
            open.pop_if(|frame| self.text.get(self.at..).is_some_and(|rest| rest.starts_with(frame.closer())))
        {
            self.at = self.at.saturating_add(1);
            return Ok(Some(frame.close(self.at)));
        }
        if let Some(frame) = open.last_mut()
            && matches!(frame.content, Value::Object(_))
        {
            frame.key = Some(self.read_key()?);
        }
        let at = self.at;
        let content = match self.peek() {
            Some(b'{') => Value::Object(Vec::new()),
            Some(b'[') => Value::Array(Vec::new()),
            _ => {
                let value = self.read_scalar()?;
                return Ok(Some(Node { span: at..self.at, value }));
            }
        };
        if open.len() >= DEPTH_MAX {
            return Err(error(at, format!("lists and objects may be nested {DEPTH_MAX} deep")));
        }
        self.at = self.at.saturating_add(1);
        open.push(Frame { at, key: None, content });
        Ok(None)
    }

    /// Reads `"key" :` up to the value.
    fn read_key(&mut self) -> Result<(usize, String), SyntaxError> {
        let at = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes or `}`"));
        }
        let key = self.read_string()?;
        self.skip_blanks()?;
        if !self.eat(":") {
            return Err(self.unexpected("`:` after the key"));
        }
        self.skip_blanks()?;
        Ok((at, key))
    }

    fn read_scalar(&mut self) -> Result<Value, SyntaxError> {
        match self.peek() {
            Some(b'"') => self.read_string().map(Value::String),
            Some(b'$') => self.read_variable(),
            Some(b'-' | b'0'..=b'9') => {
                let at = self.at;
                let number = self
                    .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
                serde_json::from_str(number)
                    .map(Value::Number)
                    .map_err(|_| error(at, "this is not a JSON number"))
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                let at = self.at;
                match self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    "null" => Ok(Value::Null),
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    _ => Err(error(at, "expected a value, found a word without quotes")),
                }
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Reads a variable that stands for a whole value.
    fn read_variable(&mut self) -> Result<Value, SyntaxError> {
        let at = self.at;
        let rest = self.text.get(at..).unwrap_or_default();
        let Some((len, value)) = self.env.scalar(rest, at) else { return Err(self.unexpected("a value")) };
        self.at = at.saturating_add(len);
        if self
            .peek()
            .is_some_and(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}' | b'/'))
        {
            return Err(error(at, "a variable outside of quotes stands for a whole value"));
        }
        let value = value.map_err(|TooLarge| too_large(at))?;
        value.ok_or_else(|| error(at, "this variable is not set, and there is no default as in ${NAME:-1}"))
    }

    /// Reads a string, the opening quote being next.
    fn read_string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start.saturating_add(1);
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end = end.saturating_add(2),
                Some(b'\n' | b'\r') | None => {
                    return Err(error(start, "the closing quote of this string is missing"));
                }
                Some(0..0x20) => {
                    return Err(error(end, "a control character in a string must be written as \\u00…"));
                }
                Some(_) => end = end.saturating_add(1),
            }
        }
        self.at = end.saturating_add(1);
        let token = self.text.get(start..self.at).unwrap_or_default();
        let string: String = serde_json::from_str(token).map_err(|cause| {
            // The column is that of the last byte serde_json looked at, from 1.
            let at = start.saturating_add(cause.column().saturating_sub(1)).min(end);
            error(at, "this string has an escape sequence that JSON does not know")
        })?;
        if string == "$schema" {
            return Ok(string);
        }
        self.env.string(string, token, start).map_err(|TooLarge| too_large(start))
    }

    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            let rest = self.text.get(self.at..).unwrap_or_default();
            let len = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                let end = rest.get(2..).and_then(|inner| inner.find("*/"));
                end.ok_or_else(|| error(self.at, "the end of this comment is missing"))?.saturating_add(4)
            } else {
                return Ok(());
            };
            self.at = self.at.saturating_add(len);
        }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest.bytes().take_while(|byte| accept(*byte)).count();
        self.at = self.at.saturating_add(len);
        rest.get(..len).unwrap_or_default()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(token));
        if found {
            self.at = self.at.saturating_add(token.len());
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// "expected …, found …", naming only characters that are part of JSON itself.
    fn unexpected(&self, expected: &str) -> SyntaxError {
        let found = match self.peek() {
            None => "the end of the text".to_owned(),
            Some(b'"') => "a string".to_owned(),
            Some(b'\'') => "a single quote (JSON has double quotes only)".to_owned(),
            Some(byte @ (b'{' | b'}' | b'[' | b']' | b',' | b':')) => format!("`{}`", char::from(byte)),
            Some(_) => "something else".to_owned(),
        };
        error(self.at, format!("expected {expected}, found {found}"))
    }
}

fn error(at: usize, message: impl Into<Cow<'static, str>>) -> SyntaxError {
    SyntaxError { at, message: message.into() }
}

fn too_large(at: usize) -> SyntaxError {
    error(at, "with the value of this variable the configuration is larger than what is read")
}

/// The deepest key of the format is at depth 5.
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests;
