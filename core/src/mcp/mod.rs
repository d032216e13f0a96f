//! Words of the Model Context Protocol: its revisions, its methods, its lists, what servers ask of clients.

pub(crate) mod ask;
pub(crate) mod declared;
mod dialect;
pub(crate) mod level;
pub mod method;
pub(crate) mod pages;
mod patch;
pub(crate) mod profile;
pub mod revision;
pub(crate) mod shape;
pub(crate) mod url_required;

pub use ask::Ask;
pub(crate) use declared::Declared;
pub(crate) use level::LogLevel;
pub use method::{ListKind, Method};
pub(crate) use profile::Profile;
pub use revision::Revision;
