//! What stands between `{{` and `}}`: the subset of Go templates a page may use.
//!
//! A template is cut into text and actions, and each action is read completely: field, literal, the functions `and`,
//! `or`, `not`, `eq`, `ne`, and the blocks `if` and `with`. `html`, `js`, `urlquery`, `print` and `printf "%s"` are
//! accepted and mean nothing, because each value is escaped for its place anyhow.
//!
//! Invariants: an [`Expr`] names known variables only, so a typing error is found when the file is loaded; nesting and
//! the number of arguments are bounded. Comments and trimmed blanks are gone when the pieces come out.
//! Deliberately absent: everything that makes a template a program, such as `range`, variables and `define`.

use super::Fail;
use super::variable::{self, Variable};

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Where it starts in the source.
    pub(super) at: usize,
    pub(super) content: Content<'a>,
}

/// What a part is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Text(&'a str),
    Emit(Expr),
    If(Expr),
    ElseIf(Expr),
    Else,
    With(Expr),
    End,
}

/// Something that has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    Field(Variable),
    /// `.`, the value of the innermost `with`.
    Dot,
    Text(String),
    Flag(bool),
    Call(Function, Vec<Self>),
}

/// What can be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Or,
    Not,
    Eq,
    Ne,
}

/// Cuts a template into its parts.
///
/// # Errors
/// An action that is not closed or not of the subset.
pub(super) fn parse(source: &str) -> Result<Vec<Piece<'_>>, Fail> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut trim = false;
    loop {
        let at = source.len().saturating_sub(rest.len());
        let Some((text, action)) = rest.split_once("{{") else {
            push_text(&mut pieces, at, rest, trim, false);
            return Ok(pieces);
        };
        let open = at.saturating_add(text.len());
        let trim_before = action.starts_with('-') && action.get(1..).is_some_and(starts_blank);
        push_text(&mut pieces, at, text, trim, trim_before);
        let body = if trim_before { action.get(1..).unwrap_or_default() } else { action };
        let mut reader = Reader { source, rest: body, open };
        if let Some(content) = reader.action()? {
            pieces.push(Piece { at: open, content });
        }
        trim = reader.close()?;
        rest = reader.rest;
    }
}

fn push_text<'a>(pieces: &mut Vec<Piece<'a>>, at: usize, text: &'a str, front: bool, back: bool) {
    let kept = if front { text.trim_ascii_start() } else { text };
    let at = at.saturating_add(text.len().saturating_sub(kept.len()));
    let kept = if back { kept.trim_ascii_end() } else { kept };
    if !kept.is_empty() {
        pieces.push(Piece { at, content: Content::Text(kept) });
    }
}

fn starts_blank(text: &str) -> bool {
    text.starts_with([' ', '\t', '\r', '\n'])
}

/// A token of an action.
#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Field(&'a str),
    /// `$.Name`, which means the variable also within `with`; here that is the only way fields can be meant.
    RootField(&'a str),
    Dot,
    Text(String),
    Open,
    Close,
    Pipe,
}

/// Reads one action.
struct Reader<'a> {
    source: &'a str,
    rest: &'a str,
    /// Where the action starts.
    open: usize,
}

