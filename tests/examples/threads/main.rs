//! A proxy on [plain threads](adapter): `threads CONFIG` serves a configuration until it is killed or stopped by the
//! engine. `cargo run -p mcp-proxy-tests --example threads -- config.json`
#![allow(clippy::print_stderr, reason = "an example logs to where people look")]

mod adapter;

use mcp_proxy_core::config::{Source, parse};
use mcp_proxy_core::{Options, Proxy};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("threads: needs the path of a configuration");
        return ExitCode::from(2);
    };
    match serve(&name) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("threads: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn serve(name: &str) -> Result<u8, String> {
    let text = std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
    let source = Source { text: &text, name, strict: false, env: None };
    let loaded = parse(&source).map_err(|notices| format!("{notices:?}"))?;
    let seed = mcp_proxy_os::seed().map_err(|error| error.to_string())?;
    let proxy = Proxy::new(Arc::new(loaded.config), Options::default(), seed);
    let log = |record: &mcp_proxy_core::log::Record, _| eprintln!("{}", record.message);
    let options = mcp_proxy_os::Options { log: Box::new(log), ..Default::default() };
    adapter::run(proxy, options).map_err(|error| error.to_string())
}
