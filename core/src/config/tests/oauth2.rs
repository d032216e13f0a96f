//! The configuration of the OAuth server, key by key.

use std::net::IpAddr;

use super::super::oauth2::{DefaultResource, DocumentHosts, OAuth2, RefreshReuse};
use super::*;
use crate::net::Trust;
use crate::redirect_uri::{Admission, Policy};
use crate::throttle::LoginRate;

const ON: &str = r#""enabled": true, "users": {"u": "p"}"#;

/// A configuration with these members in `oauth2`, and with a public URL.
fn with(keys: &str) -> String {
    let proxy = r#""type": "streamable-http", "baseURL": "https://mcp.example.com""#;
    v2(&format!(r#"{proxy}, "options": {{"oauth2": {{{keys}}}}}"#), r#""s": {"command": "x"}"#)
}

/// What these members are read as, without a warning.
fn read(keys: &str) -> OAuth2 {
    let loaded = load(&with(keys));
    assert_eq!(loaded.warnings, [], "{keys}");
    loaded.config.oauth2.expect("oauth2")
}

#[track_caller]
fn refused(keys: &str, part: &str) {
    let notices = refuse(&with(keys));
    only(&notices, Severity::Error, part);
    let errors = notices.iter().filter(|notice| notice.severity == Severity::Error).count();
    assert_eq!(errors, 1, "{keys}\n{}", lines(&notices));
}

#[track_caller]
fn warned(keys: &str, part: &str) -> OAuth2 {
    let loaded = load(&with(keys));
    only(&loaded.warnings, Severity::Warning, part);
    assert_eq!(loaded.warnings.len(), 1, "{keys}\n{}", lines(&loaded.warnings));
    loaded.config.oauth2.expect("oauth2")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

#[test]
fn every_key_has_a_default() {
    // OA-01, OA-04, OA-05, SEED-101, SEED-103 to SEED-106
    let expected = OAuth2 {
        enabled: false,
        users: Vec::new(),
        users_file: None,
        persistence_dir: None,
        allowed_ips: Vec::new(),
        token_minutes: 60,
        refresh_idle_days: 30,
        refresh_max_days: 180,
        refresh_grace_seconds: 120,
        refresh_reuse: RefreshReuse::Revoke,
        code_seconds: 120,
        template_dir: "templates".to_owned(),
        redirects: Policy::default(),
        document_hosts: DocumentHosts::These(vec!["claude.ai".to_owned()]),
        clients: Vec::new(),
        registration: true,
        clients_max: 500,
        trust: Trust::default(),
        default_resource: DefaultResource::All,
        static_tokens: true,
        login_rate: LoginRate::default(),
        success_page: true,
        import_legacy_tokens: true,
        strict_application_type: false,
        strict_discovery: false,
    };
    assert_eq!(read(""), expected);
    let emptied = r#""persistenceDir": "", "templateDir": "", "usersFile": "", "clientIPHeader": "", "clients": [],
                     "allowedIPs": [], "clientIdMetadata": {}, "loginRateLimit": {}"#;
    assert_eq!(read(emptied), expected);
    let mut on = read(ON);
    assert_eq!(on.users.pop(), Some(("u".to_owned(), "p".to_owned().into())));
    assert_eq!(on, OAuth2 { enabled: true, ..expected });
}

#[test]
fn every_key_is_read() {
    let keys = r#""enabled": true, "usersFile": "/u", "persistenceDir": "/p", "templateDir": "/t",
        "tokenExpirationMinutes": 5, "refreshTokenExpirationDays": 7, "refreshTokenMaxDays": 8,
        "refreshGraceSeconds": 0, "refreshReuse": "reject", "codeExpirationSeconds": 600, "registration": false,
        "maxClients": 9, "defaultResource": "require", "staticTokens": false, "successPage": false,
        "importLegacyTokens": false, "strictApplicationType": true, "strictDiscovery": true,
        "allowInsecureBaseURL": true, "looseLoopbackHost": false, "clientIPHeader": "CF-Connecting-IP",
        "loginRateLimit": {"quickTries": 1, "maxDelaySeconds": 2, "addressPerMinute": 3, "globalPerMinute": 4}"#;
    let read = read(keys);
    assert!(read.enabled && read.users.is_empty());
    assert_eq!(read.users_file.as_deref(), Some("/u"));
    assert_eq!((read.persistence_dir.as_deref(), read.template_dir.as_str()), (Some("/p"), "/t"));
    assert_eq!((read.token_minutes, read.refresh_idle_days, read.refresh_max_days), (5, 7, 8));
    assert_eq!((read.refresh_grace_seconds, read.refresh_reuse), (0, RefreshReuse::Reject));
    assert_eq!((read.code_seconds, read.registration, read.clients_max), (600, false, 9));
    assert_eq!((read.default_resource, read.static_tokens), (DefaultResource::Require, false));
    assert!(!read.success_page && !read.import_legacy_tokens);
    assert!(read.strict_application_type && read.strict_discovery && !read.redirects.loose_loopback());
    assert_eq!(read.trust.header.as_deref(), Some("cf-connecting-ip"));
    let rate =
        LoginRate { quick_tries: 1, delay_max_seconds: 2, address_per_minute: 3, global_per_minute: 4 };
    assert_eq!(read.login_rate, rate);
}

#[test]
fn unknown_keys_are_warned_about() {
    // OA-11, T-51. Typing errors are errors: `guards.rs`.
    let table = [
        (r#""pageColour": "red""#, "unknown key `mcpProxy.options.oauth2.pageColour`"),
        (r#""disableTokenExpiration": true"#, "did you mean `tokenExpirationMinutes`?"),
        (r#""clientIdMetadata": {"hosts": []}"#, "oauth2.clientIdMetadata.hosts`"),
        (r#""loginRateLimit": {"quickTry": 1}"#, "oauth2.loginRateLimit.quickTry`"),
        (
            r#""clients": [{"id": "a", "redirect_uris": [], "redirectURIs": ["https://a/b"]}]"#,
            "`redirectURIs`?",
        ),
    ];
    for (keys, part) in table {
        warned(keys, part);
    }
}

#[test]
fn a_server_that_is_on_has_users() {
    // OA-03, SEED-102
    refused(r#""enabled": true"#, "without users nobody can sign in");
    refused(r#""enabled": true, "users": {}"#, "`usersFile` is required");
    refused(r#""enabled": true, "usersFile": """#, "without users nobody can sign in");
    refused(r#""enabled": true, "users": {"u": ""}"#, "neither name nor password may be empty");
    refused(r#""enabled": true, "users": {"": "p"}"#, "neither name nor password may be empty");
    refused(
        r#""enabled": true, "users": {"u": 1}, "usersFile": "f""#,
        "expected a string (put it in quotes)",
    );
    assert!(read(r#""enabled": true, "usersFile": "users.txt""#).enabled);
    assert!(!read(r#""users": {"u": ""}"#).enabled);
}

#[test]
fn numbers_have_bounds() {
    // OA-04, SEED-105
    for (minutes, expected) in [(0, 60), (-5, 60), (1, 1), (525_600, 525_600)] {
        assert_eq!(read(&format!(r#""tokenExpirationMinutes": {minutes}"#)).token_minutes, expected);
    }
    refused(r#""tokenExpirationMinutes": 525601"#, "expected at most 525600");
    let table = [
        (r#""refreshTokenExpirationDays": 0"#, "from 1 to 3650"),
        (r#""refreshTokenMaxDays": 3651"#, "from 1 to 3650"),
        (r#""refreshGraceSeconds": 3601"#, "from 0 to 3600"),
        (r#""codeExpirationSeconds": 601"#, "from 1 to 600"),
        (r#""codeExpirationSeconds": 0"#, "from 1 to 600"),
        (r#""maxClients": 0"#, "from 1 to 100000"),
        (r#""loginRateLimit": {"quickTries": 0}"#, "from 1 to 1000"),
        (r#""loginRateLimit": {"maxDelaySeconds": 3601}"#, "from 1 to 3600"),
        (r#""refreshReuse": "revok""#, "expected `revoke` or `reject`, found `revok`"),
        (r#""defaultResource": "any""#, "expected `all` or `single` or `require`, found `any`"),
        (r#""registration": "no""#, "expected true or false"),
    ];
    for (keys, part) in table {
        refused(keys, part);
    }
    assert_eq!(read(r#""defaultResource": "single""#).default_resource, DefaultResource::Single);
    // The longer of the two defaults gives way.
    assert_eq!(read(r#""refreshTokenExpirationDays": 365"#).refresh_max_days, 365);
    let short =
        warned(r#""refreshTokenMaxDays": 10, "refreshTokenExpirationDays": 30"#, "ends every login after 10");
    assert_eq!((short.refresh_idle_days, short.refresh_max_days), (10, 10));
}

#[test]
fn allowed_ips_are_addresses_and_ranges() {
    // OA-05, OA-06, SEED-104
    let ranges = read(r#""allowedIPs": ["160.79.104.0/21", "2001:db8::1", "34.162.46.92"]"#).allowed_ips;
    assert!(ranges[0].contains(ip("160.79.105.7")) && ranges[1].contains(ip("2001:db8::1")));
    for junk in ["160.79.104.0/33", "example.com", "", "1.2.3"] {
        refused(
            &format!(r#""allowedIPs": ["{junk}"]"#),
            &format!("expected an address or a range such as 160.79.104.0/21, found `{junk}`"),
        );
    }
    warned(r#""allowedIPs": ["34.162.46.92"]"#, "its requests come from 160.79.104.0/21");
}

#[test]
fn redirect_targets_are_presets_and_uris() {
    // OA-76, OA-78
    let claude = "https://claude.ai/api/mcp/auth_callback";
    let redirects = read(r#""allowedRedirectURIs": ["loopback", "https://example.com/cb"]"#).redirects;
    assert_eq!(redirects.admits("http://localhost:1/x"), Ok(Admission::Open));
    assert_eq!(redirects.admits("https://example.com/cb"), Ok(Admission::Exact));
    assert!(redirects.admits(claude).is_err() && redirects.loose_loopback());
    let bad = r#""allowedRedirectURIs": ["claude", "claud"]"#;
    refused(bad, "`mcpProxy.options.oauth2.allowedRedirectURIs[1]`: expected a URI or one of the presets");
    refused(r#""allowedRedirectURIs": ["http://example.com/cb"]"#, "http with the host localhost");
    refused(r#""allowedRedirectURIs": ["javascript:x"]"#, "is not that of an application");
    warned(r#""allowedRedirectURIs": ["any-https"]"#, "every web site can ask for a login");
    let none = warned(r#""allowedRedirectURIs": []"#, "only the clients in `clients` can sign in");
    assert!(none.redirects.admits(claude).is_err() && !none.document_hosts.is_on());
}

#[test]
fn presets_bring_the_hosts_of_documents_unless_hosts_are_written() {
    let hosts = |keys: &str| read(keys).document_hosts;
    let these = |hosts: &[&str]| DocumentHosts::These(hosts.iter().map(|&host| host.to_owned()).collect());
    assert_eq!(
        hosts(r#""allowedRedirectURIs": ["claude", "vscode", "chatgpt"]"#),
        these(&["claude.ai", "vscode.dev", "chatgpt.com"])
    );
    assert_eq!(hosts(r#""allowedRedirectURIs": ["https://example.com/cb"]"#), these(&[]));
    assert_eq!(hosts(r#""clientIdMetadata": {"allowedHosts": ["Example.com"]}"#), these(&["example.com"]));
    assert_eq!(hosts(r#""clientIdMetadata": {"allowedHosts": ["a.b", "*"]}"#), DocumentHosts::Any);
    assert!(!hosts(r#""clientIdMetadata": {"allowedHosts": []}"#).is_on());
    for host in
        ["https://claude.ai", "claude.ai:443", "claude.ai/", "*.claude.ai", "127.0.0.1", "[::1]", "a..b", ""]
    {
        let keys = format!(r#""clientIdMetadata": {{"allowedHosts": ["{host}"]}}"#);
        refused(&keys, "expected a host name such as claude.ai");
    }
}

#[test]
fn clients_are_read_and_checked() {
    // README §4.4
    let hash = format!("sha256:{}", "0aF1".repeat(16));
    let keys = format!(
        r#""clients": [
            {{"id": "one", "secret": "s3 cret", "redirectURIs": ["https://example.com/cb"], "name": "One"}},
            {{"id": "two", "secret": "{hash}", "public": false, "redirectURIs": ["app://x", "http://[::1]/"]}},
            {{"id": "three", "public": true, "redirectURIs": ["https://example.com/cb"]}},
            {{"id": "four", "secret": null, "redirectURIs": ["https://example.com/cb"]}}]"#
    );
    let clients = read(&keys).clients;
    let [one, two, three, four] = clients.as_slice() else { panic!("four clients") };
    assert_eq!((one.id.as_str(), one.name.as_str(), one.redirect_uris.len()), ("one", "One", 1));
    assert_eq!(one.secret.as_ref().map(|secret| secret.expose().as_str()), Some("s3 cret"));
    assert_eq!((two.name.as_str(), &two.secret), ("two", &Some(hash.into())));
    assert!(three.secret.is_none() && four.secret.is_none());
    assert!(!format!("{clients:?}").contains("s3 cret"));

    let table = [
        (r#""secret": "x""#, "clients[0].id` is required"),
        (r#""id": """#, "expected 1 to 200 characters"),
        (r#""id": "a b""#, "expected 1 to 200 characters"),
        (r#""id": "https://example.com/client""#, "no URL"),
        (r#""id": "mcpx_a""#, "not starting with mcpx_"),
        (r#""id": "a", "secret": """#, "the secret is empty"),
        (r#""id": "a", "secret": "$2b$12$hunter2""#, "password hashes are not for secrets"),
        (r#""id": "a", "secret": "$argon2id$v=19$hunter2""#, "write it as it is or as sha256:"),
        (r#""id": "a", "secret": "sha256:hunter2""#, "expected 64 hexadecimal digits"),
        (r#""id": "a", "secret": "hünter2""#, "must be printable ASCII"),
        (r#""id": "a", "secret": "hunter2", "public": true"#, "a client that is public has no secret"),
        (r#""id": "a", "public": false"#, "secret` is required, because the client is not public"),
        (r#""id": 1"#, "clients[0].id` is required"),
        (r#""id": "a", "name": 1"#, "expected a string"),
    ];
    for (members, part) in table {
        let keys = format!(r#""clients": [{{{members}, "redirectURIs": ["https://example.com/cb"]}}]"#);
        let notices = refuse(&with(&keys));
        only(&notices, Severity::Error, part);
        assert!(!lines(&notices).contains("hunter2") && !lines(&notices).contains("nter2"), "{members}");
    }
    let table = [
        (r#"{"id": "a"}"#, "redirectURIs` is required"),
        (r#"{"id": "a", "redirectURIs": []}"#, "redirectURIs` is required"),
        (r#"{"id": "a", "redirectURIs": ["https://example.com/*"]}"#, "must have no *"),
        (r#"{"id": "a", "redirectURIs": ["http://example.com/"]}"#, "must be https, or http with the host"),
        (r#""a""#, "expected an object, found a string"),
    ];
    for (client, part) in table {
        refused(&format!(r#""clients": [{client}]"#), part);
    }
    let client = r#"{"id": "a", "redirectURIs": ["https://example.com/cb"]}"#;
    refused(&format!(r#""clients": [{client}, {client}]"#), "there is another client `a`");
    refused(r#""clients": {}"#, "`mcpProxy.options.oauth2.clients`: expected a list, found an object");
}

#[test]
fn trusted_proxies_are_presets_and_ranges() {
    let trusts = |keys: &str, peer: &str| read(keys).trust.trusts(ip(peer));
    for (peer, trusted) in [("127.0.0.1", true), ("10.0.0.1", true), ("::1", true), ("203.0.113.1", false)] {
        assert_eq!(trusts("", peer), trusted, "{peer}");
        assert!(!trusts(r#""trustedProxies": ["none"]"#, peer));
        assert!(!trusts(r#""trustedProxies": []"#, peer));
    }
    let keys = r#""trustedProxies": ["cloudflare", "203.0.113.0/24", "2001:db8::1"]"#;
    for (peer, trusted) in
        [("104.16.0.1", true), ("203.0.113.1", true), ("2001:db8::1", true), ("::1", false)]
    {
        assert_eq!(trusts(keys, peer), trusted, "{peer}");
    }
    refused(r#""trustedProxies": ["Loopback"]"#, "found `Loopback`");
    refused(r#""trustedProxies": ["none", "loopback"]"#, "`none` stands alone");
    warned(r#""trustedProxies": ["0.0.0.0/0"]"#, "anybody can claim any address");
    assert_eq!(read(r#""clientIPHeader": "auto""#).trust.header, None);
    refused(r#""clientIPHeader": "X-Real-IP:""#, "expected the name of a header field");
}

#[test]
fn passwords_never_go_over_a_network_in_the_clear() {
    // OA-07, OA-08, OA-10, T-50: (baseURL and addr, oauth2, error)
    let refusal = "with oauth2 the public URL must be https";
    let table = [
        (r#""baseURL": "http://mcp.example.com""#, ON.to_owned(), Some(refusal)),
        (r#""baseURL": "http://192.168.0.1:9090/p""#, ON.to_owned(), Some(refusal)),
        (r#""baseURL": "http://localhost.example.com""#, ON.to_owned(), Some(refusal)),
        (r#""baseURL": "https://mcp.example.com?x""#, ON.to_owned(), Some("neither query nor fragment")),
        (r#""baseURL": "https://mcp.example.com#x""#, ON.to_owned(), Some("neither query nor fragment")),
        (r#""baseURL": "http://mcp.example.com""#, format!(r#"{ON}, "allowInsecureBaseURL": true"#), None),
        (r#""baseURL": "http://mcp.example.com""#, r#""enabled": false"#.to_owned(), None),
        (r#""baseURL": "https://mcp.example.com/p/""#, ON.to_owned(), None),
        (r#""baseURL": "http://localhost:9090""#, ON.to_owned(), None),
        (r#""baseURL": "http://LOCALHOST""#, ON.to_owned(), None),
        (r#""baseURL": "http://127.0.0.1:9090""#, ON.to_owned(), None),
        (r#""baseURL": "http://[::1]:9090/p""#, ON.to_owned(), None),
        (r#""addr": "127.0.0.1:9090""#, ON.to_owned(), None),
    ];
    for (proxy, oauth2, error) in table {
        let proxy = format!(r#""type": "streamable-http", {proxy}, "options": {{"oauth2": {{{oauth2}}}}}"#);
        let text = v2(&proxy, r#""s": {"command": "x"}"#);
        match error {
            Some(part) => {
                let notices = refuse(&text);
                only(&notices, Severity::Error, part);
                assert_eq!(notices[0].column, 53, "{text}");
            }
            None => assert_eq!(load(&text).warnings, [], "{text}"),
        }
    }
    let open =
        r#""type": "both", "addr": ":9090", "options": {"oauth2": {"enabled": true, "users": {"u": "p"}}}"#;
    let loaded = load(&v2(open, r#""s": {"command": "x"}"#));
    only(&loaded.warnings, Severity::Warning, "without `mcpProxy.baseURL` only programs on this machine");
}

#[test]
fn with_sse_it_is_off_and_both_counts_as_streamable() {
    // OA-02, SEED-100
    for (kind, on) in [("sse", false), ("streamable-http", true), ("both", true)] {
        let text = with(ON).replace("streamable-http", kind);
        let loaded = load(&text);
        assert_eq!(loaded.config.oauth2.map(|oauth2| oauth2.enabled), Some(on));
        assert_eq!(loaded.warnings.len(), usize::from(!on));
    }
    // What cannot take effect is no reason to refuse.
    let text = with(ON).replace("streamable-http", "sse").replace("https:", "http:");
    only(&load(&text).warnings, Severity::Warning, "oauth2 is ignored, because `mcpProxy.type` is `sse`");
}

#[test]
fn a_server_may_only_exempt_itself_from_oauth() {
    // OA-14: of a server's oauth2 only `"enabled": false` means something.
    let loaded =
        load(&v2("", r#""s": {"command": "x", "options": {"oauth2": {"enabled": false, "users": {}}}}"#));
    assert!(loaded.config.servers[0].options.oauth2_exempt);
    only(&loaded.warnings, Severity::Warning, "`mcpServers.s.options.oauth2.users` is only effective in");
    assert!(!server(r#"{"command": "x", "options": {"oauth2": {"enabled": true}}}"#).options.oauth2_exempt);
}

/// A configuration with OAuth and a server with these options.
fn with_server_options(options: &str) -> String {
    with(ON).replace(r#"{"command": "x"}"#, &format!(r#"{{"command": "x", "options": {{{options}}}}}"#))
}

#[test]
fn a_filter_of_users_is_strict_and_not_inherited() {
    // SEED-151, T-37
    let filter = |filter: &str| {
        let loaded = load(&with_server_options(&format!(r#""userFilter": {filter}"#)));
        assert_eq!(loaded.warnings, [], "{filter}");
        loaded.config.servers[0].options.users.clone()
    };
    let allow = filter(r#"{"mode": "Allow", "list": ["ann", "dev-*"]}"#);
    assert!(allow.admits("ann") && allow.admits("dev-1") && !allow.admits("bob") && !allow.admits("Ann"));
    let block = filter(r#"{"mode": "block", "list": ["bob"]}"#);
    assert!(block.admits("ann") && !block.admits("bob"));

    let table = [
        (
            r#"{"mode": "alow", "list": ["ann"]}"#,
            "userFilter.mode`: expected `allow` or `block`, found `alow`",
        ),
        (r#"{"list": ["ann"]}"#, "userFilter.mode`: expected `allow` or `block`, found ``"),
        ("{}", "expected `allow` or `block`"),
        (r#"{"mode": "allow", "list": []}"#, "no user could use the server"),
        (r#"{"mode": "allow"}"#, "no user could use the server"),
        (r#"{"mode": "block", "list": [1]}"#, "expected a string"),
        (r#"["ann"]"#, "expected an object, found a list"),
    ];
    for (filter, part) in table {
        only(&refuse(&with_server_options(&format!(r#""userFilter": {filter}"#))), Severity::Error, part);
    }
    let empty = load(&with_server_options(r#""userFilter": {"mode": "block", "list": []}"#));
    only(&empty.warnings, Severity::Warning, "there is no filter and every user is let in");
    let inherited = r#""options": {"userFilter": {"mode": "allow", "list": ["ann"]}}"#;
    only(&refuse(&v2(inherited, "")), Severity::Error, "`mcpProxy.options.userFilter` is only effective in");
}

#[test]
fn a_filter_of_users_without_users_is_said_to_be_none() {
    // T-51
    let options = r#""userFilter": {"mode": "allow", "list": ["u"]}"#;
    let part = "`userFilter` of the server `s` has no effect";
    let off = v2("", &format!(r#""s": {{"command": "x", "options": {{{options}}}}}"#));
    let exempt = with_server_options(&format!(r#"{options}, "oauth2": {{"enabled": false}}"#));
    let sse = with_server_options(options).replace("streamable-http", "sse");
    for text in [off, exempt, sse] {
        only(&load(&text).warnings, Severity::Warning, part);
    }
    assert_eq!(load(&with_server_options(options)).warnings, []);
}

#[test]
fn password_hashes_survive_the_expansion_of_variables() {
    // OA-13
    let hashes = [
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b/dWRWJTmaasQ",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$pbkdf2-sha256$i=600000,l=32$c2FsdA$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        "$2y$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    ];
    let users: Vec<String> =
        hashes.iter().enumerate().map(|(n, hash)| format!(r#""u{n}": "{hash}""#)).collect();
    let text = with(&format!(r#""enabled": true, "users": {{{}, "v": "$PASSWORD"}}"#, users.join(", ")));
    let lookup = |name: &str| (name == "PASSWORD").then(|| "from outside".to_owned());
    let loaded =
        parse(&Source { env: Some(&lookup), ..source(&text) }).unwrap_or_else(|n| panic!("{}", lines(&n)));
    assert_eq!(loaded.warnings, []);
    let users = loaded.config.oauth2.expect("oauth2").users;
    let passwords: Vec<&str> = users.iter().map(|user| user.1.expose().as_str()).collect();
    assert_eq!(passwords.split_last(), Some((&"from outside", hashes.as_slice())));
}

#[test]
fn a_variable_that_is_not_set_opens_nothing() {
    for keys in [
        r#""enabled": true, "users": {"u": "$UNSET"}"#,
        r#""enabled": true, "usersFile": "$UNSET""#,
        r#""clients": [{"id": "a", "secret": "$UNSET", "redirectURIs": ["https://example.com/cb"]}]"#,
        r#""allowedIPs": ["$UNSET"]"#,
        r#""allowedRedirectURIs": ["$UNSET"]"#,
        r#""trustedProxies": ["$UNSET"]"#,
        r#""clientIdMetadata": {"allowedHosts": ["$UNSET"]}"#,
    ] {
        let text = with(keys);
        let result = parse(&Source { env: Some(&|_| None), ..source(&text) });
        assert!(result.is_err(), "{keys}");
    }
}
