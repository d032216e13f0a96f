//! A value of the environment is a value: it arrives as it is, and cannot change the structure (FT-404).

use super::*;

/// Values that would end a string, an object or a line, or add a member.
const VALUES: [&str; 12] = [
    "to\"ken",
    "C:\\new\\table",
    "x\\u0041",
    "end\\",
    "a\nb\tc",
    "// no comment",
    "/* \"",
    "\"}, \"s2\": {\"command\": \"y\"",
    "x\", \"disabled\": true, \"y\": \"",
    "[\"a\", \"b\"]",
    "$OTHER ${OTHER} $$",
    "ä😀\u{1}",
];

fn with(text: &str, value: &str) -> Result<Loaded, Vec<Notice>> {
    let lookup = |name: &str| Some(value.to_owned()).filter(|_| name == "X");
    parse(&Source { env: Some(&lookup), ..source(text) })
}

#[test]
fn a_value_arrives_as_it_is_in_every_string() {
    for value in VALUES {
        let text = v2(
            "",
            r#""s": {"command": "x", "args": ["$X", "a${X}b"], "env": {"A": "${X}"}}, "last": {"command": "z"}"#,
        );
        let config =
            with(&text, value).unwrap_or_else(|notices| panic!("{value}: {}", lines(&notices))).config;
        let Transport::Stdio { args, env, .. } = &config.servers[0].transport else { panic!("not stdio") };
        assert_eq!((args[0].as_str(), args[1].clone()), (value, format!("a{value}b")));
        assert_eq!(env[0].1.expose(), value);
        assert!(config.servers.len() == 2 && !config.servers[0].disabled);
    }
    let text = v2("", r#""s": {"url": "https://h/", "headers": {"X-Key": "${X}"}}"#);
    for value in ["C:\\new\\table", "x\\u0041", "end\\", "a\"b"] {
        let config = with(&text, value).expect("it loads").config;
        let Transport::Http { headers, .. } = &config.servers[0].transport else { panic!("not http") };
        assert_eq!(headers[0].1.expose(), value);
    }
}

#[test]
fn outside_of_strings_a_variable_is_one_scalar() {
    let limits =
        |written: &str| v2(&format!(r#""limits": {{"sessions": {written}}}"#), r#""s": {"command": "x"}"#);
    let sessions = |written: &str, value: &str| {
        with(&limits(written), value).map(|loaded| loaded.config.limits.sessions_max)
    };
    assert_eq!(sessions("$X", "7"), Ok(Some(7)));
    assert_eq!(sessions("${X}", " 7\n"), Ok(Some(7)));
    assert_eq!(sessions("${X}/**/", "7"), Ok(Some(7)));
    assert_eq!(sessions("${NOT_SET:-9}", ""), Ok(Some(9)));
    let disabled = |value: &str| {
        let text = v2("", r#""s": {"command": $X, "options": {"disabled": ${FLAG:-true}}}"#);
        let config = with(&text, value).expect("it loads").config;
        let Transport::Stdio { command, .. } = &config.servers[0].transport else { panic!("not stdio") };
        (command.clone(), config.servers[0].disabled)
    };
    assert_eq!(disabled("npx"), ("npx".to_owned(), true));
    // With the quotes that had to be in the value for the original.
    assert_eq!(disabled("\"npx\""), ("npx".to_owned(), true));
    // (as written, the value, part of the error)
    let table = [
        (
            "$X",
            "7, \"connections\": 1",
            "expected a whole number, found a string (with the values of environment",
        ),
        ("$X", "null", "expected a whole number, found a string"),
        ("$X", "[1]", "expected a whole number, found a string"),
        ("$X", "", "expected a whole number, found a string"),
        ("$NOT_SET", "", "this variable is not set"),
        ("1$X", "2", "expected `,` or `}`"),
        ("$X$X", "2", "stands for a whole value"),
        ("$X.5", "2", "stands for a whole value"),
        ("$$", "2", "expected a value"),
        ("$", "2", "expected a value"),
    ];
    for (written, value, part) in table {
        let notices = with(&limits(written), value).map(|_| ()).expect_err(written);
        only(&notices, Severity::Error, part);
    }
    // Neither a member nor an item.
    for text in [r#"{"mcpProxy": {$X}}"#, r#"{"mcpProxy": {"name": "a" $X}}"#, r#"{$X: {}}"#, "$X"] {
        assert!(with(text, r#""name": "b""#).is_err(), "{text}");
    }
    // A list that is not one never opens what it was to close.
    let tokens = v2(r#""options": {"authTokens": $X}"#, r#""s": {"command": "x"}"#);
    for value in ["null", "[]", "", "[\"a\"]"] {
        assert!(with(&tokens, value).is_err(), "{value}");
    }
}

#[test]
fn defaults_dollars_and_names_of_editors_are_known() {
    let args = |arg: &str| {
        let text = v2("", &format!(r#""s": {{"command": "x", "args": [{arg}]}}"#));
        let loaded = with(&text, "v").unwrap_or_else(|notices| panic!("{}", lines(&notices)));
        let Transport::Stdio { args, .. } = &loaded.config.servers[0].transport else { panic!("not stdio") };
        (args[0].clone(), loaded.warnings)
    };
    let table = [
        (r#""${X:-d}""#, "v"),
        (r#""${Y:-a \"d\"}""#, "a \"d\""),
        (r#""$$X $$$X""#, "$X $v"),
        (r#""${env:X}""#, "v"),
        (r#""\u0024X""#, "v"),
    ];
    for (arg, expected) in table {
        assert_eq!(args(arg), (expected.to_owned(), Vec::new()), "{arg}");
    }
    let (_, warnings) = args(r#""\n ${input:key}""#);
    only(&warnings, Severity::Warning, "an editor would ask for this `${input:…}`");
    let before = v2("", r#""s": {"command": "x", "args": ["\n "#).len() - "}}".len();
    assert_eq!(warnings[0].column as usize, before + 1);
    // Comments and the schema are nobody's values.
    let text = "// $NOT_SET\n{\"$schema\": \"a\", /* ${NOT_SET} */ \"mcpProxy\": {}, \"mcpServers\": {\"s\": {\"command\": \"x\"}}}";
    assert_eq!(with(text, "v").map(|loaded| loaded.warnings), Ok(Vec::new()));
    // Turned off, every dollar sign stays.
    let off = parse(&source(&v2("", r#""s": {"command": "$$X ${Y:-d}"}"#))).expect("it loads").config;
    let Transport::Stdio { command, .. } = &off.servers[0].transport else { panic!("not stdio") };
    assert_eq!(command, "$$X ${Y:-d}");
}

#[test]
fn values_are_bounded_altogether() {
    let text = v2("", r#""s": {"command": "x", "args": ["$X", "$X"]}"#);
    assert!(with(&text, &"x".repeat(TEXT_BYTES_MAX / 2)).is_ok());
    let notices = with(&text, &"x".repeat(TEXT_BYTES_MAX / 2 + 1)).map(|_| ()).expect_err("too large");
    only(&notices, Severity::Error, "larger than what is read");
}
