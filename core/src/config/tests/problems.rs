//! What is wrong with a configuration, where, and that it is told without giving secrets away.

use super::*;

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let text = r#"{
  "mcpProxy": {
    "addr": 9090,
    "nmae": "sse", // ä
    "baseURL": "mcp.example.com"
  },
  "mcpServers": {
    "a": { "command": "x", "args": "y" },
    /* ä */ "b": { },
    "c": { "url": "ftp://x", "options": { "authTokens": [ "t", 7 ] } }
  }
}"#;
    let expected = "\
config.json:3:13: error: `mcpProxy.addr`: expected a string (put it in quotes), found a number
config.json:4:5: warning: unknown key `mcpProxy.nmae`, did you mean `name`?
config.json:5:16: error: `mcpProxy.baseURL`: expected a URL that starts with http:// or https://, for example https://mcp.example.com
config.json:8:36: error: `mcpServers.a.args`: expected a list of strings, found a string
config.json:9:18: error: invalid server type: expected `command` or `url`
config.json:10:19: error: `mcpServers.c.url`: expected an http or https URL, found another scheme
config.json:10:64: error: `mcpServers.c.options.authTokens[1]`: expected a string (put it in quotes), found a number
";
    assert_eq!(lines(&refuse(text)), expected);
}

#[test]
fn unknown_keys_warn_and_are_errors_when_strict() {
    // SEED-019
    let table = [
        (v2(r#""nmae": "x""#, ""), "unknown key `mcpProxy.nmae`"),
        (v2("", r#""s": {"comand": "x", "command": "y"}"#), "`mcpServers.s.comand`, did you mean `command`?"),
        (
            v2("", r#""s": {"url": "http://h", "hedaers": {}}"#),
            "`mcpServers.s.hedaers`, did you mean `headers`?",
        ),
        (v2("", r#""s": {"command": "x", "options": {"sesions": "auto"}}"#), "did you mean `sessions`?"),
        (
            r#"{"mcpProxy": {}, "mcpServer": {}}"#.to_owned(),
            "unknown key `mcpServer`, did you mean `mcpServers`?",
        ),
        (v2(r#""zebra": {"a": [{"b": null}]}"#, ""), "unknown key `mcpProxy.zebra`"),
    ];
    for (text, part) in table {
        only(&load(&text).warnings, Severity::Warning, part);
        let notices = parse(&Source { strict: true, ..source(&text) }).map(|_| ()).expect_err(&text);
        only(&notices, Severity::Error, part);
    }
    let text =
        r#"{"$schema": "https://example.com/$x", "mcpProxy": {}, "mcpServers": {"s": {"command": "x"}}}"#;
    let strict = Source { strict: true, env: Some(&|_| Some(String::new())), ..source(text) };
    assert_eq!(parse(&strict).map(|loaded| loaded.warnings), Ok(Vec::new()));
}

#[test]
fn keys_may_differ_in_case_and_the_exact_one_is_preferred() {
    let loaded =
        load(r#"{"MCPProxy": {"baseUrl": "http://a/", "Name": "wrong", "name": "right"}, "mcpServers": {}}"#);
    assert_eq!(loaded.config.base_url.map(|url| url.origin()).as_deref(), Some("http://a"));
    assert_eq!(loaded.config.name, "right");
    only(&loaded.warnings, Severity::Warning, "`mcpProxy.baseUrl` is spelled `baseURL`");
    only(&loaded.warnings, Severity::Warning, "`MCPProxy` is spelled `mcpProxy`");
    // The keys of servers, variables and users are the user's own.
    let loaded = load(&v2("", r#""s": {"command": "x"}, "S": {"command": "y"}"#));
    assert_eq!((loaded.config.servers.len(), loaded.warnings), (2, Vec::new()));
}

#[test]
fn of_duplicate_keys_the_last_one_counts() {
    let loaded = load(
        "{\"mcpProxy\": {\"name\": \"a\",\n\"name\": \"b\"}, \"mcpServers\": {\"s/x\": {\"command\": \"1\"},\n\
         \"s/x\": {\"command\": \"2\"}}}",
    );
    assert_eq!(loaded.config.name, "b");
    assert_eq!(loaded.config.servers.len(), 1);
    let Transport::Stdio { command, .. } = &loaded.config.servers[0].transport else { panic!("not stdio") };
    assert_eq!(command, "2");
    only(&loaded.warnings, Severity::Warning, "duplicate key in `mcpProxy`, the one in line 2 counts");
    only(&loaded.warnings, Severity::Warning, "duplicate key in `mcpServers`, the one in line 3 counts");
}

#[test]
fn types_are_checked_everywhere() {
    let table = [
        ("[]", "expected an object, found a list"),
        (r#"{"mcpProxy": []}"#, "`mcpProxy`: expected an object, found a list"),
        (r#"{"mcpProxy": {}, "mcpServers": []}"#, "`mcpServers`: expected an object, found a list"),
        (
            r#"{"mcpProxy": {}, "mcpServers": {"s": "x"}}"#,
            "`mcpServers.s`: expected an object, found a string",
        ),
        (r#"{"mcpProxy": {"options": {"logEnabled": "true"}}}"#, "expected true or false, found a string"),
        (r#"{"mcpProxy": {"options": {"authTokens": "t"}}}"#, "expected a list of strings, found a string"),
        (r#"{"mcpProxy": {"limits": {"sessions": 1.5}}}"#, "expected a whole number, found another one"),
        (r#"{"mcpProxy": {"limits": {"sessions": "1"}}}"#, "expected a whole number, found a string"),
        (
            r#"{"mcpProxy": {}, "mcpServers": {"s": {"command": "x", "env": ["A=B"]}}}"#,
            "expected an object, found a list",
        ),
        (
            r#"{"mcpProxy": {}, "mcpServers": {"s": {"command": "x", "env": {"PORT": 1}}}}"#,
            "`mcpServers.s.env.PORT`: expected a string (put it in quotes), found a number",
        ),
    ];
    for (text, part) in table {
        only(&refuse(text), Severity::Error, part);
    }
    // As in Go, null is the same as nothing.
    let text = r#"{"mcpProxy": {"addr": null, "options": null}, "mcpServers": {"a": null, "b": {"command": "x", "args": null}}}"#;
    assert_eq!(load(text).config.servers.len(), 1);
}

#[test]
fn syntax_errors_have_a_place_and_show_no_text() {
    let notices = refuse("{\n  \"mcpProxy\": {\n    \"name\": hunter2\n  }\n}");
    assert_eq!(lines(&notices), "config.json:3:13: error: expected a value, found a word without quotes\n");
    assert_eq!(
        refuse("")[0].to_string(),
        "config.json:1:1: error: expected a value, found the end of the text"
    );
}

#[test]
fn headers_variables_and_commands_must_fit_where_they_go() {
    let table = [
        (r#"{"url": "http://h", "headers": {"a b": "x"}}"#, "not the name of an HTTP header"),
        (r#"{"url": "http://h", "headers": {"": "x"}}"#, "not the name of an HTTP header"),
        (r#"{"url": "http://h", "headers": {"X": "a\r\nY: b"}}"#, "cannot be part of an HTTP header"),
        (r#"{"command": "x", "env": {"A=B": "c"}}"#, "the name of an environment variable"),
        (r#"{"command": "x", "env": {"A": "\u0000"}}"#, "`env` must not contain NUL"),
        (r#"{"command": "x", "args": ["\u0000"]}"#, "`args` must not contain NUL"),
        (r#"{"command": "x\u0000"}"#, "`command` must not contain NUL"),
        (r#"{"url": "http://h/a b"}"#, "must be percent-encoded"),
        (r#"{"url": "http://u:hunter2@h/"}"#, "put credentials into headers"),
    ];
    for (text, part) in table {
        let notices = refuse(&v2("", &format!(r#""s": {text}"#)));
        only(&notices, Severity::Error, part);
        assert!(!lines(&notices).contains("hunter2"));
    }
    let loaded = load(&v2("", r#""s": {"url": "http://h", "headers": {"content-length": "1", "X": " y "}}"#));
    only(&loaded.warnings, Severity::Warning, "the header `content-length` is set by the proxy itself");
    let Transport::Http { headers, .. } = &loaded.config.servers[0].transport else { panic!("not http") };
    assert_eq!(headers, &[("X".to_owned(), "y".to_owned().into())]);
}

#[test]
fn a_list_of_tokens_never_becomes_empty_by_accident() {
    let open = server(r#"{"command": "x", "options": {"authTokens": []}}"#);
    assert!(open.options.auth_tokens.is_empty());
    let list =
        |tokens: &str| v2(&format!(r#""options": {{"authTokens": {tokens}}}"#), r#""s": {"command": "x"}"#);
    let loaded = load(&list(r#"["", " a ", "Bearer b", "Bearer  "]"#));
    assert_eq!(exposed(&loaded.config.servers[0].options.auth_tokens), ["a", "b"]);
    assert_eq!(loaded.warnings.len(), 2);
    for tokens in [r#"[""]"#, r#"["$UNSET"]"#, r#"["Bearer $UNSET"]"#] {
        let text = list(tokens);
        let notices = parse(&Source { env: Some(&|_| None), ..source(&text) }).map(|_| ()).expect_err(tokens);
        only(&notices, Severity::Error, "no usable token in this list");
    }
    only(&refuse(&list(r#"["pässword"]"#)), Severity::Error, "must be printable ASCII");
}

#[test]
fn variables_keep_positions_true_and_undefined_ones_are_named_unless_secret() {
    let text = "{\"mcpProxy\": {\"name\": \"$NAME\",\n\"options\": {\"authTokens\": [\"t${TOKEN_X}\"],\n\
                \"oauth2\": {\"users\": {\"u\": \"pa$sWord\"}}}},\n\
                \"mcpServers\": {\"s\": {\"command\": $JSON, \"env\": {\"A\": \"$MISSING\", \"B\": \"x${lower_one}\", \"C\": \"p$wd\"},\n\
                \"zebra\": 1}}}";
    let lookup = |name: &str| match name {
        "JSON" => Some("\n\n\"x\"\n".to_owned()),
        "NAME" => Some("n\nn".to_owned()),
        _ => None,
    };
    let loaded =
        parse(&Source { env: Some(&lookup), ..source(text) }).unwrap_or_else(|n| panic!("{}", lines(&n)));
    assert_eq!(loaded.config.name, "n\nn");
    let shown = lines(&loaded.warnings);
    let starts: Vec<&str> = shown.lines().filter_map(|line| line.split(" warning").next()).collect();
    let places =
        ["2:30:", "3:30:", "4:54:", "4:72:", "4:94:", "5:1:"].map(|place| format!("config.json:{place}"));
    assert_eq!(starts, places, "{shown}");
    only(&loaded.warnings, Severity::Warning, "variable `MISSING` is not set");
    only(&loaded.warnings, Severity::Warning, "variable `lower_one` is not set");
    for secret in ["TOKEN_X", "sWord", "wd`"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn password_hashes_survive_the_expansion() {
    let hash = "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW";
    let text = v2(
        &format!(r#""options": {{"oauth2": {{"users": {{"u": "{hash}"}}}}}}"#),
        r#""s": {"command": "x"}"#,
    );
    let loaded = parse(&Source { env: Some(&|_| None), ..source(&text) }).expect("it loads");
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.oauth2.expect("oauth2").users[0].1.expose(), hash);
}

#[test]
fn neither_debug_output_nor_notices_hold_a_secret() {
    let text = v2(
        r#""options": {"authTokens": ["hunter2"], "oauth2": {"users": {"u": "hunter2"}}}, "x": 1"#,
        r#""fetch/hunter2": {"command": "x", "args": ["--key=hunter2"], "env": {"K": "hunter2"}, "y": 1},
           "fetch/hunter2/sub": {"url": "https://h/?k=hunter2", "headers": {"K": "hunter2"}, "y": 1}"#,
    );
    let loaded = load(&text);
    assert_eq!(loaded.warnings.len(), 3);
    assert!(!format!("{loaded:?}").contains("hunter2"), "{loaded:?}");
    assert_eq!(loaded.config.servers[1].label(), "fetch/***");
    let text =
        v2("", r#""fetch/hunter2": 1, "fetch//hunter2": {}, "a/hunter2": {"command": 1}, "a/hunter2": 2"#);
    assert!(!lines(&refuse(&text)).contains("hunter2"));
}

#[test]
fn the_text_is_bounded() {
    let padded = |len: usize| format!("{}{}", " ".repeat(len - 15), r#"{"mcpProxy":{}}"#);
    assert!(parse(&source(&padded(TEXT_BYTES_MAX))).is_ok());
    only(&refuse(&padded(TEXT_BYTES_MAX + 1)), Severity::Error, "is not read");
    let text = v2("", &r#""$A","#.repeat(10));
    let long = |_: &str| Some("x".repeat(TEXT_BYTES_MAX));
    assert!(parse(&Source { env: Some(&long), ..source(&text) }).is_err());
}
