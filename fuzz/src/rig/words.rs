//! What is said in a session, for acts to pick from.

/// The configurations: each transport, all together, a login page, tokens, sessions of their own.
pub const CONFIGS: [&str; 7] = [
    r#"{"mcpProxy":{"type":"both"},"mcpServers":{"fs":{"command":"fs","env":{"T":"planted-secret"}}}}"#,
    r#"{"mcpProxy":{"type":"both"},"mcpServers":{"fs":{"url":"http://web.test/mcp","transportType":"streamable-http","headers":{"A":"planted-secret"}}}}"#,
    r#"{"mcpProxy":{"type":"both"},"mcpServers":{"fs":{"url":"http://old.test:8081/sse"}}}"#,
    r#"{"mcpProxy":{"type":"both"},"mcpServers":{"fs":{"command":"fs"},"web":{"url":"http://web.test/mcp","transportType":"streamable-http"},"old":{"url":"http://old.test:8081/sse"}}}"#,
    r#"{"mcpProxy":{"type":"both","options":{"oauth2":{"enabled":true,"users":{"ann":"planted-secret"},"clientIdMetadata":{"allowedHosts":["web.test"]}}}},"mcpServers":{"fs":{"command":"fs"}}}"#,
    r#"{"mcpProxy":{"type":"both","options":{"authTokens":["planted-secret"]}},"mcpServers":{"fs":{"command":"fs"}}}"#,
    r#"{"mcpProxy":{"type":"both"},"mcpServers":{"fs":{"command":"fs","options":{"sessions":"dedicated","maxSessions":2,"idleSeconds":1,"toolFilter":{"mode":"block","list":["b*"]}}},"web":{"command":"web","options":{"sessions":"shared"}}}}"#,
];

/// Where requests go; the empty one is the endpoint that an event named.
pub const PATHS: [&str; 8] = ["/fs/mcp", "/fs/mcp", "/mcp", "/fs/sse", "/sse", "", "/web/mcp", "/fs"];

/// Messages of clients.
pub const MESSAGES: [&str; 26] = [
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}},"clientInfo":{"name":"c","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{"sampling":{}},"clientInfo":{"name":"c","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","id":"0","method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"x"}}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"prompts/list"}"#,
    r#"{"jsonrpc":"2.0","id":4,"method":"resources/list"}"#,
    r#"{"jsonrpc":"2.0","id":5,"method":"resources/templates/list"}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"a","arguments":{"x":[1,2]},"_meta":{"progressToken":"p"}}}"#,
    r#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"fs__a","arguments":{}}}"#,
    r#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"a","task":{"ttl":1000}}}"#,
    r#"{"jsonrpc":"2.0","id":7,"method":"prompts/get","params":{"name":"p"}}"#,
    r#"{"jsonrpc":"2.0","id":8,"method":"resources/read","params":{"uri":"file:///x"}}"#,
    r#"{"jsonrpc":"2.0","id":9,"method":"resources/subscribe","params":{"uri":"file:///x"}}"#,
    r#"{"jsonrpc":"2.0","id":9,"method":"resources/unsubscribe","params":{"uri":"file:///x"}}"#,
    r#"{"jsonrpc":"2.0","id":10,"method":"logging/setLevel","params":{"level":"debug"}}"#,
    r#"{"jsonrpc":"2.0","id":11,"method":"ping"}"#,
    r#"{"jsonrpc":"2.0","id":12,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"x","value":""}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":6,"reason":"r"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
    r#"[{"jsonrpc":"2.0","id":20,"method":"ping"},{"jsonrpc":"2.0","id":21,"method":"tools/list"},{"jsonrpc":"2.0","method":"x"}]"#,
    r#"{"jsonrpc":"2.0","id":16777217,"result":{"roots":[]}}"#,
    r#"{"jsonrpc":"2.0","id":16777217,"error":{"code":-1,"message":"no"}}"#,
    r#"{"jsonrpc":"2.0","id":13,"method":"tasks/get","params":{"taskId":"t"}}"#,
];

/// Whole requests that are no messages.
pub const REQUESTS: [&str; 9] = [
    "GET /fs/sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
    "GET /.well-known/oauth-protected-resource/fs/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /oauth/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 78\r\n\r\n{\"redirect_uris\":[\"http://localhost/cb\"],\"token_endpoint_auth_method\":\"none\"} ",
    "GET /oauth/authorize?response_type=code&client_id=https%3A%2F%2Fweb.test%2Fc&redirect_uri=http%3A%2F%2Flocalhost%2Fcb&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&resource=http%3A%2F%2Flocalhost%2Ffs%2Fmcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 33\r\n\r\ngrant_type=authorization_code&x=y",
    "POST /fs/mcp HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "HEAD /fs/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
];

/// What a server says of its own accord.
pub const NOTES: [&str; 14] = [
    r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///x"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"alert","data":{"a":1}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":16777217,"progress":1}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":16777218,"progress":0.5,"total":2}}"#,
    r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#,
    r#"{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],"maxTokens":1,"_meta":{"progressToken":5}}}"#,
    r#"{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{"a":{"type":"string","oneOf":[{"const":"x","title":"y"}]}}}}}"#,
    r#"{"jsonrpc":"2.0","id":"u","method":"elicitation/create","params":{"mode":"url","message":"m","url":"https://x/","elicitationId":"i"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"s"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"i"}}"#,
    r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#,
    r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#,
];

/// What a server answers with that does not do what is expected.
pub const RESULTS: [&str; 9] = [
    r#""result":{}"#,
    r#""error":{"code":-32000,"message":"no"}"#,
    r#""error":{"code":-32042,"message":"go there","data":{"elicitations":[{"mode":"url","url":"https://x/","elicitationId":"i","message":"m"}]}}"#,
    r#""result":{"protocolVersion":"2025-03-26","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}"#,
    r#""result":{"protocolVersion":"2099-01-01","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#,
    r#""result":{"tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"a","inputSchema":{}},{"name":"b"}],"nextCursor":"n"}"#,
    r#""result":{"resourceTemplates":[{"uriTemplate":"file:///{path}","name":"t"},{"uriTemplate":"x{","name":"u"}]}"#,
    r#""result":{"task":{"taskId":"t","status":"working","ttl":1000,"pollInterval":100}}"#,
    r#""result":[]"#,
];

/// The head of an event stream.
pub const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// A message as an event.
pub fn event(message: &[u8]) -> String {
    format!("event: message\ndata: {}\n\n", String::from_utf8_lossy(message).replace(['\r', '\n'], " "))
}

/// What a server answers to this method.
pub fn result_of(method: &str) -> &'static str {
    match method {
        "initialize" => {
            r#""result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"logging":{},"completions":{},"tasks":{"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"s","version":"1"}}"#
        }
        "tools/list" => r#""result":{"tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"b"}]}"#,
        "prompts/list" => r#""result":{"prompts":[{"name":"p"}]}"#,
        "resources/list" => r#""result":{"resources":[{"uri":"file:///x","name":"x"}]}"#,
        "resources/templates/list" => {
            r#""result":{"resourceTemplates":[{"uriTemplate":"file:///{path}","name":"t"}]}"#
        }
        "tools/call" => r#""result":{"content":[{"type":"text","text":"ok"}]}"#,
        _ => r#""result":{}"#,
    }
}
