//! The engine on its runtime.

use crate::args::{Load, Log, Runtime};
use crate::load::{extra_roots, load, say, tell_exposure, variable};
use crate::{log, templates};
use mcp_proxy_core::config::Config;
#[cfg(unix)]
use mcp_proxy_core::limits::Limits;
use mcp_proxy_core::log::{Level, Record};
use mcp_proxy_core::time::Unix;
use mcp_proxy_core::{Options, Proxy};
use mcp_proxy_os::{GuardCommand, Stop, StoreOptions};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Loads the configuration and serves it until told to stop.
pub(crate) fn run(from: &Load, log: Log, runtime: Runtime) -> ExitCode {
    log::queue(log);
    match load(from, log) {
        Some(config) => {
            tell_exposure(&config, log);
            serve(config, log, runtime)
        }
        None => {
            log::flush();
            ExitCode::FAILURE
        }
    }
}

/// Serves a configuration until told to stop.
pub(crate) fn serve(config: Config, log: Log, runtime: Runtime) -> ExitCode {
    log::queue(log);
    let code = try_serve(config, log, runtime).unwrap_or_else(|reason| {
        say(log, Level::Error, reason);
        1
    });
    log::flush();
    ExitCode::from(code)
}

fn try_serve(mut config: Config, log: Log, runtime: Runtime) -> Result<u8, String> {
    #[cfg(unix)]
    bound_by_files(&mut config, log);
    let store = store(&config, log);
    for fault in templates::faults(&config) {
        say(log, Level::Warn, format!("{fault}. The built-in page is shown until it is mended"));
    }
    let tell = Box::new(move |record: &Record, at| log::write(log, record, at));
    run_engine(config, runtime, Around { level: log::level(log.level), tell, stop: Stop::default(), store })
}

/// Gets every record, with the time of its turn.
pub(crate) type Tell = Box<dyn FnMut(&Record, Unix) + Send>;

/// What an engine is run with.
pub(crate) struct Around {
    /// The least severe level that it tells.
    pub(crate) level: Level,
    /// Where it is told.
    pub(crate) tell: Tell,
    /// Ends it from outside.
    pub(crate) stop: Stop,
    /// Where logins are kept.
    pub(crate) store: Option<StoreOptions>,
}

/// Runs the engine to its end; gives the exit code.
///
/// # Errors
/// Something that it needs is not to be had.
pub(crate) fn run_engine(config: Config, runtime: Runtime, around: Around) -> Result<u8, String> {
    #[cfg(unix)]
    crate::descriptors::check()?;
    let Around { level, tell, stop, store } = around;
    let seed = mcp_proxy_os::seed().map_err(|error| format!("the system gives no random bytes: {error}"))?;
    let options = Options { log_level: level, ..Options::default() };
    let proxy = Proxy::new(Arc::new(config), options, seed);
    let around = mcp_proxy_os::Options {
        log: tell,
        guard: own_program().map(|program| GuardCommand { program, args: vec!["guard".into()] }),
        extra_roots_pem: extra_roots()?,
        stop_signals: true,
        reap_orphans: true,
        stop,
        store,
    };
    let code = match runtime {
        #[cfg(feature = "smol")]
        Runtime::Smol => mcp_proxy_smol::run(proxy, around),
        #[cfg(feature = "tokio")]
        Runtime::Tokio => mcp_proxy_tokio::run(proxy, around),
    };
    code.map_err(|error| format!("cannot run: {error}"))
}

/// Lets in no more clients than there are files for.
#[cfg(unix)]
fn bound_by_files(config: &mut Config, log: Log) {
    let Some(files) = crate::descriptors::raise() else { return };
    let (seats, wanted) =
        (crate::descriptors::seats(files), config.limits.apply(Limits::default()).downstream_conns_max);
    if seats < wanted {
        let line = format!(
            "the system allows {files} open files: {seats} clients are let in at a time instead of {wanted}"
        );
        say(log, Level::Warn, line);
        config.limits.downstream_conns_max = Some(seats);
    }
}

/// Where the authorization server keeps its data (SEED-103), if there is one.
fn store(config: &Config, log: Log) -> Option<StoreOptions> {
    let oauth2 = config.oauth2.as_ref().filter(|oauth2| oauth2.enabled)?;
    let dir = oauth2.persistence_dir.clone().map(PathBuf::from).unwrap_or_else(|| match home() {
        Some(home) => home.join(".mcpproxy"),
        None => {
            let line = "HOME is not set: logins are kept in ./.mcpproxy (see oauth2.persistenceDir)";
            say(log, Level::Warn, line.to_owned());
            PathBuf::from(".mcpproxy")
        }
    });
    Some(StoreOptions {
        dir,
        templates: templates::directory(config)?,
        users_file: oauth2.users_file.clone().map(PathBuf::from),
    })
}

fn home() -> Option<PathBuf> {
    variable("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The path of this program, to start it again as guard or demo server.
pub(crate) fn own_program() -> Option<PathBuf> {
    std::env::current_exe().ok()
}
