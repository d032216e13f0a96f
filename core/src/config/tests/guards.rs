//! A typing error in a key that restricts access is an error, wherever the key can stand (FT-401).

use super::*;

/// Asserts that a key is refused without `-strict`, and that what was meant is named.
#[track_caller]
fn refused(text: &str, key: &str, meant: &str) {
    only(&refuse(text), Severity::Error, &format!("{key}`, did you mean `{meant}`?"));
}

#[test]
fn a_typing_error_does_not_open_the_door() {
    let proxy = [
        ("adr", "addr"),
        ("address", "addr"),
        ("listen", "addr"),
        ("option", "options"),
        ("allowedHost", "allowedHosts"),
        ("alowedOrigins", "allowedOrigins"),
        ("tpye", "type"),
        // In the wrong place.
        ("authTokens", "options.authTokens"),
        ("allowedIPs", "allowedIPs"),
        ("userFilter", "userFilter"),
    ];
    for (key, meant) in proxy {
        refused(&v2(&format!(r#""{key}": []"#), ""), &format!("mcpProxy.{key}"), meant);
    }
    let options = [
        ("authToken", "authTokens"),
        ("auth_tokens", "authTokens"),
        ("authTokns", "authTokens"),
        ("tokens", "authTokens"),
        ("oauth", "oauth2"),
        ("toolFiltr", "toolFilter"),
        ("promptsFilter", "promptFilter"),
        ("resourcesFilter", "resourceFilter"),
        ("usersFilter", "userFilter"),
        ("toolOverride", "toolOverrides"),
        ("disable", "disabled"),
        ("allowedHosts", "allowedHosts"),
    ];
    for (key, meant) in options {
        let written = format!(r#""options": {{"{key}": []}}"#);
        refused(&v2(&written, ""), &format!("options.{key}"), meant);
        let own = v2("", &format!(r#""s": {{"command": "x", {written}}}"#));
        refused(&own, &format!("mcpServers.s.options.{key}"), meant);
    }
    let server =
        [("option", "options"), ("toolFilter", "options.toolFilter"), ("authTokens", "options.authTokens")];
    for (key, meant) in server {
        let text = v2("", &format!(r#""s": {{"command": "x", "{key}": {{}}}}"#));
        refused(&text, &format!("mcpServers.s.{key}"), meant);
    }
    refused(r#"{"mcpProxi": {}, "mcpProxy": {}, "mcpServers": {}}"#, "mcpProxi", "mcpProxy");
    refused(&v2(r#""merged": {"enable": false}"#, ""), "merged.enable", "enabled");
    refused(&v2(r#""merged": {"disabled": true}"#, ""), "merged.disabled", "disabled");
    let v1 = r#"{"server": {"globalAuthToken": ["t"]}, "clients": {}}"#;
    refused(v1, "server.globalAuthToken", "globalAuthTokens");
}

#[test]
fn every_key_of_the_login_counts() {
    let table = [
        (r#""enable": true"#, "oauth2.enable", "enabled"),
        (r#""alowedIPs": []"#, "oauth2.alowedIPs", "allowedIPs"),
        (r#""user": {}"#, "oauth2.user", "users"),
        (r#""staticToken": false"#, "oauth2.staticToken", "staticTokens"),
        (r#""registrations": false"#, "oauth2.registrations", "registration"),
        (r#""tokenExpirationMinute": 5"#, "oauth2.tokenExpirationMinute", "tokenExpirationMinutes"),
        (r#""allowedHosts": []"#, "oauth2.allowedHosts", "clientIdMetadata.allowedHosts"),
        (r#""redirectURIs": []"#, "oauth2.redirectURIs", "allowedRedirectURIs"),
        (r#""loginRateLimit": {"quickTrys": 1}"#, "loginRateLimit.quickTrys", "quickTries"),
        (r#""clientIdMetadata": {"allowedHost": []}"#, "clientIdMetadata.allowedHost", "allowedHosts"),
        // A client that was to have a secret would be a public one.
        (r#""clients": [{"id": "a", "redirectURIs": ["https://a/b"], "secrt": "x"}]"#, "secrt", "secret"),
        (
            r#""clients": [{"id": "a", "redirectURIs": ["https://a/b"], "client_secret": "x"}]"#,
            "client_secret",
            "secret",
        ),
    ];
    for (keys, key, meant) in table {
        refused(&v2(&format!(r#""options": {{"oauth2": {{{keys}}}}}"#), ""), key, meant);
    }
}

#[test]
fn other_unknown_keys_still_load() {
    let text = r#"{"mcpProxy": {"nmae": "x", "zebra": 1, "options": {"sesions": "auto", "colour": 1}},
                   "mcpServers": {"s": {"command": "x", "comand": "y", "gallery": true, "autoApprove": []}}}"#;
    assert_eq!(load(text).config.servers.len(), 1);
    // A skipped client of the first format is closed.
    let v1 = r#"{"server": {}, "clients": {"c": {"type": "stdio", "authToken": ["t"], "config": {"command": "x"}}}}"#;
    assert_eq!(load(v1).config.servers, []);
}

#[test]
fn an_open_listener_without_a_credential_is_told() {
    let exposure = |proxy: &str, servers: &str| load(&v2(proxy, servers)).config.exposure();
    let (a, closed) =
        (r#""a": {"command": "x"}"#, r#""b": {"command": "x", "options": {"authTokens": ["t"]}}"#);
    let login = r#""oauth2": {"enabled": true, "users": {"u": "a password"}}"#;
    // (mcpProxy, servers, names in the warning)
    let table = [
        (r#""addr": ":9090""#.to_owned(), a.to_owned(), Some("`a` WITHOUT")),
        (r#""addr": "0.0.0.0:9090""#.to_owned(), format!("{a}, {closed}"), Some("`a` WITHOUT")),
        (r#""addr": "[::]:9090""#.to_owned(), a.to_owned(), Some("`a` WITHOUT")),
        (r#""addr": "192.0.2.1:80""#.to_owned(), a.to_owned(), Some("192.0.2.1:80")),
        (r#""addr": "127.0.0.1:9090""#.to_owned(), a.to_owned(), None),
        (r#""addr": "[::1]:9090""#.to_owned(), a.to_owned(), None),
        (r#""addr": "localhost:9090""#.to_owned(), a.to_owned(), None),
        (String::new(), closed.to_owned(), None),
        (String::new(), r#""a": {"command": "x", "options": {"disabled": true}}"#.to_owned(), None),
        (String::new(), String::new(), None),
        (r#""options": {"authTokens": ["t"]}"#.to_owned(), a.to_owned(), None),
        (format!(r#""type": "both", "options": {{{login}}}"#), a.to_owned(), None),
        // With HTTP+SSE alone the login is not in effect.
        (format!(r#""type": "sse", "options": {{{login}}}"#), a.to_owned(), Some("`a` WITHOUT")),
        (
            format!(r#""type": "both", "options": {{{login}}}"#),
            r#""a": {"command": "x", "options": {"oauth2": {"enabled": false}}}"#.to_owned(),
            Some("`a` WITHOUT"),
        ),
    ];
    for (proxy, servers, part) in table {
        let told = exposure(&proxy, &servers);
        assert_eq!(told.is_some(), part.is_some(), "{proxy} {servers} {told:?}");
        assert!(told.unwrap_or_default().contains(part.unwrap_or_default()), "{proxy} {servers}");
    }
    let many: Vec<String> = (0..7).map(|n| format!(r#""s{n}/secret": {{"command": "x"}}"#)).collect();
    let told = exposure("", &many.join(", ")).expect("it is open");
    assert!(told.contains("`s4/***` and 2 more") && !told.contains("secret"), "{told}");
}
