//! Templates of operators: translated, or refused, and then filled in with what strangers chose.
//!
//! Byte 0: which page, and which values; the rest: the template.
//!
//! Properties: a refusal has a place within the template and a short message; of a template that loads every filling is
//! a page in which no value has left its place: no quote, angle bracket or line of a value goes out as it came.

use crate::tape::Tape;
use mcp_proxy_core::oauth::page::{PageKind, Pages, Values};
use std::cell::RefCell;

/// Marks that stand in values and must not come out as they are. What a template says before or after a value makes none.
const MARKS: [&str; 5] = ["zq\"y", "zq'y", "zq<y", "zq>y", "zq</zq"];
const HOSTILE: &str = "zq\"y zq'y zq<y zq>y zq</zq>\u{2028}javascript:zq&y\\";

thread_local! {
    // The built-in pages are compiled once: they do not change.
    static PAGES: RefCell<Pages> = RefCell::new(Pages::new());
}

/// See the module.
pub fn page(data: &[u8]) {
    let mut tape = Tape::new(data);
    let choice = tape.byte();
    let kind = PageKind::ALL[usize::from(choice) % PageKind::ALL.len()];
    let source = tape.rest();
    PAGES.with_borrow_mut(|pages| match pages.replace(kind, Some(source)) {
        Err(error) => {
            let text = String::from_utf8_lossy(source);
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let lines: Vec<&str> = text.split('\n').collect();
            let line = lines.get(error.line - 1).unwrap_or_else(|| panic!("{error} is outside"));
            assert!((1..=line.chars().count() + 1).contains(&error.column), "{error} is outside");
            assert!(!error.message.is_empty() && error.message.chars().count() <= 201, "{error}");
        }
        Ok(()) => {
            assert!(!pages.is_builtin(kind));
            let plain = pages.render(kind, &Values::new());
            check_page(pages, kind, source, choice >> 2 & 1 == 1);
            assert_eq!(pages.render(kind, &Values::new()), plain, "what is filled in stays");
            assert_eq!(pages.replace(kind, None), Ok(()));
        }
    });
}

fn check_page(pages: &Pages, kind: PageKind, source: &[u8], flag: bool) {
    let names = [
        "CancelURL", "ClientHost", "ClientID", "ClientName", "ErrorMessage", "FormAction", "Hint", "Message",
        "ProxyName", "RedirectHost", "RedirectURI", "RedirectURL", "Resource", "ResourceName", "RetryText", "RetryURL",
        "Scope", "State", "Title", "Username",
    ];
    let values = names.into_iter().fold(Values::new(), |values, name| values.set(name, HOSTILE));
    let page = pages.render(kind, &values.set_flag("IsLoopback", flag).set_flag("AllResources", !flag));
    let source = String::from_utf8_lossy(source);
    let leaked = MARKS.into_iter().find(|mark| page.contains(mark)).filter(|_| !source.contains("zq"));
    assert_eq!(leaked, None, "a value went out as it came:\n{source}\n{page}");
}
