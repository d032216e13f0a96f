//! `mcpProxy.merged`: the endpoint that shows all servers as one, and how it names what they have.
//!
//! Invariant: any separator that loads can stand in a published name.
//! Deliberately absent: the naming itself.

use super::fields::{At, Fields, nearest, shown};
use super::notice::Report;

/// The merged endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Whether there is one.
    pub enabled: bool,
    /// When the name of its server goes before the name of a tool or prompt.
    pub prefix: Prefix,
    /// What stands between the two: 1 to 8 letters, digits, `_` or `-`.
    pub separator: String,
    /// Longest published name, in bytes; longer ones are shortened.
    pub name_max: usize,
}

/// `merged.prefix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefix {
    /// Every name has it, so that no name changes when a server comes or goes.
    #[default]
    Always,
    /// Only names that several servers have.
    OnClash,
    /// No name has it; of several servers with the same name the first is shown.
    Never,
}

impl Prefix {
    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnClash => "on-clash",
            Self::Never => "never",
        }
    }
}

impl Default for Merged {
    fn default() -> Self {
        Self { enabled: true, prefix: Prefix::default(), separator: "__".to_owned(), name_max: 64 }
    }
}

/// Reads the section; what is missing or wrong in it is at its default.
pub(super) fn read(report: &mut Report<'_>, proxy: &mut Fields<'_>) -> Merged {
    let default = Merged::default();
    let Some(mut fields) = proxy.object(report, "merged") else { return default };
    let merged = Merged {
        enabled: fields.bool(report, "enabled").map_or(default.enabled, |it| it.value),
        prefix: read_prefix(report, &mut fields),
        separator: read_separator(report, &mut fields).unwrap_or(default.separator),
        name_max: fields
            .bounded(report, "nameMax", NAME_BYTES_MIN, NAME_BYTES_MAX)
            .and_then(|max| usize::try_from(max).ok())
            .unwrap_or(default.name_max),
    };
    fields.finish(report, &[]);
    merged
}

fn read_prefix(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Prefix {
    let Some(At { at, value }) = fields.string(report, "prefix") else { return Prefix::default() };
    let all = [Prefix::Always, Prefix::OnClash, Prefix::Never];
    all.into_iter().find(|prefix| prefix.name() == value).unwrap_or_else(|| {
        let suggestion = match nearest(value, &all.map(Prefix::name)) {
            Some(known) => format!("did you mean `{known}`?"),
            None => "expected `always`, `on-clash` or `never`".to_owned(),
        };
        let name = fields.name_of("prefix");
        report.error(at, format!("`{name}`: unknown prefix policy `{}`, {suggestion}", shown(value)));
        Prefix::default()
    })
}

fn read_separator(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<String> {
    let At { at, value } = fields.string(report, "separator")?;
    let is_fit = (1..=SEPARATOR_BYTES_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !is_fit {
        let name = fields.name_of("separator");
        let expected = format!("1 to {SEPARATOR_BYTES_MAX} letters, digits, `_` or `-`");
        report.error(at, format!("`{name}`: expected {expected}, found `{}`", shown(value)));
    }
    is_fit.then(|| value.to_owned())
}

const SEPARATOR_BYTES_MAX: usize = 8;

/// Room for a separator, a shortened name and what makes it unique.
const NAME_BYTES_MIN: u32 = 16;

/// What the protocol wants of tools at most (2025-11-25, server/tools); many clients want 64.
const NAME_BYTES_MAX: u32 = 128;
