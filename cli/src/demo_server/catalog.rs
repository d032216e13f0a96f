//! What the demo server offers, as JSON, and the answers that depend on nothing but their parameters.
//!
//! Each list is made for one revision: a member that the revision does not know is left out, so that a strict client
//! of any age accepts it.

use serde_json::{Map, Value, json};

/// A revision of the protocol, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Revision {
    R2024_11_05,
    R2025_03_26,
    R2025_06_18,
    R2025_11_25,
}

impl Revision {
    /// The one asked for, or the newest if we do not speak that (basic/lifecycle § Version Negotiation).
    pub(super) fn negotiate(asked: &str) -> Self {
        match asked {
            "2024-11-05" => Self::R2024_11_05,
            "2025-03-26" => Self::R2025_03_26,
            "2025-06-18" => Self::R2025_06_18,
            _ => Self::R2025_11_25,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::R2024_11_05 => "2024-11-05",
            Self::R2025_03_26 => "2025-03-26",
            Self::R2025_06_18 => "2025-06-18",
            Self::R2025_11_25 => "2025-11-25",
        }
    }
}

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

impl Refusal {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(super) fn bad_params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }
}

/// JSON-RPC 2.0 § 5.1.
pub(super) const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0 § 5.1.
pub(super) const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC 2.0 § 5.1.
pub(super) const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC 2.0 § 5.1.
pub(super) const INVALID_PARAMS: i32 = -32602;
/// MCP, server/resources § Error Handling.
const RESOURCE_NOT_FOUND: i32 = -32002;

pub(super) type Answer = Result<Value, Refusal>;

/// The result of `initialize`.
pub(super) fn initialized(revision: Revision) -> Value {
    let mut capabilities = json!({"tools": {}, "prompts": {}, "resources": {}});
    let mut info = json!({"name": "mcp-proxy-demo", "version": env!("CARGO_PKG_VERSION")});
    if revision >= Revision::R2025_03_26 {
        capabilities["completions"] = json!({});
    }
    if revision >= Revision::R2025_06_18 {
        info["title"] = json!("mcp-proxy demo");
    }
    json!({
        "protocolVersion": revision.name(),
        "capabilities": capabilities,
        "serverInfo": info,
        "instructions": "The demo server inside mcp-proxy. Its tools have no side effects; call any of them to see \
            that the proxy works.",
    })
}

/// The result of `tools/list`.
pub(super) fn tools(revision: Revision) -> Value {
    let clock_output = json!({
        "type": "object",
        "properties": {
            "utc": {"type": "string", "description": "ISO 8601, in UTC"},
            "unixSeconds": {"type": "integer", "description": "seconds since 1970-01-01T00:00:00Z"},
        },
        "required": ["utc", "unixSeconds"],
    });
    let echo = json!({"text": {"type": "string", "description": "what to send back"}});
    let countdown = json!({
        "steps": {
            "type": "integer", "minimum": 1, "maximum": STEPS_MAX, "default": STEPS_DEFAULT,
            "description": "how many steps to count",
        },
        "delayMs": {
            "type": "integer", "minimum": 0, "maximum": DELAY_MS_MAX, "default": DELAY_MS_DEFAULT,
            "description": "milliseconds before each step",
        },
    });
    let ask = json!({"question": {"type": "string", "description": "what to ask"}});
    let mut clock = tool(revision, "clock", "Clock", "Tells the current time in UTC.", json!({}), &[]);
    if revision >= Revision::R2025_06_18 {
        clock["outputSchema"] = clock_output;
    }
    json!({"tools": [
        tool(revision, "echo", "Echo", "Sends back the text it is given.", echo, &["text"]),
        clock,
        tool(
            revision,
            "countdown",
            "Countdown",
            "Counts down slowly, reports progress at each step, and can be cancelled.",
            countdown,
            &[],
        ),
        tool(revision, "ask", "Ask", "Asks the user a question and returns the answer.", ask, &["question"]),
    ]})
}

fn tool(
    revision: Revision,
    name: &str,
    title: &str,
    description: &str,
    properties: Value,
    required: &[&str],
) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let mut tool = json!({"name": name, "description": description, "inputSchema": schema});
    if revision >= Revision::R2025_03_26 {
        tool["annotations"] = json!({"title": title, "readOnlyHint": true, "openWorldHint": false});
    }
    if revision >= Revision::R2025_06_18 {
        tool["title"] = json!(title);
    }
    tool
}

/// The result of a tool that answers with text.
pub(super) fn text_result(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": false})
}

