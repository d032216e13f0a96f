//! `hash-password`: a password in, its hash out, to stand in `oauth2.users` in its place.
//!
//! From a terminal the password is read twice and not shown; otherwise it is the first line of stdin. stdout holds the
//! hash and nothing else, so it can be piped on.
//!
//! Invariants: the password is no argument, which other users of the machine could see, and is in no message. The
//! terminal is as it was before when this ends, by whatever key: while it is silent, Ctrl-C is read rather than a
//! signal.
//! Left out on purpose: rules about what a good password is.

use mcp_proxy_core::password;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;

/// Reads a password and prints its hash.
pub(crate) fn run() -> ExitCode {
    let printed = read().and_then(|password| hash(&password)).and_then(|hash| {
        let mut stdout = io::stdout();
        let printed = stdout.write_all(hash.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
        printed.map_err(|error| format!("cannot print the hash: {error}"))
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // Whoever closed stderr does not want to know.
            let _gone = io::stderr().write_all(format!("mcp-proxy: {problem}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn hash(password: &str) -> Result<String, String> {
    let seed = mcp_proxy_os::seed().map_err(|error| format!("the system gives no random bytes: {error}"))?;
    let salt = seed.first_chunk().ok_or_else(|| "the system gives too few random bytes".to_owned())?;
    password::hash(password, *salt)
}

fn read() -> Result<String, String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&mut stdin.lock(), None);
    }
    let silent =
        terminal::Silent::begin(&stdin).map_err(|error| format!("cannot turn off the echo: {error}"))?;
    let password = ask_twice(&mut stdin.lock(), &mut io::stderr(), silent.interrupt());
    drop(silent);
    password
}

/// The conversation at a terminal.
fn ask_twice(input: &mut impl BufRead, prompts: &mut impl Write, interrupt: u8) -> Result<String, String> {
    let mut ask = |prompt: &str| {
        let _unseen = prompts.write_all(prompt.as_bytes()).and_then(|()| prompts.flush());
        let line = line(input, Some(interrupt)).inspect_err(|_| {
            let _unseen = prompts.write_all(b"\n");
        })?;
        if line.contains(char::is_control) {
            return Err("the password holds a control character".to_owned());
        }
        Ok(line)
    };
    let password = ask("Password: ")?;
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    match ask("The same again: ")? == password {
        true => Ok(password),
        false => Err("the two passwords are not the same".to_owned()),
    }
}

/// One line without its end, unless a key interrupts it. Of one that is too long only as much is read as shows that it
/// is.
fn line(input: &mut impl BufRead, interrupt: Option<u8>) -> Result<String, String> {
    let mut line = Vec::new();
    for byte in input.take(LINE_BYTES_MAX).bytes() {
        let byte = byte.map_err(|error| format!("cannot read the password: {error}"))?;
        if Some(byte) == interrupt {
            return Err("interrupted".to_owned());
        }
        if byte == b'\n' {
            line.pop_if(|last| *last == b'\r');
            break;
        }
        line.push(byte);
    }
    if line.len() > password::PASSWORD_BYTES_MAX {
        return Err(format!("the password has more than {} bytes", password::PASSWORD_BYTES_MAX));
    }
    String::from_utf8(line).map_err(|_| "the password is not UTF-8".to_owned())
}

/// The longest password and the longest end of a line.
const LINE_BYTES_MAX: u64 = password::PASSWORD_BYTES_MAX as u64 + 2;

#[cfg(unix)]
mod terminal {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
    use std::io::{self, Stdin};

    /// A terminal that does not show what is typed, until this is dropped.
    pub(super) struct Silent<'a> {
        terminal: &'a Stdin,
        before: Termios,
    }

    impl<'a> Silent<'a> {
        /// Turns off the echo, except of the end of the line. No key sends a signal, which would end the program
        /// without a chance to turn it on again; the one for an interrupt is read at once, as the last byte of a line.
        pub(super) fn begin(terminal: &'a Stdin) -> io::Result<Self> {
            let before = tcgetattr(terminal)?;
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
            silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
            silent.special_codes[SpecialCodeIndex::VEOL] = before.special_codes[SpecialCodeIndex::VINTR];
            let guard = Self { terminal, before };
            tcsetattr(terminal, OptionalActions::Flush, &silent)?;
            Ok(guard)
        }

        /// What the key for an interrupt gives.
        pub(super) fn interrupt(&self) -> u8 {
            self.before.special_codes[SpecialCodeIndex::VINTR]
        }
    }

    impl Drop for Silent<'_> {
        fn drop(&mut self) {
            // A terminal that is gone need not be restored. What was typed and not read must not come to the shell.
            let _gone = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    use std::io::{self, Stdin};

    /// No terminal of this system can be silenced.
    pub(super) enum Silent {}

    impl Silent {
        pub(super) fn begin(_terminal: &Stdin) -> io::Result<Self> {
            Err(io::Error::new(io::ErrorKind::Unsupported, "pipe the password in instead"))
        }

        pub(super) fn interrupt(&self) -> u8 {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_without_its_end() {
        for (input, expected) in [
            ("grüße\n", "grüße"),
            ("a b \r\nsecond\n", "a b "),
            ("no end", "no end"),
            ("cr\r", "cr\r"),
            ("\u{3}\n", "\u{3}"),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(line(&mut input.as_bytes(), None).as_deref(), Ok(expected), "{input:?}");
        }
        assert!(line(&mut &b"\xff\n"[..], None).unwrap_err().contains("not UTF-8"));
    }

    #[test]
    fn lines_are_bounded() {
        for end in ["\n", "\r\n", ""] {
            let longest = "x".repeat(1024);
            assert_eq!(line(&mut format!("{longest}{end}").as_bytes(), None), Ok(longest.clone()));
            assert!(line(&mut format!("x{longest}{end}").as_bytes(), None).unwrap_err().contains("1024"));
        }
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert!(line(&mut endless, None).unwrap_err().contains("1024"));
    }

    #[test]
    fn at_a_terminal_both_lines_must_agree() {
        for (input, expected) in [
            ("secret\nsecret\n", Ok("secret")),
            ("secret\nSecret\n", Err("the two passwords are not the same")),
            ("secret\n", Err("the two passwords are not the same")),
            ("\n\n", Err("the password is empty")),
            ("", Err("the password is empty")),
            ("sec\u{3}", Err("interrupted")),
            ("secret\n\u{3}secret\n", Err("interrupted")),
            ("sec\u{1b}[A\nsec\u{1b}[A\n", Err("the password holds a control character")),
        ] {
            let mut prompts = Vec::new();
            let password = ask_twice(&mut input.as_bytes(), &mut prompts, 3);
            assert_eq!(password, expected.map(str::to_owned).map_err(str::to_owned), "{input:?}");
            assert!(prompts.starts_with(b"Password: "));
            assert!(!String::from_utf8(prompts).unwrap().contains("sec"), "nothing typed is shown");
        }
    }

    #[test]
    fn each_hash_has_a_salt_of_its_own() {
        let (one, other) = (hash("secret").unwrap(), hash("secret").unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, other);
        assert!(hash("").is_err());
    }
}
