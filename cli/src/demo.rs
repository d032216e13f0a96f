//! `--demo`: the proxy in front of the built-in server, so that a new user sees it work on a machine that has
//! nothing else.

use crate::args::{Log, Runtime};
use crate::load::say;
use crate::serve::{own_program, serve};
use mcp_proxy_core::config::{self, Source};
use mcp_proxy_core::json::quote;
use mcp_proxy_core::log::Level;
use std::io::Write;
use std::net::TcpListener;
use std::process::ExitCode;

/// The port of the original's examples.
const PORT: u16 = 9090;

/// Serves the demo until it is told to stop.
pub(crate) fn run(log: Log, runtime: Runtime) -> ExitCode {
    let Some(program) = own_program() else {
        say(log, Level::Error, "cannot find the path of this program".to_owned());
        return ExitCode::FAILURE;
    };
    let port = free_port();
    let text = configuration(&program.to_string_lossy(), port);
    match config::parse(&Source { text: &text, name: "demo", strict: true, env: None }) {
        Ok(loaded) => {
            let _gone = std::io::stdout().write_all(welcome(port).as_bytes());
            serve(loaded.config, log, runtime)
        }
        Err(notices) => {
            for notice in notices {
                say(log, Level::Error, notice.to_string());
            }
            ExitCode::FAILURE
        }
    }
}

/// The usual port, or any other when that is taken.
fn free_port() -> u16 {
    let bound = TcpListener::bind(("127.0.0.1", PORT)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    bound.and_then(|listener| listener.local_addr()).map_or(PORT, |addr| addr.port())
}

fn configuration(program: &str, port: u16) -> String {
    format!(
        r#"{{
  "mcpProxy": {{"addr": "127.0.0.1:{port}", "baseURL": "http://localhost:{port}", "name": "MCP Proxy", "version": "1.0.0", "type": "both"}},
  "mcpServers": {{"demo": {{"command": {}, "args": ["demo-server"]}}}}
}}"#,
        quote(program)
    )
}

fn welcome(port: u16) -> String {
    format!(
        r#"mcp-proxy is serving its built-in demo server. Stop it with Ctrl-C.

  Streamable HTTP  http://localhost:{port}/demo/mcp
  HTTP+SSE         http://localhost:{port}/demo/sse

Say hello to it:

  curl -s http://localhost:{port}/demo/mcp -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
    -d '{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"curl","version":"1"}}}}}}'

Or paste this into the configuration of your MCP client:

  {{
    "mcpServers": {{
      "demo": {{ "type": "http", "url": "http://localhost:{port}/demo/mcp" }}
    }}
  }}

"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_configuration_is_clean() {
        let text = configuration("/a \"b\"/mcp-proxy", 1234);
        let loaded = config::parse(&Source { text: &text, name: "demo", strict: true, env: None }).unwrap();
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.config.addr.port, 1234);
        assert!(welcome(1234).contains("http://localhost:1234/demo/mcp"));
    }
}
