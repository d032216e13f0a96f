//! What comes back, read as a browser reads it: links and forms of a page, parameters of a URL.

use crate::http::Head;
use serde_json::Value;

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its head; `None` if the connection went away first.
    pub head: Option<Head>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// Its status, 0 if there is none.
    pub fn status(&self) -> u16 {
        self.head.as_ref().map_or(0, Head::status)
    }

    /// A field of its head.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.as_ref()?.get(name)
    }

    /// Its body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON in {self:?}"))
    }

    /// Its status and the OAuth error in it.
    #[track_caller]
    pub fn error(&self) -> (u16, String) {
        (self.status(), self.json()["error"].as_str().expect("an error is a string").to_owned())
    }

    /// The targets of its links.
    pub fn links(&self) -> Vec<String> {
        let values = self.body.split(" href=\"").skip(1);
        values.map(|rest| unescape(rest.split('"').next().unwrap_or_default())).collect()
    }
}

/// A form as a browser has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The page it is on.
    pub page: Answer,
    /// Where it is sent.
    pub action: String,
    /// Its fields.
    pub inputs: Vec<(String, String)>,
}

impl Form {
    /// Reads the form of a page.
    #[track_caller]
    pub fn of(page: &Answer) -> Self {
        let attribute = |tag: &str, name: &str| {
            let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
            Some(unescape(rest.split('"').next()?))
        };
        let tags = |name: &str| -> Vec<String> {
            let start = format!("<{name} ");
            let starts = page.body.split(start.as_str()).skip(1);
            starts.map(|rest| format!(" {}", rest.split('>').next().unwrap_or_default())).collect()
        };
        let form = tags("form").into_iter().next().unwrap_or_else(|| panic!("no form in {page:?}"));
        let inputs = tags("input").into_iter().map(|tag| {
            (attribute(&tag, "name").unwrap_or_default(), attribute(&tag, "value").unwrap_or_default())
        });
        let action = attribute(&form, "action").unwrap_or_default();
        Self { page: page.clone(), action, inputs: inputs.collect() }
    }

    /// Fills in a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.inputs.retain(|(known, _)| known != name);
        self.inputs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What stands in a field.
    pub fn get(&self, name: &str) -> &str {
        let input = self.inputs.iter().find(|(known, _)| known == name);
        input.map_or("", |(_, value)| value)
    }

    /// The body that is sent.
    pub fn body(&self) -> String {
        let pairs: Vec<(&str, &str)> = self.inputs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        encode(&pairs)
    }
}

/// The code in a success page, or in the redirect in its place.
pub fn code_in(answer: &Answer) -> Option<String> {
    let links = answer.links().into_iter().chain(answer.field("location").map(str::to_owned));
    links.into_iter().find_map(|url| parameter(&url, "code"))
}

/// The first value of a parameter of a URL.
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| decode(value))
}

/// Writes a form.
pub fn encode(pairs: &[(&str, &str)]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |text: &str| -> String {
        let each = text
            .bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
        each.collect()
    };
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", one(name), one(value))).collect();
    pairs.join("&")
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(out).unwrap()
}

/// Undoes the escapes of HTML.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, tail) = after.split_once(';').expect("a complete escape");
        out.push_str(before);
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            numeric => {
                let number = numeric.strip_prefix('#').expect("a known escape");
                let number = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                number.ok().and_then(char::from_u32).expect("a character")
            }
        });
        rest = tail;
    }
    out + rest
}
