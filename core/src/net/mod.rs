//! Addresses: which are of the whole world, which belong together, which fronts are believed about those of others.

mod address;
mod global;
mod ip_range;
mod network;

pub use address::{ClientAddress, Trust};
pub use global::is_global;
pub use ip_range::IpRange;
pub use network::Network;
