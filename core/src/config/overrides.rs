//! `options.toolOverrides` of a server: what its tools are called and described as, and which are hidden.
//!
//! Invariants: a name that was given is one that a tool may have; no two entries end up with the same name.
//! Deliberately absent: whether the server has such tools, which only it knows; applying the overrides; inheritance.

use std::collections::BTreeMap;

use super::fields::{At, Fields, shown};
use super::notice::Report;

/// What is shown of one tool in place of what its server says. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolOverride {
    /// The name by which clients call it: 1 to 128 letters, digits, `_`, `.` or `-`.
    pub name: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// It is neither listed nor callable.
    pub hidden: bool,
}

/// Reads the overrides among the options of a server, by the server's own names.
pub(super) fn read(report: &mut Report<'_>, options: &mut Fields<'_>) -> BTreeMap<String, ToolOverride> {
    let mut overrides = BTreeMap::new();
    let Some(tools) = options.object(report, KEY) else { return overrides };
    // Which entry has a name, and where it got it.
    let mut holders: BTreeMap<String, At<&str>> = BTreeMap::new();
    for member in tools.entries() {
        let Some(mut fields) = Fields::open(report, &member.node, tools.name_of(&member.key)) else {
            continue;
        };
        let name = read_name(report, &mut fields);
        let mut text = |key| fields.string(report, key).map(|text| text.value.to_owned());
        let (title, description) = (text("title"), text("description"));
        let hidden = fields.bool(report, "hidden").is_some_and(|it| it.value);
        fields.finish(report, &[]);
        if !hidden {
            let published = name.map_or(member.key.as_str(), |name| name.value).to_owned();
            let at = name.map_or(member.at, |name| name.at);
            match holders.get(&published) {
                Some(holder) => report.error(at, collision(report, &published, &member.key, *holder)),
                None => _ = holders.insert(published, At { at, value: &member.key }),
            }
        }
        let name = name.map(|name| name.value.to_owned());
        overrides.insert(member.key.clone(), ToolOverride { name, title, description, hidden });
    }
    overrides
}

/// A name as the protocol (2025-11-25, server/tools) wants tools to have.
fn read_name<'a>(report: &mut Report<'_>, fields: &mut Fields<'a>) -> Option<At<&'a str>> {
    let name = fields.string(report, "name")?;
    let is_fit = (1..=NAME_BYTES_MAX).contains(&name.value.len())
        && name.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !is_fit {
        let key = fields.name_of("name");
        let expected = format!("1 to {NAME_BYTES_MAX} letters, digits, `_`, `.` or `-`");
        report.error(name.at, format!("`{key}`: expected {expected}, found `{}`", shown(name.value)));
    }
    Some(name).filter(|_| is_fit)
}

fn collision(report: &Report<'_>, name: &str, tool: &str, holder: At<&str>) -> String {
    let (tool, other, line) = (shown(tool), shown(holder.value), report.line_of(holder.at));
    format!("the tools `{tool}` and `{other}` ({line}) would both be called `{}`", shown(name))
}

/// Longest name of a tool, from the same place.
const NAME_BYTES_MAX: usize = 128;

/// The key, which is not inherited.
pub(super) const KEY: &str = "toolOverrides";
