//! `mcp-proxy`: one small program between any MCP client and any MCP server.
//!
//! `main` only maps what was asked for to an exit code. The command line is read in [`args`], a configuration in
//! [`load`]; [`serve`] puts the engine on its runtime.

mod args;
mod bare;
mod check;
mod client_config;
mod demo;
mod demo_server;
#[cfg(unix)]
mod descriptors;
mod doctor;
mod eject;
#[cfg(unix)]
mod file_sizes;
mod guard;
mod hash_password;
mod home;
mod load;
mod log;
mod nearest;
mod serve;
mod templates;
mod trial;

use args::{Action, Args};
use mcp_proxy_core::oauth::page::PageKind;
use std::io::{self, BufReader};
use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(unix)]
    file_sizes::survive();
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(exit) => return exit.report(),
    };
    match args.action {
        Action::Serve(load) => serve::run(&load, args.log, args.runtime),
        Action::Check { load, tools } => check::run(&load, args.log, tools.then_some(args.runtime)),
        Action::ClientConfig { load, client, server } => {
            client_config::run(&load, args.log, client, server.as_deref())
        }
        Action::HashPassword => hash_password::run(),
        Action::Eject { load, to, force } => eject::run(&load, args.log, to, force, PageKind::source),
        Action::OAuthDoctor { url, insecure, long, server } => {
            doctor::run(&url, insecure, long, server.as_deref())
        }
        Action::Demo => demo::run(args.log, args.runtime),
        Action::DemoServer => match demo_server::run(BufReader::new(io::stdin()), io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Action::Guard => {
            let mark = guard::own_mark();
            let strays = || guard::strays(mark.as_deref());
            guard::run(io::stdin().lock(), guard::kill, strays, std::thread::sleep);
            ExitCode::SUCCESS
        }
    }
}
