//! The layers of the engine, so that it has no circles: what stands on what.

use super::check;
use std::collections::BTreeSet;

/// The rooms of the engine from top to bottom: each may use those below its own line, and none beside it.
const LAYERS: [&[&str]; 14] = [
    &["shard"],
    &["proxy"],
    &["access", "bridge"],
    &["clients", "servers", "oauth"],
    &["view"],
    &["publish", "route"],
    &["catalog", "config"],
    &["mcp", "throttle"],
    &["effects", "net"],
    &["event", "jsonrpc", "ledger", "policy", "redirect_uri", "short_id", "timer", "sse"],
    &["health", "json", "http", "tls", "log"],
    &["line", "limits"],
    &["fault", "digest", "password", "rng", "time", "id"],
    &["buf", "glob", "redacted", "url"],
];

#[test]
fn rooms_of_the_engine_use_only_rooms_below() {
    let layer = |room: &str| LAYERS.iter().position(|rooms| rooms.contains(&room));
    check(|repo| {
        let mut findings = BTreeSet::new();
        for (source, number, line) in repo.lines().filter(|(source, number, _)| source.is_engine(*number)) {
            let Some(path) = source.path.strip_prefix("core/src/").filter(|path| *path != "lib.rs") else {
                continue;
            };
            let room = path.split(['/', '.']).next().unwrap_or_default();
            let Some(own) = layer(room) else {
                findings.insert(format!("{room}: is in no layer"));
                continue;
            };
            for used in line.split("crate::").skip(1) {
                let end = used.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(used.len());
                let used = &used[..end];
                if used != room && layer(used).is_some_and(|below| below <= own) {
                    findings.insert(format!("{}:{number}: {room} may not use {used}", source.path));
                }
            }
        }
        findings.into_iter().collect()
    });
}
