//! The stdio transport: one JSON-RPC message per line.

use std::io::{self, StdoutLock};

use mcp_proxy_bench::net::{self, ReadOutcome};
use memchr::memchr;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::mcp::{Answer, Mcp};
use crate::timers::Timers;

const READ_CHUNK: usize = 256 * 1024;

pub(crate) fn run(mut mcp: Mcp) -> io::Result<()> {
    let mut timers = Timers::default();
    let mut buf: Vec<u8> = Vec::new();
    let mut scan = 0;
    let mut out = Vec::new();
    let (stdin, stdout) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let mut ready = false;
        if !timers.is_empty() {
            // With no timer pending, the blocking read below waits instead.
            ready = net::wait_for(&stdin, PollFlags::IN, timers.timeout());
            while let Some((_, bytes)) = timers.pop_due() {
                out.extend_from_slice(&bytes);
            }
        }
        if timers.is_empty() && out.is_empty() || ready {
            match net::read_some(&stdin, &mut buf, READ_CHUNK) {
                ReadOutcome::Closed => return Ok(()),
                ReadOutcome::WouldBlock => {
                    net::wait_for(&stdin, PollFlags::IN, timers.timeout());
                    continue;
                }
                ReadOutcome::Data(_) => {}
            }
        }
        let mut start = 0;
        while let Some(i) = memchr(b'\n', &buf[scan..]) {
            let end = scan + i;
            let line = &buf[start..end];
            if !line.iter().all(u8::is_ascii_whitespace) {
                let mark = out.len();
                match mcp.handle(line, &mut out) {
                    Answer::None => {}
                    Answer::Now { .. } => out.push(b'\n'),
                    Answer::After(ms) => {
                        out.push(b'\n');
                        let bytes = out.split_off(mark);
                        timers.add(ms, 0, bytes);
                    }
                }
            }
            start = end + 1;
            scan = start;
        }
        buf.drain(..start);
        scan = buf.len();
        if !out.is_empty() {
            // stdout is line buffered by default; one explicit write per batch.
            write_all(&stdout, &out)?;
            out.clear();
        }
    }
}

fn write_all(stdout: &StdoutLock<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stdout, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => drop(net::wait_for(stdout, PollFlags::OUT, Some(1000))),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
