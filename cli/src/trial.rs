//! `--check --tools`: starts the servers, prints what each of them offers, and ends (FT-407).
//!
//! The engine is the one that serves; what it tells of its servers is collected until each was tried once. Meanwhile
//! nobody is let in: it listens on a free port of this machine, and asks for a token that nobody has.

use crate::args::{Log, Runtime};
use crate::load::say;
use crate::log;
use crate::serve::{Around, run_engine};
use mcp_proxy_core::config::{Addr, Config};
use mcp_proxy_core::log::{Level, Record};
use mcp_proxy_os::Stop;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// What was told of each server.
type Told = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// Starts the servers, prints what they offer, and ends; a failure if one of them is not ready.
pub(crate) fn run(mut config: Config, log: Log, runtime: Runtime) -> ExitCode {
    let names: Vec<String> =
        config.servers.iter().filter(|server| !server.disabled).map(|server| server.label()).collect();
    if names.is_empty() {
        return ExitCode::SUCCESS;
    }
    if let Err(problem) = close(&mut config) {
        say(log, Level::Error, problem);
        return ExitCode::FAILURE;
    }
    let told = Told::default();
    let stop = Stop::default();
    let (hear, end) = (Arc::clone(&told), stop.clone());
    let tell = Box::new(move |record: &Record, at| match &record.server {
        Some(server) if record.level == Level::Info => {
            let mut told = hear.lock().unwrap_or_else(PoisonError::into_inner);
            told.entry(server.to_string()).or_default().push(record.message.clone());
        }
        Some(_) => log::write(log, record, at),
        None if record.level < Level::Info => log::write(log, record, at),
        None if record.message.ends_with(ALL_TRIED) => end.stop(),
        None => {}
    });
    if let Err(reason) = run_engine(config, runtime, Around { level: Level::Info, tell, stop, store: None }) {
        say(log, Level::Error, reason);
        return ExitCode::FAILURE;
    }
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    let (text, all_ready) = report(&names, &told);
    let _gone = std::io::stdout().write_all(text.as_bytes());
    if all_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lets nobody in, and does not end with a server that is needed.
fn close(config: &mut Config) -> Result<(), String> {
    let seed = mcp_proxy_os::seed().map_err(|error| format!("the system gives no random bytes: {error}"))?;
    let token = seed.iter().fold(String::new(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    });
    config.addr = Addr { port: 0, ..Addr::parse(LOOPBACK)? };
    config.oauth2 = None;
    for server in &mut config.servers {
        server.options.auth_tokens = vec![token.clone().into()];
        server.options.panic_if_invalid = false;
    }
    Ok(())
}

/// What each server offers, and whether all are ready.
fn report(names: &[String], told: &BTreeMap<String, Vec<String>>) -> (String, bool) {
    let mut out = String::new();
    let mut all_ready = true;
    for name in names {
        let lines = told.get(name).map_or(&[][..], Vec::as_slice);
        let ready = lines.iter().find_map(|line| line.strip_prefix("Ready: "));
        let summary = ready.and_then(|ready| ready.split(", handling").next());
        all_ready &= summary.is_some();
        let _ = writeln!(out, "\n{name}: {}", summary.unwrap_or("not ready, the log says why"));
        for line in lines {
            if let Some(item) = line.strip_prefix("Adding ") {
                let _ = writeln!(out, "  {item}");
            } else if let Some(item) = line.strip_prefix("Ignoring ") {
                let _ = writeln!(out, "  without {item}");
            }
        }
    }
    (out, all_ready)
}

const LOOPBACK: &str = "127.0.0.1:0";

/// How the engine says that each server was tried once.
const ALL_TRIED: &str = "servers are ready";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_a_list_for_each_server() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let told = BTreeMap::from([
            ("b".to_owned(), lines(&["Adding tool x", "Ready: nothing to list in 0.1 s"])),
            (
                "a".to_owned(),
                lines(&[
                    "Adding tool read",
                    "Ignoring tool write as it is in block list",
                    "Ready: 1 of 2 tools in 1.2 s, handling requests at /a/mcp",
                ]),
            ),
        ]);
        let names = ["a", "b"].map(str::to_owned);
        let expected = "\na: 1 of 2 tools in 1.2 s\n  tool read\n  without tool write as it is in block list\n\
                        \nb: nothing to list in 0.1 s\n  tool x\n";
        assert_eq!(report(&names, &told), (expected.to_owned(), true));
        let (text, all_ready) = report(&["c".to_owned()], &told);
        assert_eq!((text.as_str(), all_ready), ("\nc: not ready, the log says why\n", false));
    }
}
