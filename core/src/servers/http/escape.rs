//! Takes the escape sequences out of what a server prints: colours, links, titles (ECMA-48 §5.4, §8.3, xterm's OSC).
//!
//! ```text
//! text ─ ESC ─▶ escape ─ [ ─▶ CSI: parameters ─ final byte ─▶ text
//!                  │ ] P X ^ _ k ─▶ string ─ BEL, or ESC \ ─▶ text
//!                  └ intermediates ─ final byte ─▶ text
//! ```
//! A sequence goes as a whole, however it is split over reads or lines: like a terminal, a line feed inside a CSI takes
//! effect, one inside a string is part of the string. What turns out to be no sequence (a string without an end, a byte
//! that cannot be part of one) stays as text, all but its control characters. Bounded: a sequence is at most
//! [`HELD_MAX`] bytes and two lines long. Other control characters are left for whoever shows the text.

/// How it reads a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Escapes {
    state: State,
    /// The sequence so far, without what introduces it.
    held: Vec<u8>,
    /// A line feed came inside a string.
    broken: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// The first byte of U+0080 to U+009F, of which some introduce sequences.
    Lead,
    Escape,
    Intermediate,
    Csi,
    String,
    /// ESC inside a string.
    StringEscape,
}

/// Longest sequence: a link may hold a URL.
const HELD_MAX: usize = 4 * 1024;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CANCEL: [u8; 2] = [0x18, 0x1a];
const C1_LEAD: u8 = 0xc2;

impl Escapes {
    /// Appends what is text to `out`.
    pub(crate) fn strip(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            // A byte that ends something may begin something else.
            while !self.take(byte, out) {}
        }
    }

    /// The stream is over: a sequence that was not finished is text.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.spill(out);
    }

    /// Storage it takes.
    pub(crate) fn capacity(&self) -> usize {
        self.held.capacity()
    }

    /// Takes one byte. Returns false if it has to be looked at again, in the state of text or of a new sequence.
    fn take(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        match self.state {
            State::Text => match byte {
                ESC => self.state = State::Escape,
                C1_LEAD => self.state = State::Lead,
                _ => out.push(byte),
            },
            State::Lead => match byte {
                0x9b => self.state = State::Csi,
                0x90 | 0x98 | 0x9d..=0x9f => self.state = State::String,
                0x80..=0x9f => self.state = State::Text,
                _ => {
                    self.state = State::Text;
                    out.push(C1_LEAD);
                    return false;
                }
            },
            State::Escape => match byte {
                b'[' => self.go(State::Csi, byte),
                b']' | b'P' | b'X' | b'^' | b'_' | b'k' => self.go(State::String, byte),
                b' '..=b'/' => self.go(State::Intermediate, byte),
                b'0'..=b'~' | 0x18 | 0x1a => self.done(),
                ESC => {}
                0..=0x1f => out.push(byte),
                0x7f.. => return self.give_up(out),
            },
            State::Intermediate | State::Csi => match (byte, self.state) {
                (b' '..=b'/', _) | (b'0'..=b'?', State::Csi) => return self.hold(byte, out),
                (b'0'..=b'~', _) => self.done(),
                (ESC, _) => return self.give_up(out),
                _ if CANCEL.contains(&byte) => self.done(),
                (0..=0x1f, _) => out.push(byte),
                _ => return self.give_up(out),
            },
            State::String => match byte {
                BEL => self.done(),
                ESC => self.state = State::StringEscape,
                _ if CANCEL.contains(&byte) => self.done(),
                0x9c if self.held.last() == Some(&C1_LEAD) => self.done(),
                b'\n' if std::mem::replace(&mut self.broken, true) => return self.give_up(out),
                _ => return self.hold(byte, out),
            },
            State::StringEscape => match byte {
                b'\\' => self.done(),
                _ => {
                    self.spill(out);
                    self.state = State::Escape;
                    return false;
                }
            },
        }
        true
    }

    fn go(&mut self, state: State, byte: u8) {
        self.state = state;
        self.held.push(byte);
    }

    fn hold(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        if self.held.len() >= HELD_MAX {
            return self.give_up(out);
        }
        self.held.push(byte);
        true
    }

    /// The sequence is complete.
    fn done(&mut self) {
        self.held.clear();
        self.broken = false;
        self.state = State::Text;
    }

    /// It was none.
    fn give_up(&mut self, out: &mut Vec<u8>) -> bool {
        self.spill(out);
        false
    }

    fn spill(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.held);
        self.held.shrink_to(0);
        self.done();
    }
}

