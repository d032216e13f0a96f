use super::*;

const DEFAULT_LOG: Log = Log { format: LogFormat::Text, level: LogLevel::Info };

// SEED-010, SEED-012 to SEED-015
#[test]
fn nothing_given_serves_with_the_defaults_of_the_original() {
    assert_eq!(
        parse(&[]),
        Ok(Args { action: Action::Serve(load()), log: DEFAULT_LOG, runtime: Runtime::DEFAULT })
    );
}

// SEED-060
#[test]
fn each_spelling_of_a_value_flag_is_accepted() {
    let expected = Load { location: "a b.json".to_owned(), ..load() };
    for args in [
        &["-config", "a b.json"][..],
        &["--config", "a b.json"],
        &["-config=a b.json"],
        &["--config=a b.json"],
        &["-config=lost.json", "--config", "a b.json"],
        &["-config=a b.json", "--"],
    ] {
        assert_eq!(served(args), expected, "{args:?}");
    }
}

// SEED-060
#[test]
fn each_go_spelling_of_a_boolean_is_accepted() {
    for (value, expected) in
        [("1", true), ("t", true), ("T", true), ("TRUE", true), ("true", true), ("True", true)]
            .into_iter()
            .chain([
                ("0", false),
                ("f", false),
                ("F", false),
                ("FALSE", false),
                ("false", false),
                ("False", false),
            ])
    {
        assert_eq!(served(&[&format!("-insecure={value}")]).insecure, expected, "{value}");
        assert_eq!(served(&[&format!("--expand-env={value}")]).expand_env, expected, "{value}");
    }
    assert!(served(&["-insecure"]).insecure);
    assert!(!served(&["-insecure", "-insecure=false"]).insecure, "the last one wins");
}

#[test]
fn each_runtime_that_is_built_in_can_be_chosen() {
    let chosen = |args: &[&str]| parse(args).unwrap().runtime;
    #[cfg(feature = "smol")]
    assert_eq!((chosen(&[]), chosen(&["--runtime", "smol"])), (Runtime::Smol, Runtime::Smol));
    #[cfg(feature = "tokio")]
    assert_eq!(chosen(&["-runtime=tokio", "-demo"]), Runtime::Tokio);
    #[cfg(not(feature = "smol"))]
    assert_eq!(chosen(&[]), Runtime::Tokio);
}

#[test]
fn values_are_taken_as_they_are() {
    for value in ["-insecure", "--help", "help", "--", "", "k=v", "grüße.json"] {
        assert_eq!(served(&["-config", value]).location, value);
        assert_eq!(served(&[&format!("--config={value}")]).location, value);
    }
}

// SEED-015
#[test]
fn timeout_of_zero_or_less_is_no_limit() {
    for (value, expected) in [
        ("10", Some(10)),
        ("1", Some(1)),
        ("0", None),
        ("-1", None),
        ("-9223372036854775808", None),
        ("9223372036854775807", Some(i64::MAX as u64)),
    ] {
        let expected = expected.map(Duration::from_secs);
        assert_eq!(served(&["-http-timeout", value]).timeout, expected, "{value}");
    }
}

// SEED-014
#[test]
fn headers_are_split_at_semicolons_then_at_the_first_colon() {
    for (text, expected) in [
        ("", &[][..]),
        ("A:1", &[("A", "1")]),
        (" A : 1 ; B:2 ", &[("A", "1"), ("B", "2")]),
        (";;A:1; ;", &[("A", "1")]),
        ("Host:example.com:8080", &[("Host", "example.com:8080")]),
        ("A:", &[("A", "")]),
        ("A:1;B:2;a:3", &[("B", "2"), ("a", "3")]),
    ] {
        let headers = served(&["-http-headers", text]).headers;
        assert_eq!(headers.iter().collect::<Vec<_>>(), expected, "{text:?}");
    }
}

