//! The command line: raw arguments in, a checked [`Args`] or an [`Exit`] out.
//!
//! Three steps. [`normalise`] reads the spelling of Go's `flag` package, which users of the original have in their
//! scripts (`-flag`, `--flag`, `-flag=value`, `--flag value`, `-flag=false`, the last of two values wins). What follows
//! `--` is the command of a server. argh then turns text into types. [`check`] refuses what cannot be meant.
//!
//! Invariants: parsing is pure (no environment, file or output is touched), never panics on any argument, and no
//! error or `Debug` text contains the value of a request header. Every default stands once, in the table of
//! [`usage`], from which the help text is written too, so the help cannot disagree with the program. Sub-commands are
//! words, and read in [`words`].
//!
//! Left out on purpose: whether the configuration exists or can be fetched (the loader knows).

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use argh::{FromArgValue, FromArgs};

use self::headers::Headers;
use self::usage::{Flag, Takes};
use self::words::Command;

mod headers;
mod usage;
mod words;

/// A checked command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Args {
    /// What to do.
    pub(crate) action: Action,
    /// How to write the log. Hidden sub-commands log nothing and have the defaults here.
    pub(crate) log: Log,
    /// What the engine runs on, if it is run.
    pub(crate) runtime: Runtime,
}

/// What one run of the program does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Runs the proxy.
    Serve(Load),
    /// Loads and checks the configuration, reports, and ends (`--check`).
    Check {
        /// The configuration.
        load: Load,
        /// Whether the servers are started, to tell what they offer (`--tools`).
        tools: bool,
    },
    /// Loads the configuration, prints what clients are to be configured with, and ends (`client-config`).
    ClientConfig {
        /// The configuration of the proxy.
        load: Load,
        /// For which client; `None` is for each.
        client: Option<Client>,
        /// For this server alone.
        server: Option<String>,
    },
    /// Reads a password and prints its hash (`hash-password`).
    HashPassword,
    /// Writes the built-in templates to where they can be edited (`-eject-templates`, `-eject-templates-to`).
    Eject {
        /// The configuration that says where to, unless `to` does.
        load: Load,
        /// The directory in which they get one of their own.
        to: Option<String>,
        /// Whether files that were edited are overwritten.
        force: bool,
    },
    /// Looks at the authorization of a proxy from outside, as clients do (`oauth doctor`).
    OAuthDoctor {
        /// Where the proxy is, as given.
        url: String,
        /// Whether to skip the check of its certificate.
        insecure: bool,
        /// Whether to see if answers that take long arrive.
        long: bool,
        /// The server that is looked at.
        server: Option<String>,
    },
    /// Runs the proxy in front of the built-in server, without a configuration (`--demo`).
    Demo,
    /// Is the built-in stdio server (hidden sub-command `demo-server`).
    DemoServer,
    /// Is the process that outlives the proxy to stop its children (hidden sub-command `guard`).
    Guard,
}

/// Where the configuration comes from and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Load {
    /// A path or an `http(s)` URL, as given. A path is itself subject to `expand_env`; expanding is the loader's work.
    pub(crate) location: String,
    /// What stands after `--`: the program of one server and its arguments, in place of a configuration.
    pub(crate) command: Vec<String>,
    /// Whether unknown keys are errors rather than warnings.
    pub(crate) strict: bool,
    /// Whether `$NAME` and `${NAME}` are replaced by environment values.
    pub(crate) expand_env: bool,
    /// Whether fetching a URL skips the check of the server's certificate. Only that one fetch.
    pub(crate) insecure: bool,
    /// Request headers for fetching a URL.
    pub(crate) headers: Headers,
    /// Limit for fetching a URL; `None` is no limit.
    pub(crate) timeout: Option<Duration>,
}

/// What the engine runs on. There is a variant for each that was built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The small one.
    #[cfg(feature = "smol")]
    Smol,
    /// The widespread one.
    #[cfg(feature = "tokio")]
    Tokio,
}

impl Runtime {
    /// What hidden sub-commands have here, who run on nothing.
    #[cfg(feature = "smol")]
    const DEFAULT: Self = Self::Smol;
    /// The only one.
    #[cfg(not(feature = "smol"))]
    const DEFAULT: Self = Self::Tokio;
}

