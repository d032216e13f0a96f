//! What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which is what one subscriber has.
//!
//! An address that other claims about the same request contradict counts apart from the same address without doubt: so
//! nobody who writes somebody else's address into a field uses up what that one has.

use std::net::{IpAddr, Ipv6Addr};

/// An address as limits count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    contested: bool,
}

impl Network {
    /// Where an address belongs. An IPv4 address in its IPv6 form is the IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        let address = match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        };
        Self { address, contested: false }
    }

    /// The same for one of several claims that contradict each other.
    pub fn contested(address: IpAddr) -> Self {
        Self { contested: true, ..Self::of(address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_64_bits_and_ipv4_by_address() {
        let same = |a: &str, b: &str| Network::of(a.parse().unwrap()) == Network::of(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
