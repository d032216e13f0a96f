//! `mcp-proxy -- npx -y some-server`: one server without a configuration.
//!
//! Served on this machine alone, over both transports, at `/mcp` and `/sse` under the names that the server gives.

use crate::args::Log;
use crate::load::say;
use mcp_proxy_core::config::{self, Config, Source};
use mcp_proxy_core::json::quote;
use mcp_proxy_core::log::Level;

/// The configuration for the command of one server.
pub(crate) fn config(command: &[String], log: Log) -> Option<Config> {
    let name = name(command);
    let text = text(command, &name);
    match config::parse(&Source { text: &text, name: "the command line", strict: true, env: None }) {
        Ok(loaded) => {
            let addr = &loaded.config.addr;
            let line =
                format!("serving {name} for this machine alone at http://{addr}/mcp and http://{addr}/sse");
            say(log, Level::Info, line);
            Some(loaded.config)
        }
        Err(notices) => {
            for notice in notices {
                say(log, Level::Error, format!("the command of the server: {}", notice.message));
            }
            None
        }
    }
}

fn text(command: &[String], name: &str) -> String {
    let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
    format!(
        r#"{{"mcpProxy": {{"addr": "127.0.0.1:9090", "type": "both", "merged": {{"prefix": "never"}}}},
"mcpServers": {{{}: {{"command": [{}]}}}}}}"#,
        quote(name),
        words.join(", ")
    )
}

/// What the server is called: the package that a runner runs, or else the program.
fn name(command: &[String]) -> String {
    let Some((program, args)) = command.split_first() else { return FALLBACK.to_owned() };
    let program = base_name(program);
    // The first word that is neither a flag nor one of the runner's own.
    let is_package = |arg: &&String| !arg.starts_with('-') && !RUNNER_WORDS.contains(&arg.as_str());
    let package = args.iter().find(is_package).filter(|_| RUNNERS.contains(&program));
    let name = package.map_or(program, |package| base_name(package));
    // Without version and file type.
    let name = name.split(['@', '=', ':', '[']).next().unwrap_or_default();
    let name = FILE_TYPES.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    let is_taken = plain.starts_with('.') || TAKEN.contains(&plain.as_str());
    if plain.is_empty() || is_taken { FALLBACK.to_owned() } else { plain }
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path)
}

const FALLBACK: &str = "server";

/// Programs that run another one.
const RUNNERS: [&str; 17] = [
    "npx", "npm", "pnpm", "pnpx", "yarn", "bunx", "bun", "node", "deno", "uvx", "uv", "pipx", "python",
    "python3", "ruby", "docker", "podman",
];

/// Words that such programs take before what is run.
const RUNNER_WORDS: [&str; 6] = ["exec", "run", "dlx", "x", "tool", "start"];

const FILE_TYPES: [&str; 5] = [".js", ".mjs", ".cjs", ".ts", ".py"];

/// Paths of the proxy itself.
const TAKEN: [&str; 8] = ["mcp", "sse", "message", "oauth", "authorize", "token", "register", "health"];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_server_is_called_like_its_package_or_program() {
        let table = [
            ("npx -y @modelcontextprotocol/server-everything", "server-everything"),
            ("npx -y some-server@1.2.3 --flag", "some-server"),
            ("uvx mcp-server-time==2026.1", "mcp-server-time"),
            ("uv tool run mcp-server-time", "mcp-server-time"),
            ("/usr/bin/node /srv/weather.js", "weather"),
            ("docker run -i --rm mcp/time:latest", "time"),
            ("/opt/bin/my-server serve", "my-server"),
            ("npx", "npx"),
            ("npx -y mcp", "server"),
            ("./", "server"),
            ("", "server"),
        ];
        for (command, expected) in table {
            assert_eq!(name(&words(command)), expected, "{command}");
        }
    }

    #[test]
    fn the_command_arrives_as_it_was_given() {
        // FT-402
        let command: Vec<String> = ["my \"x\"", "a b", "$HOME", "${X", "\\n", "ä"].map(str::to_owned).into();
        let text = text(&command, "my");
        let loaded = config::parse(&Source { text: &text, name: "x", strict: true, env: None }).unwrap();
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.config.exposure(), None);
        let config::Transport::Stdio { command: program, args, .. } = &loaded.config.servers[0].transport
        else {
            panic!("not stdio")
        };
        assert_eq!((program, args.as_slice()), (&command[0], &command[1..]));
    }
}