#[test]
fn header_values_appear_in_no_error_and_no_debug_text() {
    for text in ["K:hunter2;hunter2", "K:hunter2\r\nX", "hunter2 hunter2:v", ":hunter2"] {
        let exit = refused(&["-http-headers", text]);
        assert!(!exit.text.contains("hunter2"), "{}", exit.text);
        assert!(exit.text.contains("-http-headers: entry "), "{}", exit.text);
    }
    let unquoted = refused(&["-http-headers", "Authorization:", "Bearer", "hunter2"]);
    assert!(
        unquoted.text.contains("needs quotes") && !unquoted.text.contains("hunter2"),
        "{}",
        unquoted.text
    );
    let args = parse(&["-http-headers", "Authorization:hunter2"]).unwrap();
    let shown = format!("{args:?}");
    assert!(shown.contains("Authorization") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn check_and_demo_choose_the_action() {
    let strict = Load { strict: true, ..load() };
    for (args, expected) in [
        (&["--check"][..], Action::Check { load: load(), tools: false }),
        (&["--check", "--tools"], Action::Check { load: load(), tools: true }),
        (&["--check", "--strict"], Action::Check { load: strict.clone(), tools: false }),
        (&["--strict"], Action::Serve(strict)),
        (&["--demo"], Action::Demo),
        (&["--demo=false"], Action::Serve(load())),
        (&["demo-server"], Action::DemoServer),
        (&["guard"], Action::Guard),
    ] {
        assert_eq!(parse(args).map(|args| args.action), Ok(expected), "{args:?}");
    }
}

// SEED-008
#[test]
fn client_config_takes_its_flags_before_and_after_the_word() {
    let plain = |client, server: Option<&str>| Action::ClientConfig {
        load: load(),
        client,
        server: server.map(str::to_owned),
    };
    for (args, expected) in [
        (&["client-config"][..], plain(None, None)),
        (&["client-config", "-for", "claude"], plain(Some(Client::Claude), None)),
        (&["client-config", "--for=claude-code"], plain(Some(Client::ClaudeCode), None)),
        (&["client-config", "--for", "cursor", "-server=a/b"], plain(Some(Client::Cursor), Some("a/b"))),
        (&["-for", "vscode", "client-config"], plain(Some(Client::VsCode), None)),
        (&["client-config", "-for=cursor", "-for=codex", "--"], plain(Some(Client::Codex), None)),
    ] {
        assert_eq!(parse(args).map(|args| args.action), Ok(expected), "{args:?}");
    }
    let with_flags = ["-config", "x.json", "client-config", "-strict", "-log-level=debug"];
    let Ok(Args { action: Action::ClientConfig { load, .. }, log, .. }) = parse(&with_flags) else {
        panic!("not client-config")
    };
    assert_eq!((load.location.as_str(), load.strict, log.level), ("x.json", true, LogLevel::Debug));
    assert_eq!(parse(&["client-config", "-help"]).unwrap_err().code, 0);
}

#[test]
fn log_flags_take_each_named_value() {
    for (text, level) in [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ] {
        let log = parse(&["--log-level", text, "--log-format=json"]).unwrap().log;
        assert_eq!(log, Log { format: LogFormat::Json, level });
    }
    assert!(LogLevel::Error < LogLevel::Trace);
}

// SEED-061
#[test]
fn help_is_an_answer_on_stdout() {
    for args in [
        &["-help"][..],
        &["--help"],
        &["-h"],
        &["--h"],
        &["-help=true"],
        &["-version", "-help"],
        &["--demo", "-h"],
    ] {
        let exit = parse(args).unwrap_err();
        assert_eq!((exit.code, exit.stream), (0, Stream::Stdout), "{args:?}");
        assert!(exit.text.contains("Usage of mcp-proxy:\n"), "{}", exit.text);
    }
    assert!(parse(&["-help=false"]).is_ok());
}

#[test]
fn help_names_each_flag_once_with_its_default() {
    let help = usage::help();
    for flag in usage::flags() {
        let lines = help.lines().filter(|line| line.split(' ').nth(2) == Some(&format!("-{}", flag.name)));
        assert_eq!(lines.count(), 1, "{}", flag.name);
    }
    for expected in [
        "  -config string\n        path to config file or a http(s) url (default \"config.json\")\n",
        "        seconds to wait for it, 0 or less for no limit (default 10)\n",
        "        replace $NAME and ${NAME} in the config by environment values (default true)\n",
        "        least severe level to write (default \"info\")\n",
        "  -for client\n        of client-config: the client, see below; without it, all of them\n",
        "opencode,\ncopilot, cline, continue, goose, zed, windsurf.\n",
        "  -eject-templates-to dir\n        write them to oauth/ in this directory; needs no config\n",
        "  hash-password\n        ask for a password, ",
        "  oauth doctor <url>\n        check the authorization",
        "mcp-proxy client-config --for ",
    ] {
        assert!(help.contains(expected), "{help}");
    }
    assert!(!help.contains("guard") && !help.contains("demo-server"), "sub-commands stay hidden");
    assert!(help.lines().all(|line| line.len() <= 100), "{help}");
}

// SEED-062
#[test]
fn version_names_package_and_build_stamp() {
    let package = env!("CARGO_PKG_VERSION");
    assert_eq!(version_of(None), format!("mcp-proxy {package} (dev)"));
    assert_eq!(version_of(Some("")), format!("mcp-proxy {package} (dev)"));
    assert_eq!(version_of(Some("abc1234@1700000000")), format!("mcp-proxy {package} (abc1234@1700000000)"));
    let exit = parse(&["-version"]).unwrap_err();
    assert_eq!(exit, Exit { code: 0, text: version() + "\n", stream: Stream::Stdout });
}

// SEED-061
#[test]
fn misuse_is_explained_on_stderr_in_two_lines_with_code_2() {
    for (args, problem) in [
        (&["-confg", "x"][..], "flag provided but not defined: -confg (did you mean -config?)"),
        (&["--log_level=info"], "flag provided but not defined: -log_level (did you mean -log-level?)"),
        (&["-v"], "flag provided but not defined: -v (did you mean -version?)"),
        (&["-xyzzy"], "flag provided but not defined: -xyzzy"),
        (&["-log"], "flag provided but not defined: -log"),
        (&["-\u{1b}[2J"], "flag provided but not defined: -\\u{1b}[2J"),
        (&["-help", "-nope"], "flag provided but not defined: -nope"),
        (&["---config"], "bad flag syntax: ---config"),
        (&["-=x"], "bad flag syntax: -=x"),
        (&["-config"], "flag needs an argument: -config"),
        (&["-insecure=maybe"], "invalid boolean value \"maybe\" for -insecure, expected true or false"),
        (&["-insecure="], "invalid boolean value \"\" for -insecure, expected true or false"),
        (&["-insecure", "false"], "unexpected argument \"false\""),
        (&["my.json"], "unexpected argument \"my.json\" (a configuration is named with -config)"),
        (&["version"], "unexpected argument \"version\" (did you mean -version?)"),
        (&["-"], "unexpected argument \"-\""),
        (&["first", "second"], "unexpected argument \"first\""),
        (&["guard", "guard"], "unexpected argument \"guard\""),
        (&["-strict", "guard"], "guard takes no flags"),
        (&["client-config", "more"], "unexpected argument \"more\""),
        (&["client_config"], "unexpected argument \"client_config\" (did you mean client-config?)"),
        (&["client-config", "-sever", "a"], "flag provided but not defined: -sever (did you mean -server?)"),
        (&["client-config", "--check"], "-check and client-config exclude each other"),
        (&["--demo", "client-config"], "-demo and client-config exclude each other"),
        (
            &["client-config", "--for", "vim"],
            "expected \"claude\", \"claude-code\", \"cursor\", \"vscode\", \"codex\", \"gemini\"",
        ),
        (&["-for", "cursor"], "-for is a flag of client-config"),
        (&["-server=a"], "-server is a flag of client-config"),
        (&["-server=a", "hash-password"], "-server is no flag of hash-password"),
        (&["hash-password", "secret"], "unexpected argument \"secret\""),
        (&["hash-password", "-config=a"], "-config is no flag of hash-password"),
        (&["hash_password"], "unexpected argument \"hash_password\" (did you mean hash-password?)"),
        (&["oauth"], "oauth is followed by the word doctor"),
        (&["oauth", "docter", "https://a"], "oauth is followed by the word doctor"),
        (&["oauth", "doctor"], "oauth doctor needs the url"),
        (&["oauth", "doctor", "https://a", "https://b"], "unexpected argument \"https://b\""),
        (&["oauth", "doctor", "https://a", "-for=cursor"], "-for is a flag of client-config"),
        (&["oauth", "doctor", "https://a", "-config=a"], "-config is no flag of oauth doctor"),
        (&["oauth", "doctor", "https://a", "-demo"], "-demo and oauth doctor exclude each other"),
        (&["-eject-templates", "--demo"], "-demo and -eject-templates exclude each other"),
        (&["-eject-templates-to=a", "--check"], "-check and -eject-templates exclude each other"),
        (&["-eject-templates", "client-config"], "-eject-templates and client-config exclude each other"),
        (&["-eject-templates-to="], "-eject-templates-to needs the name of a directory"),
        (&["-eject-templates-to"], "flag needs an argument: -eject-templates-to"),
        (&["-tools"], "-tools is a flag of -check"),
        (&["-force"], "-force is a flag of -eject-templates"),
        (&["-config=a", "--", "x"], "-config and a server after -- exclude each other"),
        (&["--demo", "--", "x"], "-demo and a server after -- exclude each other"),
        (&["hash-password", "--", "x"], "there is none to serve here"),
        (&["-eject-templates", "--", "x"], "there is none to serve here"),
        (&["npx", "-y", "x"], "unexpected argument \"npx\" (the command of a server stands after --)"),
        (&["--demo", "--check"], "-demo and -check exclude each other"),
        (&["--demo", "-config", "a"], "-demo and -config exclude each other"),
        (&["-http-timeout", "soon"], "Error parsing option '--http-timeout' with value 'soon'"),
        (&["-runtime", "glommio"], "there is no runtime \"glommio\", expected "),
        #[cfg(not(feature = "tokio"))]
        (&["-runtime=tokio"], "this program was built without tokio (cargo build --features tokio)"),
        (&["-log-level", "loud"], "expected \"error\", \"warn\", \"info\", \"debug\" or \"trace\""),
        (&["-log-format=xml"], "expected \"text\" or \"json\""),
    ] {
        let exit = refused(args);
        assert!(exit.text.starts_with("mcp-proxy: "), "{args:?}: {}", exit.text);
        assert!(exit.text.contains(problem), "{args:?}: {}", exit.text);
        // FT-407
        assert!(exit.text.ends_with("\n`mcp-proxy -help` lists flags, words and examples.\n"), "{args:?}");
    }
    assert!(!refused(&["-xyzzy"]).text.contains("did you mean"));
}

// SEED-063, SEED-064
#[test]
fn template_flags_choose_where_to_write() {
    let eject = |to: Option<&str>, force| Action::Eject { load: load(), to: to.map(str::to_owned), force };
    for (args, expected) in [
        (&["-eject-templates"][..], eject(None, false)),
        (&["--eject-templates", "--force"], eject(None, true)),
        (&["-eject-templates-to", "dir"], eject(Some("dir"), false)),
        (&["-eject-templates-to=a b", "-force=true"], eject(Some("a b"), true)),
        (&["-eject-templates", "-eject-templates-to", "dir"], eject(Some("dir"), false)),
        (&["-eject-templates=false"], Action::Serve(load())),
        (&["-force=false"], Action::Serve(load())),
    ] {
        assert_eq!(parse(args).map(|args| args.action), Ok(expected), "{args:?}");
    }
    let named = parse(&["-eject-templates", "-config", "x.json", "-strict"]).map(|args| args.action);
    let from = Load { location: "x.json".to_owned(), strict: true, ..load() };
    assert_eq!(named, Ok(Action::Eject { load: from, to: None, force: false }));
}

// FT-402
#[test]
fn what_follows_two_dashes_is_the_command_of_a_server() {
    let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for (args, expected) in [
        (&["--", "npx", "-y", "x"][..], &["npx", "-y", "x"][..]),
        (&["-log-level", "debug", "--", "x", "--", "-config"], &["x", "--", "-config"]),
        (&["--", "guard"], &["guard"]),
        (&["--"], &[]),
    ] {
        assert_eq!(served(args), Load { command: command(expected), ..load() }, "{args:?}");
    }
    let check = parse(&["--check", "--", "x"]).map(|args| args.action);
    assert_eq!(check, Ok(Action::Check { load: Load { command: command(&["x"]), ..load() }, tools: false }));
    let config = parse(&["client-config", "-for=cursor", "--", "x"]).map(|args| args.action);
    let from = Load { command: command(&["x"]), ..load() };
    let expected = Action::ClientConfig { load: from, client: Some(Client::Cursor), server: None };
    assert_eq!(config, Ok(expected));
}

#[test]
fn hash_password_stands_alone() {
    for args in [&["hash-password"][..], &["-version=false", "hash-password", "--"]] {
        assert_eq!(parse(args).map(|args| args.action), Ok(Action::HashPassword), "{args:?}");
    }
    assert_eq!(parse(&["hash-password", "-h"]).unwrap_err().code, 0);
}

#[test]
fn oauth_doctor_takes_flags_around_its_words() {
    let url = "https://mcp.example.com/base";
    let doctor = |insecure, server: Option<&str>| Action::OAuthDoctor {
        url: url.to_owned(),
        insecure,
        long: false,
        server: server.map(str::to_owned),
    };
    for (args, expected) in [
        (&["oauth", "doctor", url][..], doctor(false, None)),
        (&["oauth", "doctor", url, "-insecure"], doctor(true, None)),
        (&["oauth", "doctor", "--server", "time", url, "--"], doctor(false, Some("time"))),
        (&["-insecure", "oauth", "-server=a/b", "doctor", url], doctor(true, Some("a/b"))),
        (&["oauth", "doctor", url, "-log-level", "debug"], doctor(false, None)),
    ] {
        assert_eq!(parse(args).map(|args| args.action), Ok(expected), "{args:?}");
    }
    let long = Action::OAuthDoctor { url: url.to_owned(), insecure: false, long: true, server: None };
    assert_eq!(parse(&["oauth", "doctor", url, "--long"]).map(|args| args.action), Ok(long));
    assert_eq!(parse(&["oauth", "doctor", url, "-help"]).unwrap_err().code, 0);
}

#[cfg(unix)]
#[test]
fn argument_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let exit = Args::parse([OsString::from_vec(b"-config=\xff".to_vec())]).unwrap_err();
    assert_eq!(exit.code, 2);
    assert!(exit.text.contains("not valid UTF-8"), "{}", exit.text);
}

fn parse(args: &[&str]) -> Result<Args, Exit> {
    Args::parse(args.iter().copied())
}

fn served(args: &[&str]) -> Load {
    match parse(args) {
        Ok(Args { action: Action::Serve(load), .. }) => load,
        other => panic!("{args:?} gave {other:?}"),
    }
}

fn refused(args: &[&str]) -> Exit {
    let exit = parse(args).unwrap_err();
    assert_eq!((exit.code, exit.stream), (2, Stream::Stderr), "{args:?}");
    exit
}

fn load() -> Load {
    Load {
        location: "config.json".to_owned(),
        command: Vec::new(),
        strict: false,
        expand_env: true,
        insecure: false,
        headers: Headers::default(),
        timeout: Some(Duration::from_secs(10)),
    }
}
