//! The words of a command line: sub-commands and what they take.
//!
//! A sub-command is the first word, and that of two words the first two. Flags may stand before, between and after
//! them. Those that are started by the proxy itself stay hidden and take nothing.
//!
//! Invariant: after a word that has no meaning nothing is read and shown any more. It may be part of a credential
//! whose quotes were forgotten.

use super::usage::COMMANDS;
use super::{Action, Exit, Given, normalise, usage};
use crate::nearest::nearest;

/// A sub-command that is not hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    ClientConfig,
    HashPassword,
    OAuthDoctor { url: String },
}

impl Command {
    /// Its word or words.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::ClientConfig => CLIENT_CONFIG,
            Self::HashPassword => HASH_PASSWORD,
            Self::OAuthDoctor { .. } => "oauth doctor",
        }
    }

    fn takes(&self, flag: &str) -> bool {
        match self {
            Self::ClientConfig => true,
            Self::HashPassword => false,
            Self::OAuthDoctor { .. } => {
                matches!(flag, "insecure" | "long" | "server" | "log-format" | "log-level")
            }
        }
    }
}

/// Reads the hidden sub-commands. They are started by the proxy itself, alone on the line; anything else there is a
/// mistake.
pub(super) fn hidden(given: &Given) -> Result<Option<Action>, Exit> {
    let [word, rest @ ..] = given.words.as_slice() else { return Ok(None) };
    let action = match word.as_str() {
        "demo-server" => Action::DemoServer,
        "guard" => Action::Guard,
        _ => return Ok(None),
    };
    if let Some(extra) = rest.first() {
        return Err(unexpected(extra, given));
    }
    if !given.values.is_empty() {
        return Err(Exit::misuse(format_args!("{word} takes no flags")));
    }
    Ok(Some(action))
}

/// Reads the others, together with the flags that follow.
pub(super) fn command(given: &mut Given) -> Result<Option<Command>, Exit> {
    let command = if accept(given, |word| word == CLIENT_CONFIG)?.is_some() {
        Some(Command::ClientConfig)
    } else if accept(given, |word| word == HASH_PASSWORD)?.is_some() {
        Some(Command::HashPassword)
    } else if accept(given, |word| word == OAUTH)?.is_some() {
        if accept(given, |word| word == DOCTOR)?.is_none() {
            return Err(Exit::misuse("oauth is followed by the word doctor and the url of a proxy"));
        }
        let url = accept(given, |_| true)?
            .ok_or_else(|| Exit::misuse("oauth doctor needs the url of the proxy to look at"))?;
        Some(Command::OAuthDoctor { url })
    } else {
        None
    };
    match given.words.first() {
        Some(extra) => Err(unexpected(extra, given)),
        None => Ok(command),
    }
}

/// Refuses the flags that mean nothing to a sub-command, or nothing without one.
pub(super) fn refuse_flags(given: &Given, command: Option<&Command>) -> Result<(), Exit> {
    for (flag, _) in &given.values {
        let name = flag.name;
        match command {
            Some(command) if command.takes(name) || is_answered_first(name) => {}
            Some(Command::OAuthDoctor { .. }) | None if name == "for" => {
                return Err(Exit::misuse("-for is a flag of client-config"));
            }
            None if name == "server" => {
                return Err(Exit::misuse("-server is a flag of client-config and oauth doctor"));
            }
            Some(command) => {
                return Err(Exit::misuse(format_args!("-{name} is no flag of {}", command.name())));
            }
            None => {}
        }
    }
    Ok(())
}

/// These are beside everything; here they can only be false.
fn is_answered_first(flag: &str) -> bool {
    matches!(flag, "help" | "version")
}

/// Takes the first word away if it is meant, and reads the flags after it.
fn accept(given: &mut Given, is_meant: impl Fn(&str) -> bool) -> Result<Option<String>, Exit> {
    if !given.words.first().is_some_and(|word| is_meant(word)) {
        return Ok(None);
    }
    let mut words = std::mem::take(&mut given.words).into_iter();
    let word = words.next();
    normalise(given, words)?;
    Ok(word)
}

/// A word that has no meaning. Beside `-http-headers` it may be part of a credential whose quotes were forgotten, and
/// is not shown.
fn unexpected(word: &str, given: &Given) -> Exit {
    if given.get("http-headers").is_some() {
        return Exit::misuse(
            "unexpected argument (the value of -http-headers needs quotes if it holds spaces)",
        );
    }
    let hint = if usage::flags().any(|flag| flag.name == word) {
        format!(" (did you mean -{word}?)")
    } else if let Some(near) = nearest(word, COMMANDS.iter().map(|(command, _)| *command)) {
        format!(" (did you mean {near}?)")
    } else if word.ends_with(".json") || word.starts_with("http://") || word.starts_with("https://") {
        " (a configuration is named with -config)".to_owned()
    } else if !given.words.get(1..).unwrap_or_default().is_empty() {
        " (the command of a server stands after --)".to_owned()
    } else {
        String::new()
    };
    Exit::misuse(format_args!("unexpected argument {word:?}{hint}"))
}

const CLIENT_CONFIG: &str = "client-config";
const HASH_PASSWORD: &str = "hash-password";
const OAUTH: &str = "oauth";
const DOCTOR: &str = "doctor";