#[cfg(not(any(feature = "smol", feature = "tokio")))]
compile_error!("mcp-proxy needs a runtime: build it with the feature `smol` or `tokio`");

/// A program that uses MCP servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, argh::FromArgValue)]
pub(crate) enum Client {
    /// Claude Desktop.
    Claude,
    /// Claude Code.
    #[argh(name = "claude-code")]
    ClaudeCode,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    #[argh(name = "vscode")]
    VsCode,
    /// Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// Qwen Code.
    Qwen,
    /// OpenCode.
    #[argh(name = "opencode")]
    OpenCode,
    /// GitHub Copilot CLI.
    Copilot,
    /// Cline.
    Cline,
    /// Continue.
    Continue,
    /// Goose.
    Goose,
    /// Zed.
    Zed,
    /// Windsurf.
    Windsurf,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    /// The shape of a line.
    pub(crate) format: LogFormat,
    /// The least severe level that is written.
    pub(crate) level: LogLevel,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, argh::FromArgValue)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// Log levels, most severe first, so that `level <= limit` means "is written".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, argh::FromArgValue)]
pub(crate) enum LogLevel {
    /// The proxy itself is broken.
    Error,
    /// An operator may want to act.
    Warn,
    /// A change of state.
    Info,
    /// A deviation of a peer.
    Debug,
    /// Every message.
    Trace,
}

/// An end of the program that the command line alone decides: a text, where to write it, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    /// 0 for help and version, 2 for a command line that cannot be understood.
    pub(crate) code: u8,
    /// The text, ending in a line feed.
    pub(crate) text: String,
    /// Where `text` belongs.
    pub(crate) stream: Stream,
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output: what was asked for.
    Stdout,
    /// Standard error: what went wrong.
    Stderr,
}

impl Args {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    /// An [`Exit`] with code 0 for help and version, with code 2 for anything that cannot be understood. A wrong flag
    /// is reported even beside `-help`, as the original does.
    pub(crate) fn parse<I, S>(args: I) -> Result<Self, Exit>
    where
        I: IntoIterator<Item = S>,
        S: Into<OsString>,
    {
        let mut given = Given { values: Vec::new(), words: Vec::new(), command: Vec::new() };
        normalise(&mut given, args)?;
        if let Some(action) = words::hidden(&given)? {
            let log = Log { format: LogFormat::Text, level: LogLevel::Info };
            return Ok(Self { action, log, runtime: Runtime::DEFAULT });
        }
        let command = words::command(&mut given)?;
        let argv = given.argv();
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let raw = Raw::from_args(&["mcp-proxy"], &argv).map_err(|exit| Exit::misuse(exit.output.trim()))?;
        check(raw, &given, command)
    }
}

impl Exit {
    /// Writes the text to its stream and gives the code to end with. A closed stream is not an error here: there is
    /// nobody left to tell.
    pub(crate) fn report(self) -> ExitCode {
        let _ = match self.stream {
            Stream::Stdout => io::stdout().write_all(self.text.as_bytes()),
            Stream::Stderr => io::stderr().write_all(self.text.as_bytes()),
        };
        ExitCode::from(self.code)
    }

    fn answer(text: String) -> Self {
        Self { code: 0, text, stream: Stream::Stdout }
    }

    fn misuse(problem: impl fmt::Display) -> Self {
        let text = format!("mcp-proxy: {problem}\n`mcp-proxy -help` lists flags, words and examples.\n");
        Self { code: 2, text, stream: Stream::Stderr }
    }
}

/// The build: `mcp-proxy <version> (<short hash>@<unix time>)`, or `(dev)` where the build was not stamped through
/// `MCP_PROXY_BUILD`.
pub(crate) fn version() -> String {
    version_of(option_env!("MCP_PROXY_BUILD"))
}

fn version_of(stamp: Option<&str>) -> String {
    let stamp = stamp.filter(|stamp| !stamp.is_empty()).unwrap_or("dev");
    format!("mcp-proxy {} ({stamp})", env!("CARGO_PKG_VERSION"))
}

