//! Scripted stdio servers: processes that start, talk lines, misbehave, and end.
//!
//! Checked on every line that reaches a child: it is one JSON-RPC object without a stray CR, and stdin does not
//! close within a line (ST-01, ST-02). Left out: process groups; a child here is its whole group.

use crate::mind::{Deed, Mind, What};
use crate::net::{Event, MS, Net, Who};
use mcp_proxy_core::event::{ExitStatus, Signal};
use mcp_proxy_core::id::ConnId;

/// What happens each time a command is started.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it thinks.
    pub mind: Mind,
    /// It cannot be started at all.
    pub missing: bool,
    /// It ends at once with this code.
    pub exits_at_once: Option<i32>,
    /// What it prints before anything else.
    pub banner: String,
    /// Goes on running when its stdin closes.
    pub ignores_eof: bool,
    /// Goes on running after SIGTERM.
    pub ignores_term: bool,
    /// How long it takes to end, milliseconds.
    pub exit_ms: u64,
    /// Prints each message over several lines, against the rules.
    pub pretty: bool,
    /// Ends its lines with CR LF.
    pub crlf: bool,
    /// Bytes written to stderr with each message.
    pub stderr_bytes: usize,
}

impl Program {
    /// A well-behaved server.
    pub fn new(name: &str) -> Self {
        Self {
            mind: Mind::new(name),
            missing: false,
            exits_at_once: None,
            banner: String::new(),
            ignores_eof: false,
            ignores_term: false,
            exit_ms: 1,
            pretty: false,
            crlf: false,
            stderr_bytes: 0,
        }
    }
}

/// One process.
#[derive(Debug)]
pub struct Child {
    /// The command it was started by.
    pub command: String,
    /// Its pipes.
    pub conn: ConnId,
    /// What it is.
    pub program: Program,
    /// Runs.
    pub alive: bool,
    /// Its stdin is closed.
    pub stdin_closed: bool,
    /// Signals it got, with the virtual time of each.
    pub signals: Vec<(u64, Signal)>,
    /// When its stdin closed.
    pub eof_at: Option<u64>,
    /// It was stopped (SIGSTOP): what it means to do waits.
    stopped: bool,
    postponed: Vec<Deed>,
    line: Vec<u8>,
}

impl Child {
    /// A process that has just been started.
    pub fn start(command: &str, conn: ConnId, program: Program, net: &mut Net) -> Self {
        let mut program = program;
        program.mind.name_run(conn.0);
        let (banner, dies) = (program.banner.clone(), program.exits_at_once);
        net.send(conn, banner.as_bytes());
        let mut child = Self {
            command: command.to_owned(),
            conn,
            program,
            alive: true,
            stdin_closed: false,
            signals: Vec::new(),
            eof_at: None,
            stopped: false,
            postponed: Vec::new(),
            line: Vec::new(),
        };
        if let Some(code) = dies {
            child.exit(net, ExitStatus::Code(code));
        }
        child
    }

    /// Its mind.
    pub fn mind(&mut self) -> &mut Mind {
        &mut self.program.mind
    }

