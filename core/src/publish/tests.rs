use super::*;
use crate::config::Prefix;
use crate::json;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Rules from tables.
#[derive(Default)]
struct Table {
    blocked: BTreeSet<&'static str>,
    tools: BTreeMap<&'static str, Override<'static>>,
}

impl Rules for Table {
    fn admits(&self, _kind: ListKind, name: &str) -> bool {
        !self.blocked.contains(name)
    }

    fn tool(&self, name: &str) -> Option<Override<'_>> {
        self.tools.get(name).copied()
    }
}

fn rules(blocked: &[&'static str], tools: &[(&'static str, Override<'static>)]) -> Table {
    Table { blocked: blocked.iter().copied().collect(), tools: tools.iter().copied().collect() }
}

fn named(name: &'static str) -> Override<'static> {
    Override { name: Some(name), ..Override::default() }
}

/// An item whose second member tells it from others of its name.
fn item(kind: ListKind, name: &str, of: &str) -> Item {
    let raw = format!("{{\"{}\":{},\"of\":{}}}", kind.key(), json::quote(name), json::quote(of));
    Item { name: name.to_owned(), raw: raw.into_bytes().into(), needs_task: false, flaws: None }
}

fn items(kind: ListKind, of: &str, names: &[&str]) -> Vec<Item> {
    names.iter().map(|name| item(kind, name, of)).collect()
}

/// A server for tests.
struct Server {
    prefix: String,
    items: Vec<Item>,
    listed: bool,
    rules: Table,
}

fn server(kind: ListKind, prefix: &str, names: &[&str]) -> Server {
    Server {
        prefix: prefix.to_owned(),
        items: items(kind, prefix, names),
        listed: true,
        rules: Table::default(),
    }
}

fn parts(servers: &[Server]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for Server { prefix, items, listed, rules } in servers {
        parts.push(Part { prefix, items, listed: *listed, rules });
    }
    parts
}

fn merged(kind: ListKind, servers: &[Server], prefix: Prefix) -> Published {
    publish(kind, &parts(servers), Some(&Naming { prefix, ..Naming::default() }), None)
}

fn alone(kind: ListKind, server: Server) -> Published {
    publish(kind, &parts(&[server]), None, None)
}

/// The listed names with the server each is of.
fn listed(published: &Published) -> Vec<(String, String)> {
    let list: Value = serde_json::from_slice(&published.encoded).unwrap();
    let items = list[published.kind.member()].as_array().unwrap();
    let text = |item: &Value, key| item[key].as_str().unwrap().to_owned();
    items.iter().map(|item| (text(item, published.kind.key()), text(item, "of"))).collect()
}

fn names(published: &Published) -> Vec<String> {
    listed(published).into_iter().map(|(name, _)| name).collect()
}

fn find<'a>(published: &'a Published, name: &'a str) -> Option<(usize, &'a str)> {
    published.find(name, &Table::default()).map(|target| (target.part, target.own))
}

fn is_valid(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Twenty servers with a hundred tools each, most of them troublesome.
fn troublesome(kind: ListKind) -> Vec<Server> {
    let keys: Vec<String> = (0..20).map(|n| format!("server.{}/{n}", n % 7)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut servers = Vec::new();
    for (n, prefix) in prefixes(&keys).iter().enumerate() {
        let names: Vec<String> = (0..100)
            .map(|i| match i % 10 {
                0 => format!("equal-{i}"),
                1 => format!("own-{n}-{i}"),
                2 => format!("{}-{i}", "long".repeat(16)),
                3 => format!("{}-{n}-{i}", "x".repeat(200)),
                4 => format!("dotted.{i}/slashed"),
                5 => format!("dotted/{i}.slashed"),
                6 => format!("__with__separators_{i}__"),
                7 => format!("größe-尺寸-{i}"),
                8 => format!("a \"b\"\n\\{i}"),
                _ => format!("server_{}__equal-{}", (i / 10) % 7, i - 9),
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        servers.push(server(kind, prefix, &names));
    }
    servers
}

#[test]
fn every_published_name_is_valid_and_leads_back_to_its_own_item() {
    // BR-02, BR-03
    for kind in [ListKind::Tools, ListKind::Prompts] {
        let servers = troublesome(kind);
        for (prefix, count) in [(Prefix::Always, 2_000), (Prefix::OnClash, 2_000), (Prefix::Never, 480)] {
            let published = merged(kind, &servers, prefix);
            let listed = listed(&published);
            assert_eq!(listed.len(), count, "{prefix:?}");
            assert_eq!(published.hidden.is_empty(), count == 2_000);
            let unique: BTreeSet<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(unique.len(), count);
            let mut all = servers
                .iter()
                .enumerate()
                .flat_map(|(part, server)| server.items.iter().map(move |item| (part, item.name.as_str())));
            for (name, of) in &listed {
                assert!(is_valid(name), "{name}");
                assert!(prefix != Prefix::Always || name.starts_with(&format!("{of}__")), "{name}");
                let (part, own) = find(&published, name).unwrap();
                assert_eq!(servers[part].prefix, *of);
                assert!(all.any(|item| item == (part, own)), "in order, each item once");
            }
        }
    }
}

#[test]
fn names_stay_whatever_other_servers_do() {
    let mut servers = troublesome(ListKind::Tools); // BR-02
    let before = merged(ListKind::Tools, &servers, Prefix::Always);
    let again = merged(ListKind::Tools, &servers, Prefix::Always);
    assert_eq!(before.encoded, again.encoded);

    let mut expected = listed(&before);
    expected.retain(|(_, of)| *of != servers[3].prefix && *of != servers[5].prefix);
    servers[5].listed = false;
    let away = servers.remove(3);
    let after = merged(ListKind::Tools, &servers, Prefix::Always);
    assert_eq!(listed(&after), expected);
    assert_eq!(find(&after, &format!("{}__equal-0", away.prefix)), None);
    let unlisted = format!("{}__equal-0", servers[4].prefix);
    assert_eq!(find(&after, &unlisted), Some((4, "equal-0")));
}

#[test]
fn names_that_hosts_refuse_get_a_mark_that_stays_over_restarts() {
    // The marks are those of `printf 'git\0<name>\0' | sha256sum`.
    let long = "x".repeat(60);
    let cut = format!("git__{}_22e84986", "x".repeat(50));
    let table = [
        ("plain", "git__plain"),
        ("a.b", "git__a_b_59db6c66"),
        ("a/b", "git__a_b_f86bfb8c"),
        ("é", "git____44b094e3"),
        (long.as_str(), cut.as_str()),
    ];
    let own: Vec<&str> = table.iter().map(|(own, _)| *own).collect();
    let published = merged(ListKind::Tools, &[server(ListKind::Tools, "git", &own)], Prefix::Always);
    let expected: Vec<&str> = table.iter().map(|(_, name)| *name).collect();
    assert_eq!(names(&published), expected);
    // Exactly as long as allowed is left alone.
    let fits = "x".repeat(59);
    let published = merged(ListKind::Tools, &[server(ListKind::Tools, "git", &[&fits])], Prefix::Always);
    assert_eq!(names(&published), [format!("git__{fits}")]);
}

#[test]
fn any_bound_of_names_is_kept() {
    let own = ["plain-name", "a.b", "", "ö"];
    for name_max in [1, 5, 9, 10, 20] {
        for separator in ["__", "", ".", "¶"] {
            let naming = Naming { name_max, separator: separator.to_owned(), ..Naming::default() };
            let servers = [server(ListKind::Tools, "p", &own)];
            let published = publish(ListKind::Tools, &parts(&servers), Some(&naming), None);
            let names = names(&published);
            assert!(names.iter().all(|name| is_valid(name) && name.len() <= name_max), "{names:?}");
            assert_eq!(names.len() + published.hidden.len(), own.len());
        }
    }
}

#[test]
fn only_names_that_clash_get_a_prefix_if_so_configured() {
    let mut servers = [
        server(ListKind::Tools, "a", &["search", "a.b", "only"]),
        server(ListKind::Tools, "b", &["search", "blocked", "other"]),
        server(ListKind::Tools, "c", &["a.b", "blocked", "other"]),
    ]; // BR-03
    servers[1].rules = rules(&["blocked"], &[("other", named("mine"))]);
    let published = merged(ListKind::Tools, &servers, Prefix::OnClash);
    let expected =
        ["a__search", "a__a_b_b8c815e4", "only", "b__search", "mine", "c__a_b_edfa1ad4", "blocked", "other"];
    assert_eq!(names(&published), expected);
    assert_eq!(find(&published, "search"), None);
    assert_eq!(find(&published, "b__search"), Some((1, "search")));
    assert_eq!(find(&published, "mine"), Some((1, "other")));
    assert_eq!(find(&published, "other"), Some((2, "other")));
    // A server that is away keeps its names, and with them those of others.
    servers[0].listed = false;
    assert_eq!(names(&merged(ListKind::Tools, &servers, Prefix::OnClash)), expected[3..]);
}

#[test]
fn without_prefixes_the_first_server_has_the_name() {
    let servers = [
        server(ListKind::Tools, "a", &["search", "a.b"]),
        server(ListKind::Tools, "b", &["search", "a.b", "other"]),
    ];
    let published = merged(ListKind::Tools, &servers, Prefix::Never);
    assert_eq!(
        listed(&published).iter().map(|(name, of)| format!("{name} {of}")).collect::<Vec<_>>(),
        ["search a", "a_b_b8c815e4 a", "other b"]
    );
    assert_eq!(
        published.hidden,
        [
            "the tool `search` of `b` is hidden: `a` has the name `search`",
            "the tool `a.b` of `b` is hidden: `a` has the name `a.b`",
        ]
    );
    assert_eq!(find(&published, "search"), Some((0, "search")));
}

#[test]
fn what_still_clashes_goes_to_the_first_and_is_reported() {
    let servers = [server(ListKind::Tools, "a", &["b__c"]), server(ListKind::Tools, "a__b", &["c", "d"])];
    let published = merged(ListKind::Tools, &servers, Prefix::Always);
    assert_eq!(names(&published), ["a__b__c", "a__b__d"]);
    assert_eq!(find(&published, "a__b__c"), Some((0, "b__c"))); // BR-02
    assert_eq!(published.hidden, ["the tool `c` of `a__b` is hidden: `a` has the name `a__b__c`"]);
}

#[test]
fn one_server_without_rules_is_published_as_it_is() {
    let own = ["a", "a", "x y", "größe"];
    let published = alone(ListKind::Tools, server(ListKind::Tools, "p", &own));
    assert_eq!(names(&published), own);
    assert_eq!(published.table.capacity(), 0, "there is no table");
    assert_eq!(find(&published, "x y"), Some((0, "x y")));
    assert_eq!(find(&published, "not listed"), Some((0, "not listed")));
    // The rules may speak of names that the list does not hold.
    let hidden = Override { hidden: true, ..Override::default() };
    let rules = rules(&["blocked"], &[("hidden", hidden), ("old", named("new"))]);
    for name in ["blocked", "hidden", "old"] {
        assert_eq!(published.find(name, &rules), None);
    }
    let mut away = server(ListKind::Prompts, "p", &own);
    away.listed = false;
    let published = alone(ListKind::Prompts, away);
    assert_eq!(&*published.encoded, br#"{"prompts":[]}"#);
    assert_eq!(find(&published, "a"), Some((0, "a")));
    let empty = publish(ListKind::Templates, &[], None, None);
    assert_eq!(&*empty.encoded, br#"{"resourceTemplates":[]}"#);
    assert_eq!(find(&empty, "a"), None);
}

#[test]
fn a_renamed_tool_has_only_its_new_name() {
    let mut one = server(ListKind::Tools, "p", &["old", "taken", "swap-a", "swap-b", "stays"]);
    let words = Override { title: Some("T"), description: Some("D"), ..Override::default() };
    let changes = [
        ("old", named("taken")),
        ("swap-a", named("swap-b")),
        ("swap-b", named("swap-a")),
        ("stays", Override { name: Some("stays"), ..words }),
    ];
    one.rules = rules(&[], &changes);
    let published = publish(ListKind::Tools, &parts(std::slice::from_ref(&one)), None, None);
    let expected = concat!(
        r#"{"tools":[{"name":"taken","of":"p"},{"name":"swap-b","of":"p"},{"name":"swap-a","of":"p"},"#,
        r#"{"title":"T","description":"D","name":"stays","of":"p"}]}"#
    );
    assert_eq!(std::str::from_utf8(&published.encoded), Ok(expected));
    let find = |name| published.find(name, &one.rules).map(|target| target.own);
    assert_eq!(find("old"), None);
    assert_eq!(find("taken"), Some("old"));
    assert_eq!(find("swap-a"), Some("swap-b"));
    assert_eq!(find("swap-b"), Some("swap-a"));
    assert_eq!(find("stays"), Some("stays"));
    assert_eq!(find("not listed"), Some("not listed"));
    assert_eq!(published.hidden, ["the tool `taken` is hidden: the name `taken` is given to `old`"]);
}

#[test]
fn two_tools_of_one_new_name_are_one() {
    let mut one = server(ListKind::Tools, "p", &["a", "b", "b"]);
    one.rules = rules(&[], &[("a", named("x")), ("b", named("x"))]);
    let servers = [one];
    let published = merged(ListKind::Tools, &servers, Prefix::Always);
    assert_eq!(names(&published), ["p__x"]);
    assert_eq!(find(&published, "p__x"), Some((0, "a")));
    assert_eq!(published.hidden, ["the tool `b` of `p` is hidden: the name `x` is given to `a`"]);
}

#[test]
fn overrides_and_filters_work_behind_prefixes() {
    let hidden = Override { hidden: true, ..Override::default() };
    let mut one = server(ListKind::Tools, "p", &["a", "b", "c", "d"]);
    one.rules = rules(&["b"], &[("a", named("new name")), ("c", hidden)]);
    let servers = [one];
    let published = merged(ListKind::Tools, &servers, Prefix::Always);
    let [renamed, d] = &names(&published)[..] else { panic!() };
    assert!(renamed.starts_with("p__new_name_"), "{renamed}");
    assert_eq!(d, "p__d");
    assert_eq!(find(&published, renamed), Some((0, "a"))); // BR-02
    for name in ["p__a", "p__b", "p__c", "a", "b", "c", "d"] {
        assert_eq!(published.find(name, &servers[0].rules), None, "{name}");
    }
    // They speak of tools only.
    let prompts = [Server {
        items: items(ListKind::Prompts, "p", &["a", "b", "c"]),
        ..servers.into_iter().next().unwrap()
    }];
    let published = merged(ListKind::Prompts, &prompts, Prefix::Always);
    assert_eq!(names(&published), ["p__a", "p__c"]);
}

#[test]
fn of_two_items_of_one_name_in_one_server_the_first_counts() {
    for prefix in [Prefix::Always, Prefix::OnClash, Prefix::Never] {
        let mut one = server(ListKind::Prompts, "first", &["a"]);
        one.items.push(item(ListKind::Prompts, "a", "second"));
        let published = merged(ListKind::Prompts, &[one], prefix);
        let [(name, of)] = &listed(&published)[..] else { panic!() };
        assert_eq!(
            (name.as_str(), of.as_str()),
            (if prefix == Prefix::Always { "first__a" } else { "a" }, "first")
        );
        assert_eq!(published.hidden, [""; 0]);
    }
}

#[test]
fn resources_keep_their_uris_and_the_first_server_has_them() {
    let kind = ListKind::Resources;
    let mut servers =
        [server(kind, "a", &["file:///x y"]), server(kind, "b", &["file:///x y", "db://1?key=s3cr3t"])];
    servers[0].listed = false;
    let published = merged(kind, &servers, Prefix::Always);
    assert_eq!(&*published.encoded, br#"{"resources":[{"uri":"db://1?key=s3cr3t","of":"b"}]}"#);
    assert_eq!(
        find(&published, "file:///x y"),
        Some((0, "file:///x y")),
        "a server that is away keeps its own"
    );
    assert_eq!(find(&published, "db://1?key=s3cr3t"), Some((1, "db://1?key=s3cr3t")));
    assert_eq!(find(&published, "db://2"), None);
    assert_eq!(
        published.hidden,
        ["the resource `file:///x y` of `b` is hidden: `a` has the name `file:///x y`"]
    );

    servers[0] = server(kind, "a", &["db://1?key=s3cr3t"]);
    let published = merged(kind, &servers, Prefix::Always);
    assert_eq!(published.hidden, ["the resource `db://1?…` of `b` is hidden: `a` has the name `db://1?…`"]);
}

#[test]
fn the_report_is_bounded() {
    let names: Vec<String> = (0..30).map(|n| format!("x://{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let twins = |count: usize| {
        let servers = ["a", "b"].map(|prefix| server(ListKind::Resources, prefix, &names[..count]));
        merged(ListKind::Resources, &servers, Prefix::Always).hidden
    };
    assert_eq!(twins(20).len(), 20);
    assert_eq!(twins(30).len(), 21);
    assert_eq!(twins(30)[20], "10 more are hidden for such reasons");
}

#[test]
fn a_uri_leads_to_the_first_server_with_a_matching_template() {
    let kind = ListKind::Templates;
    let mut servers = [
        server(kind, "a", &["file:///{name}", "db://{broken"]),
        server(kind, "b", &["file:///{+path}", "file:///{name}", "blocked://{x}", "db://{id}"]),
    ];
    servers[0].listed = false;
    servers[1].rules = rules(&["blocked://{x}"], &[]);
    let published = merged(kind, &servers, Prefix::Always);
    let matching = |uri| published.find_matching(uri).map(|target| (target.part, target.own));
    assert_eq!(matching("file:///a"), Some((0, "file:///{name}")));
    assert_eq!(matching("file:///a/b"), Some((1, "file:///{+path}")));
    assert_eq!(matching("db://{broken"), Some((0, "db://{broken")));
    assert_eq!(matching("db://7"), Some((1, "db://{id}")));
    assert_eq!(matching("blocked://1"), None);
    assert_eq!(find(&published, "file:///{name}"), Some((0, "file:///{name}")));
    assert_eq!(published.hidden.len(), 1);

    let one = alone(kind, server(kind, "p", &["x://{a}/1", "x://{a}"]));
    assert_eq!(one.find_matching("x://7").map(|target| target.own), Some("x://{a}"));
}

#[test]
fn templates_are_tried_for_a_bounded_time() {
    let names: Vec<String> = (0..300).map(|n| format!("x://{{a}}/{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let servers = [server(ListKind::Templates, "p", &names)];
    let published = merged(ListKind::Templates, &servers, Prefix::Always);
    assert_eq!(published.find_matching("x://y/255").map(|target| target.own), Some("x://{a}/255"));
    assert_eq!(published.find_matching("x://y/256"), None);
}
