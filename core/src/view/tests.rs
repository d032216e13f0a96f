//! What a view remembers, and when it makes a list again.

use super::*;
use crate::catalog::{Catalog, Item};
use crate::config::{Source, parse};
use crate::time::Mono;

fn servers(text: &str) -> Vec<(ServerId, Arc<config::Server>)> {
    let text = format!(r#"{{"mcpProxy": {{"baseURL": "http://localhost:9090"}}, "mcpServers": {{{text}}}}}"#);
    let loaded = parse(&Source { text: &text, name: "test", strict: true, env: None }).unwrap();
    (0..).map(ServerId).zip(loaded.config.servers.into_iter().map(Arc::new)).collect()
}

fn tools(names: &[&str]) -> Catalog {
    let mut catalog = Catalog::default();
    let item = |name: &&str| Item {
        name: (*name).to_owned(),
        raw: format!("{{\"name\":\"{name}\"}}").into_bytes().into(),
        needs_task: false,
        flaws: None,
    };
    catalog.replace(ListKind::Tools, names.iter().map(item).collect(), Mono(1));
    catalog
}

fn text(published: &Published) -> &str {
    std::str::from_utf8(&published.encoded).unwrap()
}

#[test]
fn a_filtered_tool_is_neither_listed_nor_found() {
    let (server, config) =
        servers(r#""a": {"command": "x", "options": {"toolFilter": {"mode": "block", "list": ["b*"]}}}"#)
            .remove(0);
    let mut view = View::single(server, config.clone());
    assert_eq!(view.passes(ListKind::Tools), None);
    assert_eq!(view.passes(ListKind::Prompts), Some(server));
    let list = tools(&["a", "b1", "c"]);
    let (published, _) = view.publish(ListKind::Tools, &[(list.list(ListKind::Tools), true)], None);
    assert_eq!(text(&published), r#"{"tools":[{"name":"a"},{"name":"c"}]}"#);
    assert!(published.find("b1", &*config).is_none());
    assert!(published.find("a", &*config).is_some());
}

#[test]
fn the_same_lists_are_published_once_for_all_sessions() {
    let (server, config) = servers(r#""a": {"command": "x"}"#).remove(0);
    let mut view = View::single(server, config);
    let (one, other) = (tools(&["a"]), tools(&["a"]));
    let (first, fresh) = view.publish(ListKind::Tools, &[(one.list(ListKind::Tools), true)], None);
    assert!(fresh);
    let (second, fresh) = view.publish(ListKind::Tools, &[(other.list(ListKind::Tools), true)], None);
    assert!(!fresh && Arc::ptr_eq(&first, &second));
    let changed = tools(&["b"]);
    let (third, _) = view.publish(ListKind::Tools, &[(changed.list(ListKind::Tools), true)], None);
    assert_eq!(text(&third), r#"{"tools":[{"name":"b"}]}"#);
}

#[test]
fn what_nobody_is_shown_any_more_is_forgotten() {
    let (server, config) = servers(r#""a": {"command": "x"}"#).remove(0);
    let mut view = View::single(server, config);
    for n in 0..100 {
        let list = tools(&[&format!("tool{n}")]);
        view.publish(ListKind::Tools, &[(list.list(ListKind::Tools), true)], None);
    }
    assert!(view.made.len() <= SPARE_MAX + 1);
}

#[test]
fn a_server_that_is_away_is_not_listed_but_found() {
    let all = servers(r#""a": {"command": "x"}, "b": {"command": "x"}"#);
    let mut view = View::merged(&all, &Merged::default());
    let (one, other) = (tools(&["x"]), tools(&["x"]));
    let lists = [(one.list(ListKind::Tools), true), (other.list(ListKind::Tools), false)];
    let (published, _) = view.publish(ListKind::Tools, &lists, None);
    assert_eq!(text(&published), r#"{"tools":[{"name":"a__x"}]}"#);
    assert_eq!(published.find("b__x", &*all[1].1).map(|target| (target.part, target.own)), Some((1, "x")));
}
