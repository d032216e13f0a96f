//! One MCP server's answers, written straight into a buffer: tools `echo`, `blob`, `sleep` and dummies.

use std::borrow::Cow;
use std::io::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

const LATEST: &str = "2025-11-25";
pub(crate) const MODERN: &str = "2026-07-28";
const KNOWN: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<Arguments<'a>>,
    #[serde(borrow, rename = "protocolVersion")]
    protocol_version: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    protocol_version: Option<Cow<'a, str>>,
}

/// Arguments of all the tools. `text` stays raw so that it is echoed verbatim.
#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    bytes: Option<u64>,
    ms: Option<u64>,
}

/// What to do with one incoming message.
pub(crate) enum Answer {
    /// Nothing to send (a notification or a response).
    None,
    /// The reply is in the output buffer; `initialize` says which request it was.
    Now { initialize: bool },
    /// The reply is in the output buffer but is due only after so many ms.
    After(u64),
}

pub(crate) struct Mcp {
    tools_list: Vec<u8>,
    filler: Vec<u8>,
}

impl Mcp {
    pub(crate) fn new(dummies: usize) -> Mcp {
        let mut t = String::from(concat!(
            r#"[{"name":"echo","description":"Returns its text argument.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},"#,
            r#"{"name":"blob","description":"Returns so many bytes of text.","inputSchema":{"type":"object","properties":{"bytes":{"type":"integer"}},"required":["bytes"]}},"#,
            r#"{"name":"sleep","description":"Answers after so many milliseconds.","inputSchema":{"type":"object","properties":{"ms":{"type":"integer"},"text":{"type":"string"}},"required":["ms"]}}"#
        ));
        for i in 0..dummies {
            t.push_str(&format!(
                concat!(
                    r#",{{"name":"tool_{:04}","description":"Dummy tool number {} of the benchmark's stub server; it takes a path, a limit and a flag and returns a line of text.","#,
                    r#""inputSchema":{{"type":"object","properties":{{"path":{{"type":"string","description":"Where to look"}},"limit":{{"type":"integer","minimum":0,"maximum":1000}},"recursive":{{"type":"boolean","default":false}}}},"required":["path"]}}}}"#
                ),
                i, i
            ));
        }
        t.push(']');
        Mcp { tools_list: t.into_bytes(), filler: Vec::new() }
    }

    /// Appends the reply to `msg` (without a newline) to `out`.
    pub(crate) fn handle(&mut self, msg: &[u8], out: &mut Vec<u8>) -> Answer {
        let Ok(req) = serde_json::from_slice::<Request>(msg) else {
            error(out, "null", -32700, "parse error");
            return Answer::Now { initialize: false };
        };
        let (Some(method), Some(id)) = (req.method, req.id) else { return Answer::None };
        let id = id.get();
        let params = req.params.unwrap_or_default();
        let modern = params.meta.as_ref().is_some_and(|m| m.protocol_version.is_some());
        if let Some(v) = params.meta.as_ref().and_then(|m| m.protocol_version.as_deref())
            && v != MODERN
        {
            error(out, id, -32022, "unsupported protocol version");
            return Answer::Now { initialize: false };
        }
        let mut initialize = false;
        match method.as_ref() {
            "tools/call" => {
                let args = params.arguments.unwrap_or(Arguments { text: None, bytes: None, ms: None });
                let name = params.name.as_deref().unwrap_or("");
                let text = args.text.map_or("\"\"", RawValue::get);
                match name {
                    "blob" => {
                        let n = args.bytes.unwrap_or(0).min(256 << 20) as usize;
                        if self.filler.len() < n {
                            self.filler.resize(n, b'x');
                        }
                        begin(out, id, modern);
                        out.extend_from_slice(br#""content":[{"type":"text","text":""#);
                        out.extend_from_slice(&self.filler[..n]);
                        out.extend_from_slice(br#""}]}}"#);
                    }
                    "echo" | "sleep" => {
                        begin(out, id, modern);
                        out.extend_from_slice(br#""content":[{"type":"text","text":"#);
                        out.extend_from_slice(text.as_bytes());
                        out.extend_from_slice(b"}]}}");
                        if name == "sleep" {
                            return Answer::After(args.ms.unwrap_or(0).min(600_000));
                        }
                    }
                    n if n.starts_with("tool_") => {
                        begin(out, id, modern);
                        out.extend_from_slice(br#""content":[{"type":"text","text":"dummy"}]}}"#);
                    }
                    _ => error(out, id, -32602, "unknown tool"),
                }
            }
            "tools/list" => {
                begin(out, id, modern);
                cache_hints(out, modern);
                out.extend_from_slice(br#""tools":"#);
                out.extend_from_slice(&self.tools_list);
                out.extend_from_slice(b"}}");
            }
            "initialize" => {
                initialize = true;
                let wanted = params.protocol_version.as_deref().unwrap_or(LATEST);
                let version = if KNOWN.contains(&wanted) { wanted } else { LATEST };
                begin(out, id, false);
                let _ = write!(
                    out,
                    r#""protocolVersion":"{version}","capabilities":{{"tools":{{"listChanged":true}}}},"serverInfo":{{"name":"stub-upstream","version":"{}"}}}}}}"#,
                    env!("CARGO_PKG_VERSION")
                );
            }
            "server/discover" => {
                begin(out, id, true);
                cache_hints(out, true);
                let _ =
                    write!(out, r#""supportedVersions":["{MODERN}"],"capabilities":{{"tools":{{}}}}}}}}"#);
            }
            "ping" | "logging/setLevel" => {
                let _ = write!(out, r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            }
            "prompts/list" => list(out, id, modern, "prompts"),
            "resources/list" => list(out, id, modern, "resources"),
            "resources/templates/list" => list(out, id, modern, "resourceTemplates"),
            _ => error(out, id, -32601, "method not found"),
        }
        Answer::Now { initialize }
    }
}

fn begin(out: &mut Vec<u8>, id: &str, modern: bool) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(br#","result":{"#);
    if modern {
        out.extend_from_slice(br#""resultType":"complete","#);
    }
}

fn cache_hints(out: &mut Vec<u8>, modern: bool) {
    if modern {
        out.extend_from_slice(br#""ttlMs":0,"cacheScope":"private","#);
    }
}

fn list(out: &mut Vec<u8>, id: &str, modern: bool, key: &str) {
    begin(out, id, modern);
    cache_hints(out, modern);
    let _ = write!(out, r#""{key}":[]}}}}"#);
}

fn error(out: &mut Vec<u8>, id: &str, code: i32, message: &str) {
    let _ = write!(out, r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#);
}
