//! Turns a template as it is written into one for the engine that fills it.
//!
//! ```text
//! source ── action (text and actions) ── markup (the place) ── out: text, expressions with their filters, blocks
//! ```
//!
//! Invariants: each value has the filter of its place; both ways through a block end in the same place; blocks are
//! nested no deeper than the recursion of the engine stands. The delimiters of the output are control characters,
//! which the source cannot contain.

use super::action::{Content, Expr, Function, Piece, parse};
use super::markup::{Markup, Noted};
use super::variable::Variable;
use super::{Fail, Filter};

/// A template for the engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) text: String,
    /// Whether it shows the variable `FormToken`.
    pub(super) has_token: bool,
    /// Behind the start tag of the first form that posts.
    pub(super) form: Option<usize>,
}

/// Translates a template without control characters.
pub(super) fn translate(source: &str) -> Result<Translated, Fail> {
    let mut translator = Translator {
        out: Translated { text: String::with_capacity(source.len()), has_token: false, form: None },
        place: Markup::new(),
        blocks: Vec::new(),
        depth: 0,
    };
    for piece in parse(source)? {
        translator.piece(piece)?;
    }
    if let Some(block) = translator.blocks.last() {
        return Err(Fail { at: block.at, message: "the block is not closed by `{{end}}`".to_owned() });
    }
    translator.place.end().map_err(|message| Fail { at: source.len(), message })?;
    Ok(translator.out)
}

/// Writes a variable with its filter.
pub(super) fn push_value(out: &mut String, variable: Variable, filter: Filter) {
    out.push_str(EXPR_OPEN);
    push_variable(out, variable);
    push_filter(out, filter, variable.is_checked_url());
    out.push_str(EXPR_CLOSE);
}

struct Translator {
    out: Translated,
    place: Markup,
    blocks: Vec<Block>,
    /// Of the blocks of the output, where each `else if` is a block in the `else`.
    depth: usize,
}

/// An `if` or `with` that is not closed yet.
struct Block {
    at: usize,
    start: Markup,
    /// Where the former branches end.
    end: Option<Markup>,
    has_else: bool,
    /// How deep it was before.
    depth: usize,
    /// The `.` of the branch we are in, if it is the one of `with`.
    dot: Option<Variable>,
}

impl Translator {
    fn piece(&mut self, piece: Piece<'_>) -> Result<(), Fail> {
        let at = piece.at;
        let fail = |message: String| Fail { at, message };
        match piece.content {
            Content::Text(text) => {
                let form = &mut self.out.form;
                self.place.feed(at, text, &mut self.out.text, &mut |noted, end| match noted {
                    Noted::PostForm => *form = form.or(Some(end)),
                })
            }
            Content::Emit(expr) => self.emit(&expr).map_err(fail),
            Content::If(condition) => self.open(at, &condition, None).map_err(fail),
            Content::With(expr) => {
                let dot = match &expr {
                    Expr::Field(variable) => Some(*variable),
                    Expr::Dot => self.dot(),
                    Expr::Text(_) | Expr::Flag(_) | Expr::Call(..) => None,
                };
                let dot =
                    dot.ok_or_else(|| fail("`with` needs a variable such as `.ClientName`".to_owned()))?;
                self.open(at, &expr, Some(dot)).map_err(fail)
            }
            Content::ElseIf(condition) => self.alternative(Some(&condition)).map_err(fail),
            Content::Else => self.alternative(None).map_err(fail),
            Content::End => self.close().map_err(fail),
        }
    }

    fn emit(&mut self, expr: &Expr) -> Result<(), String> {
        let filter = self.place.value(&mut self.out.text)?;
        let variable = match expr {
            Expr::Field(variable) => Some(*variable),
            Expr::Dot => self.dot(),
            Expr::Text(_) | Expr::Flag(_) | Expr::Call(..) => None,
        };
        if !self.place.admits(variable) {
            return Err("only `.CSPNonce` can stand in a nonce".to_owned());
        }
        self.out.has_token |= variable == Some(Variable::FORM_TOKEN);
        self.out.text.push_str(EXPR_OPEN);
        self.push_expr(expr)?;
        push_filter(&mut self.out.text, filter, variable.is_some_and(Variable::is_checked_url));
        self.out.text.push_str(EXPR_CLOSE);
        Ok(())
    }

    fn open(&mut self, at: usize, condition: &Expr, dot: Option<Variable>) -> Result<(), String> {
        self.place.settle(&mut self.out.text);
        let depth = self.depth;
        self.deepen()?;
        self.push_block("if ", Some(condition))?;
        self.blocks.push(Block { at, start: self.place.clone(), end: None, has_else: false, depth, dot });
        Ok(())
    }

