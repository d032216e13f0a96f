//! The engine on its runtime.

use crate::args::{Load, Log};
use crate::load::{extra_roots, load, say};
use crate::log;
use mcp_proxy_core::config::Config;
use mcp_proxy_core::log::Level;
use mcp_proxy_core::{Options, Proxy};
use mcp_proxy_smol::GuardCommand;
use std::process::ExitCode;
use std::sync::Arc;

/// Loads the configuration and serves it until told to stop.
pub(crate) fn run(from: &Load, log: Log) -> ExitCode {
    match load(from, log) {
        Some(config) => serve(config, log),
        None => ExitCode::FAILURE,
    }
}

/// Serves a configuration until told to stop.
pub(crate) fn serve(config: Config, log: Log) -> ExitCode {
    match try_serve(config, log) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            say(log, Level::Error, reason);
            ExitCode::FAILURE
        }
    }
}

fn try_serve(config: Config, log: Log) -> Result<u8, String> {
    let seed =
        mcp_proxy_smol::seed().map_err(|error| format!("the system gives no random bytes: {error}"))?;
    let options = Options { log_level: log::level(log.level), ..Options::default() };
    let proxy = Proxy::new(Arc::new(config), options, seed);
    let runtime = mcp_proxy_smol::Options {
        log: Box::new(move |record, at| log::write(log, record, at)),
        guard: own_program().map(|program| GuardCommand { program, args: vec!["guard".into()] }),
        extra_roots_pem: extra_roots()?,
        stop_signals: true,
    };
    mcp_proxy_smol::run(proxy, runtime).map_err(|error| format!("cannot run: {error}"))
}

/// The path of this program, to start it again as guard or demo server.
pub(crate) fn own_program() -> Option<std::path::PathBuf> {
    std::env::current_exe().ok()
}
