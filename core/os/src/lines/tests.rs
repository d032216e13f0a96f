//! With pipes: nobody reads one until the test does. (FT-501)

use super::*;
use std::io::{PipeReader, Read, pipe};

fn lines() -> (PipeReader, Lines) {
    let (reader, writer) = pipe().unwrap();
    (reader, Lines::new(writer, |count| format!("{count} lost\n")))
}

fn without_thread() -> (PipeReader, Lines) {
    let (reader, lines) = lines();
    lines.0.lock().thread = Thread::Refused(instant_now() + Duration::from_secs(3600));
    (reader, lines)
}

/// What has to come out for lines with these numbers: each once, in order, or counted where it is missing.
fn missing(text: &str, pushed: u64) -> u64 {
    let (mut next, mut missing) = (0, 0);
    for line in text.lines() {
        match line.strip_suffix(" lost") {
            Some(count) => {
                let count: u64 = count.parse().unwrap();
                next += count;
                missing += count;
            }
            None => {
                assert_eq!(line.split(' ').next().unwrap(), next.to_string());
                next += 1;
            }
        }
    }
    assert_eq!(next, pushed);
    missing
}

fn read(mut reader: &PipeReader, lines: u64) -> String {
    let mut text = String::new();
    let mut seen = 0;
    let mut chunk = [0; 4096];
    while seen < lines {
        let len = reader.read(&mut chunk).unwrap();
        text.push_str(std::str::from_utf8(&chunk[..len]).unwrap());
        seen = text.lines().map(|line| line.strip_suffix(" lost").map_or(1, |n| n.parse().unwrap())).sum();
        if !text.ends_with('\n') {
            seen = seen.min(lines - 1);
        }
    }
    text
}

fn number(number: u64) -> String {
    format!("{number} {}\n", "x".repeat(100))
}

#[test]
fn a_reader_that_stops_loses_lines_and_is_told_how_many() {
    let (reader, lines) = lines();
    // More than pipe and queue hold.
    (0..20_000).for_each(|at| lines.push(number(at)));
    assert!(lines.0.lock().bytes <= BYTES_MAX);
    lines.flush(Duration::ZERO);
    let text = read(&reader, 20_000);
    let lost = missing(&text, 20_000);
    assert!((1..20_000).contains(&lost), "{lost}");
    lines.push(number(20_000));
    let text = text + &read(&reader, 1);
    assert_eq!(missing(&text, 20_001), lost);
}

#[test]
fn nothing_is_lost_while_somebody_reads() {
    let (reader, lines) = lines();
    for at in 0..3000 {
        lines.push(number(at));
        assert_eq!(read(&reader, 1), number(at));
    }
    // Nor is a thread needed for that.
    assert!(lines.0.lock().thread == Thread::None);
}

#[test]
fn a_reader_that_is_gone_hurts_nobody() {
    for (reader, lines) in [lines(), without_thread()] {
        drop(reader);
        (0..1000).for_each(|at| lines.push(number(at)));
        lines.flush(Duration::from_secs(60));
        let state = lines.0.lock();
        assert_eq!((state.refused, state.bytes, state.queue.len()), (1000, 0, 0));
    }
}

#[test]
fn refused_lines_are_told_before_the_next() {
    let mut state = State::default();
    let lost = |count: u64| format!("{count} lost\n");
    for line in ["a\n", "b\n"] {
        state.push(line.to_owned());
        let text = state.next(lost).unwrap();
        state.done(&text, false);
    }
    state.push("c\n".to_owned());
    let text = state.next(lost).unwrap();
    assert_eq!(text.text, "2 lost\nc\n");
    state.done(&text, false);
    state.queue.push_back(Entry::Lost(4));
    assert_eq!(state.next(lost).unwrap().text, "7 lost\n");
}

#[test]
fn without_a_thread_what_fits_is_written_at_once() {
    let (reader, lines) = without_thread();
    lines.push(number(0));
    assert_eq!(read(&reader, 1), number(0));
    // Longer than any piece, and together more than pipe and queue hold.
    (1..5000).for_each(|at| lines.push(number(at)));
    assert!(lines.0.lock().bytes <= BYTES_MAX);
    // With each line that is pushed, more goes out.
    let mut text = number(0);
    let mut chunk = [0; 65_536];
    for at in 5000..5100 {
        let len = (&reader).read(&mut chunk).unwrap();
        text.push_str(std::str::from_utf8(&chunk[..len]).unwrap());
        lines.push(number(at));
    }
    drop(lines);
    (&reader).read_to_string(&mut text).unwrap();
    assert!(missing(&text, 5100) > 0);
}

#[test]
fn a_descriptor_that_others_made_non_blocking_is_waited_for() {
    let (reader, writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let lines = Lines::new(writer, |count| format!("{count} lost\n"));
    // More than the pipe holds, less than the queue.
    (0..1500).for_each(|at| lines.push(number(at)));
    assert!(lines.0.lock().thread == Thread::Running);
    assert_eq!(missing(&read(&reader, 1500), 1500), 0);
}
