//! Log records as lines on stderr.
//!
//! Text lines look like those of the original (`2025/11/25 08:30:00 <fetch> Connected`, in UTC), JSON lines have
//! `time`, `level`, `server` and `message`. Whoever serves writes them through [`Lines`]: a reader of
//! stderr that stops loses lines, and is told how many, but stops nothing.

use crate::args::{Log, LogFormat, LogLevel};
use mcp_proxy_core::json::quote;
use mcp_proxy_core::log::{Level, Record};
use mcp_proxy_core::time::Unix;
use mcp_proxy_core::time::calendar;
use mcp_proxy_os::Lines;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The level of the engine for a level of the command line.
pub(crate) const fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
        LogLevel::Trace => Level::Trace,
    }
}

/// The lines of a process that serves.
static QUEUE: OnceLock<Lines> = OnceLock::new();

/// From now on [`write()`] does not wait for stderr. To be called before anything is served.
pub(crate) fn queue(log: Log) {
    QUEUE.get_or_init(|| Lines::new(std::io::stderr(), move |count| lost(log, count)));
}

/// Writes one record, sooner or later. A stderr that is gone or full is no reason to stop serving.
pub(crate) fn write(log: Log, record: &Record, at: Unix) {
    if record.level > level(log.level) {
        return;
    }
    let line = line(log, record, at);
    match QUEUE.get() {
        Some(lines) => lines.push(line),
        None => {
            let _gone = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

/// Waits until what was written is out, but not for long.
pub(crate) fn flush() {
    if let Some(lines) = QUEUE.get() {
        lines.flush(PATIENCE);
    }
}

/// The time for lines that no turn of the engine dates.
#[expect(clippy::disallowed_methods, reason = "log lines beside the engine need a time too")]
pub(crate) fn unix() -> Unix {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Unix(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn line(log: Log, record: &Record, at: Unix) -> String {
    match log.format {
        LogFormat::Text => text(record, at),
        LogFormat::Json => json(record, at),
    }
}

fn lost(log: Log, count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    let message = format!("{count} line{plural} lost: stderr was not read");
    line(log, &Record { level: Level::Warn, server: None, message }, unix())
}

/// A reader that lives needs milliseconds for all that may wait.
const PATIENCE: Duration = Duration::from_secs(1);

fn text(record: &Record, at: Unix) -> String {
    let time = calendar::iso8601(at.0 / 1000).replace('-', "/").replace('T', " ");
    let time = time.trim_end_matches('Z');
    let level = match record.level {
        Level::Error => "ERROR ",
        Level::Warn => "WARN ",
        Level::Info => "",
        Level::Debug => "DEBUG ",
        Level::Trace => "TRACE ",
    };
    match &record.server {
        Some(server) => format!("{time} {level}<{server}> {}\n", record.message),
        None => format!("{time} {level}{}\n", record.message),
    }
}

fn json(record: &Record, at: Unix) -> String {
    let server =
        record.server.as_ref().map_or_else(String::new, |server| format!(",\"server\":{}", quote(server)));
    let (time, level) = (calendar::iso8601(at.0 / 1000), record.level.name());
    format!("{{\"time\":\"{time}\",\"level\":\"{level}\"{server},\"message\":{}}}\n", quote(&record.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record { level: Level::Warn, server: Some("fetch".into()), message: "a \"b\"\u{7}".into() }
    }

    #[test]
    fn text_lines_look_like_those_of_the_original() {
        let info = Record { level: Level::Info, message: "Connected".into(), ..record() };
        assert_eq!(text(&info, Unix(0)), "1970/01/01 00:00:00 <fetch> Connected\n"); // SEED-067
        let plain = Record { server: None, ..info };
        assert_eq!(text(&plain, Unix(1000)), "1970/01/01 00:00:01 Connected\n");
    }

    #[test]
    fn json_lines_are_json() {
        let line = json(&record(), Unix(0));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "warn");
        assert_eq!(value["server"], "fetch");
        assert_eq!(value["message"], "a \"b\"\u{7}");
        assert!(line.ends_with("}\n"));
    }
}