/// Text without its escape sequences.
pub(crate) fn plain(text: &[u8]) -> Vec<u8> {
    let (mut escapes, mut out) = (Escapes::default(), Vec::with_capacity(text.len()));
    escapes.strip(text, &mut out);
    escapes.finish(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        String::from_utf8(plain(text.as_bytes())).unwrap()
    }

    #[test]
    fn sequences_go_as_a_whole_and_text_stays() {
        let table = [
            ("\x1b[32mINFO\x1b[0m \x1b[1;38;5;208mstarted\x1b[m", "INFO started"),
            ("at \x1b]8;;http://x.example/\x07link\x1b]8;;\x07 here", "at link here"),
            ("at \x1b]8;id=1;http://x/\x1b\\link\x1b]8;;\x1b\\ here", "at link here"),
            ("\x1b]0;a title\x07\x1bPq#0\x1b\\\x1b_G\x1b\\\x1b^p\x1b\\\x1bXs\x1b\\\x1bkt\x1b\\text", "text"),
            ("\x1b(B\x1b)0\x1b7\x1b8\x1bc\x1b#8\x1b=text\x1b>", "text"),
            ("\x1b[?25l\x1b[2K\x1b[1Atext\x1b[38:2:1:2:3m\x1b[ q\x1b[!p", "text"),
            ("\u{9b}32mINFO\u{9b}0m \u{9d}8;;x\u{9c}y\u{90}z\u{9c}", "INFO y"),
            ("\u{85}a\u{a0}ü€", "a\u{a0}ü€"),
            ("well [32m] and ]8;; are text", "well [32m] and ]8;; are text"),
            ("a\x1b\x1b[1mb", "ab"),
            ("a\x1b[3\x182mb", "a2mb"),
            // Over lines.
            ("a\x1b[3\n2mb", "a\nb"),
            ("a\x1b\n[32mb", "a\nb"),
            ("a\x1b]8;;http://x\n/y\x07link\x1b]8;;\x07", "alink"),
            ("a\x1b]8;;http://x\x1b\\link", "alink"),
            // None of them are sequences.
            ("a\x1b]0;no end\nline\nline", "a]0;no end\nline\nline"),
            ("a\x1b]0;no end\x1b[31mb", "a]0;no endb"),
            ("a\x1b[3ü", "a[3ü"),
            ("a\x1b[31", "a[31"),
            ("a\x1b", "a"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text:?}");
            let (mut escapes, mut out) = (Escapes::default(), Vec::new());
            text.as_bytes().iter().for_each(|byte| escapes.strip(&[*byte], &mut out));
            escapes.finish(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "byte by byte: {text:?}");
        }
    }

    #[test]
    fn a_sequence_without_an_end_is_held_only_so_far() {
        for start in ["\x1b]8;;", "\x1b[", "\x1b("] {
            let text = format!("{start}{}", "!".repeat(3 * HELD_MAX));
            let (mut escapes, mut out) = (Escapes::default(), Vec::new());
            escapes.strip(text.as_bytes(), &mut out);
            assert!(escapes.capacity() <= 2 * HELD_MAX);
            assert_eq!(out.len(), text.len() - 1, "all but ESC is text");
        }
    }

    #[test]
    fn text_after_anything_is_read_again() {
        for start in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let (mut escapes, mut out) = (Escapes::default(), Vec::new());
                escapes.strip(&[ESC, start, second], &mut out);
                escapes.strip(b"\x1b\\\x18text\n", &mut out);
                escapes.finish(&mut out);
                assert!(out.ends_with(b"text\n"), "{start} {second}: {out:?}");
            }
        }
    }
}