    fn alternative(&mut self, condition: Option<&Expr>) -> Result<(), String> {
        self.place.settle(&mut self.out.text);
        let block = self.blocks.last_mut().filter(|block| !block.has_else);
        let block = block.ok_or_else(|| "`else` without an `if` or `with` before it".to_owned())?;
        if let Some(end) = &block.end
            && !self.place.join(end)
        {
            return Err(BRANCHES.to_owned());
        }
        block.has_else = condition.is_none();
        block.dot = None;
        let place = block.start.clone();
        block.end = Some(std::mem::replace(&mut self.place, place));
        if condition.is_some() {
            self.deepen()?;
        }
        self.push_block(if condition.is_some() { "else if " } else { "else" }, condition)
    }

    fn close(&mut self) -> Result<(), String> {
        self.place.settle(&mut self.out.text);
        let block = self.blocks.pop();
        let block = block.ok_or_else(|| "`end` without an `if` or `with` before it".to_owned())?;
        let without = Some(&block.start).filter(|_| !block.has_else);
        for other in block.end.iter().chain(without) {
            if !self.place.join(other) {
                return Err(BRANCHES.to_owned());
            }
        }
        self.depth = block.depth;
        self.push_block("endif", None)
    }

    fn deepen(&mut self) -> Result<(), String> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} blocks within each other"));
        }
        Ok(())
    }

    fn dot(&self) -> Option<Variable> {
        self.blocks.iter().rev().find_map(|block| block.dot)
    }

    fn push_block(&mut self, keyword: &str, condition: Option<&Expr>) -> Result<(), String> {
        self.out.text.push_str(BLOCK_OPEN);
        self.out.text.push_str(keyword);
        if let Some(condition) = condition {
            self.push_expr(condition)?;
        }
        self.out.text.push_str(BLOCK_CLOSE);
        Ok(())
    }

    /// Writes an expression; the depth of its calls is that of the parentheses, which is bounded.
    fn push_expr(&mut self, expr: &Expr) -> Result<(), String> {
        match expr {
            Expr::Field(variable) => push_variable(&mut self.out.text, *variable),
            Expr::Dot => {
                let dot = self.dot().ok_or_else(|| "`.` has a meaning within `with` only".to_owned())?;
                push_variable(&mut self.out.text, dot);
            }
            Expr::Text(text) => push_literal(&mut self.out.text, text),
            Expr::Flag(flag) => self.out.text.push_str(if *flag { "true" } else { "false" }),
            Expr::Call(Function::Eq, arguments) if arguments.len() > 2 => self.push_any_of(arguments)?,
            Expr::Call(function, arguments) => self.push_call(*function, arguments)?,
        }
        Ok(())
    }

    /// The engine knows functions with one and with two arguments.
    fn push_call(&mut self, function: Function, arguments: &[Expr]) -> Result<(), String> {
        let name = match function {
            Function::And => "both",
            Function::Or => "either",
            Function::Not => "opposite",
            Function::Eq => "same",
            Function::Ne => "other",
        };
        let Some((last, others)) = arguments.split_last() else { return Ok(()) };
        if function == Function::Not {
            self.out.text.push_str(name);
            self.out.text.push('(');
            self.push_expr(last)?;
            self.out.text.push(')');
            return Ok(());
        }
        for other in others {
            self.out.text.push_str(name);
            self.out.text.push('(');
            self.push_expr(other)?;
            self.out.text.push_str(", ");
        }
        self.push_expr(last)?;
        self.out.text.extend(others.iter().map(|_| ')'));
        Ok(())
    }

    /// `eq a b c`: `a` is `b` or `c`.
    fn push_any_of(&mut self, arguments: &[Expr]) -> Result<(), String> {
        let Some((first, others)) = arguments.split_first() else { return Ok(()) };
        let pairs = others.iter().map(|other| Expr::Call(Function::Eq, vec![first.clone(), other.clone()]));
        self.push_call(Function::Or, &pairs.collect::<Vec<_>>())
    }
}

fn push_variable(out: &mut String, variable: Variable) {
    out.push_str("?.");
    out.push_str(variable.name());
}

fn push_literal(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn push_filter(out: &mut String, filter: Filter, checked: bool) {
    out.push_str(match (filter, checked) {
        (Filter::Html, _) => " | html",
        (Filter::Link, false) => " | link | html",
        (Filter::Link, true) => " | checked_link | html",
        (Filter::Part, _) => " | part | html",
        (Filter::Js, false) => " | js",
        (Filter::Js, true) => " | checked_link | js",
        (Filter::JsValue, false) => " | js_value",
        (Filter::JsValue, true) => " | checked_link | js_value",
    });
}

const BRANCHES: &str = "the branches of the block end in different places of the page";
/// The engine recurses over nested blocks.
const DEPTH_MAX: usize = 32;

pub(super) const EXPR_OPEN: &str = "\u{1}";
pub(super) const EXPR_CLOSE: &str = "\u{2}";
pub(super) const BLOCK_OPEN: &str = "\u{3}";
pub(super) const BLOCK_CLOSE: &str = "\u{4}";
