//! What is stored.

use super::stage::{Client, Plan, Run, Running, Scratch};
use mcp_proxy_os::StoreOptions;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const STORE: &str = "oauth_clients.json";

fn plan(scratch: &Scratch) -> Plan {
    let store = StoreOptions {
        dir: scratch.path().join("kept"),
        templates: scratch.path().to_owned(),
        users_file: None,
    };
    let oauth2 = json!({"enabled": true, "users": {"ann": "secret"}, "allowedRedirectURIs": ["loopback"]});
    Plan { oauth2, store: Some(store), ..Plan::of(json!({})) }
}

fn file(scratch: &Scratch) -> PathBuf {
    scratch.path().join("kept").join(STORE)
}

fn register(proxy: &Running) {
    let body =
        json!({"redirect_uris": ["http://127.0.0.1:1/callback"], "token_endpoint_auth_method": "none"});
    let body = body.to_string();
    let mut client = Client::connect(proxy.addr);
    let head = format!(
        "POST /register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.socket.write_all((head + &body).as_bytes()).unwrap();
    let answer = client.response();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

fn clients(scratch: &Scratch) -> usize {
    let stored: Value = serde_json::from_slice(&fs::read(file(scratch)).unwrap()).unwrap();
    stored["clients"].as_object().unwrap().len()
}

pub(super) fn what_was_registered_is_there_after_a_restart(run: Run) {
    let scratch = Scratch::new();
    for count in 1..=3 {
        let proxy = plan(&scratch).start(run);
        register(&proxy);
        // It was answered, so it is there: no stop is needed for that.
        assert_eq!(clients(&scratch), count);
    }
}

pub(super) fn two_proxies_do_not_share_a_directory(run: Run) {
    // T-45
    let scratch = Scratch::new();
    let _first = plan(&scratch).start(run);
    let mut second = plan(&scratch).launch(run, "127.0.0.1:0");
    second.line("another process uses");
    assert_eq!(second.code(), 1);
}

pub(super) fn a_wide_file_is_tightened_and_told(run: Run) {
    // T-43
    let scratch = Scratch::new();
    register(&plan(&scratch).start(run));
    fs::set_permissions(file(&scratch), Permissions::from_mode(0o644)).unwrap();
    let proxy = plan(&scratch).launch(run, "127.0.0.1:0");
    proxy.line("had mode 0644");
    proxy.line("listening on ");
    assert_eq!(fs::metadata(file(&scratch)).unwrap().permissions().mode() & 0o7777, 0o600);
}

pub(super) fn a_broken_file_is_set_aside(run: Run) {
    // OA-174
    let scratch = Scratch::new();
    register(&plan(&scratch).start(run));
    fs::write(file(&scratch), "{").unwrap();
    let proxy = plan(&scratch).launch(run, "127.0.0.1:0");
    let line = proxy.line("oauth_clients.json.corrupt-");
    let at = line.find("oauth_clients.json.corrupt-").unwrap();
    let name = line[at..].split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).next().unwrap();
    let aside = fs::read_to_string(file(&scratch).with_file_name(name)).unwrap();
    assert_eq!(aside, "{");
}
