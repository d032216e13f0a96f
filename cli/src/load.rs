//! A configuration from where it lies, checked.

use crate::args::{Load, Log};
use crate::bare;
use crate::home;
use crate::log;
use mcp_proxy_core::config::{self, Config, Notice, Severity, Source};
use mcp_proxy_core::log::{Level, Record};
use mcp_proxy_core::url::Url;
use std::io::ErrorKind;

/// Reads and checks the configuration; what is wrong with it goes to the log. `None` after an error.
pub(crate) fn load(load: &Load, log: Log) -> Option<Config> {
    if !load.command.is_empty() {
        return bare::config(&load.command, log);
    }
    let text = match read(load) {
        Ok(text) => text,
        Err(reason) => {
            say(log, Level::Error, format!("Failed to load config: {reason}"));
            return None;
        }
    };
    let lookup = |name: &str| variable(name);
    let env: Option<config::Lookup<'_>> = load.expand_env.then_some(&lookup);
    let source = Source { text: &text, name: &load.location, strict: load.strict, env };
    match config::parse(&source) {
        Ok(loaded) => {
            tell(log, &loaded.warnings);
            if loaded.of_client {
                say(log, Level::Info, of_client(&load.location, &loaded.config));
            }
            let mut config = loaded.config;
            home::expand(&mut config, home::dir().as_deref());
            Some(config)
        }
        Err(notices) => {
            tell(log, &notices);
            let errors = notices.iter().filter(|notice| notice.severity == Severity::Error).count();
            let plural = if errors == 1 { "" } else { "s" };
            say(log, Level::Error, format!("Failed to load config: {errors} error{plural}, see above"));
            None
        }
    }
}

/// What becomes of the file of an MCP client.
fn of_client(location: &str, config: &Config) -> String {
    let addr = &config.addr;
    let count = config.servers.iter().filter(|server| !server.disabled).count();
    let servers = if count == 1 { "1 server".to_owned() } else { format!("{count} servers") };
    format!(
        "{location} is the file of an MCP client (it has no `mcpProxy`): {servers} for this machine alone, together at \
         http://{addr}/mcp and http://{addr}/sse, each at /<name>/mcp and /<name>/sse"
    )
}

/// Warns if everybody on the network may use a server.
pub(crate) fn tell_exposure(config: &Config, log: Log) {
    if let Some(warning) = config.exposure() {
        say(log, Level::Warn, warning);
    }
}

/// Further root certificates that the operator trusts (`SSL_CERT_FILE`, PEM).
///
/// # Errors
/// The file cannot be read.
pub(crate) fn extra_roots() -> Result<Option<Vec<u8>>, String> {
    let Some(path) = variable("SSL_CERT_FILE").filter(|path| !path.is_empty()) else { return Ok(None) };
    let path = home::path(&path, home::dir().as_deref()).unwrap_or(path);
    std::fs::read(&path).map(Some).map_err(|error| format!("cannot read SSL_CERT_FILE {path}: {error}"))
}

/// Writes a line of the command line's own to the log.
pub(crate) fn say(log: Log, level: Level, message: String) {
    log::write(log, &Record { level, server: None, message }, log::unix());
}

fn tell(log: Log, notices: &[Notice]) {
    for notice in notices {
        let level = match notice.severity {
            Severity::Warning => Level::Warn,
            Severity::Error => Level::Error,
        };
        // The severity stands at the head of the line already.
        let Notice { source, line, column, message, .. } = notice;
        say(log, level, format!("{source}:{line}:{column}: {message}"));
    }
}

/// The text of the configuration.
fn read(load: &Load) -> Result<String, String> {
    let location = &load.location;
    let bytes = if location.starts_with("http://") || location.starts_with("https://") {
        let url = Url::parse(location).map_err(|error| format!("{error}"))?;
        let headers: Vec<(String, String)> =
            load.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let roots = extra_roots()?;
        mcp_proxy_os::fetch(&url, &headers, load.timeout, load.insecure, roots.as_deref())?
    } else if location.contains("://") {
        let scheme = location.split("://").next().unwrap_or_default();
        return Err(format!(
            "unsupported config path: {scheme}:// is neither a local path nor an http(s) URL"
        ));
    } else {
        let path = match load.expand_env {
            true => config::expand_env(location, variable).text,
            false => location.clone(),
        };
        let path = home::path(&path, home::dir().as_deref()).unwrap_or(path);
        std::fs::read(&path).map_err(|error| {
            let next = if error.kind() == ErrorKind::NotFound { NEXT_STEPS } else { "" };
            format!("{path}: {error}{next}")
        })?
    };
    String::from_utf8(bytes).map_err(|_| format!("{location} is not UTF-8 text"))
}

/// What to do without a configuration.
const NEXT_STEPS: &str = concat!(
    "\n  To see it work:       mcp-proxy --demo",
    "\n  To serve one server:  mcp-proxy -- npx -y @modelcontextprotocol/server-everything",
    "\n  To serve several:     mcp-proxy -config mcp.json, the file of your MCP client (mcpServers) or one of its own:",
    "\n      {\"mcpProxy\": {\"addr\": \"127.0.0.1:9090\", \"type\": \"both\"},",
    "\n       \"mcpServers\": {\"time\": {\"command\": \"uvx\", \"args\": [\"mcp-server-time\"]}}}",
    "\n  All keys are in cli/CONFIG.md (see the README) and templates/config.jsonc: ",
    env!("CARGO_PKG_REPOSITORY"),
);

#[expect(clippy::disallowed_methods, reason = "the command line is what reads the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
