//! `--check`: what the configuration comes to, without starting anything. No secret is shown. With `--tools` the servers
//! are started as well, see [`trial`]. Page templates that cannot be used are an error.

use crate::args::{Load, Log, Runtime};
use crate::load::{load, say, tell_exposure};
use crate::{templates, trial};
use mcp_proxy_core::config::{Config, Filter, OAuth2, Server, Transport};
use mcp_proxy_core::log::Level;
use mcp_proxy_core::route::{merged_paths, public_paths};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// Loads the configuration and prints the servers and their URLs; with a runtime also what the servers offer.
pub(crate) fn run(from: &Load, log: Log, runtime: Option<Runtime>) -> ExitCode {
    let Some(config) = load(from, log) else { return ExitCode::FAILURE };
    tell_exposure(&config, log);
    // Whoever closed stdout does not want to know.
    let _gone = std::io::stdout().write_all(report(&config).as_bytes());
    let faults = templates::faults(&config);
    if !faults.is_empty() {
        faults.into_iter().for_each(|fault| say(log, Level::Error, fault));
        return ExitCode::FAILURE;
    }
    match runtime {
        Some(runtime) => trial::run(config, log, runtime),
        None => ExitCode::SUCCESS,
    }
}

fn report(config: &Config) -> String {
    let mut out = format!("listens on {} ({})\n", config.addr, config.serve.name());
    let merged = merged_paths(config);
    if !merged.is_empty() {
        out.push_str("\nall servers\n");
    }
    for path in merged {
        let _ = writeln!(out, "  url     {}{path}", base(config));
    }
    for server in &config.servers {
        let _ = write!(out, "\n{}{}\n", server.label(), if server.disabled { " (disabled)" } else { "" });
        let _ = writeln!(out, "  server  {}", target(&server.transport));
        if !server.disabled {
            for path in public_paths(config, &server.name) {
                let _ = writeln!(
                    out,
                    "  url     {}{}",
                    base(config),
                    path.replacen(&server.name, &server.label(), 1)
                );
            }
        }
        let _ = writeln!(out, "  access  {}", config.access(server));
        out.push_str(&shown(server));
    }
    if config.servers.is_empty() {
        out.push_str("\nno servers\n");
    }
    if config.oauth2.as_ref().is_some_and(|oauth2| oauth2.enabled) {
        let _ = writeln!(out, "\nlogin at {}{}/oauth/authorize", base(config), config.base_path);
    }
    if let Some(oauth2) = config.oauth2.as_ref().filter(|oauth2| oauth2.enabled) {
        let _ = writeln!(out, "addresses of clients: {}", addresses(oauth2));
    }
    out
}

/// Whose word counts about the address of a client, and what that asks of a reverse proxy.
fn addresses(oauth2: &OAuth2) -> String {
    if oauth2.trust.proxies.is_empty() {
        return "those of their connections (trustedProxies)".to_owned();
    }
    match &oauth2.trust.header {
        Some(header) => format!("from {header}, which the reverse proxy must replace, not only pass on"),
        None => "from any known header. A reverse proxy that adds none leaves it to clients, allowedIPs included: let it \
                 set X-Forwarded-For (templates/fronts) and name that in clientIPHeader"
            .to_owned(),
    }
}

/// The public URL without its path, which the routes repeat.
pub(crate) fn base(config: &Config) -> String {
    match &config.base_url {
        Some(url) => url.origin(),
        None => format!("http://localhost:{}", config.addr.port),
    }
}

fn target(transport: &Transport) -> String {
    match transport {
        Transport::Stdio { command, args, .. } => {
            // Arguments may hold secrets, so only their number is shown.
            match args.len() {
                0 => format!("starts {command}"),
                1 => format!("starts {command} with 1 argument"),
                more => format!("starts {command} with {more} arguments"),
            }
        }
        Transport::Http { url, .. } => url.to_string(),
    }
}

/// What of the server is served, where that is not everything.
fn shown(server: &Server) -> String {
    let mut out = String::new();
    let filters = &server.filters;
    let kinds = [
        ("tools", &filters.tools),
        ("prompts", &filters.prompts),
        ("resources", filters.resources.written()),
    ];
    for (kind, filter) in kinds {
        let (mode, names) = match filter {
            Filter::None => continue,
            Filter::Allow(names) => ("only", names),
            Filter::Block(names) => ("all but", names),
        };
        let _ = writeln!(out, "  {kind:7} {mode} {}", names.iter().collect::<Vec<_>>().join(", "));
    }
    for (own, tool) in &server.tools {
        if tool.hidden {
            let _ = writeln!(out, "  tools   without {own}");
        } else if let Some(name) = &tool.name {
            let _ = writeln!(out, "  tools   {own} as {name}");
        }
    }
    out
}
