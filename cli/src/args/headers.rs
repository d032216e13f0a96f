//! The request headers of `-http-headers`.

use std::fmt;

/// Request headers: names are tokens (RFC 9110 § 5.6.2), values hold no control character but tab, no name occurs
/// twice. `Debug` shows names only, since values are often credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads `K1:V1;K2:V2`: entries end at `;`, the name at the first `:`, both are trimmed, empty entries are skipped,
    /// and the last of two equal names wins.
    ///
    /// # Errors
    /// Says which entry (counted from 1) is wrong and why, never what it holds.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut headers: Vec<(String, String)> = Vec::new();
        for (entry, number) in text.split(';').zip(1u32..) {
            if entry.trim().is_empty() {
                continue;
            }
            let Some((name, value)) = entry.split_once(':') else {
                return Err(format!("entry {number} has no ':' between name and value"));
            };
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || !name.bytes().all(is_token_byte) {
                return Err(format!("entry {number} has a name that is not an HTTP field name"));
            }
            if value.chars().any(|c| c.is_control() && c != '\t') {
                return Err(format!("entry {number} has a control character in its value"));
            }
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(headers))
    }

    /// Names and values, in the order given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// RFC 9110 § 5.6.2, `tchar`.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
