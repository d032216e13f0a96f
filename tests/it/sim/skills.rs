//! Skills (SEP-2640): they pass on a server's own endpoint, and those of all servers are one list on the merged one.

use super::{KINDS, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::MERGED;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

/// A server with these skills, by their paths.
fn skilled(cast: Cast, server: &str, paths: &[&str]) -> Cast {
    let uris: Vec<String> = paths.iter().map(|path| format!("skill://{path}/SKILL.md")).collect();
    cast.named(server, "skills", &uris).mind(server, |mind| {
        mind.greets = json!({"capabilities": {"extensions": {"io.modelcontextprotocol/skills": {}}}});
    })
}

#[track_caller]
fn listed(w: &mut World, c: usize) -> Vec<Value> {
    let answer = w.ask(c, "skills/list", json!({}));
    answer["result"]["skills"].as_array().unwrap_or_else(|| panic!("no list in {answer}")).clone()
}

fn read(w: &mut World, c: usize, uri: &str) -> Value {
    w.ask(c, "resources/read", json!({"uri": uri}))["result"]["contents"][0]["text"].clone()
}

#[test]
fn the_skills_of_all_servers_are_one_list() {
    // FT-302
    let cast = skilled(skilled(three(), "fs", &["git", "both"]), "web", &["both", "acme/refunds"]);
    story(cast.mind("web", |mind| mind.page = 1), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            let skills = listed(w, c);
            let of = |skill: &Value| (skill["uri"].clone(), skill["of"].clone());
            let found: Vec<(Value, Value)> = skills.iter().map(of).collect();
            let skill = |path: &str, of: &str| (json!(format!("skill://{path}/SKILL.md")), json!(of));
            assert_eq!(found, [skill("git", "fs"), skill("both", "fs"), skill("acme/refunds", "web")]);
            for (uri, of) in &found {
                let answer = w.ask(c, "skills/get", json!({"uri": uri}));
                assert_eq!((&answer["result"]["skill"]["uri"], &answer["result"]["skill"]["of"]), (uri, of));
                let of = of.as_str().unwrap();
                assert_eq!(read(w, c, uri.as_str().unwrap()), format!("of {of}"));
            }
            // Files of a skill, which nobody lists.
            assert_eq!(read(w, c, "skill://acme/refunds/references/deep/a.md"), "of web");
            assert_eq!(read(w, c, "skill://git/x.sh"), "of fs");
            assert_eq!(w.error_of(c, "resources/read", json!({"uri": "skill://other/x.sh"})), -32002);
            // Of two servers with skills nobody knows whose an unlisted one is.
            let unlisted = json!({"uri": "skill://unlisted/SKILL.md"});
            assert_eq!(w.error_of(c, "skills/get", unlisted.clone()), -32602);
            assert_eq!(w.error_of(c, "skills/get", json!({})), -32602);
            assert_eq!(w.error_of(c, "skills/put", json!({})), -32601);
            // A server's own endpoint is the server's.
            let c = w.client("web", kind);
            assert_eq!(listed(w, c).len(), 1, "a page as the server has them");
            assert!(w.ask(c, "skills/get", unlisted)["result"]["skill"].is_object());
        }
    });
}

#[test]
fn an_unlisted_skill_is_asked_of_the_only_server_that_has_skills() {
    // FT-302
    let block = json!({"resourceFilter": {"mode": "block", "list": ["skill://secret*"]}});
    story(skilled(three(), "web", &["git", "secret"]).options("web", block), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            assert_eq!(listed(w, c).len(), 1);
            let answer = w.ask(c, "skills/get", json!({"uri": "skill://unlisted/SKILL.md"}));
            assert_eq!(answer["result"]["skill"]["of"], "web");
            assert_eq!(w.error_of(c, "skills/get", json!({"uri": "skill://secret/SKILL.md"})), -32602);
            assert_eq!(w.error_of(c, "resources/read", json!({"uri": "skill://secret/x"})), -32002);
        }
    });
}

#[test]
fn without_a_server_that_has_skills_there_are_none() {
    // FT-302
    story(three(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            assert_eq!(w.error_of(c, "skills/list", json!({})), -32601);
            assert_eq!(w.error_of(c, "skills/get", json!({"uri": "skill://git/SKILL.md"})), -32601);
            assert!(w.heard("fs", "skills/list").is_empty());
        }
    });
}
