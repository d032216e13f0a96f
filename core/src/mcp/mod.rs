//! Words of the Model Context Protocol: its revisions, its methods, its lists.

pub mod method;
pub mod revision;

pub use method::{ListKind, Method};
pub use revision::Revision;