/// What argh derives: types only. Each option gets one value, from the user or from the table of defaults, or none
/// where there is no default.
#[derive(FromArgs)]
#[argh(description = "raw flags")]
struct Raw {
    #[argh(option, description = "where the configuration is")]
    config: String,
    #[argh(option, description = "unknown keys are errors")]
    strict: bool,
    #[argh(option, description = "expand environment names")]
    expand_env: bool,
    #[argh(option, description = "skip verification")]
    insecure: bool,
    #[argh(option, description = "headers of the fetch")]
    http_headers: Option<String>,
    #[argh(option, description = "seconds for the fetch")]
    http_timeout: i64,
    #[argh(option, description = "check only")]
    check: bool,
    #[argh(option, description = "start servers to check them")]
    tools: bool,
    #[argh(option, description = "built-in server")]
    demo: bool,
    #[argh(option, description = "write the templates")]
    eject_templates: bool,
    #[argh(option, description = "write the templates there")]
    eject_templates_to: Option<String>,
    #[argh(option, description = "overwrite")]
    force: bool,
    #[argh(option, long = "for", description = "which client")]
    client: Option<Client>,
    #[argh(option, description = "wait for long answers")]
    long: bool,
    #[argh(option, description = "which server")]
    server: Option<String>,
    #[argh(option, description = "what it runs on")]
    runtime: Runtime,
    #[argh(option, description = "text or json")]
    log_format: LogFormat,
    #[argh(option, description = "least severe level")]
    log_level: LogLevel,
    #[argh(option, description = "print the version")]
    version: bool,
}

impl FromArgValue for Runtime {
    fn from_arg_value(value: &str) -> Result<Self, String> {
        match value {
            #[cfg(feature = "smol")]
            "smol" => Ok(Self::Smol),
            #[cfg(feature = "tokio")]
            "tokio" => Ok(Self::Tokio),
            other if ["smol", "tokio"].contains(&other) => Err(format!(
                "this program was built without {other} (cargo build --features {other}), it has {}",
                usage::RUNTIMES
            )),
            other => Err(format!("there is no runtime {other:?}, expected {}", usage::RUNTIMES)),
        }
    }
}

/// The arguments after the spelling is gone: values by flag, and everything from the first word that is no flag.
struct Given {
    values: Vec<(&'static Flag, String)>,
    words: Vec<String>,
    /// What follows a `--`.
    command: Vec<String>,
}

impl Given {
    fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(flag, _)| flag.name == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, flag: &'static Flag, value: String) {
        match self.values.iter_mut().find(|(known, _)| known.name == flag.name) {
            Some((_, old)) => *old = value,
            None => self.values.push((flag, value)),
        }
    }

    /// One `--name value` pair for every flag that argh knows and that has a value. `-help` is not among them: argh
    /// keeps that name for itself.
    fn argv(&self) -> Vec<String> {
        let known = usage::flags().filter(|flag| flag.name != "help");
        known
            .flat_map(|flag| {
                let default = Some(flag.default).filter(|default| !default.is_empty());
                let value = self.get(flag.name).or(default);
                value.map(|value| [format!("--{}", flag.name), value.to_owned()])
            })
            .flatten()
            .collect()
    }
}

/// Undoes the spelling of Go's `flag` package.
fn normalise<I, S>(given: &mut Given, args: I) -> Result<(), Exit>
where
    I: IntoIterator<Item = S>,
    S: Into<OsString>,
{
    let mut args = args.into_iter().map(|arg| {
        arg.into()
            .into_string()
            .map_err(|arg| Exit::misuse(format_args!("argument {arg:?} is not valid UTF-8")))
    });
    while let Some(arg) = args.next().transpose()? {
        let Some(flag) = arg.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
            given.words.push(arg);
            break;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        if flag.is_empty() {
            given.command = args.collect::<Result<_, _>>()?;
            return Ok(());
        }
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let flag = known_flag(name, &arg)?;
        let value = match flag.takes {
            Takes::Nothing => boolean(flag, inline.as_deref())?,
            Takes::Value(_) => match inline {
                Some(value) => value,
                None => (args.next().transpose()?)
                    .ok_or_else(|| Exit::misuse(format_args!("flag needs an argument: -{name}")))?,
            },
        };
        given.set(flag, value);
    }
    for word in args {
        given.words.push(word?);
    }
    Ok(())
}

fn known_flag(name: &str, arg: &str) -> Result<&'static Flag, Exit> {
    if name.is_empty() || name.starts_with('-') {
        return Err(Exit::misuse(format_args!("bad flag syntax: {}", arg.escape_debug())));
    }
    let full_name = if name == "h" { "help" } else { name };
    usage::flags().find(|flag| flag.name == full_name).ok_or_else(|| {
        let hint = usage::nearest(name).map_or_else(String::new, |near| format!(" (did you mean -{near}?)"));
        Exit::misuse(format_args!("flag provided but not defined: -{}{hint}", name.escape_debug()))
    })
}

