//! Log records as lines on stderr.
//!
//! Text lines look like those of the original (`2025/11/25 08:30:00 <fetch> Connected`, in UTC), JSON lines have
//! `time`, `level`, `server` and `message`. One write per line, so that lines of children and ours do not mix.

use crate::args::{Log, LogFormat, LogLevel};
use mcp_proxy_core::json::quote;
use mcp_proxy_core::log::{Level, Record};
use mcp_proxy_core::time::Unix;
use mcp_proxy_core::time::calendar;
use std::io::Write;

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

/// Writes one record. A stderr that is gone is no reason to stop serving.
pub(crate) fn write(log: Log, record: &Record, at: Unix) {
    if record.level > level(log.level) {
        return;
    }
    let line = match log.format {
        LogFormat::Text => text(record, at),
        LogFormat::Json => json(record, at),
    };
    let _gone = std::io::stderr().lock().write_all(line.as_bytes());
}

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
