//! Parameters of a request: from a query, a form or a flat JSON object.
//!
//! A parameter without a value counts as absent (RFC 6749 §3.1), one that occurs twice is an error (T-54), except for
//! `resource`, which may name several (RFC 8707 §2).

use super::form::parse_form;
use super::object::read_object;
use crate::limits::OAUTH_JSON_DEPTH_MAX;
use serde_json::Value;

/// The parameters, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=b&c=d`.
    ///
    /// # Errors
    /// A broken escape, something that is no UTF-8, or too many.
    pub(crate) fn form(text: &str) -> Result<Self, ()> {
        parse_form(text).map(Self).map_err(|_| ())
    }

    /// Reads an object whose values are strings; others are ignored.
    ///
    /// # Errors
    /// It is no object, or nests too deep.
    pub(crate) fn json(body: &[u8]) -> Result<Self, ()> {
        let members = read_object(body, OAUTH_JSON_DEPTH_MAX).map_err(|_| ())?;
        let mut params = Vec::new();
        for (name, value) in members {
            match value {
                Value::String(text) => params.push((name, text)),
                Value::Array(items) if name == RESOURCE => {
                    let texts = items.into_iter().filter_map(|item| item.as_str().map(str::to_owned));
                    params.extend(texts.map(|text| (RESOURCE.to_owned(), text)));
                }
                Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
            }
        }
        Ok(Self(params))
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, value)| known == name && !value.is_empty());
        values.next().map(|(_, value)| value.as_str())
    }

    /// All resources. One field of a form may hold several, separated by blanks, which no URL contains.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|(name, _)| name == RESOURCE)
            .flat_map(|(_, value)| value.split_ascii_whitespace())
    }

    /// The name of a parameter that occurs more often than it may.
    pub(crate) fn repeated(&self) -> Option<&str> {
        let names = || self.0.iter().map(|(name, _)| name.as_str());
        let again =
            |(at, name): &(usize, &str)| *name != RESOURCE && names().take(*at).any(|known| known == *name);
        names().enumerate().find(again).map(|(_, name)| name)
    }

    /// Whether one of these occurs more often than once.
    pub(crate) fn repeats_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.iter().filter(|(known, _)| known == name).count() > 1)
    }

    /// Takes a value out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }
}

const RESOURCE: &str = "resource";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_counts_once_and_not_at_all_without_a_value() {
        let params = Params::form("a=1&b=&resource=x&resource=y+z&c=+").unwrap();
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), None, Some(" ")));
        assert_eq!(params.resources().collect::<Vec<_>>(), ["x", "y", "z"]); // OA-115
        assert_eq!(params.repeated(), None);
        assert_eq!(Params::form("a=1&b=2&a=1").unwrap().repeated(), Some("a")); // OA-117
    }

    #[test]
    fn a_json_object_is_read_like_a_form() {
        let params = Params::json(br#"{"code":"x","n":null,"i":1,"resource":["a","b"]}"#).unwrap(); // OA-141
        assert_eq!(params.get("code"), Some("x"));
        assert_eq!(params.resources().collect::<Vec<_>>(), ["a", "b"]);
        assert!(Params::json(b"[]").is_err() && Params::json(b"{").is_err());
        let deep = format!("{{\"code\":\"x\",\"n\":{}{}}}", "[".repeat(40), "]".repeat(40)); // FT-511
        assert!(Params::json(deep.as_bytes()).is_err());
    }
}
