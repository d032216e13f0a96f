//! Who may sign in: the users of the configuration and those of a file.

use super::secret::Key;
use crate::password;
use crate::redacted::Redacted;
use std::collections::BTreeMap;

/// Longest file of users.
pub(crate) const FILE_BYTES_MAX: usize = 1024 * 1024;

/// All users.
#[derive(Debug, Default)]
pub(crate) struct Users {
    configured: Vec<(String, Redacted<String>)>,
    known: BTreeMap<String, User>,
    decoy: Option<Redacted<String>>,
}

#[derive(Debug)]
struct User {
    stored: Redacted<String>,
    fingerprint: String,
}

impl Users {
    pub(crate) fn new(configured: Vec<(String, Redacted<String>)>) -> Self {
        Self { configured, ..Self::default() }
    }

    /// Takes the users of the configuration and those of a file; the configuration wins.
    pub(crate) fn settle(&mut self, key: &Key, file: &[(String, Redacted<String>)]) {
        self.known = file
            .iter()
            .chain(&self.configured)
            .map(|(name, stored)| {
                let seal = key.seal(["user", name.as_str(), stored.expose().as_str()]);
                let fingerprint = seal.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
                (name.clone(), User { stored: stored.clone(), fingerprint })
            })
            .collect();
        let stored = self.known.values().map(|user| user.stored.expose());
        let slowest = stored.max_by_key(|stored| password::cost(stored));
        self.decoy = slowest
            .map(|stored| password::decoy(stored))
            .filter(|decoy| !decoy.is_empty())
            .map(Redacted::new);
    }

    /// What is stored of a user.
    pub(crate) fn stored(&self, name: &str) -> Option<&Redacted<String>> {
        self.known.get(name).map(|user| &user.stored)
    }

    /// A hash that nothing matches and that takes as long to be compared with as the slowest; `None` if all passwords are
    /// plain.
    pub(crate) fn decoy(&self) -> Option<&Redacted<String>> {
        self.decoy.as_ref()
    }

    /// Stands for the password that is stored of a user, and tells nothing about it.
    pub(crate) fn fingerprint(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(|user| user.fingerprint.as_str())
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

/// Reads a file of users: one `name:hash` a line, empty lines and those that begin with `#` left out.
///
/// # Errors
/// The number of the first line that is not so, and why.
pub(crate) fn read_file(bytes: &[u8]) -> Result<Vec<(String, Redacted<String>)>, String> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let mut users = Vec::new();
    for (at, line) in (1u32..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, stored) = line.split_once(':').ok_or_else(|| format!("line {at} is not `name:hash`"))?;
        if name.is_empty() {
            return Err(format!("line {at} names no user"));
        }
        password::check(stored).map_err(|reason| format!("line {at}: {reason}"))?;
        users.push((name.to_owned(), Redacted::new(stored.to_owned())));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn a_file_of_users_is_read_line_by_line() {
        let users = read_file(b"# who may in\n\nann:secret\n  bob:with:colon \n").unwrap();
        let shown: Vec<_> =
            users.iter().map(|(name, stored)| (name.as_str(), stored.expose().as_str())).collect();
        assert_eq!(shown, [("ann", "secret"), ("bob", "with:colon")]);
        for (bad, line) in
            [("x", "line 1"), ("a:b\n:c", "line 2"), ("a:", "line 1"), ("a:$argon2id$x", "line 1")]
        {
            assert!(read_file(bad.as_bytes()).unwrap_err().contains(line), "{bad}");
        }
        assert!(read_file(&[0xff]).is_err());
    }

    #[test]
    fn another_password_is_another_fingerprint_and_the_configuration_wins() {
        let key = Key::new(&mut Rng::new([1; 32]));
        let mut users = Users::new(vec![("ann".into(), "one".to_owned().into())]);
        users.settle(
            &key,
            &[("ann".into(), "two".to_owned().into()), ("bob".into(), "one".to_owned().into())],
        );
        assert_eq!(users.stored("ann").unwrap().expose(), "one");
        assert_ne!(users.fingerprint("ann"), users.fingerprint("bob"), "the name is part of it");
        assert_eq!(users.len(), 2);
        let before = users.fingerprint("ann").unwrap().to_owned();
        let mut users = Users::new(vec![("ann".into(), "other".to_owned().into())]);
        users.settle(&key, &[]);
        assert_ne!(users.fingerprint("ann"), Some(before.as_str())); // OA-158
    }
}