    /// Bytes came in on stdin.
    pub fn on_bytes(&mut self, bytes: &[u8], net: &mut Net) {
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.line)).expect("stdin is UTF-8");
            assert!(line.starts_with('{') && !line.contains('\r'), "not one JSON object a line: {line:?}");
            net.send_stderr(self.conn, &vec![b'e'; self.program.stderr_bytes]);
            for deed in self.program.mind.hear(&line, None, net.now) {
                net.plan(deed.after_ms * MS, Event::Deed(Who::Child(self.conn), deed));
            }
        }
    }

    /// Its stdin was closed.
    pub fn on_eof(&mut self, net: &mut Net) {
        assert!(
            self.line.is_empty(),
            "stdin closed within a line: {:?}",
            String::from_utf8_lossy(&self.line)
        );
        self.stdin_closed = true;
        self.eof_at = Some(net.now);
        if !self.program.ignores_eof {
            self.plan_exit(0, net);
        }
    }

    /// Its group was signalled.
    pub fn on_signal(&mut self, signal: Signal, net: &mut Net) {
        self.signals.push((net.now, signal));
        match signal {
            Signal::Kill => self.exit(net, ExitStatus::Signal(9)),
            Signal::Terminate if self.program.ignores_term => {}
            Signal::Terminate => self.plan_exit(143, net),
        }
    }

    /// The time for something it planned has come.
    pub fn on_deed(&mut self, deed: &Deed, net: &mut Net) {
        if self.stopped {
            return self.postponed.push(deed.clone());
        }
        if !self.alive || !self.program.mind.still_wants(deed) {
            return;
        }
        match &deed.what {
            What::Say(text) | What::Answer(text) => self.print(text, net),
            What::Exit(code) => self.exit(net, ExitStatus::Code(*code)),
            What::Recall(recall) => {
                for next in self.program.mind.recall(recall, deed) {
                    match next.after_ms {
                        0 => self.on_deed(&next, net),
                        ms => net.plan(ms * MS, Event::Deed(Who::Child(self.conn), next)),
                    }
                }
            }
            What::Cut | What::Refuse(_) => {}
        }
    }

    /// Prints one message.
    pub fn print(&mut self, text: &str, net: &mut Net) {
        let mut text = text.to_owned();
        if self.program.pretty {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            text = serde_json::to_string_pretty(&value).unwrap();
        }
        text += if self.program.crlf { "\r\n" } else { "\n" };
        net.send(self.conn, text.as_bytes());
    }

    /// Stops (SIGSTOP), or goes on where it stopped (SIGCONT).
    pub fn stop(&mut self, stopped: bool, net: &mut Net) {
        self.stopped = stopped;
        net.stall(self.conn, stopped);
        for deed in std::mem::take(&mut self.postponed) {
            net.plan(0, Event::Deed(Who::Child(self.conn), deed));
        }
    }

    /// Closes stdout and lives on.
    pub fn close_stdout(&mut self, net: &mut Net) {
        net.close_write(self.conn);
    }

    /// Ends.
    pub fn exit(&mut self, net: &mut Net, status: ExitStatus) {
        if !std::mem::replace(&mut self.alive, false) {
            return;
        }
        if let Some(link) = net.links.get_mut(&self.conn) {
            link.exit = Some(status);
            link.deaf = true;
            link.stderr.eof = true;
        }
        net.close_write(self.conn);
        net.wake_writer(self.conn);
    }

    fn plan_exit(&mut self, code: i32, net: &mut Net) {
        let deed = Deed { what: What::Exit(code), after_ms: 0, about: None, session: None, stubborn: true };
        net.plan(self.program.exit_ms * MS, Event::Deed(Who::Child(self.conn), deed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(text: &str) -> (Child, Net) {
        let mut net = Net::new(0);
        let conn = ConnId::dialled(1);
        net.add(conn, Who::Child(conn));
        let mut child = Child::start("sim", conn, Program::new("fs"), &mut net);
        for byte in text.as_bytes() {
            child.on_bytes(&[*byte], &mut net);
        }
        (child, net)
    }

    #[test]
    fn a_call_is_answered_with_its_arguments_untouched() {
        let raw = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1.0}}}"#;
        let (mut child, mut net) = feed(&format!("{raw}\n"));
        while let Some(event) = net.pop() {
            if let Event::Deed(_, deed) = event {
                child.on_deed(&deed, &mut net);
            }
        }
        let said = String::from_utf8(net.take(child.conn, |link| &mut link.inbound)).unwrap();
        assert!(said.contains(r#""id":1,"#) && said.contains(r#""structuredContent":{"a":1.0}"#), "{said}");
    }

    #[test]
    #[should_panic(expected = "not one JSON object a line")]
    fn a_message_over_two_lines_is_noticed() {
        feed("{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n");
    }

    #[test]
    #[should_panic(expected = "stdin closed within a line")]
    fn a_torn_line_is_noticed() {
        let (mut child, mut net) = feed("{\"jsonrpc\"");
        child.on_eof(&mut net);
    }
}
