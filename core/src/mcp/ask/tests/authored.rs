//! Questions of an author with many spellings, and what becomes of them compared with a second telling over trees.

use super::*;
use crate::rng::Rng;
use serde_json::json;

/// Makes questions that are valid for the newest revision, in any order and spelling of their members.
struct Author(Rng);

impl Author {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.below(of.len() as u64) as usize]
    }

    fn blank(&mut self) -> &'static str {
        self.pick(&["", "", "", " ", "\t", "  "])
    }

    fn shuffle(&mut self, items: &mut [String]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.0.below(i as u64 + 1) as usize);
        }
    }

    fn wrap(&mut self, open: &str, items: &[String], close: &str) -> String {
        let mut out = format!("{open}{}", self.blank());
        for (i, item) in items.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            out += &format!("{comma}{}{item}{}", self.blank(), self.blank());
        }
        out + close
    }

    /// An object with these members and sometimes one that nobody knows, shuffled.
    fn object(&mut self, members: &[(&str, String)]) -> String {
        let mut items = Vec::new();
        for (name, value) in members {
            items.push(format!("\"{name}\"{}:{}{value}", self.blank(), self.blank()));
        }
        if self.0.below(2) == 0 {
            items.push(self.pick(&[r#""x-1":-0.0e+7"#, r#""\u0078":["}\"",{}]"#, r#""":null"#]).to_owned());
        }
        self.shuffle(&mut items);
        self.wrap("{", &items, "}")
    }

    fn array(&mut self, mut item: impl FnMut(&mut Self) -> String) -> String {
        let items: Vec<String> = (0..self.0.below(4)).map(|_| item(self)).collect();
        self.wrap("[", &items, "]")
    }

    fn string(&mut self) -> String {
        self.pick(&[r#""plain""#, r#""""#, r#""q\"\\\/\u00e9""#, r#""é😀\n""#, r#""{\"task\":[1,""#])
            .to_owned()
    }

    fn block(&mut self) -> String {
        let text = self.string();
        let kind = self.pick(&[r#""text""#, r#""t\u0065xt""#]).to_owned();
        self.object(&[("type", kind), ("text", text)])
    }

    fn message(&mut self) -> String {
        let role = self.pick(&[r#""user""#, r#""assistant""#]).to_owned();
        let content = if self.0.below(2) == 0 { self.block() } else { self.array(Self::block) };
        self.object(&[("role", role), ("content", content)])
    }

    fn field(&mut self) -> String {
        let (title, value) = (self.string(), self.string());
        match self.0.below(5) {
            0 => self.object(&[("type", r#""string""#.to_owned()), ("title", title)]),
            1 => self.object(&[("type", r#""number""#.to_owned()), ("minimum", "1.50".to_owned())]),
            2 => {
                let list = self.array(Self::string);
                self.object(&[("type", r#""string""#.to_owned()), ("enum", list)])
            }
            3 => {
                let choices = self.array(|author| {
                    let (value, title) = (author.string(), author.string());
                    author.object(&[("const", value), ("title", title)])
                });
                self.object(&[("type", r#""string""#.to_owned()), ("oneOf", choices), ("default", value)])
            }
            _ => {
                let list = self.array(Self::string);
                let items = self.object(&[("type", r#""string""#.to_owned()), ("enum", list)]);
                self.object(&[("type", r#""array""#.to_owned()), ("items", items)])
            }
        }
    }

    /// The members of a question that needs no change.
    fn members(&mut self, ask: Ask) -> Vec<(&'static str, String)> {
        let mut members = match ask {
            Ask::Roots | Ask::Other => Vec::new(),
            Ask::Sampling => {
                let context = self.pick(&[r#""none""#, r#""thisServer""#]).to_owned();
                let tool = self.object(&[("name", r#""t""#.to_owned()), ("inputSchema", "{}".to_owned())]);
                let messages = self.array(Self::message);
                let maximum = self.pick(&["1", "100", "1E2", "1.0"]).to_owned();
                vec![
                    ("messages", messages),
                    ("maxTokens", maximum),
                    ("includeContext", context),
                    ("tools", format!("[{tool}]")),
                ]
            }
            Ask::Elicitation if self.0.below(3) == 0 => {
                let (id, message) = (self.string(), self.string());
                let url = r#""https://a.example/?task=1""#.to_owned();
                vec![
                    ("mode", r#""url""#.to_owned()),
                    ("elicitationId", id),
                    ("message", message),
                    ("url", url),
                ]
            }
            Ask::Elicitation => {
                let (a, b, message) = (self.field(), self.field(), self.string());
                let fields = self.object(&[("mode", a), ("oneOf", b)]);
                let schema = self.object(&[("type", r#""object""#.to_owned()), ("properties", fields)]);
                vec![("message", message), ("requestedSchema", schema)]
            }
        };
        if self.0.below(2) == 0 {
            let trace = self.string();
            let meta = self.object(&[("traceparent", trace)]);
            members.push(("_meta", meta));
        }
        members
    }
}

#[test]
fn a_question_that_needs_no_change_passes_byte_for_byte() {
    // BR-38
    let mut author = Author(Rng::new([1; 32]));
    for _ in 0..300 {
        for ask in ALL {
            let members = author.members(ask);
            let params = author.object(&members);
            passes(ask, &params, NEW, FULL);
            assert_eq!(put(ask, &params.replace(' ', "\n"), NEW, FULL), Ok(params));
        }
    }
}

#[test]
fn only_what_must_go_goes() {
    // BR-38, DL-14
    let mut author = Author(Rng::new([2; 32]));
    for round in 0..300 {
        for ask in ALL {
            let mut members = author.members(ask);
            members.retain(|(name, _)| *name != "_meta");
            let token = author.pick(&["1", "\"a b\"", "-7"]).to_owned();
            let meta = author.object(&[("progressToken", token), ("traceparent", "7".to_owned())]);
            members.extend([("_meta", meta), ("task", "{\"ttl\" : 5}".to_owned())]);
            let params = author.object(&members);
            let mut expected: Value = serde_json::from_str(&params).unwrap();
            expected.as_object_mut().unwrap().remove("task");
            expected["_meta"]["progressToken"] = json!(4711);
            let mut capabilities = FULL;
            if ask == Ask::Sampling && round % 2 == 0 {
                capabilities = r#"{"sampling":{"tools":{}}}"#;
                if expected["includeContext"] != "none" {
                    expected.as_object_mut().unwrap().remove("includeContext");
                }
            }
            let out = put(ask, &params, NEW, capabilities).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected, "{params}\n{out}");
        }
    }
}

/// What an older client must find in a question, written a second time over a tree.
fn downgraded(ask: Ask, mut value: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    match ask {
        Ask::Roots | Ask::Other => {}
        Ask::Elicitation => {
            members.remove("mode");
            for (_, field) in members["requestedSchema"]["properties"].as_object_mut().unwrap() {
                let Some(field) = field.as_object_mut() else { continue };
                if let Some(choices) = field.remove("oneOf") {
                    let all =
                        |name: &str| choices.as_array().unwrap().iter().map(|c| c[name].clone()).collect();
                    field.insert("enum".to_owned(), all("const"));
                    field.insert("enumNames".to_owned(), all("title"));
                }
            }
        }
        Ask::Sampling => {
            members.remove("tools");
            let mut messages = Vec::new();
            for message in members["messages"].as_array().unwrap() {
                let none = vec![json!({"type": "text", "text": ""})];
                let blocks = match message["content"].as_array() {
                    Some(blocks) if blocks.is_empty() => none,
                    Some(blocks) => blocks.clone(),
                    None => vec![message["content"].clone()],
                };
                let mut first = message.clone();
                first["content"] = blocks[0].clone();
                messages.push(first);
                let rest = blocks[1..].iter();
                messages.extend(rest.map(|block| json!({"role": message["role"], "content": block})));
            }
            members["messages"] = Value::Array(messages);
        }
    }
    value
}

#[test]
fn a_downgrade_says_the_same_in_older_words() {
    // BR-40, BR-41
    let mut author = Author(Rng::new([3; 32]));
    let mut seen = [0; 3];
    for _ in 0..600 {
        for ask in ALL {
            let mut members = author.members(ask);
            members.retain(|(name, _)| *name != "tools");
            let params = author.object(&members);
            let value: Value = serde_json::from_str(&params).unwrap();
            let out = put(ask, &params, Revision::V2025_06_18, FULL);
            let fields = value["requestedSchema"]["properties"].as_object();
            let several = fields.is_some_and(|fields| fields.values().any(|field| field["type"] == "array"));
            match out {
                Err(Refusal::Error { code, .. }) => {
                    assert_eq!((code, &value["mode"]), (-32602, &json!("url")))
                }
                Err(cancel) => assert!(several && cancel == CANCEL),
                Ok(out) => {
                    assert!(!several && value["mode"] != "url");
                    let expected = downgraded(ask, value);
                    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), expected, "{params}\n{out}");
                    seen[ask as usize] += 1;
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}