/// The result of a tool that failed, in words for the model.
pub(super) fn error_result(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": true})
}

/// The result of `prompts/list`.
pub(super) fn prompts() -> Value {
    json!({"prompts": [{
        "name": "greeting",
        "description": GREETING,
        "arguments": [{"name": "name", "description": "who to greet", "required": true}],
    }]})
}

/// The result of `prompts/get`.
pub(super) fn prompt(params: &Map<String, Value>) -> Answer {
    match params.get("name").and_then(Value::as_str) {
        Some("greeting") => {}
        Some(_) => return Err(Refusal::bad_params("unknown prompt")),
        None => return Err(Refusal::bad_params("params.name must be a string")),
    }
    let name = params.get("arguments").and_then(|arguments| arguments.get("name")).and_then(Value::as_str);
    let name = name.ok_or_else(|| Refusal::bad_params("the prompt needs the argument name, a string"))?;
    let text = format!("Please greet {name} warmly, in one sentence.");
    Ok(json!({
        "description": GREETING,
        "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
    }))
}

/// The result of `resources/list`.
pub(super) fn resources() -> Value {
    json!({"resources": [{
        "uri": ABOUT_URI,
        "name": "about",
        "description": "What this server is.",
        "mimeType": "text/plain",
    }]})
}

/// The result of `resources/templates/list`.
pub(super) fn templates() -> Value {
    json!({"resourceTemplates": [{
        "uriTemplate": NUMBER_TEMPLATE,
        "name": "number",
        "description": "A few facts about a whole number.",
        "mimeType": "text/plain",
    }]})
}

/// The result of `resources/read`.
pub(super) fn resource(params: &Map<String, Value>) -> Answer {
    let Some(uri) = params.get("uri").and_then(Value::as_str) else {
        return Err(Refusal::bad_params("params.uri must be a string"));
    };
    let text = if uri == ABOUT_URI {
        Some(ABOUT.to_owned())
    } else {
        uri.strip_prefix("demo://number/").and_then(|digits| digits.parse().ok()).map(number)
    };
    match text {
        Some(text) => Ok(json!({"contents": [{"uri": uri, "mimeType": "text/plain", "text": text}]})),
        None => Err(Refusal {
            code: RESOURCE_NOT_FOUND,
            message: "resource not found".to_owned(),
            data: Some(json!({"uri": uri})),
        }),
    }
}

fn number(n: u64) -> String {
    let parity = if n.is_multiple_of(2) { "even" } else { "odd" };
    format!("{n} is {parity}. In binary it is {n:b}, in hexadecimal {n:x}.")
}

/// The result of `completion/complete`.
pub(super) fn completion(params: &Map<String, Value>) -> Answer {
    let text = |object: &str, member: &str| params.get(object)?.get(member)?.as_str();
    let (Some(kind), Some(argument), Some(value)) =
        (text("ref", "type"), text("argument", "name"), text("argument", "value"))
    else {
        return Err(Refusal::bad_params("ref.type, argument.name and argument.value must be strings"));
    };
    let value = value.to_lowercase();
    let values: Vec<&str> = match (kind, text("ref", "name"), text("ref", "uri"), argument) {
        ("ref/prompt", Some("greeting"), _, "name") => {
            NAMES.into_iter().filter(|name| name.to_lowercase().starts_with(&value)).collect()
        }
        ("ref/resource", _, Some(NUMBER_TEMPLATE), "n") => Vec::new(),
        _ => return Err(Refusal::bad_params("unknown reference or argument")),
    };
    Ok(json!({"completion": {"total": values.len(), "hasMore": false, "values": values}}))
}

/// Most steps of one countdown.
pub(super) const STEPS_MAX: u64 = 20;
/// Steps where none are given.
pub(super) const STEPS_DEFAULT: u64 = 5;
/// Longest time before a step.
pub(super) const DELAY_MS_MAX: u64 = 1000;
/// Time before a step where none is given.
pub(super) const DELAY_MS_DEFAULT: u64 = 200;

const ABOUT_URI: &str = "demo://about";
const NUMBER_TEMPLATE: &str = "demo://number/{n}";
const GREETING: &str = "Asks for a warm greeting.";
const ABOUT: &str = "This is the demo server inside mcp-proxy. It runs as a child of the proxy, as your own stdio \
    servers will. If you can read this through your client, the way there and back works.";
/// People who wrote programs; something to complete.
const NAMES: [&str; 7] = ["Ada", "Alan", "Barbara", "Edsger", "Grace", "Ken", "Margaret"];
