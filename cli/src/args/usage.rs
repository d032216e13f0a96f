//! The tables of flags and sub-commands, and the texts made from them.
//!
//! One row is the whole truth about a flag: its name, whether it takes a value, its default and its help. Parser,
//! defaults, help text and suggestions all read this table. Layout follows Go's `flag.PrintDefaults`, which users of
//! the original know; defaults that say nothing (`false`, an empty string) are left out there too.

use crate::nearest;

/// One flag.
pub(super) struct Flag {
    /// Name without dashes.
    pub(super) name: &'static str,
    /// Whether a value follows.
    pub(super) takes: Takes,
    /// The value where none is given, in the spelling argh reads; empty where there is none.
    pub(super) default: &'static str,
    /// What it does, one line.
    help: &'static str,
}

/// Whether a value follows a flag.
pub(super) enum Takes {
    /// A boolean: alone, or with `=true` or `=false`.
    Nothing,
    /// A value, with the noun that stands for it in the help.
    Value(&'static str),
}

/// All flags, in the order of the help text.
pub(super) fn flags() -> impl Iterator<Item = &'static Flag> {
    GROUPS.iter().flat_map(|(_, flags)| flags.iter())
}

/// The answer to `-help`.
pub(super) fn help() -> String {
    format!(
        "mcp-proxy {}: one small program between any MCP client and any MCP server\n\n{}\n{EPILOGUE}",
        env!("CARGO_PKG_VERSION"),
        usage()
    )
}

/// The list of flags.
fn usage() -> String {
    let mut text = "Usage of mcp-proxy:\n".to_owned();
    for (title, flags) in GROUPS {
        text.push_str(&format!("\n{title}:\n"));
        for flag in *flags {
            text.push_str(&entry(flag));
        }
    }
    text.push_str("\nInstead of serving the config, as a word:\n");
    for (command, help) in COMMANDS {
        text.push_str(&format!("  {command}\n        {help}\n"));
    }
    text.push_str("  -- <program> [<argument> ...]\n        serve this one MCP server on 127.0.0.1:9090\n");
    text
}

/// The known flag that was probably meant: the one with the fewest typing errors, at most one in three letters, or
/// else the only one that begins like this.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    if let Some(near) = nearest::nearest(name, flags().map(|flag| flag.name)) {
        return Some(near);
    }
    let mut beginning = flags().map(|flag| flag.name).filter(|known| known.starts_with(name));
    beginning.next().filter(|_| beginning.next().is_none())
}

fn entry(flag: &Flag) -> String {
    let (noun, quote) = match flag.takes {
        Takes::Nothing => (String::new(), ""),
        Takes::Value("int") => (" int".to_owned(), ""),
        Takes::Value(noun) => (format!(" {noun}"), "\""),
    };
    let default = match flag.default {
        "" | "false" => String::new(),
        value => format!(" (default {quote}{value}{quote})"),
    };
    format!("  -{}{noun}\n        {}{default}\n", flag.name, flag.help)
}

const fn switch(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::Nothing, default, help }
}

const fn value(name: &'static str, noun: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::Value(noun), default, help }
}

const GROUPS: &[(&str, &[Flag])] = &[
    (
        "Configuration",
        &[
            value("config", "string", "config.json", "path to config file or a http(s) url"),
            switch("expand-env", "true", "replace $NAME and ${NAME} in the config by environment values"),
            switch("strict", "false", "treat unknown keys in the config as errors instead of warnings"),
        ],
    ),
    (
        "When -config is a url",
        &[
            value("http-headers", "string", "", "request headers to fetch it with, as 'K1:V1;K2:V2'"),
            value("http-timeout", "int", "10", "seconds to wait for it, 0 or less for no limit"),
            switch(
                "insecure",
                "false",
                "allow insecure HTTPS by skipping TLS certificate verification; also for oauth doctor",
            ),
        ],
    ),
    (
        "Instead of serving the config",
        &[
            switch("check", "false", "load the config, report every problem in it and exit"),
            switch(
                "tools",
                "false",
                "with -check: also start the servers and print what each of them offers",
            ),
            switch(
                "demo",
                "false",
                "serve a small built-in MCP server; needs no config and nothing installed",
            ),
            switch(
                "eject-templates",
                "false",
                "write the built-in pages to oauth/ in templateDir of the config, to be edited there",
            ),
            value("eject-templates-to", "dir", "", "write them to oauth/ in this directory; needs no config"),
            switch("force", "false", "overwrite pages there that differ from the built-in ones"),
        ],
    ),
    (
        "After the word client-config or the words oauth doctor",
        &[
            value("for", "client", "", "of client-config: the client, see below; without it, all of them"),
            value("server", "name", "", "one server alone, instead of the merged endpoint"),
            switch("long", "false", "of oauth doctor: also see whether an answer that takes 20 s arrives"),
        ],
    ),
    ("Running", &[value("runtime", RUNTIMES, RUNTIME, "what the proxy runs on; both do the same")]),
    (
        "Logging",
        &[
            value("log-format", "text|json", "text", "shape of a log line"),
            value("log-level", "error|warn|info|debug|trace", "info", "least severe level to write"),
        ],
    ),
    (
        "Information",
        &[
            switch("help", "false", "print help and exit, as does -h"),
            switch("version", "false", "print version and exit"),
        ],
    ),
];

/// The sub-commands that are not hidden, each with its help.
pub(super) const COMMANDS: [(&str, &str); 3] = [
    ("client-config", "print what MCP clients are to be configured with"),
    ("hash-password", "ask for a password, or read a line of stdin, and print a hash for oauth2.users"),
    ("oauth doctor <url>", "check the authorization of a running proxy from outside, as clients see it"),
];

/// The runtimes that were built in.
pub(super) const RUNTIMES: &str = match (cfg!(feature = "smol"), cfg!(feature = "tokio")) {
    (true, true) => "smol|tokio",
    (true, false) => "smol",
    (false, _) => "tokio",
};

/// The one where none is named.
const RUNTIME: &str = if cfg!(feature = "smol") { "smol" } else { "tokio" };

const EPILOGUE: &str = "\
A flag takes one dash or two, and its value after a space or a '='.
A boolean is turned off with -flag=false.

Clients of client-config: claude, claude-code, cursor, vscode, codex, gemini, qwen, opencode,
copilot, cline, continue, goose, zed, windsurf.

Examples:
  mcp-proxy --demo
  mcp-proxy -- npx -y @modelcontextprotocol/server-everything
  mcp-proxy -config ~/.cursor/mcp.json
  mcp-proxy -config /etc/mcp-proxy/config.json
  mcp-proxy -config https://example.com/config.json -http-headers 'Authorization:Bearer secret'
  mcp-proxy -config config.json --check --strict
  mcp-proxy client-config --for claude-code
  mcp-proxy hash-password
  mcp-proxy oauth doctor https://mcp.example.com
";
