//! The record of a run, and the checks that look at the engine's outputs.
//!
//! Kept: the last inputs and outputs, all log records. Checked: no planted secret and no payload in a record, log
//! records are one line. Checks on what peers see live with the peers; checks on connections in `world`.

use mcp_proxy_core::event::{Input, Output};
use mcp_proxy_core::id::ConnId;
use mcp_proxy_core::log::Record;
use std::collections::VecDeque;

/// How many inputs and outputs are kept.
const KEPT: usize = 100;

/// How many log records a report shows.
const RECORDS_SHOWN: usize = 40;

/// How many flows may interleave and still be shown as one line each.
const INTERLEAVED: usize = 8;

/// How much of each is shown.
const SHOWN_BYTES: usize = 600;

/// The record.
#[derive(Debug)]
pub struct Watch {
    /// All log records so far, with the virtual time of each.
    pub records: Vec<(u64, Record)>,
    secrets: Vec<String>,
    recent: VecDeque<Noted>,
    /// Inputs so far.
    pub inputs: u64,
    /// Inputs and outputs are counted and checked, but not kept: for long runs, which repeat a seed that failed.
    pub quiet: bool,
}

/// One line of a report. Pieces of one flow are one line.
#[derive(Debug)]
struct Noted {
    at: u64,
    flow: Option<(&'static str, ConnId)>,
    text: Vec<u8>,
}

impl Watch {
    /// A record that guards these secrets.
    pub fn new(secrets: Vec<String>) -> Self {
        Self { records: Vec::new(), secrets, recent: VecDeque::with_capacity(KEPT), inputs: 0, quiet: false }
    }

    /// Guards one more secret.
    pub fn guard(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// All that is guarded.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Notes an input.
    pub fn input(&mut self, now: u64, input: &Input<'_>) {
        self.inputs += 1;
        if self.quiet {
            return;
        }
        match input {
            Input::Received { conn, bytes } => self.flow(now, "<- received", *conn, bytes),
            Input::Stderr { conn, bytes } => self.flow(now, "<- stderr", *conn, bytes),
            // Noted when the bytes were taken.
            Input::Sent { .. } => {}
            other => self.keep(now, None, format!("<- {other:?}").as_bytes()),
        }
    }

    /// Notes and checks an output.
    pub fn output(&mut self, now: u64, output: &Output) {
        if let Output::Log(record) = output {
            for secret in &self.secrets {
                assert!(!record.message.contains(secret), "a secret in a log record: {record:?}");
                let server = record.server.as_deref().unwrap_or_default();
                assert!(!server.contains(secret), "a secret in the server of a log record: {record:?}");
            }
            assert!(!record.message.contains("sim/tag"), "a payload in a log record: {record:?}");
            assert!(!record.message.contains('\n'), "a log record of several lines: {record:?}");
            self.records.push((now, Record::clone(record)));
        }
        if !self.quiet {
            self.keep(now, None, format!("   -> {output:?}").as_bytes());
        }
    }

    /// Notes bytes that were taken from the engine.
    pub fn wrote(&mut self, now: u64, conn: ConnId, bytes: &[u8]) {
        if !self.quiet {
            self.flow(now, "   -> sent", conn, bytes);
        }
    }

    /// Whether some record contains the text.
    pub fn logged(&self, text: &str) -> bool {
        self.records.iter().any(|(_, record)| record.message.contains(text))
    }

    /// The last log records, inputs and outputs.
    pub fn report(&self) -> String {
        let skip = self.records.len().saturating_sub(RECORDS_SHOWN);
        let mut out = String::from("log:\n");
        for (at, Record { level, server, message }) in &self.records[skip..] {
            let server = server.as_deref().unwrap_or("-");
            out += &format!("{:>14.6} {} {server}: {message}\n", seconds(*at), level.name());
        }
        out += "last inputs and outputs:\n";
        for Noted { at, flow, text } in &self.recent {
            let text = String::from_utf8_lossy(text);
            let text =
                flow.map_or_else(|| text.to_string(), |(what, conn)| format!("{what} {conn:?} {text:?}"));
            out += &format!("{:>14.6} {text}\n", seconds(*at));
        }
        out
    }

    fn flow(&mut self, now: u64, what: &'static str, conn: ConnId, bytes: &[u8]) {
        let flow = Some((what, conn));
        let flows = self.recent.iter_mut().rev().take(INTERLEAVED).take_while(|noted| noted.flow.is_some());
        match flows.into_iter().find(|noted| noted.flow == flow) {
            Some(noted) => extend(&mut noted.text, bytes),
            None => self.keep(now, flow, bytes),
        }
    }

    fn keep(&mut self, at: u64, flow: Option<(&'static str, ConnId)>, bytes: &[u8]) {
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        let mut text = Vec::new();
        extend(&mut text, bytes);
        self.recent.push_back(Noted { at, flow, text });
    }
}

fn extend(text: &mut Vec<u8>, bytes: &[u8]) {
    let room = SHOWN_BYTES.saturating_sub(text.len());
    text.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

fn seconds(at: u64) -> f64 {
    at as f64 / 1e9
}