/// A boolean in Go's accepted spellings (`strconv.ParseBool`) as `true` or `false`; a bare flag is true.
fn boolean(flag: &Flag, value: Option<&str>) -> Result<String, Exit> {
    match value {
        None | Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok("true".to_owned()),
        Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok("false".to_owned()),
        Some(other) => Err(Exit::misuse(format_args!(
            "invalid boolean value {other:?} for -{}, expected true or false",
            flag.name
        ))),
    }
}

/// Typed values to a meaning; refuses combinations that contradict each other.
fn check(raw: Raw, given: &Given, command: Option<Command>) -> Result<Args, Exit> {
    if given.get("help") == Some("true") {
        return Err(Exit::answer(usage::help()));
    }
    if raw.version {
        return Err(Exit::answer(version() + "\n"));
    }
    refuse_contradictions(&raw, given, command.as_ref())?;
    let headers = Headers::parse(&raw.http_headers.unwrap_or_default())
        .map_err(|problem| Exit::misuse(format_args!("invalid value for -http-headers: {problem}")))?;
    let load = Load {
        location: raw.config,
        command: given.command.clone(),
        strict: raw.strict,
        expand_env: raw.expand_env,
        insecure: raw.insecure,
        headers,
        timeout: u64::try_from(raw.http_timeout).ok().filter(|&seconds| seconds > 0).map(Duration::from_secs),
    };
    let (client, server, to, force) = (raw.client, raw.server, raw.eject_templates_to, raw.force);
    let action = match command {
        Some(Command::ClientConfig) => Action::ClientConfig { load, client, server },
        Some(Command::HashPassword) => Action::HashPassword,
        Some(Command::OAuthDoctor { url }) => {
            Action::OAuthDoctor { url, insecure: raw.insecure, long: raw.long, server }
        }
        None if raw.demo => Action::Demo,
        None if raw.check => Action::Check { load, tools: raw.tools },
        None if raw.eject_templates || to.is_some() => Action::Eject { load, to, force },
        None => Action::Serve(load),
    };
    Ok(Args { action, log: Log { format: raw.log_format, level: raw.log_level }, runtime: raw.runtime })
}

fn refuse_contradictions(raw: &Raw, given: &Given, command: Option<&Command>) -> Result<(), Exit> {
    let ejects = raw.eject_templates || raw.eject_templates_to.is_some();
    let command_name = command.map_or("", Command::name);
    let chosen = [
        ("-demo", raw.demo),
        ("-check", raw.check),
        ("-eject-templates", ejects),
        (command_name, command.is_some()),
    ];
    let mut chosen = chosen.into_iter().filter(|(_, is_chosen)| *is_chosen).map(|(name, _)| name);
    if let (Some(one), Some(other)) = (chosen.next(), chosen.next()) {
        return Err(Exit::misuse(format_args!("{one} and {other} exclude each other")));
    }
    if raw.demo && given.get("config").is_some() {
        return Err(Exit::misuse(
            "-demo and -config exclude each other: the demo brings its own configuration",
        ));
    }
    if !given.command.is_empty() {
        let other = [("-demo", raw.demo), ("-config", given.get("config").is_some())];
        if let Some((other, _)) = other.into_iter().find(|(_, is_given)| *is_given) {
            return Err(Exit::misuse(format_args!("{other} and a server after -- exclude each other")));
        }
        if ejects || command.is_some_and(|command| !matches!(command, Command::ClientConfig)) {
            return Err(Exit::misuse(
                "what stands after -- is a server to be served, there is none to serve here",
            ));
        }
    }
    if raw.eject_templates_to.as_deref() == Some("") {
        return Err(Exit::misuse("-eject-templates-to needs the name of a directory"));
    }
    if raw.tools && !raw.check {
        return Err(Exit::misuse("-tools is a flag of -check"));
    }
    if raw.force && !ejects {
        return Err(Exit::misuse("-force is a flag of -eject-templates and -eject-templates-to"));
    }
    words::refuse_flags(given, command)
}

#[cfg(test)]
mod tests;
