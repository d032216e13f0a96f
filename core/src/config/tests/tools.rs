//! Filters with patterns, filters of prompts and resources, overrides of tools.

use super::*;

/// A server with these options.
fn with_options(options: &str) -> String {
    v2("", &format!(r#""s": {{"command": "x", "options": {{{options}}}}}"#))
}

fn first(options: &str) -> Server {
    load(&with_options(options)).config.servers.remove(0)
}

#[test]
fn a_star_in_a_filter_stands_for_any_run_of_characters() {
    let filter =
        first(r#""toolFilter": {"mode": "allow", "list": ["get_*", "*_file", "exact"]}"#).filters.tools;
    for (name, admitted) in [
        ("get_", true),
        ("get_user", true),
        ("read_file", true),
        ("exact", true),
        ("exactly", false),
        ("forget_me", false),
        ("read_files", false),
    ] {
        assert_eq!(filter.admits(name), admitted, "{name}");
    }
    let filter = first(r#""toolFilter": {"mode": "block", "list": ["delete_*"]}"#).filters.tools;
    assert!(!filter.admits("delete_user") && filter.admits("undelete_user"));
    // What other languages give a meaning to has none.
    let filter = first(r#""toolFilter": {"mode": "allow", "list": ["a.c", "a?c", "[ab]"]}"#).filters.tools;
    assert!(filter.admits("a.c") && filter.admits("[ab]"));
    assert!(!filter.admits("abc") && !filter.admits("a"));
}

#[test]
fn prompts_and_resources_have_filters_of_their_own() {
    let options = r#""promptFilter": {"mode": "block", "list": ["draft*"]},
                     "resourceFilter": {"mode": "Allow", "list": ["file:///srv/*"]}"#;
    let filters = first(options).filters;
    assert_eq!(filters.tools, Filter::None);
    assert!(!filters.prompts.admits("draft_mail") && filters.prompts.admits("mail"));
    assert!(
        filters.resources.admits("file:///srv/{name}") && !filters.resources.admits("file:///etc/passwd")
    );

    for (key, noun) in [("toolFilter", "tool"), ("promptFilter", "prompt"), ("resourceFilter", "resource")] {
        // FT-401
        let notices =
            refuse(&with_options(&format!(r#""{key}": {{"mode": "alow", "list": ["a"], "lst": []}}"#)));
        let mode = format!("Unknown {noun} filter mode: alow (did you mean `allow`?)");
        only(&notices, Severity::Error, &mode);
        only(&notices, Severity::Error, &format!("`mcpServers.s.options.{key}.lst`, did you mean `list`?"));
        let loaded = load(&with_options(&format!(r#""{key}": {{"mode": "some", "list": ["a"]}}"#)));
        assert_eq!(loaded.config.servers[0].filters, Filters::default());
        let mode = format!("Unknown {noun} filter mode: some, skipping {noun} filter");
        only(&loaded.warnings, Severity::Warning, &mode);
    }
    let loaded = load(&with_options(r#""promptFilter": {"mode": "allow", "list": []}"#));
    only(&loaded.warnings, Severity::Warning, "there is no filter and every prompt is served");
}

#[test]
fn what_is_about_one_server_only_is_ignored_among_the_defaults() {
    let keys = ["toolFilter", "promptFilter", "resourceFilter", "toolOverrides", "disabled"];
    let options: Vec<String> = keys.iter().map(|key| format!(r#""{key}": {{}}"#)).collect();
    let loaded = load(&v2(&format!(r#""options": {{{}}}"#, options.join(", ")), r#""s": {"command": "x"}"#));
    for key in keys {
        let message = format!("`mcpProxy.options.{key}` is only effective in `mcpServers`, it is ignored");
        only(&loaded.warnings, Severity::Warning, &message);
    }
    // Beside `options` it would not be in effect (FT-401).
    for key in ["toolFilter", "promptFilter", "resourceFilter", "toolOverrides"] {
        let notices = refuse(&v2("", &format!(r#""s": {{"command": "x", "{key}": {{}}}}"#)));
        only(&notices, Severity::Error, &format!("did you mean `options.{key}`?"));
    }
}

#[test]
fn tools_get_other_names_titles_and_descriptions_or_are_hidden() {
    let options = r#""toolOverrides": {
        "get": {"name": "fetch.page-1", "title": "Fetch", "description": "Gets a page."},
        "drop": {"hidden": true},
        "as it is": {},
        "gone": null
    }"#;
    let tools = first(options).tools;
    assert_eq!(tools.keys().collect::<Vec<_>>(), ["as it is", "drop", "get"]);
    let get = ToolOverride {
        name: Some("fetch.page-1".to_owned()),
        title: Some("Fetch".to_owned()),
        description: Some("Gets a page.".to_owned()),
        hidden: false,
    };
    assert_eq!((&tools["get"], &tools["as it is"]), (&get, &ToolOverride::default()));
    assert!(tools["drop"].hidden && tools["drop"].name.is_none());
    assert!(first("").tools.is_empty());
}

#[test]
fn a_tool_gets_no_name_that_tools_cannot_have() {
    let long = "x".repeat(128);
    assert_eq!(first(&renamed(&[("a", &long)])).tools["a"].name.as_ref(), Some(&long));
    for name in ["", "a b", "a/b", "ä", "a*", "a\\n", &"x".repeat(129)] {
        let notices = refuse(&with_options(&renamed(&[("a", name)])));
        let part =
            "`mcpServers.s.options.toolOverrides.a.name`: expected 1 to 128 letters, digits, `_`, `.` or `-`";
        only(&notices, Severity::Error, part);
    }
}

#[test]
fn two_tools_never_get_one_name() {
    for pairs in [[("a", "c"), ("b", "c")], [("a", "b"), ("b", "b")]] {
        let message = format!("the tools `b` and `a` (line 1) would both be called `{}`", pairs[0].1);
        only(&refuse(&with_options(&renamed(&pairs))), Severity::Error, &message);
    }
    // A tool that keeps its name is in the way too, unless it is hidden.
    let text = |b: &str| with_options(&format!(r#""toolOverrides": {{"a": {{"name": "b"}}, "b": {b}}}"#));
    only(&refuse(&text(r#"{"title": "B"}"#)), Severity::Error, "would both be called `b`");
    assert!(load(&text(r#"{"hidden": true}"#)).config.servers[0].tools["b"].hidden);
    // Two may change places, and servers do not get in each other's way.
    assert_eq!(first(&renamed(&[("a", "b"), ("b", "a")])).tools.len(), 2);
    let server = format!(r#"{{"command": "x", "options": {{{}}}}}"#, renamed(&[("a", "c")]));
    assert_eq!(load(&v2("", &format!(r#""s": {server}, "t": {server}"#))).config.servers.len(), 2);
}

#[test]
fn all_problems_of_the_new_keys_are_reported_at_once_with_their_places() {
    let text = r#"{
  "mcpProxy": {
    "merged": { "prefix": "sometimes", "nameMax": 8, "nmaeMax": 9 }
  },
  "mcpServers": {
    "s": {
      "command": "x",
      "options": {
        "promptFilter": { "mode": "allow", "list": "a*" },
        "toolOverrides": {
          "a": { "name": "same", "hiden": true },
          "b": { "name": "same", "title": 1 },
          "c": "d"
        }
      }
    }
  }
}"#;
    let options = "mcpServers.s.options";
    let open = "Skipping it could leave open what it was meant to close";
    let expected = format!(
        "\
config.json:3:27: error: `mcpProxy.merged.prefix`: unknown prefix policy `sometimes`, expected `always`, `on-clash` or `never`
config.json:3:51: error: `mcpProxy.merged.nameMax`: expected a number from 16 to 128, found 8
config.json:3:54: warning: unknown key `mcpProxy.merged.nmaeMax`, did you mean `nameMax`?
config.json:9:35: warning: `{options}.promptFilter.list` is empty, so there is no filter and every prompt is served
config.json:9:52: error: `{options}.promptFilter.list`: expected a list of strings, found a string
config.json:11:34: error: unknown key `{options}.toolOverrides.a.hiden`, did you mean `hidden`? {open}
config.json:12:26: error: the tools `b` and `a` (line 11) would both be called `same`
config.json:12:43: error: `{options}.toolOverrides.b.title`: expected a string (put it in quotes), found a number
config.json:13:16: error: `{options}.toolOverrides.c`: expected an object, found a string
"
    );
    assert_eq!(lines(&refuse(text)), expected);
}

/// `toolOverrides` that give names.
fn renamed(pairs: &[(&str, &str)]) -> String {
    let tools: Vec<String> =
        pairs.iter().map(|(own, name)| format!(r#""{own}": {{"name": "{name}"}}"#)).collect();
    format!(r#""toolOverrides": {{{}}}"#, tools.join(", "))
}