impl<'a> Reader<'a> {
    /// Reads up to the closing braces; a comment is nothing.
    fn action(&mut self) -> Result<Option<Content<'a>>, Fail> {
        self.skip_blanks();
        if let Some(comment) = self.rest.strip_prefix("/*") {
            let (_, rest) = comment.split_once("*/").ok_or_else(|| self.fail("the comment is not closed"))?;
            self.rest = rest;
            return Ok(None);
        }
        let before = self.rest;
        let first = self.token()?;
        let Some(Token::Word(word)) = first else {
            self.rest = before;
            return self.pipeline(0).map(|expr| Some(Content::Emit(expr)));
        };
        let content = match word {
            "if" => Content::If(self.pipeline(0)?),
            "with" => Content::With(self.pipeline(0)?),
            "end" => Content::End,
            "else" => self.alternative()?,
            "range" | "define" | "template" | "block" | "break" | "continue" => {
                return Err(self.fail(format!("`{word}` is not supported in page templates")));
            }
            _ => {
                self.rest = before;
                Content::Emit(self.pipeline(0)?)
            }
        };
        Ok(Some(content))
    }

    /// What follows `else`.
    fn alternative(&mut self) -> Result<Content<'a>, Fail> {
        match self.token()? {
            None => Ok(Content::Else),
            Some(Token::Word("if")) => Ok(Content::ElseIf(self.pipeline(0)?)),
            Some(_) => Err(self.fail("only `if` may follow `else`")),
        }
    }

    /// Consumes the closing braces and says whether they trim the text behind.
    fn close(&mut self) -> Result<bool, Fail> {
        let blank = starts_blank(self.rest);
        self.skip_blanks();
        let trimming = self.rest.strip_prefix("-}}").filter(|_| blank);
        let rest = trimming.or_else(|| self.rest.strip_prefix("}}"));
        self.rest = rest.ok_or_else(|| self.fail("expected `}}` here"))?;
        Ok(trimming.is_some())
    }

    /// Commands joined by `|`; each gets the value of the former as its last argument.
    fn pipeline(&mut self, depth: usize) -> Result<Expr, Fail> {
        let mut value = self.command(depth, None)?;
        while self.accept(&Token::Pipe)? {
            value = self.command(depth, Some(value))?;
        }
        Ok(value)
    }

    fn command(&mut self, depth: usize, piped: Option<Expr>) -> Result<Expr, Fail> {
        let before = self.rest;
        if let Some(Token::Word(word)) = self.token()?.filter(|token| !is_literal(token)) {
            let mut arguments = Vec::new();
            while let Some(argument) = self.operand(depth)? {
                arguments.push(argument);
            }
            arguments.extend(piped);
            return self.call(word, arguments);
        }
        self.rest = before;
        let value =
            self.operand(depth)?.ok_or_else(|| self.fail("expected a value such as `.ClientName`"))?;
        if piped.is_some() {
            return Err(self.fail("a value can be piped into a function only"));
        }
        Ok(value)
    }

    /// A value, or nothing where a command ends.
    fn operand(&mut self, depth: usize) -> Result<Option<Expr>, Fail> {
        let before = self.rest;
        let Some(token) = self.token()? else { return Ok(None) };
        let expr = match token {
            Token::Field(name) | Token::RootField(name) => self.field(name)?,
            Token::Dot => Expr::Dot,
            Token::Text(text) => Expr::Text(text),
            Token::Word("true") => Expr::Flag(true),
            Token::Word("false") => Expr::Flag(false),
            Token::Word(word) => return Err(self.fail(format!("`{word}` needs parentheses here"))),
            Token::Open if depth >= DEPTH_MAX => return Err(self.fail("too many parentheses")),
            Token::Open => {
                let inner = self.pipeline(depth.saturating_add(1))?;
                if !self.accept(&Token::Close)? {
                    return Err(self.fail("expected `)` here"));
                }
                inner
            }
            Token::Close | Token::Pipe => {
                self.rest = before;
                return Ok(None);
            }
        };
        Ok(Some(expr))
    }

    fn field(&self, name: &str) -> Result<Expr, Fail> {
        let known = variable::find(name);
        known.map(Expr::Field).ok_or_else(|| self.fail(format!("there is no variable `.{name}`")))
    }

    fn call(&self, word: &str, mut arguments: Vec<Expr>) -> Result<Expr, Fail> {
        if arguments.len() > ARGUMENTS_MAX {
            return Err(self.fail(format!("`{word}` has more than {ARGUMENTS_MAX} arguments")));
        }
        let (function, fits) = match word {
            "html" | "js" | "urlquery" | "print" => (None, arguments.len() == 1),
            "printf" => {
                let format = Expr::Text("%s".to_owned());
                (None, arguments.len() == 2 && arguments.first() == Some(&format))
            }
            "not" => (Some(Function::Not), arguments.len() == 1),
            "and" => (Some(Function::And), !arguments.is_empty()),
            "or" => (Some(Function::Or), !arguments.is_empty()),
            "eq" => (Some(Function::Eq), arguments.len() >= 2),
            "ne" => (Some(Function::Ne), arguments.len() == 2),
            _ => return Err(self.fail(format!("the function `{word}` is not supported in page templates"))),
        };
        match (fits, function) {
            (false, _) if word == "printf" => {
                Err(self.fail("only `printf \"%s\"` with one value is supported"))
            }
            (false, _) => Err(self.fail(format!("`{word}` has a wrong number of arguments"))),
            (true, Some(function)) => Ok(Expr::Call(function, arguments)),
            (true, None) => arguments.pop().ok_or_else(|| self.fail("expected a value")),
        }
    }

    fn accept(&mut self, wanted: &Token<'_>) -> Result<bool, Fail> {
        let before = self.rest;
        let found = self.token()?.is_some_and(|token| token == *wanted);
        if !found {
            self.rest = before;
        }
        Ok(found)
    }

    /// The next token; none where the action ends.
    fn token(&mut self) -> Result<Option<Token<'a>>, Fail> {
        let before = self.rest;
        self.skip_blanks();
        if self.rest.starts_with("}}") || self.rest.starts_with("-}}") {
            self.rest = before;
            return Ok(None);
        }
        let Some(first) = self.rest.chars().next() else {
            return Err(Fail { at: self.open, message: "the action is not closed by `}}`".to_owned() });
        };
        let simple = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '|' => Some(Token::Pipe),
            _ => None,
        };
        if let Some(token) = simple {
            self.rest = self.rest.get(1..).unwrap_or_default();
            return Ok(Some(token));
        }
        match first {
            '"' => self.quoted().map(Some),
            '`' => self.raw().map(Some),
            '.' => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                let name = self.word();
                self.no_chain()?;
                Ok(Some(if name.is_empty() { Token::Dot } else { Token::Field(name) }))
            }
            '$' if self.rest.starts_with("$.") => {
                self.rest = self.rest.get(2..).unwrap_or_default();
                let name = self.word();
                self.no_chain()?;
                Ok(Some(Token::RootField(name)))
            }
            '$' => Err(self.fail("variables are not supported; write `$.Name` for a value of the page")),
            _ if first.is_ascii_alphabetic() || first == '_' => Ok(Some(Token::Word(self.word()))),
            _ => Err(self.fail(format!("unexpected character `{}`", first.escape_default()))),
        }
    }

    /// A value has no fields of its own.
    fn no_chain(&self) -> Result<(), Fail> {
        if self.rest.starts_with('.') { Err(self.fail("values have no fields")) } else { Ok(()) }
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        word
    }

    fn quoted(&mut self) -> Result<Token<'a>, Fail> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = self.rest.get(at.saturating_add(1)..).unwrap_or_default();
                    return Ok(Token::Text(text));
                }
                '\n' => break,
                '\\' => text.push(match chars.next() {
                    Some((_, '"')) => '"',
                    Some((_, '\\')) => '\\',
                    Some((_, 'n')) => '\n',
                    Some((_, 't')) => '\t',
                    _ => return Err(self.fail("unknown escape in a string")),
                }),
                _ => text.push(c),
            }
        }
        Err(self.fail("the string is not closed"))
    }

    fn raw(&mut self) -> Result<Token<'a>, Fail> {
        let body = self.rest.get(1..).unwrap_or_default();
        let (text, rest) = body.split_once('`').ok_or_else(|| self.fail("the string is not closed"))?;
        self.rest = rest;
        Ok(Token::Text(text.to_owned()))
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn fail(&self, message: impl Into<String>) -> Fail {
        Fail { at: self.source.len().saturating_sub(self.rest.len()), message: message.into() }
    }
}

fn is_literal(token: &Token<'_>) -> bool {
    matches!(token, Token::Word("true" | "false"))
}

/// Parentheses within each other; no real page needs two.
const DEPTH_MAX: usize = 8;
/// Of one function; no real page needs four.
const ARGUMENTS_MAX: usize = 16;
