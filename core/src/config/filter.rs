//! `options.toolFilter`, `promptFilter` and `resourceFilter` of a server (SEED-031, SEED-032): what of it is served;
//! `userFilter` (SEED-151): to whom.
//!
//! Invariants: a filter looks at the server's own names, never at those that clients are shown; a list without
//! entries is no filter. A filter of users that is in doubt is an error, because to ignore it would let everybody
//! in.
//! Deliberately absent: applying a filter to lists and calls, which only ask [`Filter::admits`]; inheritance.

use super::UriFilter;
use super::fields::{Fields, nearest, shown};
use super::notice::Report;
use crate::glob::Globs;

/// Which tools, prompts or resources of a server are served, by the server's own names, or to which users. `*` in a
/// name stands for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Filter {
    /// All.
    #[default]
    None,
    /// Only these.
    Allow(Globs),
    /// All but these.
    Block(Globs),
}

impl Filter {
    /// Whether what has this name is served.
    pub fn admits(&self, name: &str) -> bool {
        match self {
            Self::None => true,
            Self::Allow(names) => names.matches(name),
            Self::Block(names) => !names.matches(name),
        }
    }
}

/// The filters of one server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters {
    /// `toolFilter`
    pub tools: Filter,
    /// `promptFilter`
    pub prompts: Filter,
    /// `resourceFilter`: resources by their URI, templates by their `uriTemplate`.
    pub resources: UriFilter,
}

impl Filters {
    /// Reads the filters among the options of a server.
    pub(super) fn read(report: &mut Report<'_>, options: &mut Fields<'_>) -> Self {
        let mut filter = |key, noun| read(report, options, key, noun);
        Self {
            tools: filter(KEYS[0], "tool"),
            prompts: filter(KEYS[1], "prompt"),
            resources: UriFilter::new(filter(KEYS[2], "resource")),
        }
    }
}

/// A filter without a valid mode is ignored, as is an empty list (SEED-031, SEED-032); a typing error is not.
fn read(report: &mut Report<'_>, options: &mut Fields<'_>, key: &'static str, noun: &str) -> Filter {
    let Some(mut fields) = options.object(report, key) else { return Filter::None };
    let mode = fields.string(report, "mode");
    let list = fields.strings(report, "list").unwrap_or_default();
    let at = mode.map_or(fields.at, |mode| mode.at);
    let names: Globs = list.iter().map(|name| name.value).collect();
    let mode = mode.map_or("", |mode| mode.value);
    let name = fields.name_of("list");
    fields.finish(report, &[]);
    if names.is_empty() {
        if mode.eq_ignore_ascii_case("allow") {
            report.warn(at, format!("`{name}` is empty, so there is no filter and every {noun} is served"));
        }
        return Filter::None;
    }
    if mode.eq_ignore_ascii_case("allow") {
        return Filter::Allow(names);
    }
    if mode.eq_ignore_ascii_case("block") {
        return Filter::Block(names);
    }
    let shown = shown(mode);
    match nearest(mode, &["allow", "block"]) {
        // A typing error must not serve what was to be kept back (FT-401).
        Some(known) => {
            report.error(at, format!("Unknown {noun} filter mode: {shown} (did you mean `{known}`?)"));
        }
        None => report.warn(
            at,
            format!(
                "Unknown {noun} filter mode: {shown}, skipping {noun} filter (it must be `allow` or `block`)"
            ),
        ),
    }
    Filter::None
}

/// The filter of users among the options of a server.
pub(super) fn read_users(report: &mut Report<'_>, options: &mut Fields<'_>) -> Filter {
    let Some(mut fields) = options.object(report, USERS_KEY) else { return Filter::None };
    let mode = fields.string(report, "mode");
    let list = fields.strings(report, "list").unwrap_or_default();
    let at = mode.map_or(fields.at, |mode| mode.at);
    let (names, name) = (list.iter().map(|name| name.value).collect::<Globs>(), fields.name_of("list"));
    let mode_name = fields.name_of("mode");
    fields.finish(report, &[]);
    let mode = mode.map_or("", |mode| mode.value);
    if mode.eq_ignore_ascii_case("block") {
        if names.is_empty() {
            report.warn(at, format!("`{name}` is empty, so there is no filter and every user is let in"));
            return Filter::None;
        }
        return Filter::Block(names);
    }
    if !mode.eq_ignore_ascii_case("allow") {
        let found = shown(mode);
        report.error(at, format!("`{mode_name}`: expected `allow` or `block`, found `{found}`"));
    } else if names.is_empty() {
        report
            .error(at, format!("`{name}` is empty, so no user could use the server; leave `userFilter` out"));
    }
    Filter::Allow(names)
}

/// The key of the users, which is not inherited.
pub(super) const USERS_KEY: &str = "userFilter";

/// The keys of the rest, none of which is inherited either.
pub(super) const KEYS: [&str; 3] = ["toolFilter", "promptFilter", "resourceFilter"];
