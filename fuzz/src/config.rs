//! The configuration: JSON with comments, variables, both formats, every key.
//!
//! Byte 0: strict, variables; the rest: the text.
//!
//! Properties: every problem has a place within the text, is one line, and they come in its order; only what has an error is
//! refused; what loads strictly loads otherwise too, as the same configuration; what loads makes an engine that starts,
//! opens one listener and tells where its servers are.

use crate::tape::Tape;
use mcp_proxy_core::config::{Config, Notice, Severity, Source, expand_env, parse};
use mcp_proxy_core::limits::Limits;
use mcp_proxy_core::log::Level;
use mcp_proxy_core::oauth::{Server, Settings};
use mcp_proxy_core::route::{merged_paths, public_paths};
use mcp_proxy_core::time::{Mono, Now, Unix};
use mcp_proxy_core::{Options, Output, Proxy};
use std::sync::Arc;

/// See the module.
pub fn config(data: &[u8]) {
    let mut tape = Tape::new(data);
    let mode = tape.byte();
    let text = String::from_utf8_lossy(tape.rest());
    let source = Source {
        text: &text,
        name: "config.json",
        strict: mode & 1 == 1,
        env: if mode & 2 == 2 { Some(&variable) } else { None },
    };
    check_expansion(&text);
    match parse(&source) {
        Ok(loaded) => {
            check_notices(&text, &loaded.warnings);
            assert!(loaded.warnings.iter().all(|notice| notice.severity == Severity::Warning));
            if source.strict {
                let again = parse(&Source { strict: false, ..source }).map(|loaded| loaded.config);
                assert_eq!(again.as_ref(), Ok(&loaded.config), "strictness changes what is read");
            }
            check_start(loaded.config);
        }
        Err(notices) => {
            check_notices(&text, &notices);
            assert!(notices.iter().any(|notice| notice.severity == Severity::Error), "refused without an error");
        }
    }
}

/// The environment: a secret, a piece of JSON, something long, something empty, many lines.
fn variable(name: &str) -> Option<String> {
    match name {
        "T" => Some("s3cr3t".to_owned()),
        "J" => Some("\"k\": [1, {\"x\": \"y\"}],".to_owned()),
        "Q" => Some("\"".to_owned()),
        "E" => Some(String::new()),
        "N" => Some("\n\n".to_owned()),
        "C" => Some("/* ".to_owned()),
        _ => None,
    }
}

fn check_expansion(text: &str) {
    let expanded = expand_env(text, variable);
    for undefined in &expanded.undefined {
        assert!(text[undefined.at..].starts_with('$'), "at {}", undefined.at);
    }
}

fn check_notices(text: &str, notices: &[Notice]) {
    let lines: Vec<&str> = text.split('\n').collect();
    for notice in notices {
        let line = lines.get(notice.line as usize - 1);
        let fits = line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&(notice.column as usize)));
        assert!(fits, "{notice} is outside the text");
        assert!(!notice.message.is_empty() && !notice.to_string().contains(['\r', '\n']), "{notice:?}");
    }
    assert!(notices.is_sorted_by_key(|notice| (notice.line, notice.column)), "{notices:?}");
}

fn check_start(config: Config) {
    let merged = merged_paths(&config);
    let enabled = config.servers.iter().filter(|server| !server.disabled);
    let paths: Vec<Vec<String>> = enabled.map(|server| public_paths(&config, &server.name)).collect();
    for path in paths.iter().flatten().chain(&merged) {
        assert!(path.starts_with('/') && path.starts_with(&config.base_path), "{path}");
    }
    assert!(paths.iter().all(|paths| !paths.is_empty()), "a server that nobody can reach");
    let now = Now { mono: Mono(1), unix: Unix(1_800_000_000_000) };
    if let Some(settings) = Settings::of(&config) {
        let mut server = Server::new(settings, [3; 32]);
        server.set_now(now);
        server.start();
        assert!(server.poll_effect().is_some(), "a start that reads nothing");
    }
    let limits = config.limits.apply(Limits::default());
    let mut proxy = Proxy::new(Arc::new(config), Options { limits, log_level: Level::Trace }, [7; 32]);
    proxy.start(now);
    let mut listens = 0;
    while let Some(output) = proxy.poll_output() {
        listens += usize::from(matches!(output, Output::Listen { .. }));
        if let Output::Log(record) = output {
            assert!(!record.message.contains('\n'), "{record:?}");
        }
    }
    assert!(listens <= 1, "{listens} listeners");
}
