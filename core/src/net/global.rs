//! Which addresses belong to the public internet.
//!
//! Stricter than the registries of RFC 6890: what is forwarded elsewhere (IPv4 inside IPv6, anycast of old
//! transition mechanisms), documentation, and what is not allocated to anybody are refused as well.

use std::net::IpAddr;

use crate::net::IpRange;

/// Whether a host on the public internet can have this address. What has not is never connected to on the word
/// of somebody else: it is this machine, its network, or a way around this very check.
pub fn is_global(ip: IpAddr) -> bool {
    let is_in = |ranges: &[IpRange]| ranges.iter().any(|range| range.contains(ip));
    match ip {
        IpAddr::V4(_) => !is_in(&SPECIAL_V4),
        // The forms that hold an IPv4 address lie outside 2000::/3 or in the list.
        IpAddr::V6(v6) => v6.to_ipv4_mapped().is_none() && is_in(&[UNICAST_V6]) && !is_in(&SPECIAL_V6),
    }
}

/// The IANA registry of special-purpose IPv4 addresses, multicast and the rest above.
const SPECIAL_V4: [IpRange; 18] = [
    IpRange::v4([0, 0, 0, 0], 8),
    IpRange::v4([10, 0, 0, 0], 8),
    IpRange::v4([100, 64, 0, 0], 10),
    IpRange::v4([127, 0, 0, 0], 8),
    // The host's own services in Azure, beside those in 169.254/16.
    IpRange::v4([168, 63, 129, 16], 32),
    IpRange::v4([169, 254, 0, 0], 16),
    IpRange::v4([172, 16, 0, 0], 12),
    IpRange::v4([192, 0, 0, 0], 24),
    IpRange::v4([192, 0, 2, 0], 24),
    IpRange::v4([192, 31, 196, 0], 24),
    IpRange::v4([192, 52, 193, 0], 24),
    IpRange::v4([192, 88, 99, 0], 24),
    IpRange::v4([192, 168, 0, 0], 16),
    IpRange::v4([192, 175, 48, 0], 24),
    IpRange::v4([198, 18, 0, 0], 15),
    IpRange::v4([198, 51, 100, 0], 24),
    IpRange::v4([203, 0, 113, 0], 24),
    IpRange::v4([224, 0, 0, 0], 3),
];

/// All that IANA has opened for global unicast; loopback, NAT64, ULA, link-local and multicast lie outside.
const UNICAST_V6: IpRange = IpRange::v6(0x2000_0000, 3);

const SPECIAL_V6: [IpRange; 5] = [
    // Protocol assignments: Teredo, ORCHID, benchmarks and others.
    IpRange::v6(0x2001_0000, 23),
    // Documentation.
    IpRange::v6(0x2001_0db8, 32),
    IpRange::v6(0x3fff_0000, 20),
    // 6to4.
    IpRange::v6(0x2002_0000, 16),
    // 6bone, given back.
    IpRange::v6(0x3ffe_0000, 16),
];
